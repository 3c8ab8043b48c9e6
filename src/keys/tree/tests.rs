use super::*;
use crate::base::id::SubjectId;
use crate::base::limits::PAGE_SEALS_MAX;
use crate::base::secret::Secret;
use crate::keys::tally::Tally;
use proptest::prelude::*;
use std::cell::RefCell;

const VAULT: VaultId = VaultId::from_bytes([7; 16]);

/// A store that forgets nothing: every sealed page it was ever given, by place and generation.
struct Disk {
    tally: RefCell<Tally>,
    current: RefCell<HashMap<(PageId, u64), Vec<u8>>>,
    ever: RefCell<Vec<(PageId, u64, Vec<u8>)>>,
}

impl Pages for Disk {
    fn open(&self, id: PageId, generation: u64, key: &dyn Fn() -> Key) -> Result<Arc<Page>, Error> {
        let rows = self.current.borrow();
        let row = rows.get(&(id, generation)).ok_or(Error::Missing)?;
        Page::open(&VAULT, id, generation, &key(), row).map(Arc::new).map_err(|_| Error::Damaged)
    }
}

impl Disk {
    fn planted() -> (Self, Root) {
        let tally = RefCell::new(Tally::new().expect("random"));
        let disk = Self { tally, current: RefCell::default(), ever: RefCell::default() };
        let (root, page) = plant(&VAULT, 1).expect("random");
        disk.tally.borrow_mut().replace(&page.version());
        disk.put(page.id, page.generation, page.bytes);
        (disk, root)
    }

    fn put(&self, id: PageId, generation: u64, bytes: Vec<u8>) {
        self.ever.borrow_mut().push((id, generation, bytes.clone()));
        self.current.borrow_mut().insert((id, generation), bytes);
    }

    fn store(&self, root: &Root, nodes: Nodes) {
        let sealed = seal_all(&VAULT, self, root, nodes).expect("seals");
        for page in sealed.pages {
            self.tally.borrow_mut().replace(&page.version());
            self.put(page.id, page.generation, page.bytes);
        }
        for page in sealed.obsolete {
            self.tally.borrow_mut().remove(&page);
            self.current.borrow_mut().remove(&(page.id, page.generation));
        }
    }

    fn set(&self, root: &Root, tree: Tree, position: u64, fill: u8) {
        let nodes = Nodes::new();
        let mut draft = Draft::new(self, root, &nodes);
        draft.set(tree, position, &entry(fill)).expect("sets");
        let nodes = draft.into_nodes();
        self.store(root, nodes);
    }

    fn forget(&self, root: &Root, targets: &[(Tree, u64)]) -> Root {
        let nodes = Nodes::new();
        let mut draft = Draft::new(self, root, &nodes);
        let whole: Vec<Tree> =
            self.trees().into_iter().filter(|tree| targets.contains(&tree.parent().expect("hangs"))).collect();
        let forgotten = draft.forget(root.epoch + 1, targets, &whole).expect("forgets");
        let nodes = draft.into_nodes();
        forgotten.left.iter().for_each(|page| self.tally.borrow_mut().remove(page));
        self.store(&forgotten.root, nodes);
        for (id, generation) in forgotten.replaced {
            self.current.borrow_mut().remove(&(id, generation));
        }
        forgotten.root
    }

    /// The trees of people and of reasons that there ever were.
    fn trees(&self) -> HashSet<Tree> {
        let of_page = |(id, ..): &(PageId, u64, Vec<u8>)| id.tree;
        self.ever.borrow().iter().map(of_page).filter(|tree| tree.depth() == 2).collect()
    }

    /// Whether the tally is of the pages that can be reached.
    fn is_tallied(&self, root: &Root) -> bool {
        self.counted(root).is(&self.tally.borrow())
    }

    fn counted(&self, root: &Root) -> Tally {
        let (nodes, mut counted) = (Nodes::new(), self.tally.borrow().restart());
        let draft = Draft::new(self, root, &nodes);
        let own = [Tree::Root, Tree::Subjects, Tree::Reasons, Tree::Service];
        for tree in own.into_iter().chain(self.trees()) {
            draft.each_page(tree, &mut |page, _| counted.add(&page)).expect("opens");
        }
        counted
    }

    fn found(&self, root: &Root, tree: Tree, position: u64) -> Option<u8> {
        find(self, root, tree, position).expect("opens").map(|entry| entry.key.expose()[0])
    }

    /// Every key that can be reached from `root` with every page ever written, whatever its age.
    fn reachable(&self, root: &Root) -> BTreeSet<[u8; 32]> {
        let mut known = BTreeSet::from([*root.key.expose()]);
        loop {
            let before = known.len();
            for (id, generation, bytes) in self.ever.borrow().iter() {
                for key in known.clone() {
                    let Ok(page) = Page::open(&VAULT, *id, *generation, &Secret::copied(&key), bytes) else { continue };
                    known.extend((0..FANOUT as u8).filter_map(|c| page.entry(c)).map(|e| *e.key.expose()));
                }
            }
            if known.len() == before {
                return known;
            }
        }
    }
}

