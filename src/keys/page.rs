//! A page: up to 64 child keys in one AES-256-GCM message, bound to its place.
//!
//! Plaintext: the number of seals under the page's key (u32), then one record per child in order of its number:
//! child (u8), generation (u64), extra (u64), key (32 bytes). The clear bytes are kept in one wiped buffer.

use zeroize::Zeroizing;

use crate::base::codec::{Reader, Writer};
use crate::base::id::{ReasonId, SubjectId, VaultId};
use crate::base::limits::PAGE_SEALS_MAX;
use crate::base::secret::{Key, Secret};
use crate::crypto::aead::{self, OpenFailed};
use crate::crypto::rng::RandomFailed;
use crate::crypto::{kdf, label};

/// Children of one page.
pub const FANOUT: u64 = 64;

/// One tree of pages. The tag is on disk and permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tree {
    /// The single page under R_e; its children are the tops of the next three.
    Root,
    /// All subjects: each position holds the top of one subject's tree.
    Subjects,
    /// All keep reasons: each position holds the top of one reason's tree.
    Reasons,
    /// The vault's own keys: index keys, day keys.
    Service,
    /// The keys of one subject, at its position among the subjects.
    Subject(SubjectId, u64),
    /// The keys that one keep reason keeps, at its position among the reasons.
    Reason(ReasonId, u64),
}

impl Tree {
    /// Where the pointer to this tree's top page is kept; `None` for the root, which R_e opens.
    pub fn parent(self) -> Option<(Tree, u64)> {
        match self {
            Tree::Root => None,
            Tree::Subjects => Some((Tree::Root, 0)),
            Tree::Reasons => Some((Tree::Root, 1)),
            Tree::Service => Some((Tree::Root, 2)),
            Tree::Subject(_, position) => Some((Tree::Subjects, position)),
            Tree::Reason(_, position) => Some((Tree::Reasons, position)),
        }
    }

    /// How far below the root the tree hangs; deeper pages are sealed first.
    pub fn depth(self) -> u8 {
        match self {
            Tree::Root => 0,
            Tree::Subjects | Tree::Reasons | Tree::Service => 1,
            Tree::Subject(..) | Tree::Reason(..) => 2,
        }
    }

    /// The start of the row keys of all this tree's pages.
    pub fn row_prefix(self) -> Vec<u8> {
        match self {
            Tree::Root => vec![0],
            Tree::Subjects => vec![1],
            Tree::Reasons => vec![2],
            Tree::Service => vec![3],
            Tree::Subject(id, _) => Writer::new().u8(4).raw(id.as_bytes()).finish(),
            Tree::Reason(id, _) => Writer::new().u8(5).raw(id.as_bytes()).finish(),
        }
    }
}

/// The place of a page: level 0 holds leaves, and the page's index counts along its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageId {
    /// The tree it belongs to.
    pub tree: Tree,
    /// Counted from the leaves.
    pub level: u8,
    /// Position among the pages of its level.
    pub index: u64,
}

impl PageId {
    /// The key of the row that holds one generation of this page.
    pub fn row_key(&self, generation: u64) -> Vec<u8> {
        Writer::new().raw(&self.tree.row_prefix()).u8(self.level).u64(self.index).u64(generation).finish()
    }

    /// The page of a tree, and its generation, that the key of a row of that tree names.
    pub fn of_row(tree: Tree, key: &[u8]) -> Option<(Self, u64)> {
        let mut r = Reader::new(key.strip_prefix(&tree.row_prefix()[..])?);
        let (level, index, generation) = (r.u8().ok()?, r.u64().ok()?, r.u64().ok()?);
        r.finish().ok().map(|()| (Self { tree, level, index }, generation))
    }

    fn aad(&self, vault: &VaultId, generation: u64) -> Vec<u8> {
        Writer::new()
            .bytes(label::PAGE.as_bytes())
            .bytes(vault.as_bytes())
            .bytes(&self.tree.row_prefix())
            .u8(self.level)
            .u64(self.index)
            .u64(generation)
            .finish()
    }
}

/// What a page holds of one child.
pub struct Entry {
    /// Counts the keys this child has had.
    pub generation: u64,
    /// For the top of a tree its number of levels; for an item version or a subject's record the metadata counter.
    pub extra: u64,
    /// The child's key.
    pub key: Key,
}

impl Entry {
    /// What the key is called on a receipt.
    pub fn name(&self) -> KeyName {
        name_of(&self.key)
    }
}

