//! Documents: whole or not there, never changed once durable, forgotten with everything that is theirs.

mod ending;

use super::*;
use crate::audit::event::Outcome;
use crate::base::id::UploadId;
use crate::base::limits::{
    CHUNK_BYTES, DOCUMENT_BUFFER_BYTES_MAX, DOCUMENT_BYTES_MAX, UPLOADS_KEPT_MAX, UPLOADS_PER_SUBJECT_MAX,
};
use crate::base::reason::Reason;
use crate::catalog::view::View;
use crate::crypto::hash::sha256;
use crate::gate::refusal::{Document, Fault, FaultReason, State, Unavailable};
use crate::gate::uploads::UploadPlace;
use crate::items::download::{self, Download};
use crate::items::model::{
    Delete, DocumentQuery, ErasureState, ItemView, Notes, Update, UploadOpening, Uploaded, Wait, WholeContent,
};
use crate::items::record::encode_finished;
use crate::items::upload::{self, Upload};
use crate::items::{delete, update};

/// A document of so many bytes, of which no two chunks are alike.
pub(super) fn pdf(bytes: usize) -> Vec<u8> {
    let random = (0..bytes as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8);
    let mut content: Vec<u8> = random.collect();
    let head = b"%PDF-1.7\n";
    let len = head.len().min(bytes);
    content[..len].copy_from_slice(&head[..len]);
    content
}

pub(super) fn opening(subject: SubjectId) -> UploadOpening {
    UploadOpening {
        subject: SubjectRef::Id(subject),
        upload: None,
        class: String::new(),
        media_type: "application/pdf".into(),
        file_name: "passport.pdf".into(),
        related: None,
        item: None,
        etag: String::new(),
        metadata: None,
    }
}

fn whole(content: &[u8]) -> WholeContent {
    WholeContent { size: content.len() as u64, sha256: sha256(&[content]) }
}

async fn send(upload: &mut Upload, content: &[u8], piece: usize) -> Result<(), Refusal> {
    let mut at = upload.accepted().durable;
    for piece in content[at as usize..].chunks(piece) {
        upload.take(at, piece).await?;
        at += piece.len() as u64;
    }
    Ok(())
}

impl Bench {
    async fn open(&self, opening: UploadOpening) -> Result<Upload, Refusal> {
        upload::open(self.vault.clone(), self.call(Action::UploadDocument).await, opening).await
    }

    async fn go_on(&self, subject: SubjectId, upload: UploadId) -> Result<Upload, Refusal> {
        self.open(UploadOpening { upload: Some(upload), media_type: String::new(), ..opening(subject) }).await
    }

    pub(super) async fn store(&self, opening: UploadOpening, content: &[u8]) -> Result<Uploaded, Refusal> {
        let mut upload = self.open(opening).await?;
        send(&mut upload, content, 300_001).await?;
        upload.finish(whole(content)).await
    }

    async fn download(
        &self,
        subject: SubjectId,
        item: ItemId,
        version: u64,
        offset: u64,
    ) -> Result<(ItemView, Download), Refusal> {
        let query = DocumentQuery { subject: Some(SubjectRef::Id(subject)), item, version, offset };
        download::open(self.vault.clone(), self.call(Action::DownloadDocument).await, query).await
    }

    async fn content(&self, subject: SubjectId, item: ItemId, offset: u64) -> Result<Vec<u8>, Refusal> {
        let (_, mut download) = self.download(subject, item, 0, offset).await?;
        let mut content = Vec::new();
        while let Some(piece) = download.next().await? {
            assert_eq!(piece.offset, offset + content.len() as u64);
            let sent = &piece.bytes.expose()[piece.skip..];
            content.extend_from_slice(sent);
            download.sent(sent);
        }
        Ok(content)
    }

    async fn remove(&self, subject: SubjectId, item: ItemId) -> Result<(), Refusal> {
        let call = self.call(Action::DeleteItem).await;
        let wanted = Delete { subject: SubjectRef::Id(subject), item, etag: String::new(), wait: Wait::Erased };
        delete::delete(&self.vault, &call, wanted).await.map(|_| ())
    }

