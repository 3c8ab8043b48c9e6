//! Which classes are kept as items, and what those are told who put others.

use super::*;
use crate::catalog::classes::access_event::AccessEvent;
use crate::catalog::classes::communication::{Channel, Communication};
use crate::catalog::classes::document::Document;
use crate::catalog::classes::usage_event::UsageEvent;
use crate::gate::refusal::{Fault, FaultReason};
use crate::items::model::{Update, Wait};
use crate::items::{put, update};

fn item(class: &str, value: ItemValue) -> NewItem {
    NewItem { class: class.into(), value, metadata: NewMetadata::default() }
}

fn message(body: &str) -> ItemValue {
    ItemValue::Communication(Communication {
        channel: Channel::Chat,
        time: Some(Timestamp::from_millis(NOON)),
        body: body.into(),
        ..Communication::default()
    })
}

#[tokio::test]
async fn events_and_documents_are_not_put_and_the_refusal_says_what_to_use() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ana"]).await;
    let visit = || ItemValue::AccessEvent(AccessEvent { time: Some(bench.vault.now()), ..AccessEvent::default() });
    let scan = ItemValue::Document(Document { media_type: "image/png".into(), ..Document::default() });
    for (class, value, reason) in [
        ("access_event", visit(), FaultReason::KeptAsEvents),
        ("usage_event", ItemValue::UsageEvent(UsageEvent::default()), FaultReason::KeptAsEvents),
        ("document", scan, FaultReason::KeptAsDocuments),
        ("contact", visit(), FaultReason::ClassMismatch),
    ] {
        let call = bench.call(Action::PutItem).await;
        let refusal = put::put(&bench.vault, &call, SubjectRef::Id(subject), item(class, value)).await.err();
        let field = if reason == FaultReason::ClassMismatch { "item.value" } else { "item.class" };
        assert_eq!(refusal, Some(Fault::new(field, reason).into()), "{class}");
    }
    let call = bench.call(Action::UpdateItem).await;
    let correction = Update {
        subject: SubjectRef::Id(subject),
        item: items[0].item,
        etag: String::new(),
        value: Some(visit()),
        metadata: None,
        wait: Wait::Logical,
    };
    let refusal = update::update(&bench.vault, &call, correction).await.err();
    assert_eq!(refusal, Some(Fault::new("value", FaultReason::KeptAsEvents).into()));
}

#[tokio::test]
async fn a_message_may_be_put_one_by_one() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ana"]).await;
    let call = bench.call(Action::PutItem).await;
    let put = put::put(&bench.vault, &call, SubjectRef::Id(subject), item("communication", message("Hello\r\nthere")));
    let (_, stamp) = put.await.expect("is put");
    let call = bench.call(Action::GetItem).await;
    let view = get::get(&bench.vault, &call, query(subject, stamp.item)).await.expect("is read");
    let Some(ItemValue::Communication(read)) = view.value else { panic!("a message") };
    assert_eq!(read.body.expose(), "Hello\nthere");
    assert!(stamp.expires.is_some(), "for two years");
}

#[tokio::test]
async fn a_card_number_is_refused_in_what_comes_with_a_payment() {
    use crate::catalog::classes::payment::Payment;
    use crate::catalog::validate::Reason;
    use crate::items::model::{Notes, Recipient};
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ana"]).await;
    let put = async |notes: Notes| {
        let payment = Payment { processor: "stripe".into(), token: "tok_visa".into(), ..Payment::default() };
        let metadata = NewMetadata { notes, ..NewMetadata::default() };
        let new = NewItem { class: "payment".into(), value: ItemValue::Payment(payment), metadata };
        let call = bench.call(Action::PutItem).await;
        put::put(&bench.vault, &call, SubjectRef::Id(subject), new).await
    };
    let recipient = |name: &str| vec![Recipient { name: name.into(), ..Recipient::default() }];
    for (notes, field) in [
        (Notes { source: "card ４１１１-1111-1111-1111".into(), ..Notes::default() }, "source"),
        (Notes { recipients: recipient("4111.1111.1111.1111"), ..Notes::default() }, "recipients[0].name"),
        (
            Notes { automated_decision_logic: "5555 5555 5555 4444".into(), ..Notes::default() },
            "automated_decision_logic",
        ),
        (Notes { source: "41111111".into(), recipients: recipient("11111111"), ..Notes::default() }, "source"),
    ] {
        let expected = Fault::new(format!("item.metadata.{field}"), FaultReason::Value(Reason::CardNumber));
        assert_eq!(put(notes).await.err(), Some(expected.into()));
    }
    let ordinary = Notes { source: "form 2026-11, order 104233".into(), ..Notes::default() };
    assert!(put(ordinary).await.is_ok());
}
