use proptest::prelude::*;

use super::samples::{address, bytes, payment, refused, valid};
use crate::catalog::classes::ItemValue;
use crate::catalog::classes::payment::Payment;
use crate::catalog::classes::postal_address::PostalAddress;

fn refusals(payment: Payment) -> Vec<String> {
    refused(ItemValue::Payment(payment))
}

#[test]
fn processors_published_tokens_are_accepted() {
    for token in [
        "tok_visa",
        "pm_card_mastercard",
        "tok_1MqLiJLkdIwHu7ixUEgbFdYF",
        "fake-valid-nonce",
        "card_19yUNL2eZvKYlo2CNGsN6EWH",
    ] {
        assert_eq!(refusals(Payment { token: token.into(), ..payment() }), Vec::<String>::new(), "{token}");
    }
    let least = Payment { processor: "stripe".into(), token: "tok_visa".into(), ..Default::default() };
    assert_eq!(refusals(least), Vec::<String>::new());
}

#[test]
fn refusals_name_the_field_and_the_reason() {
    for (payment, expected) in [
        (Payment { processor: "".into(), ..payment() }, "processor: Required"),
        (Payment { token: " ".into(), ..payment() }, "token: Required"),
        (Payment { token: "x".repeat(513).as_str().into(), ..payment() }, "token: TooLong"),
        (Payment { token: "tok\0visa".into(), ..payment() }, "token: Character"),
        (Payment { last_four: "424".into(), ..payment() }, "last_four: Malformed"),
        (Payment { last_four: "42424".into(), ..payment() }, "last_four: Malformed"),
        (Payment { last_four: "４２４２".into(), ..payment() }, "last_four: Malformed"),
        (Payment { last_four: "x242".into(), ..payment() }, "last_four: Malformed"),
        (Payment { expiry_month: 13, ..payment() }, "expiry_month: OutOfRange"),
        (Payment { expiry_month: 0, ..payment() }, "expiry_month: Conflict"),
        (Payment { expiry_year: 0, ..payment() }, "expiry_year: Conflict"),
        (Payment { expiry_year: 29, ..payment() }, "expiry_year: OutOfRange"),
        (Payment { expiry_year: 99_999, ..payment() }, "expiry_year: OutOfRange"),
        (Payment { cardholder_name: "a\u{2066}b".into(), ..payment() }, "cardholder_name: Character"),
        (
            Payment { billing_address: Some(PostalAddress { country_code: "ZZ".into(), ..address() }), ..payment() },
            "billing_address.country_code: Malformed",
        ),
    ] {
        assert_eq!(refusals(payment), [expected]);
    }
}

/// Puts a text into each text field in turn.
fn in_each_field(text: &str) -> Vec<(&'static str, Payment)> {
    let billed = |place: fn(&mut PostalAddress) -> &mut crate::catalog::text::Text| {
        let mut billing = address();
        *place(&mut billing) = text.into();
        Payment { billing_address: Some(billing), ..payment() }
    };
    vec![
        ("processor", Payment { processor: text.into(), ..payment() }),
        ("token", Payment { token: text.into(), ..payment() }),
        ("last_four", Payment { last_four: text.into(), ..payment() }),
        ("billing_address.country_code", billed(|a| &mut a.country_code)),
        ("billing_address.lines[1]", billed(|a| &mut a.lines[1])),
        ("billing_address.sublocality", billed(|a| &mut a.sublocality)),
        ("billing_address.locality", billed(|a| &mut a.locality)),
        ("billing_address.administrative_area", billed(|a| &mut a.administrative_area)),
        ("billing_address.postal_code", billed(|a| &mut a.postal_code)),
        ("billing_address.recipient", billed(|a| &mut a.recipient)),
        ("billing_address.organization", billed(|a| &mut a.organization)),
        ("billing_address.label", billed(|a| &mut a.label)),
        ("cardholder_name", Payment { cardholder_name: text.into(), ..payment() }),
    ]
}

