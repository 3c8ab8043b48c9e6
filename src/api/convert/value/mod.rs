//! Values: the messages of the classes that this vault holds, one file each.
//!
//! Lengths, counts and forms are left to the class; only numbers without a meaning and times that are none are
//! refused here. A class that is not built yet is one that no registry can have.

mod access_event;
mod communication;
mod contact;
mod document;
mod government_id;
mod password;
mod payment;
mod postal_address;
mod usage_event;

use super::super::proto;
use super::super::proto::item_value::Value;
use super::{At, Faults};
use crate::catalog::classes::ItemValue;
use crate::catalog::fields::date::Date;
use crate::gate::refusal::FaultReason;

/// A value that must be given.
pub(super) fn value(faults: &mut Faults, at: At<'_>, value: Option<proto::ItemValue>) -> Option<ItemValue> {
    let Some(value) = value.and_then(|value| value.value) else {
        faults.add(at, FaultReason::Required);
        return None;
    };
    Some(match value {
        Value::Contact(value) => ItemValue::Contact(contact::given(faults, at.then("contact"), value)),
        Value::GovernmentId(value) => {
            ItemValue::GovernmentId(government_id::given(faults, at.then("government_id"), value))
        }
        Value::Payment(value) => ItemValue::Payment(payment::given(faults, at.then("payment"), value)),
        Value::Communication(value) => {
            ItemValue::Communication(communication::given(faults, at.then("communication"), value))
        }
        Value::AccessEvent(value) => {
            ItemValue::AccessEvent(access_event::given(faults, at.then("access_event"), value))
        }
        Value::UsageEvent(value) => ItemValue::UsageEvent(usage_event::given(faults, at.then("usage_event"), value)),
        Value::Document(value) => ItemValue::Document(document::given(faults, at.then("document"), value)),
        Value::Password(value) => ItemValue::Password(password::given(faults, at.then("password"), value)),
    })
}

/// A value as a view shows it.
pub(super) fn shown(value: ItemValue) -> proto::ItemValue {
    let value = match value {
        ItemValue::Contact(value) => Value::Contact(contact::shown(value)),
        ItemValue::GovernmentId(value) => Value::GovernmentId(government_id::shown(value)),
        ItemValue::Payment(value) => Value::Payment(payment::shown(value)),
        ItemValue::Password(value) => Value::Password(password::shown(value)),
        ItemValue::Communication(value) => Value::Communication(communication::shown(value)),
        ItemValue::AccessEvent(value) => Value::AccessEvent(access_event::shown(value)),
        ItemValue::UsageEvent(value) => Value::UsageEvent(usage_event::shown(value)),
        ItemValue::Document(value) => Value::Document(document::shown(value)),
    };
    proto::ItemValue { value: Some(value) }
}

fn date(date: &proto::Date) -> Date {
    Date::new(date.year, date.month, date.day)
}

fn shown_date(date: Date) -> proto::Date {
    proto::Date { year: date.year, month: date.month, day: date.day }
}
