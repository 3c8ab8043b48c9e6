//! Every method of the contract against every kind of caller. The table says who may; everybody else must be refused,
//! with the reason that fits, and a method without a row fails the test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use lacuna::api::proto::keys_client::KeysClient;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use lacuna::server::certs::DEV_TRUST_DOMAIN;
use prost::Message;
use tokio::task::JoinSet;

use crate::events::visit;
use crate::figures;
use crate::program::subject;
use crate::raw;
use crate::samples::{CLASSES, reason};
use crate::vault::{Recorded, SEVERAL, STRANGER, TestVault};

/// The shipped roles. Each dev certificate holds the one it is named after.
#[rustfmt::skip]
const ROLES: [&str; 11] = [
    "service", "support", "kyc", "billing", "privacy-officer", "legal", "key-admin", "auditor", "monitor", "operator",
    "subject",
];
/// The registered purposes.
const PURPOSES: [&str; 4] = ["service_delivery", "security", "improvement", "legal_compliance"];
/// The roles that may learn of something that they may not see.
const KNOWING: [&str; 3] = ["service", "privacy-officer", "legal"];

/// Who may: a role, a purpose, and the letters of the classes it may touch.
type Grant = (&'static str, &'static str, &'static str);

/// The letter of a class in a grant.
fn letter(class: &str) -> char {
    match class {
        "contact" => 'c',
        "government_id" => 'g',
        "payment" => 'p',
        "communication" => 'm',
        "password" => 'w',
        "document" => 'd',
        other => unreachable!("no letter for {other}"),
    }
}

const READERS: &[Grant] = &[
    ("service", "service_delivery", "cgpmwd"),
    ("service", "security", "cgpw"),
    ("service", "improvement", "cp"),
    ("support", "service_delivery", "cp"),
    ("kyc", "legal_compliance", "cgd"),
    ("billing", "service_delivery", "cp"),
    ("privacy-officer", "legal_compliance", "cgpmwd"),
    ("legal", "legal_compliance", "cgpmwd"),
    ("subject", "service_delivery", "cgpmwd"),
];
const CORRECTORS: &[Grant] = &[
    ("service", "service_delivery", "cgpmw"),
    ("kyc", "legal_compliance", "g"),
    ("billing", "service_delivery", "p"),
    ("subject", "service_delivery", "cgpmw"),
];
const UPLOADERS: &[Grant] =
    &[("service", "service_delivery", "d"), ("kyc", "legal_compliance", "d"), ("billing", "service_delivery", "")];
const WRITERS: &[Grant] =
    &[("service", "service_delivery", "cgpmw"), ("kyc", "legal_compliance", "g"), ("billing", "service_delivery", "p")];
/// Of events, whatever class a row is about: roles without letters may call, and may not touch events.
const EVENT_READERS: &[Grant] = &[
    ("service", "service_delivery", "cgpmw"),
    ("service", "security", "cgpmw"),
    ("service", "improvement", "cgpmw"),
    ("support", "service_delivery", ""),
    ("kyc", "legal_compliance", ""),
    ("billing", "service_delivery", ""),
    ("privacy-officer", "legal_compliance", "cgpmw"),
    ("legal", "legal_compliance", "cgpmw"),
    ("subject", "service_delivery", "cgpmw"),
];
const EVENT_WRITERS: &[Grant] =
    &[("service", "service_delivery", "cgpmw"), ("kyc", "legal_compliance", ""), ("billing", "service_delivery", "")];
const DELETERS: &[Grant] = &[
    ("service", "service_delivery", "cgpmw"),
    ("kyc", "legal_compliance", "g"),
    ("billing", "service_delivery", "p"),
    ("privacy-officer", "legal_compliance", "cgpmw"),
    ("subject", "service_delivery", "cgpmw"),
];
const TESTERS: &[Grant] =
    &[("service", "service_delivery", ""), ("service", "security", ""), ("subject", "service_delivery", "")];
const WATCHERS: &[Grant] = &[
    ("operator", "security", ""),
    ("key-admin", "security", ""),
    ("auditor", "security", ""),
    ("auditor", "legal_compliance", ""),
];
const OPERATORS: &[Grant] = &[("operator", "security", "")];
const KEY_ADMINS: &[Grant] = &[("key-admin", "security", "")];
const COUNSEL: &[Grant] = &[("legal", "legal_compliance", "")];
const EXPLAINERS: &[Grant] = &[("legal", "legal_compliance", ""), ("privacy-officer", "legal_compliance", "")];
const FORESEERS: &[Grant] =
    &[("operator", "security", ""), ("privacy-officer", "legal_compliance", ""), ("legal", "legal_compliance", "")];
const PRIVACY_OFFICERS: &[Grant] = &[("privacy-officer", "legal_compliance", "")];
const DECIDERS: &[Grant] = &[("key-admin", "security", ""), ("legal", "legal_compliance", "")];
const REVIEWERS: &[Grant] = &[("auditor", "security", ""), ("auditor", "legal_compliance", "")];
const OFFICERS: &[Grant] = &[("privacy-officer", "legal_compliance", ""), ("subject", "service_delivery", "")];
const SHOWN_RECEIPTS: &[Grant] = &[
    ("service", "service_delivery", ""),
    ("privacy-officer", "legal_compliance", ""),
    ("legal", "legal_compliance", ""),
    ("auditor", "legal_compliance", ""),
];
const ASKERS: &[Grant] = &[
    ("service", "service_delivery", ""),
    ("auditor", "security", ""),
    ("auditor", "legal_compliance", ""),
    ("privacy-officer", "legal_compliance", ""),
    ("legal", "legal_compliance", ""),
];
const NOBODY: &[Grant] = &[];

/// What a method does to the class that a call concerns.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Concerns no class.
    Classless,
    /// Writes: a class that the role may not write is denied.
    Writes,
    /// Looks for something: a role that may not know whether it exists is told that it does not.
    Finds,
    /// As `Finds`, and afterwards it is gone.
    Removes,
    /// As `Writes`, of documents; the stream ends before it says that it does.
    Uploads,
    /// As `Finds`, of documents.
    Downloads,
    /// Concerns a person, who is gone afterwards.
    Ends,
    /// Concerns no class, and something that is not there.
    Absent,
}
use Kind::{Absent, Classless, Downloads, Ends, Finds, Removes, Uploads, Writes};

