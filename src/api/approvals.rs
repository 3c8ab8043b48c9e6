//! Dual control: listing, agreeing, refusing.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert::approvals as convert;
use super::enter::{enter, refuse};
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
        let (call, query) = enter(&self.0, request).await?.convert(&self.0, convert::list).await?;
        let page = self.0.list_approvals(&call, &query).await.map_err(refuse(&call))?;
        Ok(Response::new(convert::page(page)))
    }

    async fn approve(&self, request: Request<ApproveRequest>) -> Result<Response<ApproveResponse>, Status> {
        let (call, decision) = enter(&self.0, request).await?.convert(&self.0, convert::approve).await?;
        let approval = self.0.decide(&call, decision).await.map_err(refuse(&call))?;
        Ok(Response::new(ApproveResponse { approval: Some(convert::approval(approval)) }))
    }

    async fn reject(&self, request: Request<RejectRequest>) -> Result<Response<RejectResponse>, Status> {
        let (call, decision) = enter(&self.0, request).await?.convert(&self.0, convert::reject).await?;
        let approval = self.0.decide(&call, decision).await.map_err(refuse(&call))?;
        Ok(Response::new(RejectResponse { approval: Some(convert::approval(approval)) }))
    }
}
