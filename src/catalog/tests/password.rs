//! Passwords: what is accepted, and as what it is hashed.

use proptest::prelude::*;

use super::samples::{bytes, refused, valid};
use crate::catalog::classes::ItemValue;
use crate::catalog::classes::password::{Password, normal};

fn given(secret: &str) -> ItemValue {
    ItemValue::Password(Password { secret: secret.into(), verifier: None })
}

fn hashed(secret: &str) -> String {
    valid(given(secret)).take_secret().expect("a secret").expose().to_owned()
}

#[test]
fn a_secret_is_hashed_as_it_was_typed_but_for_its_encoding() {
    for (typed, hashed_as) in [
        ("x", "x"),
        (" correct horse\tbattery ", " correct horse\tbattery "),
        ("man\u{303}ana", "ma\u{f1}ana"),
        ("ma\u{f1}ana", "ma\u{f1}ana"),
        ("ｐａｓｓ１", "pass1"),
        ("пароль🦊", "пароль🦊"),
        ("a\0b\u{202e}", "a\0b\u{202e}"),
        ("\u{e000}", "\u{e000}"),
        (&"x".repeat(1024), &"x".repeat(1024)),
    ] {
        assert_eq!(hashed(typed), hashed_as);
    }
}

#[test]
fn refusals_name_the_field_and_the_reason() {
    for (secret, expected) in [
        ("", "secret: Required"),
        (&*"x".repeat(1025), "secret: TooLong"),
        (&*"x".repeat(10 << 20), "secret: TooLong"),
        (&*"\u{fdfa}".repeat(341), "secret: TooLong"),
        ("a\u{378}", "secret: Character"),
        ("a\u{ffff}", "secret: Character"),
    ] {
        assert_eq!(refused(given(secret)), [expected]);
    }
}

#[test]
fn a_secret_is_not_stored_whatever_happens() {
    let canary = "canary-7f3a";
    let mut value = valid(given(canary));
    for _ in 0..2 {
        let stored = bytes(&value);
        assert!(!stored.windows(canary.len()).any(|part| part == canary.as_bytes()));
        value.take_secret();
    }
    assert!(value.take_secret().is_none(), "it is taken once");
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing(secret in "\\PC{1,40}|.{1,40}|[\u{300}-\u{36f}\u{1100}-\u{11ff}\u{fb50}-\u{fdff}]{1,20}") {
        let once = normal(&secret);
        let twice = normal(once.expose());
        prop_assert_eq!(twice.expose(), once.expose());
        let Ok(mut value) = given(&secret).validate() else { return Ok(()) };
        let taken = value.take_secret().expect("a secret");
        prop_assert_eq!(taken.expose(), once.expose());
        prop_assert!(given(taken.expose()).validate().is_ok());
    }
}
