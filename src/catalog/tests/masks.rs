use proptest::prelude::*;

use super::samples;
use crate::catalog::class::Selection;
use crate::catalog::classes::access_event::AccessEvent;
use crate::catalog::classes::document::Document;
use crate::catalog::classes::postal_address::PostalAddress;
use crate::catalog::classes::{CLASSES, CanonicalValue, ItemValue, hidden_fields, password};
use crate::catalog::mask::{self, Masker};
use crate::catalog::sight::{FieldCaps, Sight};
use crate::catalog::text::Text;
use crate::catalog::view::View;

fn shown(value: &CanonicalValue, view: View) -> (ItemValue, Vec<String>) {
    let (masked, paths) = value.mask(&view.into(), &Selection::ALL);
    (masked.expect("shown above EXISTS"), paths.iter().map(|altered| altered.path.to_string()).collect())
}

/// Samples of every class of which anything can be shown.
fn shown_samples() -> impl Iterator<Item = CanonicalValue> {
    samples::all().map(samples::valid).into_iter().filter(|value| value.class().view_max() == View::Plain)
}

#[test]
fn nothing_of_a_password_is_shown_under_any_view() {
    for view in View::ALL {
        let (value, sight) = (|| samples::valid(ItemValue::Password(samples::password())), Sight::from(view));
        assert!(value().mask(&sight, &Selection::ALL).0.is_none(), "{view}");
        assert!(value().show(&sight, &Selection::ALL).0.is_none(), "{view}");
        let mut masker = Masker::new(&sight, &Selection::ALL);
        let ItemValue::Password(masked) = value().value().masked(&mut masker) else { panic!("a password") };
        assert!(masked.secret.is_empty() && masked.verifier.is_none(), "{view}");
        assert!(hidden_fields(password::ID, &sight).is_empty(), "{view}");
    }
}

fn lists(texts: &[Text]) -> Vec<&str> {
    texts.iter().map(Text::expose).collect()
}

#[test]
fn exists_shows_nothing() {
    for value in samples::all() {
        let (masked, paths) = samples::valid(value).mask(&View::Exists.into(), &Selection::ALL);
        assert!(masked.is_none() && paths.is_empty());
    }
}

#[test]
fn a_value_is_shown_whole_under_plain_and_with_every_field_only() {
    for value in shown_samples() {
        let bytes = samples::bytes(&value);
        let (Some(plain), paths) = value.show(&View::Plain.into(), &Selection::ALL) else { panic!("shown") };
        assert_eq!(samples::bytes(&samples::valid(plain)), bytes);
        assert!(paths.is_empty());
    }
    let contact = || samples::valid(ItemValue::Contact(samples::contact()));
    let part = contact().class().select(["full_name"]);
    let (Some(ItemValue::Contact(part)), _) = contact().show(&View::Plain.into(), &part) else { panic!("a contact") };
    assert_eq!(part.full_name.expose(), "Änne Großmüller");
    assert!(part.given_name.is_empty() && part.emails.is_empty() && part.birth_date.is_none());
    let (Some(ItemValue::Contact(masked)), paths) = contact().show(&View::Masked.into(), &Selection::ALL) else {
        panic!("a contact")
    };
    assert_eq!(masked.full_name.expose(), "Ä*** G*********");
    assert!(!paths.is_empty());
    assert!(contact().show(&View::Exists.into(), &Selection::ALL).0.is_none());
}

#[test]
fn plain_shows_everything() {
    for value in shown_samples() {
        let (plain, paths) = shown(&value, View::Plain);
        assert_eq!(samples::bytes(&samples::valid(plain)), samples::bytes(&value));
        assert!(paths.is_empty());
    }
}

