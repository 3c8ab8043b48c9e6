//! The tree of pages: paths, adding, forgetting. Pure over pages; whoever calls brings them and stores the result.
//!
//! ```text
//! R_e -> root page -> subjects: inner pages -> leaf pages -> one subject's tree -> its leaves: item keys
//!                  \-> reasons    \-> service keys
//! ```
//! A tree of height h has levels 0 (leaves) to h-1 (one top page) and room for 64^h positions. Positions are handed
//! out densely, so pages never split: a full tree grows a new top page whose first child is the old top.
//!
//! INVARIANT: an entry whose removal is to make something unreadable is never removed while any page on its path
//! keeps its key. [`Draft::forget`] is the only way to remove an entry, and it replaces every key up to the root.

mod walk;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::page::{Entry, FANOUT, Page, PageId, Tree};
use super::tally::Version;
use crate::base::id::VaultId;
use crate::base::limits::TREE_LEVELS_MAX;
use crate::base::secret::Key;
use crate::crypto::rng::{self, RandomFailed};
use crate::store;

/// Why a page or an entry could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The row of a page that its parent names is not there.
    #[error("a page of the key tree is missing")]
    Missing,
    /// A page does not open at its place.
    #[error("a page of the key tree is damaged")]
    Damaged,
    /// The tree has its highest allowed number of levels.
    #[error("the key tree is full")]
    Full,
    /// The system source failed.
    #[error(transparent)]
    Random(#[from] RandomFailed),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The key above everything, and the epoch that made it.
pub struct Root {
    /// Which replacement of the root this is.
    pub epoch: u64,
    /// R_e.
    pub key: Key,
}

/// Where pages come from: a cache, then the store.
pub trait Pages {
    /// Opens one generation of a page. Its key is asked for only if the page is not open already.
    fn open(&self, id: PageId, generation: u64, key: &dyn Fn() -> Key) -> Result<Arc<Page>, Error>;

    /// The same for a page that is looked at once: it is not kept open.
    fn glance(&self, id: PageId, generation: u64, key: &dyn Fn() -> Key) -> Result<Arc<Page>, Error> {
        self.open(id, generation, key)
    }
}

impl<P: Pages + ?Sized> Pages for &P {
    fn open(&self, id: PageId, generation: u64, key: &dyn Fn() -> Key) -> Result<Arc<Page>, Error> {
        (**self).open(id, generation, key)
    }

    fn glance(&self, id: PageId, generation: u64, key: &dyn Fn() -> Key) -> Result<Arc<Page>, Error> {
        (**self).glance(id, generation, key)
    }
}

/// Looks up one entry, from the root down.
///
/// # Errors
/// [`Error::Missing`] also when the root was replaced meanwhile: the caller tries again with the current one.
pub fn find(pages: &impl Pages, root: &Root, tree: Tree, position: u64) -> Result<Option<Entry>, Error> {
    Ok(leaf(pages, root, tree, position)?.and_then(|page| entry_of(&page, position)))
}

/// The entry of a position, in the leaf page that holds it.
pub fn entry_of(leaf: &Page, position: u64) -> Option<Entry> {
    leaf.entry(child(position, 0))
}

/// The leaf page that holds a position, if the tree has one.
pub fn leaf(pages: &impl Pages, root: &Root, tree: Tree, position: u64) -> Result<Option<Arc<Page>>, Error> {
    let Some((parent, at)) = tree.parent() else {
        let page = pages.open(ROOT_PAGE, root.epoch, &|| root.key.duplicate())?;
        return Ok((position < FANOUT).then_some(page));
    };
    let Some(mut above) = leaf(pages, root, parent, at)? else { return Ok(None) };
    let Some(mut pointer) = above.pointer(child(at, 0)) else { return Ok(None) };
    let mut level = height(pointer.extra)?;
    if position >= capacity(level) {
        return Ok(None);
    }
    loop {
        level -= 1;
        let id = PageId { tree, level, index: position / capacity(level + 1) };
        let page = pages.open(id, pointer.generation, &|| above.key(&pointer))?;
        if level == 0 {
            return Ok(Some(page));
        }
        let Some(next) = page.pointer(child(position, level)) else { return Ok(None) };
        (above, pointer) = (page, next);
    }
}

/// A page that a draft has changed.
pub struct Node {
    /// Counts the keys this page has had.
    pub generation: u64,
    /// The page's key.
    pub key: Key,
    /// Its clear content.
    pub page: Page,
}

impl Node {
    fn fresh() -> Result<Self, Error> {
        Ok(Self { generation: 1, key: rng::make_secret()?, page: Page::empty() })
    }

    fn pointer(&self, extra: u64) -> Entry {
        Entry { generation: self.generation, extra, key: self.key.duplicate() }
    }

    fn duplicate(&self) -> Self {
        Self { generation: self.generation, key: self.key.duplicate(), page: self.page.duplicate() }
    }

    /// What of the page is stored, if anything is.
    fn stored(&self, id: PageId) -> Option<Version> {
        let seals = self.page.seals();
        (seals > 0).then_some(Version { id, generation: self.generation, seals })
    }
}

/// Changed pages by place.
pub type Nodes = HashMap<PageId, Node>;

/// Changes on top of earlier changes on top of stored pages. Dropping a draft undoes it.
pub struct Draft<'a, P> {
    pages: &'a P,
    root: &'a Root,
    earlier: &'a Nodes,
    nodes: Nodes,
}

