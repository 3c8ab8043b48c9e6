//! Keys: those that sign and those of the index are listed; the one that signs the log and those of the index are
//! replaced, and the replacement of the latter is followed and paused. The rest is not built yet.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::convert;
use super::enter::{enter, not_built, record_not_built, refuse};
use super::proto::keys_server::Keys;
use super::proto::*;
use crate::base::limits::{ROTATION_WATCHES_MAX, STREAM_QUEUE_MAX, TAIL_PATIENCE};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::vault::Vault;
use crate::gate::{index, rotations, signing};
use crate::items::rotate::{self, Watch};

/// The service `lacuna.v1.Keys`.
pub(super) struct KeysService {
    vault: Arc<Vault>,
    /// Room for those who follow a rotation.
    watches: Arc<Semaphore>,
}

impl KeysService {
    pub(super) fn new(vault: Arc<Vault>) -> Self {
        Self { vault, watches: Arc::new(Semaphore::new(ROTATION_WATCHES_MAX)) }
    }
}

#[tonic::async_trait]
impl Keys for KeysService {
    async fn get_key_status(
        &self,
        request: Request<GetKeyStatusRequest>,
    ) -> Result<Response<GetKeyStatusResponse>, Status> {
        let (call, wanted) = enter(&self.vault, request).await?.convert(&self.vault, convert::keys::wanted).await?;
        let keys = signing::list(&self.vault, &call).await.map_err(refuse(&call))?;
        let index = self.vault.read(rotations::list).map_err(refuse(&call))?;
        Ok(Response::new(convert::keys::listed(keys, index, &wanted)))
    }

    async fn start_rotation(
        &self,
        request: Request<StartRotationRequest>,
    ) -> Result<Response<StartRotationResponse>, Status> {
        let (call, key) = enter(&self.vault, request).await?.convert(&self.vault, convert::keys::start).await?;
        let known = self.vault.read(index::keys).map_err(refuse(&call))?;
        if let Some(known) = known.into_iter().find(|known| known.id == key) {
            let begun = rotate::start(&self.vault, &call, known).await.map_err(refuse(&call))?;
            let rotation = Some(convert::keys::rotation(begun, &[]));
            return Ok(Response::new(StartRotationResponse { rotation }));
        }
        match signing::replace(&self.vault, &call, key).await.map_err(refuse(&call))? {
            Some(replaced) => Ok(Response::new(convert::keys::replaced(replaced))),
            None => Err(record_not_built(&self.vault, &call).await),
        }
    }

    type WatchRotationStream = ReceiverStream<Result<WatchRotationResponse, Status>>;

    async fn watch_rotation(
        &self,
        request: Request<WatchRotationRequest>,
    ) -> Result<Response<Self::WatchRotationStream>, Status> {
        let (call, id) = enter(&self.vault, request).await?.convert(&self.vault, convert::keys::watch).await?;
        let failed = refuse(&call);
        let Ok(room) = self.watches.clone().try_acquire_owned() else {
            return Err(failed(self.vault.refuse(&call, Unavailable::StreamsExhausted.into()).await));
        };
        let watch = rotate::watch(self.vault.clone(), call, id).await.map_err(failed)?;
        let (answers, receiver) = mpsc::channel(STREAM_QUEUE_MAX);
        tokio::spawn(answer(watch, answers, room));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn pause_rotation(
        &self,
        request: Request<PauseRotationRequest>,
    ) -> Result<Response<PauseRotationResponse>, Status> {
        let (call, id) = enter(&self.vault, request).await?.convert(&self.vault, convert::keys::pause).await?;
        let paused = rotate::pause(&self.vault, &call, id, true).await.map_err(refuse(&call))?;
        Ok(Response::new(PauseRotationResponse { rotation: Some(convert::keys::rotation(paused, &[])) }))
    }

    async fn resume_rotation(
        &self,
        request: Request<ResumeRotationRequest>,
    ) -> Result<Response<ResumeRotationResponse>, Status> {
        let (call, id) = enter(&self.vault, request).await?.convert(&self.vault, convert::keys::resume).await?;
        let resumed = rotate::pause(&self.vault, &call, id, false).await.map_err(refuse(&call))?;
        Ok(Response::new(ResumeRotationResponse { rotation: Some(convert::keys::rotation(resumed, &[])) }))
    }

    async fn mark_compromised(
        &self,
        request: Request<MarkCompromisedRequest>,
    ) -> Result<Response<MarkCompromisedResponse>, Status> {
        not_built(&self.vault, request).await
    }

    async fn destroy_key(&self, request: Request<DestroyKeyRequest>) -> Result<Response<DestroyKeyResponse>, Status> {
        not_built(&self.vault, request).await
    }
}

type Answers = mpsc::Sender<Result<WatchRotationResponse, Status>>;

/// Tells how a rotation gets on until its end, or until nobody listens any more.
async fn answer(mut watch: Watch, answers: Answers, _room: OwnedSemaphorePermit) {
    let failed = refuse(watch.call());
    if let Err(refusal) = send(&mut watch, &answers).await {
        let _ = answers.try_send(Err(failed(refusal))); // a caller too slow has no room for it either
    }
}

async fn send(watch: &mut Watch, answers: &Answers) -> Result<(), Refusal> {
    loop {
        let seen = tokio::select! {
            seen = watch.next() => seen?,
            () = answers.closed() => return Ok(()),
        };
        let Some(seen) = seen else { return Ok(()) };
        let rotation = Some(convert::keys::rotation(seen.rotation, &seen.waiting));
        match tokio::time::timeout(TAIL_PATIENCE, answers.send(Ok(WatchRotationResponse { rotation }))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return Ok(()), // the caller is gone
            Err(_) => return Err(Unavailable::Overloaded.into()),
        }
    }
}
