//! The log: filters in the words of the contract, entries back.

use super::super::proto;
use super::super::status::version_text;
use super::subject::subject_ref;
use super::{At, Faults, clear, time};
use crate::audit::detail::Detail;
use crate::audit::event::{About, Decision, Outcome};
use crate::audit::leaf::Leaf;
use crate::audit::query::{Filter, Hit};
use crate::audit::stored::SignedCheckpoint;
use crate::base::id::ActorId;
use crate::base::limits::NAMES_MAX;
use crate::base::secret::PlainValue;
use crate::catalog::text::Text;
use crate::gate::call::CallRequest;
use crate::gate::refusal::{FaultReason, Refusal};
use crate::policy::action::Action;
use crate::policy::caller::{RoleId, ServiceName};
use crate::trail::model::{ListPart, ListQuery, Person, Query, Shown, TailPart, TailQuery};
use crate::trail::proofs::{Consistency, Inclusion};
use prost::Message as _;
use std::str::FromStr;

/// Which optional parts of entries are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    leaf: bool,
    sealed: bool,
}

/// A list, and the parts that its entries are to have.
///
/// # Errors
/// Every fault of the request's form.
pub fn list(mut request: proto::ListEntriesRequest) -> Result<(ListQuery, Wanted), Refusal> {
    let mut faults = Faults::default();
    let resume_token = faults.token(At::field("resume_token"), std::mem::take(&mut request.resume_token));
    let encoded = PlainValue::new(request.encode_to_vec());
    let digest = CallRequest::digest(Action::ListEntries.as_str(), encoded.expose());
    let (mut query, wanted) = query(&mut faults, request.filter, request.parts);
    let (end, limit) = (Some(request.end_index).filter(|end| *end > 0), Some(request.limit).filter(|limit| *limit > 0));
    let numbers = [("start_index", request.start_index > 0), ("end_index", end.is_some()), ("limit", limit.is_some())];
    query.named.extend(numbers.iter().filter(|(_, given)| *given).map(|(name, _)| (*name).to_owned()));
    let (start, newest_first) = (request.start_index, request.newest_first);
    faults.finish((ListQuery { query, start, end, newest_first, limit, resume_token, digest }, wanted))
}

/// A tail, and the parts that its entries are to have.
///
/// # Errors
/// Every fault of the request's form.
pub fn tail(request: proto::TailEntriesRequest) -> Result<(TailQuery, Wanted), Refusal> {
    let mut faults = Faults::default();
    let (mut query, wanted) = query(&mut faults, request.filter, request.parts);
    query.named.extend(request.start_index.map(|_| "start_index".to_owned()));
    faults.finish((TailQuery { query, start: request.start_index }, wanted))
}

fn query(faults: &mut Faults, filter: Option<proto::AuditFilter>, parts: Option<proto::AuditParts>) -> (Query, Wanted) {
    let (filter, parts) = (filter.unwrap_or_default(), parts.unwrap_or_default());
    let named = named(&filter, &parts);
    let at = At::field("filter");
    let subject = filter.subject.and_then(|subject| subject_ref(faults, at.then("subject"), Some(subject)));
    let request = given(faults, at.then("request_id"), &filter.request_id);
    let id_of_receipt = given(faults, at.then("receipt_id"), &filter.receipt_id);
    let erased = given(faults, at.then("history_receipt_id"), &filter.history_receipt_id);
    if subject.is_some() && erased.is_some() {
        faults.add(at.then("history_receipt_id"), FaultReason::Conflict);
    }
    let person = erased.map(Person::Erased).or(subject.map(Person::Present));
    let filter = Filter {
        tokens: None,
        actors: words(faults, at.then("actors"), filter.actors, actor),
        roles: words(faults, at.then("roles"), filter.roles, role),
        purposes: faults.names(at.then("purposes"), filter.purposes),
        classes: faults.names(at.then("classes"), filter.classes),
        operations: words(faults, at.then("operations"), filter.operations, operation),
        decisions: choices(faults, at.then("decisions"), &filter.decisions, decision),
        outcomes: choices(faults, at.then("outcomes"), &filter.outcomes, outcome),
        request,
        receipt: id_of_receipt,
        start: faults.time(at.then("start_time"), filter.start_time),
        end: faults.time(at.then("end_time"), filter.end_time),
    };
    let query = Query { subject: person, filter, named, opened: parts.detail };
    (query, Wanted { leaf: parts.leaf, sealed: parts.sealed_detail })
}