#[test]
fn a_masked_contact_keeps_initials_domains_and_ends() {
    let (ItemValue::Contact(contact), paths) =
        shown(&samples::valid(ItemValue::Contact(samples::contact())), View::Masked)
    else {
        panic!("still a contact")
    };
    assert_eq!(contact.full_name.expose(), "Ä*** G*********");
    assert_eq!(contact.emails[0].address.expose(), "a****@example.com");
    assert_eq!(contact.emails[0].label.expose(), "******");
    assert!(contact.emails[0].primary && contact.emails[0].verify_time.is_none());
    assert_eq!(contact.phones[0].number.expose(), "*********5042");
    assert_eq!(contact.phones[0].extension.expose(), "**");
    assert_eq!(contact.addresses[0].country_code.expose(), "DE");
    assert_eq!(lists(&contact.addresses[0].lines), ["** ********** *", "**********"]);
    assert_eq!(contact.addresses[0].locality.expose(), "G******");
    assert_eq!(contact.addresses[0].postal_code.expose(), "*****");
    let born = contact.birth_date.as_ref().expect("a year");
    assert_eq!((born.year, born.month, born.day), (1980, 0, 0));
    assert_eq!(contact.language_code.expose(), "de-DE");
    let altered = [
        "full_name",
        "given_name",
        "family_name",
        "emails.address",
        "emails.label",
        "emails.verify_time",
        "phones.number",
        "phones.label",
        "phones.extension",
        "addresses.lines",
        "addresses.sublocality",
        "addresses.locality",
        "addresses.administrative_area",
        "addresses.postal_code",
        "addresses.recipient",
        "addresses.organization",
        "addresses.label",
        "birth_date",
    ];
    assert_eq!(paths, altered);
}

#[test]
fn last_four_of_a_contact_is_the_end_of_its_numbers() {
    let (ItemValue::Contact(contact), paths) =
        shown(&samples::valid(ItemValue::Contact(samples::contact())), View::Last4)
    else {
        panic!("still a contact")
    };
    assert_eq!(contact.phones[0].number.expose(), "*********5042");
    assert!(contact.full_name.is_empty() && contact.given_name.is_empty() && contact.language_code.is_empty());
    assert!(contact.emails.is_empty() && contact.addresses.is_empty() && contact.birth_date.is_none());
    assert!(contact.phones[0].label.is_empty() && contact.phones[0].extension.is_empty() && !contact.phones[0].primary);
    assert!(paths.contains(&"emails".to_owned()) && paths.contains(&"phones.number".to_owned()));
}

#[test]
fn a_document_shows_the_end_of_its_number() {
    let value = samples::valid(ItemValue::GovernmentId(samples::government_id()));
    let (ItemValue::GovernmentId(low), _) = shown(&value, View::Last4) else { panic!("still a document") };
    assert_eq!(low.number.expose(), "*****0T47");
    assert!(low.country_code.is_empty() && low.printed_name.is_empty() && low.expiry_date.is_none());
    assert_eq!(low.kind.code(), 0);
    let (ItemValue::GovernmentId(middle), _) = shown(&value, View::Masked) else { panic!("still a document") };
    assert_eq!(middle.number.expose(), "*****0T47");
    assert_eq!(middle.country_code.expose(), "DE");
    assert_eq!(middle.issuing_authority.expose(), "***** *******");
    assert_eq!(middle.printed_name.expose(), "G*********** Ä***");
    assert_eq!(middle.expiry_date.as_ref().map(|date| (date.year, date.month, date.day)), Some((2030, 0, 0)));
}

#[test]
fn a_payment_shows_its_last_four_and_never_its_token() {
    let value = samples::valid(ItemValue::Payment(samples::payment()));
    let (ItemValue::Payment(low), paths) = shown(&value, View::Last4) else { panic!("still a payment") };
    assert_eq!(low.last_four.expose(), "4242");
    assert!(low.processor.is_empty() && low.token.is_empty() && low.cardholder_name.is_empty());
    assert!(low.billing_address.is_none() && low.brand.code() == 0 && low.expiry_year == 0);
    assert!(paths.contains(&"billing_address".to_owned()) && !paths.contains(&"last_four".to_owned()));
    let (ItemValue::Payment(middle), _) = shown(&value, View::Masked) else { panic!("still a payment") };
    assert_eq!(middle.token.expose(), "********");
    assert_eq!(middle.last_four.expose(), "4242");
    assert_eq!((middle.expiry_month, middle.expiry_year), (0, 2029));
    assert_eq!(middle.billing_address.expect("an address").country_code.expose(), "DE");
}