struct Row {
    method: &'static str,
    kind: Kind,
    allowed: &'static [Grant],
    /// The request without its context.
    request: fn(&Fixture, class: &str) -> Vec<u8>,
    /// Why the first entry of the answer failed, for methods that answer entry by entry.
    entry: fn(&[u8]) -> Option<EntryError>,
}

const fn row(
    method: &'static str,
    kind: Kind,
    allowed: &'static [Grant],
    request: fn(&Fixture, &str) -> Vec<u8>,
) -> Row {
    Row { method, kind, allowed, request, entry: |_| None }
}

/// An approval, a receipt and a slot that do not exist.
const NO_APPROVAL: &str = "apr_aaaaaaaaaaaaaaaaaaaaaaaaaa";
const NO_RECEIPT: &str = "rcp_aaaaaaaaaaaaaaaaaaaaaaaaaa";
const NO_SWEEP: &str = "swp_aaaaaaaaaaaaaaaaaaaaaaaaaa";
const NO_SLOT: &str = "slt_aaaaaaaaaaaaaaaaaaaaaaaaaa";
/// A matter and a hold that do not exist.
const NO_MATTER: &str = "mat_aaaaaaaaaaaaaaaaaaaaaaaaaa";
const NO_HOLD: &str = "hld_aaaaaaaaaaaaaaaaaaaaaaaaaa";
/// A rotation that there is not.
const NO_ROTATION: &str = "rot_aaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A method that is asked about something absent: whoever may call it is told so.
const fn absent(method: &'static str, allowed: &'static [Grant], request: fn(&Fixture, &str) -> Vec<u8>) -> Row {
    row(method, Kind::Absent, allowed, request)
}

/// A method that no role may call.
const fn closed(method: &'static str) -> Row {
    row(method, Classless, NOBODY, |_, _| Vec::new())
}

