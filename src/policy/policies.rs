//! The policies in force: parsed, named, checked against the schema, and asked.
//!
//! Cedar (cedarpolicy.com) alone decides who may do what. A policy that does not validate refuses the whole set, and
//! an answer during which any policy failed is a denial: a `forbid` that fails must not turn into a permit.

use std::collections::{HashMap, HashSet};
use std::str::FromStr as _;

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, ParseErrors, Policy,
    PolicyId, PolicySet, Request, RestrictedExpression, Schema, ValidationError, ValidationMode, Validator,
};
use miette::Diagnostic;

use super::action::Action;
use super::caller::RoleId;
use super::question::{Question, Resource, Standing};
use super::schema;
use crate::base::log_safe::SafeText;
use crate::catalog::registry::Registry;
use crate::catalog::view::View;

/// The rules that hold whatever the operator's folder says.
const GUARDS: &str = include_str!("guards.cedar");
/// The built-in rule that keeps the role `subject` to the person's own record.
pub const GUARD_OWN: &str = "guard-own";
/// The rules that are used where the operator states none.
pub const DEFAULT: &str = include_str!("../../examples/policies/roles.cedar");

/// A set of policies that passed every check.
pub struct Policies {
    set: PolicySet,
    schema: Schema,
    names: HashMap<PolicyId, SafeText>,
    /// Entities that are the same for every question.
    views: Vec<Entity>,
    reads_labels: HashSet<PolicyId>,
}

/// Why policies were not loaded. Quotes policies, which hold nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A file is not Cedar.
    #[error("{at}: {message}")]
    Syntax {
        /// The place.
        at: Place,
        /// What Cedar says.
        message: String,
    },
    /// A policy has no `@id`, a malformed one, or one that another policy has.
    #[error("{at}: every policy needs an @id of its own, of lower-case letters, digits and dashes")]
    Id {
        /// Where the policy begins.
        at: Place,
    },
    /// Templates are not offered.
    #[error("{file}: policy templates are not supported; write the policy out for each role")]
    Template {
        /// The file.
        file: String,
    },
    /// The policies name something that does not exist, or compare what cannot be compared: all of it.
    #[error("{}", .0.join("; "))]
    Invalid(Vec<String>),
}

/// A line of a file of policies.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}")]
pub struct Place {
    file: String,
    line: usize,
}

impl Place {
    /// Where an error of Cedar's is, as far as it says.
    fn of(file: &(String, String), error: &dyn Diagnostic) -> Self {
        let offset = error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
        Self::at(file, offset)
    }

    fn at((file, text): &(String, String), offset: usize) -> Self {
        let line = text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
        Self { file: file.clone(), line }
    }
}

/// The answer to one question at one view.
pub struct Answer {
    /// Whether it is permitted.
    pub permitted: bool,
    /// The policies that decided, in order of their names.
    pub rules: Vec<SafeText>,
}

impl Policies {
    /// Reads policies from files: name and content of each.
    ///
    /// # Errors
    /// The first thing that is wrong with one of them, or everything that the schema finds.
    pub fn load(registry: &Registry, files: &[(String, String)]) -> Result<Self, PolicyError> {
        let (schema, _) = Schema::from_cedarschema_str(&schema::text(registry))
            .map_err(|error| PolicyError::Invalid(vec![format!("the catalog does not fit the policies: {error}")]))?;
        let (mut set, mut names, mut reads_labels) = (PolicySet::new(), HashMap::new(), HashSet::new());
        let built_in = ("built-in policies".to_owned(), GUARDS.to_owned());
        let mut homes = HashMap::new();
        for file in std::iter::once(&built_in).chain(files) {
            for (name, begins, policy) in parse(file)? {
                let id = policy.id().clone();
                if names.insert(id.clone(), name).is_some() {
                    return Err(PolicyError::Id { at: Place::at(file, begins) });
                }
                homes.insert(id.clone(), file);
                if policy.to_cedar().is_some_and(|text| text.contains("Tag(")) {
                    reads_labels.insert(id);
                }
                set.add(policy).map_err(|_| PolicyError::Id { at: Place::at(file, begins) })?;
            }
        }
        let found = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        if !found.validation_passed() {
            let told = |error: &ValidationError| match homes.get(error.policy_id()) {
                Some(file) => format!("{}: {error}", Place::of(file, error)),
                None => error.to_string(),
            };
            return Err(PolicyError::Invalid(found.validation_errors().map(told).collect()));
        }
        Ok(Self { set, schema, names, views: views(), reads_labels })
    }

