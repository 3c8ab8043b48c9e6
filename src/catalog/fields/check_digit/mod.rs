//! Check digits of national identity and tax numbers, for countries that publish the rule.
//!
//! A number is checked only if it has the form of the country's personal number; documents of the same country that
//! number themselves otherwise pass. INVARIANT: where two numberings of a country have the same form, or where numbers
//! were issued that break the rule, there is no check: to refuse a person's real number is worse than to miss a slip.
//! That is why DE, DK, KR, US and others are not here.

use zeroize::Zeroizing;

mod africa_asia;
mod americas;
mod central_europe;
mod northern_europe;
mod western_europe;

#[cfg(test)]
mod tests;

/// What numbers a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// An identity card or a register of persons.
    Identity,
    /// The tax authority.
    Tax,
}

/// Whether a canonical number passes its country's check, or has none.
pub fn holds(numbering: Numbering, country: &str, number: &str) -> bool {
    use Numbering::Tax;
    let check: fn(&[u8]) -> Option<bool> = match (country, numbering) {
        ("BE", _) => western_europe::belgium,
        ("BR", Tax) => americas::brazil,
        ("CA", Tax) => americas::canada,
        ("CH", _) => western_europe::switzerland,
        ("CL", Tax) => americas::chile,
        ("CN", _) => africa_asia::china,
        ("CZ" | "SK", Numbering::Identity) => central_europe::czechia_and_slovakia,
        ("EE" | "LT", _) => northern_europe::estonia_and_lithuania,
        ("ES", _) => western_europe::spain,
        ("FI", _) => northern_europe::finland,
        ("FR", _) => western_europe::france,
        ("GR", Tax) => western_europe::greece,
        ("HR", _) => central_europe::croatia,
        ("HU", Tax) => central_europe::hungary,
        ("IE", _) => western_europe::ireland,
        ("IL", _) => africa_asia::israel,
        ("IN", Numbering::Identity) => africa_asia::india,
        ("IT", _) => western_europe::italy,
        ("JP", _) => africa_asia::japan,
        ("NL", _) => western_europe::netherlands,
        ("NO", _) => northern_europe::norway,
        ("PL", _) => central_europe::poland,
        ("PT", Numbering::Identity) => western_europe::portugal_card,
        ("PT", Tax) => western_europe::portugal_tax,
        ("RO", _) => central_europe::romania,
        ("SE", _) => northern_europe::sweden,
        ("TH", _) => africa_asia::thailand,
        ("TR", _) => africa_asia::turkey,
        ("TW", _) => africa_asia::taiwan,
        ("ZA", Numbering::Identity) => africa_asia::south_africa,
        _ => return true,
    };
    check(number.as_bytes()).unwrap_or(true)
}

/// The values of a row of exactly `N` digits.
fn values<const N: usize>(number: &[u8]) -> Option<Zeroizing<[u32; N]>> {
    if number.len() != N || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut digits = Zeroizing::new([0; N]);
    for (value, digit) in digits.iter_mut().zip(number) {
        *value = u32::from(digit - b'0');
    }
    Some(digits)
}

fn weighted(digits: &[u32], weights: impl IntoIterator<Item = u32>) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// The number that a row of digits writes.
fn number_of(digits: &[u32]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(*digit))
}

/// ISO/IEC 7812-1: every second digit, beginning next to the last, is doubled; the sum of all digits ends in 0.
fn luhn(digits: &[u32]) -> bool {
    let weights = [1, 2].into_iter().cycle();
    let sum: u32 =
        digits.iter().rev().zip(weights).map(|(digit, weight)| digit * weight).map(|p| p / 10 + p % 10).sum();
    sum.is_multiple_of(10)
}
