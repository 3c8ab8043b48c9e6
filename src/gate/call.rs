//! One call: who asks, in which role, for which purpose; and its way into the log, also when it is refused.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use super::approvals::Party;
use super::days::Days;
use super::end_users::Presented;
use super::on_behalf::{FindPerson, Own};
use super::once::Once;
use super::record::{Chosen, Ended, Recorder, Touched, Whom};
use super::refusal::{Access, Approving, Denied, Refusal, Told, Unavailable};
use super::standpoint::{Standpoint, Stated};
use super::vault::Vault;
use crate::audit::event::{Actor, Event, Outcome};
use crate::base::id::{ActorId, ApprovalId, RequestId, SubjectId};
use crate::base::limits::ABSENCE_BEAT;
use crate::base::log_safe::SafeText;
use crate::base::reason::Reason;
use crate::catalog::text::Text;
use crate::crypto::hash::{Digest, sha256};
use crate::crypto::rng;
use crate::policy::action::Action;
use crate::policy::caller::{Caller, PersonName, ServiceName};
use crate::policy::decide::Cause;
use crate::policy::policies::GUARD_OWN;
use crate::policy::rules::Rules;

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
    /// What it carries to speak for a person.
    pub token: Presented,
    /// Finds the record of a person by the external id: what rows mean is for the verbs to say.
    pub find_person: FindPerson,
    /// The caller's reference.
    pub ticket: Text,
    /// The caller's key for a repeatable change.
    pub idempotency_key: Text,
    /// The digest of the request.
    pub request_digest: Digest,
    /// The approval that the call uses up.
    pub approval: Option<ApprovalId>,
    /// Where the connection comes from.
    pub peer: String,
    /// When the call must be answered.
    pub deadline: Option<Instant>,
    /// What is wrong with the form of the above. A caller that may not call at all is told that first.
    pub malformed: Option<Refusal>,
}

impl CallRequest {
    /// The digest of a method and its encoded request.
    pub fn digest(method: &str, encoded: &[u8]) -> Digest {
        sha256(&[&(method.len() as u64).to_be_bytes(), method.as_bytes(), encoded])
    }

    fn stated(&self) -> Stated<'_> {
        Stated {
            caller: self.caller.as_deref(),
            role: &self.role,
            purpose: &self.purpose,
            action: self.action,
            ticket: !self.ticket.is_empty(),
        }
    }
}

/// A call that is only asked about.
pub struct Supposed<'a> {
    /// Who would call; none for who asks.
    pub caller: Option<&'a ServiceName>,
    /// The role it would name.
    pub role: &'a str,
    /// The purpose it would name.
    pub purpose: &'a str,
    /// What it would ask for.
    pub action: Action,
}

/// A call that was not opened, and the id under which the log has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotOpened {
    /// Why.
    pub refusal: Refusal,
    /// Names the call; none if it could not be recorded.
    pub request: Option<RequestId>,
}

/// An opened call: an identified caller in a role, for a registered purpose, with an action open to that role. Cheap
/// to clone, so that it can travel to the writer's thread with the change it asks for.
///
/// INVARIANT: only [`Vault::open_call`] makes one.
#[derive(Clone)]
pub struct Call {
    standpoint: Standpoint,
    began: Instant,
    deadline: Option<Instant>,
    once: Option<Once>,
    recorder: Recorder,
    request_digest: Digest,
    approval: Option<ApprovalId>,
    person: Option<PersonName>,
    own: Option<Own>,
}

impl Call {
    /// Names the call.
    pub fn request(&self) -> RequestId {
        self.recorder.template.request
    }

    /// The verified identity of the caller.
    pub fn caller(&self) -> &str {
        self.question().caller.as_str()
    }

    /// The method.
    pub fn action(&self) -> Action {
        self.question().action
    }

    /// The digest of the whole request, but for its ticket, its idempotency key and its approval id. Made for calls
    /// that may be repeated and for those that need an approval.
    pub fn request_digest(&self) -> &Digest {
        &self.request_digest
    }

    /// The caller's reference.
    pub fn ticket(&self) -> &Text {
        &self.recorder.chosen.ticket
    }

    /// The approval that the call uses up.
    pub fn approval(&self) -> Option<ApprovalId> {
        self.approval
    }

    /// The person who calls, in the role that acts.
    ///
    /// # Errors
    /// [`Approving::NoPerson`] for a service.
    pub fn party(&self) -> Result<Party, Refusal> {
        match (&self.recorder.template.actor, &self.person) {
            (Actor::Person(id), Some(person)) => Ok(Party {
                actor: ActorId::from_bytes(*id),
                person: person.clone(),
                identity: self.question().caller.clone(),
                role: self.question().role,
                purpose: self.question().purpose.as_str().to_owned(),
                ticket: self.question().ticket,
            }),
            _ => Err(Approving::NoPerson.into()),
        }
    }