/// What an epoch leaves behind once its slots have moved on.
pub struct Forgotten {
    /// The new root.
    pub root: Root,
    /// Pages, by place and old generation, that others have taken the place of.
    pub replaced: Vec<(PageId, u64)>,
    /// Every stored page that the new root no longer reaches.
    pub left: Vec<Version>,
}

impl<'a, P: Pages> Draft<'a, P> {
    /// Starts on top of the changes that earlier drafts of the same commit group made.
    pub fn new(pages: &'a P, root: &'a Root, earlier: &'a Nodes) -> Self {
        Self { pages, root, earlier, nodes: Nodes::new() }
    }

    /// The changes.
    pub fn into_nodes(self) -> Nodes {
        self.nodes
    }

    /// Looks up one entry, changes included.
    pub fn find(&self, tree: Tree, position: u64) -> Result<Option<Entry>, Error> {
        let Some(path) = self.path(tree, position)? else { return Ok(None) };
        self.entry_at(path.last().expect("a path has a top"), child(position, 0))
    }

    /// Adds an entry or replaces it, growing the tree as needed. Makes nothing unreadable.
    pub fn set(&mut self, tree: Tree, position: u64, entry: &Entry) -> Result<(), Error> {
        let mut step = self.top_with_room(tree, position)?;
        while step.id.level > 0 {
            let number = child(position, step.id.level);
            let pointer = match self.entry_at(&step, number)? {
                Some(pointer) => pointer,
                None => {
                    let fresh = Node::fresh()?;
                    let pointer = fresh.pointer(0);
                    self.own(&step)?.page.set(number, &pointer);
                    self.nodes.insert(step.child_id(position), fresh);
                    pointer
                }
            };
            step = step.down(position, pointer);
        }
        self.own(&step)?.page.set(child(position, 0), entry);
        Ok(())
    }

