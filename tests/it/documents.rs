//! Documents through the real program: cut off anywhere, gone on with, bounded, and nothing of them in any file.

use std::time::{Duration, Instant};

use lacuna::api::proto::download_document_response::Part as Got;
use lacuna::api::proto::upload_document_request::Part;
use lacuna::api::proto::upload_document_response::Event as Told;
use lacuna::api::proto::*;
use lacuna::base::id::SubjectId;
use lacuna::crypto::hash::sha256;
use lacuna::store::Engine as _;
use lacuna::store::keyspace::Space;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming};

use crate::program::subject;
use crate::random::Random;
use crate::samples::reason;
use crate::vault::TestVault;

const CHUNK: usize = 256 << 10;
const PIECE: usize = 1 << 20;

/// A document of so many bytes with canaries all over it.
pub fn pdf(vault: &TestVault, bytes: usize) -> Vec<u8> {
    let mut content = b"%PDF-1.7\n".to_vec();
    let canaries: Vec<String> = (0..4).map(|_| vault.canary()).collect();
    let mut random = Random::from(bytes as u64);
    while content.len() < bytes {
        content.extend_from_slice(canaries[content.len() % 4].as_bytes());
        content.extend_from_slice(&random.next().to_be_bytes());
    }
    content.truncate(bytes);
    content
}

pub fn opening(vault: &TestVault, subject_id: &str) -> UploadOpen {
    UploadOpen {
        subject: subject(subject_id),
        media_type: "application/pdf".into(),
        file_name: format!("{}.pdf", vault.canary()),
        ..Default::default()
    }
}

fn message(part: Part) -> UploadDocumentRequest {
    UploadDocumentRequest { context: None, part: Some(part) }
}

pub fn first(context: Option<CallContext>, open: UploadOpen) -> UploadDocumentRequest {
    UploadDocumentRequest { context, part: Some(Part::Open(open)) }
}

pub fn finish(content: &[u8]) -> UploadDocumentRequest {
    message(Part::Finish(UploadFinish { size_bytes: content.len() as u64, sha256: sha256(&[content]).to_vec() }))
}

/// The pieces of a content from an offset on.
pub fn pieces(content: &[u8], from: usize) -> Vec<UploadDocumentRequest> {
    let piece = |(number, data): (usize, &[u8])| {
        let offset = (from + number * PIECE) as u64;
        message(Part::Chunk(DocumentChunk { offset, data: data.to_vec().into() }))
    };
    content[from..].chunks(PIECE).enumerate().map(piece).collect()
}

/// How far an upload came.
#[derive(Default)]
pub struct Sent {
    accepted: Option<UploadAccepted>,
    progress: u64,
    pub done: Option<UploadDone>,
    failed: Option<Status>,
}

impl Sent {
    fn durable(&self) -> u64 {
        self.accepted.as_ref().map_or(0, |accepted| accepted.durable_bytes).max(self.progress)
    }

    fn reason(&self) -> String {
        self.failed.as_ref().map(reason).unwrap_or_default()
    }
}

impl TestVault {
    /// Sends messages as a stream, and reads what is answered.
    pub async fn upload(&self, role: &str, messages: Vec<UploadDocumentRequest>) -> Sent {
        let mut sent = Sent::default();
        let mut answers = match self.client(role).upload_document(tokio_stream::iter(messages)).await {
            Ok(answers) => answers.into_inner(),
            Err(status) => return Sent { failed: Some(status), ..sent },
        };
        loop {
            match answers.message().await {
                Ok(None) => return sent,
                Ok(Some(answer)) => match answer.event.expect("is set") {
                    Told::Accepted(accepted) => sent.accepted = Some(accepted),
                    Told::Progress(progress) => sent.progress = progress.durable_bytes,
                    Told::Done(done) => sent.done = Some(done),
                },
                Err(status) => {
                    self.note(&status);
                    return Sent { failed: Some(status), ..sent };
                }
            }
        }
    }

