//! Whose turn it is.

use super::*;
use crate::base::limits::{COMMIT_BULK_MAX, COMMIT_QUEUE_MAX};
use crate::store;
use crate::store::batch::Batch;
use crate::store::keyspace::Space;
use crate::store::purge::Purge;
use crate::store::{Engine, Record};

use crate::base::log_safe::SafeText;
use crate::gate::open::open;
use crate::gate::open::tests::{Bench, OURS};
use crate::gate::record::own_event;

#[test]
fn what_ends_data_goes_ahead_of_all_that_waits() {
    let bench = Bench::new();
    let vault = open(bench.parts(OURS, bench.key_file())).expect("opens");
    let order = Arc::new(Mutex::new(Vec::new()));
    let committer = vault.committer();
    let submit = |name: &'static str, turn: Turn, pause: u64| {
        let order = order.clone();
        let work = move |_: &mut Txn<'_>| {
            std::thread::sleep(Duration::from_millis(pause));
            order.lock().push(name);
            Ok(())
        };
        committer.submit(work, turn).expect("is taken")
    };
    let mut waiting = vec![submit("under way", Turn::InOrder, 200)];
    std::thread::sleep(Duration::from_millis(50)); // the writer has taken it
    waiting.extend((0..50).map(|_| submit("data", Turn::InOrder, 0)));
    waiting.push(submit("erasure", Turn::First, 0));
    waiting.push(submit("epoch", Turn::Alone, 0));
    waiting.into_iter().for_each(|reply| reply.blocking_recv().expect("is answered").expect("is done"));
    let order = order.lock();
    assert_eq!(order[..2], ["under way", "erasure"]);
    // Alone, after those that came before it, and before the next group.
    assert!(order.iter().position(|name| *name == "epoch").is_some());
    assert_eq!(order.len(), 53);
}

#[test]
fn a_full_queue_still_takes_what_ends_data() {
    let bench = Bench::new();
    let vault = open(bench.parts(OURS, bench.key_file())).expect("opens");
    let committer = vault.committer();
    let slow = committer.submit(
        |_: &mut Txn<'_>| {
            std::thread::sleep(Duration::from_millis(300));
            Ok(())
        },
        Turn::InOrder,
    );
    let slow = slow.expect("is taken");
    std::thread::sleep(Duration::from_millis(50));
    let mut waiting = Vec::new();
    let refused = loop {
        match committer.submit(|_: &mut Txn<'_>| Ok(()), Turn::InOrder) {
            Ok(reply) => waiting.push(reply),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((refused, waiting.len()), (Unavailable::Overloaded.into(), COMMIT_QUEUE_MAX));
    let first = committer.submit(|_: &mut Txn<'_>| Ok(()), Turn::First).expect("is taken all the same");
    assert!(slow.blocking_recv().is_ok() && first.blocking_recv().is_ok());
}

#[test]
fn only_what_can_be_made_anew_does_without_a_sync() {
    let (bench, synced) = (Bench::new(), Arc::new(AtomicU64::new(0)));
    let engine = Arc::new(Counting { inner: Arc::new(bench.engine.clone()), synced: synced.clone() });
    let vault = open(crate::gate::open::Parts { engine, ..bench.parts(OURS, bench.key_file()) }).expect("opens");
    vault.log().stop(); // its checkpoints would be counted
    let committer = vault.committer();
    let put = |key: &'static str| {
        move |txn: &mut Txn<'_>| {
            txn.put(Space::Meta, key, "value");
            Ok(())
        }
    };
    let before = synced.load(Ordering::SeqCst);
    committer.commit_derived(put("derived")).expect("is written");
    assert_eq!(synced.load(Ordering::SeqCst), before);
    assert!(bench.engine.get(Space::Meta, b"derived").expect("reads").is_some(), "every read sees it");
    // In one group with what must be durable it is durable as well.
    let slow = committer.submit(
        |_: &mut Txn<'_>| {
            std::thread::sleep(Duration::from_millis(200));
            Ok(())
        },
        Turn::InOrder,
    );
    std::thread::sleep(Duration::from_millis(50)); // the writer has taken it
    let both = [committer.submit(put("one"), Turn::Derived), committer.submit(put("two"), Turn::InOrder)];
    slow.expect("is taken").blocking_recv().expect("is answered").expect("is done");
    both.into_iter().for_each(|reply| reply.expect("is taken").blocking_recv().expect("is answered").expect("is done"));
    assert_eq!(synced.load(Ordering::SeqCst), before + 1);
}

