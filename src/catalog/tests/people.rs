//! The shipped sample: every row is valid in every class.

use std::collections::BTreeSet;

use serde_json::Value;

use super::samples::valid;
use crate::catalog::classes::contact::{Contact, EmailAddress, PhoneNumber};
use crate::catalog::classes::government_id::{GovernmentId, GovernmentIdType};
use crate::catalog::classes::payment::{CardBrand, Payment};
use crate::catalog::classes::postal_address::PostalAddress;
use crate::catalog::classes::{CLASSES, ItemValue};
use crate::catalog::fields::ContactKind;
use crate::catalog::fields::date::Date;
use crate::catalog::text::Text;

const PEOPLE: &str = include_str!("../../../examples/people.jsonl");

/// Takes known fields out of a JSON object; what is left at the end is a field the contract does not have.
struct Fields(serde_json::Map<String, Value>);

impl Fields {
    fn of(value: Value) -> Self {
        let Value::Object(fields) = value else { panic!("an object") };
        Self(fields)
    }

    fn text(&mut self, name: &str) -> Text {
        self.0.remove(name).map_or(Text::default(), |value| value.as_str().expect("a text").into())
    }

    fn number(&mut self, name: &str) -> i64 {
        self.0.remove(name).map_or(0, |value| value.as_i64().expect("a number"))
    }

    fn flag(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some_and(|value| value.as_bool().expect("a flag"))
    }

    fn list<T>(&mut self, name: &str, each: fn(Self) -> T) -> Vec<T> {
        let Some(value) = self.0.remove(name) else { return Vec::new() };
        value.as_array().expect("a list").iter().cloned().map(Self::of).map(each).collect()
    }

    fn part<T>(&mut self, name: &str, each: fn(Self) -> T) -> Option<T> {
        self.0.remove(name).map(Self::of).map(each)
    }

    fn choice<T: Copy + std::fmt::Debug + Default>(&mut self, name: &str, prefix: &str, all: &[T]) -> T {
        let Some(value) = self.0.remove(name) else { return T::default() };
        let wanted = value.as_str().expect("a name").strip_prefix(prefix).expect("the prefix").replace('_', "");
        *all.iter().find(|choice| format!("{choice:?}").to_uppercase() == wanted).expect("a choice of the contract")
    }

    fn end<T>(self, value: T) -> T {
        assert!(self.0.is_empty(), "unknown fields {:?}", self.0.keys());
        value
    }
}

fn kind(fields: &mut Fields) -> ContactKind {
    fields.choice("kind", "CONTACT_KIND_", ContactKind::ALL)
}

fn date(mut fields: Fields) -> Date {
    let part = |fields: &mut Fields, name: &str| i32::try_from(fields.number(name)).expect("a small number");
    let date = Date::new(part(&mut fields, "year"), part(&mut fields, "month"), part(&mut fields, "day"));
    fields.end(date)
}

fn address(mut fields: Fields) -> PostalAddress {
    let lines = fields.0.remove("lines").expect("lines");
    let address = PostalAddress {
        country_code: fields.text("country_code"),
        lines: lines.as_array().expect("a list").iter().map(|line| line.as_str().expect("a text").into()).collect(),
        locality: fields.text("locality"),
        administrative_area: fields.text("administrative_area"),
        postal_code: fields.text("postal_code"),
        kind: kind(&mut fields),
        primary: fields.flag("primary"),
        ..Default::default()
    };
    fields.end(address)
}

fn email(mut fields: Fields) -> EmailAddress {
    let email = EmailAddress {
        address: fields.text("address"),
        kind: kind(&mut fields),
        label: fields.text("label"),
        primary: fields.flag("primary"),
        verify_time: None,
    };
    fields.end(email)
}

fn phone(mut fields: Fields) -> PhoneNumber {
    let phone = PhoneNumber {
        number: fields.text("number"),
        kind: kind(&mut fields),
        extension: fields.text("extension"),
        ..Default::default()
    };
    fields.end(phone)
}

