//! What callers ask about a document and get.

use super::{Erasure, NewMetadata, Stamp, SubjectRef};
use crate::base::id::{ItemId, UploadId};
use crate::base::time::Timestamp;
use crate::catalog::text::Text;
use crate::crypto::hash::Digest;

/// An upload to be opened, or gone on with.
pub struct UploadOpening {
    /// The subject.
    pub subject: SubjectRef,
    /// The upload to go on with; none for a new one.
    pub upload: Option<UploadId>,
    /// The class as the caller wrote it; empty for `document`.
    pub class: String,
    /// The media type as the caller wrote it.
    pub media_type: String,
    /// The name of the file.
    pub file_name: Text,
    /// The item it is a scan or copy of.
    pub related: Option<ItemId>,
    /// The document to make a new version of; none for a new item.
    pub item: Option<ItemId>,
    /// With a new version: the etag that must still hold; empty for any.
    pub etag: String,
    /// The particulars of its processing; with a new version, none to keep them.
    pub metadata: Option<NewMetadata>,
}

/// An upload that may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// To go on after an interruption.
    pub upload: UploadId,
    /// How many bytes are durable.
    pub durable: u64,
    /// When it is given up.
    pub expires: Timestamp,
}

/// What the whole content of an upload must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WholeContent {
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// An upload that became a version of its item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uploaded {
    /// The item.
    pub stamp: Stamp,
    /// With a new version: what became of the old one.
    pub erasure: Option<Erasure>,
}

/// Which document, and from where on.
pub struct DocumentQuery {
    /// The subject; none for a document that only a keep reason keeps.
    pub subject: Option<SubjectRef>,
    /// The item.
    pub item: ItemId,
    /// The version; 0 for the newest.
    pub version: u64,
    /// Bytes to skip.
    pub offset: u64,
}
