//! Canonical value to masked value.
//!
//! What each rule leaves of a text of `n` characters, a masked character being `*`:
//!
//! | rule | `LAST4` | `MASKED` |
//! |---|---|---|
//! | `Hidden` | nothing | no character |
//! | `Initials` | nothing | the first character of each word of at least two |
//! | `Mailbox` | nothing | the domain, and the first character before the `@` if there are at least two |
//! | `Network` | nothing | of an IPv4 address three of four numbers, of an IPv6 address at most three of eight |
//! | `Tail` | the last four characters, at most half of them | the same |
//! | `Shown(view)` | everything if `view` is at most `LAST4` | everything |
//!
//! A masked text keeps its number of characters and its white space. INVARIANT: masking cannot fail and never falls
//! back to clear text: a value is masked by building it anew, so that a field without a rule does not compile, and a
//! text that a rule does not fit is hidden.

use std::net::IpAddr;

#[cfg(test)]
use super::class::ClassDef;
use super::class::Selection;
use super::fields::date::Date;
use super::path::FieldPath;
use super::sight::{Altered, Sight};
use super::text::Text;
use super::view::View;
use crate::base::time::Timestamp;

/// What a text shows below `PLAIN`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Its length.
    Hidden,
    /// The first character of each word.
    Initials,
    /// The domain of an email address and the first character before it.
    Mailbox,
    /// The network of an IP address.
    Network,
    /// The end of an identifying number.
    Tail,
    /// All of it, from that view up.
    Shown(View),
}

/// Builds the masked copy of one value, and notes which fields it altered.
pub(super) struct Masker<'a> {
    sight: &'a Sight,
    selection: &'a Selection,
    within: &'static str,
    altered: Vec<Altered>,
    /// Whether to note what may be altered of any value, whatever this one holds.
    survey: bool,
    #[cfg(test)]
    visited: Vec<FieldPath>,
}

impl<'a> Masker<'a> {
    /// For one value.
    pub(super) fn new(sight: &'a Sight, selection: &'a Selection) -> Self {
        Self {
            sight,
            selection,
            within: "",
            altered: Vec::new(),
            survey: false,
            #[cfg(test)]
            visited: Vec::new(),
        }
    }

    /// For a blank value of a class, to learn which fields a view does not show in full.
    pub(super) fn survey(sight: &'a Sight) -> Self {
        Self { survey: true, ..Self::new(sight, &Selection::ALL) }
    }

    /// The fields that were altered or left out because of the view, each once, without list indexes.
    pub(super) fn into_altered(self) -> Vec<Altered> {
        self.altered
    }

    /// A text.
    pub(super) fn text(&mut self, name: &'static str, text: &Text, rule: Rule) -> Text {
        let view = self.view_of(name);
        if !self.wanted(name) || text.is_empty() {
            self.note(name, self.survey && !is_shown(rule, view));
            return Text::default();
        }
        let masked = masked_text(text, rule, view);
        self.note(name, masked.expose() != text.expose());
        masked
    }

    /// Texts that mask alike.
    pub(super) fn texts(&mut self, name: &'static str, texts: &[Text], rule: Rule) -> Vec<Text> {
        let view = self.view_of(name);
        let absent = view < View::Masked && (view == View::Exists || !matches!(rule, Rule::Tail));
        if !self.wanted(name) {
            return Vec::new();
        }
        let hides = if self.survey { !is_shown(rule, view) } else { absent && !texts.is_empty() };
        self.note(name, hides);
        if absent { Vec::new() } else { texts.iter().map(|text| self.text(name, text, rule)).collect() }
    }

    /// A choice, a flag, a number or a time that identifies nobody: shown from `MASKED` up.
    pub(super) fn keep<T: Copy + Default + PartialEq>(&mut self, name: &'static str, value: T) -> T {
        self.from(View::Masked, name, value)
    }

    /// A number or a time that is shown under `PLAIN` only.
    pub(super) fn plain_only<T: Copy + Default + PartialEq>(&mut self, name: &'static str, value: T) -> T {
        self.from(View::Plain, name, value)
    }

    /// A time that is shown under `PLAIN` only.
    pub(super) fn time(&mut self, name: &'static str, time: Option<Timestamp>) -> Option<Timestamp> {
        self.plain_only(name, time)
    }

    /// A date, of which `MASKED` shows the year alone.
    pub(super) fn date(&mut self, name: &'static str, date: Option<&Date>) -> Option<Date> {
        let (wanted, view) = (self.wanted(name), self.view_of(name));
        self.note(name, wanted && self.survey && view < View::Plain);
        let date = date.filter(|_| wanted)?;
        match view {
            View::Plain => Some(date.duplicate()),
            View::Masked => {
                self.note(name, date.month != 0 || date.day != 0);
                (date.year != 0).then(|| Date::new(date.year, 0, 0))
            }
            View::Last4 | View::Exists => {
                self.note(name, true);
                None
            }
        }
    }

