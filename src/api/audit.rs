//! The log, its proofs and its tail. Not built yet.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::enter::{NoAnswers, not_built};
use super::proto::audit_server::Audit;
use super::proto::*;
use crate::gate::vault::Vault;

/// The service `lacuna.v1.Audit`.
pub(super) struct AuditService(pub(super) Arc<Vault>);

#[tonic::async_trait]
impl Audit for AuditService {
    async fn get_checkpoint(
        &self,
        request: Request<GetCheckpointRequest>,
    ) -> Result<Response<GetCheckpointResponse>, Status> {
        not_built(&self.0, request).await
    }

    type ListEntriesStream = NoAnswers<ListEntriesResponse>;

    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<Self::ListEntriesStream>, Status> {
        not_built(&self.0, request).await
    }

    type TailEntriesStream = NoAnswers<TailEntriesResponse>;

    async fn tail_entries(
        &self,
        request: Request<TailEntriesRequest>,
    ) -> Result<Response<Self::TailEntriesStream>, Status> {
        not_built(&self.0, request).await
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<GetInclusionProofRequest>,
    ) -> Result<Response<GetInclusionProofResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn get_consistency_proof(
        &self,
        request: Request<GetConsistencyProofRequest>,
    ) -> Result<Response<GetConsistencyProofResponse>, Status> {
        not_built(&self.0, request).await
    }
}
