//! One change in the making, on the committer's thread: rows, pages and events that commit together or not at all.
//!
//! A transaction sees the store, then what earlier transactions of the same commit group did, then its own changes.
//! Since one thread runs them all, each sees the state that the one before it left: no locks, no conflicts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::index::Index;
use super::ledger::key_under;
use super::pages::StoredPages;
use super::refusal::{Refusal, Unavailable};
use crate::audit::event::Event;
use crate::base::codec::{Reader, Writer};
use crate::base::id::VaultId;
use crate::base::secret::Key;
use crate::base::time::Timestamp;
use crate::crypto::label::Label;
use crate::keys::page::{Entry, KeyName, Page, Tree, name_of};
use crate::keys::tally::{Tally, Version};
use crate::keys::tree::{self, Draft, Forgotten, Nodes, Root};
use crate::store::batch::Batch;
use crate::store::keyspace::Space;
use crate::store::{self, Engine, Record};

/// Reads of rows and keys, in a transaction or beside it.
pub trait Reads {
    /// The value of a row.
    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault>;

    /// Rows below a prefix, from a key on, in key order.
    fn rows(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, Fault>;

    /// An entry of a tree.
    fn entry(&self, tree: Tree, position: u64) -> Result<Option<Entry>, Fault>;

    /// The blind index.
    fn index(&self) -> &Index;

    /// The key of a job that lasts for an epoch: derived from the root in force.
    fn under_root(&self, job: Label) -> Key;
}

/// Why a read did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Rows and keys did not fit together: a change went on meanwhile, or, if it stays so, a record is damaged.
    #[error("rows and keys do not fit together")]
    Torn,
    /// A clear refusal.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Torn => Unavailable::Damaged.into(),
            Fault::Refused(refusal) => refusal,
        }
    }
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Self {
        Refusal::from(error).into()
    }
}

impl From<tree::Error> for Fault {
    fn from(error: tree::Error) -> Self {
        match error {
            // The page was re-keyed meanwhile, or its content is older than what was looked up with it.
            tree::Error::Missing | tree::Error::Damaged => Self::Torn,
            tree::Error::Full | tree::Error::Random(_) => Self::Refused(Unavailable::Internal.into()),
            tree::Error::Store(error) => error.into(),
        }
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        match error {
            // Not even an entry can be written, so this is more than too little room for new data.
            store::Error::Full => Unavailable::LogUnavailable.into(),
            store::Error::Corrupt => Unavailable::Damaged.into(),
            store::Error::Failed | store::Error::Locked | store::Error::Missing | store::Error::Precondition => {
                Unavailable::StorageFailed.into()
            }
        }
    }
}

impl From<tree::Error> for Refusal {
    fn from(error: tree::Error) -> Self {
        Fault::from(error).into()
    }
}

/// What stays the same for a whole commit group.
pub(super) struct Ground {
    pub vault: VaultId,
    pub engine: Arc<dyn Engine>,
    pub pages: Arc<StoredPages>,
    pub index: Arc<Index>,
}

/// What a commit group has gathered.
#[derive(Default)]
pub(super) struct Changes {
    pub batch: Batch,
    pub nodes: Nodes,
    pub events: Vec<Event>,
    pub root: Option<Root>,
    /// Stored pages that nothing leads to any more.
    pub left: Vec<Version>,
    /// The tally of all pages, where they were counted anew.
    pub counted: Option<Tally>,
}

/// Where the writer stands before a commit group.
#[derive(Clone, Copy)]
pub(super) struct Standing<'a> {
    pub now: Timestamp,
    pub last_entry: Option<Timestamp>,
    pub tally: Option<&'a Tally>,
}

/// A change in the making.
pub struct Txn<'a> {
    ground: &'a Ground,
    root: &'a Root,
    earlier: &'a Changes,
    batch: Batch,
    draft: Draft<'a, StoredPages>,
    events: Vec<Event>,
    new_root: Option<Root>,
    left: Vec<Version>,
    counted: Option<Tally>,
    standing: Standing<'a>,
}

