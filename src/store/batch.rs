//! An atomic change: puts, deletes and the preconditions under which it applies.

use std::collections::BTreeMap;

use super::keyspace::Space;

/// Changes and preconditions that an engine applies together or not at all. The last change to a key wins.
#[derive(Default, Clone)]
pub struct Batch {
    changes: BTreeMap<(Space, Vec<u8>), Option<Vec<u8>>>,
    /// Applied before the changes.
    emptied: Vec<(Space, Vec<u8>)>,
    expectations: Vec<(Space, Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// A batch that changes nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a record.
    pub fn put(&mut self, space: Space, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.changes.insert((space, key.into()), Some(value.into()));
    }

    /// Removes a record, if it is there.
    pub fn delete(&mut self, space: Space, key: impl Into<Vec<u8>>) {
        self.changes.insert((space, key.into()), None);
    }

    /// Removes every record whose key starts with `prefix`, without reading them, and what this batch put there so
    /// far. The prefix is not empty.
    pub fn delete_below(&mut self, space: Space, prefix: impl Into<Vec<u8>>) {
        let prefix = prefix.into();
        debug_assert!(!prefix.is_empty(), "a whole kind of records is never removed");
        self.changes.retain(|(of, key), _| *of != space || !key.starts_with(&prefix));
        self.emptied.push((space, prefix));
    }

    /// Requires that, before the batch, the key has exactly this value (`None`: is absent).
    pub fn expect(&mut self, space: Space, key: impl Into<Vec<u8>>, value: Option<Vec<u8>>) {
        self.expectations.push((space, key.into(), value));
    }

    /// What this batch would do to a key: `None` if nothing, `Some(None)` if delete it.
    pub fn change(&self, space: Space, key: &[u8]) -> Option<Option<&[u8]>> {
        // BTreeMap cannot look up (Space, &[u8]); the copy is short.
        let change = self.changes.get(&(space, key.to_vec())).map(|value| value.as_deref());
        let is_emptied = || self.emptied.iter().any(|(of, prefix)| *of == space && key.starts_with(prefix));
        change.or_else(|| (!self.emptied.is_empty() && is_emptied()).then_some(None))
    }

    /// Every change, ordered by space and key.
    pub fn changes(&self) -> impl Iterator<Item = (Space, &[u8], Option<&[u8]>)> {
        self.changes.iter().map(|((space, key), value)| (*space, &key[..], value.as_deref()))
    }

    /// Every prefix below which all records go before the changes are made.
    pub fn emptied(&self) -> impl Iterator<Item = (Space, &[u8])> {
        self.emptied.iter().map(|(space, prefix)| (*space, &prefix[..]))
    }

    /// Whether some record below a prefix may be removed unread.
    pub fn empties(&self, space: Space, prefix: &[u8]) -> bool {
        self.emptied().any(|(of, below)| of == space && (below.starts_with(prefix) || prefix.starts_with(below)))
    }

    /// The changes below a prefix of one space, in key order.
    pub fn changes_below<'a>(
        &'a self,
        space: Space,
        prefix: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
        self.changes
            .range((space, prefix.to_vec())..)
            .take_while(move |((s, key), _)| *s == space && key.starts_with(prefix))
            .map(|((_, key), value)| (&key[..], value.as_deref()))
    }

    /// Every precondition.
    pub fn expectations(&self) -> impl Iterator<Item = (Space, &[u8], Option<&[u8]>)> {
        self.expectations.iter().map(|(space, key, value)| (*space, &key[..], value.as_deref()))
    }

    /// Appends another batch; its changes win.
    pub fn absorb(&mut self, later: Batch) {
        for (space, prefix) in later.emptied {
            self.delete_below(space, prefix);
        }
        if self.changes.is_empty() {
            self.changes = later.changes;
        } else {
            self.changes.extend(later.changes);
        }
        self.expectations.extend(later.expectations);
    }

    /// Whether the batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.emptied.is_empty()
    }

    /// Bytes of keys and values.
    pub fn size(&self) -> usize {
        self.changes.iter().map(|((_, key), value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
    }
}
