//! Asking for another person's word, and using it up.

use std::sync::Arc;

use super::decide::{may_decide, stands};
use super::record::{Approval, ApprovalKeys, Asked, Party, Standing, Stored};
use super::rows;
use crate::base::id::{ActorId, ApprovalId, VaultId};
use crate::base::limits::APPROVALS_OPEN_MAX;
use crate::crypto::{mac, rng};
use crate::gate::call::Call;
use crate::gate::periods;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Approving, Refusal, Unavailable};
use crate::gate::service_keys::{self, Name};
use crate::gate::txn::{Fault, Txn};
use crate::gate::vault::Vault;
use crate::policy::bindings::Bindings;

/// The word of another person, given to this very request and used up by it.
///
/// INVARIANT: only `Dual::word` makes one, in the transaction that marks the approval as used.
pub struct Approved {
    id: ApprovalId,
    requester: ActorId,
    approvers: Vec<ActorId>,
    targets: Vec<String>,
}

impl Approved {
    /// Who asked.
    pub fn requester(&self) -> ActorId {
        self.requester
    }

    /// Who agreed.
    pub fn approvers(&self) -> &[ActorId] {
        &self.approvers
    }

    /// What the log notes beside the operation: what it acts on, the approval, and who agreed.
    pub fn touched(&self) -> Touched {
        let ids = [self.id.to_string()].into_iter().chain(self.approvers.iter().map(ActorId::to_string));
        Touched { count: 1, fields: self.targets.iter().cloned().chain(ids).collect(), ..Touched::default() }
    }
}

/// A request that needs another person's word, on its way to the writer's thread.
#[derive(Clone)]
pub(in crate::gate) struct Dual {
    vault: VaultId,
    call: Call,
    bindings: Arc<Bindings>,
    targets: Vec<String>,
}

/// Whether the word was given.
enum Word {
    Given(Approved),
    /// Not yet; this approval is open for it.
    Asked(ApprovalId),
}

impl Vault {
    /// Prepares a request that needs another person's word. `targets` are the ids that it acts on.
    pub(in crate::gate) fn dual(&self, call: &Call, targets: Vec<String>) -> Dual {
        Dual { vault: self.id, call: call.clone(), bindings: self.bindings.load_full(), targets }
    }

    /// Makes a change that needs another person's word, if that was given; otherwise opens an approval for it, or finds
    /// the one that is open. Refusals are recorded.
    ///
    /// # Durability
    /// On `Ok` the change and the use of its approval survive power loss, in one batch with the entry that `work`
    /// records. An approval that was opened is durable when the refusal names it.
    ///
    /// # Errors
    /// [`Approving`]; whatever `check` and `work` refuse. `check` comes first, so that nobody is asked in vain.
    pub async fn with_approval<T: Send + 'static>(
        &self,
        call: &Call,
        targets: Vec<String>,
        check: impl FnOnce(&mut Txn<'_>) -> Result<(), Refusal> + Send + 'static,
        work: impl FnOnce(&mut Txn<'_>, Approved) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let dual = self.dual(call, targets);
        let outcome = self.committer.commit(move |txn| {
            check(txn)?;
            dual.carry_out(txn, work)
        });
        self.approved(call, outcome.await).await
    }

    /// What became of [`Dual::carry_out`]; a refusal is recorded, unless it was with its approval.
    pub(in crate::gate) async fn approved<T>(
        &self,
        call: &Call,
        outcome: Result<Result<T, ApprovalId>, Refusal>,
    ) -> Result<T, Refusal> {
        match outcome {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(asked)) => Err(Approving::Required(asked).into()),
            Err(refusal) => Err(self.refuse(call, refusal).await),
        }
    }
}

