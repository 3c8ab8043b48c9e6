//! Messages, visits and metered use: what is accepted, in which form, and what is refused.

use proptest::prelude::*;

use super::samples::{access_event, bytes, communication, refused, usage_event, valid};
use crate::base::time::Timestamp;
use crate::catalog::class::Form;
use crate::catalog::classes::access_event::AccessEvent;
use crate::catalog::classes::communication::{Channel, Communication};
use crate::catalog::classes::usage_event::UsageEvent;
use crate::catalog::classes::{CLASSES, ItemValue};
use crate::catalog::view::View;

#[test]
fn visits_are_stored_in_their_canonical_form() {
    let given = AccessEvent { ip_address: " 2001:DB8:0::FF ".into(), page: " /a b ".into(), ..access_event() };
    let value = valid(ItemValue::AccessEvent(given));
    let ItemValue::AccessEvent(visit) = value.value() else { panic!("still a visit") };
    assert_eq!((visit.ip_address.expose(), visit.page.expose()), ("2001:db8::ff", "/a b"));
    assert_eq!(value.time(), access_event().time);
}

#[test]
fn refused_visits_name_the_field_and_the_reason() {
    for (visit, expected) in [
        (AccessEvent::default(), "time: Required"),
        (AccessEvent { ip_address: "203.0.113.300".into(), ..access_event() }, "ip_address: Malformed"),
        (AccessEvent { ip_address: "203.0.113.7:80".into(), ..access_event() }, "ip_address: Malformed"),
        (AccessEvent { ip_address: "1".repeat(65).as_str().into(), ..access_event() }, "ip_address: TooLong"),
        (AccessEvent { user_agent: "x".repeat(1025).as_str().into(), ..access_event() }, "user_agent: TooLong"),
        (AccessEvent { user_agent: "a\r\nb".into(), ..access_event() }, "user_agent: Character"),
        (AccessEvent { browser: "x".repeat(129).as_str().into(), ..access_event() }, "browser: TooLong"),
        (AccessEvent { os: "a\0b".into(), ..access_event() }, "os: Character"),
        (AccessEvent { device_id: "a\u{202e}b".into(), ..access_event() }, "device_id: Character"),
        (AccessEvent { page: "x".repeat(10 << 20).as_str().into(), ..access_event() }, "page: TooLong"),
        (AccessEvent { method: "GET /".into(), ..access_event() }, "method: Malformed"),
        (AccessEvent { method: "ÉTÉ".into(), ..access_event() }, "method: Malformed"),
        (AccessEvent { method: "x".repeat(33).as_str().into(), ..access_event() }, "method: TooLong"),
    ] {
        assert_eq!(refused(ItemValue::AccessEvent(visit)), [expected]);
    }
    let least = AccessEvent { time: access_event().time, ..Default::default() };
    assert_eq!(refused(ItemValue::AccessEvent(least)), Vec::<String>::new());
}

#[test]
fn refused_metered_use_names_the_field_and_the_reason() {
    let at = |millis| Some(Timestamp::from_millis(millis));
    for (usage, expected) in [
        (UsageEvent { time: None, ..usage_event() }, "time: Required"),
        (UsageEvent { resource: " ".into(), ..usage_event() }, "resource: Required"),
        (UsageEvent { resource: "x".repeat(129).as_str().into(), ..usage_event() }, "resource: TooLong"),
        (UsageEvent { quantity: "".into(), ..usage_event() }, "quantity: Required"),
        (UsageEvent { quantity: "1e3".into(), ..usage_event() }, "quantity: Malformed"),
        (UsageEvent { quantity: "٣".into(), ..usage_event() }, "quantity: Malformed"),
        (UsageEvent { quantity: "1".repeat(39).as_str().into(), ..usage_event() }, "quantity: TooLong"),
        (UsageEvent { unit: "".into(), ..usage_event() }, "unit: Required"),
        (UsageEvent { unit: "x".repeat(33).as_str().into(), ..usage_event() }, "unit: TooLong"),
        (UsageEvent { region: "x".repeat(65).as_str().into(), ..usage_event() }, "region: TooLong"),
        (UsageEvent { time: at(2), end_time: at(1), ..usage_event() }, "end_time: Conflict"),
    ] {
        assert_eq!(refused(ItemValue::UsageEvent(usage)), [expected]);
    }
    let moment = UsageEvent { time: at(2), end_time: at(2), quantity: " -0012.50 ".into(), ..usage_event() };
    let value = valid(ItemValue::UsageEvent(moment));
    let ItemValue::UsageEvent(usage) = value.value() else { panic!("still a use") };
    assert_eq!(usage.quantity.expose(), "-12.5");
}