    /// When the call must be answered.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Waits, for a role that may not know what exists, until a moment that does not tell how much work it was to find
    /// out: denied, absent and deleted answer alike.
    pub async fn keep_time(&self) {
        if self.may_know_existence() {
            return;
        }
        let beat = ABSENCE_BEAT.as_nanos();
        let over = self.began.elapsed().as_nanos() % beat;
        let rest = u64::try_from(beat - over).unwrap_or_default();
        tokio::time::sleep(std::time::Duration::from_nanos(rest)).await;
    }

    /// The caller's key for a repeatable change, if it gave one.
    pub fn once(&self) -> Option<&Once> {
        self.once.as_ref()
    }

    /// The same call with what makes it repeatable completed.
    pub fn repeating(&self, once: Option<Once>) -> Self {
        Self { once, ..self.clone() }
    }

    /// The keys of the day.
    pub fn days(&self) -> &Days {
        &self.recorder.days
    }

    /// Makes the call's entries in the log.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// The record of the person for whom the call acts; none also where that person has none here.
    pub(super) fn acts_for(&self) -> Option<SubjectId> {
        self.own.and_then(|own| own.subject)
    }

    /// Whether a subject is the person for whom the call acts.
    ///
    /// # Errors
    /// The call acts for another person: told as absence, whatever the rules say.
    pub fn owns(&self, subject: SubjectId) -> Result<bool, Access> {
        match self.own {
            None => Ok(false),
            Some(own) if own.subject == Some(subject) => Ok(true),
            Some(_) => {
                let rule = Some(SafeText::constant(GUARD_OWN));
                Err(Denied { cause: Cause::Rules, rule, told: Told::Absent }.into())
            }
        }
    }
}

/// A call decides as its caller stands.
impl Deref for Call {
    type Target = Standpoint;

    fn deref(&self) -> &Standpoint {
        &self.standpoint
    }
}

impl Vault {
    /// Opens a call: identity, role, purpose, and whether the action is open to the role at all.
    ///
    /// # Durability
    /// A refusal is returned only after its entry is durable.
    ///
    /// # Errors
    /// [`Refusal::Access`]; what was malformed; [`Refusal::Unavailable`] when the refusal could not be recorded.
    pub async fn open_call(&self, request: CallRequest) -> Result<Call, NotOpened> {
        let began = Instant::now();
        let not_recorded = |refusal: Refusal| NotOpened { refusal, request: None };
        self.check().map_err(|error| not_recorded(error.into()))?;
        // Not recorded: the reserve is not for those who are turned away.
        self.room.admit(request.action.draw()).map_err(|error| not_recorded(error.into()))?;
        let days = self.days().await.map_err(not_recorded)?;
        let id = rng::make_bytes().map_err(|_| not_recorded(Unavailable::Internal.into()))?;
        let id = RequestId::from_bytes(id);
        let actor = self.actor(request.caller.as_deref()).await.map_err(not_recorded)?;
        let rules = self.rules();
        let (speaking, refused) = self.speaking(&request).await;
        let judged = match (Standpoint::take(&request.stated(), rules.clone()), &request.malformed, refused) {
            (Err(Access::Unauthenticated), _, _) => Err(Access::Unauthenticated.into()),
            (_, Some(malformed), _) => Err(malformed.clone()),
            (Err(access @ (Access::RoleRequired | Access::RoleNotHeld)), None, _) => Err(access.into()),
            (_, None, Some(refusal)) => Err(refusal),
            (judged, None, None) => judged.map_err(Refusal::from),
        };
        let on_behalf = speaking.as_ref().and_then(|speaking| speaking.token);
        let recorder = Recorder {
            vault: self.id,
            template: Arc::new(Event { on_behalf, ..self.template(&request, &rules, id, actor) }),
            chosen: Arc::new(Chosen { ticket: request.ticket, peer: Text::new(request.peer) }),
            days,
        };
        match judged {
            Ok(standpoint) => {
                let identity = SafeText::of(&standpoint.question().caller);
                let external_id = speaking.as_ref().map(|speaking| speaking.person.external_id());
                let (key, digest) = (&request.idempotency_key, request.request_digest);
                let once = (!key.is_empty()).then(|| Once::new(&recorder.days, (&identity, external_id), key, digest));
                let own = speaking.map(|speaking| speaking.own);
                let (deadline, request_digest, approval) = (request.deadline, request.request_digest, request.approval);
                let person = request.caller.and_then(|caller| caller.person.clone());
                Ok(Call { standpoint, began, deadline, once, recorder, request_digest, approval, person, own })
            }
            Err(refusal) => match self.record_nobody(&recorder, Ended::Not(&refusal)).await {
                Ok(()) => Err(NotOpened { refusal, request: Some(id) }),
                Err(error) => Err(not_recorded(error)),
            },
        }
    }

