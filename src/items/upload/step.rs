//! Content on its way in: sealed chunk by chunk, stored with a shared sync.

use crate::base::fault;
use crate::base::limits::{CHUNK_BYTES, DOCUMENT_BYTES_MAX, DOCUMENT_MESSAGE_BYTES_MAX};
use crate::catalog::media::HEAD_BYTES;
use crate::gate::call::Call;
use crate::gate::refusal::{Document, Fault, FaultReason, Refusal, Unavailable};
use crate::gate::txn::{Reads, Txn};
use crate::gate::uploads::{self, UploadPlace};
use crate::items::content::{chunk_key, content_place};
use crate::items::draft::permit_to_write;
use crate::items::record::{OpenSubject, StoredUpload, Target, UploadRow, decode_upload};
use crate::keys::chunks::{ChunkNumber, ContentKey};
use crate::policy::action::Draw;
use crate::store::keyspace::Space;

use super::{Uploading, gone_meanwhile, no_upload, out_of_order};

impl Uploading {
    pub(super) async fn take(&mut self, offset: u64, data: &[u8]) -> Result<Option<u64>, Refusal> {
        if offset != self.total {
            return Err(out_of_order("chunk.offset"));
        }
        if data.is_empty() {
            return Err(Fault::new("chunk.data", FaultReason::Required).into());
        }
        if data.len() > DOCUMENT_MESSAGE_BYTES_MAX {
            return Err(Fault::new("chunk.data", FaultReason::TooLarge).into());
        }
        if self.total + data.len() as u64 > DOCUMENT_BYTES_MAX {
            return Err(Document::TooLarge.into());
        }
        self.hasher.update(data);
        self.total += data.len() as u64;
        let sealed = if self.tail.len() + data.len() > CHUNK_BYTES {
            self.seal_all_but_the_last(data).await?
        } else {
            self.tail.extend_from_slice(data);
            Vec::new()
        };
        if !self.fits && self.tail.len() >= HEAD_BYTES {
            self.check_head().await?;
        }
        if sealed.is_empty() { Ok(None) } else { self.store(sealed).await.map(Some) }
    }

    /// Seals whole chunks, as long as something comes after them.
    async fn seal_all_but_the_last(&mut self, mut data: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
        let mut sealed = Vec::new();
        // The key is held for as long as sealing takes, and the erasure of the subject waits for that.
        let reading = self.vault.readings().begin(self.place.subject, Some(self.place.item));
        let content = self.content()?;
        while self.tail.len() + data.len() > CHUNK_BYTES {
            let (now, later) = data.split_at(CHUNK_BYTES - self.tail.len());
            self.tail.extend_from_slice(now);
            data = later;
            if !self.fits {
                self.check_head().await?;
            }
            let index = self.chunks + sealed.len() as u32;
            sealed.push(self.seal(&content, ChunkNumber { index, last: false })?);
            self.tail.clear(); // wiped when it is dropped, all of its room
        }
        drop((content, reading));
        self.tail.extend_from_slice(data);
        Ok(sealed)
    }

    pub(super) fn seal(&self, content: &ContentKey, number: ChunkNumber) -> Result<Vec<u8>, Refusal> {
        let place = content_place(self.vault.id(), &self.place);
        Ok(content.seal(place, number, &self.tail).map_err(|_| Unavailable::Internal)?)
    }

    /// The key of the content, if the upload is still there.
    pub(super) fn content(&self) -> Result<ContentKey, Refusal> {
        self.vault.read(|reads| {
            let (subject, stored) = still_there(reads, &self.call, &self.place)?;
            Ok(stored.open(reads, self.vault.id(), subject.tree())?.content)
        })
    }

    /// Refuses a content that does not begin as one of its type, and gives the upload up: what is there cannot be
    /// changed any more.
    pub(super) async fn check_head(&mut self) -> Result<(), Refusal> {
        if self.media.fits(&self.tail[..self.tail.len().min(HEAD_BYTES)]) {
            self.fits = true;
            return Ok(());
        }
        self.give_up().await?;
        Err(Fault::new("open.media_type", FaultReason::MediaType).into())
    }

    async fn store(&mut self, sealed: Vec<Vec<u8>>) -> Result<u64, Refusal> {
        self.vault.room().admit(Draw::Data)?;
        let stored = self.chunks + sealed.len() as u32;
        let turn = self.vault.buffers().turn(sealed.len()).await?;
        let (call, place, first) = (self.call.clone(), self.place, self.chunks);
        let work = move |txn: &mut Txn<'_>| put_chunks(txn, &call, &place, first, sealed);
        self.vault.committer().commit(work).await?;
        fault::point("upload_step");
        drop(turn);
        self.chunks = stored;
        Ok(u64::from(stored) * CHUNK_BYTES as u64)
    }

    /// Gives the upload up: its key is forgotten by an epoch.
    pub(super) async fn give_up(&self) -> Result<(), Refusal> {
        let (call, place, class) = (self.call.clone(), self.place, self.class);
        let work = move |txn: &mut Txn<'_>| match still_there(txn, &call, &place) {
            Ok((subject, stored)) => {
                let key = (subject.tree(), stored.position);
                uploads::give_up(txn, &place, stored.expires, key, class.as_str())?;
                Ok(true)
            }
            Err(crate::gate::txn::Fault::Refused(Refusal::Document(_) | Refusal::State(_))) => Ok(false),
            Err(other) => Err(other.into()),
        };
        if self.vault.committer().commit(work).await? {
            self.vault.forget_soon();
        }
        Ok(())
    }
}

/// The upload and its subject, if both are still there.
pub(super) fn still_there(
    reads: &dyn Reads,
    call: &Call,
    place: &UploadPlace,
) -> Result<(OpenSubject, Box<StoredUpload>), crate::gate::txn::Fault> {
    let subject = Target::Id(place.subject).open(reads, call).map_err(gone_meanwhile)?;
    match reads.row(Space::Upload, &place.key())? {
        None => Err(no_upload().into()),
        Some(row) => match decode_upload(*place, &row)? {
            UploadRow::Pending(stored) => Ok((subject, stored)),
            UploadRow::Finished(_) => Err(Refusal::from(Document::OtherStream).into()),
        },
    }
}

/// On the writer's thread: the upload as this stream knows it, and the rule that permits going on.
pub(super) fn still_ours(
    txn: &Txn<'_>,
    call: &Call,
    place: &UploadPlace,
    chunks: u32,
) -> Result<(OpenSubject, Box<StoredUpload>), Refusal> {
    let (subject, stored) = still_there(txn, call, place)?;
    if stored.chunks != chunks {
        return Err(Document::OtherStream.into());
    }
    if stored.expires <= txn.now() {
        return Err(no_upload());
    }
    Ok((subject, stored))
}

fn put_chunks(
    txn: &mut Txn<'_>,
    call: &Call,
    place: &UploadPlace,
    first: u32,
    sealed: Vec<Vec<u8>>,
) -> Result<(), Refusal> {
    let (subject, stored) = still_ours(txn, call, place, first)?;
    let vault = call.recorder().vault();
    let announced = stored.open(txn, vault, subject.tree())?;
    permit_to_write(call, subject.data(call.purpose(), announced.class))?;
    let entry = txn.entry(subject.tree(), stored.position)?.ok_or(Unavailable::Damaged)?;
    let mut index = first;
    for chunk in sealed {
        txn.put(Space::Chunk, chunk_key(place, index), chunk);
        index += 1;
    }
    txn.put(Space::Upload, place.key(), stored.with_chunks(vault, &entry, index));
    Ok(())
}
