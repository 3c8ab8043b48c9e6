//! What a set of rules comes to, as a table for people: `docs/access.md` holds that of the shipped rules.

use super::action::Action;
use super::caller::RoleId;
use super::decide::Permit;
use super::question::{Question, Resource, Standing};
use super::rules::Rules;
use crate::catalog::class::{ClassDef, ClassId};
use crate::catalog::classes::class_of;
use crate::catalog::purpose::Purpose;
use crate::catalog::view::View;

/// What a role may do for a purpose.
#[derive(serde::Serialize)]
pub struct Row {
    /// The role.
    pub role: &'static str,
    /// The purpose.
    pub purpose: String,
    /// Per class, in the order of the registry, what it may do with items.
    pub classes: Vec<(&'static str, String)>,
    /// Methods about a person as such.
    pub person: String,
    /// Methods about the vault.
    pub vault: String,
}

/// One row per role and purpose under which it may do anything.
pub fn rows(rules: &Rules) -> Vec<Row> {
    let classes: Vec<ClassId> = rules.registry().classes().map(|rule| rule.class.id).collect();
    let mut rows = Vec::new();
    for role in RoleId::ALL {
        for purpose in rules.registry().purposes() {
            let asked = |action, resource| ask(rules, *role, purpose, action, resource);
            let row = Row {
                role: role.name(),
                purpose: purpose.id.to_string(),
                classes: classes.iter().map(|class| (class.as_str(), data_cell(&asked, *role, *class))).collect(),
                person: methods(&asked, &Resource::Subject(Standing::blank(*role))),
                vault: methods(&asked, &Resource::Vault),
            };
            let cells = row.classes.iter().map(|(_, cell)| cell);
            if cells.chain([&row.person, &row.vault]).any(|cell| !cell.is_empty()) {
                rows.push(row);
            }
        }
    }
    rows
}

/// The rows as Markdown.
pub fn markdown(rules: &Rules) -> String {
    let mut text = String::from("| role | purpose |");
    let classes = rules.registry().classes().count();
    for rule in rules.registry().classes() {
        text.push_str(&format!(" {} |", rule.class.id));
    }
    text.push_str(" the person | the vault |\n|---|---|");
    text.push_str(&"---|".repeat(classes + 2));
    text.push('\n');
    for Row { role, purpose, classes, person, vault } in rows(rules) {
        let cells: Vec<&str> = classes.iter().map(|(_, cell)| cell.as_str()).chain([&*person, &*vault]).collect();
        text.push_str(&format!("| {role} | {purpose} | {} |\n", cells.join(" | ")));
    }
    text
}

fn data_cell(asked: &impl Fn(Action, Resource) -> Option<Permit>, role: RoleId, class: ClassId) -> String {
    let data = || Resource::Data { class, standing: Standing::blank(role), objected: false, kept: false };
    let may = |action| asked(action, data());
    let mut words = Vec::new();
    words.extend(may(Action::GetItem).map(|permit| reads(&permit)));
    let needed = class_of(class.as_str()).map_or(View::Plain, ClassDef::view_max);
    words.extend(may(Action::PutItem).filter(|permit| permit.sees_all_of(needed)).map(|_| "writes".to_owned()));
    words.extend(may(Action::DeleteItem).map(|_| "deletes".to_owned()));
    words.extend(may(Action::VerifyPassword).map(|_| "tests".to_owned()));
    words.extend(may(Action::FindSubjects).and_then(|permit| finds(&permit, class)));
    words.join(", ")
}

fn reads(permit: &Permit) -> String {
    let view = permit.view();
    let lower = permit.fields().filter(|(_, cap)| *cap < view).map(|(path, cap)| format!("{path} {cap}"));
    let lower = lower.collect::<Vec<_>>().join(", ");
    if lower.is_empty() { format!("reads {view}") } else { format!("reads {view} ({lower})") }
}

/// By which identifiers of the class people may be looked for: those that are seen in full.
fn finds(permit: &Permit, class: ClassId) -> Option<String> {
    let all = class_of(class.as_str())?.identifiers;
    let open = all.iter().filter(|found_by| permit.clone().in_full(found_by.confirms).is_ok());
    let open: Vec<&str> = open.map(|found_by| found_by.field.as_str()).collect();
    match open.len() {
        0 => None,
        some if some == all.len() => Some("finds".to_owned()),
        _ => Some(format!("finds by {}", open.join(", "))),
    }
}

/// The methods that are open about something that has no class.
fn methods(asked: &impl Fn(Action, Resource) -> Option<Permit>, about: &Resource) -> String {
    let open = Action::ALL.iter().filter(|action| asked(**action, about.clone()).is_some());
    open.map(|action| action.as_str()).collect::<Vec<_>>().join(", ")
}

fn ask(rules: &Rules, role: RoleId, purpose: &Purpose, action: Action, resource: Resource) -> Option<Permit> {
    let caller = "dns:anyone".parse().ok()?;
    let question = Question { caller, role, purpose: purpose.id.clone(), action, ticket: false, resource };
    rules.decide(&question).as_ref().as_ref().ok().cloned()
}