    /// Whether the question is answered with yes when it asks for a view. Anything that fails on the way is a no.
    pub fn ask(&self, question: &Question, view: View) -> Answer {
        self.try_ask(question, question.action.as_str(), view).unwrap_or(Answer { permitted: false, rules: Vec::new() })
    }

    /// Whether the caller may be told something; see [`schema::KNOWLEDGE`].
    pub fn may_know(&self, question: &Question, what: &'static str) -> bool {
        let question = Question { resource: Resource::Vault, ..question.clone() };
        self.try_ask(&question, what, View::Exists).is_some_and(|answer| answer.permitted)
    }

    /// Whether any policy reads labels at all.
    pub fn read_labels(&self) -> bool {
        !self.reads_labels.is_empty()
    }

    /// Whether some permit that reads labels names this role and method, so that only the labels can tell.
    pub fn depends_on_labels(&self, question: &Question) -> bool {
        let labelled = |policy: &Policy| self.reads_labels.contains(policy.id());
        let mut blank = question.clone();
        blank.resource = Resource::Vault;
        self.set.policies().filter(|policy| labelled(policy)).any(|policy| self.is_in_scope(policy, question))
    }

    fn is_in_scope(&self, policy: &Policy, question: &Question) -> bool {
        use cedar_policy::{ActionConstraint, Effect, PrincipalConstraint};
        let role = uid("Role", question.role.name());
        let caller = uid("Caller", &question.caller.to_string());
        let action = uid("Action", question.action.as_str());
        let group = self.schema.action_entities().ok().map(|actions| {
            let groups = actions.ancestors(&action).map(|found| found.cloned().collect::<Vec<_>>());
            groups.unwrap_or_default()
        });
        let names_action =
            |named: &EntityUid| *named == action || group.as_ref().is_some_and(|groups| groups.contains(named));
        policy.effect() == Effect::Permit
            && match policy.principal_constraint() {
                PrincipalConstraint::Any | PrincipalConstraint::Is(_) => true,
                PrincipalConstraint::In(named) | PrincipalConstraint::IsIn(_, named) => named == role,
                PrincipalConstraint::Eq(named) => named == caller,
            }
            && match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(named) => names_action(&named),
                ActionConstraint::In(named) => named.iter().any(names_action),
            }
    }

    fn try_ask(&self, question: &Question, action: &str, view: View) -> Option<Answer> {
        let (principal, action) = (uid("Caller", &question.caller.to_string()), uid("Action", action));
        let role = uid("Role", question.role.name());
        let caller = Entity::new(principal.clone(), HashMap::new(), HashSet::from([role])).ok()?;
        let resource = resource(&question.resource)?;
        let resource_uid = resource.uid();
        let asked = Context::from_pairs([
            ("purpose".to_owned(), RestrictedExpression::new_entity_uid(uid("Purpose", question.purpose.as_str()))),
            ("view".to_owned(), RestrictedExpression::new_entity_uid(uid("View", view.as_str()))),
            ("ticket".to_owned(), RestrictedExpression::new_bool(question.ticket)),
        ])
        .ok()?;
        let request = Request::new(principal, action, resource_uid, asked, Some(&self.schema)).ok()?;
        let entities = self.views.iter().cloned().chain([caller, resource]);
        let entities = Entities::from_entities(entities, Some(&self.schema)).ok()?;
        let response = Authorizer::new().is_authorized(&request, &self.set, &entities);
        let failed = response.diagnostics().errors().next().is_some();
        let mut rules: Vec<SafeText> =
            response.diagnostics().reason().filter_map(|id| self.names.get(id).cloned()).collect();
        rules.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        Some(Answer { permitted: response.decision() == Decision::Allow && !failed, rules })
    }
}

