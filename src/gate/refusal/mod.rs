//! Everything a call can be refused with. One closed list, so that the wire's reasons are mapped without a default.

mod reasons;

use std::fmt;
use std::time::Duration;

use crate::audit::sequence;
use crate::base::id::{ApprovalId, PolicyVersion, ReceiptId, SlotId};
use crate::base::log_safe::SafeText;
use crate::catalog::path::FieldPath;
use crate::catalog::validate;
use crate::policy::decide::Cause;

/// Why a call was not carried out. Holds no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The caller may not.
    #[error(transparent)]
    Access(#[from] Access),
    /// The request is not well formed; every fault that was found.
    #[error("the request is not valid")]
    Invalid(Vec<Fault>),
    /// What the request concerns does not allow it.
    #[error(transparent)]
    State(#[from] State),
    /// Another person's word is missing, or is no word for this.
    #[error(transparent)]
    Approving(#[from] Approving),
    /// The vault's slots do not allow it.
    #[error(transparent)]
    Slots(#[from] Slots),
    /// The caller asked for more than a minute allows.
    #[error("too many tries in a short time")]
    RateLimited {
        /// When there is room for one more.
        retry_after: Duration,
    },
    /// A document, or an upload of one, is not in the state for it.
    #[error(transparent)]
    Document(#[from] Document),
    /// The vault cannot serve now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why access was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Access {
    /// The connection shows no identity that is bound to a role.
    #[error("the caller is not known")]
    Unauthenticated,
    /// The caller holds several roles and named none.
    #[error("name the role that acts")]
    RoleRequired,
    /// The caller does not hold the role it named.
    #[error("the caller does not hold that role")]
    RoleNotHeld,
    /// The person's token will not do.
    #[error(transparent)]
    EndUser(#[from] EndUserFault),
    /// No purpose was named.
    #[error("name the purpose")]
    PurposeRequired,
    /// The purpose is not registered.
    #[error("the purpose is not registered")]
    PurposeUnknown,
    /// Denied.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The view asked for is above the one allowed.
    #[error("the view asked for is not allowed")]
    ViewNotAllowed,
}

/// What is wrong with a person's token, or with the lack of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndUserFault {
    /// The acting role needs one.
    #[error("the role acts for a person, whose token is missing")]
    Required,
    /// Its form, signature, issuer or audience is wrong, or its time has not come.
    #[error("the person's token is not valid")]
    Invalid,
    /// It is past its time.
    #[error("the person's token is past its time")]
    Expired,
    /// It is good, but too old for what cannot be undone.
    #[error("the person's token is too old for this")]
    Stale,
    /// It came with a role that acts for nobody.
    #[error("a person's token came with a role that acts for nobody")]
    OtherRole,
}

/// A denial: why, and how much of that the caller is told. The log has all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub cause: Cause,
    /// The rule that forbade it, if one did.
    pub rule: Option<SafeText>,
    /// What the caller is told.
    pub told: Told,
}

/// How much of a denial its caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// That there is nothing: the role may not know whether there is.
    Absent,
    /// That it is denied, and why.
    Cause,
    /// Also the rule, and the version of the rules.
    Rule(PolicyVersion),
}

impl std::error::Error for Denied {}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.told, self.cause) {
            (Told::Absent, _) => "not found",
            (_, Cause::Rules) => "access is denied",
            (_, Cause::Restricted) => "processing of the person's data is restricted",
            (_, Cause::Objected) => "the person objects to the purpose",
        })
    }
}

impl Access {
    /// The same where there is nothing to hide.
    pub fn openly(self) -> Self {
        match self {
            Self::Denied(denied) => Self::Denied(denied.openly()),
            other => other,
        }
    }
}

impl Denied {
    /// The same where there is nothing to hide: the cause is told.
    pub fn openly(self) -> Self {
        let told = if self.told == Told::Absent { Told::Cause } else { self.told };
        Self { told, ..self }
    }
}

/// Why the state of things does not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum State {
    /// There is none, or none that the caller may know of.
    #[error("not found")]
    NotFound,
    /// The external id is taken.
    #[error("a subject with this external id exists")]
    AlreadyExists,
    /// It was erased before the call.
    #[error("it was erased")]
    Erased(Option<ReceiptId>),
    /// The subject was erased while the call ran.
    #[error("the subject was erased while the call ran")]
    SubjectErased,
    /// The item was deleted while the call ran.
    #[error("the item was deleted while the call ran")]
    ItemErased,
    /// The item is not as the caller last saw it.
    #[error("the item has changed")]
    EtagMismatch,
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyKeyReused,
    /// The subject has as many items as it may.
    #[error("the subject has too many items")]
    SubjectFull,
    /// The person is being erased, and what keeps the item is not decided yet.
    #[error("the erasure of the person is not that far yet")]
    Parting,
    /// The log does not reach that far.
    #[error("the log has no such index or size")]
    IndexOutOfRange,
    /// The step is not allowed from the present state.
    #[error("the step is not allowed from the present state")]
    NotFromHere,
    /// The matter is closed.
    #[error("the matter is closed")]
    MatterClosed,
    /// Holds are in force under the matter.
    #[error("holds are in force under the matter")]
    MatterHasHolds,
    /// The clock is behind what is asked for, or has jumped.
    #[error("the vault's clock is too far from its log")]
    ClockImplausible,
    /// Another replacement of the key is under way.
    #[error("a rotation of this key is under way")]
    RotationRunning,
    /// The rotation has ended, or cannot stand still.
    #[error("the rotation is not under way")]
    RotationNotRunning,
    /// This vault does not offer what a field asks for.
    #[error("not offered")]
    NotOffered {
        /// The field.
        field: &'static str,
    },
}

