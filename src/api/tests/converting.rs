//! Conversion tables: what is taken as it is, what is refused, and under which path.

use proptest::prelude::*;
use prost::Message;

use super::messages::*;
use crate::api::convert::{batch, item, subject};
use crate::api::proto::item_value::Value;
use crate::api::proto::{self, *};
use crate::base::id::{ReceiptId, SlotId, SubjectId, VaultId};
use crate::base::time::Timestamp;
use crate::catalog::class::ClassDef;
use crate::catalog::classes::{CLASSES, ItemValue};
use crate::catalog::view::View as DomainView;
use crate::gate::refusal::{Fault, FaultReason, Refusal, State};
use crate::items::model::{self, ItemView};

fn faults<T>(result: Result<T, Refusal>) -> Vec<(String, FaultReason)> {
    match result {
        Err(Refusal::Invalid(faults)) => faults.into_iter().map(|Fault { field, reason }| (field, reason)).collect(),
        Err(_) => panic!("refused for another reason"),
        Ok(_) => Vec::new(),
    }
}

fn fault<T>(result: Result<T, Refusal>) -> (String, FaultReason) {
    let faults = faults(result);
    assert_eq!(faults.len(), 1, "{faults:?}");
    faults.into_iter().next().unwrap()
}

fn is(found: (String, FaultReason), field: &str, reason: FaultReason) {
    assert_eq!((found.0.as_str(), found.1), (field, reason));
}

fn class(id: &str) -> &'static ClassDef {
    CLASSES.iter().find(|class| class.id.as_str() == id).unwrap()
}

fn item_view(class: &ClassDef, value: Option<ItemValue>, metadata: Option<model::Metadata>) -> ItemView {
    ItemView {
        subject: Some(SubjectId::from_bytes([1; 16])),
        receipt: None,
        item: item_id().parse().unwrap(),
        class: class.id,
        version: 4,
        etag: "etag".into(),
        created: Timestamp::from_millis(1_500),
        updated: Timestamp::from_millis(-1),
        restricted: false,
        view: DomainView::Masked,
        value,
        metadata,
        masked: Vec::new(),
    }
}

fn as_stored(new: model::NewMetadata) -> model::Metadata {
    model::Metadata {
        purposes: new.purposes,
        legal_basis: new.legal_basis,
        expires: new.expires,
        objections: Vec::new(),
        automated_decision: new.automated_decision,
        notes: new.notes,
    }
}

#[test]
fn every_field_of_a_value_survives_the_way_in_and_out() {
    let values = [
        ("contact", Value::Contact(contact("täxt"))),
        ("government_id", Value::GovernmentId(government_id("täxt"))),
        ("payment", Value::Payment(payment("täxt"))),
        ("communication", Value::Communication(communication("täxt"))),
        ("access_event", Value::AccessEvent(access_event("täxt"))),
        ("usage_event", Value::UsageEvent(usage_event("täxt"))),
        ("document", Value::Document(document("täxt"))),
    ];
    for (id, sent) in values {
        let request = PutItemRequest { item: Some(new_item(id, sent.clone())), ..put_item() };
        let (_, new) = item::put(request).map_err(|_| ()).unwrap();
        let shown = item::item(item_view(class(id), Some(new.value), Some(as_stored(new.metadata))));
        assert!(shown.value == value(sent), "{id}");
        let mut expected = metadata("x");
        expected.expire_time = at(1_700_000_000, 123_000_000);
        assert!(shown.metadata == Some(expected), "{id}");
    }
}

#[test]
fn an_item_states_its_times_and_its_view() {
    let shown = item::item(item_view(class("contact"), None, None));
    assert_eq!((shown.create_time, shown.update_time), (at(1, 500_000_000), at(-1, 999_000_000)));
    assert_eq!((shown.expire_time, shown.view()), (None, proto::View::Masked));
    assert_eq!((shown.subject_id, shown.item_id, shown.class.as_str()), (subject_id(), item_id(), "contact"));
}

