//! Email addresses.

use email_address::{EmailAddress, Options};

use super::domain_name;
use crate::catalog::text::Text;
use crate::catalog::validate::Reason;

/// Bytes of an address (RFC 5321 section 4.5.3.1.3, without the angle brackets).
pub const BYTES_MAX: usize = 254;
/// Bytes of the part before the `@` (RFC 5321 section 4.5.3.1.1).
const LOCAL_BYTES_MAX: usize = 64;

/// The address with its domain in lower-case A-labels. The part before the `@` is kept: only its host may say whether
/// case matters there.
pub fn canonical(address: &str) -> Result<Text, Reason> {
    let (local, domain) = address.rsplit_once('@').ok_or(Reason::Malformed)?;
    if local.len() > LOCAL_BYTES_MAX {
        return Err(Reason::TooLong);
    }
    let domain = domain_name::canonical(domain)?;
    // RFC 6531 allows any character outside ASCII wherever it allows a letter: the syntax is checked with one.
    let probe_chars = local.chars().map(|c| if c.is_ascii() { c } else { 'x' });
    let bytes = local.len() + 1 + domain.len();
    let probe = Text::build(bytes, probe_chars.chain(['@']).chain(domain.expose().chars()));
    let strict = Options { minimum_sub_domains: 2, allow_domain_literal: false, allow_display_text: false };
    if EmailAddress::parse_with_options(probe.expose(), strict).is_err() || local.chars().any(char::is_whitespace) {
        return Err(Reason::Malformed);
    }
    if bytes > BYTES_MAX {
        return Err(Reason::TooLong);
    }
    Ok(Text::build(bytes, local.chars().chain(['@']).chain(domain.expose().chars())))
}

/// The form under which an address is found again: canonical, and in lower case throughout, since people do not
/// remember the case they once typed.
pub fn identifier(canonical: &str) -> Text {
    Text::new(canonical.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_keep_their_local_part_and_get_a_canonical_domain() {
        for (given, stored) in [
            ("Ana.Lopes+news@Example.COM", "Ana.Lopes+news@example.com"),
            ("o'brien@example.org", "o'brien@example.org"),
            ("иван@пример.испытание", "иван@xn--e1afmkfd.xn--80akhbyknj4f"),
            ("संपर्क@example.com", "संपर्क@example.com"),
            ("用户@example.net", "用户@example.net"),
            ("\"a@b\"@example.com", "\"a@b\"@example.com"),
            ("x@example.com", "x@example.com"),
        ] {
            let address = canonical(given).ok().unwrap_or_else(|| panic!("{given} is an address"));
            assert_eq!(address.expose(), stored);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_domain = format!("{}@{}example.com", "a".repeat(60), "abcdefghi.".repeat(20));
        for address in [
            "",
            "@",
            "ana",
            "ana@",
            "@example.com",
            "ana@localhost",
            "ana@@example.com",
            "ana@exa mple.com",
            "ana lopes@example.com",
            "Ana <ana@example.com>",
            "ana@[127.0.0.1]",
            "ana..lopes@example.com",
            ".ana@example.com",
            "ana.@example.com",
            "ana@example.com.",
            "ana@-example.com",
            "\"a b\"@example.com",
            "ana\u{a0}x@example.com",
            "ana@example.com\0",
            &long_local,
            &long_domain,
        ] {
            assert!(canonical(address).is_err(), "{address:?}");
        }
    }

    #[test]
    fn case_does_not_matter_when_looking_for_an_address() {
        assert_eq!(identifier("Ana.ÅNGSTRÖM@example.com").expose(), "ana.ångström@example.com");
    }
}