#[test]
fn what_another_change_follows_lasts_with_that_one_and_is_not_signed_for_before() {
    let (bench, synced) = (Bench::new(), Arc::new(AtomicU64::new(0)));
    let engine = Arc::new(Counting { inner: Arc::new(bench.engine.clone()), synced: synced.clone() });
    let vault = open(crate::gate::open::Parts { engine, ..bench.parts(OURS, bench.key_file()) }).expect("opens");
    vault.log().stop(); // its checkpoints would be counted
    let committer = vault.committer();
    let enter = |turn| {
        let work = |txn: &mut Txn<'_>| {
            let event = own_event(SafeText::constant("Tried"), txn.epoch())?;
            txn.record(event);
            Ok(())
        };
        committer.submit_blocking(work, turn).expect("is done");
        (synced.load(Ordering::SeqCst), committer.log_size())
    };
    let (syncs, size) = enter(Turn::First);
    assert_eq!(enter(Turn::FirstFollowed), (syncs, size), "nobody may be told of the entry yet");
    committer
        .commit_derived(|txn| {
            txn.put(Space::Meta, "derived", "value");
            Ok(())
        })
        .expect("is written");
    assert_eq!((synced.load(Ordering::SeqCst), committer.log_size()), (syncs, size), "nor after what need not last");
    assert_eq!(enter(Turn::First), (syncs + 1, size + 2));
    let settle = || {
        committer.submit_blocking(|_: &mut Txn<'_>| Ok(()), Turn::First).expect("is done");
        (synced.load(Ordering::SeqCst), committer.log_size())
    };
    assert_eq!(settle(), (syncs + 1, size + 2), "all lasts already");
    enter(Turn::FirstFollowed);
    assert_eq!(settle(), (syncs + 2, size + 3));
}

/// An engine that counts the commits that wait for the medium.
struct Counting {
    inner: Arc<dyn Engine>,
    synced: Arc<AtomicU64>,
}

impl Engine for Counting {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, store::Error> {
        self.inner.get(space, key)
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, store::Error> {
        self.inner.multi_get(space, keys)
    }

    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, store::Error> {
        self.inner.scan(space, prefix, from, limit)
    }

    fn floor(&self, space: Space, key: &[u8]) -> Result<Option<Record>, store::Error> {
        self.inner.floor(space, key)
    }

    fn commit(&self, batch: Batch) -> Result<(), store::Error> {
        self.synced.fetch_add(1, Ordering::SeqCst);
        self.inner.commit(batch)
    }

    fn commit_derived(&self, batch: Batch) -> Result<(), store::Error> {
        self.inner.commit_derived(batch)
    }

    fn purge(&self, purge: &Purge) -> Result<Purge, store::Error> {
        self.inner.purge(purge)
    }
}

#[test]
fn a_bulk_is_done_in_order_and_nobody_waits_for_all_of_it() {
    let bench = Bench::new();
    let vault = open(bench.parts(OURS, bench.key_file())).expect("opens");
    let committer = vault.committer();
    let order = Arc::new(Mutex::new(Vec::new()));
    let (begun, began) = std::sync::mpsc::channel();
    let work = |number: usize, begun: Option<std::sync::mpsc::Sender<()>>| {
        let order = order.clone();
        move |_: &mut Txn<'_>| {
            if let Some(begun) = begun {
                begun.send(()).expect("is waited for");
                std::thread::sleep(Duration::from_millis(200));
            }
            order.lock().push(number);
            Ok(())
        }
    };
    const CALLS: usize = 5;
    const LATE: usize = usize::MAX;
    let mut waiting = Vec::new();
    for call in 0..CALLS {
        let numbers = call * COMMIT_BULK_MAX..(call + 1) * COMMIT_BULK_MAX;
        let works = numbers.map(|number| work(number, (number == 7).then(|| begun.clone()))).collect();
        waiting.extend(committer.submit_all(works, turn_of(COMMIT_BULK_MAX)).expect("are taken"));
    }
    began.recv().expect("the first of them are under way");
    waiting.push(committer.submit(work(LATE, None), Turn::InOrder).expect("is taken"));
    waiting.into_iter().for_each(|reply| reply.blocking_recv().expect("is answered").expect("is done"));
    let mut order = order.lock();
    let late = order.iter().position(|number| *number == LATE).expect("is done");
    assert_eq!(late, COMMIT_BULK_MAX, "right after those that were under way");
    order.remove(late);
    assert!(order.is_sorted() && order.len() == CALLS * COMMIT_BULK_MAX);
}
