//! Dual control. Not built yet.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::enter::not_built;
use super::proto::approvals_server::Approvals;
use super::proto::*;
use crate::gate::vault::Vault;

/// The service `lacuna.v1.Approvals`.
pub(super) struct ApprovalsService(pub(super) Arc<Vault>);

#[tonic::async_trait]
impl Approvals for ApprovalsService {
    async fn list_approvals(
        &self,
        request: Request<ListApprovalsRequest>,
    ) -> Result<Response<ListApprovalsResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn approve(&self, request: Request<ApproveRequest>) -> Result<Response<ApproveResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn reject(&self, request: Request<RejectRequest>) -> Result<Response<RejectResponse>, Status> {
        not_built(&self.0, request).await
    }
}
