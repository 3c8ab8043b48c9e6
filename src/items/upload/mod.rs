//! UploadDocument: the content of a document, piece by piece, and at the end the item.
//!
//! Chunks are stored as they come and are never written again. The one that may be the last is held back until it is
//! known whether it is: what is durable is a whole number of chunks, and the item, its last chunk and the end of the
//! upload are one batch. Until then there is no item, and the upload's row says what it is to become.
//!
//! A stream holds no key while it waits for its caller: the key is looked up for each message, under a reading, so that
//! an erasure waits for milliseconds. What it holds is what of the content no chunk has yet; the end of the subject cuts
//! the stream, and so that goes too.

mod finish;
mod open;
mod step;

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::base::id::{ReceiptId, SubjectId, UploadId};
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::media::MediaType;
use crate::crypto::hash::{Digest, Hasher};
use crate::gate::buffers::Reserved;
use crate::gate::call::Call;
use crate::gate::readings::Reading;
use crate::gate::record::Touched;
use crate::gate::refusal::{Document, Fault, FaultReason, Refusal, State};
use crate::gate::txn;
use crate::gate::uploads::UploadPlace;
use crate::gate::vault::Vault;

use super::model::{Accepted, Stamp, SubjectRef, Uploaded, WholeContent};
use super::recorded::refuse;

pub use open::open;

/// An upload that was opened.
pub enum Upload {
    /// It takes content.
    Open(Box<Uploading>),
    /// It was finished by an earlier call.
    Ended(Box<Ended>),
}

/// An upload that takes content.
pub struct Uploading {
    vault: Arc<Vault>,
    call: Call,
    place: UploadPlace,
    class: ClassId,
    media: MediaType,
    expires: Timestamp,
    /// Chunks that are durable.
    chunks: u32,
    /// What came after them: never more than one chunk.
    tail: Zeroizing<Vec<u8>>,
    /// Whether the content began as one of its type.
    fits: bool,
    hasher: Hasher,
    total: u64,
    /// By which the end of the subject ends the stream, whatever its caller does.
    presence: Reading,
    _room: Reserved,
}

/// An upload that an earlier call finished.
pub struct Ended {
    call: Call,
    vault: Arc<Vault>,
    subject: SubjectId,
    upload: UploadId,
    stamp: Stamp,
    size: u64,
    sha256: Digest,
    receipt: Option<ReceiptId>,
    expires: Timestamp,
}

impl Upload {
    /// The call.
    pub fn call(&self) -> &Call {
        match self {
            Self::Open(uploading) => &uploading.call,
            Self::Ended(ended) => &ended.call,
        }
    }

    /// How far it is, and how to go on after an interruption.
    pub fn accepted(&self) -> Accepted {
        match self {
            Self::Open(uploading) => {
                Accepted { upload: uploading.place.upload, durable: uploading.total, expires: uploading.expires }
            }
            Self::Ended(ended) => Accepted { upload: ended.upload, durable: ended.size, expires: ended.expires },
        }
    }

    /// Waits for something, such as the next message, unless the subject is erased meanwhile: then none.
    pub async fn unless_erased<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        match self {
            Self::Open(uploading) => uploading.presence.unless_cut(work).await,
            Self::Ended(_) => Some(work.await),
        }
    }

    /// Takes the next piece. How many bytes are durable now, if there are more than before.
    ///
    /// # Durability
    /// What is said to be durable survives power loss, and nobody can write it again.
    ///
    /// # Errors
    /// What is wrong with the piece; that the upload is no more, or another stream's; [`Refusal::Unavailable`]. After
    /// more than a document may have the upload is given up.
    pub async fn take(&mut self, offset: u64, data: &[u8]) -> Result<Option<u64>, Refusal> {
        match self {
            Self::Open(uploading) => {
                let taken = uploading.take(offset, data).await;
                Err(match taken {
                    Ok(durable) => return Ok(durable),
                    Err(refusal) => uploading.refuse(refusal).await,
                })
            }
            Self::Ended(ended) => Err(ended.refuse(out_of_order("chunk")).await),
        }
    }

    /// Ends it: makes the item, if the content is what was announced.
    ///
    /// # Durability
    /// On `Ok` the item and its whole content survive power loss. On an error there is no item.
    ///
    /// # Errors
    /// What is wrong with the content, or that the item is no more what the new version was for, after which the upload
    /// is given up; else as for [`Upload::take`].
    pub async fn finish(self, whole: WholeContent) -> Result<Uploaded, Refusal> {
        match self {
            Self::Open(uploading) => uploading.finish(whole).await,
            Self::Ended(ended) => ended.finish(whole).await,
        }
    }

    /// Records that it ended for a reason of the stream's: a message out of its place.
    pub async fn refuse(&self, refusal: Refusal) -> Refusal {
        match self {
            Self::Open(uploading) => uploading.refuse(refusal).await,
            Self::Ended(ended) => ended.refuse(refusal).await,
        }
    }
}

/// A message that is not what must come next.
pub fn out_of_order(field: &'static str) -> Refusal {
    Fault::new(field, FaultReason::OutOfOrder).into()
}

/// Whether an upload can never become what it is for once it was refused so: it is given up with that, lest its content
/// stay until its time is over.
fn is_final(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Document(Document::TooLarge | Document::IsNone)
            | Refusal::State(State::EtagMismatch | State::ItemErased)
    )
}

impl Uploading {
    async fn refuse(&self, refusal: Refusal) -> Refusal {
        let given_up = if is_final(&refusal) { self.give_up().await } else { Ok(()) };
        let refusal = given_up.err().unwrap_or(refusal);
        let named = SubjectRef::Id(self.place.subject);
        refuse(&self.vault, &self.call, Some(&named), touched(self.class, &self.place), refusal).await
    }
}

impl Ended {
    async fn refuse(&self, refusal: Refusal) -> Refusal {
        let named = SubjectRef::Id(self.subject);
        let touched = Touched { count: 1, items: vec![(self.stamp.item, self.stamp.version)], ..Touched::default() };
        refuse(&self.vault, &self.call, Some(&named), touched, refusal).await
    }
}

fn touched(class: ClassId, place: &UploadPlace) -> Touched {
    Touched { class: Some(class), count: 1, items: vec![(place.item, 0)], ..Touched::default() }
}

/// A subject that was there when the upload was opened, and is no more.
fn gone_meanwhile(fault: txn::Fault) -> txn::Fault {
    match fault {
        txn::Fault::Refused(Refusal::State(State::NotFound | State::Erased(_))) => {
            txn::Fault::Refused(State::SubjectErased.into())
        }
        other => other,
    }
}

/// An upload whose row is no more.
fn no_upload() -> Refusal {
    Document::UploadExpired.into()
}