    /// Forgets entries: removes them, gives every page on their paths a fresh key and generation, and makes a new
    /// root. Whoever holds every byte but the new root's slot secrets can open none of the removed entries.
    ///
    /// A tree whose own entry is among them goes with all that hangs on it; `whole` names each such tree.
    pub fn forget(&mut self, epoch: u64, targets: &[(Tree, u64)], whole: &[Tree]) -> Result<Forgotten, Error> {
        let mut left = Vec::new();
        for tree in whole.iter().collect::<HashSet<_>>() {
            match self.each_page(*tree, &mut |page, _| left.push(page)) {
                // INVARIANT: what cannot be read goes all the same. It stays in the tally, and is found missing there.
                Ok(()) | Err(Error::Missing | Error::Damaged) => {}
                Err(error) => return Err(error),
            }
        }
        let mut touched = BTreeSet::new();
        let mut heights = HashMap::new();
        self.touch_path(Tree::Root, 0, &mut touched, &mut heights)?;
        let named: HashSet<&(Tree, u64)> = targets.iter().collect();
        for &(tree, position) in targets {
            // INVARIANT: no page of a tree that goes gets a fresh key, for which its parent would take it back.
            if tree.parent().is_some_and(|parent| named.contains(&parent)) {
                continue;
            }
            if let Some(leaf) = self.touch_path(tree, position, &mut touched, &mut heights)? {
                self.nodes.get_mut(&leaf).expect("touched pages are in the draft").page.remove(child(position, 0));
            }
        }
        let mut replaced = Vec::with_capacity(touched.len());
        let mut root = None;
        for order in touched {
            let id = order.id;
            let node = self.nodes.get_mut(&id).expect("touched pages are in the draft");
            replaced.push((id, node.generation));
            left.extend(node.stored(id));
            node.key = rng::make_secret()?;
            node.page.reset_seals();
            if id.tree == Tree::Root {
                node.generation = epoch;
                root = Some(Root { epoch, key: node.key.duplicate() });
            } else {
                node.generation += 1;
                self.point_parent_at(id, heights[&id.tree]);
            }
        }
        Ok(Forgotten { root: root.expect("the root page is on every path"), replaced, left })
    }

    /// Copies every page from a position's leaf up to the root into the draft. The leaf, or `None` if the path ends early.
    fn touch_path(
        &mut self,
        tree: Tree,
        position: u64,
        touched: &mut BTreeSet<Order>,
        heights: &mut HashMap<Tree, u8>,
    ) -> Result<Option<PageId>, Error> {
        let Some(path) = self.path(tree, position)? else { return Ok(None) };
        let leaf = path.last().expect("a path has a top").id;
        heights.insert(tree, path[0].id.level + 1);
        for step in &path {
            self.own(step)?;
            touched.insert(Order::of(step.id));
        }
        if let Some((parent, at)) = tree.parent() {
            self.touch_path(parent, at, touched, heights)?;
        }
        Ok(Some(leaf))
    }

    /// Writes a re-keyed page's pointer into its parent, which the caller has in the draft.
    fn point_parent_at(&mut self, id: PageId, height: u8) {
        let (parent, number) = parent_place(id, height).expect("only the root page has no parent");
        let extra = if id.level + 1 == height { u64::from(height) } else { 0 };
        let pointer = self.nodes[&id].pointer(extra);
        self.nodes.get_mut(&parent).expect("a parent is on its child's path").page.set(number, &pointer);
    }

    /// The steps from the top of a tree to a position's leaf; `None` if some page on the way does not exist.
    fn path(&self, tree: Tree, position: u64) -> Result<Option<Vec<Step>>, Error> {
        self.path_to_level(tree, position, 0)
    }

    fn path_to_level(&self, tree: Tree, position: u64, level: u8) -> Result<Option<Vec<Step>>, Error> {
        let Some(pointer) = self.pointer(tree)? else { return Ok(None) };
        let height = height(pointer.extra)?;
        if position >= capacity(height) {
            return Ok(None);
        }
        let mut path = vec![Step::top(tree, height, pointer)];
        loop {
            let step = path.last().expect("never empty");
            if step.id.level == level {
                return Ok(Some(path));
            }
            let Some(entry) = self.entry_at(step, child(position, step.id.level))? else { return Ok(None) };
            let next = step.down(position, entry);
            path.push(next);
        }
    }

    /// The pointer to a tree's top page.
    fn pointer(&self, tree: Tree) -> Result<Option<Entry>, Error> {
        match tree.parent() {
            None => Ok(Some(root_pointer(self.root))),
            Some((parent, at)) => self.find(parent, at),
        }
    }