    /// How a call would be judged that somebody else might make, under the rules of this one: decides as that caller's
    /// own call would, and cannot act. It would state a ticket if this call does.
    ///
    /// # Errors
    /// Why such a call would not be opened.
    pub fn suppose(&self, call: &Call, supposed: &Supposed<'_>) -> Result<Standpoint, Access> {
        let asker = call.standpoint.question();
        let identity = supposed.caller.unwrap_or(&asker.caller);
        let caller = self.bound(identity);
        let stated = Stated {
            caller: Some(&caller),
            role: supposed.role,
            purpose: supposed.purpose,
            action: supposed.action,
            ticket: asker.ticket,
        };
        Standpoint::take(&stated, call.standpoint.rules().clone())
    }

    /// Records a refusal of an opened call before it is known what the call concerns. The refusal, or why it could
    /// not be recorded.
    pub async fn refuse(&self, call: &Call, refusal: Refusal) -> Refusal {
        self.record_nobody(&call.recorder, Ended::Not(&refusal)).await.err().unwrap_or(refusal)
    }

    /// The same for several parts of one call, with one sync.
    ///
    /// # Errors
    /// Why they could not be recorded.
    pub async fn record_refusals<'r>(
        &self,
        call: &Call,
        refusals: impl Iterator<Item = &'r Refusal>,
    ) -> Result<(), Refusal> {
        let at = (self.now(), self.epoch());
        let entry = |refusal| call.recorder.entry(Whom::Nobody, Touched::default(), Ended::Not(refusal), at);
        let entries: Vec<Event> = refusals.map(entry).collect::<Result<_, _>>()?;
        if entries.is_empty() { Ok(()) } else { self.record(entries).await }
    }

    /// Records a call to a method that this release does not offer.
    pub async fn record_not_offered(&self, call: &Call) -> Result<(), Refusal> {
        let at = (self.now(), self.epoch());
        let entry = call.recorder.entry(Whom::Nobody, Touched::default(), Ended::Done, at)?;
        let entry = Event { outcome: Outcome::Refused, reason: Some(Reason::NotImplemented), ..entry };
        self.record(vec![entry]).await
    }

    /// Records that a call concerned nobody in particular and was carried out.
    pub async fn record_done(&self, call: &Call) -> Result<(), Refusal> {
        self.record_nobody(&call.recorder, Ended::Done).await
    }

    /// Commits entries that go with no change.
    ///
    /// # Durability
    /// On `Ok` they survive power loss.
    pub async fn record(&self, events: Vec<Event>) -> Result<(), Refusal> {
        #[cfg(feature = "unrecorded")]
        if super::unrecorded::is_asked_for() {
            return Ok(());
        }
        let recorded = self.committer.commit(move |txn| {
            events.into_iter().for_each(|event| txn.record(event));
            Ok(())
        });
        recorded.await
    }

    async fn record_nobody(&self, recorder: &Recorder, ended: Ended<'_>) -> Result<(), Refusal> {
        let entry = recorder.entry(Whom::Nobody, Touched::default(), ended, (self.now(), self.epoch()))?;
        self.record(vec![entry]).await
    }

    /// Whom the log names: a person by their random id.
    pub(super) async fn actor(&self, caller: Option<&Caller>) -> Result<Actor, Refusal> {
        Ok(match caller {
            None => Actor::Unknown,
            Some(Caller { person: None, identity, .. }) => Actor::Service(SafeText::of(identity)),
            Some(Caller { person: Some(person), .. }) => Actor::Person(*self.actor_of(person).await?.as_bytes()),
        })
    }

    /// What all entries of a call share. What the caller wrote and the vault does not know is `unknown`.
    fn template(&self, request: &CallRequest, rules: &Rules, id: RequestId, actor: Actor) -> Event {
        let caller = request.caller.as_ref();
        let role = caller.and_then(|caller| caller.acting(&request.role).ok());
        let purpose = rules.registry().purpose(&request.purpose);
        let unknown = || SafeText::constant("unknown");
        Event {
            role: role.map_or_else(unknown, |role| SafeText::constant(role.name())),
            purpose: purpose.map_or_else(unknown, |purpose| SafeText::of(&purpose.id)),
            ..Event::unjudged(actor, SafeText::constant(request.action.as_str()), rules.version(), id)
        }
    }
}
