//! Western and southern Europe. Not here: Germany and Austria, where tax offices number in the same form without that
//! check; the United Kingdom, whose National Insurance numbers have none.

use super::{number_of, values, weighted};

/// National number and BIS number: eleven digits, the last two 97 less the rest modulo 97, a 2 in front of the others
/// for who was born from 2000 on.
/// Source: IBZ National Register, instruction IT000; royal decree of 3 April 1984.
pub fn belgium(number: &[u8]) -> Option<bool> {
    let d = values::<11>(number)?;
    let (head, check) = (number_of(&d[..9]), number_of(&d[9..]));
    Some([head, 2_000_000_000 + head].iter().any(|head| 97 - head % 97 == check))
}

/// AHV number: thirteen digits that begin with 756, the last as in EAN-13.
/// Source: Central Compensation Office (zas.admin.ch), "AHV-Nummer".
pub fn switzerland(number: &[u8]) -> Option<bool> {
    let d = values::<13>(number).filter(|_| number.starts_with(b"756"))?;
    Some(weighted(&d[..], [1, 3].into_iter().cycle()).is_multiple_of(10))
}

/// DNI and NIE: seven or eight digits, `X`, `Y` or `Z` standing for a first digit, and a letter modulo 23.
/// Source: Ministry of the Interior (interior.gob.es), "Cálculo del dígito de control del NIF/NIE".
pub fn spain(number: &[u8]) -> Option<bool> {
    let (last, head) = number.split_last().filter(|(last, _)| last.is_ascii_alphabetic())?;
    let (first, rest) = head.split_first()?;
    let lead = match first {
        b'X' => 0,
        b'Y' => 1,
        b'Z' => 2,
        digit => u64::from(*digit).checked_sub(48).filter(|value| *value < 10)?,
    };
    let rest = lead * 10_000_000 + number_of(&values::<7>(rest)?[..]);
    Some(b"TRWAGMYFPDXBNJZSQVHLCKE"[(rest % 23) as usize] == *last)
}

/// NIR: thirteen digits, of which `2A` and `2B` stand for 19 and 18, and 97 less the rest modulo 97 in two.
/// Source: INSEE, "Numéro d'inscription au répertoire"; décret n° 82-103 du 22 janvier 1982.
pub fn france(number: &[u8]) -> Option<bool> {
    let mut plain = zeroize::Zeroizing::new(<[u8; 15]>::try_from(number).ok()?);
    match &plain[5..7] {
        b"2A" => plain[5..7].copy_from_slice(b"19"),
        b"2B" => plain[5..7].copy_from_slice(b"18"),
        _ => {}
    }
    let d = values::<15>(&plain[..])?;
    Some(97 - number_of(&d[..13]) % 97 == number_of(&d[13..]))
}

/// AFM: nine digits, the last by powers of 2 modulo 11.
/// Source: Independent Authority for Public Revenue; European Commission, TIN fact sheet of Greece.
pub fn greece(number: &[u8]) -> Option<bool> {
    let d = values::<9>(number)?;
    Some(weighted(&d[..8], [256, 128, 64, 32, 16, 8, 4, 2]) % 11 % 10 == d[8])
}

/// PPS number: seven digits, a letter modulo 23, and perhaps another letter, which counts if it is `A`, `B` or `H`.
/// Source: Revenue Commissioners; European Commission, TIN fact sheet of Ireland.
pub fn ireland(number: &[u8]) -> Option<bool> {
    let (digits, letters) = number.split_at_checked(7)?;
    let d = values::<7>(digits)?;
    let (check, further) = match letters {
        [check] => (check, 0),
        [check, b'W' | b'T' | b'X'] => (check, 0),
        [check, further @ (b'A' | b'B' | b'H')] => (check, u32::from(further - b'A') + 1),
        _ => return None,
    };
    if !check.is_ascii_uppercase() {
        return None;
    }
    let sum = weighted(&d[..], (2..=8).rev()) + 9 * further;
    Some(b"WABCDEFGHIJKLMNOPQRSTUV"[(sum % 23) as usize] == *check)
}

/// Codice fiscale of a person: fifteen letters and digits, letters in place of digits where two persons would have the
/// same, and a letter modulo 26. Codes of eleven digits are those of others.
/// Source: decree of the Minister of Finance, 23 December 1976, n. 13813.
pub fn italy(number: &[u8]) -> Option<bool> {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let number = <&[u8; 16]>::try_from(number).ok()?;
    let letters = [0, 1, 2, 3, 4, 5, 8, 11, 15];
    if !letters.iter().all(|at| number[*at].is_ascii_uppercase()) {
        return None;
    }
    let mut sum = 0;
    for (at, c) in number[..15].iter().enumerate() {
        let value = match c {
            b'0'..=b'9' => c - b'0',
            b'A'..=b'Z' => c - b'A',
            _ => return None,
        };
        sum += if at % 2 == 0 { ODD[usize::from(value)] } else { u32::from(value) };
    }
    Some(sum % 26 == u32::from(number[15] - b'A'))
}

/// BSN and RSIN: nine digits, the "eleven test".
/// Source: Besluit burgerservicenummer; Rijksdienst voor Identiteitsgegevens, "Logisch Ontwerp BSN".
pub fn netherlands(number: &[u8]) -> Option<bool> {
    let d = values::<9>(number)?;
    Some((weighted(&d[..8], (2..=9).rev()) + 10 * d[8]).is_multiple_of(11)) // 10 is -1 modulo 11
}

/// Cartão de cidadão: nine digits, two letters or digits, and a digit, by Luhn with letters as 10 to 35.
/// Source: autenticacao.gov.pt, "Validação de Número de Documento do Cartão de Cidadão".
pub fn portugal_card(number: &[u8]) -> Option<bool> {
    let number = <&[u8; 12]>::try_from(number).ok()?;
    let is_digit = |at: &usize| number[*at].is_ascii_digit();
    if !(0..9).chain([11]).all(|at| is_digit(&at)) {
        return None;
    }
    let mut sum = 0;
    for (at, c) in number.iter().enumerate() {
        let value = char::from(*c).to_digit(36).filter(|_| !c.is_ascii_lowercase())?;
        let value = if at % 2 == 0 { 2 * value } else { value };
        sum += if value > 9 && at % 2 == 0 { value - 9 } else { value };
    }
    Some(sum.is_multiple_of(10))
}

/// NIF: nine digits, the last modulo 11.
/// Source: decreto-lei n.º 14/2013; European Commission, TIN fact sheet of Portugal.
pub fn portugal_tax(number: &[u8]) -> Option<bool> {
    let d = values::<9>(number)?;
    Some((11 - weighted(&d[..8], (2..=9).rev()) % 11) % 11 % 10 == d[8])
}
