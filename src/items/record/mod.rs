//! The rows of subjects and items, and the keys that open them.
//!
//! A row's clear part holds random ids, registry codes, flags and times, and is authenticated under the key that dies
//! with what it describes, together with a counter that the page keeps beside that key: an older row is refused.

pub mod day;
mod item;
mod notes;
mod subject;
mod target;
mod upload;

pub use item::{
    Content, ItemHead, ItemRow, StoredItem, class_and_version, decode_item, encode_item, etag_of, item_key, tombstone,
};
pub use notes::{decode_notes, encode_notes};
pub use subject::{
    AUDIT_POSITION, Objection, OpenSubject, Owner, RECORD_POSITION, SubjectRow, open_subject, open_subject_to_tell,
    seal_external, subject_tombstone,
};
pub use target::{Target, same};
pub use upload::{Announced, Finished, StoredUpload, UploadRow, decode_upload, encode_finished, encode_upload};

/// The version of every row here.
const VERSION: u8 = 1;
