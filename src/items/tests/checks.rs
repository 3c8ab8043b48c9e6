//! Questions about access: who may ask what, what they are answered by, and that they are recorded.

use super::fields::lowered;
use super::*;
use crate::audit::event::About;
use crate::base::reason::Reason;
use crate::catalog::view::View;
use crate::gate::refusal::Access;
use crate::items::check::check;
use crate::items::model::{Restriction, RestrictionGround, Supposition};
use crate::items::restrict;

fn supposed(purpose: &str, subject: Option<SubjectId>, view: Option<View>) -> Supposition {
    Supposition {
        caller: Some("spiffe://example.org/checkout".parse().expect("a name")),
        role: "service".into(),
        purpose: purpose.into(),
        action: Action::GetItem,
        class: "contact".into(),
        subject: subject.map(SubjectRef::Id),
        item: None,
        view,
    }
}

#[tokio::test]
async fn the_view_and_the_person_that_are_asked_about_decide_and_the_question_is_recorded() {
    let (bench, subject, _) = lowered().await;
    let ask = async |purpose: &str, view| {
        let call = bench.call(Action::CheckAccess).await;
        let explained = check(&bench.vault, &call, supposed(purpose, Some(subject), view)).await.expect("is explained");
        let leaf = bench.last_leaf();
        assert!(leaf.operation == "CheckAccess" && matches!(leaf.about, About::Subject(_)));
        (explained.view, explained.reason)
    };
    assert_eq!(ask("service_delivery", None).await, (Some(View::Plain), None));
    assert_eq!(ask("service_delivery", Some(View::Masked)).await, (Some(View::Masked), None));
    assert_eq!(ask("improvement", Some(View::Plain)).await, (None, Some(Reason::ViewNotAllowed)));
    let call =
        bench.call_as("officer", RoleId::PrivacyOfficer, "legal_compliance", Action::RestrictSubject, "", "").await;
    let wanted = Restriction { subject: SubjectRef::Id(subject), ground: Some(RestrictionGround::LegalClaim) };
    restrict::restrict(&bench.vault, &call, wanted).await.expect("restricts");
    assert_eq!(ask("service_delivery", None).await, (None, Some(Reason::Restricted)));
}

#[tokio::test]
async fn who_may_not_know_of_a_person_cannot_ask_about_one() {
    let (bench, subject, _) = lowered().await;
    let call = bench.call_as("eyes", RoleId::Auditor, "security", Action::CheckAccess, "", "").await;
    let refused = check(&bench.vault, &call, supposed("service_delivery", Some(subject), None)).await;
    assert!(matches!(refused, Err(Refusal::Access(Access::Denied(_)))));
    let leaf = bench.last_leaf();
    assert!(leaf.operation == "CheckAccess" && leaf.about == About::Nobody, "whom it named is not looked up");
    let call = bench.call_as("eyes", RoleId::Auditor, "security", Action::CheckAccess, "", "").await;
    let explained = check(&bench.vault, &call, supposed("service_delivery", None, None)).await.expect("of nobody");
    assert_eq!(explained.view, Some(View::Plain));
}
