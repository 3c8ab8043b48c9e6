//! What callers ask about a person and get.

use super::{NewItem, Stamp};
use crate::base::id::{ItemId, ReceiptId, SubjectId};
use crate::base::time::Timestamp;
use crate::catalog::class::{ClassId, Identifier};
use crate::catalog::text::Text;

/// Names a subject, by the vault's id or by the caller's.
pub enum SubjectRef {
    /// The vault's random id.
    Id(SubjectId),
    /// The caller's own id: personal data.
    External(Text),
}

impl SubjectRef {
    /// A second copy, wiped on its own.
    pub fn duplicate(&self) -> Self {
        match self {
            Self::Id(id) => Self::Id(*id),
            Self::External(id) => Self::External(id.duplicate()),
        }
    }
}

/// A subject to be created, with its first items.
pub struct NewSubject {
    /// The caller's own id; may be empty.
    pub external_id: Text,
    /// Clear labels that access rules may read.
    pub labels: Vec<(String, String)>,
    /// First items, created with the subject or not at all.
    pub items: Vec<NewItem>,
}

/// A subject that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its id.
    pub subject: SubjectId,
    /// Its first items, in the order of the request.
    pub items: Vec<Stamp>,
    /// When.
    pub time: Timestamp,
}

/// Where a subject stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectState {
    /// In use.
    Active,
    /// Its processing is restricted.
    Restricted,
    /// Unreadable; its erasure is not complete.
    ErasurePending,
    /// Erased.
    Erased,
}

/// What is known about a subject itself.
pub struct SubjectView {
    /// Its id.
    pub subject: SubjectId,
    /// The caller's id; empty for roles that may not see it.
    pub external_id: Text,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Where it stands.
    pub state: SubjectState,
    /// Purposes to which the person objects, for all classes.
    pub objections: Vec<String>,
    /// When it was created; none once it is erased.
    pub created: Option<Timestamp>,
    /// Items per class that the caller may know of.
    pub item_counts: Vec<(ClassId, u64)>,
    /// The receipt of its erasure.
    pub receipt: Option<ReceiptId>,
}

impl SubjectView {
    /// Of a subject that is erased or about to be: all that is left of it.
    pub fn erased(subject: SubjectId, receipt: ReceiptId, state: SubjectState) -> Self {
        Self {
            subject,
            external_id: Text::default(),
            labels: Vec::new(),
            state,
            objections: Vec::new(),
            created: None,
            item_counts: Vec::new(),
            receipt: Some(receipt),
        }
    }
}

/// Why processing is restricted: GDPR article 18(1). Numbered as in the contract, and so in the subject's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestrictionGround {
    /// The person contests that the data is right.
    AccuracyContested = 1,
    /// Processing is unlawful, and the person prefers this to erasure.
    Unlawful = 2,
    /// The person needs the data for a legal claim.
    LegalClaim = 3,
    /// An objection is being decided.
    ObjectionPending = 4,
}

impl RestrictionGround {
    /// Every ground, by number.
    pub const ALL: [Self; 4] = [Self::AccuracyContested, Self::Unlawful, Self::LegalClaim, Self::ObjectionPending];

    /// Its number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The ground of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|ground| ground.number() == number)
    }

    /// Its name in the sealed detail of an entry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccuracyContested => "accuracy_contested",
            Self::Unlawful => "unlawful",
            Self::LegalClaim => "legal_claim",
            Self::ObjectionPending => "objection_pending",
        }
    }
}

/// A restriction of a subject's processing, or the end of one.
pub struct Restriction {
    /// The subject.
    pub subject: SubjectRef,
    /// Why it is restricted; none to lift that.
    pub ground: Option<RestrictionGround>,
}

/// An objection of a person, or its withdrawal.
pub struct ObjectionChange {
    /// The subject.
    pub subject: SubjectRef,
    /// The purpose as the caller wrote it.
    pub purpose: String,
    /// Whether the person objects, or withdraws that.
    pub objected: bool,
    /// Only for these classes, as the caller wrote them; empty for all.
    pub classes: Vec<String>,
}

/// An objection in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectionView {
    /// The purpose.
    pub purpose: String,
    /// Only for these classes; empty for all.
    pub classes: Vec<ClassId>,
    /// Since when.
    pub since: Timestamp,
}

/// Whom to look for.
pub struct FindQuery {
    /// By what.
    pub identifier: Identifier,
    /// How many at most; 0 for the default.
    pub page_size: u32,
    /// Continues an earlier page; empty for the first.
    pub page_token: String,
}

/// Somebody who has the identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match {
    /// The subject.
    pub subject: SubjectId,
    /// The item that holds it; none where the subject itself does, or the caller may not know.
    pub item: Option<ItemId>,
}

/// A page of those who were found.
#[derive(Debug, PartialEq, Eq)]
pub struct FindPage {
    /// In no stated order.
    pub matches: Vec<Match>,
    /// For the next page; empty when nothing follows.
    pub next_page_token: String,
}
