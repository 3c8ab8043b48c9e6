//! Restriction and objection.

use super::*;
use crate::catalog::view::View;
use crate::gate::refusal::{Access, FaultReason, State, Unavailable};
use crate::items::model::{ObjectionChange, ObjectionView, Restriction, RestrictionGround, SubjectState, SubjectView};
use crate::items::{object, restrict, subject};
use crate::policy::decide::Cause;

async fn officer(bench: &Bench, action: Action, key: &str, request: &str) -> Call {
    bench.call_as("officer", RoleId::PrivacyOfficer, "legal_compliance", action, key, request).await
}

async fn set(bench: &Bench, id: SubjectId, ground: Option<RestrictionGround>) -> Result<SubjectView, Refusal> {
    let call = officer(bench, Action::RestrictSubject, "", "").await;
    restrict::restrict(&bench.vault, &call, Restriction { subject: SubjectRef::Id(id), ground }).await
}

async fn objects(
    bench: &Bench,
    id: SubjectId,
    purpose: &str,
    objected: bool,
    classes: &[&str],
) -> Result<Vec<ObjectionView>, Refusal> {
    let call = officer(bench, Action::SetObjection, "", "").await;
    let classes = classes.iter().map(|class| (*class).to_owned()).collect();
    let wanted = ObjectionChange { subject: SubjectRef::Id(id), purpose: purpose.into(), objected, classes };
    object::object(&bench.vault, &call, wanted).await
}

async fn view_for(bench: &Bench, purpose: &str, id: SubjectId, item: ItemId) -> Result<View, Refusal> {
    let call = bench.call_as("checkout", RoleId::Service, purpose, Action::GetItem, "", "").await;
    get::get(&bench.vault, &call, query(id, item)).await.map(|seen| seen.view)
}

fn cause<T>(outcome: Result<T, Refusal>) -> Option<Cause> {
    match outcome {
        Err(Refusal::Access(Access::Denied(denied))) => Some(denied.cause),
        Err(_) | Ok(_) => None,
    }
}

#[tokio::test]
async fn restricted_data_is_for_those_who_meet_obligations_alone() {
    let bench = Bench::new();
    let (id, items) = bench.person(&["Ada"]).await;
    let view = set(&bench, id, Some(RestrictionGround::LegalClaim)).await.expect("restricts");
    assert_eq!(view.state, SubjectState::Restricted);
    let leaf = bench.last_leaf();
    assert_eq!((leaf.operation.as_str(), leaf.rule.as_str()), ("RestrictSubject", "privacy-officer-sets-limits"));
    assert!(matches!(leaf.about, crate::audit::event::About::Subject(..)), "it is about the person");
    assert_eq!(cause(view_for(&bench, "service_delivery", id, items[0].item).await), Some(Cause::Restricted));
    assert_eq!(bench.last_leaf().rule.as_str(), "guard-restricted");
    let call = officer(&bench, Action::GetItem, "", "").await;
    let seen = get::get(&bench.vault, &call, query(id, items[0].item)).await.expect("the officer reads");
    assert!(seen.restricted);
    assert_eq!(set(&bench, id, None).await.expect("lifts").state, SubjectState::Active);
    assert_eq!(view_for(&bench, "service_delivery", id, items[0].item).await, Ok(View::Plain));
}

#[tokio::test]
async fn what_is_so_already_is_recorded_and_changes_nothing() {
    let bench = Bench::new();
    let (id, _) = bench.person(&["Ada"]).await;
    set(&bench, id, Some(RestrictionGround::Unlawful)).await.expect("restricts");
    let (row, count) = (bench.rows(Space::Subject), bench.leaves().len());
    set(&bench, id, Some(RestrictionGround::Unlawful)).await.expect("is so");
    assert_eq!((bench.rows(Space::Subject), bench.leaves().len()), (row.clone(), count + 1));
    set(&bench, id, Some(RestrictionGround::LegalClaim)).await.expect("has another ground");
    assert_ne!(bench.rows(Space::Subject), row);
}

