//! The reason of the contract that each refusal travels under, and the log keeps.

use super::{Access, Approving, Denied, Document, EndUserFault, FaultReason, Refusal, Slots, State, Told, Unavailable};
use crate::base::reason::Reason;
use crate::catalog::validate;
use crate::policy::decide::Cause;

impl Refusal {
    /// The reason that the audit log keeps.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Access(access) => access.reason(),
            Self::Invalid(faults) => faults.first().map_or(Reason::FieldInvalid, |fault| fault.reason.reason()),
            Self::State(state) => state.reason(),
            Self::Approving(approving) => approving.reason(),
            Self::Slots(slots) => slots.reason(),
            Self::RateLimited { .. } => Reason::RateLimited,
            Self::Document(document) => document.reason(),
            Self::Unavailable(unavailable) => unavailable.reason(),
        }
    }

    /// The reason that the caller is told.
    pub fn told(&self) -> Reason {
        match self {
            Self::Access(Access::Denied(Denied { told: Told::Absent, .. })) => Reason::NotFound,
            other => other.reason(),
        }
    }
}

impl Access {
    fn reason(&self) -> Reason {
        match self {
            Self::Unauthenticated => Reason::CallerUnknown,
            Self::RoleRequired => Reason::RoleRequired,
            Self::RoleNotHeld => Reason::RoleNotHeld,
            Self::EndUser(fault) => fault.reason(),
            Self::PurposeRequired => Reason::PurposeRequired,
            Self::PurposeUnknown => Reason::PurposeUnknown,
            Self::Denied(denied) => denied.reason(),
            Self::ViewNotAllowed => Reason::ViewNotAllowed,
        }
    }
}

impl Denied {
    fn reason(&self) -> Reason {
        match self.cause {
            Cause::Rules => Reason::AccessDenied,
            Cause::Restricted => Reason::Restricted,
            Cause::Objected => Reason::Objected,
        }
    }
}

impl EndUserFault {
    fn reason(self) -> Reason {
        match self {
            Self::Required => Reason::EndUserTokenRequired,
            Self::Invalid => Reason::EndUserTokenInvalid,
            Self::Expired => Reason::EndUserTokenExpired,
            Self::Stale => Reason::EndUserTokenStale,
            Self::OtherRole => Reason::EndUserTokenNotAllowed,
        }
    }
}

impl State {
    fn reason(self) -> Reason {
        match self {
            Self::NotFound => Reason::NotFound,
            Self::AlreadyExists => Reason::AlreadyExists,
            Self::Erased(_) => Reason::Erased,
            Self::SubjectErased => Reason::SubjectErased,
            Self::ItemErased => Reason::ItemErased,
            Self::EtagMismatch => Reason::EtagMismatch,
            Self::IdempotencyKeyReused => Reason::IdempotencyKeyReused,
            Self::SubjectFull => Reason::SubjectFull,
            Self::Parting => Reason::Conflict,
            Self::IndexOutOfRange => Reason::IndexOutOfRange,
            Self::NotFromHere => Reason::StateTransitionInvalid,
            Self::MatterClosed => Reason::MatterClosed,
            Self::MatterHasHolds => Reason::MatterHasHolds,
            Self::ClockImplausible => Reason::ClockImplausible,
            Self::RotationRunning => Reason::RotationRunning,
            Self::RotationNotRunning => Reason::RotationNotRunning,
            Self::NotOffered { .. } => Reason::NotImplemented,
        }
    }
}

impl Approving {
    fn reason(self) -> Reason {
        match self {
            Self::Required(_) => Reason::ApprovalRequired,
            Self::Invalid => Reason::ApprovalInvalid,
            Self::Own => Reason::SelfApproval,
            Self::NoPerson => Reason::PersonRequired,
            Self::TooMany => Reason::ApprovalsFull,
        }
    }
}

impl Slots {
    fn reason(self) -> Reason {
        match self {
            Self::TooFew => Reason::TooFewSlots,
            Self::GradeTooLow => Reason::SlotGradeTooLow,
            Self::NoOther | Self::NotMade => Reason::SlotUnreachable,
            Self::NotReplaced(_) => Reason::SlotNotReplaced,
            Self::NotLost(_) => Reason::StateTransitionInvalid,
        }
    }
}

impl Document {
    fn reason(self) -> Reason {
        match self {
            Self::IsNone => Reason::ItemNotDocument,
            Self::UploadExpired => Reason::UploadExpired,
            Self::OtherStream => Reason::Conflict,
            Self::TooManyUploads => Reason::StreamsExhausted,
            Self::PastEnd => Reason::IndexOutOfRange,
            Self::TooLarge => Reason::MessageTooLarge,
        }
    }
}

impl Unavailable {
    fn reason(self) -> Reason {
        match self {
            Self::StorageFailed => Reason::StorageFailed,
            Self::StorageFull => Reason::StorageFull,
            Self::LogUnavailable => Reason::LogUnavailable,
            Self::Overloaded => Reason::Overloaded,
            Self::StreamsExhausted => Reason::StreamsExhausted,
            Self::Stopping => Reason::ShuttingDown,
            Self::IdentityProvider => Reason::IdentityProviderUnavailable,
            Self::Damaged => Reason::DataCorrupt,
            Self::Internal => Reason::Internal,
        }
    }
}

impl FaultReason {
    /// The reason that the caller is told. INVARIANT: each of these travels as `INVALID_ARGUMENT`.
    pub fn reason(self) -> Reason {
        match self {
            Self::Value(reason) => match reason {
                validate::Reason::Required => Reason::FieldRequired,
                validate::Reason::TooLong | validate::Reason::TooMany => Reason::FieldTooLong,
                validate::Reason::Character | validate::Reason::Malformed | validate::Reason::OutOfRange => {
                    Reason::FieldInvalid
                }
                validate::Reason::Conflict => Reason::FieldConflict,
                validate::Reason::CardNumber => Reason::CardNumberRefused,
                validate::Reason::CheckDigit => Reason::CheckDigitWrong,
            },
            Self::Required => Reason::FieldRequired,
            Self::TooLong | Self::TooLarge => Reason::FieldTooLong,
            Self::TooMany => Reason::TooMany,
            Self::Malformed | Self::InFuture | Self::NoSuchPlace | Self::PurposeUnknown | Self::NotObjectable => {
                Reason::FieldInvalid
            }
            Self::IdMalformed => Reason::IdMalformed,
            Self::UnknownField => Reason::FieldUnknown,
            Self::EnumUnknown => Reason::EnumUnknown,
            Self::ReadOnly => Reason::FieldReadOnly,
            Self::Conflict => Reason::FieldConflict,
            Self::ClassUnknown => Reason::ClassUnknown,
            Self::ClassMismatch | Self::KeptAsEvents | Self::NotKeptAsEvents | Self::KeptAsDocuments => {
                Reason::ClassMismatch
            }
            Self::PageToken => Reason::PageTokenInvalid,
            Self::ResumeToken => Reason::ResumeTokenInvalid,
            Self::KeepTooLong | Self::TooLongAgo => Reason::KeepTooLong,
            Self::KeyReused => Reason::IdempotencyKeyReused,
            Self::Duplicate => Reason::DuplicateEntry,
            Self::OutOfOrder => Reason::StreamOutOfOrder,
            Self::ContentMismatch => Reason::ContentMismatch,
            Self::MediaType => Reason::MediaTypeRefused,
        }
    }
}