    /// A list of parts that are there from the view `from` up; below, the list is absent.
    pub(super) fn list<T: Default>(
        &mut self,
        name: &'static str,
        parts: &[T],
        from: View,
        mut each: impl FnMut(&T, &mut Self) -> T,
    ) -> Vec<T> {
        if self.survey && parts.is_empty() {
            return self.list(name, &[T::default()], from, each);
        }
        if parts.is_empty() || !self.wanted_within(name) {
            return Vec::new();
        }
        if self.sight.view() < from {
            self.note(name, true);
            return Vec::new();
        }
        self.within = name;
        let masked = parts.iter().map(|part| each(part, self)).collect();
        self.within = "";
        masked
    }

    /// A part that is there from the view `from` up.
    pub(super) fn part<T: Default>(
        &mut self,
        name: &'static str,
        part: Option<&T>,
        from: View,
        each: impl FnMut(&T, &mut Self) -> T,
    ) -> Option<T> {
        self.list(name, part.map(std::slice::from_ref).unwrap_or_default(), from, each).pop()
    }

    fn from<T: Copy + Default + PartialEq>(&mut self, view: View, name: &'static str, value: T) -> T {
        let wanted = self.wanted(name);
        if wanted && self.view_of(name) >= view {
            return value;
        }
        self.note(name, wanted && (self.survey || value != T::default()));
        T::default()
    }

    fn wanted(&mut self, name: &'static str) -> bool {
        #[cfg(test)]
        self.visited.push(FieldPath::of(self.within, name));
        self.selection.includes(self.within, name)
    }

    fn view_of(&self, name: &'static str) -> View {
        self.sight.of(self.within, name)
    }

    fn wanted_within(&self, name: &'static str) -> bool {
        self.selection.reaches_into(name)
    }

    fn note(&mut self, name: &'static str, altered: bool) {
        if !altered {
            return;
        }
        let altered = Altered { path: FieldPath::of(self.within, name), view: self.view_of(name) };
        if !self.altered.contains(&altered) {
            self.altered.push(altered);
        }
    }
}

const STAR: char = '*';

fn masked_text(text: &Text, rule: Rule, view: View) -> Text {
    if is_shown(rule, view) {
        return text.duplicate();
    }
    match (rule, view) {
        (_, View::Exists) => Text::default(),
        (Rule::Tail, _) => tail(text),
        (Rule::Initials, View::Masked) => initials(text),
        (Rule::Mailbox, View::Masked) => mailbox(text),
        (Rule::Network, View::Masked) => network(text),
        (Rule::Hidden | Rule::Shown(_), View::Masked) => hidden(text),
        (_, _) => Text::default(),
    }
}

fn is_shown(rule: Rule, view: View) -> bool {
    view == View::Plain || matches!(rule, Rule::Shown(from) if view >= from)
}

fn hide(c: char) -> char {
    if c.is_whitespace() { c } else { STAR }
}

fn hidden(text: &Text) -> Text {
    Text::build(text.len(), text.expose().chars().map(hide))
}

/// The last four characters, but never more than half: of a number of six, three.
fn tail(text: &Text) -> Text {
    let count = text.expose().chars().count();
    let masked = count - 4.min(count / 2);
    Text::build(text.len(), text.expose().chars().enumerate().map(|(i, c)| if i < masked { hide(c) } else { c }))
}

fn initials(text: &Text) -> Text {
    let clear = text.expose();
    let mut word_begins = true;
    let chars = clear.char_indices().map(|(at, c)| {
        let next = clear[at + c.len_utf8()..].chars().next();
        let shown = word_begins && next.is_some_and(|next| !next.is_whitespace());
        word_begins = c.is_whitespace();
        if shown { c } else { hide(c) }
    });
    Text::build(text.len(), chars)
}

fn mailbox(text: &Text) -> Text {
    let Some((local, domain)) = text.expose().rsplit_once('@') else { return hidden(text) };
    let shown = usize::from(local.chars().nth(1).is_some() && !local.starts_with('"'));
    let local = local.chars().enumerate().map(|(i, c)| if i < shown { c } else { hide(c) });
    Text::build(text.len(), local.chain(['@']).chain(domain.chars()))
}

fn network(text: &Text) -> Text {
    let clear = text.expose();
    let shown = match clear.parse() {
        Ok(IpAddr::V4(_)) => clear.rfind('.').map_or(0, |dot| dot + 1),
        Ok(IpAddr::V6(_)) => {
            let before_zeros = clear.split("::").next().unwrap_or_default();
            before_zeros.match_indices(':').nth(2).map_or(before_zeros.len(), |(colon, _)| colon)
        }
        Err(_) => 0,
    };
    Text::build(text.len(), clear.char_indices().map(|(at, c)| if at < shown { c } else { hide(c) }))
}

