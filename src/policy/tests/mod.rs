//! The shipped roles, the built-in rules, labels, and random policies against an evaluator of ten lines.

mod cache;
mod random;

use std::sync::Arc;

use super::action::Action;
use super::caller::RoleId;
use super::decide::{Cause, Verdict};
use super::policies::{DEFAULT, PolicyError};
use super::question::{Question, Resource, Standing};
use super::rules::{Rules, RulesError};
use crate::catalog::classes;
use crate::catalog::registry;
use crate::catalog::view::View;

pub fn question(rules: &Rules, role: RoleId, purpose: &str, action: Action) -> Question {
    Question {
        caller: "spiffe://example.org/checkout".parse().expect("an identity"),
        role,
        purpose: rules.registry().purpose(purpose).expect("registered").id.clone(),
        action,
        ticket: false,
        resource: Resource::Vault,
    }
}

pub fn data(class: &str, standing: Standing) -> Resource {
    let class = classes::class_of(class).expect("a class").id;
    Resource::Data { class, standing, objected: false, kept: false }
}

fn view(rules: &Rules, role: RoleId, purpose: &str, action: Action, class: &str) -> Option<View> {
    let resource = data(class, Standing::default());
    let verdict = rules.decide(&Question { resource, ..question(rules, role, purpose, action) });
    verdict.as_ref().as_ref().ok().map(|permit| permit.view())
}

#[test]
fn each_role_gets_the_least_it_needs() {
    let rules = Rules::shipped().expect("loads");
    use Action::*;
    use RoleId::*;
    let cases = [
        (Service, "service_delivery", GetItem, "payment", Some(View::Plain)),
        (Service, "improvement", GetItem, "contact", Some(View::Masked)),
        (Service, "improvement", GetItem, "government_id", None),
        (Service, "improvement", PutItem, "contact", None),
        (Service, "legal_compliance", GetItem, "contact", None),
        (Support, "service_delivery", GetItem, "contact", Some(View::Masked)),
        (Support, "service_delivery", GetItem, "government_id", None),
        (Support, "service_delivery", DeleteItem, "contact", None),
        (Kyc, "legal_compliance", GetItem, "government_id", Some(View::Plain)),
        (Kyc, "service_delivery", GetItem, "government_id", None),
        (Billing, "service_delivery", GetItem, "contact", Some(View::Masked)),
        (Billing, "service_delivery", PutItem, "payment", Some(View::Plain)),
        (PrivacyOfficer, "legal_compliance", DeleteItem, "contact", Some(View::Plain)),
        (PrivacyOfficer, "legal_compliance", PutItem, "contact", None),
        (Legal, "legal_compliance", GetItem, "payment", Some(View::Plain)),
        (Legal, "legal_compliance", DeleteItem, "payment", None),
    ];
    for (role, purpose, action, class, expected) in cases {
        assert_eq!(view(&rules, role, purpose, action, class), expected, "{role} {purpose} {action} {class}");
    }
}

#[test]
fn roles_that_run_the_vault_never_see_values() {
    let rules = Rules::shipped().expect("loads");
    for role in [RoleId::KeyAdmin, RoleId::Auditor, RoleId::Monitor, RoleId::Operator, RoleId::Subject] {
        for purpose in rules.registry().purposes() {
            for action in Action::ALL {
                for rule in rules.registry().classes() {
                    let class = rule.class.id.as_str();
                    assert_eq!(view(&rules, role, purpose.id.as_str(), *action, class), None, "{role} {action}");
                }
            }
        }
    }
}

#[test]
fn no_permit_overrides_a_restriction_an_objection_or_what_is_kept() {
    let everything = "@id(\"everything\") permit (principal, action, resource);".to_owned();
    let rules = Rules::load(registry::DEFAULT, &[("all.cedar".into(), everything)]).expect("loads");
    let class = classes::class_of("contact").expect("a class").id;
    let about = |restricted: bool, objected: bool, kept: bool| {
        let standing = Standing { restricted, ..Standing::default() };
        Resource::Data { class, standing, objected, kept }
    };
    let ask = |role, purpose, action, resource| -> Verdict {
        let question = Question { resource, ..question(&rules, role, purpose, action) };
        (*rules.decide(&question)).clone()
    };
    use Action::{DeleteItem, GetItem};
    use RoleId::{Legal, PrivacyOfficer, Service};
    let denied = |verdict: Verdict| verdict.err().map(|denial| denial.cause);
    assert_eq!(denied(ask(Service, "service_delivery", GetItem, about(false, false, false))), None);
    assert_eq!(denied(ask(Service, "service_delivery", GetItem, about(true, false, false))), Some(Cause::Restricted));
    assert_eq!(denied(ask(Legal, "legal_compliance", GetItem, about(true, false, false))), None);
    assert_eq!(denied(ask(PrivacyOfficer, "legal_compliance", GetItem, about(true, false, false))), None);
    assert_eq!(denied(ask(Service, "improvement", GetItem, about(false, true, false))), Some(Cause::Objected));
    assert_eq!(denied(ask(Service, "service_delivery", GetItem, about(false, false, true))), Some(Cause::Rules));
    assert_eq!(denied(ask(Legal, "legal_compliance", GetItem, about(false, false, true))), None);
    assert_eq!(denied(ask(Legal, "legal_compliance", DeleteItem, about(false, false, true))), Some(Cause::Rules));
}

