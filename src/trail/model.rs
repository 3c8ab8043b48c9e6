//! What auditors ask for and what they get, free of the wire.

use std::sync::Arc;

use crate::audit::detail::Detail;
use crate::audit::query::{Filter, Hit};
use crate::audit::stored::SignedCheckpoint;
use crate::base::id::ReceiptId;
use crate::catalog::text::Text;
use crate::crypto::hash::Digest;
use crate::items::model::SubjectRef;

/// Which entries, and which parts of them.
pub struct Query {
    /// Only those about this subject, or whose access history is kept.
    pub subject: Option<Person>,
    /// Everything else that is asked of an entry; without tokens.
    pub filter: Filter,
    /// The parts of the request that were given, by their field paths, for the record.
    pub named: Vec<String>,
    /// Whether details are to be opened.
    pub opened: bool,
}

/// Whom a query is about.
pub enum Person {
    /// Somebody who is there.
    Present(SubjectRef),
    /// The person whose erasure a receipt is of, where a matter keeps the access history.
    Erased(ReceiptId),
}

impl Person {
    /// Somebody who is there.
    pub fn present(&self) -> Option<&SubjectRef> {
        match self {
            Self::Present(named) => Some(named),
            Self::Erased(_) => None,
        }
    }
}

/// A list to be made.
pub struct ListQuery {
    /// Which entries.
    pub query: Query,
    /// The first index to consider.
    pub start: u64,
    /// The first index not to consider; none for the end as it is now.
    pub end: Option<u64>,
    /// From the newest to the oldest.
    pub newest_first: bool,
    /// How many entries at most; none for all.
    pub limit: Option<u64>,
    /// Goes on after a message; empty for the beginning.
    pub resume_token: String,
    /// The digest of the whole request but for its token: what a token is bound to.
    pub digest: Digest,
}

/// A log to be followed.
pub struct TailQuery {
    /// Which entries.
    pub query: Query,
    /// Where to begin; none for the end as it is now.
    pub start: Option<u64>,
}

/// An entry on its way to an auditor.
pub struct Shown {
    /// The entry.
    pub hit: Hit,
    /// Its detail, where it was to be opened and could be.
    pub detail: Option<Detail>,
    /// With an opened detail: the name of the person who acted, as long as it is kept.
    pub operator: Option<Text>,
}

/// A message of a list.
pub struct ListPart {
    /// The next entries, in order.
    pub entries: Vec<Shown>,
    /// Goes on after these.
    pub resume_token: String,
    /// In the last message: covers every entry considered.
    pub checkpoint: Option<Arc<SignedCheckpoint>>,
}

/// A message of a tail.
pub struct TailPart {
    /// The next entries, in order; none in a sign of life.
    pub entries: Vec<Shown>,
    /// Every entry below it has been considered.
    pub next_index: u64,
}