#[rustfmt::skip] // a table
const TABLE: &[Row] = &[
    row("Vault/CreateSubject", Writes, WRITERS, |f, class| {
        CreateSubjectRequest { items: vec![f.new_item(class)], ..Default::default() }.encode_to_vec()
    }),
    row("Vault/GetSubject", Classless, READERS, |f, _| {
        GetSubjectRequest { subject: f.subject(), ..Default::default() }.encode_to_vec()
    }),
    row("Vault/FindSubjects", Classless, READERS, |f, _| {
        let identifier = Some(identifier::Identifier::ExternalId(f.external_id.clone()));
        let identifier = Some(Identifier { identifier });
        FindSubjectsRequest { identifier, ..Default::default() }.encode_to_vec()
    }),
    row("Vault/PutItem", Writes, WRITERS, |f, class| {
        PutItemRequest { subject: f.subject(), item: Some(f.new_item(class)), ..Default::default() }.encode_to_vec()
    }),
    Row {
        entry: |answer| match BatchPutItemsResponse::decode(answer).expect("an answer").results.remove(0).outcome {
            Some(put_item_result::Outcome::Error(error)) => Some(error),
            _ => None,
        },
        ..row("Vault/BatchPutItems", Writes, WRITERS, |f, class| {
            let entry =
                PutItemEntry { subject: f.subject(), item: Some(f.new_item(class)), ..Default::default() };
            BatchPutItemsRequest { entries: vec![entry], ..Default::default() }.encode_to_vec()
        })
    },
    row("Vault/GetItem", Finds, READERS, |f, class| {
        GetItemRequest { subject: f.subject(), item_id: f.item_id(class), ..Default::default() }.encode_to_vec()
    }),
    Row {
        entry: |answer| match BatchGetItemsResponse::decode(answer).expect("an answer").results.remove(0).outcome {
            Some(get_item_result::Outcome::Error(error)) => Some(error),
            _ => None,
        },
        ..row("Vault/BatchGetItems", Finds, READERS, |f, class| {
            let entry = GetItemEntry { subject: f.subject(), item_id: f.item_id(class), ..Default::default() };
            BatchGetItemsRequest { entries: vec![entry], ..Default::default() }.encode_to_vec()
        })
    },
    row("Vault/ListItems", Classless, READERS, |f, _| {
        ListItemsRequest { subject: f.subject(), ..Default::default() }.encode_to_vec()
    }),
    row("Vault/UpdateItem", Writes, CORRECTORS, |f, class| {
        let (item_id, value) = (f.item_id(class), f.new_item(class).value);
        UpdateItemRequest { subject: f.subject(), item_id, value, ..Default::default() }.encode_to_vec()
    }),
    row("Vault/DeleteItem", Removes, DELETERS, |f, class| {
        DeleteItemRequest { subject: f.subject(), item_id: f.item_id(class), ..Default::default() }.encode_to_vec()
    }),
    Row {
        entry: |answer| {
            let answer = RecordEventsResponse::decode(answer).expect("an answer");
            answer.rejected.into_iter().next().and_then(|event| event.error)
        },
        ..row("Vault/RecordEvents", Writes, EVENT_WRITERS, |f, _| {
            RecordEventsRequest { events: vec![f.event.clone()], ..Default::default() }.encode_to_vec()
        })
    },
    row("Vault/ReadEvents", Finds, EVENT_READERS, |f, _| {
        let classes = vec![f.event.class.clone()];
        ReadEventsRequest { subject: f.subject(), classes, ..Default::default() }.encode_to_vec()
    }),
    row("Vault/UploadDocument", Uploads, UPLOADERS, |f, class| {
        let open =
            UploadOpen { subject: f.subject(), class: class.into(), media_type: "image/png".into(), ..Default::default() };
        UploadDocumentRequest { part: Some(upload_document_request::Part::Open(open)), ..Default::default() }
            .encode_to_vec()
    }),
    row("Vault/DownloadDocument", Downloads, READERS, |f, class| {
        DownloadDocumentRequest { subject: f.subject(), item_id: f.item_id(class), ..Default::default() }.encode_to_vec()
    }),
    row("Vault/VerifyPassword", Classless, TESTERS, |f, _| {
        VerifyPasswordRequest { subject: f.subject(), secret: "x".into(), ..Default::default() }.encode_to_vec()
    }),
    row("Vault/CheckAccess", Classless, ASKERS, |_, class| {
        CheckAccessRequest {
            role: "service".into(),
            purpose: "service_delivery".into(),
            operation: "lacuna.v1.Vault/GetItem".into(),
            class: class.into(),
            ..Default::default()
        }
        .encode_to_vec()
    }),
    row("Privacy/EraseSubject", Ends, OFFICERS, |f, _| {
        EraseSubjectRequest { subject: f.subject(), ..Default::default() }.encode_to_vec()
    }),
    absent("Privacy/GetReceipt", SHOWN_RECEIPTS, |_, _| {
        GetReceiptRequest { receipt_id: NO_RECEIPT.into(), ..Default::default() }.encode_to_vec()
    }),
    row("Privacy/VerifyErasure", Classless, SHOWN_RECEIPTS, |_, _| {
        let target = Some(verify_erasure_request::Target::ReceiptId(NO_RECEIPT.into()));
        VerifyErasureRequest { target, ..Default::default() }.encode_to_vec()
    }),
    closed("Privacy/ExportSubject"),
    row("Privacy/RestrictSubject", Classless, OFFICERS, |f, _| {
        RestrictSubjectRequest { subject: f.subject(), ..Default::default() }.encode_to_vec()
    }),
    row("Privacy/SetObjection", Classless, OFFICERS, |f, _| {
        let objected_purpose = "improvement".to_owned();
        SetObjectionRequest { subject: f.subject(), objected_purpose, ..Default::default() }.encode_to_vec()
    }),
    closed("Privacy/OpenRequest"),
    closed("Privacy/AdvanceRequest"),
    closed("Privacy/ListRequests"),
    closed("Privacy/PublishNotice"),
    closed("Privacy/RecordNoticeDelivery"),
    closed("Privacy/AcknowledgeNotice"),
    closed("Privacy/ListNoticeDue"),
    row("Holds/OpenMatter", Classless, COUNSEL, |_, _| {
        let matter = Matter {
            name: "x".into(),
            authority: "x".into(),
            review_time: Some(Default::default()),
            ..Default::default()
        };
        OpenMatterRequest { matter: Some(matter), ..Default::default() }.encode_to_vec()
    }),
    absent("Holds/CloseMatter", COUNSEL, |_, _| {
        CloseMatterRequest { matter_id: NO_MATTER.into(), ..Default::default() }.encode_to_vec()
    }),
    row("Holds/ListMatters", Classless, COUNSEL, |_, _| Vec::new()),
    absent("Holds/PlaceHold", COUNSEL, |f, _| {
        let scope = Some(place_hold_request::Scope::SubjectScope(Default::default()));
        PlaceHoldRequest { matter_id: NO_MATTER.into(), subject: f.subject(), scope, ..Default::default() }
            .encode_to_vec()
    }),
    absent("Holds/ReleaseHold", COUNSEL, |_, _| {
        ReleaseHoldRequest { hold_id: NO_HOLD.into(), ..Default::default() }.encode_to_vec()
    }),
    row("Holds/ListHolds", Classless, COUNSEL, |f, _| {
        ListHoldsRequest { subject: f.subject(), ..Default::default() }.encode_to_vec()
    }),
    row("Holds/ListKeepReasons", Classless, EXPLAINERS, |f, _| {
        let target = f.subject().map(list_keep_reasons_request::Target::Subject);
        ListKeepReasonsRequest { target, ..Default::default() }.encode_to_vec()
    }),
    row("Keys/GetKeyStatus", Classless, KEY_ADMINS, |_, _| Vec::new()),
    row("Keys/StartRotation", Classless, KEY_ADMINS, |f, _| {
        StartRotationRequest { key_id: f.log_key.clone(), ..Default::default() }.encode_to_vec()
    }),
    absent("Keys/WatchRotation", KEY_ADMINS, |_, _| {
        WatchRotationRequest { rotation_id: NO_ROTATION.into(), ..Default::default() }.encode_to_vec()
    }),
    absent("Keys/PauseRotation", KEY_ADMINS, |_, _| {
        PauseRotationRequest { rotation_id: NO_ROTATION.into(), ..Default::default() }.encode_to_vec()
    }),
    absent("Keys/ResumeRotation", KEY_ADMINS, |_, _| {
        ResumeRotationRequest { rotation_id: NO_ROTATION.into(), ..Default::default() }.encode_to_vec()
    }),
    closed("Keys/MarkCompromised"),
    closed("Keys/DestroyKey"),
    row("Audit/GetCheckpoint", Classless, REVIEWERS, |_, _| Vec::new()),
    row("Audit/ListEntries", Classless, REVIEWERS, |f, _| {
        let filter = Some(AuditFilter { subject: f.subject(), ..Default::default() });
        ListEntriesRequest { filter, limit: 1, ..Default::default() }.encode_to_vec()
    }),
    row("Audit/TailEntries", Classless, REVIEWERS, |_, _| {
        TailEntriesRequest { start_index: Some(0), ..Default::default() }.encode_to_vec()
    }),
    row("Audit/GetInclusionProof", Classless, REVIEWERS, |_, _| Vec::new()),
    row("Audit/GetConsistencyProof", Classless, REVIEWERS, |_, _| {
        GetConsistencyProofRequest { old_size: 1, ..Default::default() }.encode_to_vec()
    }),
    row("Approvals/ListApprovals", Classless, DECIDERS, |_, _| Vec::new()),
    absent("Approvals/Approve", DECIDERS, |_, _| {
        let (approval_id, request_digest) = (NO_APPROVAL.into(), vec![0; 32]);
        ApproveRequest { approval_id, request_digest, ..Default::default() }.encode_to_vec()
    }),
    absent("Approvals/Reject", DECIDERS, |_, _| {
        RejectRequest { approval_id: NO_APPROVAL.into(), ..Default::default() }.encode_to_vec()
    }),
    row("System/GetStatus", Classless, WATCHERS, |_, _| Vec::new()),
    row("System/StartPurge", Classless, OPERATORS, |_, _| Vec::new()),
    closed("System/Unseal"),
    closed("System/Seal"),
    closed("System/StartBackup"),
    closed("System/WatchBackup"),
    row("System/ListDue", Classless, FORESEERS, |_, _| Vec::new()),
    absent("System/ConfirmSweep", PRIVACY_OFFICERS, |_, _| {
        ConfirmSweepRequest { sweep_id: NO_SWEEP.into(), etag: "x".into(), ..Default::default() }.encode_to_vec()
    }),
    absent("System/ReplaceSlot", KEY_ADMINS, |_, _| {
        ReplaceSlotRequest { slot_id: NO_SLOT.into(), new_slot_name: "x".into(), ..Default::default() }.encode_to_vec()
    }),
    absent("System/RemoveSlot", KEY_ADMINS, |_, _| {
        RemoveSlotRequest { slot_id: NO_SLOT.into(), ..Default::default() }.encode_to_vec()
    }),
    absent("System/AttestSlotDestroyed", KEY_ADMINS, |_, _| {
        AttestSlotDestroyedRequest {
            slot_id: NO_SLOT.into(),
            method: DestructionMethod::Purged.into(),
            destroy_time: Some(Default::default()),
            evidence: "x".into(),
            ..Default::default()
        }
        .encode_to_vec()
    }),
];