impl Dual {
    /// Makes the change with the word that was given; or the approval that is open for it, durable with its entry in
    /// the log.
    pub fn carry_out<T>(
        &self,
        txn: &mut Txn<'_>,
        work: impl FnOnce(&mut Txn<'_>, Approved) -> Result<T, Refusal>,
    ) -> Result<Result<T, ApprovalId>, Refusal> {
        match self.word(txn)? {
            Word::Given(approved) => work(txn, approved).map(Ok),
            Word::Asked(id) => Ok(Err(id)),
        }
    }

    fn word(&self, txn: &mut Txn<'_>) -> Result<Word, Refusal> {
        let requester = self.call.party()?;
        match self.call.approval() {
            Some(id) => self.use_up(txn, id, &requester).map(Word::Given),
            None => self.ask(txn, requester).map(Word::Asked),
        }
    }

    /// Marks an approval as used, if it is this request's and stands.
    fn use_up(&self, txn: &mut Txn<'_>, id: ApprovalId, requester: &Party) -> Result<Approved, Refusal> {
        let mut approval = rows::find(txn, &self.vault, id)?.ok_or(Approving::Invalid)?;
        let is_ours = approval.requester.actor == requester.actor
            && approval.operation == self.call.action()
            && mac::equal(&self.digest(txn, &approval, requester)?, &approval.digest);
        if !is_ours || approval.standing(txn.now()) != Standing::Approved {
            return Err(Approving::Invalid.into());
        }
        // Who agreed may have lost the right to since.
        let agreed: Vec<&Party> = approval.decisions.iter().filter(|said| said.approved).map(|said| &said.by).collect();
        let sound = |by: &&&Party| {
            stands(&self.bindings, by)
                && may_decide(self.call.rules(), by, approval.operation)
                && !approval.is_requested_by(by)
        };
        if agreed.iter().filter(sound).count() < approval.required as usize {
            return Err(Approving::Invalid.into());
        }
        let approvers = agreed.iter().map(|by| by.actor).collect();
        approval.stored = Stored::Used;
        approval.used = Some(txn.now());
        approval.revision += 1;
        rows::put(txn, &self.vault, &approval)?;
        Ok(Approved { id, requester: requester.actor, approvers, targets: self.targets.clone() })
    }

    /// Opens an approval, or finds the one that is open for the same request; and records that one is needed.
    fn ask(&self, txn: &mut Txn<'_>, requester: Party) -> Result<ApprovalId, Refusal> {
        let open = rows::open_of(txn, &self.vault, requester.actor)?;
        let mut found = None;
        for approval in &open {
            if approval.operation == self.call.action()
                && mac::equal(&self.digest(txn, approval, &requester)?, &approval.digest)
            {
                found = Some(approval.id);
            }
        }
        let id = match found {
            Some(id) => id,
            None if open.len() >= APPROVALS_OPEN_MAX => return Err(Approving::TooMany.into()),
            None => self.open(txn, requester)?,
        };
        let fields = self.targets.iter().cloned().chain([id.to_string()]).collect();
        let touched = Touched { count: 1, fields, ..Touched::default() };
        let refusal = Refusal::from(Approving::Required(id));
        let at = (txn.now(), txn.epoch());
        txn.record(self.call.recorder().entry(Whom::Nobody, touched, Ended::Not(&refusal), at)?);
        Ok(id)
    }

    fn open(&self, txn: &mut Txn<'_>, requester: Party) -> Result<ApprovalId, Refusal> {
        let key = service_keys::find_or_make(txn, Name::Approvals(periods::of_approvals(txn.now())))?;
        let (operation, ticket) = (self.call.action(), self.call.ticket());
        let digest = ApprovalKeys::of(&key).digest(operation, &requester, ticket, self.call.request_digest());
        let asked = Asked { operation, targets: self.targets.clone(), ticket, digest };
        let id = ApprovalId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
        rows::put(txn, &self.vault, &Approval::open(id, asked, requester, txn.now()))?;
        Ok(id)
    }

    /// The digest of this request under the key that an approval was opened with.
    fn digest(&self, txn: &Txn<'_>, approval: &Approval, requester: &Party) -> Result<[u8; 32], Refusal> {
        let name = Name::Approvals(periods::of_approvals(approval.created));
        let key = service_keys::find(txn, name)?.ok_or(Fault::Torn)?;
        let (operation, ticket) = (self.call.action(), self.call.ticket());
        Ok(ApprovalKeys::of(&key).digest(operation, requester, ticket, self.call.request_digest()))
    }
}