    /// The top page of a tree that has room for a position: planted if there is none, grown if it is too low.
    fn top_with_room(&mut self, tree: Tree, position: u64) -> Result<Step, Error> {
        let mut pointer = match self.pointer(tree)? {
            Some(pointer) => pointer,
            None => self.new_top(tree, 1, None)?,
        };
        let mut levels = height(pointer.extra)?;
        while position >= capacity(levels) {
            if tree == Tree::Root || levels == TREE_LEVELS_MAX {
                return Err(Error::Full);
            }
            levels += 1;
            pointer = self.new_top(tree, levels, Some(pointer))?;
        }
        Ok(Step::top(tree, levels, pointer))
    }

    /// Puts a new top page on a tree, with the old one as its first child.
    fn new_top(&mut self, tree: Tree, levels: u8, old: Option<Entry>) -> Result<Entry, Error> {
        let mut node = Node::fresh()?;
        if let Some(old) = old {
            node.page.set(0, &Entry { extra: 0, ..old });
        }
        let pointer = node.pointer(u64::from(levels));
        self.nodes.insert(PageId { tree, level: levels - 1, index: 0 }, node);
        let (parent, at) = tree.parent().expect("the root page exists from the start and never grows");
        self.set(parent, at, &pointer)?;
        Ok(pointer)
    }

    fn entry_at(&self, step: &Step, number: u8) -> Result<Option<Entry>, Error> {
        match self.nodes.get(&step.id).or_else(|| self.earlier.get(&step.id)) {
            Some(node) => Ok(node.page.entry(number)),
            None => Ok(self.pages.open(step.id, step.generation, &|| step.key.duplicate())?.entry(number)),
        }
    }

    /// The draft's own copy of a page.
    fn own(&mut self, step: &Step) -> Result<&mut Node, Error> {
        if !self.nodes.contains_key(&step.id) {
            let node = match self.earlier.get(&step.id) {
                Some(node) => node.duplicate(),
                None => Node {
                    generation: step.generation,
                    key: step.key.duplicate(),
                    page: self.pages.open(step.id, step.generation, &|| step.key.duplicate())?.duplicate(),
                },
            };
            self.nodes.insert(step.id, node);
        }
        Ok(self.nodes.get_mut(&step.id).expect("inserted above"))
    }
}

/// A page ready to be stored.
pub struct Sealed {
    /// Its place.
    pub id: PageId,
    /// Its generation.
    pub generation: u64,
    /// The row's value.
    pub bytes: Vec<u8>,
    /// The clear content, for the cache.
    pub page: Arc<Page>,
}

impl Sealed {
    /// What is stored with it.
    pub fn version(&self) -> Version {
        Version { id: self.id, generation: self.generation, seals: self.page.seals() }
    }
}

/// All changed pages of a commit group, sealed.
pub struct SealedPages {
    /// New contents.
    pub pages: Vec<Sealed>,
    /// What a worn-out key left behind; these rows can go at once.
    pub obsolete: Vec<Version>,
}

/// Seals changed pages, children before parents. A page whose key has sealed often enough gets a new key on the way.
pub fn seal_all<P: Pages>(vault: &VaultId, pages: &P, root: &Root, nodes: Nodes) -> Result<SealedPages, Error> {
    let mut draft = Draft { pages, root, earlier: &Nodes::new(), nodes };
    let mut obsolete = Vec::new();
    let mut open: BTreeSet<Order> = draft.nodes.keys().map(|id| Order::of(*id)).collect();
    let mut sealed = Vec::with_capacity(open.len());
    while let Some(Order { id, .. }) = open.pop_first() {
        if id.tree != Tree::Root && draft.nodes[&id].page.is_worn() {
            obsolete.extend(draft.nodes[&id].stored(id));
            let parent = draft.renew(id)?;
            open.insert(Order::of(parent));
        }
        let mut node = draft.nodes.remove(&id).expect("listed from the draft");
        let bytes = node.page.seal(vault, id, node.generation, &node.key)?;
        sealed.push(Sealed { id, generation: node.generation, bytes, page: Arc::new(node.page.compact()) });
    }
    Ok(SealedPages { pages: sealed, obsolete })
}

