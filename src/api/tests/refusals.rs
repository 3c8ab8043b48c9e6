//! Every refusal has its reason and its code, and none repeats a value.

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::messages::*;
use crate::api::convert::{batch, item, subject};
use crate::api::proto::item_value::Value;
use crate::api::proto::{self, *};
use crate::api::status::{self, of, of_entry};
use crate::base::id::{ApprovalId, ReceiptId, RequestId, SlotId, VaultId};
use crate::base::limits::{RETRY_AFTER, VIOLATION_BYTES_MAX};
use crate::base::log_safe::SafeText;
use crate::catalog::validate::Reason;
use crate::gate::refusal::{Access, Approving, Denied, Fault, FaultReason, Refusal, Slots, State, Told, Unavailable};
use crate::policy::decide::Cause;

fn told(status: &Status) -> (String, Code) {
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.domain, "lacuna.v1");
    (info.reason, status.code())
}

#[test]
fn every_refusal_has_its_reason_and_its_code() {
    let receipt = Some(ReceiptId::from_bytes([5; 16]));
    let (approval, slot) = (ApprovalId::from_bytes([8; 16]), SlotId::from_bytes([9; 16]));
    for (refusal, reason, code) in [
        (Refusal::from(Access::Unauthenticated), "CALLER_UNKNOWN", Code::Unauthenticated),
        (Access::RoleRequired.into(), "ROLE_REQUIRED", Code::InvalidArgument),
        (Access::RoleNotHeld.into(), "ROLE_NOT_HELD", Code::PermissionDenied),
        (Access::PurposeRequired.into(), "PURPOSE_REQUIRED", Code::InvalidArgument),
        (Access::PurposeUnknown.into(), "PURPOSE_UNKNOWN", Code::PermissionDenied),
        (denied(Cause::Rules, Told::Cause), "ACCESS_DENIED", Code::PermissionDenied),
        (denied(Cause::Restricted, Told::Cause), "RESTRICTED", Code::PermissionDenied),
        (denied(Cause::Objected, Told::Cause), "OBJECTED", Code::PermissionDenied),
        (denied(Cause::Restricted, Told::Absent), "NOT_FOUND", Code::NotFound),
        (Access::ViewNotAllowed.into(), "VIEW_NOT_ALLOWED", Code::PermissionDenied),
        (State::NotFound.into(), "NOT_FOUND", Code::NotFound),
        (State::AlreadyExists.into(), "ALREADY_EXISTS", Code::AlreadyExists),
        (State::Erased(receipt).into(), "ERASED", Code::FailedPrecondition),
        (State::SubjectErased.into(), "SUBJECT_ERASED", Code::Aborted),
        (State::ItemErased.into(), "ITEM_ERASED", Code::Aborted),
        (State::EtagMismatch.into(), "ETAG_MISMATCH", Code::Aborted),
        (State::IdempotencyKeyReused.into(), "IDEMPOTENCY_KEY_REUSED", Code::InvalidArgument),
        (State::SubjectFull.into(), "SUBJECT_FULL", Code::FailedPrecondition),
        (State::Parting.into(), "CONFLICT", Code::Aborted),
        (Approving::Required(approval).into(), "APPROVAL_REQUIRED", Code::FailedPrecondition),
        (Approving::Invalid.into(), "APPROVAL_INVALID", Code::FailedPrecondition),
        (Approving::Own.into(), "SELF_APPROVAL", Code::PermissionDenied),
        (Approving::NoPerson.into(), "PERSON_REQUIRED", Code::PermissionDenied),
        (Approving::TooMany.into(), "APPROVALS_FULL", Code::ResourceExhausted),
        (Slots::TooFew.into(), "TOO_FEW_SLOTS", Code::FailedPrecondition),
        (Slots::NoOther.into(), "SLOT_UNREACHABLE", Code::Unavailable),
        (Slots::GradeTooLow.into(), "SLOT_GRADE_TOO_LOW", Code::FailedPrecondition),
        (Slots::NotMade.into(), "SLOT_UNREACHABLE", Code::Unavailable),
        (Slots::NotReplaced(slot).into(), "SLOT_NOT_REPLACED", Code::FailedPrecondition),
        (Slots::NotLost(slot).into(), "STATE_TRANSITION_INVALID", Code::FailedPrecondition),
        (Unavailable::StorageFailed.into(), "STORAGE_FAILED", Code::Unavailable),
        (Unavailable::StorageFull.into(), "STORAGE_FULL", Code::ResourceExhausted),
        (Unavailable::LogUnavailable.into(), "LOG_UNAVAILABLE", Code::Unavailable),
        (Unavailable::Overloaded.into(), "OVERLOADED", Code::ResourceExhausted),
        (Unavailable::Stopping.into(), "SHUTTING_DOWN", Code::Unavailable),
        (Unavailable::Damaged.into(), "DATA_CORRUPT", Code::DataLoss),
        (Unavailable::Internal.into(), "INTERNAL", Code::Internal),
        (Refusal::Invalid(Vec::new()), "FIELD_INVALID", Code::InvalidArgument),
    ] {
        let status = of(&refusal, None);
        assert_eq!(told(&status), (reason.to_owned(), code));
        let invalid = status.get_details_bad_request().map_or(0, |details| details.field_violations.len());
        assert_eq!(invalid == 1, code == Code::InvalidArgument && refusal != Refusal::Invalid(Vec::new()), "{reason}");
        let entry = of_entry(&refusal);
        assert_eq!(entry.reason().as_str_name(), format!("ERROR_REASON_{reason}"));
        assert_eq!((entry.code, entry.retryable), (code as i32, status.get_details_retry_info().is_some()));
    }
}

