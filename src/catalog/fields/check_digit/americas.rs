//! The Americas: tax numbers, since identity cards of these countries number themselves in the same forms without that
//! check. The United States' numbers have none.

use super::{luhn, values, weighted};

/// CPF: eleven digits, the last two modulo 11.
/// Source: Receita Federal, instrução normativa RFB nº 2172/2024; European Commission's list of TINs.
pub fn brazil(number: &[u8]) -> Option<bool> {
    let d = values::<11>(number)?;
    let check = |len: u32| (weighted(&d[..len as usize], (2..=len + 1).rev()) * 10 % 11) % 10;
    Some(check(9) == d[9] && check(10) == d[10])
}

/// SIN: nine digits, the last by Luhn.
/// Source: Employment and Social Development Canada, SIN code of practice, "Validating a Social Insurance Number".
pub fn canada(number: &[u8]) -> Option<bool> {
    values::<9>(number).map(|d| luhn(&d[..]))
}

/// RUT: seven or eight digits and a digit or `K` modulo 11.
/// Source: Servicio de Impuestos Internos (sii.cl), "Dígito verificador".
pub fn chile(number: &[u8]) -> Option<bool> {
    let (last, head) = number.split_last()?;
    let sum = match head.len() {
        7 => weighted(&values::<7>(head)?[..], [2, 7, 6, 5, 4, 3, 2]),
        _ => weighted(&values::<8>(head)?[..], [3, 2, 7, 6, 5, 4, 3, 2]),
    };
    if !last.is_ascii_digit() && *last != b'K' {
        return None;
    }
    Some(b"0K987654321"[(sum % 11) as usize] == *last)
}
