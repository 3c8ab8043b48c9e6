//! Whose turn it is.

use std::time::Duration;

use super::*;
use crate::gate::open::open;
use crate::gate::open::tests::{Bench, OURS};

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