const FAULTS: [(FaultReason, &str); 29] = [
    (FaultReason::Value(Reason::Required), "FIELD_REQUIRED"),
    (FaultReason::Value(Reason::TooLong), "FIELD_TOO_LONG"),
    (FaultReason::Value(Reason::TooMany), "FIELD_TOO_LONG"),
    (FaultReason::Value(Reason::Character), "FIELD_INVALID"),
    (FaultReason::Value(Reason::Malformed), "FIELD_INVALID"),
    (FaultReason::Value(Reason::OutOfRange), "FIELD_INVALID"),
    (FaultReason::Value(Reason::Conflict), "FIELD_CONFLICT"),
    (FaultReason::Value(Reason::CardNumber), "CARD_NUMBER_REFUSED"),
    (FaultReason::Value(Reason::CheckDigit), "CHECK_DIGIT_WRONG"),
    (FaultReason::Required, "FIELD_REQUIRED"),
    (FaultReason::TooLong, "FIELD_TOO_LONG"),
    (FaultReason::TooMany, "TOO_MANY"),
    (FaultReason::Malformed, "FIELD_INVALID"),
    (FaultReason::IdMalformed, "ID_MALFORMED"),
    (FaultReason::UnknownField, "FIELD_UNKNOWN"),
    (FaultReason::EnumUnknown, "ENUM_UNKNOWN"),
    (FaultReason::ReadOnly, "FIELD_READ_ONLY"),
    (FaultReason::Conflict, "FIELD_CONFLICT"),
    (FaultReason::ClassUnknown, "CLASS_UNKNOWN"),
    (FaultReason::ClassMismatch, "CLASS_MISMATCH"),
    (FaultReason::KeptAsEvents, "CLASS_MISMATCH"),
    (FaultReason::NotKeptAsEvents, "CLASS_MISMATCH"),
    (FaultReason::KeptAsDocuments, "CLASS_MISMATCH"),
    (FaultReason::PageToken, "PAGE_TOKEN_INVALID"),
    (FaultReason::KeepTooLong, "KEEP_TOO_LONG"),
    (FaultReason::Duplicate, "DUPLICATE_ENTRY"),
    (FaultReason::TooLarge, "FIELD_TOO_LONG"),
    (FaultReason::InFuture, "FIELD_INVALID"),
    (FaultReason::NoSuchPlace, "FIELD_INVALID"),
];

