//! One function: who asks, for what purpose, to do what, to which class; the answer is a permit or nothing.
//!
//! The rules are a first, fixed table: the least each shipped role needs. Whatever no line names is denied. The
//! registry caps every view by purpose and class, whatever the table says.

use super::action::Action;
use super::caller::RoleId;
use crate::base::log_safe::SafeText;
use crate::catalog::class::ClassId;
use crate::catalog::purpose::PurposeId;
use crate::catalog::registry::Registry;
use crate::catalog::view::View;

/// The permission to act on one class, up to a view. Only [`decide`] makes one.
#[derive(Debug)]
pub struct Permit {
    view: View,
    rule: SafeText,
}

impl Permit {
    /// The highest view allowed.
    pub fn view(&self) -> View {
        self.view
    }

    /// The rule that permitted it.
    pub fn rule(&self) -> &SafeText {
        &self.rule
    }
}

/// Decides about one class, or, without a class, whether the action is open to the role at all.
pub fn decide(
    registry: &Registry,
    role: RoleId,
    purpose: &PurposeId,
    action: Action,
    class: Option<ClassId>,
) -> Option<Permit> {
    let matches = RULES.iter().filter(|rule| {
        rule.role == role
            && rule.actions.contains(&action)
            && rule.purposes.contains(&purpose.as_str())
            && class.is_none_or(|class| rule.classes.contains(&class.as_str()))
    });
    let permit = |rule: &Rule| {
        let view = match class {
            None => Some(rule.view),
            Some(class) => registry.cap(purpose, class).map(|cap| cap.min(rule.view)),
        };
        view.map(|view| Permit { view, rule: SafeText::constant(rule.id) })
    };
    matches.filter_map(permit).max_by_key(Permit::view)
}

/// Whether a role may learn that a subject or an item exists which it may not see.
pub fn may_know_existence(role: RoleId) -> bool {
    matches!(role, RoleId::Service | RoleId::PrivacyOfficer | RoleId::Legal)
}

struct Rule {
    id: &'static str,
    role: RoleId,
    purposes: &'static [&'static str],
    actions: &'static [Action],
    classes: &'static [&'static str],
    view: View,
}

const READ: &[Action] = &[Action::GetSubject, Action::GetItem, Action::BatchGetItems, Action::ListItems];
const WRITE: &[Action] = &[
    Action::CreateSubject,
    Action::PutItem,
    Action::BatchPutItems,
    Action::UpdateItem,
    Action::DeleteItem,
    Action::GetSubject,
    Action::GetItem,
    Action::BatchGetItems,
    Action::ListItems,
];
const CONTACT: &[&str] = &["contact"];
const GOVERNMENT_ID: &[&str] = &["government_id"];
const PAYMENT: &[&str] = &["payment"];
const ALL: &[&str] = &["contact", "government_id", "payment"];

const fn rule(
    id: &'static str,
    role: RoleId,
    purposes: &'static [&'static str],
    actions: &'static [Action],
    classes: &'static [&'static str],
    view: View,
) -> Rule {
    Rule { id, role, purposes, actions, classes, view }
}

const RULES: &[Rule] = &[
    rule("service-delivers", RoleId::Service, &["service_delivery"], WRITE, ALL, View::Plain),
    rule("service-protects", RoleId::Service, &["security"], READ, ALL, View::Masked),
    rule("service-improves", RoleId::Service, &["improvement"], READ, ALL, View::Masked),
    rule("support-helps", RoleId::Support, &["service_delivery"], READ, &["contact", "payment"], View::Masked),
    rule("kyc-verifies", RoleId::Kyc, &["legal_compliance"], WRITE, GOVERNMENT_ID, View::Plain),
    rule("kyc-reads-contact", RoleId::Kyc, &["legal_compliance"], READ, CONTACT, View::Plain),
    rule("billing-charges", RoleId::Billing, &["service_delivery"], WRITE, PAYMENT, View::Plain),
    rule("billing-reads-contact", RoleId::Billing, &["service_delivery"], READ, CONTACT, View::Masked),
    rule("privacy-officer-answers", RoleId::PrivacyOfficer, &["legal_compliance"], READ, ALL, View::Plain),
    rule(
        "privacy-officer-deletes",
        RoleId::PrivacyOfficer,
        &["legal_compliance"],
        &[Action::DeleteItem],
        ALL,
        View::Exists,
    ),
    rule("legal-reads", RoleId::Legal, &["legal_compliance"], READ, ALL, View::Plain),
    rule("operator-watches", RoleId::Operator, &["security"], &[Action::GetStatus], &[], View::Exists),
    rule("key-admin-watches", RoleId::KeyAdmin, &["security"], &[Action::GetStatus], &[], View::Exists),
    rule(
        "auditor-watches",
        RoleId::Auditor,
        &["security", "legal_compliance"],
        &[Action::GetStatus],
        &[],
        View::Exists,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{classes, registry};

    fn ask(role: RoleId, purpose: &str, action: Action, class: &str) -> Option<View> {
        let registry = Registry::parse(registry::DEFAULT).expect("the shipped registry");
        let purpose = registry.purpose(purpose).expect("shipped").id.clone();
        let class = classes::class_of(class).expect("shipped").id;
        decide(&registry, role, &purpose, action, Some(class)).map(|permit| permit.view())
    }

    #[test]
    fn each_role_gets_the_least_it_needs() {
        let cases = [
            (RoleId::Service, "service_delivery", Action::GetItem, "payment", Some(View::Plain)),
            (RoleId::Service, "improvement", Action::GetItem, "contact", Some(View::Masked)),
            (RoleId::Service, "improvement", Action::GetItem, "government_id", None),
            (RoleId::Service, "improvement", Action::PutItem, "contact", None),
            (RoleId::Support, "service_delivery", Action::GetItem, "contact", Some(View::Masked)),
            (RoleId::Support, "service_delivery", Action::GetItem, "government_id", None),
            (RoleId::Support, "service_delivery", Action::DeleteItem, "contact", None),
            (RoleId::Kyc, "legal_compliance", Action::GetItem, "government_id", Some(View::Plain)),
            (RoleId::Kyc, "service_delivery", Action::GetItem, "government_id", None),
            (RoleId::Billing, "service_delivery", Action::GetItem, "contact", Some(View::Masked)),
        ];
        for (role, purpose, action, class, view) in cases {
            assert_eq!(ask(role, purpose, action, class), view, "{role} {purpose} {action} {class}");
        }
    }

    #[test]
    fn roles_that_run_the_vault_never_see_values() {
        for role in [RoleId::KeyAdmin, RoleId::Auditor, RoleId::Operator, RoleId::Subject] {
            for purpose in ["service_delivery", "security", "improvement", "legal_compliance"] {
                for action in READ.iter().chain(WRITE) {
                    assert!(ALL.iter().all(|class| ask(role, purpose, *action, class).is_none()));
                }
            }
        }
    }
}
