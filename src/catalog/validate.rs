//! Text to canonical value, or refusal.
//!
//! What a single line of text may hold: any script, marks, emoji and the joiners and direction marks that names
//! need (ZWJ, ZWNJ, LRM, RLM, ALM). What it may not: control characters (NUL, line breaks and tabs among them), line
//! and paragraph separators, embedding, override and isolate controls, which reorder the text around them, the byte
//! order mark, annotation controls and non-characters. White space at both ends is removed. Nothing else is changed,
//! Unicode normalisation included: a name is kept as its bearer writes it.
//!
//! A text of several lines - the body of a message - may hold in addition line breaks, which become line feeds, tabs,
//! and what mail programs put into it: direction controls of every kind and the byte order mark.

use std::fmt;

use super::path::{At, FieldPath};
use super::text::Text;
use crate::base::log_safe::LogSafe;

/// Why a field was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It must be given.
    Required,
    /// More bytes than the field holds.
    TooLong,
    /// More entries than the list holds.
    TooMany,
    /// A character that this kind of field may not hold.
    Character,
    /// Not of the field's form.
    Malformed,
    /// A number or a date outside its range, or a date that does not exist.
    OutOfRange,
    /// It contradicts another field, or lacks one that belongs to it.
    Conflict,
    /// Digits that look like a card number.
    CardNumber,
    /// The number fails its country's check.
    CheckDigit,
}

impl Reason {
    /// The reason in words, to follow the field's path.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "is required",
            Self::TooLong => "is too long",
            Self::TooMany => "has too many entries",
            Self::Character => "holds a character that is not accepted",
            Self::Malformed => "is malformed",
            Self::OutOfRange => "is out of range",
            Self::Conflict => "conflicts with another field",
            Self::CardNumber => "looks like a card number",
            Self::CheckDigit => "has a wrong check digit",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl LogSafe for Reason {}

/// One refused field. Names the field, never its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which field.
    pub path: FieldPath,
    /// Why.
    pub reason: Reason,
}

/// Everything that is wrong with a value; at least one violation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is not valid")]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// The violations, in field order.
    pub fn iter(&self) -> std::slice::Iter<'_, Violation> {
        self.0.iter()
    }
}

/// Collects violations while a value is brought to its canonical form.
#[derive(Default)]
pub(super) struct Check(Vec<Violation>);

impl Check {
    /// Notes a violation.
    pub(super) fn refuse(&mut self, at: &At<'_>, reason: Reason) {
        self.0.push(Violation { path: at.into(), reason });
    }

    /// A single line of text that may be absent. Answers whether it passed.
    pub(super) fn line(&mut self, at: &At<'_>, text: &mut Text, bytes_max: usize) -> bool {
        match line(text, bytes_max) {
            Ok(()) => true,
            Err(reason) => {
                self.refuse(at, reason);
                false
            }
        }
    }

    /// A single line of text that must be there. Answers whether it passed.
    pub(super) fn required_line(&mut self, at: &At<'_>, text: &mut Text, bytes_max: usize) -> bool {
        let passed = self.line(at, text, bytes_max);
        if passed && text.is_empty() {
            self.refuse(at, Reason::Required);
            return false;
        }
        passed
    }

    /// A text of several lines that may be absent.
    pub(super) fn block(&mut self, at: &At<'_>, text: &mut Text, bytes_max: usize) {
        if let Err(reason) = block(text, bytes_max) {
            self.refuse(at, reason);
        }
    }

    /// Replaces a text that is there by its canonical form.
    pub(super) fn form(&mut self, at: &At<'_>, text: &mut Text, form: impl FnOnce(&str) -> Result<Text, Reason>) {
        if text.is_empty() {
            return;
        }
        match form(text.expose()) {
            Ok(canonical) => *text = canonical,
            Err(reason) => self.refuse(at, reason),
        }
    }