    /// Changes the free text of an item's metadata, which seals the item anew.
    async fn annotate(&self, subject: SubjectId, item: ItemId) {
        let notes = Notes { source: "a desk".into(), ..Notes::default() };
        let wanted = Update {
            subject: SubjectRef::Id(subject),
            item,
            etag: String::new(),
            value: None,
            metadata: Some(NewMetadata { notes, ..NewMetadata::default() }),
            wait: Wait::Erased,
        };
        let call = self.call(Action::UpdateItem).await;
        let (_, erasure) = update::update(&self.vault, &call, wanted).await.expect("changes");
        assert_eq!(erasure.map(|erasure| erasure.state), Some(ErasureState::Erased));
    }

    /// Keys of rows of documents, of uploads and of when these expire.
    fn left(&self) -> [usize; 3] {
        [Space::Chunk, Space::Upload, Space::UploadDue].map(|space| self.rows(space).len())
    }

    fn change(&self, change: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::new();
        change(&mut batch);
        self.tamper(batch);
    }
}

#[tokio::test]
async fn a_document_is_there_whole_once_it_is_finished_and_not_before() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    for bytes in [9, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES, 1_000_000] {
        let content = pdf(bytes);
        let mut upload = bench.open(opening(subject)).await.expect("opens");
        send(&mut upload, &content, 100_003).await.expect("is taken");
        assert!(bench.rows(Space::Item).is_empty(), "no item before the end");
        let done = upload.finish(whole(&content)).await.expect("is stored");
        assert_eq!((done.stamp.version, done.erasure), (1, None));
        assert_eq!(bench.content(subject, done.stamp.item, 0).await, Ok(content.clone()), "{bytes}");
        let call = bench.call(Action::GetItem).await;
        let view = get::get(&bench.vault, &call, query(subject, done.stamp.item)).await.expect("is described");
        let Some(ItemValue::Document(document)) = view.value else { panic!("a document") };
        assert_eq!((document.size_bytes, document.sha256), (bytes as u64, sha256(&[&content])));
        assert_eq!(document.file_name.expose(), "passport.pdf");
        bench.remove(subject, done.stamp.item).await.expect("deletes");
    }
    assert!(bench.rows(Space::Chunk).is_empty());
}

#[tokio::test]
async fn a_download_goes_on_at_any_offset() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(2 * CHUNK_BYTES + 77);
    let item = bench.store(opening(subject), &content).await.expect("is stored").stamp.item;
    for offset in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, content.len() - 1, content.len()] {
        assert_eq!(bench.content(subject, item, offset as u64).await, Ok(content[offset..].to_vec()), "{offset}");
    }
    let past = bench.content(subject, item, content.len() as u64 + 1).await;
    assert_eq!(past, Err(Document::PastEnd.into()));
}

#[tokio::test]
async fn an_interrupted_upload_goes_on_from_what_is_durable() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(5 * CHUNK_BYTES + 5);
    let mut upload = bench.open(opening(subject)).await.expect("opens");
    let id = upload.accepted().upload;
    let mut durable = 0;
    for (at, piece) in content[..3 * CHUNK_BYTES].chunks(100_000).enumerate() {
        durable = upload.take(at as u64 * 100_000, piece).await.expect("is taken").unwrap_or(durable);
    }
    drop(upload);
    assert_eq!(durable, 2 * CHUNK_BYTES as u64, "the third may be the last");
    let mut upload = bench.go_on(subject, id).await.expect("goes on");
    assert_eq!((upload.accepted().durable, upload.accepted().upload), (durable, id));
    send(&mut upload, &content, 1 << 20).await.expect("is taken");
    let done = upload.finish(whole(&content)).await.expect("is stored");
    assert_eq!(bench.content(subject, done.stamp.item, 0).await, Ok(content));
}

#[tokio::test]
async fn of_two_streams_on_one_upload_one_is_told_of_the_other() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(3 * CHUNK_BYTES);
    let mut first = bench.open(opening(subject)).await.expect("opens");
    let mut second = bench.go_on(subject, first.accepted().upload).await.expect("goes on");
    send(&mut first, &content[..2 * CHUNK_BYTES], 1 << 20).await.expect("is taken");
    let other = pdf(2 * CHUNK_BYTES);
    assert_eq!(send(&mut second, &other, 1 << 20).await, Err(Document::OtherStream.into()));
    assert_eq!(bench.last_leaf().reason, Reason::Conflict.number());
    let mut third = bench.go_on(subject, first.accepted().upload).await.expect("goes on");
    send(&mut third, &content, 1 << 20).await.expect("is taken");
    let done = third.finish(whole(&content)).await.expect("is stored");
    assert_eq!(first.finish(whole(&content[..2 * CHUNK_BYTES])).await, Err(Document::OtherStream.into()));
    assert_eq!(bench.content(subject, done.stamp.item, 0).await, Ok(content));
}