#[test]
fn rules_over_labels_decide_row_by_row() {
    let own_region = r#"
        @id("own-region")
        permit (principal in Lacuna::Role::"support", action in Lacuna::Action::"read", resource is Lacuna::Data)
        when {
          context.purpose == Lacuna::Purpose::"service_delivery" && context.view in Lacuna::View::"masked" &&
          resource.hasTag("region") && resource.getTag("region") == "eu"
        };
    "#;
    let rules = Rules::load(registry::DEFAULT, &[("own.cedar".into(), own_region.into())]).expect("loads");
    let general = question(&rules, RoleId::Support, "service_delivery", Action::GetItem);
    assert!(rules.is_open(&general), "the labels of each person decide");
    assert!(!rules.is_open(&question(&rules, RoleId::Billing, "service_delivery", Action::GetItem)));
    assert!(!rules.is_open(&question(&rules, RoleId::Support, "service_delivery", Action::PutItem)));
    let of = |region: &str| {
        let labels: Arc<[(String, String)]> = [("region".to_owned(), region.to_owned())].into();
        let resource = data("contact", Standing { labels, restricted: false, own: false });
        rules.decide(&Question { resource, ..general.clone() }).is_ok()
    };
    assert!(of("eu") && !of("us") && !of(""));
}

#[test]
fn what_does_not_fit_the_schema_is_refused_by_name() {
    let load = |text: &str| Rules::load(registry::DEFAULT, &[("own.cedar".to_owned(), text.to_owned())]);
    let refused = |text: &str, words: &str| {
        let error = load(text).err().unwrap_or_else(|| panic!("{text} should be refused")).to_string();
        assert!(error.contains(words), "{error}");
    };
    refused("permit (principal, action, resource)", "own.cedar");
    refused("permit (principal, action, resource);", "needs an @id");
    refused("@id(\"A\") permit (principal, action, resource);", "needs an @id");
    refused("@id(\"guard-kept\") permit (principal, action, resource);", "needs an @id");
    refused("@id(\"a\") permit (principal in Lacuna::Role::\"boss\", action, resource);", "boss");
    refused("@id(\"a\") permit (principal, action == Lacuna::Action::\"Peek\", resource);", "Peek");
    let purpose = "@id(\"a\") permit (principal, action, resource) when { context.purpose == Lacuna::Purpose::\"x\" };";
    refused(purpose, "x");
    refused("@id(\"a\") permit (principal, action, resource) when { context.hour > 8 };", "hour");
    refused("@id(\"a\") permit (principal == ?principal, action, resource);", "templates");
    assert!(load(DEFAULT).is_ok());
    assert!(matches!(load("?"), Err(RulesError::Policies(PolicyError::Syntax { .. }))));
    refused("// one\n\n@id(\"a\")\npermit (principal, action, resource) when { ? };", "own.cedar, line 4");
    refused(
        "// one\n\n@id(\"a\")\npermit (principal in Lacuna::Role::\"boss\", action, resource);",
        "own.cedar, line ",
    );
    refused("// one\n\npermit (principal, action, resource);", "own.cedar, line 3: every policy needs");
}

#[test]
fn the_version_names_the_texts_and_their_order() {
    let policy = |id: &str| format!("@id(\"{id}\") permit (principal, action, resource);");
    let load = |files: &[(&str, &str)]| {
        let files: Vec<(String, String)> = files.iter().map(|(name, id)| ((*name).to_owned(), policy(id))).collect();
        Rules::load(registry::DEFAULT, &files).expect("loads").version()
    };
    assert_eq!(load(&[("a", "one")]), load(&[("a", "one")]));
    assert_ne!(load(&[("a", "one")]), load(&[("a", "two")]));
    assert_ne!(load(&[("a", "one")]), load(&[("b", "one")]));
    assert_ne!(load(&[("a", "one")]), load(&[]));
}

