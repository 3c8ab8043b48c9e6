//! A change that a call hands in, and the way back to it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::pump::Pump;
use super::queue::Turn;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Changes, Txn};

/// How a change went, once it is known.
pub(super) type Reply<T> = oneshot::Receiver<Result<T, Refusal>>;

pub(super) struct Queued {
    pub(super) job: Box<dyn Job>,
    pub(super) pump: Option<Arc<Pump>>,
}

/// A change, with its type erased.
pub(super) trait Job: Send {
    /// When it has its turn.
    fn turn(&self) -> Turn;
    /// Runs the closure. The changes to commit, or `None` if it refused.
    fn run(&mut self, txn: Txn<'_>) -> Option<Changes>;
    /// Tells the call how it went.
    fn finish(self: Box<Self>, outcome: Result<(), Refusal>);
}

pub(super) struct Change<F, T> {
    pub(super) work: Option<F>,
    pub(super) result: Option<Result<T, Refusal>>,
    pub(super) reply: oneshot::Sender<Result<T, Refusal>>,
    pub(super) turn: Turn,
}

impl<F, T> Job for Change<F, T>
where
    F: FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send,
    T: Send,
{
    fn turn(&self) -> Turn {
        self.turn
    }

    fn run(&mut self, mut txn: Txn<'_>) -> Option<Changes> {
        let work = self.work.take()?;
        // A panic must not take the writer down: the draft is dropped, so nothing of it is left.
        let result = catch_unwind(AssertUnwindSafe(|| work(&mut txn)));
        let result = result.unwrap_or_else(|_| Err(Unavailable::Internal.into()));
        let changes = result.is_ok().then(|| txn.into_changes());
        self.result = Some(result);
        changes
    }

    fn finish(mut self: Box<Self>, outcome: Result<(), Refusal>) {
        let result = match (self.result.take(), outcome) {
            (Some(Err(refusal)), _) => Err(refusal),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Ok(_)), Err(refusal)) => Err(refusal),
            (None, _) => Err(Unavailable::Stopping.into()),
        };
        let _ = self.reply.send(result); // the caller may be gone; the change stands
    }
}