    /// A list of at most `count_max` entries. One that is too long is refused without looking at its entries.
    pub(super) fn list<T>(
        &mut self,
        at: At<'_>,
        entries: &mut [T],
        count_max: usize,
        mut each: impl FnMut(&mut Self, At<'_>, &mut T),
    ) {
        if entries.len() > count_max {
            return self.refuse(&at, Reason::TooMany);
        }
        for (index, entry) in entries.iter_mut().enumerate() {
            each(self, at.index(index), entry);
        }
    }

    /// At most one entry of a list may be the primary one; the second is refused.
    pub(super) fn one_primary(&mut self, at: At<'_>, primary: impl Iterator<Item = bool>) {
        if let Some((index, _)) = primary.enumerate().filter(|(_, primary)| *primary).nth(1) {
            self.refuse(&at.index(index).then("primary"), Reason::Conflict);
        }
    }

    /// Whether nothing was refused so far.
    pub(super) fn is_clean(&self) -> bool {
        self.0.is_empty()
    }

    /// The verdict.
    pub(super) fn finish(self) -> Result<(), Violations> {
        if self.0.is_empty() { Ok(()) } else { Err(Violations(self.0)) }
    }
}

/// Trims a single line of text and checks its length and its characters.
fn line(text: &mut Text, bytes_max: usize) -> Result<(), Reason> {
    if text.len() > bytes_max {
        return Err(Reason::TooLong); // before any work that grows with the text
    }
    let trimmed = text.expose().trim();
    if trimmed.len() < text.len() {
        *text = Text::from(trimmed);
    }
    if text.expose().chars().any(refused_in_lines) { Err(Reason::Character) } else { Ok(()) }
}

/// Gives a text of several lines one kind of line end, and checks its length and its characters.
fn block(text: &mut Text, bytes_max: usize) -> Result<(), Reason> {
    if text.len() > bytes_max {
        return Err(Reason::TooLong);
    }
    if text.expose().contains('\r') {
        let mut after_return = false;
        let chars = text.expose().chars().filter_map(|c| {
            let ends_pair = std::mem::replace(&mut after_return, c == '\r') && c == '\n';
            (!ends_pair).then_some(if c == '\r' { '\n' } else { c })
        });
        *text = Text::build(text.len(), chars);
    }
    if text.expose().chars().any(refused_in_blocks) { Err(Reason::Character) } else { Ok(()) }
}

fn refused_in_blocks(c: char) -> bool {
    (c.is_control() && !matches!(c, '\n' | '\t')) || is_no_character(c)
}

fn refused_in_lines(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}')
        || is_no_character(c)
}

fn is_no_character(c: char) -> bool {
    matches!(c, '\u{fdd0}'..='\u{fdef}') || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str, bytes_max: usize) -> Result<String, Reason> {
        let mut text = Text::from(text);
        line(&mut text, bytes_max).map(|()| text.expose().to_owned())
    }

    #[test]
    fn lines_of_any_script_are_accepted_unchanged() {
        for text in [
            "",
            "Zoë Ångström-Nuñez",
            "Zoe\u{308}",
            "นภัสสร ใจดี",
            "ᠪᠠᠲᠤ",
            "عَلِيّ \u{200f}(علي)\u{200f}",
            "می\u{200c}خواهم",
            "👩🏽\u{200d}🔬 🏴\u{e0067}\u{e0062}\u{e007f}",
            "a\u{a0}b",
            "\u{e000}",
        ] {
            assert_eq!(checked(text, 256).as_deref(), Ok(text));
        }
    }

    #[test]
    fn white_space_at_the_ends_is_removed() {
        assert_eq!(checked(" \u{3000}x y\t\n", 16).as_deref(), Ok("x y"));
        assert_eq!(checked("\u{2003}", 16).as_deref(), Ok(""));
    }

    #[test]
    fn control_and_reordering_characters_are_refused() {
        for c in ['\0', '\n', '\t', '\u{7f}', '\u{85}', '\u{2028}', '\u{202e}', '\u{202a}', '\u{2066}', '\u{2069}'] {
            assert_eq!(checked(&format!("a{c}b"), 16), Err(Reason::Character), "{c:?}");
        }
        for c in ['\u{feff}', '\u{fffe}', '\u{ffff}', '\u{fdd0}', '\u{10fffe}', '\u{fff9}'] {
            assert_eq!(checked(&format!("a{c}b"), 16), Err(Reason::Character), "{c:?}");
        }
    }

    #[test]
    fn texts_of_several_lines_have_one_kind_of_line_end() {
        let block = |text: &str| {
            let mut text = Text::from(text);
            block(&mut text, 64).map(|()| text.expose().to_owned())
        };
        for (given, stored) in [
            ("a\r\nb\rc\nd", "a\nb\nc\nd"),
            ("\r\r\n\n\r", "\n\n\n\n"),
            (" \tx \n", " \tx \n"),
            ("\u{feff}\u{202b}שלום\u{202c}\u{2028}", "\u{feff}\u{202b}שלום\u{202c}\u{2028}"),
            ("", ""),
        ] {
            assert_eq!(block(given).as_deref(), Ok(stored), "{given:?}");
            assert_eq!(block(stored).as_deref(), Ok(stored), "{stored:?}");
        }
        for c in ['\0', '\u{b}', '\u{c}', '\u{1b}', '\u{7f}', '\u{85}', '\u{fffe}', '\u{fdd0}'] {
            assert_eq!(block(&format!("a{c}b")), Err(Reason::Character), "{c:?}");
        }
        assert_eq!(block(&"\r\n".repeat(33)), Err(Reason::TooLong));
    }

    #[test]
    fn lengths_count_bytes_and_are_never_cut() {
        assert_eq!(checked("日本", 6).as_deref(), Ok("日本"));
        assert_eq!(checked("日本", 5), Err(Reason::TooLong));
        assert_eq!(checked(&"x".repeat(10 << 20), 512), Err(Reason::TooLong));
    }
}
