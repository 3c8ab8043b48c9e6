//! Agreeing and refusing.
//!
//! Who may decide is asked of the rules and of nothing else: the role must have both the method that decides and the
//! operation itself open to it, for the purpose stated. So whoever agrees is one who could have asked.

use super::record::{Approval, Decided, Party, Standing, Stored};
use super::rows;
use crate::base::id::ApprovalId;
use crate::catalog::text::Text;
use crate::crypto::hash::Digest;
use crate::crypto::mac;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Approving, Refusal, State};
use crate::gate::txn::Txn;
use crate::gate::vault::Vault;
use crate::policy::action::Action;
use crate::policy::bindings::Bindings;
use crate::policy::question::{Question, Resource};
use crate::policy::rules::Rules;

/// One person's word about a request.
pub struct Decision {
    /// Which approval.
    pub id: ApprovalId,
    /// The digest of the request that is agreed to; none to refuse.
    pub agrees_to: Option<Digest>,
    /// What the approval's etag must be; empty for any.
    pub etag: String,
    /// For the record.
    pub comment: Text,
}

impl Vault {
    /// Agrees to somebody else's request, refuses it, or withdraws one's own. The approval as it is then.
    ///
    /// # Durability
    /// On `Ok` the decision and its entry in the log survive power loss.
    ///
    /// # Errors
    /// [`State::NotFound`] also for approvals that are not the caller's to know; [`Approving`]; [`State::EtagMismatch`].
    pub async fn decide(&self, call: &Call, decision: Decision) -> Result<(Approval, Standing), Refusal> {
        let (vault, caller, now) = (self.id, call.clone(), self.now());
        let fields = vec![decision.id.to_string()];
        let work = move |txn: &mut Txn<'_>| {
            let approval = decide(txn, &vault, &caller, decision)?;
            let at = (txn.now(), txn.epoch());
            let touched = Touched { count: 1, fields, ..Touched::default() };
            txn.record(caller.recorder().entry(Whom::Nobody, touched, Ended::Done, at)?);
            Ok(approval)
        };
        match self.committer.commit(work).await {
            Ok(approval) => {
                let standing = approval.standing(now);
                Ok((approval, standing))
            }
            Err(refusal) => Err(self.refuse(call, refusal).await),
        }
    }
}

fn decide(
    txn: &mut Txn<'_>,
    vault: &crate::base::id::VaultId,
    call: &Call,
    decision: Decision,
) -> Result<Approval, Refusal> {
    let by = call.party()?;
    let mut approval = rows::find(txn, vault, decision.id)?.ok_or(State::NotFound)?;
    let may = may_decide(call.rules(), &by, approval.operation);
    if !may && !approval.is_requested_by(&by) {
        return Err(State::NotFound.into());
    }
    let standing = approval.standing(txn.now());
    match decision.agrees_to {
        Some(digest) => {
            if !may || approval.is_requested_by(&by) || approval.has_decided(&by) {
                return Err(Approving::Own.into());
            }
            if standing != Standing::Pending || !mac::equal(&digest, &approval.digest) {
                return Err(Approving::Invalid.into());
            }
        }
        None if matches!(standing, Standing::Pending | Standing::Approved) => approval.stored = Stored::Rejected,
        None => return Err(Approving::Invalid.into()),
    }
    if !decision.etag.is_empty() && decision.etag != approval.etag() {
        return Err(State::EtagMismatch.into());
    }
    let (approved, time) = (decision.agrees_to.is_some(), txn.now());
    approval.decisions.push(Decided { by, approved, time, comment: decision.comment });
    approval.revision += 1;
    rows::put(txn, vault, &approval)?;
    Ok(approval)
}

impl Approval {
    /// Whether somebody is who asked, under whatever certificate.
    pub fn is_requested_by(&self, by: &Party) -> bool {
        is_same(&self.requester, by)
    }

    /// Whether somebody has said something already.
    pub fn has_decided(&self, by: &Party) -> bool {
        self.decisions.iter().any(|said| is_same(&said.by, by))
    }

    /// Whether somebody may agree to it now.
    pub(super) fn is_decidable_by(&self, by: &Party, rules: &Rules, standing: Standing) -> bool {
        standing == Standing::Pending
            && may_decide(rules, by, self.operation)
            && !self.is_requested_by(by)
            && !self.has_decided(by)
    }
}

fn is_same(one: &Party, other: &Party) -> bool {
    one.actor == other.actor || one.person == other.person || one.identity == other.identity
}

/// Whether somebody may decide about an operation.
pub(super) fn may_decide(rules: &Rules, by: &Party, operation: Action) -> bool {
    let Some(purpose) = rules.registry().purpose(&by.purpose) else { return false };
    let question = |action| Question {
        caller: by.identity.clone(),
        role: by.role,
        purpose: purpose.id.clone(),
        action,
        ticket: by.ticket,
        resource: Resource::Vault,
    };
    rules.is_open(&question(Action::Approve)) && rules.is_open(&question(operation))
}

/// Whether the bindings still say of somebody what they said when the decision was made.
pub(super) fn stands(bindings: &Bindings, by: &Party) -> bool {
    bindings.person_of(&by.identity) == Some(&by.person) && bindings.roles_of(&by.identity).contains(&by.role)
}
