//! Finds card numbers where none may be.
//!
//! Digits of every script count, superscript and circled ones too. A *group* is an unbroken row of digits. Groups
//! with nothing but spaces, punctuation and invisible characters between them form a *run*; a letter ends it.
//! Refused are
//!
//! 1. in one field: neighbouring whole groups of a run that make 12 to 19 digits and pass the Luhn check;
//! 2. in one field: the first or last 14 to 16 digits of a longer group, if they pass the Luhn check and begin as
//!    cards of that length do (a number with its expiry run into it);
//! 3. over several fields, in field order: digits of neighbouring fields that together pass the Luhn check and begin
//!    as cards of that length do. A field without digits is passed over. A field of digits only joins whole. Of a
//!    field with letters only a run of at least four digits at the side of its neighbour joins.
//!
//! Ordinary values do not meet rule 3: the last four digits, a house number and a postal code together have fewer than
//! 12 digits, and names, streets and towns have letters. A long numeric token can meet rules 1 and 2 by chance (one in
//! ten, and one in twenty) and cannot be told from a card number: it is refused.

use zeroize::Zeroizing;

use super::digits;

/// Digits of a card number, fewest and most (ISO/IEC 7812-1).
const DIGITS_MIN: usize = 12;
const DIGITS_MAX: usize = 19;
/// Digits that the edge of a field with letters must have to be joined with the next field.
const EDGE_DIGITS_MIN: usize = 4;

/// The values of digits, wiped when dropped.
type Digits = Zeroizing<Vec<u8>>;

/// Whether one text holds what looks like a card number: rules 1 and 2.
pub fn is_in(text: &str) -> bool {
    let field = Field::of(text);
    field.runs.iter().any(|run| {
        let joined = (0..run.len()).any(|first| joined_groups_pass(&run[first..]));
        joined || run.iter().any(|group| edge_passes(group))
    })
}

/// The first of the texts, in field order, at which a card number begins that is split over several: rule 3.
pub fn begins_at<'a>(texts: impl Iterator<Item = &'a str>) -> Option<usize> {
    let fields: Vec<Field> = texts.map(Field::of).collect();
    (0..fields.len()).find(|first| split_passes(&fields[*first..]))
}

/// The digits of one text.
struct Field {
    runs: Vec<Vec<Digits>>,
    /// Whether the text begins, and ends, with digits, separators apart.
    digits_first: bool,
    digits_last: bool,
    letters: bool,
}

impl Field {
    fn of(text: &str) -> Self {
        let mut field = Self { runs: Vec::new(), digits_first: false, digits_last: false, letters: false };
        let (mut in_run, mut in_group) = (false, false);
        for c in text.chars() {
            if let Some(value) = digits::decimal_like(c) {
                field.digits_first |= field.runs.is_empty() && !field.letters;
                if !in_run {
                    field.runs.push(Vec::new());
                }
                let run = field.runs.last_mut().expect("a run was begun");
                if !in_run || !in_group {
                    // No text of a payment is longer than its limit in bytes, so this never reallocates.
                    run.push(Zeroizing::new(Vec::with_capacity(text.len())));
                }
                run.last_mut().expect("a group was begun").push(value);
                (in_run, in_group) = (true, true);
            } else {
                in_group = false;
                if c.is_alphanumeric() {
                    in_run = false;
                    field.letters = true;
                }
            }
        }
        field.digits_last = in_run;
        field
    }

    /// What joins with the next field.
    fn tail(&self) -> Option<Digits> {
        let run = self.runs.last().filter(|_| self.digits_last)?;
        self.long_enough(joined(run))
    }

    /// What joins with the field before.
    fn head(&self) -> Option<Digits> {
        let run = self.runs.first().filter(|_| self.digits_first)?;
        self.long_enough(joined(run))
    }

    fn long_enough(&self, digits: Digits) -> Option<Digits> {
        (!self.letters || digits.len() >= EDGE_DIGITS_MIN).then_some(digits)
    }
}

fn joined(groups: &[Digits]) -> Digits {
    let mut all = Zeroizing::new(Vec::with_capacity(groups.iter().map(|group| group.len()).sum()));
    groups.iter().for_each(|group| all.extend_from_slice(group));
    all
}

/// Rule 1, for the groups that begin with the first.
fn joined_groups_pass(groups: &[Digits]) -> bool {
    let mut all = Zeroizing::new(Vec::with_capacity(DIGITS_MAX));
    for group in groups {
        if all.len() + group.len() > DIGITS_MAX {
            return false;
        }
        all.extend_from_slice(group);
        if all.len() >= DIGITS_MIN && passes_luhn(&all) {
            return true;
        }
    }
    false
}

/// Rule 2.
fn edge_passes(group: &[u8]) -> bool {
    (14..=16.min(group.len().saturating_sub(1))).any(|len| {
        let edges = [&group[..len], &group[group.len() - len..]];
        edges.iter().any(|edge| begins_like_a_card(edge) && passes_luhn(edge))
    })
}

/// Rule 3, for the fields that begin with the first.
fn split_passes(fields: &[Field]) -> bool {
    let Some((first, rest)) = fields.split_first() else { return false };
    let Some(tail) = first.tail().filter(|tail| tail.len() < DIGITS_MAX) else { return false };
    let mut all = Zeroizing::new(Vec::with_capacity(DIGITS_MAX));
    all.extend_from_slice(&tail);
    for field in rest.iter().filter(|field| !field.runs.is_empty()) {
        let Some(head) = field.head().filter(|head| all.len() + head.len() <= DIGITS_MAX) else { return false };
        all.extend_from_slice(&head);
        if begins_like_a_card(&all) && passes_luhn(&all) {
            return true;
        }
        if field.letters {
            return false; // digits go on past a field only if it holds nothing else
        }
    }
    false
}

