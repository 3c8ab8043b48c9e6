//! Language tags.

use crate::catalog::text::Text;
use crate::catalog::validate::Reason;

/// Bytes of a tag (RFC 5646 section 4.4.1 asks for at least 35).
pub const BYTES_MAX: usize = 35;

/// A well-formed language tag in the case that RFC 5646 section 2.1.1 recommends: `zh-Hant-TW`. Whether its subtags
/// are registered is not asked.
pub fn canonical(tag: &str) -> Result<Text, Reason> {
    let mut chars = Vec::with_capacity(tag.len());
    let mut after_singleton = false;
    for (i, subtag) in tag.split('-').enumerate() {
        let letters = subtag.bytes().all(|b| b.is_ascii_alphabetic());
        let in_range = matches!(subtag.len(), 1..=8) && subtag.bytes().all(|b| b.is_ascii_alphanumeric());
        let language = i > 0 || (letters && matches!(subtag.len(), 2 | 3 | 5..=8));
        if !in_range || !language {
            return Err(Reason::Malformed);
        }
        if i > 0 {
            chars.push('-');
        }
        let cased = |at: usize, c: char| match subtag.len() {
            2 if i > 0 && !after_singleton => c.to_ascii_uppercase(),
            4 if i > 0 && !after_singleton && letters && at == 0 => c.to_ascii_uppercase(),
            _ => c.to_ascii_lowercase(),
        };
        chars.extend(subtag.chars().enumerate().map(|(at, c)| cased(at, c)));
        after_singleton |= subtag.len() == 1;
    }
    if chars.last().is_none() || tag.rsplit('-').next().is_some_and(|last| last.len() == 1) {
        return Err(Reason::Malformed); // a singleton introduces something
    }
    Ok(Text::build(tag.len(), chars))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_get_the_recommended_case() {
        for (given, stored) in [
            ("PT-br", "pt-BR"),
            ("zh-hant-tw", "zh-Hant-TW"),
            ("es-419", "es-419"),
            ("de-CH-1996", "de-CH-1996"),
            ("sl-ROZAJ", "sl-rozaj"),
            ("en-US-u-CA-buddhist", "en-US-u-ca-buddhist"),
            ("yue", "yue"),
        ] {
            assert_eq!(canonical(given).expect("a tag").expose(), stored);
        }
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for tag in
            ["", "-", "e", "english language", "pt_BR", "pt-", "-pt", "pt--BR", "en-x", "12", "pt-абв", "toolonglang"]
        {
            assert!(canonical(tag).is_err(), "{tag:?}");
        }
    }
}
