//! Where in a value something is.

use std::fmt;

use crate::base::log_safe::LogSafe;

/// The path of a field inside a value, by the names of the contract: `emails[1].address`.
///
/// INVARIANT: made of names from this source code and of list indexes only, never of text from outside.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldPath(String);

impl FieldPath {
    /// A field without list indexes, as masks name it: `emails.address`. `within` is empty at the top.
    pub(super) fn of(within: &'static str, name: &'static str) -> Self {
        if within.is_empty() { Self(name.to_owned()) } else { Self(format!("{within}.{name}")) }
    }

    /// The path as text; empty for the value as a whole.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl LogSafe for FieldPath {}

/// A place in a value while it is checked; becomes a path only when something is wrong there.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    parent: Option<&'a At<'a>>,
    name: &'static str,
    index: Option<usize>,
}

impl<'a> At<'a> {
    /// The value as a whole.
    pub(super) const WHOLE: At<'static> = At { parent: None, name: "", index: None };

    /// A field of the value.
    pub(super) fn field(name: &'static str) -> Self {
        Self { parent: None, name, index: None }
    }

    /// A field of what is here.
    pub(super) fn then(&'a self, name: &'static str) -> At<'a> {
        At { parent: Some(self), name, index: None }
    }

    /// One element of the list that is here.
    pub(super) fn index(self, index: usize) -> Self {
        Self { index: Some(index), ..self }
    }

    fn write(&self, path: &mut String) {
        if let Some(parent) = self.parent {
            parent.write(path);
            path.push('.');
        }
        path.push_str(self.name);
        if let Some(index) = self.index {
            path.push_str(&format!("[{index}]"));
        }
    }
}

impl From<&At<'_>> for FieldPath {
    fn from(at: &At<'_>) -> Self {
        let mut path = String::new();
        at.write(&mut path);
        Self(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_fields_and_indexes() {
        let address = At::field("addresses").index(2);
        assert_eq!(FieldPath::from(&address.then("lines").index(0)).as_str(), "addresses[2].lines[0]");
        assert_eq!(FieldPath::from(&At::WHOLE).as_str(), "");
        assert_eq!(FieldPath::of("emails", "address").as_str(), "emails.address");
        assert_eq!(FieldPath::of("", "full_name").as_str(), "full_name");
    }
}
