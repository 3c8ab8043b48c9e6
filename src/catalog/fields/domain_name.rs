//! Domain names in lower-case A-labels.
//!
//! Labels with characters outside ASCII are lower-cased and encoded by Punycode (RFC 3492). The compatibility mapping
//! and the normalisation of UTS #46 are not done: characters that would need them (combining diacritics, full-width
//! and other presentation forms, invisible ones) are refused, so that one name has one stored form; the sender can
//! pass the A-labels itself.

use zeroize::Zeroizing;

use crate::catalog::text::Text;
use crate::catalog::validate::Reason;

/// Bytes of a domain name: 253 in A-labels (RFC 1035 section 2.3.4, without the root's dot).
const BYTES_MAX: usize = 253;
/// Bytes of one label (RFC 1035 section 2.3.4).
const LABEL_BYTES_MAX: usize = 63;

/// The name in lower-case A-labels; at least two labels.
pub fn canonical(name: &str) -> Result<Text, Reason> {
    let mut labels: Vec<Text> = Vec::new();
    for label in name.split('.') {
        let label = canonical_label(label)?;
        if label.is_empty() || label.len() > LABEL_BYTES_MAX || labels.len() > BYTES_MAX {
            return Err(Reason::Malformed);
        }
        labels.push(label);
    }
    let bytes = labels.iter().map(|label| label.len() + 1).sum::<usize>() - 1; // `split` yields at least one
    if labels.len() < 2 || bytes > BYTES_MAX {
        return Err(Reason::Malformed);
    }
    let dotted = labels
        .iter()
        .enumerate()
        .flat_map(|(i, label)| (i > 0).then_some('.').into_iter().chain(label.expose().chars()));
    Ok(Text::build(bytes, dotted))
}

fn canonical_label(label: &str) -> Result<Text, Reason> {
    if label.starts_with('-') || label.ends_with('-') {
        return Err(Reason::Malformed);
    }
    if label.is_ascii() {
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Reason::Malformed);
        }
        return Ok(Text::build(label.len(), label.chars().map(|c| c.to_ascii_lowercase())));
    }
    if label.chars().count() > LABEL_BYTES_MAX || !label.chars().all(in_u_label) {
        return Err(Reason::Malformed);
    }
    let lower = Text::new(label.to_lowercase());
    if !lower.expose().chars().all(in_u_label) {
        return Err(Reason::Malformed); // lower-casing may bring in a combining mark
    }
    punycode(lower.expose())
}

/// Whether a character may stand in a label as it is, as far as this can be told without tables.
fn in_u_label(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric() || c == '-';
    }
    let composing = matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}');
    let presentation = matches!(c, '\u{fb00}'..='\u{fdff}' | '\u{fe00}'..='\u{feff}' | '\u{ff00}'..='\u{ffef}');
    let invisible = matches!(c, '\u{80}'..='\u{b6}' | '\u{b8}'..='\u{bf}' | '\u{2000}'..='\u{206f}' | '\u{3000}');
    let beyond = u32::from(c) >= 0xe0000 || ('\u{e000}'..='\u{f8ff}').contains(&c);
    let stop = matches!(c, '\u{3002}');
    !(composing || presentation || invisible || beyond || stop || c.is_whitespace() || c.is_control())
}

/// `xn--` and the Punycode of a lower-case label with at least one character outside ASCII (RFC 3492 section 6.3).
fn punycode(label: &str) -> Result<Text, Reason> {
    const BASE: u32 = 36;
    const T_MIN: u32 = 1;
    const T_MAX: u32 = 26;
    let basic = label.chars().filter(char::is_ascii).count() as u32;
    let mut out = Zeroizing::new(Vec::with_capacity(4 * LABEL_BYTES_MAX)); // a step adds far less than a label
    out.extend("xn--".chars().chain(label.chars().filter(char::is_ascii)));
    if basic > 0 {
        out.push('-');
    }
    let total = label.chars().count() as u32;
    let (mut n, mut delta, mut bias, mut handled) = (128u32, 0u32, 72u32, basic);
    while handled < total {
        let next = label.chars().map(u32::from).filter(|c| *c >= n).min().ok_or(Reason::Malformed)?;
        let step = (next - n).checked_mul(handled + 1).ok_or(Reason::Malformed)?;
        delta = delta.checked_add(step).ok_or(Reason::Malformed)?;
        n = next;
        for c in label.chars().map(u32::from) {
            if c < n {
                delta = delta.checked_add(1).ok_or(Reason::Malformed)?;
            }
            if c != n {
                continue;
            }
            let (mut q, mut k) = (delta, BASE);
            loop {
                let t = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
                if q < t {
                    break;
                }
                out.push(punycode_digit(t + (q - t) % (BASE - t)));
                q = (q - t) / (BASE - t);
                k += BASE;
            }
            out.push(punycode_digit(q));
            if out.len() > LABEL_BYTES_MAX {
                return Err(Reason::Malformed);
            }
            bias = adapted_bias(delta, handled + 1, handled == basic);
            delta = 0;
            handled += 1;
        }
        delta += 1;
        n += 1;
    }
    Ok(Text::build(out.len(), out.iter().copied()))
}

fn punycode_digit(value: u32) -> char {
    // INVARIANT: value < 36, so the cast keeps it whole.
    char::from(if value < 26 { b'a' + value as u8 } else { b'0' + (value - 26) as u8 })
}

/// The bias after a delta (RFC 3492 section 6.1).
fn adapted_bias(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += 36;
    }
    k + 36 * delta / (delta + 38)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stored_in_lower_case_a_labels() {
        for (given, stored) in [
            ("Example.COM", "example.com"),
            ("mail.example.co.uk", "mail.example.co.uk"),
            ("Bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.example", "xn--bcher-kva.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("faß.example", "xn--fa-hia.example"),
            ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
            ("παράδειγμα.δοκιμή", "xn--hxajbheg2az3al.xn--jxalpdlp"),
            ("пример.испытание", "xn--e1afmkfd.xn--80akhbyknj4f"),
            ("उदाहरण.परीक्षा", "xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g"),
            ("실례.테스트", "xn--9n2bp8q.xn--9t4b11yi5a"),
            ("إختبار.example", "xn--kgbechtv.example"),
            ("טעסט.example", "xn--deba0ad.example"),
            ("他们为什么不说中文.example", "xn--ihqwcrb4cv8a8dqg056pqjye.example"),
        ] {
            let name = canonical(given).ok().unwrap_or_else(|| panic!("{given} is a domain name"));
            assert_eq!(name.expose(), stored);
        }
    }

    #[test]
    fn names_with_more_than_one_form_or_none_are_refused() {
        let long = format!("{}.example", "a".repeat(64));
        let longer = format!("{}example", "abcdefg.".repeat(32));
        let dots = ".".repeat(10_000);
        for name in [
            "",
            ".",
            "localhost",
            "example..com",
            ".example.com",
            "example.com.",
            "-a.example",
            "a-.example",
            "a_b.example",
            "a b.example",
            "[127.0.0.1]",
            "bu\u{308}cher.example",
            "ｅｘａｍｐｌｅ.com",
            "exa\u{200b}mple.com",
            "example\u{3002}com",
            "İ.example",
            &long,
            &longer,
            &dots,
        ] {
            assert!(canonical(name).is_err(), "{name:?}");
        }
    }
}