#[test]
fn every_fault_is_an_invalid_argument_with_its_field_and_reason() {
    for (fault, reason) in FAULTS {
        let status = of(&Fault::new("item.value.x[3].y", fault).into(), None);
        assert_eq!(told(&status), (reason.to_owned(), Code::InvalidArgument));
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!((violations[0].field.as_str(), violations[0].reason.as_str()), ("item.value.x[3].y", reason));
        assert_eq!(
            status.message(),
            format!("the request is not valid: item.value.x[3].y {}", violations[0].description)
        );
        assert!(status.get_details_retry_info().is_none());
    }
}

fn denied(cause: Cause, told: Told) -> Refusal {
    Access::from(Denied { cause, rule: Some(SafeText::constant("rule-7")), told }).into()
}

#[test]
fn metadata_holds_what_the_caller_may_know() {
    let request = RequestId::from_bytes([6; 16]);
    let receipt = ReceiptId::from_bytes([5; 16]);
    let metadata = |refusal: Refusal, request| of(&refusal, request).get_details_error_info().unwrap().metadata;
    let told = denied(Cause::Rules, Told::Rule([0xab; 8]));
    let of_told = metadata(told.clone(), Some(request));
    assert_eq!(of_told["rule_id"], "rule-7");
    assert_eq!(of_told["policy_version"], "abababababababab");
    assert_eq!(of_told["request_id"], request.to_string());
    assert_eq!(of_entry(&told).rule_id, "rule-7");
    assert_eq!(metadata(State::Erased(Some(receipt)).into(), None)["receipt_id"], receipt.to_string());
    assert!(metadata(denied(Cause::Rules, Told::Cause), None).is_empty());
    assert!(metadata(denied(Cause::Rules, Told::Absent), None).is_empty());
}

#[test]
fn what_may_be_repeated_says_when() {
    let retry = |refusal: Unavailable| of(&refusal.into(), None).get_details_retry_info();
    assert_eq!(retry(Unavailable::Overloaded).unwrap().retry_delay, Some(RETRY_AFTER));
    assert!(retry(Unavailable::StorageFailed).is_none());
}

#[test]
fn an_error_stays_small_and_says_what_it_leaves_out() {
    let fault = |i| Fault::new(format!("items[{i}].value.contact.emails[{i}].address"), FaultReason::Required);
    let refusal = Refusal::Invalid((0..1_000).map(fault).collect());
    let status = of(&refusal, None);
    let listed = status.get_details_bad_request().unwrap().field_violations.len();
    assert!(listed > 20 && status.details().len() < VIOLATION_BYTES_MAX * 4 / 3, "{listed}");
    assert!(status.message().ends_with(&format!("; {} more fields are not listed", 1_000 - listed)));
    let entry = of_entry(&refusal);
    assert!(!entry.violations.is_empty() && entry.violations.len() < listed);
}

#[test]
fn an_entrys_fields_are_named_from_the_entry_on() {
    for (field, expected) in [
        ("entries[12].item.value.contact.emails[1].address", "item.value.contact.emails[1].address"),
        ("item.class", "item.class"),
        ("entries[0]", "entries[0]"),
    ] {
        assert_eq!(of_entry(&Fault::new(field, FaultReason::Required).into()).violations[0].field, expected);
    }
}

#[test]
fn reasons_of_our_own_are_kept_and_others_get_one() {
    let ours = of(&State::NotFound.into(), None);
    assert_eq!(told(&status::of_transport(ours)).0, "NOT_FOUND");
    for code in 1..=16 {
        let status = status::of_transport(Status::new(Code::from_i32(code), "CANARY"));
        assert!(!told(&status).0.is_empty() && !format!("{status:?}").contains("CANARY"));
    }
}

const CANARY: &str = "CANARY-77-canary";

