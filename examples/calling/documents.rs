//! Stores a document in pieces and reads it back, and goes on after an interruption.

use lacuna::api::proto::download_document_response::Part as Got;
use lacuna::api::proto::upload_document_request::Part;
use lacuna::api::proto::upload_document_response::Event;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::{
    CreateSubjectRequest, DocumentChunk, DownloadDocumentRequest, Item, ItemStamp, UploadDocumentRequest, UploadFinish,
    UploadOpen, item_value,
};
use lacuna::crypto::hash::sha256; // any SHA-256 will do
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::transport::Channel;

use super::client::{Failure, connect, context, repeat, request, subject};

/// The most that one message takes.
const PIECE: usize = 1 << 20;

/// One attempt to store a document. The opening learns the upload's id, by which the next attempt goes on.
async fn upload(vault: &VaultClient<Channel>, opening: &mut UploadOpen, content: &[u8]) -> Result<ItemStamp, Status> {
    let (sender, receiver) = mpsc::channel(1);
    let message = |part| UploadDocumentRequest { context: None, part: Some(part) };
    let open = Part::Open(opening.clone());
    let _ = sender.send(UploadDocumentRequest { context: context(""), part: Some(open) }).await;
    let mut answers = vault.clone().upload_document(request(ReceiverStream::new(receiver))).await?.into_inner();
    let Some(Event::Accepted(accepted)) = answers.message().await?.and_then(|answer| answer.event) else {
        return Err(Status::unavailable("the stream ended"));
    };
    opening.upload_id = accepted.upload_id;

    let from = accepted.durable_bytes as usize; // what was stored before is not sent again
    let sending = async {
        for (number, data) in content[from..].chunks(PIECE).enumerate() {
            let offset = (from + number * PIECE) as u64;
            let _ = sender.send(message(Part::Chunk(DocumentChunk { offset, data: data.to_vec().into() }))).await;
        }
        let whole = UploadFinish { size_bytes: content.len() as u64, sha256: sha256(&[content]).to_vec() };
        let _ = sender.send(message(Part::Finish(whole))).await; // if the stream is over, the answers say why
    };
    let answered = async {
        while let Some(answer) = answers.message().await? {
            if let Some(Event::Done(done)) = answer.event {
                return Ok(done.item.unwrap_or_default());
            }
        }
        Err(Status::unavailable("the stream ended"))
    };
    tokio::join!(sending, answered).1
}

/// One attempt to read what is missing of a document. It is whole only once the end has come.
async fn download(
    vault: &VaultClient<Channel>,
    wanted: &mut DownloadDocumentRequest,
    content: &mut Vec<u8>,
) -> Result<(Item, Vec<u8>), Status> {
    let mut described = Item::default();
    let mut answers = vault.clone().download_document(request(wanted.clone())).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        match answer.part {
            Some(Got::Item(item)) => {
                wanted.version = item.version; // an interruption must not lead to another version
                described = item;
            }
            Some(Got::Chunk(chunk)) => {
                content.extend_from_slice(&chunk.data);
                wanted.offset = content.len() as u64;
            }
            Some(Got::End(end)) => return Ok((described, end.sha256)),
            None => {}
        }
    }
    Err(Status::unavailable("the stream ended"))
}

/// What the sample says.
pub async fn run(dev: &serde_json::Value) -> Result<Vec<String>, Failure> {
    let vault = VaultClient::new(connect(dev, "service").await?);
    let create = CreateSubjectRequest { context: context(""), ..Default::default() };
    let created = repeat(async || vault.clone().create_subject(request(create.clone())).await).await?.into_inner();

    let scan = [&b"%PDF-1.7\n"[..], &vec![0; 5 * PIECE]].concat();
    let mut opening = UploadOpen {
        subject: subject(&created.subject_id),
        media_type: "application/pdf".into(),
        file_name: "passport.pdf".into(),
        ..Default::default()
    };
    let stored = repeat(async || upload(&vault, &mut opening, &scan).await).await?;
    let mut said = vec![format!("stored: {}, version {}", stored.item_id, stored.version)];

    let mut wanted = DownloadDocumentRequest {
        context: context(""),
        subject: subject(&created.subject_id),
        item_id: stored.item_id,
        ..Default::default()
    };
    let mut content = Vec::new();
    let (item, hash) = repeat(async || download(&vault, &mut wanted, &mut content).await).await?;
    assert!(hash == sha256(&[&content]) && content == scan, "not whole");
    if let Some(item_value::Value::Document(document)) = item.value.and_then(|value| value.value) {
        said.push(format!("read back: {} bytes of {}", content.len(), document.media_type));
    }
    Ok(said)
}