/// The policies of one file, each under the name that its `@id` gives, and where each begins.
fn parse(file: &(String, String)) -> Result<Vec<(SafeText, usize, Policy)>, PolicyError> {
    let syntax = |error: ParseErrors| PolicyError::Syntax { at: Place::of(file, &error), message: error.to_string() };
    let set = PolicySet::from_str(&file.1).map_err(syntax)?;
    if set.templates().next().is_some() {
        return Err(PolicyError::Template { file: file.0.clone() });
    }
    let named = |policy: &Policy| {
        // Where the policy's own text begins in the file's.
        let begins = policy.to_cedar().and_then(|text| file.1.find(text.trim())).unwrap_or_default();
        let id = policy.annotation("id").filter(|id| is_name(id));
        let id = id.ok_or_else(|| PolicyError::Id { at: Place::at(file, begins) })?;
        Ok((SafeText::of(&RuleName(id.to_owned())), begins, policy.new_id(PolicyId::new(id))))
    };
    set.policies().map(named).collect()
}

/// A rule's name: written by the operator, never by a caller.
struct RuleName(String);

impl std::fmt::Display for RuleName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl crate::base::log_safe::LogSafe for RuleName {}

fn is_name(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(allowed)
}

/// The views, each a member of the next higher one.
fn views() -> Vec<Entity> {
    const ORDER: [View; 4] = [View::Exists, View::Last4, View::Masked, View::Plain];
    let above = |at: usize| ORDER.get(at + 1).map(|view| uid("View", view.as_str())).into_iter().collect();
    let entity = |(at, view): (usize, &View)| Entity::new_no_attrs(uid("View", view.as_str()), above(at));
    ORDER.iter().enumerate().map(entity).collect()
}

fn resource(resource: &Resource) -> Option<Entity> {
    let flag = |name: &str, value: bool| (name.to_owned(), RestrictedExpression::new_bool(value));
    match resource {
        Resource::Vault => Some(Entity::new_no_attrs(uid("Vault", "vault"), HashSet::new())),
        Resource::Subject(standing) => {
            let attributes = HashMap::from([flag("restricted", standing.restricted), flag("own", standing.own)]);
            Entity::new_with_tags(uid("Subject", "subject"), attributes, [], tags(standing)).ok()
        }
        Resource::Data { class, standing, objected, kept } => {
            let class = RestrictedExpression::new_entity_uid(uid("Class", class.as_str()));
            let attributes = HashMap::from([
                ("class".to_owned(), class),
                flag("restricted", standing.restricted),
                flag("own", standing.own),
                flag("objected", *objected),
                flag("kept", *kept),
            ]);
            Entity::new_with_tags(uid("Data", "data"), attributes, [], tags(standing)).ok()
        }
    }
}

fn tags(standing: &Standing) -> Vec<(String, RestrictedExpression)> {
    let tag = |(name, value): &(String, String)| (name.clone(), RestrictedExpression::new_string(value.clone()));
    standing.labels.iter().map(tag).collect()
}

fn uid(kind: &str, id: &str) -> EntityUid {
    let kind = EntityTypeName::from_str(&format!("Lacuna::{kind}")).expect("a type of the schema");
    EntityUid::from_type_name_and_id(kind, EntityId::new(id))
}

/// What a question without a person's data would be about, for a method: whether it is open to a role at all.
pub fn blank_resources(action: Action, role: RoleId, registry: &Registry) -> Vec<Resource> {
    let standing = || Standing::blank(role);
    let data = |class| Resource::Data { class, standing: standing(), objected: false, kept: false };
    let classes = || registry.classes().map(|rule| data(rule.class.id));
    match schema::kind_of(action).1 {
        schema::Resources::Vault => vec![Resource::Vault],
        schema::Resources::Subject => vec![Resource::Subject(standing())],
        schema::Resources::VaultAndSubject => vec![Resource::Vault, Resource::Subject(standing())],
        schema::Resources::Data => classes().collect(),
        schema::Resources::SubjectAndData => std::iter::once(Resource::Subject(standing())).chain(classes()).collect(),
    }
}
