//! Pages and the tree of them: find, add and forget one subject among many. Storage is left out.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use lacuna::base::id::{SubjectId, VaultId};
use lacuna::base::secret::{Key, Secret};
use lacuna::keys::page::{Entry, FANOUT, Page, PageId, Tree};
use lacuna::keys::tree::{Draft, Error, Nodes, Pages, Root, find, plant, seal_all};

const VAULT: VaultId = VaultId::from_bytes([1; 16]);
/// Three levels of subjects, the last but one partly filled.
const SUBJECTS: u64 = 10_000;

/// Open pages, as a cache that holds all of them.
#[derive(Default)]
struct Open(HashMap<(PageId, u64), Arc<Page>>);

impl Pages for Open {
    fn open(&self, id: PageId, generation: u64, _key: &dyn Fn() -> Key) -> Result<Arc<Page>, Error> {
        self.0.get(&(id, generation)).cloned().ok_or(Error::Missing)
    }
}

fn subject(position: u64) -> Tree {
    Tree::Subject(SubjectId::from_bytes(u128::from(position).to_be_bytes()), position)
}

fn entry() -> Entry {
    Entry { generation: 1, extra: 1, key: Secret::copied(&[7; 32]) }
}

fn grown() -> (Root, Open) {
    let (root, top) = plant(&VAULT, 1).expect("random");
    let mut open = Open(HashMap::from([((top.id, top.generation), top.page)]));
    let earlier = Nodes::new();
    let mut draft = Draft::new(&open, &root, &earlier);
    for position in 0..SUBJECTS {
        draft.set(subject(position), 0, &entry()).expect("room");
    }
    let nodes = draft.into_nodes();
    let sealed = seal_all(&VAULT, &open, &root, nodes).expect("random");
    open.0.extend(sealed.pages.into_iter().map(|page| ((page.id, page.generation), page.page)));
    (root, open)
}

fn pages(c: &mut Criterion) {
    let key = Secret::copied(&[3; 32]);
    let id = PageId { tree: Tree::Subjects, level: 0, index: 5 };
    let mut page = Page::empty();
    for child in 0..FANOUT as u8 {
        page.set(child, &entry());
    }
    let sealed = page.seal(&VAULT, id, 1, &key).expect("a nonce");
    c.bench_function("page/seal_full", |b| b.iter(|| page.seal(&VAULT, id, 1, black_box(&key)).expect("a nonce")));
    c.bench_function("page/open_full", |b| {
        b.iter(|| Page::open(&VAULT, id, 1, black_box(&key), &sealed).expect("its own"));
    });
}

fn trees(c: &mut Criterion) {
    let (root, open) = grown();
    let earlier = Nodes::new();
    c.bench_function("tree/find", |b| b.iter(|| find(&open, &root, black_box(subject(4_321)), 0).expect("is there")));
    c.bench_function("tree/set", |b| {
        b.iter(|| {
            let mut draft = Draft::new(&open, &root, &earlier);
            draft.set(black_box(subject(4_321)), 1, &entry()).expect("room");
            seal_all(&VAULT, &open, &root, draft.into_nodes()).expect("random")
        });
    });
    c.bench_function("tree/forget", |b| {
        b.iter(|| {
            let mut draft = Draft::new(&open, &root, &earlier);
            let forgotten =
                draft.forget(2, &[(Tree::Subjects, black_box(4_321))], &[subject(4_321)]).expect("is there");
            seal_all(&VAULT, &open, &forgotten.root, draft.into_nodes()).expect("random")
        });
    });
}

criterion_group!(benches, pages, trees);
criterion_main!(benches);
