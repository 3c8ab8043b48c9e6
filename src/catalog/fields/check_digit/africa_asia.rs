//! Africa and Asia. Not here: South Korea, whose numbers have had no check since October 2020.

use super::{luhn, values, weighted};

/// Resident identity number (GB 11643): seventeen digits and one character by ISO 7064 MOD 11-2.
pub fn china(number: &[u8]) -> Option<bool> {
    let (last, head) = number.split_last()?;
    let d = values::<17>(head)?;
    let sum = weighted(&d[..], [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    Some(b"10X98765432"[(sum % 11) as usize] == *last)
}

/// Identity number: nine digits, the last by Luhn.
/// Source: Population and Immigration Authority (gov.il), "Identity number".
pub fn israel(number: &[u8]) -> Option<bool> {
    values::<9>(number).map(|d| luhn(&d[..]))
}

/// Aadhaar: twelve digits that begin with 2 to 9, the last by Verhoeff.
/// Source: UIDAI, "A UID numbering scheme", 2010.
pub fn india(number: &[u8]) -> Option<bool> {
    /// Multiplication in the dihedral group of order 10.
    const PRODUCT: [[u8; 10]; 10] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
        [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
        [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
        [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
        [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
        [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
        [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
        [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    ];
    /// What place `n` from the right does to a digit is this, `n` times.
    const TURN: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let d = values::<12>(number).filter(|d| d[0] >= 2)?;
    let code = d.iter().rev().enumerate().fold(0_u8, |code, (place, digit)| {
        let turned = (0..place % 8).fold(*digit as u8, |digit, _| TURN[usize::from(digit)]);
        PRODUCT[usize::from(code)][usize::from(turned)]
    });
    Some(code == 0)
}

/// Individual number: twelve digits, the last modulo 11.
/// Source: ordinance of the Ministry of Internal Affairs and Communications No. 85 of 2014, article 5.
pub fn japan(number: &[u8]) -> Option<bool> {
    let d = values::<12>(number)?;
    let rest = weighted(&d[..11], [6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    Some(if rest <= 1 { 0 } else { 11 - rest } == d[11])
}

/// Identity number: thirteen digits, the last by Luhn.
/// Source: Department of Home Affairs; Identification Act 68 of 1997, section 7.
pub fn south_africa(number: &[u8]) -> Option<bool> {
    values::<13>(number).map(|d| luhn(&d[..]))
}

/// National identification and resident certificate: a letter, which stands for two digits, and nine digits.
/// Source: National Immigration Agency, "UI No. encoding", 2021.
pub fn taiwan(number: &[u8]) -> Option<bool> {
    const LETTERS: [u32; 26] =
        [10, 11, 12, 13, 14, 15, 16, 17, 34, 18, 19, 20, 21, 22, 35, 23, 24, 25, 26, 27, 28, 29, 32, 30, 31, 33];
    let (first, rest) = number.split_first().filter(|(first, _)| first.is_ascii_uppercase())?;
    let d = values::<9>(rest)?;
    let letter = LETTERS[usize::from(first - b'A')];
    let sum = letter / 10 + letter % 10 * 9 + weighted(&d[..], [8, 7, 6, 5, 4, 3, 2, 1, 1]);
    Some(sum.is_multiple_of(10))
}

/// Identification number: thirteen digits, the last modulo 11.
/// Source: Department of Provincial Administration; Revenue Department, "Taxpayer identification number".
pub fn thailand(number: &[u8]) -> Option<bool> {
    let d = values::<13>(number)?;
    Some((11 - weighted(&d[..12], (2..=13).rev()) % 11) % 10 == d[12])
}

/// Identity number: eleven digits, the last two modulo 10.
/// Source: General Directorate of Civil Registration and Citizenship (nvi.gov.tr), law no. 5490.
pub fn turkey(number: &[u8]) -> Option<bool> {
    let d = values::<11>(number)?;
    let odd: u32 = d[..9].iter().step_by(2).sum();
    let even: u32 = d[1..8].iter().step_by(2).sum();
    let tenth = (odd * 7 + 90 - even) % 10; // 90 keeps it positive and is 0 modulo 10
    Some(d[0] != 0 && d[9] == tenth && d[10] == d[..10].iter().sum::<u32>() % 10)
}
