//! Refusals to statuses: the one place where errors for callers are made.
//!
//! INVARIANT: a status holds words of this source code, names of the contract's fields, random ids and rule ids;
//! never a text that came with a request or from storage.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::proto::{EntryError, ErrorReason, FieldViolation, StatusCode};
use super::reasons::traits;
use crate::base::id::{ApprovalId, PolicyVersion, ReceiptId, RequestId, SlotId};
use crate::base::limits::{ENTRY_VIOLATION_BYTES_MAX, RETRY_AFTER, VIOLATION_BYTES_MAX};
use crate::base::reason::Reason;
use crate::gate::refusal::{Access, Approving, Denied, FaultReason, Refusal, Slots, State, Told};

/// The domain of every reason.
pub const DOMAIN: &str = "lacuna.v1";

/// The status of a refused call, and the id under which the log has it, if it got one.
pub fn of(refusal: &Refusal, request: Option<RequestId>) -> Status {
    let mut verdict = Verdict::of(refusal);
    verdict.request = request;
    verdict.status()
}

/// The status of a reason that no verb gives.
pub fn of_reason(reason: ErrorReason) -> Status {
    Verdict::new(reason, about(reason)).status()
}

/// The status of a method that this vault does not offer yet.
pub fn not_implemented(request: RequestId) -> Status {
    let reason = ErrorReason::NotImplemented;
    Verdict { request: Some(request), ..Verdict::new(reason, about(reason)) }.status()
}

/// Gives a status of the transport's own, such as for a message that is too large, a reason of ours. A status that
/// has one is left as it is.
pub fn of_transport(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    of_reason(match status.code() {
        Code::OutOfRange | Code::ResourceExhausted => ErrorReason::MessageTooLarge,
        Code::Unimplemented => ErrorReason::NotImplemented,
        // Frames that break off, are compressed without saying how, or are missing.
        Code::Internal | Code::InvalidArgument => ErrorReason::MessageMalformed,
        Code::DeadlineExceeded => ErrorReason::DeadlineExceeded,
        // The stream was reset, or the connection went away.
        Code::Cancelled | Code::Unknown | Code::Aborted => ErrorReason::Cancelled,
        Code::Unavailable => ErrorReason::ShuttingDown,
        Code::Ok
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::DataLoss
        | Code::Unauthenticated => ErrorReason::Internal,
    })
}

/// The failure of one entry of a batch.
pub fn of_entry(refusal: &Refusal) -> EntryError {
    let verdict = Verdict::of(refusal);
    entry_error(&verdict)
}

/// The failure of an entry for a reason that no verb gives.
pub fn of_entry_reason(reason: ErrorReason) -> EntryError {
    entry_error(&Verdict::new(reason, about(reason)))
}

fn entry_error(verdict: &Verdict) -> EntryError {
    let traits = traits(verdict.reason);
    let (violations, left_out) = verdict.violations_within(ENTRY_VIOLATION_BYTES_MAX);
    let violations = violations.iter().map(|violation| FieldViolation {
        field: within_entry(&violation.field).to_owned(),
        reason: violation.reason.into(),
        message: violation.words.to_owned(),
    });
    EntryError {
        code: StatusCode::try_from(traits.code).unwrap_or_default().into(),
        reason: verdict.reason.into(),
        retryable: traits.retryable,
        message: verdict.message(left_out),
        violations: violations.collect(),
        rule_id: verdict.rule.clone().unwrap_or_default(),
    }
}

/// A field's path from its entry on: a verb that saw the whole batch names it from the request on.
fn within_entry(field: &str) -> &str {
    let rest = field.strip_prefix("entries[").and_then(|rest| rest.split_once("]."));
    rest.map_or(field, |(_, rest)| rest)
}

/// A refusal in the words of the contract.
struct Verdict {
    reason: ErrorReason,
    text: String,
    violations: Vec<Violation>,
    rule: Option<String>,
    policy: Option<String>,
    receipt: Option<ReceiptId>,
    approval: Option<ApprovalId>,
    slot: Option<SlotId>,
    request: Option<RequestId>,
    retry_after: Duration,
}

struct Violation {
    field: String,
    reason: ErrorReason,
    words: &'static str,
}

impl Verdict {
    fn new(reason: ErrorReason, text: impl Into<String>) -> Self {
        Self {
            reason,
            text: text.into(),
            violations: Vec::new(),
            rule: None,
            policy: None,
            receipt: None,
            approval: None,
            slot: None,
            request: None,
            retry_after: RETRY_AFTER,
        }
    }

    fn of(refusal: &Refusal) -> Self {
        let verdict = Self::new(told(refusal.told()), refusal.to_string());
        match refusal {
            Refusal::Access(Access::RoleRequired) => verdict.about_field("context.role", "is required"),
            Refusal::Access(Access::PurposeRequired) => verdict.about_field("context.purpose", "is required"),
            Refusal::Access(Access::Denied(Denied { rule, told: Told::Rule(policy), .. })) => {
                let rule = rule.as_ref().map(|rule| rule.as_str().to_owned());
                Self { rule, policy: Some(version_text(policy)), ..verdict }
            }
            Refusal::State(State::Erased(receipt)) => Self { receipt: *receipt, ..verdict },
            Refusal::Approving(Approving::Required(id)) => Self { approval: Some(*id), ..verdict },
            Refusal::Slots(Slots::NotReplaced(slot) | Slots::NotLost(slot)) => Self { slot: Some(*slot), ..verdict },
            Refusal::State(State::IdempotencyKeyReused) => {
                verdict.about_field("context.idempotency_key", "was used for another request")
            }
            Refusal::State(State::NotOffered { field }) => verdict.about_field(field, "is not offered by this vault"),
            Refusal::Invalid(faults) => {
                let violations = faults.iter().map(|fault| Violation {
                    field: fault.field.clone(),
                    reason: told(fault.reason.reason()),
                    words: words(fault.reason),
                });
                Self { violations: violations.collect(), ..verdict }
            }
            Refusal::Access(_)
            | Refusal::State(_)
            | Refusal::Approving(_)
            | Refusal::Slots(_)
            | Refusal::Document(_)
            | Refusal::Unavailable(_) => verdict,
            Refusal::RateLimited { retry_after } => Self { retry_after: *retry_after, ..verdict },
        }
    }

