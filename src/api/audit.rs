//! The log, its proofs and its tail.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::convert::audit::{self, Wanted};
use super::enter::{enter, refuse};
use super::proto::audit_server::Audit;
use super::proto::*;
use super::status;
use crate::base::limits::{AUDIT_LISTS_MAX, AUDIT_TAILS_MAX, STREAM_QUEUE_MAX, TAIL_PATIENCE};
use crate::gate::call::Call;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::vault::Vault;
use crate::trail::list::{self, List};
use crate::trail::proofs;
use crate::trail::tail::{self, Pace, Tail};

/// The service `lacuna.v1.Audit`.
pub(super) struct AuditService {
    vault: Arc<Vault>,
    /// Room for lists, and for tails: each holds a few messages until its reader takes them.
    lists: Arc<Semaphore>,
    tails: Arc<Semaphore>,
}

impl AuditService {
    pub(super) fn new(vault: Arc<Vault>) -> Self {
        let (lists, tails) = (Semaphore::new(AUDIT_LISTS_MAX), Semaphore::new(AUDIT_TAILS_MAX));
        Self { vault, lists: Arc::new(lists), tails: Arc::new(tails) }
    }

    async fn room(&self, rooms: &Arc<Semaphore>, call: &Call) -> Result<OwnedSemaphorePermit, Status> {
        match rooms.clone().try_acquire_owned() {
            Ok(room) => Ok(room),
            Err(_) => Err(refuse(call)(self.vault.refuse(call, Unavailable::StreamsExhausted.into()).await)),
        }
    }
}

#[tonic::async_trait]
impl Audit for AuditService {
    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        let (call, size_min) =
            enter(&self.vault, request).await?.convert(&self.vault, |asked| Ok(asked.tree_size_min)).await?;
        let signed = proofs::checkpoint(&self.vault, &call, size_min).await.map_err(refuse(&call))?;
        Ok(Response::new(GetCheckpointResponse { checkpoint: Some(audit::checkpoint(&signed)) }))
    }

    type ListEntriesStream = ReceiverStream<Result<ListEntriesResponse, Status>>;

    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<Self::ListEntriesStream>, Status> {
        let (call, (query, wanted)) = enter(&self.vault, request).await?.convert(&self.vault, audit::list).await?;
        let room = self.room(&self.lists, &call).await?;
        let failed = refuse(&call);
        let list = list::open(self.vault.clone(), call, query).await.map_err(failed)?;
        let (answers, receiver) = mpsc::channel(STREAM_QUEUE_MAX);
        tokio::spawn(answer_list(list, wanted, answers, room));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type TailEntriesStream = ReceiverStream<Result<TailEntriesResponse, Status>>;

    async fn tail_entries(
        &self,
        request: Request<TailEntriesRequest>,
    ) -> Result<Response<Self::TailEntriesStream>, Status> {
        let (call, (query, wanted)) = enter(&self.vault, request).await?.convert(&self.vault, audit::tail).await?;
        let room = self.room(&self.tails, &call).await?;
        let failed = refuse(&call);
        let tail = tail::open(self.vault.clone(), call, query, Pace::default()).await.map_err(failed)?;
        let (answers, receiver) = mpsc::channel(STREAM_QUEUE_MAX + 1);
        tokio::spawn(answer_tail(tail, wanted, answers, room));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<GetInclusionProofRequest>,
    ) -> Result<Response<GetInclusionProofResponse>, Status> {
        let asked = |asked: GetInclusionProofRequest| Ok((asked.leaf_index, size(asked.tree_size)));
        let (call, (index, size)) = enter(&self.vault, request).await?.convert(&self.vault, asked).await?;
        let proven = proofs::inclusion(&self.vault, &call, index, size).await.map_err(refuse(&call))?;
        Ok(Response::new(audit::inclusion(proven)))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        let asked = |asked: GetConsistencyProofRequest| Ok((asked.old_size, size(asked.new_size)));
        let (call, (old, new)) = enter(&self.vault, request).await?.convert(&self.vault, asked).await?;
        let proven = proofs::consistency(&self.vault, &call, old, new).await.map_err(refuse(&call))?;
        Ok(Response::new(audit::consistency(proven)))
    }
}

/// A size that may be left out.
fn size(size: u64) -> Option<u64> {
    Some(size).filter(|size| *size > 0)
}

type Answers<T> = mpsc::Sender<Result<T, Status>>;

/// Answers a list until its end, its deadline, or until nobody listens any more.
async fn answer_list(list: List, wanted: Wanted, answers: Answers<ListEntriesResponse>, _room: OwnedSemaphorePermit) {
    let failed = refuse(list.call());
    // Every call has a deadline: the caller's, or the longest that the vault allows.
    let deadline = list.call().deadline().unwrap_or_else(Instant::now).into();
    let ended = match tokio::time::timeout_at(deadline, send_list(list, wanted, &answers)).await {
        Ok(Ok(())) => return,
        Ok(Err(refusal)) => failed(refusal),
        Err(_) => status::of_reason(ErrorReason::DeadlineExceeded),
    };
    // A caller too slow to take its messages has no room for this one either; its own deadline ends the call.
    let _ = answers.try_send(Err(ended));
}

/// The list goes with its end: an erasure may wait for that.
async fn send_list(mut list: List, wanted: Wanted, answers: &Answers<ListEntriesResponse>) -> Result<(), Refusal> {
    while let Some(part) = list.next().await? {
        let message = audit::list_part(part, wanted);
        if list.unless_cut(answers.send(Ok(message))).await?.is_err() {
            return Ok(()); // the caller is gone
        }
    }
    Ok(())
}

/// Answers a tail until it fails or nobody listens any more, and records the end.
async fn answer_tail(tail: Tail, wanted: Wanted, answers: Answers<TailEntriesResponse>, _room: OwnedSemaphorePermit) {
    let failed = refuse(tail.call());
    // Kept for the last word, so that also a reader who has let its messages pile up gets it.
    let Ok(last) = answers.clone().reserve_owned().await else { return };
    let mut tail = tail;
    let ended = send_tail(&mut tail, wanted, &answers).await.err();
    let recorded = tail.close(ended.as_ref()).await;
    if let Some(refusal) = ended.or(recorded.err()) {
        last.send(Err(failed(refusal)));
    }
}

async fn send_tail(tail: &mut Tail, wanted: Wanted, answers: &Answers<TailEntriesResponse>) -> Result<(), Refusal> {
    loop {
        let part = tokio::select! {
            part = tail.next() => part?,
            () = answers.closed() => return Ok(()),
        };
        let message = audit::tail_part(part, wanted);
        let sending = tokio::time::timeout(TAIL_PATIENCE, answers.send(Ok(message)));
        match tail.unless_cut(sending).await? {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ok(()), // the caller is gone
            Err(_) => return Err(Unavailable::Overloaded.into()),
        }
    }
}