#[test]
fn only_the_fields_asked_for_are_shown() {
    let value = samples::valid(ItemValue::Contact(samples::contact()));
    let selection = value.class().select(["emails.address", "birth_date", "no_such_field"]);
    let (Some(ItemValue::Contact(contact)), paths) = value.mask(&View::Masked.into(), &selection) else {
        panic!("a contact")
    };
    assert_eq!(contact.emails[0].address.expose(), "a****@example.com");
    assert!(contact.emails[0].label.is_empty() && !contact.emails[0].primary);
    assert!(contact.full_name.is_empty() && contact.phones.is_empty() && contact.addresses.is_empty());
    assert_eq!(
        paths.iter().map(|altered| altered.path.to_string()).collect::<Vec<_>>(),
        ["emails.address", "birth_date"]
    );
}

/// Each field at its own view: the lower of the value's and of what the field may show.
#[test]
fn single_fields_show_less_than_the_rest() {
    let value = || samples::valid(ItemValue::Payment(samples::payment()));
    let class = value().class();
    let caps = FieldCaps::default()
        .with(class, "token", View::Masked)
        .with(class, "cardholder_name", View::Exists)
        .with(class, "billing_address", View::Last4);
    let see = |view: View| {
        let (shown, altered) = value().show(&Sight::new(view, caps.clone()), &Selection::ALL);
        let Some(ItemValue::Payment(shown)) = shown else { panic!("a payment") };
        (shown, altered.into_iter().map(|altered| (altered.path.to_string(), altered.view)).collect::<Vec<_>>())
    };
    let whole = samples::payment();
    let (plain, altered) = see(View::Plain);
    assert_eq!((plain.token.expose(), plain.cardholder_name.expose()), ("********", ""));
    assert_eq!((plain.processor.expose(), plain.expiry_month), (whole.processor.expose(), whole.expiry_month));
    let address = plain.billing_address.expect("a part stays, its fields do not");
    assert!(address.lines.is_empty() && address.country_code.is_empty());
    assert!(
        altered.contains(&("token".into(), View::Masked))
            && altered.contains(&("cardholder_name".into(), View::Exists))
    );
    assert!(
        altered.contains(&("billing_address.country_code".into(), View::Last4))
            && !altered.iter().any(|(path, _)| path == "processor")
    );

    let (middle, altered) = see(View::Masked);
    assert_eq!((middle.token.expose(), middle.cardholder_name.expose()), ("********", ""));
    assert!(
        altered.contains(&("expiry_month".into(), View::Masked))
            && altered.contains(&("cardholder_name".into(), View::Exists))
    );
    let (low, _) = see(View::Last4);
    assert!(low.token.is_empty() && low.last_four.expose() == "4242", "a lower view of all stays lower");

    // What is told of the class is what happens to a value of it.
    let survey = hidden_fields(class.id, &Sight::new(View::Plain, caps.clone()));
    let told: Vec<_> = survey.iter().map(|altered| (altered.path.to_string(), altered.view)).collect();
    let (_, altered) = see(View::Plain);
    assert!(altered.iter().all(|field| told.contains(field)), "{altered:?} in {told:?}");
    assert!(
        told.iter()
            .all(|(path, _)| ["token", "cardholder_name"].contains(&path.as_str())
                || path.starts_with("billing_address."))
    );
}