#[test]
fn equal_questions_share_one_answer() {
    let rules = Rules::shipped().expect("loads");
    let resource = data("contact", Standing::default());
    let question = Question { resource, ..question(&rules, RoleId::Service, "service_delivery", Action::GetItem) };
    assert!(Arc::ptr_eq(&rules.decide(&question), &rules.decide(&question.clone())));
    let other = Question { ticket: true, ..question.clone() };
    assert!(!Arc::ptr_eq(&rules.decide(&question), &rules.decide(&other)));
}

const ACCESS: &str = include_str!("../../../docs/access.md");

#[test]
fn the_documented_matrix_is_that_of_the_shipped_rules() {
    let matrix = super::matrix::markdown(&Rules::shipped().expect("loads"));
    let documented = ACCESS.split("<!-- matrix -->\n").nth(1).and_then(|rest| rest.split("<!-- end -->").next());
    assert_eq!(documented, Some(&*matrix), "docs/access.md should hold:\n{matrix}");
}

#[test]
fn the_documented_policy_loads() {
    let sample = ACCESS.split("```cedar\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a sample");
    assert!(Rules::load(registry::DEFAULT, &[("sample.cedar".into(), sample.into())]).is_ok());
}

#[test]
fn what_a_role_may_be_told_is_a_policy_too() {
    let rules = Rules::shipped().expect("loads");
    for role in RoleId::ALL {
        let asked = question(&rules, *role, "legal_compliance", Action::GetItem);
        let known = rules.knowledge(&asked);
        assert_eq!(known, rules.knowledge(&Question { action: Action::PutItem, ..asked }), "found again");
        let existence = matches!(role, RoleId::Service | RoleId::PrivacyOfficer | RoleId::Legal);
        assert_eq!((known.existence, known.rules), (existence, existence || *role == RoleId::Auditor), "{role}");
        assert!(!known.details, "{role}: without a stated case");
        assert_eq!(known.history, *role == RoleId::Legal, "{role}");
        assert!(!rules.knowledge(&question(&rules, *role, "security", Action::ListEntries)).history, "{role}");
    }
    for role in RoleId::ALL {
        let asked = |purpose| Question { ticket: true, ..question(&rules, *role, purpose, Action::ListEntries) };
        assert_eq!(rules.knowledge(&asked("legal_compliance")).details, *role == RoleId::Auditor, "{role}");
        assert!(!rules.knowledge(&asked("security")).details, "{role}");
    }
}

#[test]
fn the_role_of_a_person_reaches_the_own_record_alone() {
    // Whatever the folder of policies says.
    let generous = "@id(\"all\") permit (principal, action, resource);";
    let everything = Rules::load(registry::DEFAULT, &[("all.cedar".into(), generous.into())]).expect("loads");
    let shipped = Rules::shipped().expect("loads");
    let own = Standing { own: true, ..Standing::default() };
    for rules in [&everything, &shipped] {
        let ask = |action, resource| {
            let question = question(rules, RoleId::Subject, "service_delivery", action);
            rules.decide(&Question { resource, ..question }).is_ok()
        };
        for action in [Action::GetItem, Action::ListItems, Action::UpdateItem, Action::DeleteItem] {
            assert!(ask(action, data("contact", own.clone())), "{action}");
            assert!(!ask(action, data("contact", Standing::default())), "{action}");
        }
        assert!(ask(Action::GetSubject, Resource::Subject(own.clone())));
        assert!(!ask(Action::GetSubject, Resource::Subject(Standing::default())));
        assert!(!ask(Action::GetStatus, Resource::Vault));
        for action in [Action::RestrictSubject, Action::SetObjection] {
            assert!(ask(action, Resource::Subject(own.clone())), "{action}");
            assert!(!ask(action, Resource::Subject(Standing::default())), "{action}");
        }
        // A restriction keeps others away from the person's data, and the person from changing it.
        let restricted = |own| Standing { own, restricted: true, ..Standing::default() };
        for action in [Action::GetItem, Action::ListItems, Action::BatchGetItems] {
            assert!(ask(action, data("contact", restricted(true))), "{action}");
            assert!(!ask(action, data("contact", restricted(false))), "{action}");
        }
        for action in [Action::UpdateItem, Action::DeleteItem] {
            assert!(!ask(action, data("contact", restricted(true))), "{action}");
        }
        let service = question(rules, RoleId::Service, "service_delivery", Action::GetItem);
        let asked = |own| rules.decide(&Question { resource: data("contact", restricted(own)), ..service.clone() });
        assert!(asked(false).is_err() && asked(true).is_err(), "whatever a rule makes of it");
    }
    let denied = everything.decide(&Question {
        resource: data("contact", Standing::default()),
        ..question(&everything, RoleId::Subject, "service_delivery", Action::GetItem)
    });
    let denied = denied.as_ref().as_ref().expect_err("is denied");
    assert_eq!(denied.rules.first().map(|rule| rule.as_str()), Some("guard-own"));
}
