//! Key rotation and destruction. Not built yet.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::enter::{NoAnswers, not_built};
use super::proto::keys_server::Keys;
use super::proto::*;
use crate::gate::vault::Vault;

/// The service `lacuna.v1.Keys`.
pub(super) struct KeysService(pub(super) Arc<Vault>);

#[tonic::async_trait]
impl Keys for KeysService {
    async fn get_key_status(
        &self,
        request: Request<GetKeyStatusRequest>,
    ) -> Result<Response<GetKeyStatusResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn start_rotation(
        &self,
        request: Request<StartRotationRequest>,
    ) -> Result<Response<StartRotationResponse>, Status> {
        not_built(&self.0, request).await
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
