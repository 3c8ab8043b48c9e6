//! Northern Europe. Not here: Denmark, which has issued numbers that fail their check since 2007; Iceland, which stopped
//! making one; Latvia, whose newer codes have none that is published.

use super::{luhn, number_of, values, weighted};

/// Isikukood and asmens kodas: eleven digits, the last modulo 11 in up to two rounds.
/// Source: Estonian standard EVS 585; Lithuania's law on the register of residents, which took the rule over.
pub fn estonia_and_lithuania(number: &[u8]) -> Option<bool> {
    let d = values::<11>(number)?;
    let first = weighted(&d[..10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(&d[..10], [3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11;
    let check = if first < 10 { first } else { second % 10 };
    Some(check == d[10])
}

/// Henkilötunnus: six digits of a date, the sign of the century, three digits and a character modulo 31. The sign `-` is
/// a separator to us and is not there; since 2023 several letters are in use.
/// Source: Digital and Population Data Services Agency (dvv.fi), "The personal identity code".
pub fn finland(number: &[u8]) -> Option<bool> {
    let (last, head) = number.split_last()?;
    let digits = match head {
        [date @ .., sign, a, b, c] if date.len() == 6 && b"ABCDEFUVWXY".contains(sign) => {
            [date, &[*a, *b, *c]].concat()
        }
        _ => head.to_vec(),
    };
    let digits = zeroize::Zeroizing::new(digits);
    let d = values::<9>(&digits)?;
    Some(b"0123456789ABCDEFHJKLMNPRSTUVWXY"[(number_of(&d[..]) % 31) as usize] == *last)
}

/// Fødselsnummer and D-number: eleven digits, of which the last makes the weighted sum a multiple of 11. The check digit
/// before it is left alone: its rule is to be loosened for numbers from 2032 on.
/// Source: the Norwegian Tax Administration (skatteetaten.no), "Fødselsnummer"; forskrift til folkeregisterloven § 2-2-1.
pub fn norway(number: &[u8]) -> Option<bool> {
    let d = values::<11>(number)?;
    Some(weighted(&d[..], [5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1]).is_multiple_of(11))
}

/// Personnummer and samordningsnummer: ten digits, or twelve with the century, the last by Luhn over ten.
/// Source: Swedish Tax Agency, SKV 704 and SKV 707.
pub fn sweden(number: &[u8]) -> Option<bool> {
    let ten = if number.len() == 12 && number.iter().all(u8::is_ascii_digit) { &number[2..] } else { number };
    values::<10>(ten).map(|d| luhn(&d[..]))
}
