//! What callers ask for and what they get, free of the wire.

use crate::base::id::{HoldId, ItemId, MatterId, ReceiptId, SubjectId};
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::items::model::{Erasure, SubjectRef, Wait};
use crate::keep::Reason;
use crate::keep::kept::VersionId;
use crate::keep::matter::Texts;

/// A matter to be opened.
pub struct NewMatter {
    /// What it says of itself.
    pub texts: Texts,
    /// When it must be looked at again.
    pub review: Timestamp,
}

/// A matter.
pub struct MatterView {
    /// Its id.
    pub id: MatterId,
    /// What it says of itself.
    pub texts: Texts,
    /// When it must be looked at again.
    pub review: Timestamp,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was closed.
    pub closed: Option<Timestamp>,
    /// Holds in force.
    pub holds: u64,
    /// Item versions that it keeps and the account does not.
    pub kept: u64,
    /// Changes with every change.
    pub etag: String,
}

/// Which matters.
pub struct MatterQuery {
    /// Only open ones, or only closed ones.
    pub closed: Option<bool>,
    /// Only those to be looked at before.
    pub review_before: Option<Timestamp>,
    /// How many at most.
    pub page_size: usize,
    /// Where an earlier page ended; empty for the first.
    pub page_token: String,
}

/// A hold to be placed.
pub struct Placing {
    /// Under which matter.
    pub matter: MatterId,
    /// On whom.
    pub subject: SubjectRef,
    /// On what.
    pub scope: PlacingScope,
    /// Whether it also keeps the subject's audit key.
    pub history: bool,
}

/// What a hold shall cover.
pub enum PlacingScope {
    /// The subject, or classes of it.
    Subject {
        /// As the caller wrote them; empty for all.
        classes: Vec<String>,
        /// Also what comes after the hold.
        future: bool,
    },
    /// Item versions; 0 for the newest.
    Items(Vec<(ItemId, u64)>),
}

/// What a hold covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScopeView {
    /// The subject, or classes of it.
    Subject {
        /// Only these; empty for all.
        classes: Vec<ClassId>,
        /// Also what comes after the hold.
        future: bool,
    },
    /// Item versions.
    Items(Vec<(ItemId, u64)>),
}

/// Where a hold stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// In force.
    Active,
    /// Released; an epoch is awaited.
    Releasing,
    /// Released, and nothing is left of it.
    Released,
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldView {
    /// Its id.
    pub id: HoldId,
    /// Its matter.
    pub matter: MatterId,
    /// The subject; none once its account has ended.
    pub subject: Option<SubjectId>,
    /// What it covers.
    pub scope: ScopeView,
    /// Whether it also keeps the subject's audit key.
    pub history: bool,
    /// Where it stands.
    pub state: HoldState,
    /// Item versions that it keeps and the account does not.
    pub kept: u64,
    /// When it was placed.
    pub placed: Timestamp,
    /// When it was released.
    pub released: Option<Timestamp>,
    /// The acts of forgetting that it outlived.
    pub receipts: Vec<ReceiptId>,
}

/// Which holds.
pub struct HoldQuery {
    /// Only under this matter.
    pub matter: Option<MatterId>,
    /// Only on this subject.
    pub subject: Option<SubjectRef>,
    /// Only in this state.
    pub state: Option<HoldState>,
    /// How many at most.
    pub page_size: usize,
    /// Where an earlier page ended; empty for the first.
    pub page_token: String,
}

/// A release.
pub struct Releasing {
    /// Of which hold.
    pub hold: HoldId,
    /// When to answer.
    pub wait: Wait,
}

/// What a release came to.
pub struct Released {
    /// The hold.
    pub hold: HoldView,
    /// What became of what only it kept; none if it kept nothing.
    pub erasure: Option<Erasure>,
    /// Receipts of what went.
    pub supplements: Vec<ReceiptId>,
}

/// Where to look for what is kept.
pub enum Looking {
    /// Everything of a subject.
    Subject(SubjectRef),
    /// All versions of an item.
    Item(ItemId),
    /// What a matter keeps.
    Matter(MatterId),
    /// What outlived an act of forgetting.
    Receipt(ReceiptId),
    /// What a statutory period keeps, by the period's id as the caller wrote it.
    Period(String),
}

/// What is kept, and why.
pub struct ReasonsQuery {
    /// Where.
    pub target: Looking,
    /// Without what the account keeps.
    pub kept_only: bool,
    /// How many at most.
    pub page_size: usize,
    /// Where an earlier page ended; empty for the first.
    pub page_token: String,
}

/// An item version and everything that keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptView {
    /// The subject; none once its account has ended.
    pub subject: Option<SubjectId>,
    /// Which version.
    pub version: VersionId,
    /// Its class.
    pub class: ClassId,
    /// Whether the account keeps it, and until when at most.
    pub account: Option<Option<Timestamp>>,
    /// What keeps it besides.
    pub reasons: Vec<Reason>,
    /// Their holds.
    pub holds: Vec<HoldId>,
    /// The act of forgetting that it outlived.
    pub receipt: Option<ReceiptId>,
}

/// Some of a list.
pub struct Page<T> {
    /// In the list's order.
    pub entries: Vec<T>,
    /// For the next page; empty when nothing follows.
    pub next: String,
}
