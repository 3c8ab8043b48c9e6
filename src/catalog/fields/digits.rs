//! Decimal digits of every script.

/// The zeros of the decimal digits (general category Nd) of Unicode 16; each is followed by its one to nine.
/// Source: UnicodeData.txt of the Unicode Character Database.
const ZEROS: [u32; 74] = [
    0x0030, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0DE6,
    0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40,
    0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10, 0x104A0, 0x10D30, 0x10D40, 0x11066,
    0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x116D0, 0x116DA, 0x11730, 0x118E0,
    0x11950, 0x11BF0, 0x11C50, 0x11D50, 0x11DA0, 0x11F50, 0x16A60, 0x16AC0, 0x16B50, 0x1CCF0, 0x1D7CE, 0x1D7D8,
    0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950, 0x1FBF0,
];

/// The value of a decimal digit of any script.
pub fn decimal(c: char) -> Option<u8> {
    let point = u32::from(c);
    let after = ZEROS.partition_point(|zero| *zero <= point);
    let value = point - ZEROS[after.checked_sub(1)?];
    u8::try_from(value).ok().filter(|value| *value < 10)
}

/// The value of a digit of any script, also where it is no decimal digit to Unicode: superscript, subscript, circled,
/// bracketed and dotted digits, Ethiopic ones, and Han numerals that are written digit by digit.
pub fn decimal_like(c: char) -> Option<u8> {
    let ranged = |first: u32, value: u32| u8::try_from(u32::from(c) - first + value).ok();
    match c {
        '²' => Some(2),
        '³' => Some(3),
        '¹' => Some(1),
        '\u{2070}' => Some(0),
        '\u{2074}'..='\u{2079}' => ranged(0x2074, 4),
        '\u{2080}'..='\u{2089}' => ranged(0x2080, 0),
        '\u{2460}'..='\u{2468}' => ranged(0x2460, 1),
        '\u{24ea}' | '\u{24ff}' | '\u{1f100}' | '\u{1f10b}' | '\u{1f10c}' => Some(0),
        '\u{2474}'..='\u{247c}' => ranged(0x2474, 1),
        '\u{2488}'..='\u{2490}' => ranged(0x2488, 1),
        '\u{24f5}'..='\u{24fd}' => ranged(0x24f5, 1),
        '\u{2776}'..='\u{277e}' => ranged(0x2776, 1),
        '\u{2780}'..='\u{2788}' => ranged(0x2780, 1),
        '\u{278a}'..='\u{2792}' => ranged(0x278a, 1),
        '\u{1f101}'..='\u{1f10a}' => ranged(0x1f101, 0),
        '\u{1369}'..='\u{1371}' => ranged(0x1369, 1),
        _ => decimal(c).or_else(|| han(c)),
    }
}

fn han(c: char) -> Option<u8> {
    let value = "〇一二三四五六七八九".chars().position(|digit| digit == c);
    u8::try_from(value.or((c == '零').then_some(0))?).ok()
}

/// The digit as an ASCII character.
pub fn ascii(value: u8) -> char {
    char::from(b'0' + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_every_script_have_their_value() {
        assert!(ZEROS.windows(2).all(|pair| pair[0] + 10 <= pair[1]));
        for (text, values) in [("0123456789", 0..10), ("٠١٢٣٤٥٦٧٨٩", 0..10), ("०१२३४५६७८९", 0..10)]
        {
            assert!(text.chars().map(|c| decimal(c).expect("a digit")).eq(values));
        }
        assert!("０１２３４５６７８９".chars().map(|c| decimal(c).expect("a digit")).eq(0..10));
        assert!("⁰¹²³⁴⁵⁶⁷⁸⁹".chars().map(|c| decimal_like(c).expect("a digit")).eq(0..10));
        assert!("₀₁₂₃₄₅₆₇₈₉".chars().map(|c| decimal_like(c).expect("a digit")).eq(0..10));
        assert!("🄀⒈⒉⒊⒋⒌⒍⒎⒏⒐".chars().map(|c| decimal_like(c).expect("a digit")).eq(0..10));
        assert!("⓿❶➁➌⓸⑸፮🄈八九".chars().map(|c| decimal_like(c).expect("a digit")).eq(0..10));
        assert!("⓪①②③④⑤⑥⑦⑧⑨".chars().map(|c| decimal_like(c).expect("a digit")).eq(0..10));
    }

    #[test]
    fn letters_signs_and_other_numbers_have_none() {
        assert!("/:aZ-十百½Ⅷ⑩❿\u{0}\u{10ffff}".chars().all(|c| decimal_like(c).is_none()));
    }
}