#[tokio::test]
async fn only_the_first_caller_goes_on_with_an_upload_of_the_same_subject() {
    let bench = Bench::new();
    let ((subject, _), (other, _)) = (bench.person(&[]).await, bench.person(&[]).await);
    let upload = bench.open(opening(subject)).await.expect("opens").accepted().upload;
    let gone = Err(Document::UploadExpired.into());
    assert_eq!(bench.go_on(other, upload).await.map(|_| ()), gone);
    let call = bench.call_as("shop", RoleId::Service, "service_delivery", Action::UploadDocument, "", "").await;
    let opening = UploadOpening { upload: Some(upload), ..opening(subject) };
    assert_eq!(upload::open(bench.vault.clone(), call, opening).await.map(|_| ()), gone);
    assert!(bench.go_on(subject, upload).await.is_ok());
}

#[tokio::test]
async fn a_content_that_is_not_what_was_announced_is_given_up() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(2 * CHUNK_BYTES);
    let right = whole(&content);
    let fault = |field: &str, reason| Err(Fault::new(field, reason).into());
    for (whole, expected) in [
        (WholeContent { sha256: [0; 32], ..right }, fault("finish.sha256", FaultReason::ContentMismatch)),
        (WholeContent { size: 7, ..right }, fault("finish.size_bytes", FaultReason::ContentMismatch)),
    ] {
        let mut upload = bench.open(opening(subject)).await.expect("opens");
        let id = upload.accepted().upload;
        send(&mut upload, &content, 1 << 20).await.expect("is taken");
        assert_eq!(upload.finish(whole).await.map(|_| ()), expected);
        assert_eq!(bench.go_on(subject, id).await.map(|_| ()), Err(Document::UploadExpired.into()));
    }
    bench.settle().await;
    assert!(bench.rows(Space::Item).is_empty());
    assert_eq!(bench.left(), [0, 0, 0]);
}

#[tokio::test]
async fn a_content_that_is_not_of_its_media_type_is_refused() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let refused = Err(Fault::new("open.media_type", FaultReason::MediaType).into());
    for (media, content) in [
        ("image/jpeg", pdf(2 * CHUNK_BYTES)),
        ("image/jpeg", pdf(100)),
        ("image/png", pdf(20)),
        ("application/pdf", Vec::new()),
        ("text/html", pdf(20)),
        ("image/svg+xml", pdf(20)),
    ] {
        let opening = UploadOpening { media_type: media.into(), ..opening(subject) };
        assert_eq!(bench.store(opening, &content).await.map(|_| ()), refused, "{media}");
    }
    let none = UploadOpening { media_type: String::new(), ..opening(subject) };
    let required = Err(Fault::new("open.media_type", FaultReason::Required).into());
    assert_eq!(bench.store(none, &pdf(20)).await.map(|_| ()), required);
    let path = UploadOpening { file_name: "../passport.pdf".into(), ..opening(subject) };
    assert!(matches!(bench.store(path, &pdf(20)).await, Err(Refusal::Invalid(_))));
    bench.settle().await;
    assert_eq!(bench.left(), [0, 0, 0]);
}

#[tokio::test]
async fn a_document_has_64_mib_and_no_byte_more() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(1 << 20).repeat(DOCUMENT_BYTES_MAX as usize >> 20);
    let mut upload = bench.open(opening(subject)).await.expect("opens");
    send(&mut upload, &content, 1 << 20).await.expect("is taken");
    let done = upload.finish(whole(&content)).await.expect("is stored");
    let offset = DOCUMENT_BYTES_MAX - 9;
    assert_eq!(bench.content(subject, done.stamp.item, offset).await, Ok(content[offset as usize..].to_vec()));
}

