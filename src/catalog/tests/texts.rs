//! Every text field of every class: what it takes, that its canonical form is final, and how much of it each view shows.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::samples::{self, bytes, valid};
use crate::catalog::class::Selection;
use crate::catalog::classes::postal_address::PostalAddress;
use crate::catalog::classes::{CLASSES, CanonicalValue, ItemValue};
use crate::catalog::mask::Masker;
use crate::catalog::sight::Sight;
use crate::catalog::text::Text;
use crate::catalog::view::View;

/// What a field takes.
#[derive(Clone, Copy, PartialEq)]
enum Takes {
    /// A line of any script.
    Line,
    /// Lines of any script.
    Lines,
    /// A form of its own: a number, a code, an address.
    Form,
    /// What a password may be.
    Secret,
}
use Takes::{Form, Line, Lines, Secret};

/// All of it.
const ALL: usize = usize::MAX;

/// Class, field, what it takes, and how many characters of one word are left under `LAST4` and under `MASKED`.
#[rustfmt::skip] // a table
const TEXTS: &[(&str, &str, Takes, usize, usize)] = &[
    ("contact", "full_name", Line, 0, 1),
    ("contact", "given_name", Line, 0, 1),
    ("contact", "family_name", Line, 0, 1),
    ("contact", "emails.address", Form, 0, 1),
    ("contact", "emails.label", Line, 0, 0),
    ("contact", "phones.number", Form, 4, 4),
    ("contact", "phones.label", Line, 0, 0),
    ("contact", "phones.extension", Form, 0, 0),
    ("contact", "addresses.country_code", Form, 0, ALL),
    ("contact", "addresses.lines", Line, 0, 0),
    ("contact", "addresses.sublocality", Line, 0, 0),
    ("contact", "addresses.locality", Line, 0, 1),
    ("contact", "addresses.administrative_area", Line, 0, 1),
    ("contact", "addresses.postal_code", Line, 0, 0),
    ("contact", "addresses.recipient", Line, 0, 1),
    ("contact", "addresses.organization", Line, 0, 1),
    ("contact", "addresses.label", Line, 0, 0),
    ("contact", "language_code", Form, 0, ALL),
    ("government_id", "country_code", Form, 0, ALL),
    ("government_id", "number", Form, 4, 4),
    ("government_id", "issuing_authority", Line, 0, 0),
    ("government_id", "printed_name", Line, 0, 1),
    ("payment", "processor", Line, 0, ALL),
    ("payment", "token", Line, 0, 0),
    ("payment", "last_four", Form, ALL, ALL),
    ("payment", "billing_address.country_code", Form, 0, ALL),
    ("payment", "billing_address.lines", Line, 0, 0),
    ("payment", "billing_address.sublocality", Line, 0, 0),
    ("payment", "billing_address.locality", Line, 0, 1),
    ("payment", "billing_address.administrative_area", Line, 0, 1),
    ("payment", "billing_address.postal_code", Line, 0, 0),
    ("payment", "billing_address.recipient", Line, 0, 1),
    ("payment", "billing_address.organization", Line, 0, 1),
    ("payment", "billing_address.label", Line, 0, 0),
    ("payment", "cardholder_name", Line, 0, 1),
    ("password", "secret", Secret, 0, 0),
    ("communication", "participants", Line, 0, 0),
    ("communication", "subject", Line, 0, 0),
    ("communication", "body", Lines, 0, 0),
    ("communication", "thread_id", Line, 0, 0),
    ("access_event", "ip_address", Form, 0, 0),
    ("access_event", "user_agent", Line, 0, 0),
    ("access_event", "browser", Line, 0, ALL),
    ("access_event", "os", Line, 0, ALL),
    ("access_event", "device_id", Line, 4, 4),
    ("access_event", "page", Line, 0, 0),
    ("access_event", "method", Form, 0, ALL),
    ("usage_event", "resource", Line, 0, 0),
    ("usage_event", "quantity", Form, 0, ALL),
    ("usage_event", "unit", Line, 0, ALL),
    ("usage_event", "region", Line, 0, ALL),
    ("document", "media_type", Form, 0, ALL),
    ("document", "file_name", Line, 0, 0),
];

/// The fields that are no texts.
const OTHERS: &[&str] = &[
    "emails.kind",
    "emails.primary",
    "emails.verify_time",
    "phones.kind",
    "phones.primary",
    "phones.verify_time",
    "addresses.kind",
    "addresses.primary",
    "billing_address.kind",
    "billing_address.primary",
    "birth_date",
    "type",
    "issue_date",
    "expiry_date",
    "brand",
    "expiry_month",
    "expiry_year",
    "set_time",
    "channel",
    "direction",
    "time",
    "end_time",
    "status",
    "size_bytes",
    "sha256",
    "related_item_id",
];

