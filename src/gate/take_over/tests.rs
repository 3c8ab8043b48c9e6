//! Slots change hands only when somebody says so, when they fit, and with an entry in the log.

use super::*;
use crate::audit::leaf;
use crate::audit::sequence::unpack;
use crate::gate::epoch::STATE;
use crate::gate::open::tests::{Bench, OURS, THEIRS};
use crate::keys::epoch::State;
use crate::keys::outer::source::Source;
use crate::store::Engine as _;

/// A vault of ours that was stopped.
fn stopped() -> Bench {
    let bench = Bench::new();
    drop(bench.open(OURS, bench.key_file()).expect("created"));
    bench
}

/// Operation and outcome of every entry.
fn log(bench: &Bench) -> Vec<(String, Outcome)> {
    let rows = bench.engine.scan(Space::Log, &[], &[], usize::MAX).expect("rows");
    let leaves = rows.iter().flat_map(|(_, row)| unpack(row).expect("a row"));
    leaves.map(|(bytes, _)| leaf::decode(&bytes).expect("a leaf")).map(|leaf| (leaf.operation, leaf.outcome)).collect()
}

#[track_caller]
fn refused(bench: &Bench, outer: Source, words: &str) {
    let before = bench.bytes();
    let parts = bench.parts(THEIRS, outer);
    let error = TakeOver::look(&parts).err().expect("is refused").to_string();
    assert!(error.contains(words), "{error:?} should say {words:?}");
    assert!(bench.bytes() == before, "{error}: something was changed");
}

#[test]
fn another_installation_is_refused_until_it_takes_over_and_then_the_first_one_is() {
    let bench = stopped();
    bench.refused(THEIRS, bench.key_file(), "run lacuna slot take-over");
    let before = log(&bench).len();

    let parts = bench.parts(THEIRS, bench.key_file());
    let take_over = TakeOver::look(&parts).expect("fits");
    assert!(take_over.slots().iter().all(|seen| seen.owner == Owner::Other(OURS)));
    assert_eq!((take_over.count(), take_over.carry_out().expect("is carried out")), (2, 2));

    let entries = [Outcome::Started, Outcome::Done].map(|outcome| ("SlotTakenOver".to_owned(), outcome));
    assert_eq!(log(&bench)[before..], entries);
    drop(bench.open(THEIRS, bench.key_file()).expect("opens"));
    bench.refused(OURS, bench.key_file(), "belongs to another instance");
}

#[test]
fn looking_changes_nothing_and_own_slots_need_no_take_over() {
    let bench = stopped();
    let before = bench.bytes();
    let theirs = bench.parts(THEIRS, bench.key_file());
    assert_eq!(TakeOver::look(&theirs).expect("fits").count(), 2);
    let ours = bench.parts(OURS, bench.key_file());
    assert_eq!(TakeOver::look(&ours).expect("fits").carry_out().expect("nothing to do"), 0);
    assert!(bench.bytes() == before);
}

#[test]
fn nothing_is_taken_over_with_a_wrong_outer_key() {
    let bench = stopped();
    refused(&bench, Source::KeyFile(bench.path("other.key")), "the outer key is not this vault's");
    refused(&bench, Source::KeyFile(bench.path("none")), "missing");
}

#[test]
fn a_slot_that_a_running_vault_holds_is_not_taken_over() {
    let bench = Bench::new();
    let running = bench.open(OURS, bench.key_file()).expect("created");
    refused(&bench, bench.key_file(), "the slot is in use");
    running.stop();
}

#[test]
fn a_slot_that_does_not_fit_the_store_is_not_taken_over() {
    let (first, second) = (stopped(), stopped());
    std::fs::copy(second.path("slot-a"), first.path("slot-a")).expect("copied");
    refused(&first, first.key_file(), "belongs to another vault");

    for (current, words) in [(2, "stale"), (0, "the store is older than its slots")] {
        let bench = stopped();
        let mut batch = Batch::new();
        batch.put(Space::Meta, STATE, State { current, reserved: current, prepared: None }.encode());
        bench.engine.commit(batch).expect("written");
        refused(&bench, bench.key_file(), words);
    }

    let bench = stopped();
    let mut batch = Batch::new();
    for (key, _) in bench.engine.scan(Space::Root, &[], &[], usize::MAX).expect("rows") {
        batch.put(Space::Root, key, "of another store");
    }
    bench.engine.commit(batch).expect("written");
    refused(&bench, bench.key_file(), "the vault's root does not open through the slot");
}

#[test]
fn a_slot_out_of_reach_is_left_and_taken_over_when_it_is_back() {
    let bench = stopped();
    std::fs::rename(bench.path("slot-b"), bench.path("away")).expect("moved");
    let parts = bench.parts(THEIRS, bench.key_file());
    let take_over = TakeOver::look(&parts).expect("fits");
    assert_eq!(take_over.slots()[1].owner, Owner::OutOfReach);
    assert_eq!(take_over.carry_out().expect("is carried out"), 1);
    std::fs::rename(bench.path("away"), bench.path("slot-b")).expect("moved");
    assert_eq!(TakeOver::look(&parts).expect("fits").carry_out().expect("is carried out"), 1);
    assert!(bench.open(THEIRS, bench.key_file()).is_ok());
}

#[test]
fn no_slot_is_touched_before_the_entry_is_durable() {
    let bench = stopped();
    let parts = bench.parts(THEIRS, bench.key_file());
    let take_over = TakeOver::look(&parts).expect("fits");
    let (_, slots) = bench.bytes();
    // Something else writes to the log: the entry's place is taken.
    let mut batch = Batch::new();
    take_over.known.head.append(&mut batch, parts.clock.now(), &[take_over.event(Outcome::Done, 0).expect("an event")]);
    bench.engine.commit(batch).expect("written");
    assert!(matches!(take_over.carry_out(), Err(OpenError::Store(store::Error::Precondition))));
    assert!(bench.bytes().1 == slots);
    assert_eq!(TakeOver::look(&parts).expect("fits").carry_out().expect("is carried out"), 2, "again");
}
