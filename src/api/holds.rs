//! Matters, holds and what keeps an item.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert::holds;
use super::enter::{enter, refuse};
use super::proto::holds_server::Holds;
use super::proto::*;
use crate::gate::vault::Vault;
use crate::holds::{list, matters, place, reasons, release};

/// The service `lacuna.v1.Holds`.
pub(super) struct HoldsService(pub(super) Arc<Vault>);

#[tonic::async_trait]
impl Holds for HoldsService {
    async fn open_matter(&self, request: Request<OpenMatterRequest>) -> Result<Response<OpenMatterResponse>, Status> {
        let (call, new) = enter(&self.0, request).await?.convert(&self.0, holds::open).await?;
        let view = matters::open(&self.0, &call, new).await.map_err(refuse(&call))?;
        Ok(Response::new(OpenMatterResponse { matter: Some(holds::matter(view)) }))
    }

    async fn close_matter(
        &self,
        request: Request<CloseMatterRequest>,
    ) -> Result<Response<CloseMatterResponse>, Status> {
        let (call, (id, etag)) = enter(&self.0, request).await?.convert(&self.0, holds::close).await?;
        let view = matters::close(&self.0, &call, id, etag).await.map_err(refuse(&call))?;
        Ok(Response::new(CloseMatterResponse { matter: Some(holds::matter(view)) }))
    }

    async fn list_matters(
        &self,
        request: Request<ListMattersRequest>,
    ) -> Result<Response<ListMattersResponse>, Status> {
        let (call, query) = enter(&self.0, request).await?.convert(&self.0, holds::list_matters).await?;
        let page = matters::list(&self.0, &call, query).await.map_err(refuse(&call))?;
        Ok(Response::new(holds::matters(page)))
    }

    async fn place_hold(&self, request: Request<PlaceHoldRequest>) -> Result<Response<PlaceHoldResponse>, Status> {
        let (call, placing) = enter(&self.0, request).await?.convert(&self.0, holds::place).await?;
        let placed = place::place(&self.0, &call, placing).await.map_err(refuse(&call))?;
        Ok(Response::new(holds::placed(placed)))
    }

    async fn release_hold(
        &self,
        request: Request<ReleaseHoldRequest>,
    ) -> Result<Response<ReleaseHoldResponse>, Status> {
        let (call, releasing) = enter(&self.0, request).await?.convert(&self.0, holds::release).await?;
        let released = release::release(&self.0, &call, releasing).await.map_err(refuse(&call))?;
        Ok(Response::new(holds::released(released)))
    }

    async fn list_holds(&self, request: Request<ListHoldsRequest>) -> Result<Response<ListHoldsResponse>, Status> {
        let (call, query) = enter(&self.0, request).await?.convert(&self.0, holds::list_holds).await?;
        let page = list::list(&self.0, &call, query).await.map_err(refuse(&call))?;
        Ok(Response::new(holds::holds(page)))
    }

    async fn list_keep_reasons(
        &self,
        request: Request<ListKeepReasonsRequest>,
    ) -> Result<Response<ListKeepReasonsResponse>, Status> {
        let (call, query) = enter(&self.0, request).await?.convert(&self.0, holds::list_reasons).await?;
        let page = reasons::list(&self.0, &call, query).await.map_err(refuse(&call))?;
        Ok(Response::new(holds::kept(page)))
    }
}
