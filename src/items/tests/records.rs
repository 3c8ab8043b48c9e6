//! What the log says of calls, and that nothing is revealed without it.

use super::*;
use crate::audit::event::{About, Decision, Outcome};
use crate::base::reason::Reason;
use crate::gate::refusal::{Access, Denied, State, Told};
use crate::items::model::{Delete, Wait};
use crate::items::{delete, put};
use crate::policy::decide::Cause;

#[tokio::test]
async fn a_read_is_recorded_with_subject_class_view_and_rule() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    bench.name(subject, items[0].item).await.expect("reads");
    let leaf = bench.last_leaf();
    assert_eq!((leaf.operation.as_str(), leaf.class.as_str(), leaf.view), ("GetItem", "contact", 4));
    assert_eq!((leaf.decision, leaf.outcome, leaf.reason), (Decision::Permitted, Outcome::Done, 0));
    assert_eq!(leaf.rule, "service-delivers");
    assert!(matches!(leaf.about, About::Subject(_)) && leaf.detail_hash.is_some());
    assert_ne!(leaf.policy, [0; 8]);
}

#[tokio::test]
async fn a_denial_that_is_told_as_absence_is_recorded_as_a_denial_about_the_subject() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let call = bench.call_as("desk", RoleId::Billing, "service_delivery", Action::DeleteItem, "", "").await;
    let wanted =
        Delete { subject: SubjectRef::Id(subject), item: items[0].item, etag: String::new(), wait: Wait::Erased };
    let refusal = delete::delete(&bench.vault, &call, wanted).await.expect_err("is denied");
    let hidden = Denied { cause: Cause::Rules, rule: None, told: Told::Absent };
    assert_eq!(refusal, Access::from(hidden).into());
    assert_eq!(refusal.told(), Reason::NotFound);
    let leaf = bench.last_leaf();
    assert_eq!((leaf.decision, leaf.outcome), (Decision::Denied, Outcome::Refused));
    assert_eq!((leaf.reason, leaf.class.as_str()), (Reason::AccessDenied.number(), "contact"));
    assert!(matches!(leaf.about, About::Subject(_)));
    assert!(bench.name(subject, items[0].item).await.is_ok());
}

#[tokio::test]
async fn what_is_absent_is_recorded_as_refused_and_about_nobody() {
    let bench = Bench::new();
    let nobody = SubjectId::from_bytes([9; 16]);
    let refusal = bench.name(nobody, ItemId::from_bytes([8; 16])).await.expect_err("is absent");
    assert_eq!(refusal, State::NotFound.into());
    let leaf = bench.last_leaf();
    assert_eq!((leaf.outcome, leaf.reason, leaf.about), (Outcome::Refused, Reason::NotFound.number(), About::Nobody));
}

#[tokio::test]
async fn both_entries_of_an_erasure_carry_its_receipt_and_no_token() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let call = bench.call(Action::DeleteItem).await;
    let wanted =
        Delete { subject: SubjectRef::Id(subject), item: items[0].item, etag: String::new(), wait: Wait::Erased };
    let erasure = delete::delete(&bench.vault, &call, wanted).await.expect("deletes");
    let of_it: Vec<Leaf> =
        bench.leaves().into_iter().filter(|leaf| leaf.about == About::Erasure(erasure.receipt)).collect();
    let operations: Vec<(&str, Outcome)> = of_it.iter().map(|leaf| (leaf.operation.as_str(), leaf.outcome)).collect();
    assert_eq!(operations, [("DeleteItem", Outcome::Started), ("ItemErased", Outcome::Done)]);
    assert_ne!(of_it[0].request, of_it[1].request);
}

#[tokio::test]
async fn nothing_is_revealed_or_stored_when_it_cannot_be_recorded() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let (read, write) = (bench.call(Action::GetItem).await, bench.call(Action::PutItem).await);
    bench.break_storage();
    let got = get::get(&bench.vault, &read, query(subject, items[0].item)).await.map(|_| ());
    assert!(matches!(got, Err(Refusal::Unavailable(_))), "{got:?}");
    let put = put::put(&bench.vault, &write, SubjectRef::Id(subject), contact("Grace")).await;
    assert!(matches!(put, Err(Refusal::Unavailable(_))));
    assert_eq!(bench.rows(Space::Item).len(), 1);
    assert!(bench.vault.check().is_err(), "the first failure is the last");
}

#[tokio::test]
async fn the_log_holds_nothing_that_a_caller_chose() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada Lovelace"]).await;
    bench.name(subject, items[0].item).await.expect("reads");
    for (_, row) in bench.rows(Space::Log) {
        for chosen in [&b"T-1"[..], b"192.0.2.1", b"Lovelace", items[0].item.as_bytes(), subject.as_bytes()] {
            assert!(!row.windows(chosen.len()).any(|window| window == chosen));
        }
    }
}