fn entry(fill: u8) -> Entry {
    Entry { generation: 1, extra: 0, key: Secret::copied(&[fill; 32]) }
}

fn subject(position: u64) -> Tree {
    Tree::Subject(SubjectId::from_bytes([position as u8; 16]), position)
}

#[test]
fn a_tree_grows_by_levels_and_keeps_what_it_has() {
    let (disk, root) = Disk::planted();
    for (position, fill) in [(0, 1), (63, 2), (64, 3), (4095, 4), (4096, 5), (300_000, 6)] {
        disk.set(&root, Tree::Service, position, fill);
    }
    for (position, fill) in [(0, 1), (63, 2), (64, 3), (4095, 4), (4096, 5), (300_000, 6)] {
        assert_eq!(disk.found(&root, Tree::Service, position), Some(fill));
    }
    for position in [1, 65, 4097, 262_143, 16_777_216, u64::MAX] {
        assert_eq!(disk.found(&root, Tree::Service, position), None);
    }
}

#[test]
fn a_subject_has_a_tree_of_its_own_below_its_position() {
    let (disk, root) = Disk::planted();
    for item in 0..130 {
        disk.set(&root, subject(70), item, item as u8);
        disk.set(&root, subject(71), item, 200);
    }
    assert_eq!(disk.found(&root, subject(70), 129), Some(129));
    assert_eq!(disk.found(&root, subject(72), 0), None);
    let root = disk.forget(&root, &[(Tree::Subjects, 70)]);
    assert_eq!(disk.found(&root, subject(70), 129), None);
    assert_eq!(disk.found(&root, subject(71), 129), Some(200));
}

#[test]
fn what_is_forgotten_cannot_be_reached_through_any_page_ever_written() {
    let (disk, root) = Disk::planted();
    for item in 0..70 {
        disk.set(&root, subject(1), item, item as u8 + 1);
        disk.set(&root, subject(65), item, item as u8 + 101);
    }
    let old_root = Root { epoch: root.epoch, key: root.key.duplicate() };
    let root = disk.forget(&root, &[(subject(1), 3), (subject(1), 69), (Tree::Subjects, 65)]);
    disk.set(&root, subject(1), 3, 250);

    let (before, after) = (disk.reachable(&old_root), disk.reachable(&root));
    for fill in [4, 70, 101, 170] {
        assert!(before.contains(&[fill; 32]), "the search must be able to find {fill}");
        assert!(!after.contains(&[fill; 32]), "{fill} was forgotten");
    }
    for fill in [1, 5, 69, 250] {
        assert!(after.contains(&[fill; 32]), "{fill} is still kept");
    }
}

#[test]
fn forgetting_rewrites_the_paths_and_nothing_else() {
    let (disk, root) = Disk::planted();
    for position in 0..5000 {
        disk.set(&root, Tree::Service, position, 1);
    }
    let before = disk.ever.borrow().len();
    disk.forget(&root, &[(Tree::Service, 0), (Tree::Service, 1), (Tree::Service, 4999)]);
    // Two leaves, two inner pages, the top and the root.
    assert_eq!(disk.ever.borrow().len() - before, 6);
}

#[test]
fn a_worn_page_gets_a_new_key_and_stays_reachable() {
    let (disk, root) = Disk::planted();
    for position in [0, 64, 70 * 64] {
        disk.set(&root, Tree::Service, position, 9);
    }
    let leaf = PageId { tree: Tree::Service, level: 0, index: 0 };
    let earlier = Nodes::new();
    let mut draft = Draft::new(&disk, &root, &earlier);
    draft.set(Tree::Service, 1, &entry(7)).expect("sets");
    let mut nodes = draft.into_nodes();
    nodes.get_mut(&leaf).expect("was set").page.set_seals(PAGE_SEALS_MAX - 3);
    disk.store(&root, nodes);
    *disk.tally.borrow_mut() = disk.counted(&root);
    disk.set(&root, Tree::Service, 1, 7);
    assert!(disk.current.borrow().contains_key(&(leaf, 1)), "not yet");
    for _ in 0..3 {
        disk.set(&root, Tree::Service, 1, 8);
    }
    assert_eq!(disk.found(&root, Tree::Service, 0), Some(9));
    assert_eq!(disk.found(&root, Tree::Service, 1), Some(8));
    assert!(disk.current.borrow().contains_key(&(leaf, 2)) && !disk.current.borrow().contains_key(&(leaf, 1)));
    assert!(disk.is_tallied(&root));
}

#[test]
fn a_dropped_draft_changes_nothing() {
    let (disk, root) = Disk::planted();
    disk.set(&root, subject(0), 0, 1);
    let nodes = Nodes::new();
    let mut draft = Draft::new(&disk, &root, &nodes);
    draft.set(subject(0), 1, &entry(2)).expect("sets");
    assert!(draft.find(subject(0), 1).expect("finds").is_some());
    drop(draft);
    assert_eq!(disk.found(&root, subject(0), 1), None);
}

