//! Central and south-eastern Europe. Not here: Bulgaria, where two numberings of one form are in use.

use super::{number_of, values, weighted};

/// Rodné číslo since 1954: ten digits, together a multiple of 11; until 1985 also those whose first nine leave 10, with
/// a 0. Older ones have nine digits and no check.
/// Source: zákon č. 133/2000 Sb., § 13; zákon č. 301/1995 Z. z., § 2.
pub fn czechia_and_slovakia(number: &[u8]) -> Option<bool> {
    let d = values::<10>(number)?;
    let head = number_of(&d[..9]);
    Some(number_of(&d[..]).is_multiple_of(11) || (head % 11 == 10 && d[9] == 0))
}

/// OIB: eleven digits, the last by ISO 7064 MOD 11,10.
/// Source: Pravilnik o osobnom identifikacijskom broju, NN 1/2009.
pub fn croatia(number: &[u8]) -> Option<bool> {
    let d = values::<11>(number)?;
    let product = d[..10].iter().fold(10, |product, digit| match (product + digit) % 10 {
        0 => 20 % 11,
        sum => 2 * sum % 11,
    });
    Some((11 - product) % 10 == d[10])
}

/// Adóazonosító jel: ten digits that begin with 8, the last modulo 11.
/// Source: 1996. évi XX. törvény, annex; European Commission, TIN fact sheet of Hungary.
pub fn hungary(number: &[u8]) -> Option<bool> {
    let d = values::<10>(number).filter(|d| d[0] == 8)?;
    Some(weighted(&d[..9], 1..) % 11 == d[9])
}

/// PESEL: eleven digits, the last modulo 10. NIP: ten digits, the last modulo 11.
/// Source: gov.pl, "Czym jest numer PESEL"; ustawa z dnia 13 października 1995 r. on tax numbers.
pub fn poland(number: &[u8]) -> Option<bool> {
    if let Some(d) = values::<10>(number) {
        return Some(weighted(&d[..9], [6, 5, 7, 2, 3, 4, 5, 6, 7]) % 11 == d[9]);
    }
    let d = values::<11>(number)?;
    Some(weighted(&d[..], [1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10))
}

/// CNP: thirteen digits that begin with 1 to 8, the last modulo 11.
/// Source: legea nr. 105/1996; Direcția pentru Evidența Persoanelor, "Codul numeric personal".
pub fn romania(number: &[u8]) -> Option<bool> {
    let d = values::<13>(number).filter(|d| (1..=8).contains(&d[0]))?;
    let rest = weighted(&d[..12], [2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    Some(if rest == 10 { 1 } else { rest } == d[12])
}
