//! The erasure of a person of very many items: what keeps them is decided step by step, so that others have their turn.
//!
//! 1. The batch in which it is asked for makes the person unreadable, and takes down how it stands (`items::parting`). From
//!    then on no hold is placed on the person, and none that is in force is released: these decide.
//! 2. Calls that still read the person come to an end.
//! 3. Some items per batch: what is kept is copied to whatever keeps it; the rows of the items, and those that lead to
//!    them, go.
//! 4. What the receipt states of all keys is put together beside the writer, and one batch lodges the intent.
//!
//! Each batch reads how far it is and takes that further, so a crash between any two costs nothing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use crate::base::fault;
use crate::base::id::SubjectId;
use crate::base::limits::{EPOCH_RETRY, PARTING_LOOK, PARTING_PAUSE, RECEIPT_KEPT_MAX};
use crate::catalog::registry::Registry;
use crate::crypto::hash::Chain;
use crate::gate::chore::{self, Chore};
use crate::gate::index::NewestKeys;
use crate::gate::intents::delete_rows;
use crate::gate::ledger::Ledger;
use crate::gate::receipts::{self, Case, ForgottenKeys, Ground, KeptHasher, KeptList, Scope};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::gate::vault::Vault;
use crate::items::going::{self, Rest};
use crate::items::parting::{self, Deciding, Decision, Parting, Portion};
use crate::items::record::{OpenSubject, item_key};
use crate::items::rows::{forget_ends_of_uploads, unfinished};
use crate::keep::keeping::Keeping;
use crate::keep::kept::{self, Under};
use crate::keep::list;
use crate::keys::page::{KeyName, Tree};
use crate::store::keyspace::Space;

/// Starts the thread that takes partings further. What an earlier process began goes on at once.
pub fn look_after(vault: &Arc<Vault>) -> std::io::Result<Chore> {
    let mut run = Run::default();
    Chore::start("parting", vault, move |vault| {
        chore::rest(work(vault, &mut run), (PARTING_PAUSE, PARTING_LOOK), "erasures of many items")
    })
}

/// What the thread remembers from step to step.
#[derive(Default)]
pub struct Run {
    /// Persons whom no call reads any more.
    drained: HashSet<SubjectId>,
    /// Persons whose last step failed: the others go on. Until when.
    failed: Option<(HashSet<SubjectId>, Instant)>,
    /// That a row is missing has been told.
    told: bool,
}

impl Run {
    fn has_failed(&self, subject: &SubjectId) -> bool {
        self.failed.as_ref().is_some_and(|(people, until)| people.contains(subject) && Instant::now() < *until)
    }
}

/// One step. Whether there is more to do at once. For a plain thread.
///
/// # Errors
/// Why it could not be made; it is made again.
pub fn work(vault: &Vault, run: &mut Run) -> Result<bool, Refusal> {
    let people = under_way(vault, run)?;
    run.drained.retain(|subject| people.contains(subject));
    let Some(subject) = people.into_iter().find(|subject| !run.has_failed(subject)) else { return Ok(false) };
    if !run.drained.contains(&subject) {
        vault.drain(subject)?;
        run.drained.insert(subject);
    }
    if let Err(refusal) = further(vault, subject) {
        if refusal != Unavailable::Stopping.into() {
            tracing::warn!("the erasure of a person of many items gets no further: {refusal}");
        }
        let mut failed = run.failed.take().map(|(people, _)| people).unwrap_or_default();
        failed.insert(subject);
        run.failed = Some((failed, Instant::now() + EPOCH_RETRY));
    }
    Ok(true)
}