#[derive(Debug, Clone)]
enum Step {
    Set(u8, u16, u8),
    Forget(Vec<(u8, u16)>),
    ForgetSubject(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..4, 0u16..140, 1u8..255).prop_map(|(s, p, f)| Step::Set(s, p, f)),
        2 => prop::collection::vec((0u8..4, 0u16..140), 1..4).prop_map(Step::Forget),
        1 => (0u8..4).prop_map(Step::ForgetSubject),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_tree_agrees_with_a_map(steps in steps()) {
        let (disk, mut root) = Disk::planted();
        let mut model: HashMap<(u8, u16), u8> = HashMap::new();
        for step in steps {
            match step {
                Step::Set(s, p, fill) => {
                    disk.set(&root, subject(u64::from(s) * 64), u64::from(p), fill);
                    model.insert((s, p), fill);
                }
                Step::Forget(targets) => {
                    let places: Vec<_> = targets.iter().map(|(s, p)| (subject(u64::from(*s) * 64), u64::from(*p))).collect();
                    root = disk.forget(&root, &places);
                    targets.iter().for_each(|target| { model.remove(target); });
                }
                Step::ForgetSubject(s) => {
                    root = disk.forget(&root, &[(Tree::Subjects, u64::from(s) * 64)]);
                    model.retain(|(subject, _), _| *subject != s);
                }
            }
            prop_assert!(disk.is_tallied(&root));
            for s in 0..4 {
                let tree = subject(u64::from(s) * 64);
                // As `find` does, but each leaf is opened once for all its entries.
                let leaves = [0, 64, 128].map(|first| leaf(&disk, &root, tree, first).expect("opens"));
                for p in 0..140 {
                    let found = leaves[usize::from(p / 64)].as_ref().and_then(|leaf| entry_of(leaf, u64::from(p)));
                    prop_assert_eq!(found.map(|entry| entry.key.expose()[0]), model.get(&(s, p)).copied());
                }
            }
        }
    }
}

#[test]
fn a_tree_goes_whole_also_when_one_of_its_entries_is_named_too() {
    let (disk, root) = Disk::planted();
    let (ann, ben) =
        (Tree::Subject(SubjectId::from_bytes([1; 16]), 3), Tree::Subject(SubjectId::from_bytes([2; 16]), 4));
    for position in 0..70 {
        disk.set(&root, ann, position, 10);
    }
    disk.set(&root, ben, 0, 20);
    let mut keys = BTreeSet::new();
    let nodes = Nodes::new();
    Draft::new(&disk, &root, &nodes)
        .each_key(ann, &mut |key| {
            keys.insert(*key.expose());
        })
        .expect("opens");
    // The entries all have the same key here; two leaves, and one page above them.
    assert_eq!(keys.len(), 4);
    let root = disk.forget(&root, &[(ann, 5), (Tree::Subjects, 3), (ann, 69)]);
    assert_eq!(disk.found(&root, ann, 5), None);
    assert_eq!(disk.found(&root, ann, 6), None);
    assert_eq!(disk.found(&root, ben, 0), Some(20));
    assert!(disk.reachable(&root).is_disjoint(&keys), "no key of what went can be reached any more");
}

/// What a hold does to a key: an add under the reason, a forget where it was, a forget under the reason at the end.
#[test]
fn a_key_that_was_moved_is_reachable_by_its_reason_alone_and_then_by_nothing() {
    let (disk, root) = Disk::planted();
    let (person, item) = (subject(3), 2);
    let reason = |id: u8, position| Tree::Reason(crate::base::id::ReasonId::from_bytes([id; 16]), position);
    let (first, second) = (reason(1, 0), reason(2, 1));
    for position in 0..70 {
        disk.set(&root, person, position, position as u8 + 100);
        disk.set(&root, first, position, 10);
    }
    let key = [item as u8 + 100; 32];
    disk.set(&root, first, 70, key[0]);
    disk.set(&root, second, 1, key[0]);
    let root = disk.forget(&root, &[(person, item)]);
    assert_eq!((disk.found(&root, person, item), disk.found(&root, first, 70)), (None, Some(key[0])));
    assert_eq!(disk.found(&root, person, 3), Some(103), "the others stay where they are");
    // One reason ends: the other has it still.
    let root = disk.forget(&root, &[(first, 70)]);
    assert_eq!((disk.found(&root, first, 70), disk.found(&root, first, 69)), (None, Some(10)));
    assert!(disk.reachable(&root).contains(&key), "the second reason keeps it");
    let root = disk.forget(&root, &[(second, 1)]);
    assert!(!disk.reachable(&root).contains(&key), "no byte ever written leads to it any more");
}

#[test]
fn a_person_who_goes_whole_leaves_what_a_reason_keeps() {
    let (disk, root) = Disk::planted();
    let (person, reason) = (subject(3), Tree::Reason(crate::base::id::ReasonId::from_bytes([1; 16]), 0));
    disk.set(&root, person, 0, 50);
    disk.set(&root, person, 1, 51);
    disk.set(&root, reason, 1, 50);
    let root = disk.forget(&root, &[(Tree::Subjects, 3)]);
    assert_eq!((disk.found(&root, person, 0), disk.found(&root, reason, 1)), (None, Some(50)));
    assert!(!disk.reachable(&root).contains(&[51; 32]));
}