impl<'a> Txn<'a> {
    pub(super) fn new(ground: &'a Ground, root: &'a Root, earlier: &'a Changes, standing: Standing<'a>) -> Self {
        let draft = Draft::new(&*ground.pages, root, &earlier.nodes);
        let (batch, events) = (Batch::new(), Vec::new());
        let (new_root, left, counted) = (None, Vec::new(), None);
        Self { ground, root, earlier, batch, draft, events, new_root, left, counted, standing }
    }

    pub(super) fn into_changes(self) -> Changes {
        let Self { batch, draft, events, new_root: root, left, counted, .. } = self;
        Changes { batch, nodes: draft.into_nodes(), events, root, left, counted }
    }

    /// When the group commits: the time of everything it changes and records.
    pub fn now(&self) -> Timestamp {
        self.standing.now
    }

    /// The time of the log's last entry before this group; none while it is empty.
    pub fn last_entry(&self) -> Option<Timestamp> {
        self.standing.last_entry
    }

    /// The epoch in force.
    pub fn epoch(&self) -> u64 {
        self.root.epoch
    }

    /// Writes a row.
    pub fn put(&mut self, space: Space, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.batch.put(space, key, value);
    }

    /// Removes a row.
    pub fn delete(&mut self, space: Space, key: impl Into<Vec<u8>>) {
        self.batch.delete(space, key);
    }

    /// Removes all rows below a prefix without reading them: for rows that no call reads any more.
    pub fn delete_below(&mut self, space: Space, prefix: impl Into<Vec<u8>>) {
        self.batch.delete_below(space, prefix);
    }

    /// Adds rows that were prepared beside the writer's thread.
    pub(super) fn put_all(&mut self, batch: Batch) {
        self.batch.absorb(batch);
    }

    /// Adds an entry to a tree, or replaces it by one that keeps its key.
    pub fn set(&mut self, tree: Tree, position: u64, entry: &Entry) -> Result<(), Fault> {
        Ok(self.draft.set(tree, position, entry)?)
    }

    /// The names of all keys of a tree: those of its pages and those in them.
    pub fn key_names(&self, tree: Tree) -> Result<Vec<KeyName>, Fault> {
        let mut names = Vec::new();
        self.draft.each_key(tree, &mut |key| names.push(name_of(key)))?;
        Ok(names)
    }

    /// Shows every page of a tree, without those of the trees that hang on it. For a change that is alone in its group.
    pub fn each_page(&self, tree: Tree, show: &mut dyn FnMut(Version, &Page)) -> Result<(), Fault> {
        debug_assert!(self.earlier.nodes.is_empty(), "only stored pages are seen");
        Ok(self.draft.each_page(tree, show)?)
    }

    /// The tally of all pages before this group; none where the vault has none, or where its row was not the newest.
    pub fn tally(&self) -> Option<&Tally> {
        self.standing.tally
    }

    /// Takes the pages as they were counted for those that there should be. For a change that is alone in its group.
    pub fn accept_count(&mut self, counted: Tally) {
        self.counted = Some(counted);
    }

    /// Forgets entries and makes a new root, which comes into force when the group commits. `whole` are the trees that go
    /// with all that they hold.
    pub(super) fn forget(&mut self, epoch: u64, targets: &[(Tree, u64)], whole: &[Tree]) -> Result<Forgotten, Fault> {
        let mut forgotten = self.draft.forget(epoch, targets, whole)?;
        self.left.append(&mut forgotten.left);
        self.new_root = Some(Root { epoch, key: forgotten.root.key.duplicate() });
        Ok(forgotten)
    }