/// Callers that no method may serve, with the context they send and the reason they get. An error without a reason
/// of the contract is the transport's own.
#[rustfmt::skip] // a table
fn refused_everywhere() -> Vec<(&'static str, Option<&'static str>, Option<CallContext>, &'static str)> {
    let context = |purpose: &str, role: &str| {
        Some(CallContext { purpose: purpose.into(), role: role.into(), ..Default::default() })
    };
    vec![
        ("no certificate",                  None,            context("service_delivery", ""),        ""),
        ("a certificate bound to no role",  Some(STRANGER),  context("service_delivery", ""),        "CALLER_UNKNOWN"),
        ("... that names a role",           Some(STRANGER),  context("service_delivery", "service"), "CALLER_UNKNOWN"),
        ("several roles, none named",       Some(SEVERAL),   context("service_delivery", ""),        "ROLE_REQUIRED"),
        ("several roles, another named",    Some(SEVERAL),   context("legal_compliance", "legal"),   "ROLE_NOT_HELD"),
        ("a role that is not held",         Some("service"), context("legal_compliance", "legal"),   "ROLE_NOT_HELD"),
        ("a role that does not exist",      Some("service"), context("service_delivery", "root"),    "ROLE_NOT_HELD"),
        ("no purpose",                      Some("service"), context("", ""),                        "PURPOSE_REQUIRED"),
        ("an unknown purpose",              Some("service"), context("curiosity", ""),               "PURPOSE_UNKNOWN"),
        ("an empty context",                Some("service"), Some(CallContext::default()),           "PURPOSE_REQUIRED"),
        ("no person's token",              Some("subject"), context("service_delivery", ""),        "END_USER_TOKEN_REQUIRED"),
        ("no context",                      Some("service"), None,                                   "FIELD_REQUIRED"),
    ]
}