    /// With the one field that the reason is about.
    fn about_field(self, field: &str, words: &'static str) -> Self {
        let violation = Violation { field: field.to_owned(), reason: self.reason, words };
        Self { violations: vec![violation], ..self }
    }

    /// The violations that fit, and how many do not.
    fn violations_within(&self, bytes_max: usize) -> (&[Violation], usize) {
        let mut bytes = 0;
        let fits = |violation: &&Violation| {
            bytes += violation.field.len() + violation.words.len() + traits(violation.reason).name.len();
            bytes <= bytes_max
        };
        let count = self.violations.iter().take_while(fits).count();
        (&self.violations[..count], self.violations.len() - count)
    }

    fn message(&self, left_out: usize) -> String {
        let Self { text, violations, .. } = self;
        match (violations.first(), left_out) {
            (Some(first), 0) => format!("{text}: {} {}", first.field, first.words),
            (Some(first), _) => {
                format!("{text}: {} {}; {left_out} more fields are not listed", first.field, first.words)
            }
            (None, _) => text.clone(),
        }
    }

    fn status(&self) -> Status {
        let traits = traits(self.reason);
        let mut metadata = HashMap::new();
        let request = self.request.map(|id| id.to_string());
        let receipt = self.receipt.map(|id| id.to_string());
        for (key, value) in [
            ("request_id", request),
            ("rule_id", self.rule.clone()),
            ("receipt_id", receipt),
            ("approval_id", self.approval.map(|id| id.to_string())),
            ("slot_id", self.slot.map(|id| id.to_string())),
            ("policy_version", self.policy.clone()),
        ] {
            metadata.extend(value.map(|value| (key.to_owned(), value)));
        }
        let mut details = ErrorDetails::with_error_info(traits.name, DOMAIN, metadata);
        let (violations, left_out) = self.violations_within(VIOLATION_BYTES_MAX);
        if !violations.is_empty() {
            let violations = violations.iter().map(|violation| tonic_types::FieldViolation {
                field: violation.field.clone(),
                description: violation.words.to_owned(),
                reason: self::traits(violation.reason).name.to_owned(),
                localized_message: None,
            });
            details.set_bad_request(violations.collect::<Vec<_>>());
        }
        if traits.retryable {
            details.set_retry_info(Some(self.retry_after));
        }
        Status::with_error_details(Code::from_i32(traits.code), self.message(left_out), details)
    }
}

/// The contract's name for a reason. INVARIANT: both lists are made from the same enum of `errors.proto`.
pub fn told(reason: Reason) -> ErrorReason {
    ErrorReason::try_from(i32::from(reason.number())).unwrap_or(ErrorReason::Internal)
}

/// A version of the rules as callers and auditors see it.
pub fn version_text(version: &PolicyVersion) -> String {
    version.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is wrong, to follow the field's path.
fn words(reason: FaultReason) -> &'static str {
    match reason {
        FaultReason::Value(reason) => reason.as_str(),
        FaultReason::Required => "is required",
        FaultReason::TooLong => "is too long",
        FaultReason::TooMany => "has more entries than one call takes",
        FaultReason::Malformed => "is malformed",
        FaultReason::IdMalformed => "is not an id of the vault's",
        FaultReason::UnknownField => "names no field of the class",
        FaultReason::EnumUnknown => "has a number that this vault does not know",
        FaultReason::ReadOnly => "is set by the vault",
        FaultReason::Conflict => "conflicts with another field",
        FaultReason::ClassUnknown => "is not of a registered class",
        FaultReason::ClassMismatch => "does not fit the class",
        FaultReason::KeptAsEvents => "is of a class that is kept as events: use RecordEvents",
        FaultReason::NotKeptAsEvents => "is of a class that is not kept as events: use PutItem or UploadDocument",
        FaultReason::KeptAsDocuments => "is of a class that is kept as documents: use UploadDocument",
        FaultReason::PageToken => "is not a token of this list, or too old",
        FaultReason::ResumeToken => "is not a token of this caller's and query's, or too old",
        FaultReason::KeepTooLong => "is later than the registry allows",
        FaultReason::TooLongAgo => "lies longer ago than the registry keeps it",
        FaultReason::KeyReused => "was used for another request",
        FaultReason::Duplicate => "is stated twice",
        FaultReason::TooLarge => "is too large",
        FaultReason::OutOfOrder => "is not what must come next",
        FaultReason::ContentMismatch => "is not that of the content that came",
        FaultReason::MediaType => "is not accepted, or not that of the content",
        FaultReason::InFuture => "is in the future",
        FaultReason::NoSuchPlace => "names no free place of [slots]; name one there and restart the vault",
        FaultReason::PurposeUnknown => "is not a registered purpose",
        FaultReason::NotObjectable => "is a purpose that rests on a legal obligation, to which nobody can object",
    }
}

/// The reason in the words of the contract, as an error text.
fn about(reason: ErrorReason) -> String {
    let text = traits(reason).about.trim_end_matches('.');
    let mut chars = text.chars();
    chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
}