/// The persons whose parting is under way. How many there should be, the ledger says.
fn under_way(vault: &Vault, run: &mut Run) -> Result<Vec<SubjectId>, Refusal> {
    let counted = |reads: &dyn Reads| Ok((parting::under_way(reads)?, Ledger::find(reads)?.partings()));
    let all = |reads: &dyn Reads| {
        let (people, count) = counted(reads)?;
        if people.len() as u64 == count { Ok(people) } else { Err(Fault::Torn) } // one begins or ends, or a row is missing
    };
    match vault.read(all) {
        Ok(people) => {
            vault.epochs().parting(people.len() as u64);
            run.told = false;
            Ok(people)
        }
        Err(Refusal::Unavailable(Unavailable::Damaged)) => {
            let (people, count) = vault.read(counted)?;
            vault.epochs().parting(count.max(people.len() as u64));
            // Where they agree by now, the writer was in the middle of replacing the root.
            let is_missed = people.len() as u64 != count;
            if !std::mem::replace(&mut run.told, is_missed) && is_missed {
                tracing::error!("rows of erasures of many items are missing: these erasures stay pending");
            }
            Ok(people)
        }
        Err(refusal) => Err(refusal),
    }
}

fn further(vault: &Vault, subject: SubjectId) -> Result<(), Refusal> {
    fault::point("parting_step");
    let rules = vault.rules();
    let more = vault.committer().commit_blocking(move |txn| step(txn, rules.registry(), subject), false)?;
    fault::point("parting_stepped");
    if !more && lodge_intent(vault, subject)? {
        vault.forget_now();
        fault::point("parting_lodged");
    }
    Ok(())
}

/// The first batch, in that of the erasure's request.
pub(super) fn begin(
    txn: &mut Txn<'_>,
    subject: &OpenSubject,
    registry: &Registry,
    (receipt, ground): (crate::base::id::ReceiptId, Ground),
) -> Result<(), Refusal> {
    let mut case = Case::new(Scope::Subject, ground, txn.now(), Vec::new())?;
    let mut keeping = Keeping::of(txn, (subject.id, subject.row.holds), registry)?;
    let history = going::with_history(txn, subject, &mut keeping, receipt, &mut case)?;
    forget_ends_of_uploads(txn, &subject.id)?;
    let mut index = NewestKeys::default();
    index.add(going::index_rows(txn, subject)?.iter().map(|row| &row.key[..]));
    let mut parting = Parting {
        owner: subject.owner(),
        receipt,
        holds: subject.row.holds,
        any_kept: kept::exists(txn, Under::Subject(subject.id))?,
        nothing_keeps: keeping.is_empty(),
        cursor: None,
        batches: 0,
        names: Chain::default(),
        kept: 0,
        list: Chain::default(),
        openings: 0,
        index,
        case,
    };
    parting.note_kept(txn, history.as_slice());
    parting.begin(txn)?;
    receipts::put_parting(txn, &receipt, subject.id);
    Ok(())
}

/// Decides about the next items. Whether there are more.
fn step(txn: &mut Txn<'_>, registry: &Registry, subject: SubjectId) -> Result<bool, Refusal> {
    let Some(mut parting) = parting::find(txn, &subject)? else { return Ok(false) };
    let portion = Portion::after(txn, &subject, parting.cursor)?;
    if portion.last == parting.cursor {
        return Ok(false);
    }
    let Parting { owner, receipt, any_kept, nothing_keeps, .. } = parting;
    let mut keeping = Keeping::of(txn, (subject, parting.holds), registry)?;
    let deciding = Deciding { owner, closed: parting.case.requested, any_kept, nothing_keeps };
    let decision = Decision::about(txn, &deciding, &keeping, portion)?;
    let (last, more) = (decision.last, decision.more);
    let parted = decision.carry_out(txn, &deciding, &mut keeping, (receipt, &parting.case))?;
    let before = parting.openings;
    parting.openings = keeping.finish(txn, &receipt, before)?;
    list::put(txn, &receipt, (parting.kept, before), &parted.kept, &mut parting.list);
    for row in &parted.index {
        txn.delete(row.space, &row.key[..]);
    }
    // Where nothing is kept at all, what items hold goes with one cut at the end.
    if !nothing_keeps || any_kept {
        parted.contents.iter().try_for_each(|row| delete_rows(txn, row))?;
    }
    for item in &parted.items {
        txn.delete(Space::Item, item_key(&subject, item));
    }
    parting.index.add_all(&parted.index_keys);
    parting.note_kept(txn, &parted.names);
    parting.kept += parted.kept.len() as u64;
    parting.cursor = last;
    parting.store(txn)?;
    Ok(more)
}