/// A subject with an item of each class, and items to be written.
struct Fixture {
    created: CreateSubjectResponse,
    external_id: String,
    document_id: String,
    /// A caller that acts for this very person.
    own: Recorded,
    new_items: Arc<BTreeMap<&'static str, NewItem>>,
    /// The key that signs the log.
    log_key: String,
    /// An event of the subject, of which there is one already.
    event: NewEvent,
}

impl Fixture {
    async fn make(vault: &TestVault, new_items: &Arc<BTreeMap<&'static str, NewItem>>) -> Arc<Self> {
        let external_id = vault.canary();
        let own = vault.acting_for(&external_id);
        let request = CreateSubjectRequest {
            context: vault.delivery(),
            external_id: external_id.clone(),
            items: CLASSES.iter().map(|class| new_items[class].clone()).collect(),
            ..Default::default()
        };
        let created = vault.client("service").create_subject(request).await.expect("creates").into_inner();
        let mut keys = KeysClient::new(vault.service(Some("key-admin")));
        let request = GetKeyStatusRequest {
            context: vault.context("security"),
            kinds: vec![KeyKind::LogSigning.into()],
            ..Default::default()
        };
        let key = keys.get_key_status(request).await.expect("tells").into_inner().keys.remove(0);
        assert_eq!(key.kind(), KeyKind::LogSigning);
        let document_id = vault.store_document(&created.subject_id, b"%PDF-1.7 ").await.item_id;
        let event = visit(vault, &created.subject_id, 0, "/");
        let first =
            RecordEventsRequest { context: vault.delivery(), events: vec![event.clone()], ..Default::default() };
        let answers = vault.client("service").record_events(tokio_stream::once(first)).await.expect("records");
        assert_eq!(vault.gather(answers.into_inner()).await.expect("answers")[0].stored_count, 1);
        let new_items = new_items.clone();
        Arc::new(Self { created, external_id, document_id, own, new_items, log_key: key.key_id, event })
    }