#[test]
fn every_class_lists_the_fields_it_masks() {
    let sight = View::Plain.into();
    for (value, class) in samples::all().iter().zip(CLASSES) {
        assert_eq!(value.class().id, class.id, "a sample for each class, in order");
        let mut masker = Masker::new(&sight, &Selection::ALL);
        value.masked(&mut masker);
        mask::assert_fields_are_listed(class, &masker);
    }
}

#[test]
fn a_visit_shows_its_network_and_not_its_device() {
    let value = samples::valid(ItemValue::AccessEvent(samples::access_event()));
    let (ItemValue::AccessEvent(low), _) = shown(&value, View::Last4) else { panic!("still a visit") };
    assert_eq!(low.device_id.expose(), "******a77c");
    assert!(low.ip_address.is_empty() && low.time.is_none() && low.browser.is_empty() && low.status == 0);
    let (ItemValue::AccessEvent(middle), paths) = shown(&value, View::Masked) else { panic!("still a visit") };
    assert_eq!(middle.ip_address.expose(), "2001:db8:7******");
    assert_eq!((middle.browser.expose(), middle.os.expose(), middle.method.expose()), ("Firefox 128", "Linux", "GET"));
    assert_eq!(middle.user_agent.expose().replace([' ', '*'], ""), "");
    assert_eq!(middle.page.expose(), "*".repeat(23));
    assert_eq!((middle.time, middle.status), (samples::access_event().time, 200));
    assert_eq!(paths, ["ip_address", "user_agent", "device_id", "page"]);
}

