//! Values to test with: each with every field given.

use crate::base::time::Timestamp;
use crate::catalog::classes::contact::{Contact, EmailAddress, PhoneNumber};
use crate::catalog::classes::government_id::{GovernmentId, GovernmentIdType};
use crate::catalog::classes::payment::{CardBrand, Payment};
use crate::catalog::classes::postal_address::PostalAddress;
use crate::catalog::classes::{CanonicalValue, ItemValue};
use crate::catalog::fields::ContactKind;
use crate::catalog::fields::date::Date;
use crate::catalog::validate::Violations;

pub fn address() -> PostalAddress {
    PostalAddress {
        country_code: "DE".into(),
        lines: vec!["Am Füllgraben 3".into(), "Hinterhaus".into()],
        sublocality: "Altstadt".into(),
        locality: "Görlitz".into(),
        administrative_area: "Sachsen".into(),
        postal_code: "02826".into(),
        recipient: "Änne Großmüller".into(),
        organization: "Beispiel eG".into(),
        kind: ContactKind::Billing,
        label: "Büro".into(),
        primary: true,
    }
}

pub fn contact() -> Contact {
    Contact {
        full_name: "Änne Großmüller".into(),
        given_name: "Änne".into(),
        family_name: "Großmüller".into(),
        emails: vec![EmailAddress {
            address: "aenne@example.com".into(),
            kind: ContactKind::Home,
            label: "privat".into(),
            primary: true,
            verify_time: Some(Timestamp::from_millis(1_700_000_000_000)),
        }],
        phones: vec![PhoneNumber {
            number: "+493023125042".into(),
            kind: ContactKind::Work,
            label: "Zentrale".into(),
            primary: true,
            extension: "42".into(),
            verify_time: None,
        }],
        addresses: vec![address()],
        birth_date: Some(Date::new(1980, 2, 29)),
        language_code: "de-DE".into(),
    }
}

pub fn government_id() -> GovernmentId {
    GovernmentId {
        kind: GovernmentIdType::Passport,
        country_code: "DE".into(),
        number: "C01X00T47".into(),
        issue_date: Some(Date::new(2020, 3, 1)),
        expiry_date: Some(Date::new(2030, 2, 28)),
        issuing_authority: "Stadt Görlitz".into(),
        printed_name: "GROSSMUELLER ÄNNE".into(),
    }
}

pub fn payment() -> Payment {
    Payment {
        processor: "stripe".into(),
        token: "tok_visa".into(),
        brand: CardBrand::Visa,
        last_four: "4242".into(),
        expiry_month: 11,
        expiry_year: 2029,
        billing_address: Some(address()),
        cardholder_name: "Änne Großmüller".into(),
    }
}

pub fn all() -> [ItemValue; 3] {
    [ItemValue::Contact(contact()), ItemValue::GovernmentId(government_id()), ItemValue::Payment(payment())]
}

pub fn valid(value: ItemValue) -> CanonicalValue {
    value.validate().unwrap_or_else(|violations| panic!("{violations:?}"))
}

/// The violations as `path: reason`.
pub fn refused(value: ItemValue) -> Vec<String> {
    let lines = |violations: Violations| violations.iter().map(|v| format!("{}: {:?}", v.path, v.reason)).collect();
    value.validate().err().map(lines).unwrap_or_default()
}

/// What the store would hold: the one way to compare two values.
pub fn bytes(value: &CanonicalValue) -> Vec<u8> {
    value.encode().expose().to_vec()
}
