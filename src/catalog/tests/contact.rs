use proptest::prelude::*;

use super::samples::{self, bytes, refused, valid};
use crate::catalog::class::{Identifier, IdentifierField};
use crate::catalog::classes::contact::{Contact, EmailAddress, PhoneNumber};
use crate::catalog::classes::postal_address::PostalAddress;
use crate::catalog::classes::{CanonicalValue, ItemValue};
use crate::catalog::fields::date::Date;

fn email(address: &str) -> EmailAddress {
    EmailAddress { address: address.into(), ..Default::default() }
}

fn phone(number: &str) -> PhoneNumber {
    PhoneNumber { number: number.into(), ..Default::default() }
}

fn named(name: &str) -> Contact {
    Contact { full_name: name.into(), ..Default::default() }
}

#[test]
fn values_are_stored_in_their_canonical_form() {
    let given = ItemValue::Contact(Contact {
        full_name: "  Ana María Lopes ".into(),
        emails: vec![email(" Ana@EXAMPLE.com ")],
        phones: vec![phone("+1 (212) 555-0143")],
        addresses: vec![PostalAddress { country_code: "us".into(), ..Default::default() }],
        language_code: "PT-br".into(),
        ..Default::default()
    });
    let value = valid(given);
    let ItemValue::Contact(contact) = value.value() else { panic!("still a contact") };
    assert_eq!(contact.full_name.expose(), "Ana María Lopes");
    assert_eq!(contact.emails[0].address.expose(), "Ana@example.com");
    assert_eq!(contact.phones[0].number.expose(), "+12125550143");
    assert_eq!(contact.addresses[0].country_code.expose(), "US");
    assert_eq!(contact.language_code.expose(), "pt-BR");
}

