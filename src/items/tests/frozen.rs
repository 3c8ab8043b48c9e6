//! A whole store of format 1, with its slots, as an earlier build wrote it: it must open and read for ever.
//!
//! The vector holds every record and every block of the slots that is not empty. A change of any record, label,
//! derivation or additional data makes this red; then the format has changed, and its version must.

use super::*;
use crate::base::id::SlotId;
use crate::doctor::{Pages, look_through};
use crate::gate::refusal::State;
use crate::items::model::{Delete, NewMetadata, Notes, Update, Wait};
use crate::items::{delete, put, subject, update};
use crate::keys::root;
use crate::keys::slot::file::{Place, SlotView};

const VECTOR: &str = include_str!("../../../tests/vectors/store-1.txt");
const BLOCK: usize = 4096;
const LEDGER: &[u8] = b"intent_next";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

fn dump(bench: &Bench) -> String {
    let mut lines = Vec::new();
    for space in Space::ALL {
        for (key, value) in bench.rows(*space) {
            lines.push(format!("{} {} {}", *space as u8, hex(&key), hex(&value)));
        }
    }
    for name in ["a", "b"] {
        let bytes = std::fs::read(bench.dir.path().join(name)).expect("a slot");
        for (number, block) in bytes.chunks(BLOCK).enumerate() {
            lines.push(format!("slot-{name} {number} {}", hex(block).trim_end_matches("00")));
        }
    }
    lines.join("\n") + "\n"
}

/// Puts the vector's records into an engine and its slots into a folder.
fn restore(dir: &std::path::Path) -> MemoryEngine {
    let engine = MemoryEngine::new();
    let mut batch = Batch::new();
    let mut slots: [Vec<u8>; 2] = Default::default();
    for line in VECTOR.lines() {
        let parts: Vec<&str> = line.split(' ').collect();
        match parts[0].strip_prefix("slot-") {
            Some(name) => {
                let mut block = unhex(&(parts[2].to_owned() + &"0".repeat(parts[2].len() % 2)));
                block.resize(BLOCK, 0);
                slots[usize::from(name == "b")].extend(block);
            }
            None => {
                let tag: u8 = parts[0].parse().expect("a tag");
                let space = Space::ALL.iter().find(|space| **space as u8 == tag).expect("a known tag");
                batch.put(*space, unhex(parts[1]), unhex(parts[2]));
            }
        }
    }
    engine.commit(batch).expect("stores");
    for (name, bytes) in ["a", "b"].iter().zip(slots) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(dir.join(name), bytes).expect("writes");
        std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o600)).expect("mode");
    }
    engine
}

fn external(id: &str) -> SubjectRef {
    SubjectRef::External(Text::from(id))
}

/// What the vector was made of: a subject with a read, corrected and a deleted item.
async fn make() -> Bench {
    let bench = Bench::new();
    let call = bench.call_once(Action::CreateSubject, "first", "Ada").await;
    let notes = Notes { source: "a form".into(), ..Notes::default() };
    let metadata = NewMetadata { notes, ..NewMetadata::default() };
    let first = NewItem { metadata, ..contact("Ada") };
    let labels = vec![("region".into(), "eu".into())];
    let new = NewSubject { external_id: "user-1".into(), labels, items: vec![first, contact("Grace")] };
    let created = create::create(&bench.vault, &call, new).await.expect("creates");
    let call = bench.call_once(Action::PutItem, "second", "Joan").await;
    put::put(&bench.vault, &call, external("user-1"), contact("Joan")).await.expect("stores");
    let call = bench.call(Action::UpdateItem).await;
    let value = Some(contact("Ada Lovelace").value);
    let (subject, item) = (SubjectRef::Id(created.subject), created.items[0].item);
    let wanted = Update { subject, item, etag: String::new(), value, metadata: None, wait: Wait::Erased };
    update::update(&bench.vault, &call, wanted).await.expect("corrects");
    let call = bench.call_once(Action::DeleteItem, "third", "").await;
    let (subject, item) = (SubjectRef::Id(created.subject), created.items[1].item);
    let wanted = Delete { subject, item, etag: String::new(), wait: Wait::Erased };
    delete::delete(&bench.vault, &call, wanted).await.expect("deletes");
    bench
}

#[tokio::test]
#[ignore = "writes the vector anew: only for a new format"]
async fn write_the_vector() {
    let bench = make().await;
    bench.vault.stop();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/store-1.txt");
    std::fs::write(path, dump(&bench)).expect("writes");
}