/// An id, if one is given.
fn given<T: FromStr>(faults: &mut Faults, at: At<'_>, text: &str) -> Option<T> {
    if text.is_empty() { None } else { faults.id(at, text) }
}

/// The parts of a query that are given, for the record of the call.
fn named(filter: &proto::AuditFilter, parts: &proto::AuditParts) -> Vec<String> {
    let given = [
        ("filter.subject", filter.subject.is_some()),
        ("filter.actors", !filter.actors.is_empty()),
        ("filter.roles", !filter.roles.is_empty()),
        ("filter.purposes", !filter.purposes.is_empty()),
        ("filter.classes", !filter.classes.is_empty()),
        ("filter.operations", !filter.operations.is_empty()),
        ("filter.decisions", !filter.decisions.is_empty()),
        ("filter.outcomes", !filter.outcomes.is_empty()),
        ("filter.request_id", !filter.request_id.is_empty()),
        ("filter.receipt_id", !filter.receipt_id.is_empty()),
        ("filter.history_receipt_id", !filter.history_receipt_id.is_empty()),
        ("filter.start_time", filter.start_time.is_some()),
        ("filter.end_time", filter.end_time.is_some()),
        ("parts.sealed_detail", parts.sealed_detail),
        ("parts.detail", parts.detail),
    ];
    given.iter().filter(|(_, given)| *given).map(|(name, _)| (*name).to_owned()).collect()
}

/// A list of words, each in the form that the log has it.
fn words<T>(faults: &mut Faults, at: At<'_>, words: Vec<String>, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
    if words.len() > NAMES_MAX {
        faults.add(at, FaultReason::TooLong);
        return Vec::new();
    }
    let mut found = Vec::with_capacity(words.len());
    for (index, word) in words.iter().enumerate() {
        match read(word) {
            Some(read) => found.push(read),
            None => faults.add(at.index(index), FaultReason::Malformed),
        }
    }
    found
}

fn choices<T>(faults: &mut Faults, at: At<'_>, numbers: &[i32], choice: impl Fn(u8) -> Option<T>) -> Vec<T> {
    if numbers.len() > NAMES_MAX {
        faults.add(at, FaultReason::TooLong);
        return Vec::new();
    }
    let numbered = numbers.iter().enumerate();
    numbered.filter_map(|(index, number)| faults.choice(at.index(index), *number, &choice)).collect()
}

const VAULT: &str = "vault";
const UNKNOWN: &str = "unknown";

/// An actor as the leaf has it: its kind, and bytes.
fn actor(text: &str) -> Option<(u8, Vec<u8>)> {
    match text {
        UNKNOWN => Some((0, Vec::new())),
        VAULT => Some((3, Vec::new())),
        _ => match text.parse::<ActorId>() {
            Ok(id) => Some((2, id.as_bytes().to_vec())),
            Err(_) => text.parse::<ServiceName>().ok().map(|name| (1, name.to_string().into_bytes())),
        },
    }
}

fn actor_text(leaf: &Leaf) -> String {
    match (leaf.actor_kind, <[u8; 16]>::try_from(&leaf.actor[..])) {
        (1, _) => String::from_utf8_lossy(&leaf.actor).into_owned(),
        (2, Ok(id)) => ActorId::from_bytes(id).to_string(),
        (3, _) => VAULT.to_owned(),
        _ => UNKNOWN.to_owned(),
    }
}

fn role(text: &str) -> Option<String> {
    let known = text == UNKNOWN || RoleId::ALL.iter().any(|role| role.name() == text);
    known.then(|| text.to_owned())
}

const PACKAGE: &str = "lacuna.v1.";

