//! Fields that a purpose shows less of than the class: what is shown, what is told of it, and what it means for writing.

use super::*;
use crate::catalog::registry;
use crate::catalog::view::View;
use crate::gate::refusal::Access;
use crate::items::check::check;
use crate::items::model::{Masked, Supposition};
use crate::items::{list, model::ListQuery, put};
use crate::policy::bindings::Bindings;
use crate::policy::policies;

const CAPS: &str = "classes.contact = \"plain\"\n\
                    fields = { contact = { full_name = \"masked\", phones = \"exists\" } }";

/// A vault with somebody's contact; then its catalog lets service delivery see less of names and phones.
pub async fn lowered() -> (Bench, SubjectId, ItemId) {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada Lovelace"]).await;
    let text = registry::DEFAULT.replacen(CAPS.lines().next().expect("a line"), CAPS, 1);
    assert_ne!(text, registry::DEFAULT);
    let rules = Rules::load(&text, &[("roles.cedar".into(), policies::DEFAULT.into())]).expect("loads");
    let vault = bench.vault.clone();
    let bindings = "trust_domain = \"example.org\"\n[[binding]]\nidentity = \"spiffe://example.org/checkout\"\n\
                    roles = [\"service\"]\n";
    let bindings = Arc::new(Bindings::parse(bindings).expect("bindings"));
    let replace = move || vault.replace_rules(rules).and_then(|()| vault.replace_bindings(bindings));
    std::thread::spawn(replace).join().expect("ends").expect("is recorded");
    let operations: Vec<String> = bench.leaves().into_iter().map(|leaf| leaf.operation).collect();
    assert_eq!(operations[operations.len() - 2..], ["RulesChanged", "BindingsChanged"], "both are recorded");
    (bench, subject, items[0].item)
}

fn told(masked: &[Masked]) -> Vec<(&str, View, Option<&str>)> {
    masked.iter().map(|it| (it.path.as_str(), it.view, it.rule.as_ref().map(|rule| rule.as_str()))).collect()
}

#[tokio::test]
async fn a_field_is_shown_as_its_purpose_allows_and_says_why() {
    let (bench, subject, item) = lowered().await;
    let call = bench.call(Action::GetItem).await;
    let seen = get::get(&bench.vault, &call, query(subject, item)).await.expect("is shown");
    assert_eq!(seen.view, View::Plain);
    let Some(ItemValue::Contact(contact)) = &seen.value else { panic!("a contact") };
    assert_eq!(contact.full_name.expose(), "A** L*******");
    assert_eq!(told(&seen.masked), [("full_name", View::Masked, Some("catalog:service_delivery"))]);

    let call = bench.call(Action::ListItems).await;
    let everything = ListQuery {
        subject: SubjectRef::Id(subject),
        classes: vec![],
        view: Some(View::Masked),
        fields: vec![],
        page_size: 0,
        page_token: String::new(),
    };
    let page = list::list(&bench.vault, &call, everything).await.expect("lists");
    assert_eq!(told(&page.items[0].masked), [("full_name", View::Masked, Some("call:view"))]);

    // Another purpose has its own views; a role that may not know the rules is not told them.
    let call = bench.call_as("desk", RoleId::Support, "service_delivery", Action::GetItem, "", "").await;
    let seen = get::get(&bench.vault, &call, query(subject, item)).await.expect("is shown");
    assert_eq!(told(&seen.masked), [("full_name", View::Masked, None)]);
    let call = bench.call_as("officer", RoleId::PrivacyOfficer, "legal_compliance", Action::GetItem, "", "").await;
    let seen = get::get(&bench.vault, &call, query(subject, item)).await.expect("is shown");
    assert!(seen.masked.is_empty());
}

#[tokio::test]
async fn what_is_told_beforehand_is_what_happens() {
    let (bench, subject, item) = lowered().await;
    let call = bench.call(Action::CheckAccess).await;
    let supposed = |action| Supposition {
        caller: None,
        role: "service".into(),
        purpose: "service_delivery".into(),
        action,
        class: "contact".into(),
        subject: Some(SubjectRef::Id(subject)),
        item: Some(item),
        view: None,
    };
    let explained = check(&bench.vault, &call, supposed(Action::GetItem)).await.expect("is explained");
    assert_eq!(explained.view, Some(View::Plain));
    let fields = told(&explained.masked);
    assert!(fields.contains(&("full_name", View::Masked, Some("catalog:service_delivery"))), "{fields:?}");
    assert!(fields.contains(&("phones.number", View::Exists, Some("catalog:service_delivery"))), "{fields:?}");
    assert!(fields.iter().all(|(path, ..)| *path == "full_name" || path.starts_with("phones.")), "{fields:?}");

    // Whoever sees a part only would write the rest away.
    let explained = check(&bench.vault, &call, supposed(Action::PutItem)).await.expect("is explained");
    assert!(explained.reason.is_some());
    let call = bench.call(Action::PutItem).await;
    let refused = put::put(&bench.vault, &call, SubjectRef::Id(subject), contact("Grace")).await;
    assert_eq!(refused.err(), Some(Access::ViewNotAllowed.into()));
}
