//! Erasure, exports, restrictions, requests and notices. Not built yet.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::enter::{NoAnswers, not_built};
use super::proto::privacy_server::Privacy;
use super::proto::*;
use crate::gate::vault::Vault;

/// The service `lacuna.v1.Privacy`.
pub(super) struct PrivacyService(pub(super) Arc<Vault>);

#[tonic::async_trait]
impl Privacy for PrivacyService {
    async fn erase_subject(
        &self,
        request: Request<EraseSubjectRequest>,
    ) -> Result<Response<EraseSubjectResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn get_receipt(&self, request: Request<GetReceiptRequest>) -> Result<Response<GetReceiptResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn verify_erasure(
        &self,
        request: Request<VerifyErasureRequest>,
    ) -> Result<Response<VerifyErasureResponse>, Status> {
        not_built(&self.0, request).await
    }

    type ExportSubjectStream = NoAnswers<ExportSubjectResponse>;

    async fn export_subject(
        &self,
        request: Request<ExportSubjectRequest>,
    ) -> Result<Response<Self::ExportSubjectStream>, Status> {
        not_built(&self.0, request).await
    }

    async fn restrict_subject(
        &self,
        request: Request<RestrictSubjectRequest>,
    ) -> Result<Response<RestrictSubjectResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn set_objection(
        &self,
        request: Request<SetObjectionRequest>,
    ) -> Result<Response<SetObjectionResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn open_request(
        &self,
        request: Request<OpenRequestRequest>,
    ) -> Result<Response<OpenRequestResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn advance_request(
        &self,
        request: Request<AdvanceRequestRequest>,
    ) -> Result<Response<AdvanceRequestResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn list_requests(
        &self,
        request: Request<ListRequestsRequest>,
    ) -> Result<Response<ListRequestsResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn publish_notice(
        &self,
        request: Request<PublishNoticeRequest>,
    ) -> Result<Response<PublishNoticeResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn record_notice_delivery(
        &self,
        request: Request<RecordNoticeDeliveryRequest>,
    ) -> Result<Response<RecordNoticeDeliveryResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn acknowledge_notice(
        &self,
        request: Request<AcknowledgeNoticeRequest>,
    ) -> Result<Response<AcknowledgeNoticeResponse>, Status> {
        not_built(&self.0, request).await
    }

    async fn list_notice_due(
        &self,
        request: Request<ListNoticeDueRequest>,
    ) -> Result<Response<ListNoticeDueResponse>, Status> {
        not_built(&self.0, request).await
    }
}