/// Checks that a class's list of fields is the list that its masker asks about.
#[cfg(test)]
pub(super) fn assert_fields_are_listed(class: &ClassDef, masker: &Masker<'_>) {
    let mut visited: Vec<String> = masker.visited.iter().map(ToString::to_string).collect();
    visited.dedup();
    assert_eq!(visited, class.fields, "the fields of {}", class.id);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(text: &str, rule: Rule, view: View) -> String {
        masked_text(&Text::from(text), rule, view).expose().to_owned()
    }

    #[test]
    fn masked_texts_show_what_their_rule_says() {
        for (text, rule, shown) in [
            ("Ana María Lopes", Rule::Initials, "A** M**** L****"),
            ("王小明", Rule::Initials, "王**"),
            ("김", Rule::Initials, "*"),
            ("J Doe", Rule::Initials, "* D**"),
            ("नीलम वर्मा", Rule::Initials, "न*** व****"),
            ("ana@example.com", Rule::Mailbox, "a**@example.com"),
            ("a@example.com", Rule::Mailbox, "*@example.com"),
            ("\"ab\"@example.com", Rule::Mailbox, "****@example.com"),
            ("no address", Rule::Mailbox, "** *******"),
            ("203.0.113.7", Rule::Network, "203.0.113.*"),
            ("2001:db8:7:1::42", Rule::Network, "2001:db8:7******"),
            ("203.0.113", Rule::Network, "*********"),
            ("+442079460958", Rule::Tail, "*********0958"),
            ("123456", Rule::Tail, "***456"),
            ("1", Rule::Tail, "*"),
            ("tok_visa", Rule::Hidden, "********"),
            ("DE", Rule::Shown(View::Masked), "DE"),
        ] {
            assert_eq!(masked(text, rule, View::Masked), shown);
        }
    }

    #[test]
    fn last_four_shows_ends_of_numbers_only() {
        assert_eq!(masked("C01X00T47", Rule::Tail, View::Last4), "*****0T47");
        assert_eq!(masked("4242", Rule::Shown(View::Last4), View::Last4), "4242");
        for rule in [Rule::Hidden, Rule::Initials, Rule::Mailbox, Rule::Network, Rule::Shown(View::Masked)] {
            assert_eq!(masked("ana@example.com", rule, View::Last4), "");
        }
    }

    /// How many characters other than white space a rule may leave.
    fn allowance(rule: Rule, text: &str) -> usize {
        match rule {
            Rule::Hidden => 0,
            Rule::Initials => text.split_whitespace().filter(|word| word.chars().nth(1).is_some()).count(),
            Rule::Mailbox => text.rsplit_once('@').map_or(0, |(_, domain)| 2 + domain.chars().count()),
            Rule::Network => {
                if text.parse::<IpAddr>().is_ok() {
                    14
                } else {
                    0
                }
            }
            Rule::Tail => 4.min(text.chars().count() / 2),
            Rule::Shown(_) => usize::MAX,
        }
    }

    proptest! {
        /// A masked text has as many characters as the text, each a `*` or the one that was there; those that are
        /// left, white space apart, are at most what the rule allows; and a lower view leaves no more.
        #[test]
        fn no_mask_shows_more_than_its_rule_allows(
            text in "\\PC{0,40}|[a-z]{0,3}@?[a-z. ]{0,9}|[0-9]{1,2}(\\.[0-9]{1,2}){3}|[0-9a-f]{1,4}(:[0-9a-f]{1,4}){7}"
        ) {
            let text = text.replace(STAR, "+");
            for rule in [Rule::Hidden, Rule::Initials, Rule::Mailbox, Rule::Network, Rule::Tail] {
                prop_assert_eq!(masked(&text, rule, View::Exists), "");
                let middle = masked(&text, rule, View::Masked);
                let left = |masked: &str| masked.chars().filter(|c| *c != STAR && !c.is_whitespace()).count();
                prop_assert_eq!(middle.chars().count(), text.chars().count());
                prop_assert!(middle.chars().zip(text.chars()).all(|(m, c)| m == c || m == STAR));
                prop_assert!(left(&middle) <= allowance(rule, &text));
                let low = masked(&text, rule, View::Last4);
                prop_assert!(low.is_empty() || (rule == Rule::Tail && low == middle));
                prop_assert!(left(&low) <= 4);
                prop_assert_eq!(masked(&text, rule, View::Plain), text.as_str());
            }
        }
    }
}