#[tokio::test]
async fn an_objection_holds_for_its_purpose_and_classes() {
    let bench = Bench::new();
    let (id, items) = bench.person(&["Ada"]).await;
    let one = objects(&bench, id, "improvement", true, &["payment", "contact", "payment"]).await.expect("objects");
    assert_eq!(one.len(), 1, "made together");
    let names: Vec<&str> = one[0].classes.iter().map(|class| class.as_str()).collect();
    assert_eq!((one[0].purpose.as_str(), names), ("improvement", vec!["payment", "contact"]));
    assert_eq!(cause(view_for(&bench, "improvement", id, items[0].item).await), Some(Cause::Objected));
    assert_eq!(view_for(&bench, "security", id, items[0].item).await, Ok(View::Masked));
    let call = bench.call(Action::GetItem).await;
    let seen = get::get(&bench.vault, &call, query(id, items[0].item)).await.expect("reads");
    assert_eq!(seen.metadata.expect("is shown").objections, ["improvement"]);

    let left = objects(&bench, id, "improvement", false, &["contact"]).await.expect("withdraws");
    assert_eq!(left[0].classes.len(), 1);
    assert_eq!(view_for(&bench, "improvement", id, items[0].item).await, Ok(View::Masked));

    bench.at(HOUR);
    let all = objects(&bench, id, "improvement", true, &[]).await.expect("objects to all");
    assert_eq!((all.len(), all[0].classes.len(), all[0].since.as_millis()), (1, 0, NOON + HOUR), "the rest is covered");
    let call = bench.call(Action::GetSubject).await;
    let person = subject::describe(&bench.vault, &call, SubjectRef::Id(id)).await.expect("is described");
    assert_eq!((person.objections, person.state), (vec!["improvement".to_owned()], SubjectState::Active));
    bench.at(2 * HOUR);
    assert_eq!(objects(&bench, id, "improvement", true, &["contact"]).await.expect("is covered"), all);
    let part = objects(&bench, id, "improvement", false, &["contact"]).await;
    assert_eq!(part, Err(State::NotFromHere.into()), "later classes would fall through");
    assert_eq!(objects(&bench, id, "improvement", false, &[]).await, Ok(vec![]));
    assert_eq!(objects(&bench, id, "improvement", false, &[]).await, Ok(vec![]), "is so already");
}

#[tokio::test]
async fn only_what_the_registry_has_can_be_objected_to() {
    let bench = Bench::new();
    let (id, _) = bench.person(&[]).await;
    let refused = |outcome: Result<Vec<ObjectionView>, Refusal>| match outcome {
        Err(Refusal::Invalid(faults)) => (faults[0].field.clone(), faults[0].reason),
        other => panic!("{other:?}"),
    };
    for (purpose, objected, classes, field, reason) in [
        ("curiosity", true, &[][..], "objected_purpose", FaultReason::PurposeUnknown),
        ("curiosity", false, &[], "objected_purpose", FaultReason::PurposeUnknown),
        ("legal_compliance", true, &[], "objected_purpose", FaultReason::NotObjectable),
        ("improvement", true, &["contact", "secrets"], "classes[1]", FaultReason::ClassUnknown),
        ("improvement", false, &["secrets"], "classes[0]", FaultReason::ClassUnknown),
    ] {
        let found = refused(objects(&bench, id, purpose, objected, classes).await);
        assert_eq!(found, (field.to_owned(), reason), "{purpose} {classes:?}");
    }
    let gone = objects(&bench, SubjectId::from_bytes([1; 16]), "improvement", true, &[]).await;
    assert_eq!(gone, Err(State::NotFound.into()));
}

#[tokio::test]
async fn a_repeat_does_not_undo_what_came_after() {
    let bench = Bench::new();
    let (id, _) = bench.person(&[]).await;
    let once = async |request: &str| {
        let call = officer(&bench, Action::RestrictSubject, "k", request).await;
        let ground = Some(RestrictionGround::LegalClaim);
        restrict::restrict(&bench.vault, &call, Restriction { subject: SubjectRef::Id(id), ground }).await
    };
    assert_eq!(once("a").await.expect("restricts").state, SubjectState::Restricted);
    set(&bench, id, None).await.expect("lifts");
    assert_eq!(once("a").await.expect("is answered").state, SubjectState::Active, "the subject as it is now");
    assert_eq!(once("b").await.map(|_| ()), Err(State::IdempotencyKeyReused.into()));
}

#[tokio::test]
async fn a_row_from_before_a_restriction_is_refused() {
    let bench = Bench::new();
    let (id, items) = bench.person(&["Ada"]).await;
    let (key, old) = bench.rows(Space::Subject).remove(0);
    set(&bench, id, Some(RestrictionGround::LegalClaim)).await.expect("restricts");
    let mut back = Batch::new();
    back.put(Space::Subject, key, old);
    bench.tamper(back);
    let refusal = bench.name(id, items[0].item).await.expect_err("is found out");
    assert_eq!(refusal, Unavailable::Damaged.into());
}