    fn subject(&self) -> Option<SubjectRef> {
        subject(&self.created.subject_id)
    }

    fn item_id(&self, class: &str) -> String {
        if class == "document" {
            return self.document_id.clone();
        }
        let number = CLASSES.iter().position(|known| *known == class).expect("a class");
        self.created.items[number].item_id.clone()
    }

    fn new_item(&self, class: &str) -> NewItem {
        self.new_items[class].clone()
    }
}

fn new_items(vault: &TestVault) -> Arc<BTreeMap<&'static str, NewItem>> {
    Arc::new(CLASSES.iter().map(|class| (*class, vault.item(class))).collect())
}

/// What the table says of one call.
fn expected(row: &Row, role: &str, purpose: &str, class: &str) -> &'static str {
    let mut grants = row.allowed.iter().filter(|grant| (grant.0, grant.1) == (role, purpose)).peekable();
    let may_call = grants.peek().is_some();
    let may_touch =
        matches!(row.kind, Classless | Ends | Absent) || grants.any(|grant| grant.2.contains(letter(class)));
    match (may_call, may_touch) {
        (true, true) if row.kind == Absent => "NOT_FOUND",
        (true, true) if row.kind == Uploads => "STREAM_OUT_OF_ORDER",
        (true, true) => "OK",
        (true, false) if matches!(row.kind, Finds | Removes | Downloads) && !KNOWING.contains(&role) => "NOT_FOUND",
        _ => "ACCESS_DENIED",
    }
}