/// The Luhn check (ISO/IEC 7812-1 annex B).
fn passes_luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { 2 * digit - 9 } else { 2 * digit };
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(i, d)| u32::from(if i % 2 == 1 { doubled(*d) } else { *d })).sum();
    sum.is_multiple_of(10)
}

/// Whether a scheme issues cards of this length with this beginning, by the ranges the schemes publish.
fn begins_like_a_card(digits: &[u8]) -> bool {
    let len = digits.len();
    if !(DIGITS_MIN..=DIGITS_MAX).contains(&len) {
        return false;
    }
    match digits[..4].iter().fold(0u32, |prefix, digit| prefix * 10 + u32::from(*digit)) {
        1000..=1999 => len == 15,                             // UATP
        2200..=2204 => len >= 16,                             // Mir
        2221..=2720 | 5100..=5599 => len == 16,               // Mastercard
        3400..=3499 | 3700..=3799 => len == 15,               // American Express
        3000..=3059 | 3600..=3699 | 3800..=3999 => len >= 14, // Diners Club
        3528..=3589 => len >= 16,                             // JCB
        4000..=4999 => matches!(len, 13 | 16 | 19),           // Visa
        5000..=5099 | 5600..=6999 => true,                    // Maestro, Discover, UnionPay, RuPay, Elo, Verve
        8100..=8299 => len >= 16,                             // UnionPay, RuPay
        9792 => len == 16,                                    // Troy
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_found_in_one_text() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111.1111.1111.1111",
            "4111/1111_1111,1111",
            "Visa: 4242424242424242.",
            "tok_5555555555554444",
            "3782 822463 10005",
            "30569309025904",
            "4222222222222",
            "6759649826438453",
            "500000000009",
            "2223003122003222",
            "４１１１　１１１１　１１１１　１１１１",
            "٤١١١ ١١١١ ١١١١ ١١١١",
            "४१११११११११११११११",
            "⁴¹¹¹ ¹¹¹¹ ₁₁₁₁ ①①①①",
            "4\u{fe0f}\u{20e3}1111 1111 1111 111",
            "4111\u{200b}1111\u{200b}1111\u{2060}1111",
            "四一一一 一一一一 一一一一 一一一一",
            "⒋⒈⒈⒈⒈⒈⒈⒈⒈⒈⒈⒈⒈⒈⒈⒈",
            "❹➀➊⓵1111 (1111) [1111]",
            "4111\u{202f}1111\u{ad}1111\u{feff}1111",
            "4111🦊1111🦊1111🦊1111",
            "4\u{301}111 1111 1111 1111",
            "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
            "4111 1111 1111 1111 12/29",
            "12/29 4111 1111 1111 1111 123",
            "41111111111111111229",
            "12294111111111111111",
            "4111111111111111123",
            "1234567812345670",
        ] {
            assert!(is_in(text), "{text:?}");
        }
    }

    #[test]
    fn ordinary_texts_pass() {
        for text in [
            "",
            "tok_visa",
            "pm_card_mastercard",
            "tok_1MqLiJLkdIwHu7ixUEgbFdYF",
            "4242",
            "4111 1111 1111",
            "4111111111111112",
            "4111 1111 1111 1112",
            "4111a1111b1111c1111",
            "+1 212 555 0143",
            "Flat 12, 34 Long Road",
            "1204 Main Street 94107-1234",
            "東京都千代田区1-2-3",
            "9f1b2c3d-1234-4abc-8def-0123456789ab",
        ] {
            assert!(!is_in(text), "{text:?}");
        }
    }

    #[test]
    fn card_numbers_split_over_fields_are_found() {
        for (first, texts) in [
            (0, vec!["411111111111", "1111"]),
            (1, vec!["stripe", "41111111", "", "DE", "11111111"]),
            (0, vec!["4111", "1111", "1111", "1111"]),
            (0, vec!["4", "111111111111111"]),
            (0, vec!["tok_4111 1111", "1111 1111 Main Street"]),
            (1, vec!["7", "３７８２", "８２２４６３", "１０００５"]),
            (2, vec!["tok_visa", "Road 12", "card 411111", "1111", "111111"]),
        ] {
            assert_eq!(begins_at(texts.iter().copied()), Some(first), "{texts:?}");
        }
    }

    #[test]
    fn ordinary_neighbours_pass() {
        for texts in [
            vec!["stripe", "tok_visa", "4242", "US", "1204 Main Street", "Apt 4", "94107-1234", "Ana Lopes"],
            vec!["pm_411111111111", "DE", "Lange Straße 1111", "10115"],
            vec!["411111111111", "x1111"],
            vec!["411111111111", "Road 7", "1111"],
            vec!["tok_411", "1111111111111"],
            vec!["41111111", "1111 Long Road", "1111"],
            vec!["411111111111", "1112"],
            vec!["7111111111111", "1119"],
            vec!["1234", "10", "94107"],
        ] {
            assert_eq!(begins_at(texts.iter().copied()), None, "{texts:?}");
        }
    }
}
