//! Documents: an upload to be opened or ended, what is said of it, and what is to be downloaded.

use super::super::proto;
use super::item::whole;
use super::{At, Faults, item, metadata, subject, time};
use crate::base::limits::{
    DOCUMENT_MESSAGE_BYTES_MAX, FILE_NAME_BYTES_MAX, MEDIA_TYPE_BYTES_MAX, REGISTRY_ID_BYTES_MAX,
};
use crate::gate::refusal::{FaultReason, Refusal};
use crate::items::model::{Accepted, DocumentQuery, ItemView, UploadOpening, Uploaded, WholeContent};
use crate::items::upload::out_of_order;

/// The first message of an upload.
///
/// # Errors
/// Every fault of its form.
pub fn opening(request: proto::UploadDocumentRequest) -> Result<UploadOpening, Refusal> {
    let open = match request.part {
        Some(proto::upload_document_request::Part::Open(open)) => open,
        Some(proto::upload_document_request::Part::Chunk(_)) => return Err(out_of_order("chunk")),
        Some(proto::upload_document_request::Part::Finish(_)) => return Err(out_of_order("finish")),
        None => {
            let mut faults = Faults::default();
            faults.add(At::field("open"), FaultReason::Required);
            return Err(faults.into_refusal());
        }
    };
    let mut faults = Faults::default();
    let at = At::field("open");
    let subject = subject::subject_ref(&mut faults, at.then("subject"), open.subject);
    let mut given = |name, text: &str| if text.is_empty() { None } else { faults.id(at.then(name), text) };
    let upload = given("upload_id", &open.upload_id);
    let mut given = |name, text: &str| if text.is_empty() { None } else { faults.id(at.then(name), text) };
    let (related, item) = (given("related_item_id", &open.related_item_id), given("item_id", &open.item_id));
    let class = faults.plain(at.then("class"), open.class, REGISTRY_ID_BYTES_MAX);
    let media_type = faults.plain(at.then("media_type"), open.media_type, MEDIA_TYPE_BYTES_MAX);
    let file_name = faults.text(at.then("file_name"), open.file_name, FILE_NAME_BYTES_MAX);
    let etag = faults.token(at.then("etag"), open.etag);
    let metadata = open.metadata.map(|stated| metadata::new_metadata(&mut faults, at.then("metadata"), stated));
    let opening =
        |subject| UploadOpening { subject, upload, class, media_type, file_name, related, item, etag, metadata };
    whole(faults, subject.map(opening))
}

/// The last message of an upload.
///
/// # Errors
/// Every fault of its form.
pub fn finish(finish: &proto::UploadFinish) -> Result<WholeContent, Refusal> {
    let mut faults = Faults::default();
    let sha256 = finish.sha256.as_slice().try_into().ok();
    if sha256.is_none() {
        let reason = if finish.sha256.is_empty() { FaultReason::Required } else { FaultReason::Malformed };
        faults.add(At::field("finish").then("sha256"), reason);
    }
    whole(faults, sha256.map(|sha256| WholeContent { size: finish.size_bytes, sha256 }))
}

/// That an upload may be sent.
pub fn accepted(accepted: Accepted) -> proto::UploadDocumentResponse {
    event(proto::upload_document_response::Event::Accepted(proto::UploadAccepted {
        upload_id: accepted.upload.to_string(),
        durable_bytes: accepted.durable,
        chunk_bytes_max: DOCUMENT_MESSAGE_BYTES_MAX as u32,
        expire_time: Some(time(accepted.expires)),
    }))
}

/// That more is durable.
pub fn progress(durable_bytes: u64) -> proto::UploadDocumentResponse {
    event(proto::upload_document_response::Event::Progress(proto::UploadProgress { durable_bytes }))
}

/// That the document is there.
pub fn done(uploaded: Uploaded) -> proto::UploadDocumentResponse {
    event(proto::upload_document_response::Event::Done(proto::UploadDone {
        item: Some(item::stamp(uploaded.stamp)),
        erasure: uploaded.erasure.map(item::erasure),
    }))
}

fn event(event: proto::upload_document_response::Event) -> proto::UploadDocumentResponse {
    proto::UploadDocumentResponse { event: Some(event) }
}

/// What is to be downloaded.
///
/// # Errors
/// Every fault of the request's form.
pub fn download(request: proto::DownloadDocumentRequest) -> Result<DocumentQuery, Refusal> {
    let mut faults = Faults::default();
    let subject = item::owner(&mut faults, request.subject);
    let item = faults.id(At::field("item_id"), &request.item_id);
    let (version, offset) = (request.version, request.offset);
    whole(faults, item.map(|item| DocumentQuery { subject, item, version, offset }))
}

/// The first message of a download.
pub fn described(view: ItemView) -> proto::DownloadDocumentResponse {
    part(proto::download_document_response::Part::Item(item::item(view)))
}

/// The next piece of a download.
pub fn piece(offset: u64, data: tonic::codegen::Bytes) -> proto::DownloadDocumentResponse {
    part(proto::download_document_response::Part::Chunk(proto::DocumentChunk { offset, data }))
}

/// The last message of a download.
pub fn end(whole: WholeContent) -> proto::DownloadDocumentResponse {
    let end = proto::DocumentEnd { size_bytes: whole.size, sha256: whole.sha256.to_vec() };
    part(proto::download_document_response::Part::End(end))
}

fn part(part: proto::download_document_response::Part) -> proto::DownloadDocumentResponse {
    proto::DownloadDocumentResponse { part: Some(part) }
}