fn contact(mut fields: Fields) -> Contact {
    let contact = Contact {
        full_name: fields.text("full_name"),
        given_name: fields.text("given_name"),
        family_name: fields.text("family_name"),
        emails: fields.list("emails", email),
        phones: fields.list("phones", phone),
        addresses: fields.list("addresses", address),
        birth_date: fields.part("birth_date", date),
        language_code: fields.text("language_code"),
    };
    fields.end(contact)
}

fn government_id(mut fields: Fields) -> GovernmentId {
    let id = GovernmentId {
        kind: fields.choice("type", "GOVERNMENT_ID_TYPE_", GovernmentIdType::ALL),
        country_code: fields.text("country_code"),
        number: fields.text("number"),
        issue_date: fields.part("issue_date", date),
        expiry_date: fields.part("expiry_date", date),
        issuing_authority: fields.text("issuing_authority"),
        printed_name: fields.text("printed_name"),
    };
    fields.end(id)
}

fn payment(mut fields: Fields) -> Payment {
    let number = |fields: &mut Fields, name: &str| u32::try_from(fields.number(name)).expect("a small number");
    let payment = Payment {
        processor: fields.text("processor"),
        token: fields.text("token"),
        brand: fields.choice("brand", "CARD_BRAND_", CardBrand::ALL),
        last_four: fields.text("last_four"),
        expiry_month: number(&mut fields, "expiry_month"),
        expiry_year: number(&mut fields, "expiry_year"),
        billing_address: fields.part("billing_address", address),
        cardholder_name: fields.text("cardholder_name"),
    };
    fields.end(payment)
}

#[test]
fn every_row_is_valid_and_distinct() {
    let (mut ids, mut countries, mut identifiers) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for line in PEOPLE.lines() {
        let mut row = Fields::of(serde_json::from_str(line).expect("JSON"));
        assert!(ids.insert(row.text("external_id").expose().to_owned()), "external ids are unique");
        let mut labels = Fields::of(row.0.remove("labels").expect("labels"));
        assert!(!labels.text("region").is_empty() && !labels.text("segment").is_empty());
        labels.end(());
        let person = row.part("contact", contact).expect("a contact");
        countries.insert(person.addresses[0].country_code.expose().to_owned());
        let values = [
            ItemValue::Contact(person),
            ItemValue::GovernmentId(row.part("government_id", government_id).expect("a document")),
            ItemValue::Payment(row.part("payment", payment).expect("a payment")),
        ];
        row.end(());
        for (value, class) in values.into_iter().zip(CLASSES) {
            let value = valid(value);
            assert_eq!(value.class().id, class.id);
            for identifier in value.identifiers() {
                identifiers.insert((identifier.field, identifier.value.expose().to_owned()));
            }
        }
    }
    assert_eq!(ids.len(), 300);
    assert!(countries.len() >= 15, "{}", countries.len());
    assert!(identifiers.len() >= 2 * ids.len(), "a person has an email and a document of their own");
}

#[test]
fn the_sample_is_small_and_in_reserved_ranges() {
    assert!(PEOPLE.len() < 300_000);
    for line in PEOPLE.lines() {
        let row: Value = serde_json::from_str(line).expect("JSON");
        for email in row["contact"]["emails"].as_array().expect("emails") {
            let domain = email["address"].as_str().and_then(|a| a.rsplit_once('@')).expect("an address").1;
            assert!(["example.com", "example.org", "example.net", "mail.example.com"].contains(&domain), "{domain}");
        }
        for phone in row["contact"]["phones"].as_array().expect("phones") {
            let number = phone["number"].as_str().expect("a number");
            assert!(RESERVED.iter().any(|range| number.starts_with(range)), "{number}");
        }
    }
}

/// Ranges that numbering authorities set aside for fiction: NANP 555-01xx, Ofcom, Arcep, ACMA, ComReg,
/// Bundesnetzagentur, PTS.
const RESERVED: &[&str] = &[
    "+121255501",
    "+131255501",
    "+141555501",
    "+164655501",
    "+170255501",
    "+180855501",
    "+141655501",
    "+151455501",
    "+160455501",
    "+442079460",
    "+447700900",
    "+3319900",
    "+3326191",
    "+3335301",
    "+3346571",
    "+3353649",
    "+3363998",
    "+6125550",
    "+61491570",
    "+35320910",
    "+493023125",
    "+464062804",
];
