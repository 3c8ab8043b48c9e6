//! What is recorded of a call or of the vault's own work. Every field is safe to show to an auditor.

use crate::base::id::{PolicyVersion, ReceiptId, RequestId};
use crate::base::log_safe::SafeText;
use crate::base::reason::Reason;
use crate::crypto::hash::Digest;

/// A per-period pseudonym of a subject; without the subject's audit key it leads nowhere.
pub type SubjectToken = [u8; 16];

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A service, by its verified identity.
    Service(SafeText),
    /// A person who operates the vault, by a random id whose name is kept elsewhere.
    Person([u8; 16]),
    /// The vault itself: epochs, sweeps, rotations.
    Vault,
    /// Nobody who could be identified.
    Unknown,
}

/// How access was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Decision {
    /// Permitted by the rule named beside it.
    Permitted = 1,
    /// Denied; the rule is named if there was one.
    Denied = 2,
    /// No decision was asked for: the vault's own work.
    NotAsked = 3,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Carried out, or about to be revealed.
    Done = 1,
    /// Refused: by the decision, by bad input or by the state of what it concerned.
    Refused = 2,
    /// Not carried out, for a fault of the vault's.
    Failed = 3,
    /// Accepted, to be ended by a later entry.
    Started = 4,
}

/// Whom an entry concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Nobody in particular.
    Nobody,
    /// A subject, by its pseudonym for the period.
    Subject(SubjectToken),
    /// An erasure, by its random receipt id; the subject is named only in the sealed detail.
    Erasure(ReceiptId),
}

/// One thing that happened. Everything in it is shown to auditors, but for the sealed detail.
#[derive(Clone, Debug)]
pub struct Event {
    /// Who acted.
    pub actor: Actor,
    /// The person on whose token a service acted.
    pub on_behalf: Option<SubjectToken>,
    /// The role in which; `unknown` if none.
    pub role: SafeText,
    /// The method called, or the vault's own operation.
    pub operation: SafeText,
    /// The registered purpose; `unknown` if it is not registered.
    pub purpose: SafeText,
    /// The registered class concerned; empty if none.
    pub class: SafeText,
    /// How much was shown: 0 nothing, 1 existence, 2 last four, 3 masked, 4 plain.
    pub view: u8,
    /// The decision.
    pub decision: Decision,
    /// The rule that decided.
    pub rule: SafeText,
    /// The policies that decided.
    pub policy: PolicyVersion,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused or failed.
    pub reason: Option<Reason>,
    /// How many items or subjects were concerned.
    pub count: u32,
    /// The epoch in force, or the one that was carried out.
    pub epoch: u64,
    /// Names the call.
    pub request: RequestId,
    /// Whom it concerns.
    pub about: About,
    /// The hash of a receipt's body, where one was made.
    pub receipt_hash: Option<Digest>,
    /// The sealed detail, if there is one.
    pub detail: Option<Vec<u8>>,
}

impl Event {
    /// Of a call about which nothing is known yet: refused before anything was decided, unless more is said.
    pub fn unjudged(actor: Actor, operation: SafeText, policy: PolicyVersion, request: RequestId) -> Self {
        let (empty, unknown) = (SafeText::constant(""), SafeText::constant("unknown"));
        Self {
            actor,
            on_behalf: None,
            role: unknown,
            operation,
            purpose: empty.clone(),
            class: empty.clone(),
            view: 0,
            decision: Decision::NotAsked,
            rule: empty,
            policy,
            outcome: Outcome::Refused,
            reason: None,
            count: 0,
            epoch: 0,
            request,
            about: About::Nobody,
            receipt_hash: None,
            detail: None,
        }
    }
}