/// The question whether a cell's call would be allowed.
fn supposed(row: &Row, fixture: &Fixture, role: &str, purpose: &str, class: &str) -> CheckAccessRequest {
    let is = |method: &str| row.method == format!("Vault/{method}");
    let of_events = is("RecordEvents") || is("ReadEvents");
    let class = match () {
        () if is("VerifyPassword") => "password",
        () if of_events => &fixture.event.class,
        () => class,
    };
    let names_class = is("VerifyPassword") || is("ListItems") || !matches!(row.kind, Classless | Ends | Absent);
    let names_item = (matches!(row.kind, Finds | Removes | Downloads) || is("UpdateItem")) && !of_events;
    CheckAccessRequest {
        caller: format!("spiffe://{DEV_TRUST_DOMAIN}/{role}"),
        role: role.into(),
        purpose: purpose.into(),
        operation: format!("lacuna.v1.{}", row.method),
        class: if names_class { class.into() } else { String::new() },
        subject: if is("CreateSubject") { None } else { fixture.subject() },
        item_id: if names_item { fixture.item_id(class) } else { String::new() },
        ..Default::default()
    }
}

/// What CheckAccess says that a call would be answered.
async fn explained(mut officer: VaultClient<Recorded>, supposed: CheckAccessRequest) -> String {
    let answer = officer.check_access(supposed).await.expect("explains").into_inner();
    assert!(!answer.policy_version.is_empty(), "the officer may know it");
    assert!(!answer.allowed || !answer.rule_ids.is_empty(), "a yes has a rule");
    match answer.allowed {
        true => "OK".into(),
        false => answer.reason().as_str_name().trim_start_matches("ERROR_REASON_").to_owned(),
    }
}

