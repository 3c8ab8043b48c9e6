//! From a row to the entries of a batch, or to what is wrong with it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::check;
use super::mapping::{ItemMapping, Mapping};
use super::path::FieldPath;
use crate::api::proto::{
    EntryError, ErrorReason, ItemMetadata, ItemValue, NewItem, PutItemEntry, SubjectRef, subject_ref,
};
use crate::base::limits::{EXTERNAL_ID_BYTES_MAX, LABEL_VALUE_BYTES_MAX};
use crate::cli::json;

/// Why a row was not stored: one fault of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Reject {
    /// The row's number.
    pub row: u64,
    /// The column, where one is at fault.
    pub column: Option<String>,
    /// The field, by its path in the entry; empty for the row as a whole.
    pub field: String,
    /// The reason, as errors.proto names it.
    pub reason: ErrorReason,
}

/// An entry, and which item of the mapping it is of.
pub type Entry = (Option<usize>, PutItemEntry);

/// The entries of a row: one per item, or one for a subject without any.
pub fn entries(mapping: &Mapping, row: u64, value: Option<&Value>) -> Result<Vec<Entry>, Vec<Reject>> {
    let reject = |column: Option<&FieldPath>, field: &str, reason| Reject {
        row,
        column: column.map(ToString::to_string),
        field: field.to_owned(),
        reason,
    };
    let Some(value) = value else { return Err(vec![reject(None, "", ErrorReason::FieldInvalid)]) };
    let mut rejects = Vec::new();
    let external_id = mapping.external_id.find(value).and_then(text).unwrap_or_default();
    if external_id.is_empty() || external_id.len() > EXTERNAL_ID_BYTES_MAX {
        let reason = if external_id.is_empty() { ErrorReason::FieldRequired } else { ErrorReason::FieldTooLong };
        rejects.push(reject(Some(&mapping.external_id), "subject.external_id", reason));
    }
    let mut labels = BTreeMap::new();
    for (label, column) in &mapping.labels {
        match column.find(value).and_then(text) {
            Some(value) if value.len() > LABEL_VALUE_BYTES_MAX => {
                rejects.push(reject(Some(column), "labels", ErrorReason::FieldTooLong));
            }
            Some(value) if !value.is_empty() => drop(labels.insert(label.clone(), value)),
            _ => {}
        }
    }
    let mut items = Vec::new();
    for (at, item) in mapping.items.iter().enumerate() {
        match new_item(item, value) {
            Ok(new) => items.extend(new.map(|new| (Some(at), new))),
            Err(faults) => rejects
                .extend(faults.into_iter().map(|(column, field)| reject(column, &field, ErrorReason::FieldInvalid))),
        }
    }
    if !rejects.is_empty() {
        // What else is wrong with it is found here, since the row is not sent.
        let others = items.into_iter().flat_map(|(at, item)| check::item_faults(mapping, row, (at, item)));
        rejects.extend(others);
        return Err(rejects);
    }
    let subject = || Some(SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(external_id.clone())) });
    let entry = |item| PutItemEntry {
        reference: String::new(),
        subject: subject(),
        item,
        create_subject: true,
        labels: labels.clone(),
    };
    Ok(match items.is_empty() {
        true => vec![(None, entry(None))],
        false => items.into_iter().map(|(at, item)| (at, entry(Some(item)))).collect(),
    })
}

/// What the vault found wrong with an entry of a row: that of this item of the mapping.
pub fn refused(mapping: &Mapping, row: u64, item: Option<usize>, error: &EntryError) -> Vec<Reject> {
    if error.violations.is_empty() {
        return vec![Reject { row, column: None, field: String::new(), reason: error.reason() }];
    }
    let reject = |violation: &crate::api::proto::FieldViolation| {
        let field = violation.field.clone();
        let item = item.and_then(|at| mapping.items.get(at));
        let column = item.and_then(|item| item.column(field.strip_prefix("item.value.")?.strip_prefix(&item.class)?));
        let column = match field.as_str() {
            "subject.external_id" => Some(mapping.external_id.to_string()),
            _ => column,
        };
        Reject { row, column, field, reason: violation.reason() }
    };
    error.violations.iter().map(reject).collect()
}

