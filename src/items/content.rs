//! The content of a document where it is stored: chunk by chunk, opened on a thread that may block.

use std::sync::Arc;

use crate::base::id::{ItemId, VaultId};
use crate::base::limits::CHUNK_BYTES;
use crate::base::secret::PlainValue;
use crate::catalog::classes::{CanonicalValue, ItemValue};
use crate::crypto::hash::{Digest, Hasher};
use crate::gate::readings::Reading;
use crate::gate::refusal::{Document, Refusal, Unavailable};
use crate::gate::txn::Fault;
use crate::gate::uploads::UploadPlace;
use crate::gate::vault::Vault;
use crate::keys::chunks::{ChunkNumber, ContentKey, ContentPlace};
use crate::store::keyspace::Space;

/// What a document's description says of its content.
pub struct Described {
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Where it is, and the key that opens it.
    pub content: ContentKey,
}

/// What the value of a document says of its content.
///
/// # Errors
/// [`Document::IsNone`] for a value of another class.
pub fn document_of(value: CanonicalValue) -> Result<Described, Fault> {
    let ItemValue::Document(document) = value.into_value() else {
        return Err(Refusal::from(Document::IsNone).into());
    };
    let content = document.content.as_ref().and_then(ContentKey::of_handle).ok_or(Fault::Torn)?;
    Ok(Described { size: document.size_bytes, sha256: document.sha256, content })
}

/// The key of a chunk's row.
pub fn chunk_key(place: &UploadPlace, index: u32) -> Vec<u8> {
    [&place.key()[..], &index.to_be_bytes()].concat()
}

/// The start of the keys of all rows of an item's contents, those of unfinished uploads included.
pub fn chunks_of(subject: &crate::base::id::SubjectId, item: &ItemId) -> Vec<u8> {
    [&subject.as_bytes()[..], item.as_bytes()].concat()
}

/// Where the chunks of an upload stand.
pub fn content_place<'a>(vault: &'a VaultId, place: &'a UploadPlace) -> ContentPlace<'a> {
    ContentPlace { vault, subject: &place.subject, item: &place.item }
}

/// How many chunks a content has: at least one, since the last one says that it is the last.
pub fn chunk_count(size: u64) -> u32 {
    u32::try_from(size.div_ceil(CHUNK_BYTES as u64).max(1)).unwrap_or(u32::MAX)
}

/// Stored chunks, with the key that opens them: held by a registered reader only.
pub struct Chunks {
    vault: Arc<Vault>,
    place: UploadPlace,
    content: ContentKey,
    /// INVARIANT: dropped with the key, never before it.
    reading: Reading,
}

impl Chunks {
    /// Of an upload.
    pub fn new(vault: Arc<Vault>, place: UploadPlace, content: ContentKey, reading: Reading) -> Self {
        Self { vault, place, content, reading }
    }

    /// The registered reader.
    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    /// The upload that brought them.
    pub fn upload(&self) -> crate::base::id::UploadId {
        self.place.upload
    }

    /// Reads and opens a chunk. Blocks.
    ///
    /// # Errors
    /// [`Unavailable::Damaged`] if it is not there, or is not the one that belongs there.
    pub fn open(&self, number: ChunkNumber) -> Result<PlainValue, Refusal> {
        let key = chunk_key(&self.place, number.index);
        let sealed = self.vault.read(|reads| reads.row(Space::Chunk, &key))?.ok_or(Unavailable::Damaged)?;
        let opened = self.content.open(content_place(self.vault.id(), &self.place), number, &sealed);
        Ok(opened.map_err(|_| Unavailable::Damaged)?)
    }

    /// The hash of the first chunks of an upload that is not finished, and of nothing yet after them.
    ///
    /// # Errors
    /// As for [`Chunks::open`]; [`Document::OtherStream`] if an erasure of the subject's came in between.
    pub async fn hash(self, chunks: u32) -> Result<Hasher, Refusal> {
        let hashed = tokio::task::spawn_blocking(move || {
            let mut hasher = Hasher::default();
            for index in 0..chunks {
                if self.reading.is_cut() {
                    return Err(Document::OtherStream.into());
                }
                hasher.update(self.open(ChunkNumber { index, last: false })?.expose());
            }
            Ok(hasher)
        });
        hashed.await.map_err(|_| Unavailable::Internal)?
    }
}
