//! Receipts as they are shown: the signed statement, which never changes, and proofs that are made anew each time.

use std::time::Instant;

use crate::audit::event::{About, Outcome};
use crate::audit::leaf;
use crate::base::id::ReceiptId;
use crate::base::limits::{DEADLINE_MARGIN, LOG_INDEX_ROWS};
use crate::crypto::hash::sha256;
use crate::gate::call::Call;
use crate::gate::receipts::{self, Progress, Record, Signed};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Refusal, State, Unavailable};
use crate::gate::signing::{Proven, prove};
use crate::gate::vault::Vault;
use crate::items::recorded::refuse;
use crate::keep::kept::{self, Opening};
use crate::policy::action::Action;
use crate::policy::question::{Resource, Standing};

/// A receipt.
pub struct Receipt {
    /// Its id.
    pub id: ReceiptId,
    /// The statement and its signature.
    pub signed: Signed,
    /// The two entries of the log; none if no checkpoint could be had in time.
    pub proofs: Option<Proofs>,
    /// What opens its commitments to keep reasons; none for who may not know.
    pub openings: Vec<Opening>,
    /// Of what was kept and has gone since, oldest first; theirs have none.
    pub supplements: Vec<Receipt>,
}

impl Receipt {
    fn bare(id: ReceiptId, signed: Signed, proofs: Option<Proofs>) -> Self {
        Self { id, signed, proofs, openings: Vec::new(), supplements: Vec::new() }
    }

    /// With its proofs, if they are of this very statement: the log's entry has its hash. Whoever can write the store
    /// could have exchanged its row.
    fn proven(id: ReceiptId, signed: Signed, proofs: Proofs) -> Result<Self, Refusal> {
        agree(&proofs, &signed)?;
        Ok(Self::bare(id, signed, Some(proofs)))
    }
}

/// Checks that the log's entry has the hash of this very statement.
///
/// # Errors
/// [`Unavailable::Damaged`].
pub(super) fn agree(proofs: &Proofs, signed: &Signed) -> Result<(), Refusal> {
    let leaf = leaf::decode(&proofs.erased.leaf).map_err(|_| Unavailable::Damaged)?;
    if leaf.receipt_hash == Some(sha256(&[&signed.body])) { Ok(()) } else { Err(Unavailable::Damaged.into()) }
}

/// That both entries of an act of forgetting are in the log.
pub struct Proofs {
    /// The entry of the request.
    pub requested: Proven,
    /// The entry of the completion.
    pub erased: Proven,
}

/// Gets a receipt, and records that.
///
/// # Errors
/// [`State::NotFound`] if there is none by this id; [`State::NotFromHere`] while the erasure is pending; [`Unavailable`].
pub async fn receipt(vault: &Vault, call: &Call, id: ReceiptId) -> Result<Receipt, Refusal> {
    let permit = match call.permit(Resource::Vault).map_err(Access::openly) {
        Ok(permit) => permit,
        Err(denied) => return Err(vault.refuse(call, denied.into()).await),
    };
    let signed = match vault.read(|reads| receipts::look_up(reads, &id))? {
        Some(Record { signed: Some(signed), .. }) => signed,
        Some(Record { progress: Progress::Pending { .. }, matter: Some(_), .. }) => {
            return Err(refuse(vault, call, None, Touched::default(), State::NotFromHere.into()).await);
        }
        // The vault's own acts, and those of releases that made no statements, have nothing to show.
        Some(_) | None => return Err(refuse(vault, call, None, Touched::default(), State::NotFound.into()).await),
    };
    let touched = Touched { rule: Some(permit.rule().clone()), count: 1, ..Touched::default() };
    let entry = call.recorder().entry(Whom::Evidence(id), touched, Ended::Done, (vault.now(), vault.epoch()))?;
    vault.record(vec![entry]).await?;
    let proven = Receipt::proven(id, signed, proofs(vault, id).await?)?;
    let (openings, supplements) = (openings(vault, call, &id)?, supplements(vault, &id).await?);
    Ok(Receipt { openings, supplements, ..proven })
}

