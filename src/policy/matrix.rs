//! What a set of rules comes to, as a table for people: `docs/access.md` holds that of the shipped rules.

use super::action::Action;
use super::caller::RoleId;
use super::question::{Question, Resource, Standing};
use super::rules::Rules;
use crate::catalog::class::ClassId;
use crate::catalog::purpose::Purpose;
use crate::catalog::view::View;

/// The matrix as Markdown: one row per role and purpose under which it may do anything.
pub fn markdown(rules: &Rules) -> String {
    let classes: Vec<ClassId> = rules.registry().classes().map(|rule| rule.class.id).collect();
    let mut text = String::from("| role | purpose |");
    for class in &classes {
        text.push_str(&format!(" {class} |"));
    }
    text.push_str(" the vault |\n|---|---|");
    text.push_str(&"---|".repeat(classes.len() + 1));
    text.push('\n');
    for role in RoleId::ALL {
        for purpose in rules.registry().purposes() {
            let asked = |action, resource| ask(rules, *role, purpose, action, resource);
            let mut cells: Vec<String> = classes.iter().map(|class| data_cell(&asked, *class)).collect();
            cells.push(vault_cell(&asked));
            if cells.iter().any(|cell| !cell.is_empty()) {
                text.push_str(&format!("| {role} | {} | {} |\n", purpose.id, cells.join(" | ")));
            }
        }
    }
    text
}

fn data_cell(asked: &impl Fn(Action, Resource) -> Option<View>, class: ClassId) -> String {
    let data = || Resource::Data { class, standing: Standing::default(), objected: false, kept: false };
    let may = |action| asked(action, data());
    let mut words = Vec::new();
    words.extend(may(Action::GetItem).map(|view| format!("reads {view}")));
    words.extend(may(Action::PutItem).filter(|view| *view == View::Plain).map(|_| "writes".to_owned()));
    words.extend(may(Action::DeleteItem).map(|_| "deletes".to_owned()));
    words.join(", ")
}

fn vault_cell(asked: &impl Fn(Action, Resource) -> Option<View>) -> String {
    let about_vault = Action::ALL.iter().filter(|action| asked(**action, Resource::Vault).is_some());
    about_vault.map(|action| action.as_str()).collect::<Vec<_>>().join(", ")
}

fn ask(rules: &Rules, role: RoleId, purpose: &Purpose, action: Action, resource: Resource) -> Option<View> {
    let caller = "dns:anyone".parse().ok()?;
    let question = Question { caller, role, purpose: purpose.id.clone(), action, ticket: false, resource };
    rules.decide(&question).as_ref().as_ref().ok().map(|permit| permit.view())
}