#[tokio::test]
async fn an_upload_that_can_never_end_well_is_given_up_with_its_refusal() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(1 << 20).repeat(DOCUMENT_BYTES_MAX as usize >> 20);
    let mut upload = bench.open(opening(subject)).await.expect("opens");
    let large = upload.accepted().upload;
    send(&mut upload, &content, 1 << 20).await.expect("is taken");
    assert_eq!(upload.take(DOCUMENT_BYTES_MAX, b"x").await, Err(Document::TooLarge.into()));
    let gone = Err(Document::UploadExpired.into());
    assert_eq!(upload.finish(whole(&content)).await.map(|_| ()), gone);

    let (content, other) = (pdf(2 * CHUNK_BYTES), pdf(CHUNK_BYTES));
    let first = bench.store(opening(subject), &content).await.expect("is stored").stamp;
    let renewing = UploadOpening { item: Some(first.item), etag: first.etag.clone(), ..opening(subject) };
    let mut upload = bench.open(renewing).await.expect("opens");
    let late = upload.accepted().upload;
    send(&mut upload, &other, 1 << 20).await.expect("is taken");
    bench.annotate(subject, first.item).await;
    assert_eq!(upload.finish(whole(&other)).await.map(|_| ()), Err(State::EtagMismatch.into()));

    for id in [large, late] {
        assert_eq!(bench.go_on(subject, id).await.map(|_| ()), gone);
    }
    bench.settle().await;
    assert_eq!(bench.left(), [2, 1, 1], "what was stored, and that it was");
    assert_eq!(bench.content(subject, first.item, 0).await, Ok(content));
}

#[tokio::test]
async fn pieces_out_of_order_are_refused() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(100_000);
    let fault = |field: &str, reason| Err(Fault::new(field, reason).into());
    for (offset, piece, expected) in [
        (1, &content[1..], fault("chunk.offset", FaultReason::OutOfOrder)),
        (0, &content[..0], fault("chunk.data", FaultReason::Required)),
        (0, &vec![0; (1 << 20) + 1][..], fault("chunk.data", FaultReason::TooLarge)),
    ] {
        let mut upload = bench.open(opening(subject)).await.expect("opens");
        assert_eq!(upload.take(offset, piece).await, expected);
    }
    let mut upload = bench.open(opening(subject)).await.expect("opens");
    upload.take(0, &content[..1000]).await.expect("is taken");
    assert_eq!(upload.take(0, &content[..1000]).await, fault("chunk.offset", FaultReason::OutOfOrder), "a repeat");
}

#[tokio::test]
async fn stored_chunks_that_were_tampered_with_are_not_revealed() {
    let bench = Bench::new();
    let ((subject, _), (other, _)) = (bench.person(&[]).await, bench.person(&[]).await);
    let content = pdf(3 * CHUNK_BYTES);
    let item = bench.store(opening(subject), &content).await.expect("is stored").stamp.item;
    let good = bench.rows(Space::Chunk);
    let again = bench.store(opening(subject), &content).await.expect("is stored").stamp.item;
    bench.store(opening(other), &content).await.expect("is stored");
    let foreign: Vec<Record> = bench.rows(Space::Chunk).into_iter().filter(|row| !good.contains(row)).collect();
    assert_eq!((good.len(), foreign.len()), (3, 6));
    let value = |rows: &[Record], at: usize| rows[at].1.clone();
    let mut flipped = value(&good, 1);
    flipped[100] ^= 1;
    for (name, at, with) in [
        ("swapped", 0, Some(value(&good, 1))),
        ("repeated", 2, Some(value(&good, 1))),
        ("dropped", 1, None),
        ("cut off", 2, None),
        ("flipped", 1, Some(flipped)),
        ("shortened", 1, Some(value(&good, 1)[..1000].to_vec())),
        ("another upload's", 1, Some(value(&foreign, 1))),
        ("another upload's", 1, Some(value(&foreign, 4))),
    ] {
        bench.change(|batch| match &with {
            Some(with) => batch.put(Space::Chunk, good[at].0.clone(), with.clone()),
            None => batch.delete(Space::Chunk, good[at].0.clone()),
        });
        assert_eq!(bench.content(subject, item, 0).await, Err(Unavailable::Damaged.into()), "{name} {at}");
        bench.change(|batch| batch.put(Space::Chunk, good[at].0.clone(), good[at].1.clone()));
    }
    assert_eq!(bench.content(subject, item, 0).await, Ok(content.clone()));
    assert_eq!(bench.content(subject, again, 0).await, Ok(content));
}

