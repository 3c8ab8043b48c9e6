//! Text that belongs to a person.

use zeroize::Zeroizing;

/// A person's text in the clear, wiped when dropped.
///
/// INVARIANT: it has no `Debug`, `Display`, `Clone`, `PartialEq` or serde. The one door is `expose`.
#[derive(Default)]
pub struct Text(Zeroizing<String>);

impl Text {
    /// Takes over a buffer; it is wiped when this text drops.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// Builds a text of at most `bytes` bytes from its characters, so that no reallocation leaves a copy behind.
    pub fn build(bytes: usize, chars: impl IntoIterator<Item = char>) -> Self {
        let mut text = Self(Zeroizing::new(String::with_capacity(bytes)));
        for c in chars {
            text.0.push(c);
        }
        debug_assert!(text.0.len() <= bytes, "the stated bound holds");
        text
    }

    /// A second copy, wiped on its own. Named so that every duplication of a value can be found.
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// The clear text.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The clear text itself, for the message that reveals it; from then on nobody wipes it.
    pub fn into_exposed(mut self) -> String {
        std::mem::take(&mut *self.0)
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no text, which everywhere means "not given".
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self::new(text.to_owned())
    }
}