/// An operation as the leaf has it: a method's own name, or that of an event in its words: `epoch.committed` is
/// `EpochCommitted` there.
fn operation(text: &str) -> Option<String> {
    if let Some(method) = text.strip_prefix(PACKAGE) {
        let (service, method) = method.split_once('/')?;
        let is_it = |action: &&Action| (action.service(), action.as_str()) == (service, method);
        return Action::ALL.iter().find(is_it).map(|action| action.as_str().to_owned());
    }
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
    let (first, rest) = text.split_once('.')?;
    let mut words = std::iter::once(first).chain(rest.split('_'));
    let camel = |mut name: String, word: &str| {
        name.push(word.chars().next()?.to_ascii_uppercase());
        name.push_str(&word[1..]);
        is_word(word).then_some(name)
    };
    words.try_fold(String::new(), camel)
}

/// An operation as the contract has it.
pub fn operation_text(operation: &str) -> String {
    if let Some(action) = Action::ALL.iter().find(|action| action.as_str() == operation) {
        return format!("{PACKAGE}{}/{action}", action.service());
    }
    let mut text = String::with_capacity(operation.len() + 4);
    for c in operation.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push(if text.contains('.') { '_' } else { '.' });
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}

fn decision(number: u8) -> Option<Decision> {
    match proto::Decision::try_from(i32::from(number)).ok()? {
        proto::Decision::Unspecified => Some(Decision::NotAsked),
        proto::Decision::Allowed => Some(Decision::Permitted),
        proto::Decision::Denied => Some(Decision::Denied),
    }
}

fn decision_number(decision: Decision) -> proto::Decision {
    match decision {
        Decision::NotAsked => proto::Decision::Unspecified,
        Decision::Permitted => proto::Decision::Allowed,
        Decision::Denied => proto::Decision::Denied,
    }
}

fn outcome(number: u8) -> Option<Outcome> {
    match proto::Outcome::try_from(i32::from(number)).ok()? {
        proto::Outcome::Unspecified => None,
        proto::Outcome::Ok => Some(Outcome::Done),
        proto::Outcome::Refused => Some(Outcome::Refused),
        proto::Outcome::Failed => Some(Outcome::Failed),
        proto::Outcome::Started => Some(Outcome::Started),
    }
}

fn outcome_number(outcome: Outcome) -> proto::Outcome {
    match outcome {
        Outcome::Done => proto::Outcome::Ok,
        Outcome::Refused => proto::Outcome::Refused,
        Outcome::Failed => proto::Outcome::Failed,
        Outcome::Started => proto::Outcome::Started,
    }
}

/// A message of a list.
pub fn list_part(part: ListPart, wanted: Wanted) -> proto::ListEntriesResponse {
    proto::ListEntriesResponse {
        entries: part.entries.into_iter().map(|shown| entry(shown, wanted)).collect(),
        resume_token: part.resume_token,
        checkpoint: part.checkpoint.as_deref().map(checkpoint),
    }
}

/// A message of a tail.
pub fn tail_part(part: TailPart, wanted: Wanted) -> proto::TailEntriesResponse {
    let entries = part.entries.into_iter().map(|shown| entry(shown, wanted)).collect();
    proto::TailEntriesResponse { entries, next_index: part.next_index }
}

/// An entry out of the published log, with its sealed detail.
pub fn exported(index: u64, bytes: &[u8], leaf: Leaf, sealed: Option<&[u8]>) -> proto::AuditEntry {
    let hit = Hit { index, leaf, bytes: bytes.to_vec(), sealed: sealed.map(<[u8]>::to_vec) };
    entry(Shown { hit, detail: None, operator: None }, Wanted { leaf: false, sealed: true })
}

fn entry(shown: Shown, wanted: Wanted) -> proto::AuditEntry {
    let Shown { hit: Hit { index, leaf, bytes, sealed }, detail, operator } = shown;
    let actor = actor_text(&leaf);
    let (subject_token, receipt_id) = match &leaf.about {
        About::Nobody => (Vec::new(), String::new()),
        About::Subject(token) => (token.to_vec(), String::new()),
        About::Erasure(receipt) => (Vec::new(), receipt.to_string()),
    };
    let decided = !leaf.policy.iter().all(|byte| *byte == 0);
    proto::AuditEntry {
        index,
        leaf_version: u32::from(bytes.first().copied().unwrap_or_default()),
        time: Some(time(leaf.time)),
        actor,
        on_behalf_token: leaf.on_behalf.map(|token| token.to_vec()).unwrap_or_default(),
        role: leaf.role,
        operation: operation_text(&leaf.operation),
        purpose: leaf.purpose,
        class: leaf.class,
        view: i32::from(leaf.view),
        decision: decision_number(leaf.decision).into(),
        rule_id: leaf.rule,
        policy_version: if decided { version_text(&leaf.policy) } else { String::new() },
        outcome: outcome_number(leaf.outcome).into(),
        reason: i32::from(leaf.reason),
        item_count: u64::from(leaf.count),
        epoch: leaf.epoch,
        request_id: leaf.request.to_string(),
        subject_token,
        receipt_id,
        detail_sha256: leaf.detail_hash.map(|hash| hash.to_vec()).unwrap_or_default(),
        leaf: if wanted.leaf { bytes } else { Vec::new() },
        sealed_detail: sealed.filter(|_| wanted.sealed).unwrap_or_default(),
        detail: detail.map(|detail| opened(detail, operator)),
    }
}