/// Why another person's word is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Approving {
    /// It is needed; this approval is open for it.
    #[error("another person must approve this")]
    Required(ApprovalId),
    /// The approval is not for this request, or not usable.
    #[error("the approval is not one that this request can use")]
    Invalid,
    /// Who would agree is who asked, or has decided already.
    #[error("another person must decide")]
    Own,
    /// The caller is a service.
    #[error("only a person may ask for this or decide about it: bind the identity to a person in bindings.toml")]
    NoPerson,
    /// The requester has as many open approvals as may be.
    #[error("too many of the requester's approvals are open")]
    TooMany,
}

/// Why the vault's slots do not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Slots {
    /// Fewer slots would be left than a vault needs.
    #[error("the vault would have too few slots")]
    TooFew,
    /// No other slot is in reach, so that nothing would open the vault.
    #[error("no other slot of the vault answers")]
    NoOther,
    /// The medium of the new slot promises nothing, and the configuration does not accept that.
    #[error("the new slot's medium is of grade E0")]
    GradeTooLow,
    /// The new slot could not be made at its place.
    #[error("the new slot could not be made: something is at its place, or it cannot be written")]
    NotMade,
    /// The slot is the vault's still.
    #[error("the slot is still one of the vault's")]
    NotReplaced(SlotId),
    /// The slot is not lost, so there is nothing to attest.
    #[error("the slot's end is known already")]
    NotLost(SlotId),
}

/// Why a document, or an upload of one, does not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Document {
    /// The item is of another class.
    #[error("the item is not a document")]
    IsNone,
    /// The upload's time is over, or it was given up.
    #[error("the upload has expired or was given up")]
    UploadExpired,
    /// Another stream has written the upload meanwhile.
    #[error("another stream writes the same upload: open it again to see how far it is")]
    OtherStream,
    /// The subject has as many unfinished uploads as it may.
    #[error("too many uploads of the subject are not finished")]
    TooManyUploads,
    /// The document ends before the offset.
    #[error("the document ends before the offset")]
    PastEnd,
    /// More bytes than a document may have.
    #[error("a document has at most 64 MiB")]
    TooLarge,
}

/// Why the vault cannot serve now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// The store failed; the process must be restarted.
    #[error("storage failed")]
    StorageFailed,
    /// The medium is too full for what is asked.
    #[error("storage is full")]
    StorageFull,
    /// The log cannot be written, or not be trusted, so nothing is served.
    #[error("the audit log cannot be written")]
    LogUnavailable,
    /// Too much is waiting already.
    #[error("overloaded")]
    Overloaded,
    /// Too many streamed answers are being worked on.
    #[error("too many streams")]
    StreamsExhausted,
    /// The vault is shutting down.
    #[error("shutting down")]
    Stopping,
    /// The keys that verify people's tokens cannot be had.
    #[error("the keys that verify people's tokens cannot be had")]
    IdentityProvider,
    /// A stored record does not open.
    #[error("a stored record is damaged")]
    Damaged,
    /// Something went wrong inside.
    #[error("internal error")]
    Internal,
}

/// One fault of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The field, by its path in the request.
    pub field: String,
    /// What is wrong with it.
    pub reason: FaultReason,
}

/// What can be wrong with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultReason {
    /// The value's own validator refused it.
    Value(validate::Reason),
    /// It must be given.
    Required,
    /// It is longer than allowed.
    TooLong,
    /// There are more than allowed.
    TooMany,
    /// It is not of the field's form.
    Malformed,
    /// It is not an identifier of the vault's.
    IdMalformed,
    /// No such field.
    UnknownField,
    /// A number this release does not know.
    EnumUnknown,
    /// The vault sets it.
    ReadOnly,
    /// It contradicts another field.
    Conflict,
    /// The class is not registered.
    ClassUnknown,
    /// The value's message does not fit the class.
    ClassMismatch,
    /// The class is kept as events.
    KeptAsEvents,
    /// The class is not kept as events.
    NotKeptAsEvents,
    /// The class is kept as documents.
    KeptAsDocuments,
    /// The page token is not one of this list's, or too old.
    PageToken,
    /// The resume token is not one of this stream's, or too old.
    ResumeToken,
    /// Kept longer than the registry allows.
    KeepTooLong,
    /// So long ago that the registry does not keep it any more.
    TooLongAgo,
    /// The key was used for something else.
    KeyReused,
    /// Stated twice in one batch.
    Duplicate,
    /// The encoded value is too large.
    TooLarge,
    /// A time that has not come yet.
    InFuture,
    /// No place of that name is free for a slot.
    NoSuchPlace,
    /// It came where another message was expected, or does not begin where the one before it ended.
    OutOfOrder,
    /// The content that came is another.
    ContentMismatch,
    /// It is no media type that is accepted, or not that of the content.
    MediaType,
    /// It is no purpose of the registry.
    PurposeUnknown,
    /// It is a purpose to which nobody can object.
    NotObjectable,
}

impl Fault {
    /// A fault of a named field.
    pub fn new(field: impl Into<String>, reason: FaultReason) -> Self {
        Self { field: field.into(), reason }
    }

    /// A fault that a value's validator found, below the field that holds the value.
    pub fn of_value(prefix: &str, path: &FieldPath, reason: validate::Reason) -> Self {
        Self { field: format!("{prefix}.{}", path.as_str()), reason: FaultReason::Value(reason) }
    }
}

impl From<sequence::Error> for Refusal {
    fn from(error: sequence::Error) -> Self {
        match error {
            sequence::Error::Damaged(_) => Unavailable::Damaged.into(),
            sequence::Error::Store(error) => error.into(),
        }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Invalid(vec![fault])
    }
}
