//! What is recorded of a call: owned, so that it can travel to the writer's thread with the change it records.

use std::sync::Arc;

use super::days::Days;
use super::refusal::{Access, Approving, Refusal, Unavailable};
use super::vault::Vault;
use crate::audit::detail::{Detail, DetailKeys};
use crate::audit::event::{About, Actor, Decision, Event, Outcome};
use crate::base::id::{ItemId, PolicyVersion, ReceiptId, RequestId, SubjectId, VaultId};
use crate::base::log_safe::SafeText;
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::text::Text;
use crate::catalog::view::View;
use crate::crypto::rng;

/// Makes the entries of one call. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    pub(super) vault: VaultId,
    /// Everything that all entries of the call share.
    pub(super) template: Arc<Event>,
    /// What the caller chose.
    pub(super) chosen: Arc<Chosen>,
    pub(super) days: Arc<Days>,
}

/// What a caller chose, beside what it touches.
pub(super) struct Chosen {
    pub ticket: Text,
    pub peer: Text,
}

/// What one entry of a call concerns.
#[derive(Default, Clone)]
pub struct Touched {
    /// The class.
    pub class: Option<ClassId>,
    /// How much was shown.
    pub view: Option<View>,
    /// The rule that permitted it.
    pub rule: Option<SafeText>,
    /// How many items or subjects.
    pub count: u32,
    /// Items and versions; 0 for the newest.
    pub items: Vec<(ItemId, u64)>,
    /// Field paths that were asked for; none for all.
    pub fields: Vec<String>,
}

/// Whom an entry is about, with the keys that seal its detail.
pub enum Whom<'k> {
    /// Nobody who is known.
    Nobody,
    /// A subject.
    Subject(&'k DetailKeys),
    /// The erasure of something of a subject's, named by its receipt alone.
    Erasure {
        /// The subject's keys.
        keys: &'k DetailKeys,
        /// The subject.
        subject: SubjectId,
        /// Names the erasure.
        receipt: ReceiptId,
    },
    /// The evidence of an erasure: whose it was is not known any more, or not said.
    Evidence(ReceiptId),
}

/// How the call ended.
#[derive(Clone, Copy)]
pub enum Ended<'r> {
    /// Carried out, or about to be revealed.
    Done,
    /// Accepted; a later entry ends it.
    Started,
    /// Not carried out.
    Not(&'r Refusal),
}

impl Recorder {
    /// The vault whose log it is.
    pub fn vault(&self) -> &VaultId {
        &self.vault
    }

    /// Makes the entries of the vault's own work.
    ///
    /// # Errors
    /// [`Unavailable::Internal`] if the system source of randomness failed.
    pub fn own(vault: &Vault, days: Arc<Days>, operation: SafeText) -> Result<Self, Refusal> {
        let template = Arc::new(own_event(operation, vault.epoch())?);
        let chosen = Arc::new(Chosen { ticket: Text::default(), peer: Text::default() });
        Ok(Self { vault: *vault.id(), template, chosen, days })
    }

    /// The same for a later moment of a long call: with the keys of that day.
    pub fn on(&self, days: Arc<Days>) -> Self {
        Self { days, ..self.clone() }
    }

    /// The same with a request id of its own: for an entry that must not be linked to the others of the call.
    ///
    /// # Errors
    /// [`Unavailable::Internal`] if the system source of randomness failed.
    pub fn apart(&self) -> Result<Self, Refusal> {
        let request = RequestId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
        let template = Event { request, on_behalf: None, ..(*self.template).clone() };
        Ok(Self { template: Arc::new(template), ..self.clone() })
    }