    /// Records what happened, in the same commit.
    pub fn record(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Hands out a position of a tree: the lowest free one, else the next.
    pub fn claim_position(&mut self, tree: Tree) -> Result<u64, Fault> {
        let mut room = self.room(tree)?;
        let free = if room.free > 0 { self.lowest_free(tree)? } else { None };
        let position = match free {
            Some(position) => {
                self.delete(Space::Free, free_key(tree, position));
                room.free -= 1;
                position
            }
            // Rows say what is free, the number only saves looking for them: earlier releases could count one twice.
            None => {
                room.free = 0;
                room.next += 1;
                room.next - 1
            }
        };
        self.put(Space::Free, tree.row_prefix(), room.encode());
        Ok(position)
    }

    /// Takes a position back, once what it held is forgotten.
    pub fn release_position(&mut self, tree: Tree, position: u64) -> Result<(), Fault> {
        if self.row(Space::Free, &free_key(tree, position))?.is_some() {
            return Ok(()); // is free already
        }
        let mut room = self.room(tree)?;
        room.free += 1;
        self.put(Space::Free, tree.row_prefix(), room.encode());
        self.put(Space::Free, free_key(tree, position), []);
        Ok(())
    }

    fn room(&self, tree: Tree) -> Result<Room, Fault> {
        match self.row(Space::Free, &tree.row_prefix())? {
            None => Ok(Room { next: 0, free: 0 }),
            Some(row) => Room::decode(&row).ok_or(Fault::Torn),
        }
    }

    fn lowest_free(&self, tree: Tree) -> Result<Option<u64>, Fault> {
        let prefix = tree.row_prefix();
        let rows = self.rows(Space::Free, &prefix, &free_key(tree, 0), 1)?;
        Ok(rows.first().and_then(|(key, _)| key[prefix.len()..].try_into().ok().map(u64::from_be_bytes)))
    }

    fn changed(&self, space: Space, key: &[u8]) -> Option<Option<&[u8]>> {
        self.batch.change(space, key).or_else(|| self.earlier.batch.change(space, key))
    }
}

impl Reads for Txn<'_> {
    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        match self.changed(space, key) {
            Some(value) => Ok(value.map(<[u8]>::to_vec)),
            None => Ok(self.ground.engine.get(space, key)?),
        }
    }

    fn rows(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, Fault> {
        debug_assert!(
            [&self.earlier.batch, &self.batch].iter().all(|batch| !batch.empties(space, prefix)),
            "rows that are removed unread are not listed in the same group"
        );
        let mut changed = BTreeMap::new();
        for batch in [&self.earlier.batch, &self.batch] {
            let below = batch.changes_below(space, prefix).filter(|(key, _)| *key >= from);
            changed.extend(below.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))));
        }
        // Each change hides one stored row at the most, so this many are enough.
        let stored = self.ground.engine.scan(space, prefix, from, limit.saturating_add(changed.len()))?;
        let ended = stored.len() < limit.saturating_add(changed.len());
        let last = stored.last().map(|(key, _)| key.clone());
        let mut rows: BTreeMap<_, _> = stored.into_iter().map(|(key, value)| (key, Some(value))).collect();
        // Past the last row that was read, the store may hold rows that come before a change.
        let seen = |key: &Vec<u8>| ended || last.as_ref().is_some_and(|last| key <= last);
        rows.extend(changed.into_iter().filter(|(key, _)| seen(key)));
        Ok(rows.into_iter().filter_map(|(key, value)| Some((key, value?))).take(limit).collect())
    }

    fn entry(&self, tree: Tree, position: u64) -> Result<Option<Entry>, Fault> {
        Ok(self.draft.find(tree, position)?)
    }

    fn index(&self) -> &Index {
        &self.ground.index
    }

    fn under_root(&self, job: Label) -> Key {
        key_under(&self.new_root.as_ref().unwrap_or(self.root).key, job)
    }
}

/// How far a tree's positions are handed out, and how many below that are free again.
struct Room {
    next: u64,
    free: u64,
}

impl Room {
    fn encode(&self) -> Vec<u8> {
        Writer::new().u64(self.next).u64(self.free).finish()
    }

    fn decode(row: &[u8]) -> Option<Self> {
        let mut r = Reader::new(row);
        let room = Self { next: r.u64().ok()?, free: r.u64().ok()? };
        r.finish().ok().map(|()| room)
    }
}

fn free_key(tree: Tree, position: u64) -> Vec<u8> {
    Writer::new().raw(&tree.row_prefix()).u64(position).finish()
}
