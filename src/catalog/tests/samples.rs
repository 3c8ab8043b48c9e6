//! Values to test with: each with every field given.

use crate::base::id::ItemId;
use crate::base::secret::Key;
use crate::base::time::Timestamp;
use crate::catalog::classes::access_event::AccessEvent;
use crate::catalog::classes::communication::{Channel, Communication, Direction};
use crate::catalog::classes::contact::{Contact, EmailAddress, PhoneNumber};
use crate::catalog::classes::document::Document;
use crate::catalog::classes::government_id::{GovernmentId, GovernmentIdType};
use crate::catalog::classes::password::{Password, Verifier};
use crate::catalog::classes::payment::{CardBrand, Payment};
use crate::catalog::classes::postal_address::PostalAddress;
use crate::catalog::classes::usage_event::UsageEvent;
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

pub fn password() -> Password {
    let tag = Key::copied(&[9; 32]);
    let set = Timestamp::from_millis(1_700_000_000_000);
    let verifier = Verifier { memory_kib: 19_456, passes: 2, lanes: 1, salt: [8; 16], tag, set };
    Password { secret: "".into(), verifier: Some(verifier) }
}

pub fn communication() -> Communication {
    Communication {
        channel: Channel::Email,
        direction: Direction::Inbound,
        time: Some(Timestamp::from_millis(1_700_000_000_000)),
        participants: vec!["aenne@example.com".into(), "Hotline".into()],
        subject: "Rechnung für März".into(),
        body: "Guten Tag,\n\tdie Summe stimmt nicht.\n".into(),
        thread_id: "T-1042".into(),
    }
}

pub fn access_event() -> AccessEvent {
    AccessEvent {
        time: Some(Timestamp::from_millis(1_700_000_000_123)),
        ip_address: "2001:db8:7:1::42".into(),
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".into(),
        browser: "Firefox 128".into(),
        os: "Linux".into(),
        device_id: "d-81f2a77c".into(),
        page: "/konto/rechnungen?nr=17".into(),
        method: "GET".into(),
        status: 200,
    }
}

pub fn usage_event() -> UsageEvent {
    UsageEvent {
        time: Some(Timestamp::from_millis(1_700_000_000_000)),
        resource: "vm-aenne".into(),
        quantity: "12.5".into(),
        unit: "GiB.h".into(),
        region: "eu-central".into(),
        end_time: Some(Timestamp::from_millis(1_700_003_600_000)),
    }
}

pub fn document() -> Document {
    Document {
        media_type: "image/jpeg".into(),
        file_name: "Pass Änne.jpg".into(),
        size_bytes: 123_456,
        sha256: [7; 32],
        related_item: Some(ItemId::from_bytes([5; 16])),
        content: None,
    }
}

/// One of each class, in the order of the list of classes.
pub fn all() -> [ItemValue; 8] {
    [
        ItemValue::Contact(contact()),
        ItemValue::GovernmentId(government_id()),
        ItemValue::Payment(payment()),
        ItemValue::Password(password()),
        ItemValue::Communication(communication()),
        ItemValue::AccessEvent(access_event()),
        ItemValue::UsageEvent(usage_event()),
        ItemValue::Document(document()),
    ]
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
