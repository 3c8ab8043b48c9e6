//! Rows of intents, as they are lodged and as somebody left them.

use super::*;
use crate::gate::ledger::tests::ledger;
use crate::gate::open::tests::{Bench, OURS};
use crate::store::batch::Batch;
use crate::store::memory::MemoryEngine;

/// A number, and what is stored at it.
type Row = (Vec<u8>, Vec<u8>);

fn at(number: u64, row: Vec<u8>) -> Row {
    (number.to_be_bytes().to_vec(), row)
}

fn stored(rows: &[Row]) -> MemoryEngine {
    let (engine, mut batch) = (MemoryEngine::new(), Batch::new());
    rows.iter().for_each(|(key, row)| batch.put(Space::Intent, &key[..], &row[..]));
    engine.commit(batch).expect("stores");
    engine
}

fn numbers(rows: &[Row], ledger: &Ledger, prepared: Option<u64>) -> Result<Vec<u64>, Refusal> {
    let intents = to_carry_out(&stored(rows), ledger, prepared)?;
    Ok(intents.into_iter().map(|(number, _)| number).collect())
}

#[test]
fn an_epoch_carries_out_every_intent_as_it_was_lodged_or_none() {
    let mut ledger = ledger();
    let lodged = |number: u64| {
        let intent = Intent::of_own(What::Slots).expect("random");
        at(number, ledger.sign(Space::Intent, number, intent.encode()))
    };
    let rows = [5, 6, 7, 8].map(lodged);
    let (carried_out, since) = (lodged(3), lodged(9));
    assert_eq!(numbers(&rows, &ledger, None), Ok(vec![5, 6, 7, 8]));
    let more = [&rows[..], &[carried_out, since]].concat();
    assert_eq!(numbers(&more, &ledger, None), Ok(vec![5, 6, 7, 8, 9]), "and none that is carried out already");

    let without = |which: usize| {
        let others = rows.iter().enumerate().filter(move |(at, _)| *at != which);
        others.map(|(_, row)| row.clone())
    };
    let with = |which: usize, row: Row| without(which).chain([row]).collect::<Vec<_>>();
    let (key, row) = &rows[1];
    let mut changed = row.clone();
    changed[20] ^= 1;
    let longer = [&key[..], &[0]].concat();
    let wrong = [
        ("the first is missing", without(0).collect()),
        ("one is missing", without(1).collect()),
        ("the last is missing", without(3).collect()),
        ("changed", with(1, (key.clone(), changed))),
        ("another's", with(1, (key.clone(), rows[2].1.clone()))),
        ("exchanged", [&rows[2..], &[at(5, row.clone()), at(6, rows[0].1.clone())]].concat()),
        ("elsewhere, in the same order", with(1, (longer, row.clone()))),
    ];
    let damaged = Err(Unavailable::Damaged.into());
    for (name, rows) in &wrong {
        assert_eq!(numbers(rows, &ledger, None), damaged, "{name}");
    }
    assert_eq!(numbers(&rows, &ledger, Some(6)), damaged, "no epoch is prepared");
    ledger.prepare(6).expect("is open");
    assert_eq!(numbers(&rows, &ledger, Some(6)), Ok(vec![5, 6]));
    for other in [None, Some(5), Some(7)] {
        assert_eq!(numbers(&rows, &ledger, other), damaged, "another epoch is prepared: {other:?}");
    }
}

#[test]
fn whether_an_entry_is_named_is_asked_of_rows_as_they_were_lodged() {
    let bench = Bench::new();
    let vault = bench.open(OURS, bench.key_file()).expect("opens");
    let asked = vault.committer().commit_blocking(
        |txn| {
            let targets = [(Tree::Service, 77), (Tree::Service, 78)];
            let intent = Intent { targets: vec![targets[0]], ..Intent::of_own(What::DayKeys)? };
            let key = intent.lodge(txn)?.to_be_bytes();
            let named = targets.map(|target| is_named(txn, target));
            // What is carried out is not looked at, whoever puts it back.
            txn.put(Space::Intent, 0u64.to_be_bytes(), [7; 9]);
            let beside = targets.map(|target| is_named(txn, target));
            let mut row = txn.row(Space::Intent, &key)?.ok_or(Unavailable::Internal)?;
            *row.last_mut().ok_or(Unavailable::Internal)? ^= 1;
            txn.put(Space::Intent, key, row);
            Ok([named, beside, targets.map(|target| is_named(txn, target))])
        },
        false,
    );
    let sound = [Ok(true), Ok(false)];
    assert_eq!(asked.expect("is asked"), [sound.clone(), sound, [Err(Fault::Torn), Err(Fault::Torn)]]);
}

#[test]
fn what_is_missing_of_what_is_under_way_is_noticed() {
    let bench = Bench::new();
    let vault = bench.open(OURS, bench.key_file()).expect("opens");
    let found = vault.committer().commit_blocking(
        |txn| {
            let mut lodge = || Intent::of_own(What::Slots)?.lodge(txn);
            let (first, second) = (lodge()?, lodge()?);
            let look = |txn: &Txn<'_>| Ok::<_, Refusal>((find_all(txn)?, is_there(txn, first)?));
            let mut found = vec![look(txn)?];
            let row = txn.row(Space::Intent, &first.to_be_bytes())?.ok_or(Unavailable::Internal)?;
            txn.delete(Space::Intent, first.to_be_bytes());
            found.push(look(txn)?);
            txn.put(Space::Held, first.to_be_bytes(), [0]);
            found.push(look(txn)?);
            txn.put(Space::Intent, first.to_be_bytes(), row);
            found.push(look(txn)?);
            txn.delete(Space::Held, first.to_be_bytes());
            txn.put(Space::Intent, (second + 1).to_be_bytes(), [0]);
            found.push(look(txn)?);
            txn.put(Space::Meta, b"intent_next", [0]);
            found.push(look(txn)?);
            Ok(found)
        },
        false,
    );
    let found_of = |pending, held, complete| Found { pending, held, complete };
    let expected = vec![
        (found_of(2, 0, true), true),
        (found_of(2, 0, false), false),
        (found_of(2, 1, false), true),
        (found_of(2, 1, false), true),
        (found_of(3, 0, false), true),
        (found_of(3, 0, false), true),
    ];
    assert_eq!(found.expect("is looked for"), expected);
}

#[test]
fn an_intent_reads_back() {
    let subject = SubjectId::from_bytes([1; 16]);
    let intent = Intent {
        receipt: ReceiptId::from_bytes([2; 16]),
        what: What::Item,
        class: "contact".into(),
        subject: Some(subject),
        item: Some(ItemId::from_bytes([3; 16])),
        targets: vec![(Tree::Subject(subject, 9), 4), (Tree::Service, 1)],
        rows: vec![DoomedRow { space: Space::Item, key: vec![1, 2], prefix: true }],
        case: Some(receipts::sample_case()),
    };
    assert_eq!(Intent::decode(&intent.encode()), Ok(intent.clone()));
    let intent = Intent { case: None, ..intent };
    assert_eq!(Intent::decode(&intent.encode()), Ok(intent));
}
