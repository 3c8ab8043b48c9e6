//! The row of an upload: what it is to become, sealed under the key that will be the version's, and how far it is.
//!
//! The key is in the subject's tree from the opening on, so that whatever forgets the subject forgets the upload.
//! A row's clear part is authenticated, but has no count beside its key, as items have: it changes with every few chunks.
//! Whoever can put an older row back makes chunks be written again under the same numbers; that the content is the one
//! that was announced is checked as a whole when the upload is finished, and again when it is read.

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, ReceiptId, VaultId};
use crate::base::limits::CHUNK_BYTES;
use crate::base::secret::{Key, PlainValue, Secret};
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::classes::class_of;
use crate::catalog::media::MediaType;
use crate::catalog::text::Text;
use crate::crypto::{label, mac};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads};
use crate::gate::uploads::{FINISHED, PENDING, UploadPlace};
use crate::keys::chunks::{ContentKey, HANDLE_LEN};
use crate::keys::envelope::{Envelope, Kind, Part, Place};
use crate::keys::page::{Entry, Tree};

const VERSION: u8 = 1;
/// Earlier releases wrote 1 and 2 of what is finished, without a code.
const FINISHED_VERSION: u8 = 3;

/// What is at an upload's key.
pub enum UploadRow {
    /// It can be gone on with.
    Pending(Box<StoredUpload>),
    /// It has become a version of its item.
    Finished(Finished),
}

/// What is said of an upload that is finished, not yet checked.
pub struct Finished {
    version: u64,
    receipt: Option<ReceiptId>,
    /// When the row goes; what the first release wrote does not say.
    expires: Option<Timestamp>,
    code: Option<[u8; 32]>,
}

impl Finished {
    /// The version that it became, and the erasure of the version before, if there was one; none for a row of an earlier
    /// release, which anybody may have written. `key` is the person's companion.
    pub fn open(&self, place: &UploadPlace, key: &Key) -> Result<Option<(u64, Option<ReceiptId>)>, Fault> {
        let (Some(code), Some(expires)) = (self.code, self.expires) else { return Ok(None) };
        let expected = end_code(place, &end_clear(self.version, self.receipt, expires), key);
        if mac::equal(&code, &expected) { Ok(Some((self.version, self.receipt))) } else { Err(Fault::Torn) }
    }
}

impl UploadRow {
    /// When the upload is given up, or its row goes.
    pub fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Pending(upload) => Some(upload.expires),
            Self::Finished(finished) => finished.expires,
        }
    }
}

/// The row of an upload that is not finished, not yet opened.
pub struct StoredUpload {
    /// Where it is.
    pub place: UploadPlace,
    /// The position of its key in the subject's tree.
    pub position: u64,
    /// How many chunks are stored.
    pub chunks: u32,
    /// When it is given up.
    pub expires: Timestamp,
    clear: Vec<u8>,
    code: [u8; 32],
    commitment: [u8; 32],
    sealed: Vec<u8>,
}

/// What an upload is to become.
pub struct Announced {
    /// Who opened it: nobody else goes on with it.
    pub opener: Text,
    /// The class.
    pub class: ClassId,
    /// The media type that was declared.
    pub media: MediaType,
    /// The name of the file.
    pub file_name: Text,
    /// The item it is a copy of.
    pub related: Option<ItemId>,
    /// Whether the item is there, and gets a new version.
    pub renews: bool,
    /// With a new version: the etag that must still hold; empty for any.
    pub etag: String,
    /// The particulars of its processing, encoded; none to keep those that the item has.
    pub details: Option<PlainValue>,
    /// Its content.
    pub content: ContentKey,
}

/// Reads the row at an upload's key.
pub fn decode_upload(place: UploadPlace, row: &[u8]) -> Result<UploadRow, Fault> {
    read_row(place, row).map_err(|_| Fault::Torn)
}