    /// Goes on with an upload from where it is, and ends it.
    async fn resume(&self, subject_id: &str, upload_id: &str, content: &[u8]) -> Sent {
        let open = UploadOpen { subject: subject(subject_id), upload_id: upload_id.into(), ..Default::default() };
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        sender.send(first(self.delivery(), open)).await.expect("there is room");
        let answers = self.client("service").upload_document(ReceiverStream::new(receiver)).await;
        let mut answers = match answers {
            Ok(answers) => answers.into_inner(),
            Err(status) => return Sent { failed: Some(status), ..Default::default() },
        };
        let mut sent = Sent::default();
        match answers.message().await.expect("an answer").expect("an answer").event {
            Some(Told::Accepted(accepted)) => sent.accepted = Some(accepted),
            _ => panic!("the first answer accepts"),
        }
        let from = sent.durable() as usize;
        let mut rest = pieces(content, from);
        rest.push(finish(content));
        let sending = async move {
            for message in rest {
                if sender.send(message).await.is_err() {
                    break;
                }
            }
        };
        let reading = async {
            loop {
                match answers.message().await {
                    Ok(None) => break,
                    Ok(Some(answer)) => {
                        if let Some(Told::Done(done)) = answer.event {
                            sent.done = Some(done);
                        }
                    }
                    Err(status) => {
                        sent.failed = Some(status);
                        break;
                    }
                }
            }
        };
        tokio::join!(sending, reading);
        sent
    }

    /// Stores a document as the service. Its item.
    pub async fn store_document(&self, subject_id: &str, content: &[u8]) -> ItemStamp {
        self.store_opened(opening(self, subject_id), content).await
    }

    /// The same of a description that is stated.
    pub async fn store_opened(&self, open: UploadOpen, content: &[u8]) -> ItemStamp {
        let mut messages = vec![first(self.delivery(), open)];
        messages.extend(pieces(content, 0));
        messages.push(finish(content));
        let sent = self.upload("service", messages).await;
        sent.done.unwrap_or_else(|| panic!("{:?}", sent.failed)).item.expect("is stated")
    }

