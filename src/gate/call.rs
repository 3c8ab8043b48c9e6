//! One call: who asks, in which role, for which purpose; and what is recorded of it.

use std::sync::Arc;
use std::time::Instant;

use super::refusal::{Access, Fault as FieldFault, FaultReason, Refusal, Unavailable};
use super::vault::Vault;
use crate::audit::detail::{Detail, DetailKeys};
use crate::audit::event::{About, Actor, Decision, Event, Outcome};
use crate::base::id::{ItemId, RequestId};
use crate::base::log_safe::SafeText;
use crate::catalog::class::ClassId;
use crate::catalog::purpose::PurposeId;
use crate::catalog::registry::Registry;
use crate::catalog::text::Text;
use crate::catalog::view::View;
use crate::crypto::hash::{Digest, sha256};
use crate::crypto::rng;
use crate::policy::action::Action;
use crate::policy::caller::{Caller, RoleError, RoleId};
use crate::policy::decide::{self, Permit};

/// A call as it arrives.
pub struct CallRequest {
    /// The caller; none if the connection shows no known identity.
    pub caller: Option<Arc<Caller>>,
    /// What is asked for.
    pub action: Action,
    /// The purpose, as the caller wrote it.
    pub purpose: String,
    /// The role, as the caller wrote it.
    pub role: String,
    /// The caller's reference.
    pub ticket: Text,
    /// The caller's key for a repeatable change.
    pub idempotency_key: Text,
    /// The digest of the request.
    pub request_digest: Digest,
    /// Where the connection comes from.
    pub peer: String,
    /// When the call must be answered.
    pub deadline: Option<Instant>,
}

impl CallRequest {
    /// The digest of a method and its encoded request.
    pub fn digest(method: &str, encoded: &[u8]) -> Digest {
        sha256(&[&(method.len() as u64).to_be_bytes(), method.as_bytes(), encoded])
    }
}

/// An opened call: an identified caller in a role, for a registered purpose, with an action open to that role.
///
/// INVARIANT: only [`Vault::open_call`] makes one.
pub struct Call {
    actor: SafeText,
    role: RoleId,
    purpose: PurposeId,
    action: Action,
    registry: Arc<Registry>,
    request: RequestId,
    ticket: Text,
    peer: String,
    deadline: Option<Instant>,
}

impl Call {
    /// Names the call.
    pub fn request(&self) -> RequestId {
        self.request
    }

    /// The acting role.
    pub fn role(&self) -> RoleId {
        self.role
    }

    /// The purpose.
    pub fn purpose(&self) -> &PurposeId {
        &self.purpose
    }

    /// The registry that was in force when the call began.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// When the call must be answered.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Whether the role may learn that something exists which it may not see.
    pub fn may_know_existence(&self) -> bool {
        decide::may_know_existence(self.role)
    }

    /// The permit for a class, if the role has one.
    pub fn permit(&self, class: ClassId) -> Option<Permit> {
        decide::decide(&self.registry, self.role, &self.purpose, self.action, Some(class))
    }

    /// What is recorded of this call: permitted and done, about nobody, until told otherwise.
    pub fn event(&self, epoch: u64) -> Event {
        Event {
            actor: Actor::Service(self.actor.clone()),
            role: SafeText::of(&self.role),
            operation: SafeText::of(&self.action),
            purpose: SafeText::of(&self.purpose),
            class: SafeText::constant(""),
            view: 0,
            decision: Decision::Permitted,
            rule: SafeText::constant(""),
            outcome: Outcome::Done,
            count: 1,
            epoch,
            request: self.request,
            about: About::Nobody,
            receipt_hash: None,
            detail: None,
        }
    }

    /// Seals what the caller chose.
    pub fn detail(&self, vault: &Vault, keys: &DetailKeys, items: Vec<ItemId>) -> Result<Vec<u8>, Refusal> {
        let ticket = self.ticket.expose().to_owned();
        let detail = Detail { items, ticket, peer: self.peer.clone(), ..Detail::default() };
        Ok(detail.seal(keys, vault.id(), &self.request).map_err(|_| Unavailable::Internal)?)
    }
}

/// A view's number in the log.
pub fn view_number(view: View) -> u8 {
    match view {
        View::Exists => 1,
        View::Last4 => 2,
        View::Masked => 3,
        View::Plain => 4,
    }
}