fn read_row(place: UploadPlace, row: &[u8]) -> Result<UploadRow, Malformed> {
    let mut r = Reader::new(row);
    let found = match (r.u8()?, r.u8()?) {
        (FINISHED, written @ VERSION..=FINISHED_VERSION) => {
            let (version, receipt) = (r.u64()?, r.option(|r| r.array().map(ReceiptId::from_bytes))?);
            let expires = if written == VERSION { None } else { Some(Timestamp::from_millis(r.i64()?)) };
            let code = if written == FINISHED_VERSION { Some(r.array()?) } else { None };
            UploadRow::Finished(Finished { version, receipt, expires, code })
        }
        (PENDING, VERSION) => {
            let clear = r.bytes()?.to_vec();
            let mut c = Reader::new(&clear);
            let (position, chunks, expires) = (c.u64()?, c.u32()?, Timestamp::from_millis(c.i64()?));
            c.finish()?;
            let (code, commitment, sealed) = (r.array()?, r.array()?, r.bytes()?.to_vec());
            let upload = StoredUpload { place, position, chunks, expires, clear, code, commitment, sealed };
            UploadRow::Pending(Box::new(upload))
        }
        _ => return Err(Malformed),
    };
    r.finish()?;
    Ok(found)
}

/// The row of an upload that has become a version of its item, until that time: authenticated under the person's companion,
/// for what became of the version before is evidence.
pub fn encode_finished(
    place: &UploadPlace,
    (version, receipt): (u64, Option<ReceiptId>),
    expires: Timestamp,
    key: &Key,
) -> Vec<u8> {
    let clear = end_clear(version, receipt, expires);
    Writer::new().u8(FINISHED).u8(FINISHED_VERSION).raw(&clear).raw(&end_code(place, &clear, key)).finish()
}

fn end_clear(version: u64, receipt: Option<ReceiptId>, expires: Timestamp) -> Vec<u8> {
    let writer = Writer::new().u64(version).option(receipt, |w, receipt| w.raw(receipt.as_bytes()));
    writer.i64(expires.as_millis()).finish()
}

fn end_code(place: &UploadPlace, clear: &[u8], key: &Key) -> [u8; 32] {
    mac::mac(key, label::UPLOAD_END, &[&place.key(), clear])
}

/// The row of a new upload.
pub fn encode_upload(
    vault: &VaultId,
    place: &UploadPlace,
    (position, expires): (u64, Timestamp),
    entry: &Entry,
    announced: &Announced,
) -> Result<Vec<u8>, Refusal> {
    let envelope = Envelope::derive(Kind::Upload, &entry.key);
    let at = envelope_place(vault, place, entry);
    let plain = write_announced(announced);
    let sealed = envelope.seal(at, Part::Value, plain.expose()).map_err(|_| Unavailable::Internal)?;
    let clear = write_clear(position, 0, expires);
    let code = envelope.authenticate(at, &clear);
    Ok(encode_row(&clear, &code, envelope.commitment(), &sealed))
}

impl StoredUpload {
    /// Checks that the row is its key's, and opens it.
    pub fn open(&self, reads: &dyn Reads, vault: &VaultId, tree: Tree) -> Result<Announced, Fault> {
        let entry = reads.entry(tree, self.position)?.ok_or(Fault::Torn)?;
        let envelope = Envelope::derive(Kind::Upload, &entry.key);
        let at = envelope_place(vault, &self.place, &entry);
        envelope.check(at, &self.clear, &self.code).map_err(|_| Fault::Torn)?;
        let plain = envelope.open(at, Part::Value, &self.commitment, &self.sealed).map_err(|_| Fault::Torn)?;
        read_announced(plain.expose()).map_err(|_| Fault::Torn)
    }

    /// The row with so many chunks stored.
    pub fn with_chunks(&self, vault: &VaultId, entry: &Entry, chunks: u32) -> Vec<u8> {
        let envelope = Envelope::derive(Kind::Upload, &entry.key);
        let clear = write_clear(self.position, chunks, self.expires);
        let code = envelope.authenticate(envelope_place(vault, &self.place, entry), &clear);
        encode_row(&clear, &code, envelope.commitment(), &self.sealed)
    }

    /// How many bytes are durable.
    pub fn durable_bytes(&self) -> u64 {
        u64::from(self.chunks) * CHUNK_BYTES as u64
    }
}

fn write_clear(position: u64, chunks: u32, expires: Timestamp) -> Vec<u8> {
    Writer::new().u64(position).u32(chunks).i64(expires.as_millis()).finish()
}

fn encode_row(clear: &[u8], code: &[u8; 32], commitment: &[u8; 32], sealed: &[u8]) -> Vec<u8> {
    let writer = Writer::with_capacity(sealed.len() + clear.len() + 96).u8(PENDING).u8(VERSION);
    writer.bytes(clear).raw(code).raw(commitment).bytes(sealed).finish()
}