#[test]
fn what_is_sound_is_taken() {
    let created = subject::create(create_subject()).map_err(|_| ()).unwrap();
    assert_eq!((created.external_id.expose(), created.items.len()), ("x", 3));
    assert_eq!(created.labels, [("region".to_owned(), "eu".to_owned())]);
    let query = item::get(get_item()).map_err(|_| ()).unwrap();
    assert_eq!((query.version, query.view, query.fields), (3, Some(DomainView::Masked), vec!["emails.address".into()]));
    let list = item::list(list_items()).map_err(|_| ()).unwrap();
    assert!(matches!(&list.subject, model::SubjectRef::External(id) if id.expose() == "x"));
    assert_eq!((list.view, list.page_size, list.page_token.as_str()), (Some(DomainView::Exists), 7, "t"));
    let update = item::update(update_item()).map_err(|_| ()).unwrap();
    assert_eq!((update.wait, update.etag.as_str()), (model::Wait::Erased, "e"));
    assert!(update.value.is_some() && update.metadata.is_some());
    assert_eq!(item::delete(delete_item()).map_err(|_| ()).unwrap().wait, model::Wait::Erased);
    let update = item::update(UpdateItemRequest { wait: 0, value: None, ..update_item() }).map_err(|_| ()).unwrap();
    assert_eq!(update.wait, model::Wait::Logical);
}

