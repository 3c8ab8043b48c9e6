//! Values: the messages of the classes that this vault holds.
//!
//! Lengths, counts and forms are left to the class; only numbers without a meaning and times that are none are
//! refused here. A class that is not built yet is one that no registry can have.

use super::super::proto;
use super::super::proto::item_value::Value;
use super::{At, Faults, moved, time};
use crate::catalog::classes::contact::{EmailAddress, PhoneNumber};
use crate::catalog::classes::government_id::GovernmentIdType;
use crate::catalog::classes::payment::CardBrand;
use crate::catalog::classes::postal_address::PostalAddress;
use crate::catalog::classes::{Contact, GovernmentId, ItemValue, Payment};
use crate::catalog::fields::ContactKind;
use crate::catalog::fields::date::Date;
use crate::catalog::text::Text;
use crate::gate::refusal::FaultReason;

/// A value that must be given.
pub(super) fn value(faults: &mut Faults, at: At<'_>, value: Option<proto::ItemValue>) -> Option<ItemValue> {
    let Some(value) = value.and_then(|value| value.value) else {
        faults.add(at, FaultReason::Required);
        return None;
    };
    let not_built = match value {
        Value::Contact(value) => return Some(ItemValue::Contact(contact(faults, at.then("contact"), value))),
        Value::GovernmentId(value) => {
            return Some(ItemValue::GovernmentId(government_id(faults, at.then("government_id"), value)));
        }
        Value::Payment(value) => return Some(ItemValue::Payment(payment(faults, at.then("payment"), value))),
        Value::Password(value) => {
            drop(Text::new(value.secret)); // wiped
            "password"
        }
        Value::Communication(_) => "communication",
        Value::AccessEvent(_) => "access_event",
        Value::UsageEvent(_) => "usage_event",
        Value::Document(_) => "document",
    };
    faults.add(at.then(not_built), FaultReason::ClassUnknown);
    None
}

fn contact(faults: &mut Faults, at: At<'_>, contact: proto::Contact) -> Contact {
    let emails = contact.emails.into_iter().enumerate();
    let phones = contact.phones.into_iter().enumerate();
    let addresses = contact.addresses.into_iter().enumerate();
    Contact {
        full_name: Text::new(contact.full_name),
        given_name: Text::new(contact.given_name),
        family_name: Text::new(contact.family_name),
        emails: emails.map(|(i, email)| email_address(faults, at.then("emails").index(i), email)).collect(),
        phones: phones.map(|(i, phone)| phone_number(faults, at.then("phones").index(i), phone)).collect(),
        addresses: addresses.map(|(i, a)| postal_address(faults, at.then("addresses").index(i), a)).collect(),
        birth_date: contact.birth_date.as_ref().map(date),
        language_code: Text::new(contact.language_code),
    }
}

fn email_address(faults: &mut Faults, at: At<'_>, email: proto::EmailAddress) -> EmailAddress {
    EmailAddress {
        address: Text::new(email.address),
        kind: contact_kind(faults, at, email.kind),
        label: Text::new(email.label),
        primary: email.primary,
        verify_time: faults.time(at.then("verify_time"), email.verify_time),
    }
}

fn phone_number(faults: &mut Faults, at: At<'_>, phone: proto::PhoneNumber) -> PhoneNumber {
    PhoneNumber {
        number: Text::new(phone.number),
        kind: contact_kind(faults, at, phone.kind),
        label: Text::new(phone.label),
        primary: phone.primary,
        extension: Text::new(phone.extension),
        verify_time: faults.time(at.then("verify_time"), phone.verify_time),
    }
}

fn postal_address(faults: &mut Faults, at: At<'_>, address: proto::PostalAddress) -> PostalAddress {
    PostalAddress {
        country_code: Text::new(address.country_code),
        lines: address.lines.into_iter().map(Text::new).collect(),
        sublocality: Text::new(address.sublocality),
        locality: Text::new(address.locality),
        administrative_area: Text::new(address.administrative_area),
        postal_code: Text::new(address.postal_code),
        recipient: Text::new(address.recipient),
        organization: Text::new(address.organization),
        kind: contact_kind(faults, at, address.kind),
        label: Text::new(address.label),
        primary: address.primary,
    }
}

fn contact_kind(faults: &mut Faults, at: At<'_>, number: i32) -> ContactKind {
    faults.choice(at.then("kind"), number, ContactKind::from_code).unwrap_or_default()
}

