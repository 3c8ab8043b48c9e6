//! Decimal numbers of any size that matters, kept as text.

use crate::catalog::text::Text;
use crate::catalog::validate::Reason;

/// Digits of a number.
pub const DIGITS_MAX: usize = 38;
/// Bytes of a number as given: digits, sign, point, white space.
pub const BYTES_MAX: usize = 64;

/// The number without zeros that say nothing, and without the sign of a zero. It has ASCII digits, perhaps a `-` before
/// them and a point among them; no exponent, no grouping.
pub fn canonical(number: &str) -> Result<Text, Reason> {
    let (negative, digits) = number.strip_prefix('-').map_or((false, number), |digits| (true, digits));
    let (whole, fraction) = match digits.split_once('.') {
        Some((_, "")) => return Err(Reason::Malformed),
        Some((whole, fraction)) => (whole, fraction),
        None => (digits, ""),
    };
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(Reason::Malformed);
    }
    if whole.len() + fraction.len() > DIGITS_MAX {
        return Err(Reason::TooLong);
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let sign = if negative && !(whole.is_empty() && fraction.is_empty()) { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    Ok(Text::build(BYTES_MAX, [sign, whole, point, fraction].into_iter().flat_map(str::chars)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        for (given, stored) in [
            ("12.5", "12.5"),
            ("0012.500", "12.5"),
            ("0", "0"),
            ("-0.00", "0"),
            ("-0.10", "-0.1"),
            ("100", "100"),
            ("0.000001", "0.000001"),
            ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
        ] {
            assert_eq!(canonical(given).expect("a number").expose(), stored);
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for number in
            ["", "-", ".", ".5", "5.", "+5", "1e3", "1,5", "1 000", "1_000", "--1", "0x10", "NaN", "１", "٣", "½"]
        {
            assert_eq!(canonical(number).err(), Some(Reason::Malformed), "{number:?}");
        }
        assert_eq!(canonical(&"1".repeat(39)).err(), Some(Reason::TooLong));
        assert_eq!(canonical(&format!("{}.{}", "1".repeat(20), "1".repeat(19))).err(), Some(Reason::TooLong));
    }
}