fn envelope_place<'a>(vault: &'a VaultId, place: &'a UploadPlace, entry: &Entry) -> Place<'a> {
    Place { vault, owner: place.upload.as_bytes(), class: "", version: 1, generation: entry.generation }
}

fn write_announced(announced: &Announced) -> PlainValue {
    let details = announced.details.as_ref().map_or(0, PlainValue::len);
    let room = 1024 + announced.opener.len() + announced.file_name.len() + announced.etag.len() + details;
    let handle = announced.content.handle();
    let writer = Writer::with_capacity(room)
        .text(announced.opener.expose())
        .text(announced.class.as_str())
        .text(announced.media.as_str())
        .text(announced.file_name.expose())
        .option(announced.related, |w, id| w.raw(id.as_bytes()))
        .u8(announced.renews.into())
        .text(&announced.etag)
        // Exposed to be sealed.
        .raw(handle.expose())
        .option(announced.details.as_ref(), |w, details| w.bytes(details.expose()));
    PlainValue::new(writer.finish())
}

fn read_announced(plain: &[u8]) -> Result<Announced, Malformed> {
    let mut r = Reader::new(plain);
    let announced = Announced {
        opener: Text::from(r.text()?),
        class: class_of(r.text()?).ok_or(Malformed)?.id,
        media: MediaType::parse(r.text()?).ok_or(Malformed)?,
        file_name: Text::from(r.text()?),
        related: r.option(|r| r.array().map(ItemId::from_bytes))?,
        renews: r.u8()? == 1,
        etag: r.text()?.to_owned(),
        content: read_handle(r.raw(HANDLE_LEN)?).ok_or(Malformed)?,
        details: r.option(|r| r.bytes().map(|bytes| PlainValue::new(bytes.to_vec())))?,
    };
    r.finish()?;
    Ok(announced)
}

fn read_handle(bytes: &[u8]) -> Option<ContentKey> {
    ContentKey::of_handle(&Secret::from_slice(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_row_of_a_finished_upload_reads_back_and_so_does_that_of_the_first_release() {
        let place = UploadPlace {
            subject: crate::base::id::SubjectId::from_bytes([1; 16]),
            item: ItemId::from_bytes([2; 16]),
            upload: crate::base::id::UploadId::from_bytes([3; 16]),
        };
        let (receipt, expires) = (ReceiptId::from_bytes([4; 16]), Timestamp::from_millis(1_780_000_000_000));
        let key = Secret::copied(&[5; 32]);
        let row = encode_finished(&place, (7, Some(receipt)), expires, &key);
        let open = |place, row: &[u8], key: &Key| match decode_upload(place, row) {
            Ok(UploadRow::Finished(finished)) => finished.open(&place, key),
            _ => Err(Fault::Torn),
        };
        assert_eq!(decode_upload(place, &row).expect("reads").expires(), Some(expires));
        assert_eq!(open(place, &row, &key), Ok(Some((7, Some(receipt)))));
        assert_eq!(open(place, &row, &Secret::copied(&[6; 32])), Err(Fault::Torn));
        let other = UploadPlace { upload: crate::base::id::UploadId::from_bytes([9; 16]), ..place };
        assert_eq!(open(other, &row, &key), Err(Fault::Torn));
        for at in 2..row.len() {
            let mut changed = row.clone();
            changed[at] ^= 1;
            assert_eq!(open(place, &changed, &key), Err(Fault::Torn), "byte {at}");
        }
        let first = Writer::new().u8(FINISHED).u8(1).u64(7).option(Some(receipt), |w, r| w.raw(r.as_bytes())).finish();
        let row = decode_upload(place, &first).expect("a finished upload");
        assert_eq!(row.expires(), None);
        assert_eq!(open(place, &first, &key), Ok(None), "anybody may have written it");
        assert!(decode_upload(place, &row_of(FINISHED, 4, &first)).is_err());
        assert!(decode_upload(place, &row_of(PENDING, 2, &first)).is_err());
    }

    fn row_of(state: u8, version: u8, row: &[u8]) -> Vec<u8> {
        [&[state, version], &row[2..]].concat()
    }
}
