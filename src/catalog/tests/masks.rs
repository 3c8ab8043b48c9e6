use super::samples;
use crate::catalog::class::Selection;
use crate::catalog::classes::{CLASSES, CanonicalValue, ClassValue, ItemValue};
use crate::catalog::mask::{self, Masker};
use crate::catalog::text::Text;
use crate::catalog::view::View;

fn shown(value: &CanonicalValue, view: View) -> (ItemValue, Vec<String>) {
    let (masked, paths) = value.mask(view, &Selection::ALL);
    (masked.expect("shown above EXISTS"), paths.iter().map(ToString::to_string).collect())
}

fn lists(texts: &[Text]) -> Vec<&str> {
    texts.iter().map(Text::expose).collect()
}

#[test]
fn exists_shows_nothing() {
    for value in samples::all() {
        let (masked, paths) = samples::valid(value).mask(View::Exists, &Selection::ALL);
        assert!(masked.is_none() && paths.is_empty());
    }
}

#[test]
fn a_value_is_shown_whole_under_plain_and_with_every_field_only() {
    for value in samples::all() {
        let value = samples::valid(value);
        let bytes = samples::bytes(&value);
        let (Some(plain), paths) = value.show(View::Plain, &Selection::ALL) else { panic!("shown") };
        assert_eq!(samples::bytes(&samples::valid(plain)), bytes);
        assert!(paths.is_empty());
    }
    let contact = || samples::valid(ItemValue::Contact(samples::contact()));
    let part = contact().class().select(["full_name"]);
    let (Some(ItemValue::Contact(part)), _) = contact().show(View::Plain, &part) else { panic!("a contact") };
    assert_eq!(part.full_name.expose(), "Änne Großmüller");
    assert!(part.given_name.is_empty() && part.emails.is_empty() && part.birth_date.is_none());
    let (Some(ItemValue::Contact(masked)), paths) = contact().show(View::Masked, &Selection::ALL) else {
        panic!("a contact")
    };
    assert_eq!(masked.full_name.expose(), "Ä*** G*********");
    assert!(!paths.is_empty());
    assert!(contact().show(View::Exists, &Selection::ALL).0.is_none());
}

#[test]
fn plain_shows_everything() {
    for value in samples::all() {
        let value = samples::valid(value);
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
    let (Some(ItemValue::Contact(contact)), paths) = value.mask(View::Masked, &selection) else { panic!("a contact") };
    assert_eq!(contact.emails[0].address.expose(), "a****@example.com");
    assert!(contact.emails[0].label.is_empty() && !contact.emails[0].primary);
    assert!(contact.full_name.is_empty() && contact.phones.is_empty() && contact.addresses.is_empty());
    assert_eq!(paths.iter().map(ToString::to_string).collect::<Vec<_>>(), ["emails.address", "birth_date"]);
}

#[test]
fn every_class_lists_the_fields_it_masks() {
    for (value, class) in samples::all().iter().zip(CLASSES) {
        let mut masker = Masker::new(View::Plain, &Selection::ALL);
        match value {
            ItemValue::Contact(value) => drop(value.masked(&mut masker)),
            ItemValue::GovernmentId(value) => drop(value.masked(&mut masker)),
            ItemValue::Payment(value) => drop(value.masked(&mut masker)),
        }
        mask::assert_fields_are_listed(class, &masker);
    }
}