fn government_id(faults: &mut Faults, at: At<'_>, id: proto::GovernmentId) -> GovernmentId {
    GovernmentId {
        kind: faults.choice(at.then("type"), id.r#type, GovernmentIdType::from_code).unwrap_or_default(),
        country_code: Text::new(id.country_code),
        number: Text::new(id.number),
        issue_date: id.issue_date.as_ref().map(date),
        expiry_date: id.expiry_date.as_ref().map(date),
        issuing_authority: Text::new(id.issuing_authority),
        printed_name: Text::new(id.printed_name),
    }
}

fn payment(faults: &mut Faults, at: At<'_>, payment: proto::Payment) -> Payment {
    let address = at.then("billing_address");
    Payment {
        processor: Text::new(payment.processor),
        token: Text::new(payment.token),
        brand: faults.choice(at.then("brand"), payment.brand, CardBrand::from_code).unwrap_or_default(),
        last_four: Text::new(payment.last_four),
        expiry_month: payment.expiry_month,
        expiry_year: payment.expiry_year,
        billing_address: payment.billing_address.map(|billing| postal_address(faults, address, billing)),
        cardholder_name: Text::new(payment.cardholder_name),
    }
}

fn date(date: &proto::Date) -> Date {
    Date::new(date.year, date.month, date.day)
}

/// A value as a view shows it.
pub(super) fn shown(value: ItemValue) -> proto::ItemValue {
    let value = match value {
        ItemValue::Contact(value) => Value::Contact(shown_contact(value)),
        ItemValue::GovernmentId(value) => Value::GovernmentId(shown_government_id(value)),
        ItemValue::Payment(value) => Value::Payment(shown_payment(value)),
    };
    proto::ItemValue { value: Some(value) }
}

fn shown_contact(contact: Contact) -> proto::Contact {
    let email = |email: EmailAddress| proto::EmailAddress {
        address: moved(email.address),
        kind: email.kind.code().into(),
        label: moved(email.label),
        primary: email.primary,
        verify_time: email.verify_time.map(time),
    };
    let phone = |phone: PhoneNumber| proto::PhoneNumber {
        number: moved(phone.number),
        kind: phone.kind.code().into(),
        label: moved(phone.label),
        primary: phone.primary,
        extension: moved(phone.extension),
        verify_time: phone.verify_time.map(time),
    };
    proto::Contact {
        full_name: moved(contact.full_name),
        given_name: moved(contact.given_name),
        family_name: moved(contact.family_name),
        emails: contact.emails.into_iter().map(email).collect(),
        phones: contact.phones.into_iter().map(phone).collect(),
        addresses: contact.addresses.into_iter().map(shown_address).collect(),
        birth_date: contact.birth_date.map(shown_date),
        language_code: moved(contact.language_code),
    }
}

fn shown_address(address: PostalAddress) -> proto::PostalAddress {
    proto::PostalAddress {
        country_code: moved(address.country_code),
        lines: address.lines.into_iter().map(moved).collect(),
        sublocality: moved(address.sublocality),
        locality: moved(address.locality),
        administrative_area: moved(address.administrative_area),
        postal_code: moved(address.postal_code),
        recipient: moved(address.recipient),
        organization: moved(address.organization),
        kind: address.kind.code().into(),
        label: moved(address.label),
        primary: address.primary,
    }
}

fn shown_government_id(id: GovernmentId) -> proto::GovernmentId {
    proto::GovernmentId {
        r#type: id.kind.code().into(),
        country_code: moved(id.country_code),
        number: moved(id.number),
        issue_date: id.issue_date.map(shown_date),
        expiry_date: id.expiry_date.map(shown_date),
        issuing_authority: moved(id.issuing_authority),
        printed_name: moved(id.printed_name),
    }
}

fn shown_payment(payment: Payment) -> proto::Payment {
    proto::Payment {
        processor: moved(payment.processor),
        token: moved(payment.token),
        brand: payment.brand.code().into(),
        last_four: moved(payment.last_four),
        expiry_month: payment.expiry_month,
        expiry_year: payment.expiry_year,
        billing_address: payment.billing_address.map(shown_address),
        cardholder_name: moved(payment.cardholder_name),
    }
}

fn shown_date(date: Date) -> proto::Date {
    proto::Date { year: date.year, month: date.month, day: date.day }
}
