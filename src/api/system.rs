//! The vault as a machine to be operated. Of its methods, those about its state, its slots, its files and what is due are built.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert;
use super::enter::{NoAnswers, enter, not_built, refuse};
use super::proto::system_server::System;
use super::proto::*;
use crate::gate::purge;
use crate::gate::status::report;
use crate::gate::vault::Vault;
use crate::retention::confirm::confirm;
use crate::retention::due;
use crate::retention::state::halted;

/// The service `lacuna.v1.System`.
pub(super) struct SystemService(pub(super) Arc<Vault>);

#[tonic::async_trait]
impl System for SystemService {
    async fn get_status(&self, request: Request<GetStatusRequest>) -> Result<Response<GetStatusResponse>, Status> {
        let call = enter(&self.0, request).await?.call;
        let status = report(&self.0, &call).await.map_err(refuse(&call))?;
        // What cannot be read is absent: the state says why.
        let halted = halted(&self.0).ok().flatten();
        Ok(Response::new(convert::system::status(status, halted)))
    }

    async fn unseal(&self, request: Request<UnsealRequest>) -> Result<Response<UnsealResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn seal(&self, request: Request<SealRequest>) -> Result<Response<SealResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn start_backup(
        &self,
        request: Request<StartBackupRequest>,
    ) -> Result<Response<StartBackupResponse>, Status> {
        not_built(&self.0, request).await
    }

    type WatchBackupStream = NoAnswers<WatchBackupResponse>;

    async fn watch_backup(
        &self,
        request: Request<WatchBackupRequest>,
    ) -> Result<Response<Self::WatchBackupStream>, Status> {
        not_built(&self.0, request).await
    }

    async fn list_due(&self, request: Request<ListDueRequest>) -> Result<Response<ListDueResponse>, Status> {
        let (call, query) = enter(&self.0, request).await?.convert(&self.0, convert::due::query).await?;
        let page = due::list(&self.0, &call, query).await.map_err(refuse(&call))?;
        Ok(Response::new(convert::due::page(page)))
    }

    async fn confirm_sweep(
        &self,
        request: Request<ConfirmSweepRequest>,
    ) -> Result<Response<ConfirmSweepResponse>, Status> {
        let (call, seen) = enter(&self.0, request).await?.convert(&self.0, convert::due::confirm).await?;
        let sweep = confirm(&self.0, &call, seen).await.map_err(refuse(&call))?;
        Ok(Response::new(ConfirmSweepResponse { sweep: Some(convert::due::sweep(&sweep)) }))
    }

    async fn replace_slot(
        &self,
        request: Request<ReplaceSlotRequest>,
    ) -> Result<Response<ReplaceSlotResponse>, Status> {
        let convert = convert::system::replace_slot;
        let (call, (slot, new_name)) = enter(&self.0, request).await?.convert(&self.0, convert).await?;
        let (slot, former) = self.0.replace_slot(&call, slot, new_name).await.map_err(refuse(&call))?;
        let replaced_slot = Some(convert::system::former_slot(&former));
        Ok(Response::new(ReplaceSlotResponse { slot: Some(convert::system::new_slot(slot)), replaced_slot }))
    }

    async fn remove_slot(&self, request: Request<RemoveSlotRequest>) -> Result<Response<RemoveSlotResponse>, Status> {
        let (call, slot) = enter(&self.0, request).await?.convert(&self.0, convert::system::remove_slot).await?;
        let slot = self.0.remove_slot(&call, slot).await.map_err(refuse(&call))?;
        Ok(Response::new(RemoveSlotResponse { slot: Some(convert::system::former_slot(&slot)) }))
    }

    async fn attest_slot_destroyed(
        &self,
        request: Request<AttestSlotDestroyedRequest>,
    ) -> Result<Response<AttestSlotDestroyedResponse>, Status> {
        let (call, said) = enter(&self.0, request).await?.convert(&self.0, convert::system::attest_slot).await?;
        let (slot, released) = self.0.attest_slot(&call, said).await.map_err(refuse(&call))?;
        let slot = Some(convert::system::former_slot(&slot));
        Ok(Response::new(AttestSlotDestroyedResponse { slot, released_erasure_count: released }))
    }

    async fn start_purge(&self, request: Request<StartPurgeRequest>) -> Result<Response<StartPurgeResponse>, Status> {
        let call = enter(&self.0, request).await?.call;
        let progress = purge::start(&self.0, &call).await.map_err(refuse(&call))?;
        Ok(Response::new(StartPurgeResponse { purge: Some(convert::system::purge(&progress)) }))
    }
}