#[test]
fn names_of_any_script_are_accepted() {
    for name in ["李", "Nguyễn Thị Ngọc Ánh", "עַלְמָה בן־הררי", "می‌گل", "ნათია", "🦊 Fox", "Zoe\u{308}", "O’Brien-Smith"]
    {
        assert_eq!(refused(ItemValue::Contact(named(name))), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn refusals_name_the_field_and_the_reason() {
    let too_many = (0..17).map(|i| email(&format!("a{i}@example.com"))).collect();
    let primary = |address| EmailAddress { primary: true, ..email(address) };
    for (contact, expected) in [
        (Contact::default(), ": Required"),
        (named(" \u{3000}"), ": Required"),
        (named("a\0b"), "full_name: Character"),
        (named("a\u{202e}b"), "full_name: Character"),
        (named("a\nb"), "full_name: Character"),
        (named(&"é".repeat(257)), "full_name: TooLong"),
        (named(&"x".repeat(10 << 20)), "full_name: TooLong"),
        (Contact { given_name: "x".repeat(257).as_str().into(), ..Default::default() }, "given_name: TooLong"),
        (
            Contact { emails: vec![email("a@example.com"), email("")], ..Default::default() },
            "emails[1].address: Required",
        ),
        (Contact { emails: vec![email("a@b@")], ..Default::default() }, "emails[0].address: Malformed"),
        (Contact { emails: too_many, ..Default::default() }, "emails: TooMany"),
        (
            Contact { emails: vec![primary("a@example.com"), primary("b@example.com")], ..Default::default() },
            "emails[1].primary: Conflict",
        ),
        (Contact { phones: vec![phone("2125550143")], ..Default::default() }, "phones[0].number: Malformed"),
        (
            Contact {
                phones: vec![PhoneNumber { extension: "x".into(), ..phone("+12125550143") }],
                ..Default::default()
            },
            "phones[0].extension: Malformed",
        ),
        (
            Contact { addresses: vec![PostalAddress::default()], ..Default::default() },
            "addresses[0].country_code: Required",
        ),
        (
            Contact {
                addresses: vec![PostalAddress { country_code: "UK".into(), ..Default::default() }],
                ..Default::default()
            },
            "addresses[0].country_code: Malformed",
        ),
        (
            Contact {
                addresses: vec![PostalAddress { lines: vec!["ok".into(), "\u{7}".into()], ..samples::address() }],
                ..Default::default()
            },
            "addresses[0].lines[1]: Character",
        ),
        (Contact { birth_date: Some(Date::new(1981, 2, 29)), ..Default::default() }, "birth_date: OutOfRange"),
        (Contact { birth_date: Some(Date::default()), ..Default::default() }, "birth_date: Malformed"),
        (Contact { language_code: "english language".into(), ..Default::default() }, "language_code: Malformed"),
    ] {
        assert_eq!(refused(ItemValue::Contact(contact)), [expected]);
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once() {
    let contact = Contact { emails: vec![email("a"), email("b@example.com\u{202e}")], ..named("\0") };
    let expected = ["full_name: Character", "emails[0].address: Malformed", "emails[1].address: Character"];
    assert_eq!(refused(ItemValue::Contact(contact)), expected);
}

#[test]
fn emails_and_phones_are_identifiers_each_once() {
    let contact = Contact {
        emails: vec![email("Ana@Example.com"), email("ana@example.com"), email("b@example.com")],
        phones: vec![phone("+44 (0)20 7946 0958"), phone("+442079460958")],
        ..Default::default()
    };
    let found = valid(ItemValue::Contact(contact)).identifiers();
    let found: Vec<_> = found.iter().map(|i| (i.field, i.value.expose())).collect();
    let expected = [
        (IdentifierField::Email, "ana@example.com"),
        (IdentifierField::Email, "b@example.com"),
        (IdentifierField::Phone, "+442079460958"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_is_looked_for_is_canonical_first() {
    let email = |text: &str| Identifier::email(text).map(|i| i.value.expose().to_owned());
    assert_eq!(email(" ANA@EXAMPLE.COM").as_deref(), Some("ana@example.com"));
    assert_eq!(email("ana"), None);
    assert_eq!(email(&format!("{}@example.com", "a".repeat(1 << 20))), None);
    let phone = |text: &str| Identifier::phone(text).map(|i| i.value.expose().to_owned());
    assert_eq!(phone("+44 20 7946-0958 ").as_deref(), Some("+442079460958"));
    assert_eq!(phone("020 7946 0958"), None);
}

proptest! {
    #[test]
    fn canonicalising_twice_changes_nothing(
        name in "\\PC{0,40}",
        local in "[A-Za-z0-9.+_'é日-]{1,20}",
        domain in "[A-Za-zäßж例0-9-]{1,12}\\.[A-Za-z]{2,6}",
        number in "\\+[0-9() ./-]{3,20}",
        country in "[A-Za-z]{2}",
        language in "[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8}){0,3}",
    ) {
        // Each alone, so that one that is refused does not hide the others.
        for contact in [
            named(&name),
            Contact { emails: vec![email(&format!("{local}@{domain}"))], ..Default::default() },
            Contact { phones: vec![phone(&number)], ..Default::default() },
            Contact {
                addresses: vec![PostalAddress { country_code: country.as_str().into(), ..Default::default() }],
                ..Default::default()
            },
            Contact { language_code: language.as_str().into(), ..Default::default() },
        ] {
            let Ok(once) = ItemValue::Contact(contact).validate() else { continue };
            let first = bytes(&once);
            let twice = valid(once.into_value());
            prop_assert_eq!(&bytes(&twice), &first);
            let stored = CanonicalValue::decode(twice.class().id, &first).expect("what was encoded is read");
            prop_assert_eq!(bytes(&stored), first);
        }
    }

    #[test]
    fn any_text_is_judged_without_a_panic(text: String) {
        let parts = |text: &str| PostalAddress { country_code: text.into(), lines: vec![text.into()], ..Default::default() };
        let _ = ItemValue::Contact(Contact {
            emails: vec![email(&text), email(&format!("a@{text}")), email(&format!("{text}@example.com"))],
            phones: vec![phone(&text), phone(&format!("+{text}")), phone(&format!("+44{text}"))],
            addresses: vec![parts(&text)],
            language_code: text.as_str().into(),
            ..named(&text)
        })
        .validate();
        let _ = (Identifier::email(&text), Identifier::phone(&text));
    }
}
