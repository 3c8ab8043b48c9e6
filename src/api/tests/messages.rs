//! Sample messages.

use crate::api::proto::item_value::Value;
use crate::api::proto::subject_ref::Ref;
use crate::api::proto::*;
use crate::base::id::{ItemId, SubjectId};

pub(super) fn subject_id() -> String {
    SubjectId::from_bytes([1; 16]).to_string()
}

pub(super) fn item_id() -> String {
    ItemId::from_bytes([2; 16]).to_string()
}

pub(super) fn by_id() -> Option<SubjectRef> {
    Some(SubjectRef { r#ref: Some(Ref::SubjectId(subject_id())) })
}

pub(super) fn by_external_id(id: &str) -> Option<SubjectRef> {
    Some(SubjectRef { r#ref: Some(Ref::ExternalId(id.to_owned())) })
}

pub(super) fn value(value: Value) -> Option<ItemValue> {
    Some(ItemValue { value: Some(value) })
}

pub(super) fn at(seconds: i64, nanos: i32) -> Option<well_known::Timestamp> {
    Some(well_known::Timestamp { seconds, nanos })
}

pub(super) fn address(t: &str) -> PostalAddress {
    PostalAddress {
        country_code: t.into(),
        lines: vec![t.into(), t.into()],
        sublocality: t.into(),
        locality: t.into(),
        administrative_area: t.into(),
        postal_code: t.into(),
        recipient: t.into(),
        organization: t.into(),
        kind: ContactKind::Work.into(),
        label: t.into(),
        primary: true,
    }
}

/// A contact with this text in every text field.
pub(super) fn contact(t: &str) -> Contact {
    let email = EmailAddress {
        address: t.into(),
        kind: ContactKind::Home.into(),
        label: t.into(),
        primary: true,
        verify_time: at(1, 500_000_000),
    };
    let phone = PhoneNumber {
        number: t.into(),
        kind: ContactKind::Other.into(),
        label: t.into(),
        primary: false,
        extension: t.into(),
        verify_time: at(-1, 0),
    };
    Contact {
        full_name: t.into(),
        given_name: t.into(),
        family_name: t.into(),
        emails: vec![email.clone(), email],
        phones: vec![phone],
        addresses: vec![address(t)],
        birth_date: Some(Date { year: 1999, month: 2, day: 28 }),
        language_code: t.into(),
    }
}

pub(super) fn government_id(t: &str) -> GovernmentId {
    GovernmentId {
        r#type: GovernmentIdType::Passport.into(),
        country_code: t.into(),
        number: t.into(),
        issue_date: Some(Date { year: 2020, month: 1, day: 2 }),
        expiry_date: Some(Date { year: 2030, month: 1, day: 1 }),
        issuing_authority: t.into(),
        printed_name: t.into(),
    }
}

pub(super) fn payment(t: &str) -> Payment {
    Payment {
        processor: t.into(),
        token: t.into(),
        brand: CardBrand::Jcb.into(),
        last_four: t.into(),
        expiry_month: 12,
        expiry_year: 2031,
        billing_address: Some(address(t)),
        cardholder_name: t.into(),
    }
}

pub(super) fn communication(t: &str) -> Communication {
    Communication {
        channel: CommunicationChannel::Chat.into(),
        direction: Direction::Outbound.into(),
        time: at(1_700_000_000, 0),
        participants: vec![t.into(), t.into()],
        subject: t.into(),
        body: t.into(),
        thread_id: t.into(),
    }
}

pub(super) fn access_event(t: &str) -> AccessEvent {
    AccessEvent {
        time: at(1_700_000_000, 1_000_000),
        ip_address: t.into(),
        user_agent: t.into(),
        browser: t.into(),
        os: t.into(),
        device_id: t.into(),
        page: t.into(),
        method: t.into(),
        status: 404,
    }
}

pub(super) fn usage_event(t: &str) -> UsageEvent {
    UsageEvent {
        time: at(-1, 999_000_000),
        resource: t.into(),
        quantity: t.into(),
        unit: t.into(),
        region: t.into(),
        end_time: at(1, 0),
    }
}

pub(super) fn document(t: &str) -> Document {
    Document {
        media_type: t.into(),
        file_name: t.into(),
        size_bytes: 7,
        sha256: vec![9; 32],
        related_item_id: item_id(),
    }
}

pub(super) fn metadata(t: &str) -> ItemMetadata {
    let recipient = Recipient { name: t.into(), country_code: "DE".into(), safeguard: t.into() };
    ItemMetadata {
        purposes: vec![t.into()],
        legal_basis: t.into(),
        expire_time: at(1_700_000_000, 123_456_789),
        source: t.into(),
        recipients: vec![recipient],
        objections: Vec::new(),
        automated_decision: true,
        automated_decision_logic: t.into(),
    }
}

pub(super) fn new_item(class: &str, held: Value) -> NewItem {
    NewItem { class: class.into(), value: value(held), metadata: Some(metadata("x")) }
}

pub(super) fn put_item() -> PutItemRequest {
    PutItemRequest { context: None, subject: by_id(), item: Some(new_item("contact", Value::Contact(contact("x")))) }
}

pub(super) fn create_subject() -> CreateSubjectRequest {
    let items = [
        new_item("contact", Value::Contact(contact("x"))),
        new_item("government_id", Value::GovernmentId(government_id("x"))),
        new_item("payment", Value::Payment(payment("x"))),
    ];
    CreateSubjectRequest {
        context: None,
        external_id: "x".into(),
        labels: [("region".into(), "eu".into())].into(),
        items: items.into(),
    }
}

pub(super) fn get_item() -> GetItemRequest {
    GetItemRequest {
        context: None,
        subject: by_id(),
        item_id: item_id(),
        version: 3,
        view: View::Masked.into(),
        fields: vec!["emails.address".into()],
        etag: String::new(),
    }
}

pub(super) fn list_items() -> ListItemsRequest {
    ListItemsRequest {
        context: None,
        subject: by_external_id("x"),
        classes: vec!["contact".into()],
        view: View::Exists.into(),
        fields: Vec::new(),
        page_size: 7,
        page_token: "t".into(),
    }
}

pub(super) fn update_item() -> UpdateItemRequest {
    UpdateItemRequest {
        context: None,
        subject: by_id(),
        item_id: item_id(),
        etag: "e".into(),
        value: value(Value::Payment(payment("x"))),
        metadata: Some(metadata("x")),
        wait: Wait::Erased.into(),
    }
}

pub(super) fn delete_item() -> DeleteItemRequest {
    DeleteItemRequest { context: None, subject: by_id(), item_id: item_id(), etag: String::new(), wait: 0 }
}

pub(super) fn put_entry(reference: &str, external_id: &str) -> PutItemEntry {
    PutItemEntry {
        reference: reference.into(),
        subject: by_external_id(external_id),
        item: Some(new_item("contact", Value::Contact(contact("x")))),
        create_subject: true,
        labels: Default::default(),
    }
}

pub(super) fn get_entry(reference: &str) -> GetItemEntry {
    GetItemEntry { reference: reference.into(), subject: by_id(), item_id: item_id(), version: 0, view: 0 }
}