/// The texts of a field, as the contract names it.
fn texts_of<'v>(value: &'v mut ItemValue, field: &str) -> Vec<&'v mut Text> {
    let (part, leaf) = field.split_once('.').unwrap_or(("", field));
    match (value, part) {
        (ItemValue::Contact(contact), "addresses") => {
            contact.addresses.iter_mut().flat_map(|it| of(it, leaf)).collect()
        }
        (ItemValue::Payment(payment), "billing_address") => {
            payment.billing_address.iter_mut().flat_map(|it| of(it, leaf)).collect()
        }
        (ItemValue::Contact(contact), _) => match field {
            "full_name" => vec![&mut contact.full_name],
            "given_name" => vec![&mut contact.given_name],
            "family_name" => vec![&mut contact.family_name],
            "emails.address" => contact.emails.iter_mut().map(|email| &mut email.address).collect(),
            "emails.label" => contact.emails.iter_mut().map(|email| &mut email.label).collect(),
            "phones.number" => contact.phones.iter_mut().map(|phone| &mut phone.number).collect(),
            "phones.label" => contact.phones.iter_mut().map(|phone| &mut phone.label).collect(),
            "phones.extension" => contact.phones.iter_mut().map(|phone| &mut phone.extension).collect(),
            "language_code" => vec![&mut contact.language_code],
            other => panic!("{other}"),
        },
        (ItemValue::GovernmentId(id), _) => match field {
            "country_code" => vec![&mut id.country_code],
            "number" => vec![&mut id.number],
            "issuing_authority" => vec![&mut id.issuing_authority],
            "printed_name" => vec![&mut id.printed_name],
            other => panic!("{other}"),
        },
        (ItemValue::Payment(payment), _) => match field {
            "processor" => vec![&mut payment.processor],
            "token" => vec![&mut payment.token],
            "last_four" => vec![&mut payment.last_four],
            "cardholder_name" => vec![&mut payment.cardholder_name],
            other => panic!("{other}"),
        },
        (ItemValue::Password(password), _) => vec![&mut password.secret],
        (ItemValue::Communication(message), _) => match field {
            "participants" => message.participants.iter_mut().collect(),
            "subject" => vec![&mut message.subject],
            "body" => vec![&mut message.body],
            "thread_id" => vec![&mut message.thread_id],
            other => panic!("{other}"),
        },
        (ItemValue::AccessEvent(visit), _) => match field {
            "ip_address" => vec![&mut visit.ip_address],
            "user_agent" => vec![&mut visit.user_agent],
            "browser" => vec![&mut visit.browser],
            "os" => vec![&mut visit.os],
            "device_id" => vec![&mut visit.device_id],
            "page" => vec![&mut visit.page],
            "method" => vec![&mut visit.method],
            other => panic!("{other}"),
        },
        (ItemValue::UsageEvent(usage), _) => match field {
            "resource" => vec![&mut usage.resource],
            "quantity" => vec![&mut usage.quantity],
            "unit" => vec![&mut usage.unit],
            "region" => vec![&mut usage.region],
            other => panic!("{other}"),
        },
        (ItemValue::Document(document), _) => match field {
            "media_type" => vec![&mut document.media_type],
            "file_name" => vec![&mut document.file_name],
            other => panic!("{other}"),
        },
    }
}

fn of<'a>(address: &'a mut PostalAddress, field: &str) -> Vec<&'a mut Text> {
    match field {
        "country_code" => vec![&mut address.country_code],
        "lines" => address.lines.iter_mut().collect(),
        "sublocality" => vec![&mut address.sublocality],
        "locality" => vec![&mut address.locality],
        "administrative_area" => vec![&mut address.administrative_area],
        "postal_code" => vec![&mut address.postal_code],
        "recipient" => vec![&mut address.recipient],
        "organization" => vec![&mut address.organization],
        "label" => vec![&mut address.label],
        other => panic!("{other}"),
    }
}

/// A sample of a class with a text in one field, everywhere that field is.
fn with(class: &str, field: &str, text: &str) -> ItemValue {
    let mut value = samples::all().into_iter().find(|value| value.class().id.as_str() == class).expect("a class");
    if let ItemValue::Password(password) = &mut value {
        password.verifier = None;
    }
    let texts = texts_of(&mut value, field);
    assert!(!texts.is_empty(), "{class}.{field}: the sample has one");
    texts.into_iter().for_each(|place| *place = text.into());
    value
}

fn texts_in(value: &mut ItemValue, field: &str) -> Vec<String> {
    texts_of(value, field).into_iter().map(|text| text.expose().to_owned()).collect()
}

#[test]
fn every_text_field_of_every_class_is_in_the_table() {
    for class in CLASSES {
        let of_class = TEXTS.iter().filter(|(of, ..)| *of == class.id.as_str()).map(|(_, field, ..)| *field);
        let listed: BTreeSet<&str> =
            of_class.chain(OTHERS.iter().copied().filter(|f| class.fields.contains(f))).collect();
        let all: BTreeSet<&str> = class.fields.iter().copied().collect();
        assert_eq!(listed, all, "{}", class.id);
    }
}