#[test]
fn networks_are_shown_and_hosts_are_not() {
    for (address, masked) in [
        ("203.0.113.207", "203.0.113.***"),
        ("::1", "***"),
        ("2001:db8::1", "2001:db8***"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1**********"),
        ("fe80::1:2:3:4", "fe80*********"),
    ] {
        let visit = AccessEvent { ip_address: address.into(), ..samples::access_event() };
        let value = samples::valid(ItemValue::AccessEvent(visit));
        let (ItemValue::AccessEvent(seen), _) = shown(&value, View::Masked) else { panic!("still a visit") };
        assert_eq!(seen.ip_address.expose(), masked);
    }
}

#[test]
fn a_message_shows_when_and_how_and_nothing_that_was_said() {
    let value = samples::valid(ItemValue::Communication(samples::communication()));
    let (ItemValue::Communication(seen), paths) = shown(&value, View::Masked) else { panic!("still a message") };
    assert_eq!((seen.channel.code(), seen.direction.code(), seen.time), (1, 1, samples::communication().time));
    assert_eq!(lists(&seen.participants), ["*****************", "*******"]);
    assert_eq!(seen.body.expose(), "***** ****\n\t*** ***** ****** ******\n");
    assert_eq!(paths, ["participants", "subject", "body", "thread_id"]);
    let (ItemValue::Communication(low), _) = shown(&value, View::Last4) else { panic!("still a message") };
    assert!(low.time.is_none() && low.participants.is_empty() && low.body.is_empty() && low.channel.code() == 0);
}

#[test]
fn a_metered_use_shows_how_much_and_not_of_what() {
    let value = samples::valid(ItemValue::UsageEvent(samples::usage_event()));
    let (ItemValue::UsageEvent(seen), paths) = shown(&value, View::Masked) else { panic!("still a use") };
    assert_eq!((seen.quantity.expose(), seen.unit.expose(), seen.region.expose()), ("12.5", "GiB.h", "eu-central"));
    assert_eq!(paths, ["resource"]);
}

#[test]
fn a_document_shows_its_kind_and_size_and_not_what_it_is_named() {
    let value = samples::valid(ItemValue::Document(samples::document()));
    let (ItemValue::Document(seen), paths) = shown(&value, View::Masked) else { panic!("still a document") };
    assert_eq!((seen.media_type.expose(), seen.size_bytes, seen.sha256), ("image/jpeg", 123_456, [0; 32]));
    assert_eq!(seen.file_name.expose(), "**** ********");
    assert_eq!(paths, ["file_name", "sha256"]);
}

#[test]
fn the_key_of_a_documents_content_is_stored_and_shown_under_no_view() {
    let document = || {
        let content = Some(crate::base::secret::Secret::copied(&[9; 48]));
        samples::valid(ItemValue::Document(Document { content, ..samples::document() }))
    };
    let stored = samples::bytes(&document());
    assert!(stored.ends_with(&[9; 48]));
    let read = CanonicalValue::decode(document().class().id, &stored).expect("reads");
    assert_eq!(samples::bytes(&read), stored);
    for view in [View::Last4, View::Masked, View::Plain] {
        let sight = view.into();
        for (shown, _) in [document().mask(&sight, &Selection::ALL), document().show(&sight, &Selection::ALL)] {
            let Some(ItemValue::Document(shown)) = shown else { panic!("still a document") };
            assert!(shown.content.is_none());
        }
    }
}

/// Values of every class with one text in every field whose rule hides it.
fn filled(t: &str) -> Vec<ItemValue> {
    let mut values: Vec<ItemValue> = samples::all().into();
    let address = |address: &mut PostalAddress| {
        address.lines = vec![t.into(), t.into()];
        let PostalAddress { sublocality, locality, administrative_area, postal_code, recipient, .. } = address;
        for part in [sublocality, locality, administrative_area, postal_code, recipient] {
            *part = t.into();
        }
        (address.organization, address.label) = (t.into(), t.into());
    };
    for value in &mut values {
        match value {
            ItemValue::Contact(contact) => {
                (contact.full_name, contact.given_name, contact.family_name) = (t.into(), t.into(), t.into());
                contact.emails[0].address = format!("{t}@example.com").as_str().into();
                (contact.emails[0].label, contact.phones[0].label) = (t.into(), t.into());
                (contact.phones[0].number, contact.phones[0].extension) = (t.into(), t.into());
                address(&mut contact.addresses[0]);
            }
            ItemValue::GovernmentId(id) => {
                (id.number, id.issuing_authority, id.printed_name) = (t.into(), t.into(), t.into());
            }
            ItemValue::Payment(payment) => {
                (payment.token, payment.cardholder_name) = (t.into(), t.into());
                payment.billing_address.iter_mut().for_each(address);
            }
            ItemValue::Password(password) => password.secret = t.into(),
            ItemValue::Communication(message) => {
                message.participants = vec![t.into()];
                (message.subject, message.body, message.thread_id) = (t.into(), t.into(), t.into());
            }
            ItemValue::AccessEvent(visit) => {
                (visit.ip_address, visit.user_agent) = (t.into(), t.into());
                (visit.device_id, visit.page) = (t.into(), t.into());
            }
            ItemValue::UsageEvent(usage) => usage.resource = t.into(),
            ItemValue::Document(document) => document.file_name = t.into(),
        }
    }
    values
}

proptest! {
    /// Of what is to be hidden no more than four characters in a row are left, and those only of identifying numbers.
    #[test]
    fn no_class_shows_more_than_its_view_allows(t in "[a-z0-9]{9,40}|[а-я]{9,20}|\\PC{9,30}") {
        let chars: Vec<char> = t.chars().collect();
        if chars.contains(&'*') {
            return Ok(());
        }
        for value in filled(&t) {
            for view in [View::Last4, View::Masked] {
                let sight = Sight::from(view);
                let shown = value.masked(&mut Masker::new(&sight, &Selection::ALL)).encode();
                let shown = String::from_utf8_lossy(shown.expose()).into_owned();
                for five in chars.windows(5).filter(|five| !five.iter().any(|c| c.is_whitespace())) {
                    let five: String = five.iter().collect();
                    let samples_own = "Mozilla example.com Firefox Linux stripe eu-central image/jpeg GiB.h".contains(&five);
                    prop_assert!(samples_own || !shown.contains(&five), "{} under {view}", value.class().id);
                }
            }
        }
    }
}
