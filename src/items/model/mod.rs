//! What callers ask for and what they get: the verbs' own types, free of the wire.

mod document;
mod subject;

pub use document::{Accepted, DocumentQuery, UploadOpening, Uploaded, WholeContent};
pub use subject::{
    Created, FindPage, FindQuery, Match, NewSubject, ObjectionChange, ObjectionView, Restriction, RestrictionGround,
    SubjectRef, SubjectState, SubjectView,
};

use crate::base::id::{ItemId, PolicyVersion, ReceiptId, SlotId, SubjectId};
use crate::base::log_safe::SafeText;
use crate::base::reason::Reason as ErrorReason;
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::classes::ItemValue;
use crate::catalog::path::FieldPath;
use crate::catalog::text::Text;
use crate::catalog::view::View;
use crate::crypto::hash::Digest;
use crate::gate::vault::Awaited;
use crate::keep::Reason;
use crate::policy::action::Action;
use crate::policy::caller::ServiceName;

/// An item to be created.
pub struct NewItem {
    /// The class as the caller wrote it.
    pub class: String,
    /// The value; must fit the class.
    pub value: ItemValue,
    /// The particulars of its processing.
    pub metadata: NewMetadata,
}

/// Metadata as the caller states it; what is left out comes from the registry.
#[derive(Default)]
pub struct NewMetadata {
    /// Purpose ids; empty for the class's defaults.
    pub purposes: Vec<String>,
    /// A legal basis; empty for that of the first purpose.
    pub legal_basis: String,
    /// When the item ends at the latest.
    pub expires: Option<Timestamp>,
    /// Whether decisions are taken from it without a human.
    pub automated_decision: bool,
    /// Free text, sealed.
    pub notes: Notes,
}

/// The free text of an item's metadata.
#[derive(Default)]
pub struct Notes {
    /// Where the value came from.
    pub source: Text,
    /// To whom it is disclosed.
    pub recipients: Vec<Recipient>,
    /// The logic behind automated decisions.
    pub automated_decision_logic: Text,
}

/// Someone to whom a value is disclosed.
#[derive(Default)]
pub struct Recipient {
    /// Name or category.
    pub name: Text,
    /// ISO 3166-1 alpha-2, or empty.
    pub country_code: Text,
    /// What protects a transfer abroad.
    pub safeguard: Text,
}

/// What a new or changed item is known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The item.
    pub item: ItemId,
    /// Its version, from 1.
    pub version: u64,
    /// Its etag.
    pub etag: String,
    /// When its account reason ends by itself.
    pub expires: Option<Timestamp>,
}

/// A call that is only asked about.
pub struct Supposition {
    /// Who would call; none for who asks.
    pub caller: Option<ServiceName>,
    /// The role it would name.
    pub role: String,
    /// The purpose it would name.
    pub purpose: String,
    /// The method.
    pub action: Action,
    /// The class it would touch, as the caller wrote it; may be empty.
    pub class: String,
    /// The subject it would touch; without one, a person of no labels who demands nothing.
    pub subject: Option<SubjectRef>,
    /// The item it would touch.
    pub item: Option<ItemId>,
    /// The view it would ask for; none for the highest allowed.
    pub view: Option<View>,
}

/// What such a call would be answered, as far as who asks may know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The reason it would be told; none if it would be allowed.
    pub reason: Option<ErrorReason>,
    /// The view it would get, if it reads.
    pub view: Option<View>,
    /// The fields that view does not show in full, whatever a value holds.
    pub masked: Vec<Masked>,
    /// The rules that decided.
    pub rules: Vec<SafeText>,
    /// The rules' version.
    pub version: Option<PolicyVersion>,
}

/// Which item, and how much of it.
pub struct ItemQuery {
    /// The subject; none for an item that only a keep reason keeps.
    pub subject: Option<SubjectRef>,
    /// The item.
    pub item: ItemId,
    /// The version; 0 for the newest.
    pub version: u64,
    /// Only the one of this etag; empty for any.
    pub etag: String,
    /// The view wanted; none for the highest allowed.
    pub view: Option<View>,
    /// Field paths wanted; empty for all.
    pub fields: Vec<String>,
}

/// An item as far as the caller may see it.
pub struct ItemView {
    /// The subject; none once its account has ended.
    pub subject: Option<SubjectId>,
    /// The receipt of the act of forgetting that it outlived.
    pub receipt: Option<ReceiptId>,
    /// The item.
    pub item: ItemId,
    /// Its class.
    pub class: ClassId,
    /// Its version.
    pub version: u64,
    /// Its etag.
    pub etag: String,
    /// When it was created.
    pub created: Timestamp,
    /// When its value or metadata last changed.
    pub updated: Timestamp,
    /// Whether its processing is restricted.
    pub restricted: bool,
    /// The view granted.
    pub view: View,
    /// The value, above [`View::Exists`].
    pub value: Option<ItemValue>,
    /// Metadata, above [`View::Exists`].
    pub metadata: Option<Metadata>,
    /// Fields that are not shown in full.
    pub masked: Vec<Masked>,
}