fn opened(detail: Detail, operator: Option<Text>) -> proto::AuditDetail {
    let item = |(item, version): &(crate::base::id::ItemId, u64)| proto::ItemVersionRef {
        item_id: item.to_string(),
        version: *version,
    };
    proto::AuditDetail {
        items: detail.items.iter().map(item).collect(),
        fields: detail.fields,
        ticket: clear(&detail.ticket),
        peer_address: clear(&detail.peer),
        subject_id: detail.subject.map(|id| id.to_string()).unwrap_or_default(),
        operator_name: operator.as_ref().map(clear).unwrap_or_default(),
    }
}

/// A checkpoint as a message.
pub fn checkpoint(signed: &SignedCheckpoint) -> proto::Checkpoint {
    proto::Checkpoint {
        note: signed.note.clone().into_bytes(),
        origin: signed.checkpoint.origin.clone(),
        tree_size: signed.checkpoint.size,
        root_hash: signed.checkpoint.root.to_vec(),
    }
}

/// An inclusion proof with its checkpoint.
pub fn inclusion(proven: Inclusion) -> proto::GetInclusionProofResponse {
    let proof = proto::InclusionProof {
        leaf_index: proven.index,
        tree_size: proven.size,
        leaf_hash: proven.leaf.to_vec(),
        path: proven.path.iter().map(|hash| hash.to_vec()).collect(),
    };
    proto::GetInclusionProofResponse { proof: Some(proof), checkpoint: Some(checkpoint(&proven.checkpoint)) }
}

/// A consistency proof with its checkpoint.
pub fn consistency(proven: Consistency) -> proto::GetConsistencyProofResponse {
    let path = proven.path.iter().map(|hash| hash.to_vec()).collect();
    let proof = proto::ConsistencyProof { old_size: proven.old, new_size: proven.new, path };
    proto::GetConsistencyProofResponse { proof: Some(proof), checkpoint: Some(checkpoint(&proven.checkpoint)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_read_back_as_they_are_written() {
        for stored in ["GetItem", "EraseSubject", "ItemErased", "DayKeysErased", "RulesChanged", "SlotTakenOver"] {
            assert_eq!(operation(&operation_text(stored)).as_deref(), Some(stored));
        }
        assert_eq!(operation_text("GetItem"), "lacuna.v1.Vault/GetItem");
        assert_eq!(operation_text("SlotTakenOver"), "slot.taken_over");
        for text in ["", "GetItem", "lacuna.v1.Vault/GetItems", "lacuna.v1.Audit/GetItem", "item.", ".erased", "a.B"] {
            assert_eq!(operation(text), None, "{text}");
        }
    }

    #[test]
    fn actors_read_back_as_they_are_written() {
        let actors = [(0, vec![]), (1, b"spiffe://example.org/a".to_vec()), (2, vec![7; 16]), (3, vec![])];
        for (kind, bytes) in actors {
            let event = crate::audit::leaf::tests::sample();
            let leaf = crate::audit::leaf::encode(&event, 0, crate::base::time::Timestamp::from_millis(0));
            let mut leaf = crate::audit::leaf::decode(&leaf).expect("decodes");
            (leaf.actor_kind, leaf.actor) = (kind, bytes.clone());
            assert_eq!(actor(&actor_text(&leaf)), Some((kind, bytes)));
        }
        assert_eq!(actor("someone"), None);
    }
}