/// An item of a row; none if the row has nothing of it. Else which columns do not fit, with their fields.
fn new_item<'m>(item: &'m ItemMapping, row: &Value) -> Result<Option<NewItem>, Vec<(Option<&'m FieldPath>, String)>> {
    let metadata = item.metadata.clone().and_then(json::of_value::<ItemMetadata>);
    let new =
        |value: ItemValue| Some(NewItem { class: item.class.clone(), value: Some(value), metadata: metadata.clone() });
    let whole = |field: &str| format!("item.value.{}{field}", item.class);
    if let Some(column) = &item.value {
        let Some(value) = column.find(row).filter(|value| !value.is_null()) else { return Ok(None) };
        let wrapped = Value::Object([(item.class.clone(), value.clone())].into_iter().collect());
        return json::of_value(wrapped).map(new).ok_or_else(|| vec![(Some(column), whole(""))]);
    }
    let present = |column: &FieldPath| column.find(row).filter(|value| !is_empty(value)).cloned();
    let given: Vec<(&FieldPath, &FieldPath, Value)> =
        item.fields.iter().filter_map(|(field, column)| Some((field, column, present(column)?))).collect();
    if given.is_empty() {
        return Ok(None);
    }
    let fields = given.iter().map(|(field, _, value)| ((*field).clone(), value.clone()));
    // A fixed field of a part goes with the part.
    let is_there = |fixed: &FieldPath| {
        fixed.parent().is_none_or(|part| given.iter().any(|(field, _, _)| field.parent() == Some(part)))
    };
    let fixed = item.fixed.iter().filter(|(field, _)| is_there(field)).cloned();
    if let Some(value) = json::of_value(item.wrap(fields.chain(fixed))) {
        return Ok(new(value));
    }
    // Which of them it is, each is asked by itself.
    let is_wrong = |(field, _, value): &&(&FieldPath, &FieldPath, Value)| {
        json::of_value::<ItemValue>(item.wrap(std::iter::once(((*field).clone(), value.clone())))).is_none()
    };
    let mut faults: Vec<_> =
        given.iter().filter(is_wrong).map(|(field, column, _)| (Some(*column), whole(&format!(".{field}")))).collect();
    if faults.is_empty() {
        faults.push((None, whole("")));
    }
    Err(faults)
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_str().is_some_and(str::is_empty)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::proto::item_value::Value as Of;
    use serde_json::json;

    fn mapping() -> Mapping {
        Mapping::parse(
            r#"
            [subject]
            external_id = "id"
            labels = { region = "region" }
            [[item]]
            class = "contact"
            fields = { full_name = "name", "emails[0].address" = "mail", "birth_date.year" = "born" }
            fixed = { "emails[0].primary" = true }
            [[item]]
            class = "payment"
            value = "card"
            "#,
        )
        .expect("is good")
    }

    #[test]
    fn a_row_becomes_entries_that_create_its_subject() {
        let row = json!({ "id": 7, "region": "eu", "name": "Ada", "mail": "ada@example.com", "born": "1815",
            "card": { "processor": "p", "token": "t" } });
        let entries = entries(&mapping(), 1, Some(&row)).expect("fits");
        assert_eq!(entries.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [Some(0), Some(1)]);
        assert!(entries.iter().all(|(_, entry)| entry.create_subject && entry.labels["region"] == "eu"));
        match entries[0].1.item.as_ref().and_then(|item| item.value.as_ref()).and_then(|value| value.value.as_ref()) {
            Some(Of::Contact(contact)) => {
                assert_eq!((contact.full_name.as_str(), contact.emails[0].primary), ("Ada", true));
                assert_eq!(contact.birth_date.map(|date| date.year), Some(1815));
            }
            _ => panic!("a contact"),
        }
        let unmailed = super::entries(&mapping(), 2, Some(&json!({ "id": "8", "name": "Ada" }))).expect("fits");
        match unmailed[0].1.item.as_ref().and_then(|item| item.value.as_ref()).and_then(|value| value.value.as_ref()) {
            Some(Of::Contact(contact)) => assert!(contact.emails.is_empty(), "primary goes with an address"),
            _ => panic!("a contact"),
        }
        let bare = super::entries(&mapping(), 2, Some(&json!({ "id": "8", "name": "" }))).expect("fits");
        assert!(bare.len() == 1 && bare[0].0.is_none() && bare[0].1.item.is_none());
    }

    #[test]
    fn what_does_not_fit_is_named_by_column_and_field() {
        let reject = |column: &str, field: &str, reason| Reject {
            row: 3,
            column: (!column.is_empty()).then(|| column.to_owned()),
            field: field.into(),
            reason,
        };
        for (row, rejects) in [
            (None, vec![reject("", "", ErrorReason::FieldInvalid)]),
            (
                Some(json!({ "name": "Ada", "born": "long ago", "card": 4 })),
                vec![
                    reject("id", "subject.external_id", ErrorReason::FieldRequired),
                    reject("born", "item.value.contact.birth_date.year", ErrorReason::FieldInvalid),
                    reject("card", "item.value.payment", ErrorReason::FieldInvalid),
                ],
            ),
            // What the vault would refuse is named too, where the row is not sent for another fault.
            (
                Some(json!({ "id": "", "mail": "nobody", "card": { "token": "4242424242424242" } })),
                vec![
                    reject("id", "subject.external_id", ErrorReason::FieldRequired),
                    reject("mail", "item.value.contact.emails[0].address", ErrorReason::FieldInvalid),
                    reject("card", "item.value.payment.token", ErrorReason::CardNumberRefused),
                    reject("card", "item.value.payment.processor", ErrorReason::FieldRequired),
                ],
            ),
            (
                Some(json!({ "id": "x".repeat(257), "region": "y".repeat(64) })),
                vec![
                    reject("id", "subject.external_id", ErrorReason::FieldTooLong),
                    reject("region", "labels", ErrorReason::FieldTooLong),
                ],
            ),
        ] {
            assert_eq!(entries(&mapping(), 3, row.as_ref()).err(), Some(rejects));
        }
    }
}