#[test]
fn a_card_number_is_refused_in_every_text_field() {
    for text in ["4111111111111111", "3782 822463 10005", "Card: ５５５５-５５５５-５５５５-４４４４"] {
        for (path, payment) in in_each_field(text) {
            let refused = refusals(payment);
            assert_eq!(refused.first(), Some(&format!("{path}: CardNumber")), "{refused:?}");
        }
    }
}

#[test]
fn a_card_number_split_over_fields_is_refused() {
    let billed = |edit: fn(&mut PostalAddress)| {
        let mut billing = address();
        edit(&mut billing);
        Payment { billing_address: Some(billing), ..payment() }
    };
    for (payment, path) in [
        (Payment { token: "411111111111".into(), last_four: "1111".into(), ..payment() }, "token"),
        (
            Payment { processor: "41111111".into(), token: "1111".into(), last_four: "1111".into(), ..payment() },
            "processor",
        ),
        (billed(|a| a.lines = vec!["4111 1111".into(), "1111 1111".into()]), "billing_address.lines[0]"),
        (
            billed(|a| {
                a.postal_code = "5555555555".into();
                a.recipient = "554444".into();
            }),
            "billing_address.postal_code",
        ),
        (
            Payment {
                token: "37828224".into(),
                last_four: "6310".into(),
                billing_address: None,
                cardholder_name: "005".into(),
                ..payment()
            },
            "token",
        ),
    ] {
        assert_eq!(refusals(payment), [format!("{path}: CardNumber")]);
    }
}

#[test]
fn ordinary_digits_side_by_side_are_accepted() {
    for (token, last_four, line, postal_code) in [
        ("tok_visa", "4242", "1204 Main Street", "94107-1234"),
        ("pm_000111", "1111", "4111", "10115"),
        ("tok_4111", "1111", "Apt 4111, 1111 Long Road", "60607"),
        ("nonce-20291231", "0005", "12 bis, rue 11", "75001"),
        ("1234567890", "4242", "東京都千代田区1-2-3", "100-0001"),
    ] {
        let billing = PostalAddress { lines: vec![line.into()], postal_code: postal_code.into(), ..address() };
        let ordinary =
            Payment { token: token.into(), last_four: last_four.into(), billing_address: Some(billing), ..payment() };
        assert_eq!(refusals(ordinary), Vec::<String>::new(), "{token} {last_four} {line} {postal_code}");
    }
}

proptest! {
    #[test]
    fn a_card_number_is_refused_however_it_is_grouped(
        head in "4[0-9]{14}", cuts in proptest::collection::vec(1usize..15, 0..4), separator in "[ ./·–\u{200b}-]{1,3}",
    ) {
        let digits: Vec<u32> = head.chars().filter_map(|c| c.to_digit(10)).collect();
        let sum: u32 = digits.iter().enumerate().map(|(i, d)| if i % 2 == 0 { d * 2 / 10 + d * 2 % 10 } else { *d }).sum();
        let mut number: Vec<char> = head.chars().collect();
        number.push(char::from_digit((10 - sum % 10) % 10, 10).expect("a digit"));
        let mut text = String::new();
        for (i, c) in number.iter().enumerate() {
            if cuts.contains(&i) {
                text.push_str(&separator);
            }
            text.push(*c);
        }
        prop_assert_eq!(refusals(Payment { token: text.as_str().into(), ..payment() }), ["token: CardNumber"]);
    }

    #[test]
    fn canonicalising_twice_changes_nothing(processor in "\\PC{1,20}", token in " ?\\PC{1,40} ?", name in "\\PC{0,30}") {
        let given = Payment {
            processor: processor.as_str().into(),
            token: token.as_str().into(),
            cardholder_name: name.as_str().into(),
            ..payment()
        };
        let Ok(once) = ItemValue::Payment(given).validate() else { return Ok(()) };
        let first = bytes(&once);
        prop_assert_eq!(bytes(&valid(once.into_value())), first);
    }

    #[test]
    fn any_text_is_judged_without_a_panic(text: String) {
        for (_, payment) in in_each_field(&text) {
            let _ = ItemValue::Payment(payment).validate();
        }
    }
}