fn is_silent(refusal: &Refusal) {
    let status = of(refusal, None);
    let entry = of_entry(refusal);
    let entry = format!("{} {:?}", entry.message, entry.violations.iter().map(|v| &v.field).collect::<Vec<_>>());
    let details = String::from_utf8_lossy(status.details()).into_owned();
    for text in [format!("{status:?}"), status.message().to_owned(), details, entry, format!("{refusal:?}")] {
        assert!(!text.to_lowercase().contains("canary"), "{text}");
    }
}

fn refused<T>(result: Result<T, Refusal>) -> Refusal {
    result.err().expect("the message has faults")
}

#[test]
fn no_error_repeats_what_was_sent() {
    let long = CANARY.repeat(200);
    let by = || by_external_id(&long);
    let bad_metadata = || {
        let mut metadata = metadata(&long);
        metadata.objections.push(CANARY.into());
        Some(metadata)
    };
    let mut bad_contact = contact(CANARY);
    bad_contact.emails[0].kind = 77;
    let held = value(Value::Contact(bad_contact));
    let item = NewItem { class: long.clone(), value: held.clone(), metadata: bad_metadata() };
    let labels = || [(CANARY.to_owned(), long.clone())].into();
    let (id, fields) = (CANARY.to_owned(), vec![long.clone()]);
    let create = CreateSubjectRequest {
        external_id: long.clone(),
        labels: labels(),
        items: vec![item.clone()],
        ..Default::default()
    };
    is_silent(&refused(subject::create(create)));
    is_silent(&refused(item::put(PutItemRequest { subject: by(), item: Some(item.clone()), context: None })));
    let get = GetItemRequest { item_id: id.clone(), fields: fields.clone(), ..get_item() };
    is_silent(&refused(item::get(get)));
    let list = ListItemsRequest { classes: fields.clone(), page_token: long.clone(), ..list_items() };
    is_silent(&refused(item::list(list)));
    let update = UpdateItemRequest { item_id: id.clone(), value: held, metadata: bad_metadata(), ..update_item() };
    is_silent(&refused(item::update(update)));
    is_silent(&refused(item::delete(DeleteItemRequest { etag: long.clone(), ..delete_item() })));
    let entry = PutItemEntry { reference: id.clone(), item: Some(item), labels: labels(), ..put_entry("", CANARY) };
    let puts = BatchPutItemsRequest { entries: vec![entry.clone()], ..Default::default() };
    let here = VaultId::from_bytes([7; 16]);
    let (_, all) = batch::put(puts).and_then(|batch| batch.for_vault(&here)).map_err(|_| ()).unwrap().split();
    is_silent(all[0].1.as_ref().unwrap());
    let puts = BatchPutItemsRequest { entries: vec![entry.clone(), entry], vault_id: id, ..Default::default() };
    is_silent(&refused(batch::put(puts)));
}

/// Does not compile for a type that has `Debug`: two implementations would then fit.
macro_rules! not_printable {
    ($($message:ty),* $(,)?) => { $(const _: fn() = || {
        trait Ambiguous<Marker> {
            fn choose() {}
        }
        impl<T: ?Sized> Ambiguous<()> for T {}
        struct Printable;
        impl<T: ?Sized + std::fmt::Debug> Ambiguous<Printable> for T {}
        let _ = <$message as Ambiguous<_>>::choose;
    };)* };
}

not_printable!(
    CallContext,
    SubjectRef,
    subject_ref::Ref,
    proto::ItemValue,
    item_value::Value,
    Contact,
    EmailAddress,
    PostalAddress,
    GovernmentId,
    Payment,
    Password,
    Document,
    ItemMetadata,
    Item,
    Subject,
    CreateSubjectRequest,
    PutItemRequest,
    BatchPutItemsRequest,
    BatchPutItemsResponse,
    GetItemResponse,
    BatchGetItemsResponse,
    get_item_result::Outcome,
    ListItemsResponse,
    GetSubjectResponse,
    UpdateItemRequest,
    VerifyPasswordRequest,
    UnsealRequest,
    unseal_request::Key,
);

#[test]
fn messages_without_personal_data_can_be_printed() {
    assert!(format!("{:?}", ItemStamp::default()).contains("ItemStamp"));
}