/// A field that is not shown in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked {
    /// Its path.
    pub path: FieldPath,
    /// The view it is shown under.
    pub view: View,
    /// What keeps the caller from seeing more, for roles that may know.
    pub rule: Option<SafeText>,
}

/// Metadata as stored.
pub struct Metadata {
    /// Purposes.
    pub purposes: Vec<String>,
    /// Legal basis.
    pub legal_basis: String,
    /// When the item ends at the latest.
    pub expires: Option<Timestamp>,
    /// Purposes the person objects to.
    pub objections: Vec<String>,
    /// Whether decisions are taken from it without a human.
    pub automated_decision: bool,
    /// Free text.
    pub notes: Notes,
}

/// Which of a subject's items.
pub struct ListQuery {
    /// The subject.
    pub subject: SubjectRef,
    /// Only these classes; empty for all the caller may know of.
    pub classes: Vec<String>,
    /// The view wanted; none for the highest allowed, item by item.
    pub view: Option<View>,
    /// Field paths wanted; empty for all.
    pub fields: Vec<String>,
    /// How many at most; 0 for the default.
    pub page_size: u32,
    /// Continues an earlier page; empty for the first.
    pub page_token: String,
}

/// A page of items.
pub struct ListPage {
    /// In order of creation.
    pub items: Vec<ItemView>,
    /// For the next page; empty when nothing follows.
    pub next_page_token: String,
}

/// A correction.
pub struct Update {
    /// The subject.
    pub subject: SubjectRef,
    /// The item.
    pub item: ItemId,
    /// The etag that must still hold; empty for any.
    pub etag: String,
    /// The whole new value; none to keep it.
    pub value: Option<ItemValue>,
    /// The whole new metadata; none to keep it.
    pub metadata: Option<NewMetadata>,
    /// When to answer.
    pub wait: Wait,
}

/// A deletion.
pub struct Delete {
    /// The subject.
    pub subject: SubjectRef,
    /// The item.
    pub item: ItemId,
    /// The etag that must still hold; empty for any.
    pub etag: String,
    /// When to answer.
    pub wait: Wait,
}

/// A password to be tested.
pub struct PasswordTest {
    /// The subject.
    pub subject: SubjectRef,
    /// The item; none for the newest password.
    pub item: Option<ItemId>,
    /// What the person typed.
    pub secret: Text,
}

/// When a call that forgets something answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// After the epoch that destroyed the root.
    Erased,
    /// As soon as the change is durable and no call can read what was removed.
    Logical,
}

/// What has become of something that was to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// Where it stands.
    pub state: ErasureState,
    /// The epoch that forgot it; 0 while none is assigned.
    pub epoch: u64,
    /// Names the erasure in the log.
    pub receipt: ReceiptId,
    /// The slots it waits for.
    pub waiting: Vec<SlotId>,
    /// What keeps something of it, for callers that may know.
    pub kept_for: Vec<Reason>,
}

/// See [`Erasure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErasureState {
    /// Unreadable by any call; the old root is not yet destroyed in every slot.
    Pending,
    /// Every key that could open it is gone.
    Erased,
    /// A reason besides the account keeps some of it, for the legal role alone.
    Kept,
}

impl Erasure {
    fn pending(receipt: ReceiptId) -> Self {
        Self { state: ErasureState::Pending, epoch: 0, receipt, waiting: Vec::new(), kept_for: Vec::new() }
    }

    /// What a caller is told of an act of forgetting.
    pub fn of(awaited: Awaited, receipt: ReceiptId) -> Self {
        match awaited {
            Awaited::Done { epoch } => Self { state: ErasureState::Erased, epoch, receipt, ..Self::pending(receipt) },
            Awaited::Pending { waiting } => Self { waiting, ..Self::pending(receipt) },
        }
    }
}

/// One entry of a batch of new items.
pub struct PutEntry {
    /// The subject.
    pub subject: SubjectRef,
    /// The item; may be missing if the subject is to be created.
    pub item: Option<NewItem>,
    /// Create the subject if its external id is new.
    pub create_subject: bool,
    /// Labels of a subject created so.
    pub labels: Vec<(String, String)>,
    /// The digest of the entry as it came.
    pub digest: Digest,
}

/// A stored entry of a batch.
#[derive(Debug)]
pub struct PutDone {
    /// The subject.
    pub subject: SubjectId,
    /// The item, if there was one.
    pub item: Option<Stamp>,
    /// Whether this entry created the subject.
    pub subject_created: bool,
}
