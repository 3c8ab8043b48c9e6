//! Streams of events: batches in and answers out, one after the other; readings message by message.
//!
//! A stream of batches holds one batch at a time: the next is taken from the connection when the answer to the one
//! before is on its way, so that a caller who does not take answers, or a vault that is slow, stops the flow.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tonic::{Status, Streaming};

use super::convert::events;
use super::enter::refuse;
use super::proto::{ErrorReason, ReadEventsResponse, RecordEventsRequest, RecordEventsResponse};
use super::status;
use crate::gate::call::Call;
use crate::gate::refusal::Refusal;
use crate::gate::vault::Vault;
use crate::items::events::read::Events;
use crate::items::events::record::record;

type Answers<T> = mpsc::Sender<Result<T, Status>>;

/// A stream of batches while it is taken in.
pub(super) struct Recording {
    pub(super) vault: Arc<Vault>,
    pub(super) call: Call,
    pub(super) batches: Streaming<RecordEventsRequest>,
    pub(super) answers: Answers<RecordEventsResponse>,
    pub(super) _room: OwnedSemaphorePermit,
}

impl Recording {
    /// Takes batches until the caller ends them, one fails as a whole, or the call's time is over. A batch that is being
    /// stored then may be stored without an answer: the caller sends it again, with its key.
    pub(super) async fn run(mut self, first: RecordEventsRequest) {
        let deadline = deadline(&self.call);
        let ended = match tokio::time::timeout_at(deadline, self.take(first)).await {
            Ok(Ok(())) => return,
            Ok(Err(ended)) => ended,
            Err(_) => status::of_reason(ErrorReason::DeadlineExceeded),
        };
        // A caller too slow to take its answers has no room for this one either; its own deadline ends the call.
        let _ = self.answers.try_send(Err(ended));
    }

    async fn take(&mut self, first: RecordEventsRequest) -> Result<(), Status> {
        let mut batch = Some(first);
        while let Some(message) = batch {
            let answer = self.store(message).await.map_err(refuse(&self.call))?;
            if self.answers.send(Ok(answer)).await.is_err() {
                return Ok(()); // the caller is gone
            }
            batch = self.batches.message().await.map_err(status::of_transport)?;
        }
        Ok(())
    }

    async fn store(&self, message: RecordEventsRequest) -> Result<RecordEventsResponse, Refusal> {
        match events::record(message) {
            Ok((batch, key)) => Ok(events::recorded(key, record(&self.vault, &self.call, batch).await?)),
            Err(refusal) => Err(self.vault.refuse(&self.call, refusal).await),
        }
    }
}

/// Answers a reading until its end, its deadline, or until nobody listens any more.
pub(super) async fn answer(reading: Events, answers: Answers<ReadEventsResponse>, _room: OwnedSemaphorePermit) {
    let failed = refuse(reading.call());
    let ended = match tokio::time::timeout_at(deadline(reading.call()), send(reading, &answers)).await {
        Ok(Ok(())) => return,
        Ok(Err(refusal)) => failed(refusal),
        Err(_) => status::of_reason(ErrorReason::DeadlineExceeded),
    };
    let _ = answers.try_send(Err(ended)); // as for a stream of batches
}

/// The reading goes with its end: an erasure may wait for that.
async fn send(mut reading: Events, answers: &Answers<ReadEventsResponse>) -> Result<(), Refusal> {
    while let Some(part) = reading.next().await? {
        if reading.unless_cut(answers.send(Ok(events::part(part)))).await?.is_err() {
            return Ok(()); // the caller is gone
        }
    }
    Ok(())
}

/// Every call has a deadline: the caller's, or the longest that the vault allows.
fn deadline(call: &Call) -> tokio::time::Instant {
    call.deadline().unwrap_or_else(Instant::now).into()
}