/// What opens the commitments on a receipt, for who may ask why a person's data is kept.
fn openings(vault: &Vault, call: &Call, id: &ReceiptId) -> Result<Vec<Opening>, Refusal> {
    if call.permit_to(Action::ListKeepReasons, Resource::Subject(Standing::default())).is_err() {
        return Ok(Vec::new());
    }
    vault.read(|reads| kept::openings(reads, id))
}

/// The receipts that supplement one, as far as they are final.
async fn supplements(vault: &Vault, id: &ReceiptId) -> Result<Vec<Receipt>, Refusal> {
    let mut supplements = Vec::new();
    for id in vault.read(|reads| kept::supplements(reads, id))? {
        let record = vault.read(|reads| receipts::look_up(reads, &id))?;
        if let Some(signed) = record.and_then(|record| record.signed) {
            supplements.push(Receipt::proven(id, signed, proofs(vault, id).await?)?);
        }
    }
    Ok(supplements)
}

/// The receipt of what a call has erased. What the call is for is done: without a checkpoint in time it answers without
/// proofs, which can be had later.
pub(super) async fn of_call(vault: &Vault, call: &Call, id: ReceiptId) -> Result<Option<Receipt>, Refusal> {
    let record = vault.read(|reads| receipts::look_up(reads, &id))?;
    let Some(signed) = record.and_then(|record| record.signed) else { return Ok(None) };
    let proofs = proofs(vault, id);
    let proofs = match call.deadline().and_then(|deadline| deadline.checked_sub(DEADLINE_MARGIN)) {
        None => proofs.await.ok(),
        Some(until) => tokio::time::timeout_at(Instant::into(until), proofs).await.ok().and_then(Result::ok),
    };
    let shown = match proofs {
        Some(proofs) => Receipt::proven(id, signed, proofs)?,
        None => Receipt::bare(id, signed, None),
    };
    Ok(Some(Receipt { openings: openings(vault, call, &id)?, ..shown }))
}

/// Finds both entries and proves them under a checkpoint that covers all that is durable now.
pub(super) async fn proofs(vault: &Vault, id: ReceiptId) -> Result<Proofs, Refusal> {
    let newest = vault.log().known().borrow().newest.clone();
    let places = places(vault, id)?;
    let checkpoint = match (&newest, places) {
        (Some(newest), Some((_, erased))) if newest.checkpoint.size > erased => newest.clone(),
        _ => vault.log().checkpoint(vault.committer().log_size()).await?,
    };
    // Both are durable, so they are indexed by now.
    let (requested, erased) = match places {
        Some(places) => places,
        None => self::places(vault, id)?.ok_or(Unavailable::Damaged)?,
    };
    Ok(Proofs { requested: prove(vault, requested, checkpoint.clone())?, erased: prove(vault, erased, checkpoint)? })
}

/// The indices of both entries, as far as the log is indexed.
fn places(vault: &Vault, id: ReceiptId) -> Result<Option<(u64, u64)>, Refusal> {
    let log = vault.log().stored();
    let (mut requested, mut from) = (None, 0);
    loop {
        let indices = log.with_token(id.as_bytes(), from, LOG_INDEX_ROWS)?;
        for index in &indices {
            let (_, (bytes, _)) = log.entries(*index)?.next().ok_or(Unavailable::Damaged)??;
            let leaf = leaf::decode(&bytes).map_err(|_| Unavailable::Damaged)?;
            match (leaf.about, leaf.outcome, leaf.receipt_hash) {
                (About::Erasure(of), Outcome::Started, None) if of == id => requested = requested.or(Some(*index)),
                (About::Erasure(of), Outcome::Done, Some(_)) if of == id => {
                    return Ok(requested.map(|requested| (requested, *index)));
                }
                _ => {}
            }
        }
        match indices.last() {
            Some(last) if indices.len() == LOG_INDEX_ROWS => from = last + 1,
            Some(_) | None => return Ok(None),
        }
    }
}