#[test]
fn subjects_are_named_exactly_once_and_well() {
    use FaultReason::{IdMalformed, Required, TooLong};
    let describe = |subject| fault(subject::describe(GetSubjectRequest { context: None, subject }));
    let id = |text: &str| Some(SubjectRef { r#ref: Some(subject_ref::Ref::SubjectId(text.into())) });
    is(describe(None), "subject", Required);
    is(describe(Some(SubjectRef { r#ref: None })), "subject", Required);
    is(describe(id("")), "subject.subject_id", Required);
    is(describe(id("sub_x")), "subject.subject_id", IdMalformed);
    is(describe(id(&item_id())), "subject.subject_id", IdMalformed);
    is(describe(by_external_id("")), "subject.external_id", Required);
    let long = "x".repeat(257);
    is(
        fault(item::list(ListItemsRequest { subject: by_external_id(&long), ..list_items() })),
        "subject.external_id",
        TooLong,
    );
}

#[test]
fn faults_name_the_field_in_the_request_and_are_all_found() {
    use FaultReason::{EnumUnknown, Malformed, ReadOnly, Required};
    let mut request = put_item();
    request.subject = None;
    let stated = request.item.as_mut().unwrap();
    stated.class.clear();
    stated.metadata.as_mut().unwrap().objections.push("x".into());
    let mut held = contact("x");
    held.emails[1].kind = 99;
    held.phones[0].verify_time = at(0, -1);
    held.addresses[0].kind = -1;
    stated.value = value(Value::Contact(held));
    let found = faults(item::put(request));
    let found: Vec<(&str, FaultReason)> = found.iter().map(|(field, reason)| (field.as_str(), *reason)).collect();
    assert_eq!(
        found,
        [
            ("subject", Required),
            ("item.class", Required),
            ("item.value.contact.emails[1].kind", EnumUnknown),
            ("item.value.contact.phones[0].verify_time", Malformed),
            ("item.value.contact.addresses[0].kind", EnumUnknown),
            ("item.metadata.objections", ReadOnly),
        ]
    );
}

#[test]
fn values_without_a_known_message_are_refused() {
    use FaultReason::{EnumUnknown, IdMalformed, Malformed, ReadOnly, Required};
    let put = |value| {
        let item = Some(NewItem { class: "contact".into(), value, metadata: None });
        fault(item::put(PutItemRequest { item, ..put_item() }))
    };
    is(put(None), "item.value", Required);
    is(put(Some(proto::ItemValue { value: None })), "item.value", Required);
    let password = Password { secret: "x".into(), set_time: at(1, 0) };
    is(put(value(Value::Password(password))), "item.value.password.set_time", ReadOnly);
    let scan = Document { sha256: vec![0; 31], ..document("x") };
    is(put(value(Value::Document(scan))), "item.value.document.sha256", Malformed);
    let scan = Document { related_item_id: subject_id(), ..document("x") };
    is(put(value(Value::Document(scan))), "item.value.document.related_item_id", IdMalformed);
    let message = Communication { direction: 3, ..communication("x") };
    is(put(value(Value::Communication(message))), "item.value.communication.direction", EnumUnknown);
    let visit = AccessEvent { time: at(0, 1_000_000_000), ..access_event("x") };
    is(put(value(Value::AccessEvent(visit))), "item.value.access_event.time", Malformed);
    let id = GovernmentId { r#type: 7, ..government_id("x") };
    is(put(value(Value::GovernmentId(id))), "item.value.government_id.type", EnumUnknown);
    let unknown = Payment { brand: 256, ..payment("x") };
    is(put(value(Value::Payment(unknown))), "item.value.payment.brand", EnumUnknown);
    is(fault(item::put(PutItemRequest { item: None, ..put_item() })), "item", Required);
}

#[test]
fn a_verification_code_cannot_be_expressed() {
    let pool = prost_reflect::DescriptorPool::decode(proto::DESCRIPTORS).unwrap();
    let message = pool.get_message_by_name("lacuna.v1.Payment").unwrap();
    let names: Vec<String> = message.fields().map(|field| field.name().to_owned()).collect();
    let meant = ["cvv", "cvc", "cid", "csc", "code", "pin", "pan", "card_number", "track", "verification"];
    assert!(names.iter().all(|name| meant.iter().all(|word| !name.contains(word))), "{names:?}");
    // Fields that a client of its own making sends are dropped when they are read, before anything is kept.
    let mut bytes = payment("x").encode_to_vec();
    for field in 20..30_u32 {
        prost::encoding::string::encode(field, &"737".to_owned(), &mut bytes);
    }
    let read = Payment::decode(&bytes[..]).unwrap();
    assert!(read.encode_to_vec() == payment("x").encode_to_vec());
}

#[test]
fn bounds_of_the_contract_hold() {
    use FaultReason::{EnumUnknown, Malformed, Required, TooLong, TooMany};
    let stated = |change: fn(&mut ItemMetadata)| {
        let mut request = put_item();
        change(request.item.as_mut().unwrap().metadata.as_mut().unwrap());
        fault(item::put(request))
    };
    is(stated(|m| m.source = "x".repeat(513)), "item.metadata.source", TooLong);
    is(stated(|m| m.automated_decision_logic = "x".repeat(2049)), "item.metadata.automated_decision_logic", TooLong);
    is(stated(|m| m.recipients = vec![Default::default(); 65]), "item.metadata.recipients", TooLong);
    is(stated(|m| m.recipients[0].name.clear()), "item.metadata.recipients[0].name", Required);
    is(stated(|m| m.purposes = vec!["x".into(); 65]), "item.metadata.purposes", TooLong);
    is(stated(|m| m.purposes[0].clear()), "item.metadata.purposes[0]", Required);
    is(stated(|m| m.expire_time = at(253_402_300_800, 0)), "item.metadata.expire_time", Malformed);
    let create = |change: fn(&mut CreateSubjectRequest)| {
        let mut request = create_subject();
        change(&mut request);
        fault(subject::create(request))
    };
    is(create(|r| r.external_id = "x".repeat(257)), "external_id", TooLong);
    is(create(|r| r.items = vec![r.items[0].clone(); 65]), "items", TooMany);
    is(create(|r| r.items[2].class.clear()), "items[2].class", Required);
    is(create(|r| r.labels = (0..17).map(|i| (format!("l{i}"), String::new())).collect()), "labels", TooLong);
    is(create(|r| r.labels = [("Region".into(), "eu".into())].into()), "labels", Malformed);
    is(create(|r| r.labels = [("region".into(), "x".repeat(64))].into()), "labels", TooLong);
    is(fault(item::list(ListItemsRequest { page_size: 1_001, ..list_items() })), "page_size", Malformed);
    is(fault(item::get(GetItemRequest { view: 5, ..get_item() })), "view", EnumUnknown);
    is(fault(item::get(GetItemRequest { item_id: String::new(), ..get_item() })), "item_id", Required);
    is(fault(item::delete(DeleteItemRequest { wait: 3, ..delete_item() })), "wait", EnumUnknown);
    is(fault(item::delete(DeleteItemRequest { etag: "x".repeat(1_025), ..delete_item() })), "etag", TooLong);
    is(fault(item::update(UpdateItemRequest { value: None, metadata: None, ..update_item() })), "value", Required);
    is(
        fault(item::update(UpdateItemRequest { value: Some(proto::ItemValue { value: None }), ..update_item() })),
        "value",
        Required,
    );
}

#[test]
fn a_batch_is_refused_whole_only_for_what_concerns_it_whole() {
    use FaultReason::{Duplicate, Required, TooLong, TooMany};
    let put = |entries| batch::put(of(entries)).and_then(|batch| batch.for_vault(&HERE));
    assert!(put(Vec::new()).is_ok_and(|none| none.split().1.is_empty()));
    is(fault(put(vec![put_entry("", "a"); 1_001])), "entries", TooMany);
    is(fault(put(vec![put_entry("r", "a"), put_entry("r", "b")])), "entries[1].reference", Duplicate);
    is(fault(put(vec![put_entry(&"r".repeat(65), "a")])), "entries[0].reference", TooLong);
    let (sound, all) = put(vec![put_entry("", "a"), put_entry("", "b")]).map_err(|_| ()).unwrap().split();
    assert_eq!((sound.len(), all.len()), (2, 2));
    let get = |entries| batch::get(BatchGetItemsRequest { context: None, entries, view: 0, fields: Vec::new() });
    is(fault(get(Vec::new())), "entries", Required);
    is(fault(get(vec![get_entry(""); 10_001])), "entries", TooMany);
    is(fault(get(vec![get_entry("r"), get_entry("r")])), "entries[1].reference", Duplicate);
}

const HERE: VaultId = VaultId::from_bytes([7; 16]);

fn of(entries: Vec<PutItemEntry>) -> BatchPutItemsRequest {
    BatchPutItemsRequest { entries, ..Default::default() }
}

#[test]
fn a_batch_that_is_meant_for_another_vault_is_refused_whole() {
    let put = |vault_id: &str| {
        let request = BatchPutItemsRequest { vault_id: vault_id.into(), ..of(vec![put_entry("", "a")]) };
        batch::put(request).and_then(|batch| batch.for_vault(&HERE))
    };
    assert!(put("").is_ok() && put(&HERE.to_string()).is_ok());
    is(fault(put(&VaultId::from_bytes([8; 16]).to_string())), "vault_id", FaultReason::Conflict);
    is(fault(put("here")), "vault_id", FaultReason::IdMalformed);
}

#[test]
fn results_come_in_order_with_the_refused_entries_in_place() {
    let mut bad = put_entry("bad", "b");
    bad.item.as_mut().unwrap().class.clear();
    let entries = vec![put_entry("first", "a"), bad, put_entry("third", "c")];
    let (sound, all) =
        batch::put(of(entries)).and_then(|batch| batch.for_vault(&HERE)).map_err(|_| ()).unwrap().split();
    assert_eq!(sound.len(), 2);
    let subject = SubjectId::from_bytes([1; 16]);
    let done = model::PutDone { subject, item: None, subject_created: true };
    let done = vec![Ok(done), Err(State::NotFound.into())];
    let results: Vec<PutItemResult> = batch::merged(all, done).map(|(r, o)| batch::put_result(r, o)).collect();
    let told: Vec<(&str, Option<ErrorReason>)> = results
        .iter()
        .map(|result| match result.outcome.as_ref().unwrap() {
            put_item_result::Outcome::Success(_) => (result.reference.as_str(), None),
            put_item_result::Outcome::Error(error) => (result.reference.as_str(), Some(error.reason())),
        })
        .collect();
    assert_eq!(
        told,
        [("first", None), ("bad", Some(ErrorReason::FieldRequired)), ("third", Some(ErrorReason::NotFound))]
    );
}

#[test]
fn entries_that_create_one_subject_are_refused_together() {
    let mut bad = put_entry("bad", "a");
    bad.item.as_mut().unwrap().class.clear();
    let mut existing = put_entry("existing", "a");
    existing.create_subject = false;
    let entries = vec![put_entry("with", "a"), bad, existing, put_entry("other", "b")];
    let (_, all) = batch::put(of(entries)).and_then(|batch| batch.for_vault(&HERE)).map_err(|_| ()).unwrap().split();
    let refused: Vec<&str> = all.iter().filter(|(_, refusal)| refusal.is_some()).map(|(r, _)| r.as_str()).collect();
    assert_eq!(refused, ["with", "bad"]);
}

#[test]
fn a_large_batch_is_read_piece_by_piece() {
    let mut entries = vec![get_entry(""); 1_201];
    entries[1_200].item_id.clear();
    entries[0].view = proto::View::Exists.into();
    let view = proto::View::Plain.into();
    let request = BatchGetItemsRequest { context: None, entries, view, fields: vec!["number".into()] };
    let mut pieces = batch::get(request).map_err(|_| ()).unwrap();
    let mut sizes = Vec::new();
    let mut views = Vec::new();
    while let Some(entries) = pieces.next(500) {
        let (sound, all) = entries.split();
        sizes.push((sound.len(), all.len()));
        views.extend(sound.iter().map(|query| query.view));
        assert!(sound.iter().all(|query| query.fields == ["number"]));
    }
    assert_eq!(sizes, [(500, 500), (500, 500), (200, 201)]);
    assert_eq!((views[0], views[1]), (Some(DomainView::Exists), Some(DomainView::Plain)));
}

#[test]
fn an_erasure_states_its_epoch_its_receipt_and_what_it_waits_for() {
    let (receipt, slot) = (ReceiptId::from_bytes([3; 16]), SlotId::from_bytes([4; 16]));
    let awaited = crate::gate::vault::Awaited::Pending { waiting: vec![slot] };
    let pending = model::Erasure { epoch: 9, ..model::Erasure::of(awaited, receipt) };
    let told = item::deleted(pending).erasure.unwrap();
    assert_eq!((told.state(), told.epoch), (proto::ErasureState::Pending, 9));
    assert_eq!((told.receipt_id, told.waiting_slot_ids), (receipt.to_string(), vec![slot.to_string()]));
}

/// Decodes bytes as each request and converts what decodes.
fn convert_all(bytes: &[u8]) -> usize {
    let mut decoded = 0;
    macro_rules! convert {
        ($($message:ty => $convert:expr;)*) => { $(
            if let Ok(message) = <$message>::decode(bytes) {
                decoded += 1;
                let _ = $convert(message);
            }
        )* };
    }
    convert! {
        CreateSubjectRequest => subject::create;
        GetSubjectRequest => subject::describe;
        PutItemRequest => item::put;
        GetItemRequest => item::get;
        ListItemsRequest => item::list;
        UpdateItemRequest => item::update;
        DeleteItemRequest => item::delete;
        VerifyPasswordRequest => item::verify;
        BatchPutItemsRequest => batch::put;
        BatchGetItemsRequest => |request| batch::get(request).map(|mut batch| batch.next(500).is_some());
    }
    decoded
}

fn samples() -> Vec<Vec<u8>> {
    let entries = vec![put_entry("r", "a")];
    let puts = of(entries);
    let gets = BatchGetItemsRequest { context: None, entries: vec![get_entry("r")], view: 1, fields: vec![] };
    vec![
        create_subject().encode_to_vec(),
        put_item().encode_to_vec(),
        get_item().encode_to_vec(),
        list_items().encode_to_vec(),
        update_item().encode_to_vec(),
        delete_item().encode_to_vec(),
        puts.encode_to_vec(),
        gets.encode_to_vec(),
    ]
}

#[test]
fn the_samples_decode_as_what_they_are() {
    assert!(samples().iter().all(|bytes| convert_all(bytes) > 0));
}

proptest! {
    #[test]
    fn any_bytes_convert_or_are_refused_without_a_panic(bytes: Vec<u8>) {
        convert_all(&bytes);
    }

    #[test]
    fn damaged_messages_convert_or_are_refused_without_a_panic(
        sample in 0..8_usize, damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut: prop::sample::Index
    ) {
        let mut bytes = samples().swap_remove(sample);
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        convert_all(&bytes);
        convert_all(&bytes[..cut.index(bytes.len())]);
    }
}