#[tokio::test]
async fn a_store_of_format_1_is_read_for_ever() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = restore(dir.path());
    let bench = Bench::on(engine, dir);
    bench.at(HOUR);
    let call = bench.call(Action::GetSubject).await;
    let view = subject::describe(&bench.vault, &call, external("user-1")).await.expect("is there");
    assert_eq!((view.external_id.expose(), view.labels.len()), ("user-1", 1));
    assert_eq!(view.item_counts.iter().map(|(_, count)| count).sum::<u64>(), 2);
    let mut names = Vec::new();
    for (key, _) in bench.rows(Space::Item) {
        let id = ItemId::from_bytes(key[16..].try_into().expect("16 bytes"));
        names.push(bench.name(view.subject, id).await.expect("reads"));
    }
    names.sort();
    assert_eq!(names, ["Ada Lovelace", "Joan"]);

    let call = bench.call_once(Action::PutItem, "second", "Joan").await;
    put::put(&bench.vault, &call, external("user-1"), contact("Joan")).await.expect("is a repeat");
    assert_eq!(bench.rows(Space::Item).len(), 2);
    let call = bench.call_once(Action::CreateSubject, "first", "Ada").await;
    let new = NewSubject { external_id: "user-1".into(), labels: vec![], items: vec![] };
    let refusal = create::create(&bench.vault, &call, new).await.expect_err("is partly erased");
    assert_eq!(refusal, State::Erased(None).into(), "which receipt, records of that time say to whoever wrote them");

    let leaves = bench.leaves();
    assert_eq!(leaves.iter().filter(|leaf| leaf.operation == "ItemErased").count(), 1);
    let id = ItemId::from_bytes(bench.rows(Space::Item)[0].0[16..].try_into().expect("16 bytes"));
    let call = bench.call(Action::DeleteItem).await;
    let subject = SubjectRef::Id(view.subject);
    let wanted = Delete { subject, item: id, etag: String::new(), wait: Wait::Erased };
    let erasure = delete::delete(&bench.vault, &call, wanted).await.expect("deletes");
    assert!(erasure.epoch > view_epoch(&leaves));
    // Its pages were never counted, and whoever runs the vault says that they are to be.
    let vault = bench.vault.clone();
    let look = move |accept| {
        look_through(vault.committer(), *vault.id(), accept, Arc::default()).expect("the store is read").pages
    };
    let looked = std::thread::spawn(move || [look(false), look(true), look(false)]).join().expect("no panic");
    assert_eq!(looked, [Pages::Unknown, Pages::Unknown, Pages::Newest]);
}

fn view_epoch(leaves: &[Leaf]) -> u64 {
    leaves.iter().map(|leaf| leaf.epoch).max().unwrap_or(0)
}

impl Bench {
    /// A vault of an earlier release, opened for the first time with these rows beside its own.
    fn of_before(rows: &[(Space, Record)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let engine = restore(dir.path());
        let mut batch = Batch::new();
        rows.iter().for_each(|(space, (key, row))| batch.put(*space, &key[..], &row[..]));
        engine.commit(batch).expect("stores");
        Self::on(engine, dir).not_looked_through()
    }

    fn opened_again(self) -> Self {
        let (engine, dir) = self.shut();
        Self::on(engine, dir).not_looked_through()
    }

    /// Nobody has counted its pages yet, and a ledger may be missing: it is not sound in the end.
    fn not_looked_through(self) -> Self {
        self.sound.tampered.store(true, Ordering::SeqCst);
        self
    }

    fn ledger(&self) -> Option<Vec<u8>> {
        self.engine.get(Space::Meta, LEDGER).expect("reads")
    }
}

#[tokio::test]
async fn a_store_of_before_is_given_a_ledger_once_and_not_if_something_is_under_way() {
    let bench = Bench::of_before(&[]);
    let given = bench.ledger();
    assert!(given.as_ref().is_some_and(|row| row.len() > 8), "what is under way is authenticated from now on");
    assert_eq!(bench.opened_again().ledger(), given);
    for space in [Space::Intent, Space::Held, Space::Parting] {
        let bench = Bench::of_before(&[(space, (vec![9; 8], vec![0]))]);
        assert_eq!(bench.ledger().map(|row| row.len()), Some(8), "{}", space.name());
    }
}

#[tokio::test]
async fn that_there_is_a_ledger_is_known_if_one_slot_says_so() {
    for name in ["a", "b"] {
        let bench = Bench::of_before(&[]);
        let (vault, epoch) = (*bench.vault.id(), bench.vault.epoch());
        // As for a slot that takes the place of another in the epoch that the earlier release has left.
        let place = Place::new(bench.dir.path().join(name), &[]);
        let slot = SlotView::inspect(&place).expect("a slot");
        let id: SlotId = slot.describe().expect("reads").slot;
        let [context, number] = root::prf_context(&vault, epoch);
        let prf = slot.read(epoch, &[&context, &number]).expect("answers");
        let (outer, key) = (Key::copied(&[9; 32]), root::row_key(epoch, &id));
        let row = bench.engine.get(Space::Root, &key).expect("reads").expect("is there");
        let opened = root::open(&outer, &prf, &vault, &id, epoch, &row).expect("opens");
        assert!(!opened.has_ledger);
        let row = root::seal(&outer, &prf, &vault, &id, epoch, &opened.key).expect("a nonce");
        bench.write_over([(Space::Root, (key, row))]);
        bench.take_away(Space::Meta, [LEDGER.to_vec()]);
        assert_eq!(bench.opened_again().ledger(), None, "it is missed, and no other is given");
    }
}
