//! Phone numbers in E.164.
//!
//! A number is given with its country code. Digits of any script and the usual separators are accepted, and `(0)`
//! after the country code is dropped, as people write it. The country code must be assigned and the rest must have
//! a length and a beginning that the country's numbering plan has. Whether a number is in use is not asked: plans
//! change faster than any table of them. Numbers with letters or with an extension in them are refused.

use phonenumber::metadata::DATABASE;

use super::digits;
use crate::catalog::text::Text;
use crate::catalog::validate::Reason;

/// Bytes of a number as given, separators included.
pub const BYTES_MAX: usize = 64;
/// Digits of a number with its country code (ITU-T E.164 section 6.1).
const DIGITS_MAX: usize = 15;
/// Digits of an extension.
const EXTENSION_DIGITS_MAX: usize = 16;

/// `+` and the digits of the country code and of the number.
pub fn canonical(number: &str) -> Result<Text, Reason> {
    let dialled = number.trim_start().strip_prefix(['+', '\u{ff0b}']).ok_or(Reason::Malformed)?;
    let mut text = Text::build(1 + BYTES_MAX, ['+']);
    let (before, after) = dialled.split_once("(0)").unwrap_or((dialled, ""));
    for part in [before, after] {
        text = Text::build(1 + BYTES_MAX, text.expose().chars().chain(digits_of(part, DIGITS_MAX)?.expose().chars()));
    }
    let digits = &text.expose()[1..];
    if digits.len() > DIGITS_MAX || !is_in_a_numbering_plan(digits) { Err(Reason::Malformed) } else { Ok(text) }
}

/// The digits of an extension.
pub fn canonical_extension(extension: &str) -> Result<Text, Reason> {
    digits_of(extension, EXTENSION_DIGITS_MAX)
}

/// The digits of a text that holds nothing but digits and separators.
fn digits_of(text: &str, count_max: usize) -> Result<Text, Reason> {
    let values = || text.chars().filter_map(digits::decimal);
    if values().count() > count_max {
        return Err(Reason::TooLong);
    }
    if text.chars().any(|c| digits::decimal(c).is_none() && !is_separator(c)) {
        return Err(Reason::Malformed);
    }
    Ok(Text::build(count_max, values().map(digits::ascii)))
}

fn is_separator(c: char) -> bool {
    matches!(c, '-' | '.' | '(' | ')' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}') || c.is_whitespace()
}

/// Whether a prefix of the digits is a country code and the rest fits its plan. Country codes are prefix-free.
fn is_in_a_numbering_plan(digits: &str) -> bool {
    (1..=3).filter_map(|len| digits.split_at_checked(len)).any(|(code, national)| {
        let Some(plans) = code.parse::<u16>().ok().and_then(|code| DATABASE.by_code(&code)) else { return false };
        !code.starts_with('0') && plans.iter().any(|plan| plan.descriptors().general().is_match(national))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stored_in_e_164() {
        for (given, stored) in [
            ("+1 (212) 555-0143", "+12125550143"),
            ("+44 (0)20 7946 0958", "+442079460958"),
            ("+44 7700 900123", "+447700900123"),
            ("+33 6 39 98 12 34", "+33639981234"),
            ("+33.1.99.00.12.34", "+33199001234"),
            ("+61 491 570 006", "+61491570006"),
            ("+353 20 910 1234", "+353209101234"),
            ("+39 06 6981 2345", "+390669812345"),
            ("+7 800 555-01-23", "+78005550123"),
            ("＋８１ ３－５５５０－１２３４", "+81355501234"),
            ("+٢٠ ١٠ ١٢٣٤ ٥٦٧٨", "+201012345678"),
            ("  +15555550100", "+15555550100"),
        ] {
            let number = canonical(given).ok().unwrap_or_else(|| panic!("{given} is a number"));
            assert_eq!(number.expose(), stored);
        }
    }

    #[test]
    fn numbers_without_a_country_or_outside_every_plan_are_refused() {
        for number in [
            "",
            "+",
            "2125550143",
            "0044 20 7946 0958",
            "+0 212 555 0143",
            "+999 123 456 789",
            "+44",
            "+1 212 555",
            "+1 000 000 0000",
            "+1 212 555 0143 ext. 3",
            "+1 800 FLOWERS",
            "+1 212 555 0143;ext=3",
            "+1+2125550143",
            "+12345678901234567",
            "+44 (0)(0)20 7946 0958",
            "tel:+12125550143",
            "+1\x00212 555 0143",
        ] {
            assert!(canonical(number).is_err(), "{number:?}");
        }
    }

    #[test]
    fn extensions_are_digits() {
        assert_eq!(canonical_extension("１２-3").expect("digits").expose(), "123");
        assert!(canonical_extension("12#3").is_err());
        assert!(canonical_extension(&"1".repeat(17)).is_err());
    }
}