#[test]
fn what_people_write_is_accepted_as_it_is() {
    let mut wrong = Vec::new();
    for (class, field, takes, ..) in TEXTS {
        for text in
            ["Zoe\u{308}", "n\u{303}a\u{301}\u{316}", "عَلِيّ \u{200f}(علي)", "שלום", "👩🏽\u{200d}🔬", "𠮷野家", "a\u{a0}b"]
        {
            let given = with(class, field, text);
            match (given.validate(), takes) {
                (Ok(value), Line | Lines) => {
                    let stored = texts_in(&mut value.into_value(), field);
                    if !stored.iter().all(|stored| stored == text) {
                        wrong.push(format!("{class}.{field} changes {text:?}"));
                    }
                }
                // Whether a form takes it depends on the form; where it is refused, it is by its name.
                (Err(violations), Form | Secret) if is_named(field, &violations) => {}
                (Err(violations), _) => wrong.push(format!("{class}.{field} refuses {text:?}: {violations:?}")),
                (Ok(_), Form | Secret) => {}
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn what_harms_is_refused_by_field() {
    let (long, mut wrong) = ("x".repeat(10 << 20), Vec::new());
    for (class, field, takes, ..) in TEXTS {
        let mut harmful = vec!["a\u{fffe}b", "a\u{fdd0}b", &long];
        match takes {
            Secret => {}
            Lines => harmful.extend(["a\0b", "a\u{1b}[2Jb", "a\u{7f}b"]),
            Line | Form => {
                harmful.extend(["a\0b", "a\u{1b}[2Jb", "a\nb", "a\u{2028}b", "a\u{202e}b", "a\u{2066}b", "a\u{feff}b"])
            }
        }
        for text in harmful {
            let start: String = text.chars().take(9).collect();
            match with(class, field, text).validate() {
                Err(violations) if is_named(field, &violations) => {}
                Err(violations) => wrong.push(format!("{class}.{field} {start:?}: {violations:?}")),
                Ok(_) => wrong.push(format!("{class}.{field} takes {start:?}")),
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Whether every violation is of this field, or of what it is part of.
fn is_named(field: &str, violations: &crate::catalog::validate::Violations) -> bool {
    violations.iter().all(|violation| {
        let path = violation.path.to_string();
        let without_indexes: String = path.split('[').map(|part| part.rsplit(']').next().unwrap_or(part)).collect();
        without_indexes == field
    })
}

#[test]
fn how_much_each_view_shows_of_each_field() {
    let mut wrong = Vec::new();
    // No character twice, and none that a mask uses.
    for text in ["abcdefghijklm", "Ωψχφυτσρπο", "0123456789", "日月火水木金土山川"] {
        for (class, field, _, last_four, masked) in TEXTS {
            let is_mailbox = *field == "emails.address";
            let given = if is_mailbox { format!("{text}@example.com") } else { text.to_owned() };
            let value = with(class, field, &given);
            for (view, most) in [(View::Exists, 0), (View::Last4, *last_four), (View::Masked, *masked)] {
                let sight = Sight::from(view);
                let mut shown = value.masked(&mut Masker::new(&sight, &Selection::ALL));
                for shown in texts_in(&mut shown, field) {
                    let own = if is_mailbox { shown.strip_suffix("@example.com").unwrap_or(&shown) } else { &shown };
                    let visible = own.chars().filter(|c| text.contains(*c)).count();
                    let is_whole = most != ALL || view == View::Exists || shown == given;
                    if visible > most || !is_whole {
                        wrong.push(format!("{class}.{field} shows {visible} characters under {view}"));
                    }
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

proptest! {
    #[test]
    fn canonicalising_any_text_of_any_field_twice_changes_nothing(
        at in 0..TEXTS.len(),
        text in "\\PC{0,40}| ?[a-zA-Z0-9@.:/+ -]{1,30} ?|[0-9٠-٩０-９ .-]{1,24}|[ß-žﬀ-ﬆ\u{300}-\u{36f}a-z]{1,20}",
    ) {
        let (class, field, ..) = TEXTS[at];
        let Ok(mut once) = with(class, field, &text).validate() else { return Ok(()) };
        if class == "password" {
            let secret = once.take_secret().expect("a secret");
            let again = with(class, field, secret.expose()).validate().expect("is valid").take_secret();
            let again = again.expect("a secret");
            prop_assert_eq!(again.expose(), secret.expose());
            return Ok(());
        }
        let first = bytes(&once);
        let twice = valid(once.into_value());
        prop_assert_eq!(&bytes(&twice), &first);
        let stored = CanonicalValue::decode(twice.class().id, &first).expect("what was encoded is read");
        prop_assert_eq!(bytes(&stored), first);
    }
}
