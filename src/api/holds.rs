//! Matters, holds and what keeps an item. Not built yet.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::enter::not_built;
use super::proto::holds_server::Holds;
use super::proto::*;
use crate::gate::vault::Vault;

/// The service `lacuna.v1.Holds`.
pub(super) struct HoldsService(pub(super) Arc<Vault>);

#[tonic::async_trait]
impl Holds for HoldsService {
    async fn open_matter(&self, request: Request<OpenMatterRequest>) -> Result<Response<OpenMatterResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn close_matter(
        &self,
        request: Request<CloseMatterRequest>,
    ) -> Result<Response<CloseMatterResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn list_matters(
        &self,
        request: Request<ListMattersRequest>,
    ) -> Result<Response<ListMattersResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn place_hold(&self, request: Request<PlaceHoldRequest>) -> Result<Response<PlaceHoldResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn release_hold(
        &self,
        request: Request<ReleaseHoldRequest>,
    ) -> Result<Response<ReleaseHoldResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn list_holds(&self, request: Request<ListHoldsRequest>) -> Result<Response<ListHoldsResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn list_keep_reasons(
        &self,
        request: Request<ListKeepReasonsRequest>,
    ) -> Result<Response<ListKeepReasonsResponse>, Status> {
        not_built(&self.0, request).await
    }
}