/// What a statement says of a whole parting, put together beside the writer.
struct Whole {
    keys: ForgottenKeys,
    /// None where what is kept is few enough to be listed.
    kept: Option<KeptList>,
    /// What led to the person's keys when their names were looked at.
    top: KeyName,
}

/// The last batch, once all items are decided about. Whether it is done.
fn lodge_intent(vault: &Vault, subject: SubjectId) -> Result<bool, Refusal> {
    let Some(parting) = vault.read(|reads| parting::find(reads, &subject))? else { return Ok(false) };
    let (mut names, top) = vault.key_names(parting.owner.tree(), (Tree::Subjects, parting.owner.position))?;
    let kept_names = vault.read(|reads| parting.kept_names(reads))?;
    names.retain(|name| !kept_names.contains(name));
    let kept = match parting.kept > RECEIPT_KEPT_MAX as u64 {
        true => Some(vault.read(|reads| hash_of_list(reads, &parting))?),
        false => None,
    };
    let whole = Whole { keys: ForgottenKeys::of(names), kept, top };
    vault.committer().commit_blocking(move |txn| lodge(txn, parting, whole), false)
}

fn hash_of_list(reads: &dyn Reads, parting: &Parting) -> Result<KeptList, Fault> {
    let mut hasher = KeptHasher::default();
    list::each(reads, &parting.receipt, &parting.list, |kept| hasher.add(kept))?;
    Ok(hasher.finish())
}

fn lodge(txn: &mut Txn<'_>, known: Parting, whole: Whole) -> Result<bool, Refusal> {
    let Some(parting) = parting::find(txn, &known.owner.id)? else { return Ok(false) };
    let Parting { owner, receipt, .. } = parting;
    let top = txn.entry(Tree::Subjects, owner.position)?.ok_or(Unavailable::Damaged)?;
    // An epoch may have forgotten one of the person's keys meanwhile, and replaced others.
    if parting != known || top.name() != whole.top {
        return Ok(false);
    }
    let index_keys = parting.index.ids(txn.index().vault());
    let mut case = parting.case.clone().indexed_under(index_keys);
    case.keys = whole.keys;
    case.kept_list = whole.kept;
    if case.kept_list.is_none() {
        case.kept = list::take(txn, &receipt, &parting.list)?;
    }
    let is_all = parting.kept == 0 && !parting.any_kept;
    let rest = if is_all { Rest::All } else { Rest::But(unfinished(txn, owner.id.as_bytes())?) };
    going::of_subject(owner, (receipt, case), rest).lodge(txn)?;
    parting.end(txn)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::items::tests::Bench;

    #[tokio::test]
    async fn a_row_that_nothing_counts_is_told_of_and_again_after_all_was_well() {
        let bench = Bench::new();
        let key = [&[1][..], &[7; 16]].concat();
        let look = async |mut run: Run| {
            let vault = bench.vault.clone();
            tokio::task::spawn_blocking(move || (work(&vault, &mut run), run)).await.expect("no panic")
        };
        let mut run = Run::default();
        for _ in 0..2 {
            bench.write_over([(Space::Parting, (key.clone(), vec![0]))]);
            let (looked, found) = look(run).await;
            assert!(looked.is_ok() && found.told, "{looked:?}");
            bench.take_away(Space::Parting, [key.clone()]);
            let (looked, found) = look(found).await;
            assert!(looked == Ok(false) && !found.told, "{looked:?}");
            run = found;
        }
    }
}