#[test]
fn refused_messages_name_the_field_and_the_reason() {
    let participants = |text: &str, count| vec![text; count].into_iter().map(Into::into).collect();
    for (message, expected) in [
        (Communication { channel: Channel::Unspecified, ..communication() }, "channel: Required"),
        (Communication { time: None, ..communication() }, "time: Required"),
        (Communication { participants: participants("a", 65), ..communication() }, "participants: TooMany"),
        (Communication { participants: participants(" ", 1), ..communication() }, "participants[0]: Required"),
        (
            Communication { participants: participants(&"x".repeat(257), 1), ..communication() },
            "participants[0]: TooLong",
        ),
        (Communication { subject: "a\nb".into(), ..communication() }, "subject: Character"),
        (Communication { subject: "x".repeat(1025).as_str().into(), ..communication() }, "subject: TooLong"),
        (Communication { body: "a\0b".into(), ..communication() }, "body: Character"),
        (Communication { body: "x".repeat((256 << 10) + 1).as_str().into(), ..communication() }, "body: TooLong"),
        (Communication { thread_id: "x".repeat(129).as_str().into(), ..communication() }, "thread_id: TooLong"),
    ] {
        assert_eq!(refused(ItemValue::Communication(message)), [expected]);
    }
    let largest = Communication {
        participants: participants(&"x".repeat(256), 64),
        body: "x".repeat(256 << 10).as_str().into(),
        subject: "x".repeat(1024).as_str().into(),
        ..communication()
    };
    let stored = bytes(&valid(ItemValue::Communication(largest))).len();
    assert!(stored <= crate::base::limits::VALUE_BYTES_MAX, "the largest message fits: {stored}");
}

#[test]
fn bodies_keep_their_lines() {
    let given = Communication { body: " a\r\nb\rc\u{202b}\n ".into(), ..communication() };
    let value = valid(ItemValue::Communication(given));
    let ItemValue::Communication(message) = value.value() else { panic!("still a message") };
    assert_eq!(message.body.expose(), " a\nb\nc\u{202b}\n ");
}

#[test]
fn what_is_kept_as_events_says_when_it_was() {
    let blank = |class: &str| match class {
        "communication" => ItemValue::Communication(Communication::default()),
        "access_event" => ItemValue::AccessEvent(AccessEvent::default()),
        "usage_event" => ItemValue::UsageEvent(UsageEvent::default()),
        other => panic!("no blank of {other}"),
    };
    for class in CLASSES.iter().filter(|class| class.form.takes_events()) {
        assert!(refused(blank(class.id.as_str())).contains(&"time: Required".to_owned()), "{}", class.id);
    }
    let of = |form: Form| CLASSES.iter().filter(move |class| class.form == form).map(|class| class.id.as_str());
    assert!(of(Form::Events).eq(["access_event", "usage_event"]));
    assert!(of(Form::ItemOrEvents).eq(["communication"]));
    assert!(of(Form::Document).eq(["document"]));
    assert!(CLASSES.iter().all(|class| (class.view_max() == View::Plain) != (class.form == Form::Verifier)));
}

proptest! {
    #[test]
    fn canonicalising_twice_changes_nothing(
        ip in "[0-9a-fA-F:.]{0,20}|[0-9]{1,3}(\\.[0-9]{1,3}){3}|([0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}",
        text in "\\PC{0,30}",
        number in "-?[0-9]{1,20}(\\.[0-9]{1,18})?",
        body in "[\\PC\r\n\t]{0,60}",
    ) {
        let visit = AccessEvent { ip_address: ip.as_str().into(), page: text.as_str().into(), ..access_event() };
        let usage = UsageEvent { quantity: number.as_str().into(), resource: text.as_str().into(), ..usage_event() };
        let message = Communication { body: body.as_str().into(), subject: text.as_str().into(), ..communication() };
        for value in [ItemValue::AccessEvent(visit), ItemValue::UsageEvent(usage), ItemValue::Communication(message)] {
            let Ok(once) = value.validate() else { continue };
            let first = bytes(&once);
            prop_assert_eq!(bytes(&valid(once.into_value())), first);
        }
    }
}