/// How a call ended: `OK`, the reason of its error, or that of its first entry.
async fn outcome(service: Recorded, row: &'static Row, context: Option<CallContext>, request: Vec<u8>) -> String {
    let context = GetStatusRequest { context }.encode_to_vec(); // in every request it is the first field
    match raw::call(service, row.method, [context, request].concat()).await {
        Err(status) => reason(&status),
        Ok(answers) => match (row.entry)(&answers[0]) {
            Some(error) => error.reason().as_str_name().trim_start_matches("ERROR_REASON_").to_owned(),
            None => "OK".into(),
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_method_serves_those_it_is_for_and_refuses_all_others() {
    let vault = TestVault::start();
    let new_items = new_items(&vault);
    let services: BTreeMap<_, _> = ROLES.iter().map(|role| (*role, vault.service(Some(role)))).collect();
    let officer = vault.client("privacy-officer");
    let shared = Fixture::make(&vault, &new_items).await;
    let mut wrong = BTreeSet::new();
    let mut count = 0;
    for row in TABLE {
        let mut calls = JoinSet::new();
        let classes = match row.kind {
            Classless | Ends | Absent => &CLASSES[..1],
            Uploads | Downloads => &["document"],
            Writes | Finds | Removes => &CLASSES[..],
        };
        for (role, purpose) in ROLES.iter().flat_map(|role| PURPOSES.map(|purpose| (*role, purpose))) {
            for class in classes {
                let expected = expected(row, role, purpose, class);
                let consumes = matches!(row.kind, Removes | Ends) && expected == "OK";
                let fixture = if consumes { Fixture::make(&vault, &new_items).await } else { shared.clone() };
                let service = if role == "subject" { fixture.own.clone() } else { services[role].clone() };
                let context = vault.context(purpose);
                let supposed = supposed(row, &fixture, role, purpose, class);
                let supposed = CheckAccessRequest { context: vault.context("legal_compliance"), ..supposed };
                let officer = officer.clone();
                calls.spawn(async move {
                    let told = explained(officer, supposed).await;
                    let ask = || outcome(service.clone(), row, context.clone(), (row.request)(&fixture, class));
                    let mut found = ask().await;
                    // The places of streams that others have just left are free a moment later.
                    for _ in 0..40 {
                        if found != "STREAMS_EXHAUSTED" {
                            break;
                        }
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                        found = ask().await;
                    }
                    let cell = format!("{} as {role} for {purpose}, {class}", row.method);
                    // What a call names and does not exist, the question leaves out.
                    let is_let_in = (row.kind == Absent && found == "NOT_FOUND")
                        || (row.kind == Uploads && found == "STREAM_OUT_OF_ORDER");
                    let of_access = if is_let_in { "OK" } else { &found };
                    let fits = found == expected && told == of_access;
                    (!fits).then(|| format!("{cell}: {found}, not {expected}; CheckAccess said {told}"))
                });
            }
        }
        count += calls.len();
        wrong.extend(calls.join_all().await.into_iter().flatten());
    }
    let figures = serde_json::json!({ "requests": count, "ended_otherwise": wrong.len() });
    figures::note(20, "every method, every kind of caller", None, figures);
    assert!(wrong.is_empty(), "{} of {count} calls ended otherwise:\n{:#?}", wrong.len(), wrong);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_method_serves_a_caller_without_identity_role_or_purpose() {
    let vault = TestVault::start();
    let fixture = Fixture::make(&vault, &new_items(&vault)).await;
    let mut wrong = Vec::new();
    for (caller, name, context, expected) in refused_everywhere() {
        let service = vault.service(name);
        let mut calls = JoinSet::new();
        for row in TABLE {
            let request = (row.request)(&fixture, CLASSES[0]);
            let (service, context) = (service.clone(), context.clone());
            calls.spawn(async move {
                let found = outcome(service, row, context, request).await;
                (found != expected).then(|| format!("{} by {caller}: {found}, not {expected}", row.method))
            });
        }
        wrong.extend(calls.join_all().await.into_iter().flatten());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_roles_acts_when_it_is_named() {
    let vault = TestVault::start();
    let created = vault.create(&["government_id"]).await;
    let read = async |role: &str| {
        let request = GetItemRequest {
            context: Some(CallContext { role: role.into(), ..vault.delivery().expect("is made") }),
            subject: subject(&created.subject_id),
            item_id: created.items[0].item_id.clone(),
            ..Default::default()
        };
        vault.client(SEVERAL).get_item(request).await.map_err(|status| reason(&status))
    };
    assert!(read("service").await.is_ok());
    assert_eq!(read("support").await.map(|_| ()), Err("NOT_FOUND".to_owned()), "the other role adds nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_know_cannot_tell_denied_from_absent() {
    let vault = TestVault::start();
    let created = vault.create(&["government_id", "contact"]).await;
    let deleted = &created.items[1].item_id;
    vault.delete(&created.subject_id, deleted).await.expect("deletes");
    let other = vault.create(&["government_id"]).await;
    let asked = [
        (&created.subject_id, &created.items[0].item_id), // there, and not for this role
        (&created.subject_id, &other.items[0].item_id),   // another subject's
        (&created.subject_id, deleted),
    ];
    let mut told = BTreeSet::new();
    for (subject_id, item_id) in asked {
        let context = vault.delivery();
        let item_id = item_id.clone();
        let get = GetItemRequest { context, subject: subject(subject_id), item_id, ..Default::default() };
        let status = vault.client("support").get_item(get).await.err().expect("is refused");
        told.insert((reason(&status), status.code().to_string(), status.message().to_owned()));
    }
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn every_method_of_the_contract_has_a_row() {
    #[derive(Clone, PartialEq, Message)]
    struct Files {
        #[prost(message, repeated, tag = "1")]
        files: Vec<File>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct File {
        #[prost(string, tag = "2")]
        package: String,
        #[prost(message, repeated, tag = "6")]
        services: Vec<Service>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Service {
        #[prost(string, tag = "1")]
        name: String,
        #[prost(message, repeated, tag = "2")]
        methods: Vec<Method>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct Method {
        #[prost(string, tag = "1")]
        name: String,
    }
    let contract = Files::decode(DESCRIPTORS).expect("the descriptors of the contract");
    let ours = contract.files.into_iter().filter(|file| file.package == "lacuna.v1");
    let methods = ours.flat_map(|file| file.services).flat_map(|service| {
        let Service { name, methods } = service;
        methods.into_iter().map(move |method| format!("{name}/{}", method.name))
    });
    let methods: BTreeSet<String> = methods.collect();
    let rows: BTreeSet<String> = TABLE.iter().map(|row| row.method.to_owned()).collect();
    assert_eq!(rows, methods);
    assert_eq!(rows.len(), TABLE.len(), "one row each");
}