#[tokio::test]
async fn chunks_of_the_version_before_are_no_part_of_the_new_one() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(3 * CHUNK_BYTES);
    let item = bench.store(opening(subject), &content).await.expect("is stored").stamp.item;
    let before = bench.rows(Space::Chunk);
    // The same content under the same item: only the upload is another.
    bench.store(UploadOpening { item: Some(item), ..opening(subject) }, &content).await.expect("is stored");
    bench.settle().await;
    let now = bench.rows(Space::Chunk);
    assert_eq!((before.len(), now.len()), (3, 3));
    for at in 0..3 {
        bench.change(|batch| batch.put(Space::Chunk, now[at].0.clone(), before[at].1.clone()));
        assert_eq!(bench.content(subject, item, 0).await, Err(Unavailable::Damaged.into()), "{at}");
        bench.change(|batch| batch.put(Space::Chunk, now[at].0.clone(), now[at].1.clone()));
    }
    assert_eq!(bench.content(subject, item, 0).await, Ok(content));
}

#[tokio::test]
async fn an_upload_that_goes_on_with_another_content_is_given_up() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(4 * CHUNK_BYTES);
    let mut upload = bench.open(opening(subject)).await.expect("opens");
    let id = upload.accepted().upload;
    send(&mut upload, &content[..3 * CHUNK_BYTES], 1 << 20).await.expect("is taken");
    drop(upload);
    let mut other = content.clone();
    other[CHUNK_BYTES] ^= 1; // in what is durable
    let mut upload = bench.go_on(subject, id).await.expect("goes on");
    send(&mut upload, &other, 1 << 20).await.expect("is taken");
    let mismatch = Err(Fault::new("finish.sha256", FaultReason::ContentMismatch).into());
    assert_eq!(upload.finish(whole(&other)).await.map(|_| ()), mismatch);
    assert_eq!(bench.go_on(subject, id).await.map(|_| ()), Err(Document::UploadExpired.into()));
    assert!(bench.rows(Space::Item).is_empty());
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_again() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(CHUNK_BYTES + 1);
    let open = async || {
        let call = bench.call_once(Action::UploadDocument, "key", "the request").await;
        upload::open(bench.vault.clone(), call, opening(subject)).await
    };
    let mut upload = open().await.expect("opens");
    let id = upload.accepted().upload;
    send(&mut upload, &content, 1 << 20).await.expect("is taken");
    let done = upload.finish(whole(&content)).await.expect("is stored");
    for again in [bench.go_on(subject, id).await, open().await] {
        let mut again = again.expect("opens");
        assert_eq!((again.accepted().upload, again.accepted().durable), (id, content.len() as u64));
        send(&mut again, &content, 1 << 20).await.expect("there is nothing to send");
        assert_eq!(again.finish(whole(&content)).await, Ok(done.clone()));
    }
    assert_eq!(bench.rows(Space::Item).len(), 1);
    let other = bench.go_on(subject, id).await.expect("opens").finish(whole(b"other")).await.map(|_| ());
    assert_eq!(other, Err(Fault::new("finish.sha256", FaultReason::ContentMismatch).into()));
    bench.remove(subject, done.stamp.item).await.expect("deletes");
    assert!(matches!(open().await.map(|_| ()), Err(Refusal::State(State::Erased(Some(_))))));
    assert_eq!(bench.go_on(subject, id).await.map(|_| ()), Err(Document::UploadExpired.into()));
}

#[tokio::test]
async fn opening_and_end_are_recorded_and_reading_before_anything_is_revealed() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(100);
    let mut upload = bench.open(opening(subject)).await.expect("opens");
    assert_eq!(bench.last_leaf().outcome, Outcome::Started);
    send(&mut upload, &content, 50).await.expect("is taken");
    let item = upload.finish(whole(&content)).await.expect("is stored").stamp.item;
    let leaf = bench.last_leaf();
    assert_eq!(
        (leaf.operation.as_str(), leaf.outcome, leaf.class.as_str()),
        ("UploadDocument", Outcome::Done, "document")
    );
    let (view, _) = bench.download(subject, item, 0, 0).await.expect("opens");
    assert_eq!(view.view, View::Plain);
    let leaf = bench.last_leaf();
    assert_eq!((leaf.operation.as_str(), leaf.view, leaf.count), ("DownloadDocument", 4, 1));
    bench.break_storage();
    assert!(matches!(bench.download(subject, item, 0, 0).await.map(|_| ()), Err(Refusal::Unavailable(_))));
}