impl<P: Pages> Draft<'_, P> {
    /// Gives a page a fresh key and tells its parent. Makes nothing unreadable. The parent's place.
    fn renew(&mut self, id: PageId) -> Result<PageId, Error> {
        let pointer = self.pointer(id.tree)?.ok_or(Error::Missing)?;
        let levels = height(pointer.extra)?;
        let (parent, number) = parent_place(id, levels).ok_or(Error::Missing)?;
        let (tree, position) = match id.tree.parent() {
            Some(place) if parent.tree != id.tree => place,
            _ => (id.tree, id.index * capacity(id.level + 1)),
        };
        // Only pages above `id` are looked at: those below may be sealed already and not yet stored.
        let path = self.path_to_level(tree, position, parent.level)?.ok_or(Error::Missing)?;
        self.own(path.last().expect("a path has a top"))?;
        let node = self.nodes.get_mut(&id).expect("the caller has it in the draft");
        node.key = rng::make_secret()?;
        node.generation += 1;
        node.page.reset_seals();
        let extra = if id.level + 1 == levels { u64::from(levels) } else { 0 };
        let pointer = node.pointer(extra);
        self.nodes.get_mut(&parent).expect("owned above").page.set(number, &pointer);
        Ok(parent)
    }
}

/// The first root: an empty root page, sealed.
pub fn plant(vault: &VaultId, epoch: u64) -> Result<(Root, Sealed), Error> {
    let root = Root { epoch, key: rng::make_secret()? };
    let mut page = Page::empty();
    let bytes = page.seal(vault, ROOT_PAGE, epoch, &root.key)?;
    Ok((root, Sealed { id: ROOT_PAGE, generation: epoch, bytes, page: Arc::new(page) }))
}

/// The page that R_e opens.
pub const ROOT_PAGE: PageId = PageId { tree: Tree::Root, level: 0, index: 0 };

/// A page on the way down, with what its parent says of it.
struct Step {
    id: PageId,
    generation: u64,
    key: Key,
}

impl Step {
    fn top(tree: Tree, height: u8, pointer: Entry) -> Self {
        Self { id: PageId { tree, level: height - 1, index: 0 }, generation: pointer.generation, key: pointer.key }
    }

    fn child_id(&self, position: u64) -> PageId {
        let level = self.id.level - 1;
        PageId { tree: self.id.tree, level, index: position / capacity(level + 1) }
    }

    fn down(&self, position: u64, pointer: Entry) -> Self {
        Self { id: self.child_id(position), generation: pointer.generation, key: pointer.key }
    }
}

/// Children before parents.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Order {
    above: std::cmp::Reverse<u8>,
    level: u8,
    id: PageId,
}

impl Order {
    fn of(id: PageId) -> Self {
        Self { above: std::cmp::Reverse(id.tree.depth()), level: id.level, id }
    }
}

/// The page that holds a page's key, and under which number.
fn parent_place(id: PageId, height: u8) -> Option<(PageId, u8)> {
    if id.level + 1 < height {
        let parent = PageId { tree: id.tree, level: id.level + 1, index: id.index / FANOUT };
        return Some((parent, (id.index % FANOUT) as u8));
    }
    let (tree, position) = id.tree.parent()?;
    Some((PageId { tree, level: 0, index: position / FANOUT }, child(position, 0)))
}

/// Which child of a page at `level` leads to a position.
fn child(position: u64, level: u8) -> u8 {
    (position / capacity(level) % FANOUT) as u8
}

/// Positions in a tree of so many levels.
fn capacity(levels: u8) -> u64 {
    FANOUT.saturating_pow(u32::from(levels))
}

/// Levels of a tree, as the pointer to its top says.
fn height(extra: u64) -> Result<u8, Error> {
    u8::try_from(extra).ok().filter(|h| (1..=TREE_LEVELS_MAX).contains(h)).ok_or(Error::Damaged)
}

fn root_pointer(root: &Root) -> Entry {
    Entry { generation: root.epoch, extra: 1, key: root.key.duplicate() }
}

#[cfg(test)]
mod tests;
