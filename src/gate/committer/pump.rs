//! Hands finished groups back with a single wake for each runtime.

use std::cell::RefCell;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::change::{Job, Queued};
use crate::gate::refusal::Refusal;

/// A call's change and how it went.
type Finished = (Box<dyn Job>, Result<(), Refusal>);

/// Completes finished calls on the thread of the runtime they belong to.
pub(super) struct Pump {
    finished: Mutex<Vec<Finished>>,
    notify: Notify,
}

thread_local! {
    static PUMP: RefCell<Option<Arc<Pump>>> = const { RefCell::new(None) };
}

/// Makes this thread's runtime complete its own calls.
pub(super) fn attach() {
    let pump = Arc::new(Pump { finished: Mutex::default(), notify: Notify::new() });
    PUMP.with(|slot| *slot.borrow_mut() = Some(pump.clone()));
    tokio::spawn(async move {
        loop {
            pump.notify.notified().await;
            let finished = std::mem::take(&mut *pump.finished.lock());
            for (job, outcome) in finished {
                job.finish(outcome);
            }
        }
    });
}

/// That of this thread's runtime; none on a plain thread.
pub(super) fn of_this_thread() -> Option<Arc<Pump>> {
    PUMP.with(|pump| pump.borrow().clone())
}

/// Hands a finished group back: one wake per runtime, then the calls that came from plain threads.
pub(super) fn finish(group: Vec<Queued>, outcome: Result<(), Refusal>) {
    let mut pumps: Vec<Arc<Pump>> = Vec::new();
    for Queued { job, pump } in group {
        match pump {
            None => job.finish(outcome.clone()),
            Some(pump) => {
                pump.finished.lock().push((job, outcome.clone()));
                if !pumps.iter().any(|known| Arc::ptr_eq(known, &pump)) {
                    pumps.push(pump);
                }
            }
        }
    }
    for pump in pumps {
        pump.notify.notify_one();
    }
}