/// What a key is called where it is said that it was forgotten. It is made from the key alone: it reveals nothing of it,
/// and once the key is gone nobody can tell whose it was.
pub type KeyName = [u8; 16];

/// See [`KeyName`].
pub fn name_of(key: &Key) -> KeyName {
    let derived = kdf::derive::<16>(b"", key, label::KEY_NAME, &[]);
    *derived.expose() // a name is no secret
}

/// An entry without its key: most lookups pass pages that are open already, and need no key for that.
pub struct Pointer {
    /// See [`Entry::generation`].
    pub generation: u64,
    /// See [`Entry::extra`].
    pub extra: u64,
    at: usize,
}

/// The clear content of a page.
pub struct Page(Zeroizing<Vec<u8>>);

const HEAD: usize = 4;
const RECORD: usize = 1 + 8 + 8 + 32;
const FULL: usize = HEAD + FANOUT as usize * RECORD;

impl Page {
    /// A page without children.
    pub fn empty() -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(FULL));
        bytes.extend_from_slice(&[0; HEAD]);
        Self(bytes)
    }

    /// A copy that can be changed: full capacity, so that growing it leaves no clear bytes behind.
    pub fn duplicate(&self) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(FULL));
        bytes.extend_from_slice(&self.0);
        Self(bytes)
    }

    /// The same page without room for more: what is kept for readers.
    pub fn compact(self) -> Self {
        if self.0.capacity() == self.0.len() { self } else { Self(Zeroizing::new(self.0.to_vec())) }
    }

    /// Bytes that the content takes in memory.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// What the page says of a child, without its key.
    pub fn pointer(&self, child: u8) -> Option<Pointer> {
        let at = self.find(child).ok()?;
        let record = &self.0[at..at + RECORD];
        Some(Pointer { generation: number(&record[1..9]), extra: number(&record[9..17]), at })
    }

    /// The key that goes with a pointer of this page.
    pub fn key(&self, pointer: &Pointer) -> Key {
        secret(&self.0[pointer.at + RECORD - 32..pointer.at + RECORD])
    }

    /// The child's entry.
    pub fn entry(&self, child: u8) -> Option<Entry> {
        let pointer = self.pointer(child)?;
        Some(Entry { generation: pointer.generation, extra: pointer.extra, key: self.key(&pointer) })
    }

    /// Adds a child or replaces it.
    pub fn set(&mut self, child: u8, entry: &Entry) {
        debug_assert!(u64::from(child) < FANOUT);
        let at = match self.find(child) {
            Ok(at) => at,
            Err(at) => {
                self.0.splice(at..at, [0; RECORD]);
                at
            }
        };
        let record = &mut self.0[at..at + RECORD];
        record[0] = child;
        record[1..9].copy_from_slice(&entry.generation.to_be_bytes());
        record[9..17].copy_from_slice(&entry.extra.to_be_bytes());
        record[17..].copy_from_slice(entry.key.expose());
    }

    /// Removes a child. True if it was there.
    ///
    /// INVARIANT: only [`super::tree`]'s forget calls this, which also replaces every key above.
    pub(super) fn remove(&mut self, child: u8) -> bool {
        let Ok(at) = self.find(child) else { return false };
        self.0.drain(at..at + RECORD);
        // `drain` moves the tail down; wipe what is left behind the new end.
        let len = self.0.len();
        self.0.resize(len + RECORD, 0);
        self.0.truncate(len);
        true
    }

    /// The numbers of the children, in order.
    pub fn children(&self) -> impl Iterator<Item = u8> {
        self.0[HEAD..].chunks_exact(RECORD).map(|record| record[0])
    }

    /// Number of children.
    pub fn len(&self) -> usize {
        (self.0.len() - HEAD) / RECORD
    }

    /// Whether there are no children.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Seals the page for its place. Counts the seal.
    pub fn seal(&mut self, vault: &VaultId, id: PageId, generation: u64, key: &Key) -> Result<Vec<u8>, RandomFailed> {
        let seals = self.seals() + 1;
        self.0[..HEAD].copy_from_slice(&seals.to_be_bytes());
        aead::seal(key, &id.aad(vault, generation), &self.0)
    }

    /// Opens a page at its place.
    pub fn open(vault: &VaultId, id: PageId, generation: u64, key: &Key, sealed: &[u8]) -> Result<Self, OpenFailed> {
        let bytes = aead::open(key, &id.aad(vault, generation), sealed)?.into_exposed();
        if bytes.len() < HEAD || bytes.len() > FULL || !(bytes.len() - HEAD).is_multiple_of(RECORD) {
            return Err(OpenFailed);
        }
        Ok(Self(bytes))
    }

    /// Whether the page's key has sealed so often that it must be replaced.
    pub fn is_worn(&self) -> bool {
        self.seals() >= PAGE_SEALS_MAX
    }

    /// Starts counting again, for a page that gets a fresh key.
    pub(super) fn reset_seals(&mut self) {
        self.0[..HEAD].fill(0);
    }

    /// As if its key had sealed so often.
    #[cfg(test)]
    pub(super) fn set_seals(&mut self, seals: u32) {
        self.0[..HEAD].copy_from_slice(&seals.to_be_bytes());
    }

    /// How often its key has sealed it.
    pub fn seals(&self) -> u32 {
        self.0[..HEAD].iter().fold(0, |n, byte| n << 8 | u32::from(*byte))
    }

    /// The offset of a child's record, or where it would be inserted.
    fn find(&self, child: u8) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = (low + high) / 2;
            let at = HEAD + middle * RECORD;
            match self.0[at].cmp(&child) {
                std::cmp::Ordering::Equal => return Ok(at),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(HEAD + low * RECORD)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn secret(bytes: &[u8]) -> Key {
    Secret::from_slice(bytes).expect("a record ends in exactly 32 key bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAULT: VaultId = VaultId::from_bytes([1; 16]);
    const PLACE: PageId = PageId { tree: Tree::Subjects, level: 0, index: 5 };

    fn entry(fill: u8) -> Entry {
        Entry { generation: u64::from(fill), extra: u64::from(fill) + 1, key: Secret::copied(&[fill; 32]) }
    }

    #[test]
    fn children_are_kept_in_order_and_found() {
        let mut page = Page::empty();
        for child in [63, 0, 7, 31] {
            page.set(child, &entry(child));
        }
        page.set(7, &entry(8));
        assert_eq!(page.len(), 4);
        assert_eq!(page.entry(7).expect("is there").key.expose(), &[8; 32]);
        assert_eq!(page.entry(63).expect("is there").extra, 64);
        assert!(page.entry(1).is_none());
        assert!(page.remove(0) && !page.remove(0));
        assert!(page.entry(0).is_none() && page.entry(31).is_some());
    }

    #[test]
    fn a_removed_key_leaves_no_trace_in_the_buffer() {
        let mut page = Page::empty();
        page.set(1, &entry(0xaa));
        page.set(2, &entry(0xbb));
        page.remove(2);
        page.0.resize(FULL, 0);
        assert!(!page.0.windows(4).any(|bytes| bytes == [0xbb; 4]));
    }

    #[test]
    fn a_full_page_never_reallocates() {
        let mut page = Page::empty();
        let start = page.0.as_ptr();
        for child in 0..FANOUT as u8 {
            page.set(child, &entry(child));
        }
        assert_eq!(page.0.as_ptr(), start);
    }

    #[test]
    fn a_compact_page_says_the_same_and_can_be_duplicated_to_grow() {
        let mut page = Page::empty();
        page.set(5, &entry(5));
        let compact = page.compact();
        assert!(compact.capacity() == HEAD + RECORD && compact.entry(5).is_some_and(|entry| entry.extra == 6));
        assert_eq!(compact.duplicate().capacity(), FULL);
    }

    #[test]
    fn a_page_opens_at_its_own_place_and_generation_only() {
        let key = Secret::copied(&[3; 32]);
        let mut page = Page::empty();
        page.set(9, &entry(9));
        let sealed = page.seal(&VAULT, PLACE, 4, &key).expect("nonce");
        assert!(Page::open(&VAULT, PLACE, 4, &key, &sealed).is_ok());
        let elsewhere = [
            (VaultId::from_bytes([2; 16]), PLACE, 4),
            (VAULT, PageId { tree: Tree::Reasons, ..PLACE }, 4),
            (VAULT, PageId { level: 1, ..PLACE }, 4),
            (VAULT, PageId { index: 6, ..PLACE }, 4),
            (VAULT, PLACE, 5),
        ];
        for (vault, place, generation) in elsewhere {
            assert!(Page::open(&vault, place, generation, &key, &sealed).is_err());
        }
    }

    #[test]
    fn a_page_key_wears_out_after_its_limit() {
        let key = Secret::copied(&[3; 32]);
        let mut page = Page::empty();
        page.set_seals(PAGE_SEALS_MAX - 1);
        assert!(!page.is_worn());
        page.seal(&VAULT, PLACE, 1, &key).expect("nonce");
        assert!(page.is_worn());
    }
}