    /// The content of a document from an offset on, and the item; only if the end comes.
    async fn download(
        &self,
        role: &str,
        subject_id: &str,
        item_id: &str,
        offset: u64,
    ) -> Result<(Item, Vec<u8>), Status> {
        let purpose = if role == "service" { "service_delivery" } else { "legal_compliance" };
        let request = DownloadDocumentRequest {
            context: self.context(purpose),
            subject: subject(subject_id),
            item_id: item_id.into(),
            version: 0,
            offset,
        };
        let stream = self.client(role).download_document(request).await?.into_inner();
        let mut parts = self.gather(stream).await?.into_iter().map(|answer| answer.part.expect("is set"));
        let Some(Got::Item(item)) = parts.next() else { panic!("the item comes first") };
        let mut content = Vec::new();
        for part in parts {
            match part {
                Got::Chunk(chunk) => {
                    assert_eq!(chunk.offset, offset + content.len() as u64);
                    content.extend_from_slice(&chunk.data);
                }
                Got::End(end) => {
                    assert_eq!(end.size_bytes, offset + content.len() as u64);
                    assert!(offset > 0 || end.sha256 == sha256(&[&content]));
                    return Ok((item, content));
                }
                Got::Item(_) => panic!("the item comes once"),
            }
        }
        panic!("the end must come")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_comes_back_as_it_was_sent_and_is_described_without_its_content() {
    let vault = TestVault::start();
    let id = vault.create(&[]).await.subject_id;
    let content = pdf(&vault, 3 * PIECE + 12_345);
    let stamp = vault.store_document(&id, &content).await;
    let (item, got) = vault.download("service", &id, &stamp.item_id, 0).await.expect("is read");
    assert!(got == content);
    assert_eq!((item.class.as_str(), item.version, item.view()), ("document", 1, View::Plain));
    let (_, rest) = vault.download("kyc", &id, &stamp.item_id, PIECE as u64 + 1).await.expect("is read");
    assert!(rest == content[PIECE + 1..]);
    let item = vault.read(&id, &stamp.item_id).await.expect("is described");
    let Some(item_value::Value::Document(document)) = item.value.and_then(|value| value.value) else {
        panic!("a document")
    };
    assert_eq!((document.size_bytes, document.media_type.as_str()), (content.len() as u64, "application/pdf"));
    assert_eq!(document.sha256, sha256(&[&content]));
    let status = vault.download("service", &id, &stamp.item_id, content.len() as u64 + 1).await.err().expect("ends");
    assert_eq!(reason(&status), "INDEX_OUT_OF_RANGE");
    let put = PutItemRequest {
        context: vault.delivery(),
        subject: subject(&id),
        item: Some(NewItem {
            class: "document".into(),
            value: Some(ItemValue { value: Some(item_value::Value::Document(document)) }),
            metadata: None,
        }),
    };
    let status = vault.client("service").put_item(put).await.expect_err("is refused");
    assert_eq!(reason(&status), "CLASS_MISMATCH");
    assert!(status.message().contains("UploadDocument"), "{}", status.message());
    vault.delete(&id, &stamp.item_id).await.expect("deletes");
    let status = vault.download("service", &id, &stamp.item_id, 0).await.err().expect("is gone");
    assert_eq!(reason(&status), "NOT_FOUND");
}

/// Where the program is killed while it takes a document of 20 chunks and one byte, in 6 messages: after how many
/// passings of a point, how many chunks are durable then at the least, and whether the document is there.
const KILLS: &[(&str, u32, usize, bool)] = &[
    ("upload_step", 2, 11, false),
    // The opening, six messages with chunks, and the end, each one commit; the log stands still.
    ("commit_before", 0, 0, false),
    ("commit_after", 0, 0, false),
    ("commit_before", 1, 0, false),
    ("commit_after", 1, 3, false),
    ("commit_after", 5, 19, false),
    ("commit_before", 7, 20, false),
    ("commit_after", 7, 20, true),
    ("upload_finished", 0, 20, true),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_anywhere_in_an_upload_loses_nothing_that_was_durable() {
    let mut origin = TestVault::start();
    let id = origin.create(&[]).await.subject_id;
    origin.stop();
    let content = pdf(&origin, 5 * PIECE + 1);
    for (point, passed, durable, stored) in KILLS {
        let name = format!("{point}, passed {passed} times before");
        let mut vault = origin.fork();
        vault.run(&format!("{point}={passed}*off->return(kill);log_round=pause"));
        let mut messages = vec![first(vault.delivery(), opening(&vault, &id))];
        messages.extend(pieces(&content, 0));
        messages.push(finish(&content));
        let sent = vault.upload("service", messages).await;
        assert!(sent.done.is_none() && sent.failed.is_some(), "{name}: killed before it could answer");
        vault.wait_for_death();
        vault.run("");
        let Some(accepted) = &sent.accepted else {
            assert_eq!((*durable, *stored), (0, false), "{name}");
            let stamp = vault.store_document(&id, &content).await;
            assert!(vault.download("service", &id, &stamp.item_id, 0).await.expect("is read").1 == content, "{name}");
            continue;
        };
        let list = ListItemsRequest { context: vault.delivery(), subject: subject(&id), ..Default::default() };
        let items = vault.client("service").list_items(list).await.expect("lists").into_inner().items;
        assert_eq!(items.len(), usize::from(*stored), "{name}: an item is there whole or not at all");
        let again = vault.resume(&id, &accepted.upload_id, &content).await;
        let known = again.durable();
        assert!(known >= sent.durable() && known >= (durable * CHUNK) as u64, "{name}: {known} bytes are durable");
        let done = again.done.unwrap_or_else(|| panic!("{name}: {:?}", again.failed));
        let item_id = done.item.expect("is stated").item_id;
        assert!(!stored || items[0].item_id == item_id, "{name}");
        assert!(vault.download("service", &id, &item_id, 0).await.expect("is read").1 == content, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_uploads_are_refused_for_what_is_wrong_with_them() {
    let vault = TestVault::start();
    let id = vault.create(&["contact"]).await.subject_id;
    let content = pdf(&vault, 300_000);
    let open = || first(vault.delivery(), opening(&vault, &id));
    let of_type = |media_type: &str| {
        first(vault.delivery(), UploadOpen { media_type: media_type.into(), ..opening(&vault, &id) })
    };
    let chunk = |offset, data: &[u8]| message(Part::Chunk(DocumentChunk { offset, data: data.to_vec().into() }));
    let repeated = UploadDocumentRequest { context: vault.delivery(), part: chunk(0, &content).part };
    let short = message(Part::Finish(UploadFinish { size_bytes: 1, sha256: vec![1; 31] }));
    for (name, messages, expected) in [
        ("nothing opened", vec![UploadDocumentRequest { context: vault.delivery(), part: None }], "FIELD_REQUIRED"),
        (
            "content first",
            vec![UploadDocumentRequest { context: vault.delivery(), ..chunk(0, &content) }],
            "STREAM_OUT_OF_ORDER",
        ),
        ("opened twice", vec![open(), open()], "STREAM_OUT_OF_ORDER"),
        ("context twice", vec![open(), repeated], "STREAM_OUT_OF_ORDER"),
        ("a part without a kind", vec![open(), UploadDocumentRequest::default()], "STREAM_OUT_OF_ORDER"),
        ("a gap", vec![open(), chunk(1, &content)], "STREAM_OUT_OF_ORDER"),
        ("a repeat", vec![open(), chunk(0, &content), chunk(0, &content)], "STREAM_OUT_OF_ORDER"),
        ("no end", vec![open(), chunk(0, &content)], "STREAM_OUT_OF_ORDER"),
        ("an empty piece", vec![open(), chunk(0, b"")], "FIELD_REQUIRED"),
        ("a large piece", vec![open(), chunk(0, &vec![b'%'; PIECE + 1])], "FIELD_TOO_LONG"),
        ("no bytes", vec![open(), finish(b"")], "MEDIA_TYPE_REFUSED"),
        ("another type", vec![of_type("image/png"), chunk(0, &content), finish(&content)], "MEDIA_TYPE_REFUSED"),
        ("a type that is not taken", vec![of_type("text/html")], "MEDIA_TYPE_REFUSED"),
        ("another content", vec![open(), chunk(0, &content), finish(&content[1..])], "CONTENT_MISMATCH"),
        ("a short hash", vec![open(), chunk(0, &content), short], "FIELD_INVALID"),
        (
            "another class",
            vec![first(vault.delivery(), UploadOpen { class: "contact".into(), ..opening(&vault, &id) })],
            "CLASS_MISMATCH",
        ),
        (
            "an unknown class",
            vec![first(vault.delivery(), UploadOpen { class: "x".into(), ..opening(&vault, &id) })],
            "CLASS_UNKNOWN",
        ),
        (
            "a path",
            vec![first(vault.delivery(), UploadOpen { file_name: "a/b.pdf".into(), ..opening(&vault, &id) })],
            "FIELD_INVALID",
        ),
        (
            "an id of another kind",
            vec![first(vault.delivery(), UploadOpen { item_id: id.clone(), ..opening(&vault, &id) })],
            "ID_MALFORMED",
        ),
    ] {
        let sent = vault.upload("service", messages).await;
        assert_eq!(sent.reason(), expected, "{name}");
        assert!(sent.done.is_none());
    }
    let list = ListItemsRequest { context: vault.delivery(), subject: subject(&id), ..Default::default() };
    let items = vault.client("service").list_items(list).await.expect("lists").into_inner().items;
    assert_eq!(items.len(), 1, "only the contact");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_stalls_ends_at_its_deadline_and_is_gone_on_with() {
    let vault = TestVault::start();
    let id = vault.create(&[]).await.subject_id;
    let content = pdf(&vault, 2 * PIECE);
    let mut messages = vec![first(vault.delivery(), opening(&vault, &id))];
    messages.extend(pieces(&content, 0).into_iter().take(1));
    let stalled = tokio_stream::iter(messages).chain(tokio_stream::pending());
    let mut request = Request::new(stalled);
    request.set_timeout(Duration::from_millis(1500));
    let began = Instant::now();
    let mut answers = vault.client("service").upload_document(request).await.expect("opens").into_inner();
    let mut upload_id = String::new();
    let status = loop {
        match answers.message().await {
            Ok(Some(answer)) => {
                if let Some(Told::Accepted(accepted)) = answer.event {
                    upload_id = accepted.upload_id;
                }
            }
            Ok(None) => panic!("it ends with an error"),
            Err(status) => break status,
        }
    };
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    assert!(began.elapsed() < Duration::from_secs(15));
    let again = vault.resume(&id, &upload_id, &content).await;
    assert_eq!(again.durable(), 3 * CHUNK as u64);
    let item_id = again.done.expect("is stored").item.expect("is stated").item_id;
    assert!(vault.download("service", &id, &item_id, 0).await.expect("is read").1 == content);
}

/// A document of a person, and a download of it whose caller takes the item and nothing more.
async fn untaken(vault: &TestVault, id: &str) -> (String, Streaming<DownloadDocumentResponse>) {
    let item_id = vault.store_document(id, &pdf(vault, 16 * PIECE)).await.item_id;
    let (context, subject) = (vault.delivery(), subject(id));
    let request = DownloadDocumentRequest { context, subject, item_id: item_id.clone(), ..Default::default() };
    let mut stream = vault.client("service").download_document(request).await.expect("opens").into_inner();
    assert!(matches!(stream.message().await.expect("comes").and_then(|a| a.part), Some(Got::Item(_))));
    // The rest does not fit what waits for a caller that takes nothing.
    tokio::time::sleep(Duration::from_millis(300)).await;
    (item_id, stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_ends_a_download_whose_caller_takes_nothing() {
    let vault = TestVault::start();
    let id = vault.create(&[]).await.subject_id;
    let (item_id, stream) = untaken(&vault, &id).await;
    let began = Instant::now();
    let erasure = vault.delete(&id, &item_id).await.expect("deletes");
    assert_eq!(erasure.state(), ErasureState::Erased);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let status = vault.gather(stream).await.err().expect("is cut");
    assert_eq!(reason(&status), "ITEM_ERASED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_ends_an_upload_whose_caller_says_nothing_and_leaves_no_row_that_names_the_person() {
    let mut vault = TestVault::start();
    let id = vault.create(&["contact"]).await.subject_id;
    let content = pdf(&vault, 4 * PIECE);
    vault.store_document(&id, &content).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    sender.send(first(vault.delivery(), opening(&vault, &id))).await.expect("there is room");
    let stream = vault.client("service").upload_document(ReceiverStream::new(receiver)).await;
    let mut answers = stream.expect("opens").into_inner();
    for piece in pieces(&content, 0).into_iter().take(2) {
        sender.send(piece).await.expect("is taken");
    }
    let (mut upload_id, mut durable) = (String::new(), 0);
    while durable < (PIECE + 3 * CHUNK) as u64 {
        match answers.message().await.expect("an answer").and_then(|answer| answer.event) {
            Some(Told::Accepted(accepted)) => upload_id = accepted.upload_id,
            Some(Told::Progress(progress)) => durable = progress.durable_bytes,
            other => panic!("{other:?}"),
        }
    }
    let erased = vault.erase(&id, "").await.expect("erases");
    assert_eq!(erased.erasure.expect("is told").state(), ErasureState::Erased);
    // The caller still holds its end, and has sent nothing since.
    let status = loop {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ends with an error"),
            Err(status) => break status,
        }
    };
    assert_eq!(reason(&status), "SUBJECT_ERASED");
    vault.note(&status);
    drop(sender);
    let again = vault.resume(&id, &upload_id, &content).await;
    assert!(again.done.is_none() && again.failed.is_some(), "nobody goes on with it");
    vault.stop();
    let bytes = *id.parse::<SubjectId>().expect("an id").as_bytes();
    let store = vault.store();
    for space in Space::ALL.iter().filter(|space| **space != Space::Subject) {
        let rows = store.scan(*space, &[], &[], usize::MAX).expect("reads");
        let named = rows.iter().filter(|(key, _)| key.windows(bytes.len()).any(|part| part == bytes)).count();
        assert_eq!(named, 0, "keys of {} name the person", space.name());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_ends_a_download_whose_caller_takes_nothing() {
    let vault = TestVault::start();
    let id = vault.create(&[]).await.subject_id;
    let (_, stream) = untaken(&vault, &id).await;
    let erased = vault.erase(&id, "").await.expect("erases");
    assert_eq!(erased.erasure.expect("is told").state(), ErasureState::Erased);
    let status = vault.gather(stream).await.err().expect("is cut");
    assert_eq!(reason(&status), "SUBJECT_ERASED");
}
