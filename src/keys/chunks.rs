//! The content of one document: chunks that open as a whole and in order, or not at all.
//!
//! The STREAM construction (Hoang, Reyhanitabar, Rogaway and Vizar, 2015), with the position in the additional data
//! instead of the nonce: index, whether the chunk is the last, and the upload. Each chunk has a random nonce of its own,
//! so that an upload that goes on after a crash never uses one twice. What is swapped, dropped, repeated, cut off at a
//! chunk's end or taken from elsewhere does not open.
//!
//! The key is random, is one upload's alone, and is stored nowhere but sealed under the key of the item's version: who
//! forgets that one forgets this one. It outlives a change of the item's metadata, which seals the item anew and leaves
//! the content as it is.

use crate::base::codec::Writer;
use crate::base::id::{ItemId, SubjectId, UploadId, VaultId};
use crate::base::secret::{Key, PlainValue, Secret};
use crate::crypto::rng::{self, RandomFailed};
use crate::crypto::{aead, label};

pub use super::envelope::OpenFailed;

/// Bytes of a content's handle.
pub const HANDLE_LEN: usize = 48;

/// Which content it is, and the key that opens it.
pub struct ContentKey {
    upload: UploadId,
    key: Key,
}

/// Where chunks stand: enters the additional data.
#[derive(Clone, Copy)]
pub struct ContentPlace<'a> {
    /// The vault.
    pub vault: &'a VaultId,
    /// The subject.
    pub subject: &'a SubjectId,
    /// The item.
    pub item: &'a ItemId,
}

/// Which chunk of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkNumber {
    /// Its index, from 0.
    pub index: u32,
    /// Whether nothing follows.
    pub last: bool,
}

impl ContentKey {
    /// A new one.
    pub fn make(upload: UploadId) -> Result<Self, RandomFailed> {
        Ok(Self { upload, key: rng::make_secret()? })
    }

    /// The upload that brought the content.
    pub fn upload(&self) -> UploadId {
        self.upload
    }

    /// Both in one secret, to be sealed in the record that the content belongs to.
    pub fn handle(&self) -> Secret<HANDLE_LEN> {
        let filled = Secret::filled(|bytes: &mut [u8; HANDLE_LEN]| {
            bytes[..16].copy_from_slice(self.upload.as_bytes());
            // Exposed to be sealed.
            bytes[16..].copy_from_slice(self.key.expose());
            Ok::<(), std::convert::Infallible>(())
        });
        let Ok(handle) = filled;
        handle
    }

    /// From its handle.
    pub fn of_handle(handle: &Secret<HANDLE_LEN>) -> Option<Self> {
        let (upload, key) = handle.expose().split_first_chunk()?;
        Some(Self { upload: UploadId::from_bytes(*upload), key: Key::from_slice(key)? })
    }

    /// Seals one chunk.
    pub fn seal(&self, place: ContentPlace<'_>, number: ChunkNumber, plain: &[u8]) -> Result<Vec<u8>, RandomFailed> {
        aead::seal(&self.key, &self.aad(place, number), plain)
    }

    /// Opens one chunk.
    pub fn open(&self, place: ContentPlace<'_>, number: ChunkNumber, sealed: &[u8]) -> Result<PlainValue, OpenFailed> {
        aead::open(&self.key, &self.aad(place, number), sealed).map_err(|_| OpenFailed)
    }

