//! What a person may demand. Erasure, restriction and objection are built.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert::{item, privacy, receipts, subject};
use super::enter::{NoAnswers, enter, not_built, refuse};
use super::proto::privacy_server::Privacy;
use super::proto::*;
use crate::gate::vault::Vault;
use crate::{erasure, items};

/// The service `lacuna.v1.Privacy`.
pub(super) struct PrivacyService(pub(super) Arc<Vault>);

#[tonic::async_trait]
impl Privacy for PrivacyService {
    async fn erase_subject(
        &self,
        request: Request<EraseSubjectRequest>,
    ) -> Result<Response<EraseSubjectResponse>, Status> {
        let (call, wanted) = enter(&self.0, request).await?.convert(&self.0, receipts::erase).await?;
        let (erasure, receipt) = erasure::subject::erase(&self.0, &call, wanted).await.map_err(refuse(&call))?;
        let (erasure, receipt) = (Some(item::erasure(erasure)), receipt.map(receipts::receipt));
        Ok(Response::new(EraseSubjectResponse { erasure, receipt }))
    }

    async fn get_receipt(&self, request: Request<GetReceiptRequest>) -> Result<Response<GetReceiptResponse>, Status> {
        let (call, wanted) = enter(&self.0, request).await?.convert(&self.0, receipts::get).await?;
        let (receipt, next) = erasure::evidence::receipt(&self.0, &call, wanted).await.map_err(refuse(&call))?;
        let receipt = Some(receipts::receipt(receipt));
        Ok(Response::new(GetReceiptResponse { receipt, next_kept_page_token: next }))
    }

    async fn verify_erasure(
        &self,
        request: Request<VerifyErasureRequest>,
    ) -> Result<Response<VerifyErasureResponse>, Status> {
        let (call, which) = enter(&self.0, request).await?.convert(&self.0, receipts::verify).await?;
        let found = erasure::verify::verify(&self.0, &call, which).await.map_err(refuse(&call))?;
        Ok(Response::new(receipts::finding(found)))
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
        let (call, wanted) = enter(&self.0, request).await?.convert(&self.0, privacy::restrict).await?;
        let view = items::restrict::restrict(&self.0, &call, wanted).await.map_err(refuse(&call))?;
        Ok(Response::new(RestrictSubjectResponse { subject: Some(subject::view(view)) }))
    }

    async fn set_objection(
        &self,
        request: Request<SetObjectionRequest>,
    ) -> Result<Response<SetObjectionResponse>, Status> {
        let (call, wanted) = enter(&self.0, request).await?.convert(&self.0, privacy::object).await?;
        let objections = items::object::object(&self.0, &call, wanted).await.map_err(refuse(&call))?;
        Ok(Response::new(privacy::objections(objections)))
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