impl Vault {
    /// Opens a call: identity, role, purpose, and whether the action is open to the role at all.
    ///
    /// # Durability
    /// A refusal is returned only after its event is durable.
    ///
    /// # Errors
    /// [`Refusal::Access`]; [`Refusal::Unavailable`] when the refusal could not be recorded.
    pub async fn open_call(&self, request: CallRequest) -> Result<Call, Refusal> {
        self.check()?;
        let registry = self.registry();
        let id = RequestId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
        match judge(&request, &registry) {
            Ok((actor, role, purpose)) => {
                let call = Call {
                    actor,
                    role,
                    purpose,
                    action: request.action,
                    registry,
                    request: id,
                    ticket: request.ticket,
                    peer: request.peer,
                    deadline: request.deadline,
                };
                if !request.idempotency_key.is_empty() {
                    // Refused rather than ignored: a caller that repeats must be able to rely on it.
                    let fault = FieldFault::new("context.idempotency_key", FaultReason::UnknownField);
                    return Err(self.refuse(&call, fault.into()).await);
                }
                Ok(call)
            }
            Err(access) => {
                let event = self.denied_event(&request, &registry, id);
                self.committer
                    .commit(move |txn| {
                        txn.record(event);
                        Ok(())
                    })
                    .await?;
                Err(access.into())
            }
        }
    }

    /// Records a refusal of an opened call. The refusal, or why it could not be recorded.
    pub async fn refuse(&self, call: &Call, refusal: Refusal) -> Refusal {
        let (decision, outcome) = match &refusal {
            Refusal::Access(_) => (Decision::Denied, Outcome::Refused),
            Refusal::State(super::refusal::State::NotFound) => (Decision::Permitted, Outcome::Absent),
            _ => (Decision::Permitted, Outcome::Refused),
        };
        let mut event = Event { decision, outcome, ..call.event(self.epoch()) };
        match call.detail(self, &self.detail_keys, Vec::new()) {
            Ok(detail) => event.detail = Some(detail),
            Err(error) => return error,
        }
        match self
            .committer
            .commit(move |txn| {
                txn.record(event);
                Ok(())
            })
            .await
        {
            Ok(()) => refusal,
            Err(error) => error,
        }
    }

    /// Records a call to a method that this release does not offer.
    pub async fn record_unimplemented(&self, call: &Call) {
        let event = Event { outcome: Outcome::Refused, ..call.event(self.epoch()) };
        // The answer is a refusal that reveals nothing, so it need not wait for a log that fails.
        let _ = self
            .committer
            .commit(move |txn| {
                txn.record(event);
                Ok(())
            })
            .await;
    }

    fn denied_event(&self, request: &CallRequest, registry: &Registry, id: RequestId) -> Event {
        let unknown = SafeText::constant("unknown");
        let caller = request.caller.as_ref();
        let role = caller.and_then(|caller| caller.acting(&request.role).ok());
        Event {
            actor: caller.map_or(Actor::Unknown, |caller| Actor::Service(SafeText::of(&caller.identity))),
            role: role.map_or(unknown.clone(), |role| SafeText::of(&role)),
            operation: SafeText::of(&request.action),
            purpose: registry.purpose(&request.purpose).map_or(unknown, |purpose| SafeText::of(&purpose.id)),
            class: SafeText::constant(""),
            view: 0,
            decision: Decision::Denied,
            rule: SafeText::constant(""),
            outcome: Outcome::Refused,
            count: 0,
            epoch: self.epoch(),
            request: id,
            about: About::Nobody,
            receipt_hash: None,
            detail: None,
        }
    }
}

fn judge(request: &CallRequest, registry: &Registry) -> Result<(SafeText, RoleId, PurposeId), Access> {
    let caller = request.caller.as_ref().ok_or(Access::Unauthenticated)?;
    if caller.roles.is_empty() {
        return Err(Access::Unauthenticated);
    }
    let role = caller.acting(&request.role).map_err(|error| match error {
        RoleError::RoleRequired => Access::RoleRequired,
        RoleError::RoleNotHeld => Access::RoleNotHeld,
    })?;
    if request.purpose.is_empty() {
        return Err(Access::PurposeRequired);
    }
    let purpose = registry.purpose(&request.purpose).ok_or(Access::PurposeUnknown)?.id.clone();
    match decide::decide(registry, role, &purpose, request.action, None) {
        Some(_) => Ok((SafeText::of(&caller.identity), role, purpose)),
        None => Err(Access::Denied { rule: None }),
    }
}
