//! From where a call is judged: who asks, in which role, for which purpose, under which rules.
//!
//! There is one way to decide, and it is here: for calls that are made, and for those that are only asked about.

use std::sync::Arc;

use super::refusal::{Access, Denied, Told};
use crate::catalog::class::ClassId;
use crate::catalog::purpose::PurposeId;
use crate::catalog::registry::Registry;
use crate::policy::action::Action;
use crate::policy::caller::{Caller, RoleError, RoleId};
use crate::policy::decide::{Cause, Denial, Permit};
use crate::policy::question::{Question, Resource, Standing};
use crate::policy::rules::Rules;

/// An identified caller in a role, for a registered purpose, with an action that is open to the role. Decides; cannot
/// act: for that a [`Call`](super::call::Call) is needed.
#[derive(Clone)]
pub struct Standpoint {
    /// Who asks for what; the resource is filled in with each decision.
    question: Question,
    rules: Arc<Rules>,
}

/// What a caller says of a call before it is opened.
pub struct Stated<'a> {
    /// The caller; none if the connection shows no known identity.
    pub caller: Option<&'a Caller>,
    /// The role, as the caller wrote it.
    pub role: &'a str,
    /// The purpose, as the caller wrote it.
    pub purpose: &'a str,
    /// What is asked for.
    pub action: Action,
    /// Whether a ticket is stated.
    pub ticket: bool,
}

impl Standpoint {
    /// Identity, role, purpose, and whether the action is open to the role at all.
    ///
    /// # Errors
    /// The first of these that fails.
    pub fn take(stated: &Stated<'_>, rules: Arc<Rules>) -> Result<Self, Access> {
        let caller = stated.caller.filter(|caller| !caller.roles.is_empty()).ok_or(Access::Unauthenticated)?;
        let role = caller.acting(stated.role).map_err(|error| match error {
            RoleError::RoleRequired => Access::RoleRequired,
            RoleError::RoleNotHeld => Access::RoleNotHeld,
        })?;
        if stated.purpose.is_empty() {
            return Err(Access::PurposeRequired);
        }
        let purpose = rules.registry().purpose(stated.purpose).ok_or(Access::PurposeUnknown)?.id.clone();
        let question = Question {
            caller: caller.identity.clone(),
            role,
            purpose,
            action: stated.action,
            ticket: stated.ticket,
            resource: Resource::Vault,
        };
        // A method that is closed to the role says nothing about what it might concern.
        let closed = Denied { cause: Cause::Rules, rule: None, told: Told::Cause };
        if rules.is_open(&question) { Ok(Self { question, rules }) } else { Err(closed.into()) }
    }

    /// Who asks, in which role, for which purpose.
    pub(super) fn question(&self) -> &Question {
        &self.question
    }

    /// The acting role.
    pub fn role(&self) -> RoleId {
        self.question.role
    }

    /// The purpose.
    pub fn purpose(&self) -> &PurposeId {
        &self.question.purpose
    }

    /// The rules in force when the call began.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// Their registry.
    pub fn registry(&self) -> &Registry {
        self.rules.registry()
    }

    /// Whether the role may learn that something exists which it may not see.
    pub fn may_know_existence(&self) -> bool {
        self.rules.knowledge(&self.question).existence
    }

    /// Whether the role may be told rules and their version.
    pub fn may_know_rules(&self) -> bool {
        self.rules.knowledge(&self.question).rules
    }

    /// Whether what the details of audit entries hold may be released to the caller.
    pub fn may_know_details(&self) -> bool {
        self.rules.knowledge(&self.question).details
    }

    /// Whether the caller may be told which entries are about a person who was erased.
    pub fn may_know_history(&self) -> bool {
        self.rules.knowledge(&self.question).history
    }

    /// Decides about what the call touches.
    ///
    /// # Errors
    /// A denial, told as far as the role may know.
    pub fn permit(&self, resource: Resource) -> Result<Permit, Access> {
        self.permit_to(self.question.action, resource)
    }

    /// Decides about another action that the call implies.
    ///
    /// # Errors
    /// As for [`Standpoint::permit`].
    pub fn permit_to(&self, action: Action, resource: Resource) -> Result<Permit, Access> {
        let question = Question { action, resource, ..self.question.clone() };
        (*self.rules.decide(&question)).clone().map_err(|denial| self.denied(denial).into())
    }

    /// As [`Standpoint::permit`], for what takes fields in full.
    ///
    /// # Errors
    /// As for [`Standpoint::permit`]; a field is not shown in full.
    pub fn permit_in_full(&self, data: Resource, fields: &[&str]) -> Result<Permit, Access> {
        let question = Question { resource: data, ..self.question.clone() };
        let verdict = (*self.rules.decide(&question)).clone().and_then(|permit| permit.in_full(fields));
        verdict.map_err(|denial| self.denied(denial).into())
    }

    /// Whether the call may touch a class of anybody's at all. Asks nothing about a person, so that a denial can be told
    /// to everybody; where only a person's labels can tell, it is for [`Standpoint::permit`] to say.
    ///
    /// # Errors
    /// A denial.
    pub fn may_touch(&self, class: ClassId) -> Result<(), Access> {
        self.may_touch_in_full(class, &[])
    }

    /// As [`Standpoint::may_touch`], for what takes fields in full.
    ///
    /// # Errors
    /// A denial.
    pub fn may_touch_in_full(&self, class: ClassId, fields: &[&str]) -> Result<(), Access> {
        let standing = Standing::blank(self.question.role);
        let resource = Resource::Data { class, standing, objected: false, kept: false };
        let question = Question { resource, ..self.question.clone() };
        match (*self.rules.decide(&question)).clone().and_then(|permit| permit.in_full(fields)) {
            Err(denial) if !self.rules.policies().depends_on_labels(&question) => {
                Err(self.denied(denial).openly().into())
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn denied(&self, denial: Denial) -> Denied {
        let told = match (self.may_know_existence(), self.may_know_rules()) {
            (false, _) => Told::Absent,
            (true, false) => Told::Cause,
            (true, true) => Told::Rule(self.rules.version()),
        };
        Denied { cause: denial.cause, rule: denial.rules.into_iter().next(), told }
    }
}