    fn aad(&self, place: ContentPlace<'_>, number: ChunkNumber) -> Vec<u8> {
        Writer::new()
            .bytes(label::DOCUMENT_CHUNK.as_bytes())
            .bytes(place.vault.as_bytes())
            .bytes(place.subject.as_bytes())
            .bytes(place.item.as_bytes())
            .bytes(self.upload.as_bytes())
            .u32(number.index)
            .u8(number.last.into())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VAULT: VaultId = VaultId::from_bytes([1; 16]);
    const SUBJECT: SubjectId = SubjectId::from_bytes([2; 16]);
    const ITEM: ItemId = ItemId::from_bytes([3; 16]);
    const HERE: ContentPlace<'_> = ContentPlace { vault: &VAULT, subject: &SUBJECT, item: &ITEM };

    fn number(index: u32, last: bool) -> ChunkNumber {
        ChunkNumber { index, last }
    }

    fn content(upload: u8) -> ContentKey {
        ContentKey::make(UploadId::from_bytes([upload; 16])).expect("random bytes")
    }

    /// A content of three chunks, as it is stored.
    fn sealed(content: &ContentKey) -> Vec<Vec<u8>> {
        let plain = [&b"first"[..], b"second", b"third"];
        let seal = |(index, plain): (usize, &&[u8])| content.seal(HERE, number(index as u32, index == 2), plain);
        plain.iter().enumerate().map(|chunk| seal(chunk).expect("nonce")).collect()
    }

    /// What a reader gets of stored chunks, who knows how many there must be.
    fn read(content: &ContentKey, place: ContentPlace<'_>, chunks: &[Vec<u8>]) -> Result<Vec<u8>, OpenFailed> {
        let last = chunks.len().checked_sub(1).ok_or(OpenFailed)?;
        let mut whole = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            whole.extend_from_slice(content.open(place, number(index as u32, index == last), chunk)?.expose());
        }
        Ok(whole)
    }

    #[test]
    fn a_content_opens_as_a_whole() {
        let content = content(4);
        let again = ContentKey::of_handle(&content.handle()).expect("a handle");
        assert_eq!(read(&again, HERE, &sealed(&content)), Ok(b"firstsecondthird".to_vec()));
        assert_eq!(again.upload(), content.upload());
        let empty = content.seal(HERE, number(0, true), b"").expect("nonce");
        assert_eq!(read(&content, HERE, &[empty]), Ok(Vec::new()));
    }

    #[test]
    fn what_is_swapped_dropped_repeated_or_cut_off_does_not_open() {
        let content = content(4);
        let chunks = sealed(&content);
        let pick = |order: &[usize]| order.iter().map(|index| chunks[*index].clone()).collect::<Vec<_>>();
        for order in
            [&[1, 0, 2][..], &[0, 2, 1], &[0, 2], &[1, 2], &[0, 1], &[0], &[0, 0, 2], &[0, 1, 2, 2], &[0, 1, 1]]
        {
            assert_eq!(read(&content, HERE, &pick(order)), Err(OpenFailed), "{order:?}");
        }
        assert!(content.open(HERE, number(2, false), &chunks[2]).is_err(), "the last is not one in the middle");
        assert!(content.open(HERE, number(1, true), &chunks[1]).is_err(), "one in the middle is not the last");
        let mut more = chunks.clone();
        more.push(content.seal(HERE, number(3, false), b"more").expect("nonce"));
        assert!(read(&content, HERE, &more).is_err(), "nothing follows the last");
    }

    #[test]
    fn chunks_of_another_upload_item_subject_or_vault_do_not_open() {
        let here = content(4);
        let other = ContentKey { upload: UploadId::from_bytes([5; 16]), key: here.key.duplicate() };
        assert!(read(&here, HERE, &sealed(&other)).is_err(), "another upload's, even under the same key");
        assert!(read(&here, HERE, &sealed(&content(4))).is_err(), "under another key");
        let chunks = sealed(&here);
        let (vault, subject, item) = ([9; 16], [9; 16], [9; 16]);
        let (vault, subject, item) =
            (VaultId::from_bytes(vault), SubjectId::from_bytes(subject), ItemId::from_bytes(item));
        for place in [
            ContentPlace { vault: &vault, ..HERE },
            ContentPlace { subject: &subject, ..HERE },
            ContentPlace { item: &item, ..HERE },
        ] {
            assert!(read(&here, place, &chunks).is_err());
        }
    }

    #[test]
    fn no_two_chunks_share_a_nonce_even_of_the_same_place_and_text() {
        let content = content(4);
        let seal = || content.seal(HERE, number(0, false), b"same").expect("nonce");
        assert_ne!(seal()[..12], seal()[..12]);
    }
}
