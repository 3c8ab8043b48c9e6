//! How much of a value is shown.

use std::fmt;

use crate::base::log_safe::LogSafe;

/// How much of a value is shown. Ordered: each view shows at least what those before it show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum View {
    /// That the item exists; nothing of its value.
    Exists,
    /// The last four characters of identifying numbers; everything else is absent.
    Last4,
    /// Every field as its mask leaves it; type and length are kept.
    Masked,
    /// The value as stored.
    Plain,
}

impl View {
    /// Every view, lowest first.
    pub const ALL: [Self; 4] = [Self::Exists, Self::Last4, Self::Masked, Self::Plain];

    /// Its name in the registry and in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exists => "exists",
            Self::Last4 => "last4",
            Self::Masked => "masked",
            Self::Plain => "plain",
        }
    }

    /// The view of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.as_str() == name)
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl LogSafe for View {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_ordered_from_nothing_to_everything() {
        assert!(View::ALL.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn a_view_is_known_by_its_exact_name_only() {
        assert!(View::ALL.iter().all(|view| View::parse(view.as_str()) == Some(*view)));
        assert!(["", "PLAIN", "all", "plain "].iter().all(|name| View::parse(name).is_none()));
    }
}
