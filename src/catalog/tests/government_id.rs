use proptest::prelude::*;

use super::samples::{bytes, government_id, refused, valid};
use crate::catalog::class::Identifier;
use crate::catalog::classes::ItemValue;
use crate::catalog::classes::government_id::{GovernmentId, GovernmentIdType};
use crate::catalog::fields::date::Date;

fn number(kind: GovernmentIdType, country: &str, number: &str) -> GovernmentId {
    GovernmentId { kind, country_code: country.into(), number: number.into(), ..Default::default() }
}

fn stored(id: GovernmentId) -> String {
    let value = valid(ItemValue::GovernmentId(id));
    let ItemValue::GovernmentId(id) = value.value() else { panic!("still a document") };
    id.number.expose().to_owned()
}

#[test]
fn numbers_are_stored_without_separators_in_upper_case() {
    use GovernmentIdType::*;
    for (kind, country, given, canonical) in [
        (Passport, "DE", "c01x00t47", "C01X00T47"),
        (NationalId, "es", "12.345.678-Z", "12345678Z"),
        (TaxId, "BR", "529.982.247-25", "52998224725"),
        (NationalId, "EG", "٢٩٠٠١٠١ ١٢٣٤٥٦٧", "29001011234567"),
        (NationalId, "GR", "αβ 123456", "ΑΒ123456"),
        (DriverLicence, "GB", "MORGA 657054 SM9IJ", "MORGA657054SM9IJ"),
        (ResidencePermit, "FR", "AB–12/34", "AB1234"),
        (Other, "JP", "第１２３号", "第123号"),
        // Only numbers of persons are checked, and only in the form that has a check digit.
        (Passport, "PL", "44051401358", "44051401358"),
        (NationalId, "PL", "ABC 123456", "ABC123456"),
        (NationalId, "HK", "A123456(3)", "A1234563"),
        (NationalId, "FR", "2 53 07 2B 073 004 70", "253072B07300470"),
        (TaxId, "IT", "rcc mnl 83s18 d969h", "RCCMNL83S18D969H"),
    ] {
        assert_eq!(stored(number(kind, country, given)), canonical);
    }
}

#[test]
fn refusals_name_the_field_and_the_reason() {
    use GovernmentIdType::*;
    let date = |y, m, d| Some(Date::new(y, m, d));
    for (id, expected) in [
        (number(Unspecified, "DE", "C01X00T47"), "type: Required"),
        (number(Passport, "", "C01X00T47"), "country_code: Required"),
        (number(Passport, "XX", "C01X00T47"), "country_code: Malformed"),
        (number(Passport, "DEU", "C01X00T47"), "country_code: Malformed"),
        (number(Passport, "DE", ""), "number: Required"),
        (number(Passport, "DE", " - - "), "number: Malformed"),
        (number(Passport, "DE", "C01*00T47"), "number: Malformed"),
        (number(Passport, "DE", "C01\u{202e}47"), "number: Character"),
        (number(Passport, "DE", "👩"), "number: Malformed"),
        (number(Passport, "DE", &"1".repeat(65)), "number: TooLong"),
        (number(Passport, "DE", &"ŉ".repeat(32)), "number: TooLong"),
        (number(NationalId, "PL", "44051401358"), "number: CheckDigit"),
        (number(TaxId, "br", "529.982.247-26"), "number: CheckDigit"),
        (number(NationalId, "ES", "12345678A"), "number: CheckDigit"),
        (number(NationalId, "BE", "85.07.30-033 29"), "number: CheckDigit"),
        (number(TaxId, "it", "RCCMNL83S18D969X"), "number: CheckDigit"),
        (GovernmentId { issue_date: date(2023, 2, 30), ..government_id() }, "issue_date: OutOfRange"),
        (GovernmentId { issue_date: date(2020, 0, 0), ..government_id() }, "issue_date: Malformed"),
        (GovernmentId { expiry_date: date(2020, 2, 29), ..government_id() }, "expiry_date: Conflict"),
        (GovernmentId { expiry_date: date(2021, 2, 29), ..government_id() }, "expiry_date: OutOfRange"),
        (GovernmentId { issuing_authority: "a\tb".into(), ..government_id() }, "issuing_authority: Character"),
        (GovernmentId { printed_name: "x".repeat(513).as_str().into(), ..government_id() }, "printed_name: TooLong"),
    ] {
        assert_eq!(refused(ItemValue::GovernmentId(id)), [expected]);
    }
}

#[test]
fn a_document_may_expire_on_the_day_it_is_issued() {
    let id = GovernmentId { expiry_date: Some(Date::new(2020, 3, 1)), ..government_id() };
    assert_eq!(refused(ItemValue::GovernmentId(id)), Vec::<String>::new());
}

#[test]
fn a_document_is_found_by_type_country_and_number() {
    let held = valid(ItemValue::GovernmentId(government_id())).identifiers();
    let looked_for = Identifier::document_number(GovernmentIdType::Passport, "de", "C01 X00-T47").expect("a document");
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].value.expose(), "1/DE/C01X00T47");
    assert_eq!(looked_for.value.expose(), held[0].value.expose());
    assert!(Identifier::document_number(GovernmentIdType::Unspecified, "DE", "C01X00T47").is_none());
    assert!(Identifier::document_number(GovernmentIdType::Passport, "XX", "C01X00T47").is_none());
    // As it could be stored before its check was known.
    let unchecked =
        Identifier::document_number(GovernmentIdType::NationalId, "ES", "12.345.678-A").expect("a document");
    assert_eq!(unchecked.value.expose(), "2/ES/12345678A");
}

proptest! {
    #[test]
    fn canonicalising_twice_changes_nothing(
        kind in 1u8..7,
        country in "DE|pl|ES|Gb|TR|CN|fi|IT|PT",
        digits in "[0-9A-Za-zßŉǰα٣ ./<-]{1,24}",
    ) {
        let kind = GovernmentIdType::from_code(kind).expect("a type");
        let Ok(once) = ItemValue::GovernmentId(number(kind, &country, &digits)).validate() else { return Ok(()) };
        let first = bytes(&once);
        prop_assert_eq!(bytes(&valid(once.into_value())), first);
    }

    #[test]
    fn any_text_is_judged_without_a_panic(text: String, kind in 1u8..7) {
        let kind = GovernmentIdType::from_code(kind).expect("a type");
        for country in ["BR", "CN", "ES", "FI", "FR", "IE", "IT", "NL", "PL", "PT", "SE", "TR", "TW", "DE"] {
            let _ = ItemValue::GovernmentId(number(kind, country, &text)).validate();
            let _ = Identifier::document_number(kind, country, &text);
        }
    }
}