    /// One entry.
    ///
    /// # Errors
    /// [`Unavailable::Internal`] if the system source of randomness failed.
    pub fn entry(
        &self,
        whom: Whom<'_>,
        touched: Touched,
        ended: Ended<'_>,
        at: (Timestamp, u64),
    ) -> Result<Event, Refusal> {
        let (now, epoch) = at;
        // An erasure is not to be linked to the person's other entries: that the person asked for it is in the role.
        let on_behalf = match whom {
            Whom::Erasure { .. } | Whom::Evidence(_) => None,
            Whom::Nobody | Whom::Subject(_) => self.template.on_behalf,
        };
        let (keys, about, subject) = match whom {
            Whom::Nobody => (&self.days.today.detail, About::Nobody, None),
            Whom::Subject(keys) => (keys, About::Subject(keys.token(now)), None),
            Whom::Evidence(receipt) => (&self.days.today.detail, About::Erasure(receipt), None),
            Whom::Erasure { keys, subject, receipt } => (keys, About::Erasure(receipt), Some(subject)),
        };
        let detail = Detail {
            subject,
            items: touched.items,
            fields: touched.fields,
            ticket: self.chosen.ticket.duplicate(),
            peer: self.chosen.peer.duplicate(),
        };
        let detail = detail.seal(keys, &self.vault, &self.template.request).map_err(|_| Unavailable::Internal)?;
        // The vault asks nobody for what it does by itself.
        let permitted = if self.template.actor == Actor::Vault { Decision::NotAsked } else { Decision::Permitted };
        let (decision, outcome, reason) = match ended {
            Ended::Done => (permitted, Outcome::Done, None),
            Ended::Started => (permitted, Outcome::Started, None),
            Ended::Not(refusal) => (decision_of(refusal), outcome_of(refusal), Some(refusal.reason())),
        };
        let empty = SafeText::constant("");
        Ok(Event {
            class: touched.class.map_or(empty.clone(), |class| SafeText::constant(class.as_str())),
            view: touched.view.map_or(0, view_number),
            decision,
            rule: touched.rule.or(denying_rule(&ended)).unwrap_or(empty),
            outcome,
            reason,
            count: touched.count,
            epoch,
            about,
            detail: Some(detail),
            on_behalf,
            ..(*self.template).clone()
        })
    }
}

/// An entry about the vault's own work.
pub fn own_event(operation: SafeText, epoch: u64) -> Result<Event, Refusal> {
    let request = RequestId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
    let unjudged = Event::unjudged(Actor::Vault, operation, PolicyVersion::default(), request);
    Ok(Event { role: SafeText::constant(""), outcome: Outcome::Done, epoch, ..unjudged })
}

fn denying_rule(ended: &Ended<'_>) -> Option<SafeText> {
    match ended {
        Ended::Not(Refusal::Access(Access::Denied(denied))) => denied.rule.clone(),
        Ended::Not(_) | Ended::Done | Ended::Started => None,
    }
}

fn decision_of(refusal: &Refusal) -> Decision {
    match refusal {
        Refusal::Access(Access::RoleRequired | Access::PurposeRequired)
        | Refusal::Invalid(_)
        | Refusal::RateLimited { .. }
        | Refusal::Unavailable(Unavailable::IdentityProvider) => Decision::NotAsked,
        Refusal::Access(_) | Refusal::Approving(Approving::NoPerson | Approving::Own) => Decision::Denied,
        Refusal::State(_) | Refusal::Approving(_) | Refusal::Slots(_) => Decision::Permitted,
        Refusal::Document(_) | Refusal::Unavailable(_) => Decision::Permitted,
    }
}

fn outcome_of(refusal: &Refusal) -> Outcome {
    match refusal {
        Refusal::Access(_)
        | Refusal::Invalid(_)
        | Refusal::State(_)
        | Refusal::Approving(_)
        | Refusal::Slots(_)
        | Refusal::Document(_)
        | Refusal::RateLimited { .. } => Outcome::Refused,
        Refusal::Unavailable(_) => Outcome::Failed,
    }
}

/// A view's number in the log, as in the contract.
fn view_number(view: View) -> u8 {
    match view {
        View::Exists => 1,
        View::Last4 => 2,
        View::Masked => 3,
        View::Plain => 4,
    }
}
