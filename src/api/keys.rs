//! Keys: those that sign and those of the index are listed; the one that signs the log and those of the index are
//! replaced. The rest is not built yet.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert;
use super::enter::{NoAnswers, enter, not_built, record_not_built, refuse};
use super::proto::keys_server::Keys;
use super::proto::*;
use crate::gate::vault::Vault;
use crate::gate::{index, signing};
use crate::items;

/// The service `lacuna.v1.Keys`.
pub(super) struct KeysService(pub(super) Arc<Vault>);

#[tonic::async_trait]
impl Keys for KeysService {
    async fn get_key_status(
        &self,
        request: Request<GetKeyStatusRequest>,
    ) -> Result<Response<GetKeyStatusResponse>, Status> {
        let (call, wanted) = enter(&self.0, request).await?.convert(&self.0, convert::keys::wanted).await?;
        let keys = signing::list(&self.0, &call).await.map_err(refuse(&call))?;
        let index = self.0.read(index::keys).map_err(refuse(&call))?;
        Ok(Response::new(convert::keys::listed(self.0.id(), keys, index, &wanted)))
    }

    async fn start_rotation(
        &self,
        request: Request<StartRotationRequest>,
    ) -> Result<Response<StartRotationResponse>, Status> {
        let (call, key) = enter(&self.0, request).await?.convert(&self.0, convert::keys::start).await?;
        let known = self.0.read(index::keys).map_err(refuse(&call))?;
        if let Some(known) = known.into_iter().find(|known| known.id == key) {
            let known = items::reindex::start(&self.0, &call, known).await.map_err(refuse(&call))?;
            let rotation = convert::keys::rotation(self.0.id(), &known);
            return Ok(Response::new(StartRotationResponse { rotation }));
        }
        match signing::replace(&self.0, &call, key).await.map_err(refuse(&call))? {
            Some(replaced) => Ok(Response::new(convert::keys::replaced(replaced))),
            None => Err(record_not_built(&self.0, &call).await),
        }
    }

    type WatchRotationStream = NoAnswers<WatchRotationResponse>;

    async fn watch_rotation(
        &self,
        request: Request<WatchRotationRequest>,
    ) -> Result<Response<Self::WatchRotationStream>, Status> {
        not_built(&self.0, request).await
    }

    async fn pause_rotation(
        &self,
        request: Request<PauseRotationRequest>,
    ) -> Result<Response<PauseRotationResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn resume_rotation(
        &self,
        request: Request<ResumeRotationRequest>,
    ) -> Result<Response<ResumeRotationResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn mark_compromised(
        &self,
        request: Request<MarkCompromisedRequest>,
    ) -> Result<Response<MarkCompromisedResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn destroy_key(&self, request: Request<DestroyKeyRequest>) -> Result<Response<DestroyKeyResponse>, Status> {
        not_built(&self.0, request).await
    }
}
