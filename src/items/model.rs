//! What callers ask for and what they get: the verbs' own types, free of the wire.

use crate::base::id::{ItemId, PolicyVersion, ReceiptId, SlotId, SubjectId, UploadId};
use crate::base::log_safe::SafeText;
use crate::base::reason::Reason as ErrorReason;
use crate::base::time::Timestamp;
use crate::catalog::class::{ClassId, Identifier};
use crate::catalog::classes::ItemValue;
use crate::catalog::path::FieldPath;
use crate::catalog::text::Text;
use crate::catalog::view::View;
use crate::crypto::hash::Digest;
use crate::gate::vault::Awaited;
use crate::keep::Reason;
use crate::policy::action::Action;
use crate::policy::caller::ServiceName;

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
