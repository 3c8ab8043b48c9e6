//! The schema that every policy is checked against: roles, purposes, classes and methods are closed lists in it, so
//! that a policy with a misspelt name is refused when it is loaded.

use super::action::Action;
use super::caller::RoleId;
use crate::catalog::classes::CLASSES;
use crate::catalog::registry::Registry;

/// The group of a method: what policies may name instead of listing methods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Shows something of a person's data.
    Read,
    /// Adds to a person's data or changes it.
    Write,
    /// Ends data for good.
    Forget,
    /// None of these.
    None,
}

/// What a method's decision is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resources {
    /// Items of a class.
    Data,
    /// A subject as such, and items of a class.
    SubjectAndData,
    /// A subject as such.
    Subject,
    /// The vault itself, and a subject as such where the call names one.
    VaultAndSubject,
    /// The vault itself.
    Vault,
}

/// The group of a method, and what it is about.
pub const fn kind_of(action: Action) -> (Group, Resources) {
    match action {
        Action::GetSubject | Action::FindSubjects => (Group::Read, Resources::SubjectAndData),
        Action::GetItem | Action::BatchGetItems | Action::ListItems => (Group::Read, Resources::Data),
        Action::ReadEvents | Action::DownloadDocument => (Group::Read, Resources::Data),
        Action::CreateSubject => (Group::Write, Resources::SubjectAndData),
        Action::PutItem | Action::BatchPutItems | Action::UpdateItem => (Group::Write, Resources::Data),
        Action::RecordEvents | Action::UploadDocument => (Group::Write, Resources::Data),
        Action::DeleteItem => (Group::Forget, Resources::Data),
        Action::VerifyPassword => (Group::None, Resources::Data),
        // A method joins a group when it is built, so that no policy opens it before.
        Action::ExportSubject => (Group::None, Resources::Data),
        Action::ListEntries | Action::TailEntries | Action::VerifyErasure => (Group::None, Resources::VaultAndSubject),
        Action::ListHolds | Action::ListKeepReasons => (Group::None, Resources::VaultAndSubject),
        Action::EraseSubject | Action::RestrictSubject | Action::SetObjection => (Group::None, Resources::Subject),
        Action::PlaceHold => (Group::None, Resources::Subject),
        _ => (Group::None, Resources::Vault),
    }
}

/// Actions that are no methods: what a role may be told.
pub const KNOWLEDGE: [&str; 4] = ["KnowExistence", "KnowRules", "KnowDetails", "KnowHistory"];

/// The schema for a registry, in Cedar's own syntax.
pub fn text(registry: &Registry) -> String {
    let roles = quoted(RoleId::ALL.iter().map(|role| role.name()));
    let purposes = quoted(registry.purposes().map(|purpose| purpose.id.as_str()));
    let classes = quoted(CLASSES.iter().map(|class| class.id.as_str()));
    let mut text = HEAD.replace("ROLES", &roles).replace("PURPOSES", &purposes).replace("CLASSES", &classes);
    for action in Action::ALL {
        let (group, resources) = kind_of(*action);
        let group = match group {
            Group::Read => " in [read]",
            Group::Write => " in [write]",
            Group::Forget => " in [forget]",
            Group::None => "",
        };
        let resources = match resources {
            Resources::Data => "[Data]",
            Resources::SubjectAndData => "[Subject, Data]",
            Resources::Subject => "[Subject]",
            Resources::VaultAndSubject => "[Vault, Subject]",
            Resources::Vault => "[Vault]",
        };
        text.push_str(&format!(
            "  action {action}{group} appliesTo {{ principal: [Caller], resource: {resources}, context: Asked }};\n"
        ));
    }
    for name in KNOWLEDGE {
        text.push_str(&format!(
            "  action {name} appliesTo {{ principal: [Caller], resource: [Vault], context: Asked }};\n"
        ));
    }
    text.push_str("}\n");
    text
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

const HEAD: &str = r#"namespace Lacuna {
  // The acting role, and never another that the caller holds.
  entity Role enum [ROLES];
  entity Purpose enum [PURPOSES];
  entity Class enum [CLASSES];
  // exists in last4 in masked in plain.
  entity View in [View];
  // A verified identity: `spiffe://...` or `dns:...`.
  entity Caller in [Role];
  entity Vault;
  // A person; tags are its labels.
  entity Subject = {
    restricted: Bool,
    // The call acts for this very person, by their token.
    own: Bool,
  } tags String;
  // Items of one class of one person; tags are the person's labels.
  entity Data = {
    class: Class,
    // The person's data may only be stored.
    restricted: Bool,
    // The call acts for this very person, by their token.
    own: Bool,
    // The person objects to the purpose of the call.
    objected: Bool,
    // Its account reason ended; a hold or a statutory period keeps it.
    kept: Bool,
  } tags String;
  type Asked = {
    purpose: Purpose,
    // The view asked for; the highest that is permitted is granted.
    view: View,
    // Whether the caller stated a reference for this piece of work.
    ticket: Bool,
  };
  action read, write, forget;
"#;
