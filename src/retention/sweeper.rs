//! The thread that looks for what is due, and hands it on.
//!
//! A sweep is everything that is due at one moment. It is judged before it begins: a clock that has jumped, or more than a
//! plausible share of all items, stops it, and it waits until somebody confirms exactly that (`state`). Nothing of a sweep is
//! kept but what stopped: after a restart whatever is still due is judged anew.

use std::sync::Arc;

use crate::base::fault;
use crate::base::id::ReasonId;
use crate::base::limits::{
    DUE_ITEMS_FREE, DUE_PERCENT_MAX, QUIET_MAX, SWEEP_LOOK, SWEEP_PAUSE, SWEEP_PENDING_MAX, SWEEP_STEP,
};
use crate::base::log_safe::SafeText;
use crate::base::time::Timestamp;
use crate::gate::chore::{self, Chore};
use crate::gate::jumps::{self, Jump};
use crate::gate::record::Recorder;
use crate::gate::refusal::Refusal;
use crate::gate::room::Level;
use crate::gate::txn::Txn;
use crate::gate::vault::Vault;
use crate::items::expiry;
use crate::keep::period;

use super::due;
use super::index;
use super::state::{self, Halt, Sweep};
use super::step::{self, Became, Tools, concerns_one};

/// How much may be due at once before somebody must confirm it.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Share of all items, in percent.
    pub percent_max: u64,
    /// As many are nothing to stop for.
    pub items_free: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { percent_max: DUE_PERCENT_MAX, items_free: DUE_ITEMS_FREE }
    }
}

/// Starts the thread.
pub fn look_after(vault: &Arc<Vault>, bounds: Bounds) -> std::io::Result<Chore> {
    let mut run = Run::default();
    Chore::start("sweeper", vault, move |vault| {
        chore::rest(work(vault, bounds, &mut run), (SWEEP_PAUSE, SWEEP_LOOK), "what is due")
    })
}

/// How far a sweep is.
#[derive(Default)]
pub struct Run {
    /// The moment that it is about, and from which row it goes on; none while there is nothing to do.
    sweep: Option<(Timestamp, Vec<u8>)>,
    /// Restricted people's items, and what could not be let go, that this sweep has passed.
    passed: u64,
    /// Periods whose end could not be carried out: the others go on.
    failed: Vec<ReasonId>,
}

/// One step. Whether there is more to do at once. For a plain thread.
///
/// # Errors
/// Why it could not be made; it is made again.
pub fn work(vault: &Vault, bounds: Bounds, run: &mut Run) -> Result<bool, Refusal> {
    if index::work(vault)? {
        return Ok(true);
    }
    if vault.epochs().pending() >= SWEEP_PENDING_MAX {
        return Ok(false); // a slot is out of reach, or epochs are behind
    }
    if vault.room().level() != Level::Open {
        return Ok(false); // what room is left is for what persons ask for
    }
    let (stopped, jump) = vault.read(|reads| Ok((state::find(reads)?, jumps::find(reads)?)))?;
    match stopped {
        Some(sweep) if !sweep.confirmed => {
            *run = Run::default();
            wait(vault, &sweep, jump)
        }
        Some(sweep) if is_jumped(vault, jump) => stop(vault, Halt::Clock, sweep.last_entry),
        Some(sweep) => {
            let more = go_on(vault, run, sweep.as_of)?;
            if !more {
                vault.committer().commit_blocking(move |txn| end_confirmed(txn, &sweep), false)?;
            }
            Ok(more)
        }
        None if is_jumped(vault, jump) => stop(vault, Halt::Clock, vault.committer().last_entry()),
        None => match &run.sweep {
            Some((as_of, _)) => {
                let as_of = *as_of;
                go_on(vault, run, as_of)
            }
            None => begin(vault, bounds, run),
        },
    }
}

fn is_jumped(vault: &Vault, jump: Option<Jump>) -> bool {
    jump.is_some() || jumps::is_implausible(vault.committer().last_entry(), vault.now())
}

/// Judges what is due now.
fn begin(vault: &Vault, bounds: Bounds, run: &mut Run) -> Result<bool, Refusal> {
    let as_of = vault.now();
    let due = vault.read(|reads| due::count(reads, as_of))?;
    if due == 0 {
        return stay_awake(vault).map(|()| false);
    }
    let all = vault.read(due::all)?;
    // What an earlier look had to pass is there again, and nothing new to stop for.
    let fresh = due.saturating_sub(run.passed);
    if fresh > bounds.items_free && fresh.saturating_mul(100) > all.saturating_mul(bounds.percent_max) {
        return stop(vault, Halt::Share, vault.committer().last_entry());
    }
    *run = Run { sweep: Some((as_of, Vec::new())), ..Run::default() };
    go_on(vault, run, as_of)
}

/// One step of a sweep that may go on. Whether there is more of it.
fn go_on(vault: &Vault, run: &mut Run, as_of: Timestamp) -> Result<bool, Refusal> {
    let from = match run.sweep.take() {
        Some((of, from)) if of == as_of => from,
        _ => Vec::new(),
    };
    let ended = vault.read(|reads| period::ended(reads, as_of, 1 + run.failed.len()))?;
    let ended = ended.into_iter().find(|reason| !run.failed.contains(reason));
    let expired: Vec<_> = vault.read(|reads| expiry::list(reads, &from, SWEEP_STEP))?;
    let expired: Vec<_> = expired.into_iter().take_while(|row| row.at <= as_of).collect();
    if ended.is_none() && expired.is_empty() {
        return Ok(false);
    }
    let days = vault.days_blocking()?;
    let tools = |operation| {
        let recorder = Recorder::own(vault, days.clone(), SafeText::constant(operation))?;
        Ok::<_, Refusal>(Tools { rules: vault.rules(), recorder, as_of })
    };
    let next = expired.last().map(|last| [last.key(), vec![0]].concat());
    fault::point("sweep_step");
    let mut intents = 0;
    if let Some(reason) = ended {
        let tools = tools("PeriodEnded")?;
        match vault.committer().commit_blocking(move |txn| step::end_period(txn, &tools, reason), false) {
            Ok(Became::Gone(count)) => intents = count,
            // The clock is no longer to be trusted, or what was confirmed is used up.
            Ok(Became::NotDue | Became::Restricted) => return Ok(false),
            Err(refusal) if concerns_one(&refusal) => {
                tracing::warn!("the end of a period cannot be carried out: {refusal}");
                run.failed.push(reason);
            }
            Err(refusal) => return Err(refusal),
        }
        run.sweep = Some((as_of, from));
    } else {
        let tools = tools("ItemExpired")?;
        let works = expired.iter().map(|row| {
            let (tools, row) = (tools.clone(), row.clone());
            move |txn: &mut Txn<'_>| step::expire(txn, &tools, &row)
        });
        for outcome in vault.committer().commit_all_blocking(works.collect()) {
            match outcome {
                Ok(Became::Gone(count)) => intents += count,
                Ok(Became::NotDue) => {}
                Ok(Became::Restricted) => run.passed += 1,
                Err(refusal) if concerns_one(&refusal) => {
                    tracing::warn!("an item that is due stays: {refusal}");
                    run.passed += 1;
                }
                Err(refusal) => return Err(refusal),
            }
        }
        if intents > 0 {
            vault.committer().commit_blocking(move |txn| step::note(txn, "ItemsExpired", intents), false)?;
        }
        run.sweep = next.map(|next| (as_of, next));
    }
    fault::point("sweep_stepped");
    for _ in 0..intents {
        vault.forget_soon();
    }
    Ok(true)
}

/// Stops a sweep of what is due now, and says so.
fn stop(vault: &Vault, halt: Halt, last_entry: Option<Timestamp>) -> Result<bool, Refusal> {
    let stopped = vault.committer().commit_blocking(
        move |txn| {
            let due = due::count(txn, txn.now())?;
            let last_entry = jumps::find(txn)?.map(|jump| jump.before).or(last_entry);
            let mut sweep = Sweep::stopped(halt, txn.now(), due, last_entry)?;
            sweep.store(txn);
            step::note(txn, "SweepStopped", due)?;
            Ok(sweep)
        },
        false,
    )?;
    tracing::error!(
        due = stopped.due,
        "the sweep of what is due has stopped: {}. Look at lacuna due, and confirm it if it is right",
        match halt {
            Halt::Clock => "the clock is more than a day past the last entry of the log",
            Halt::Share => "more is due at once than is plausible",
        }
    );
    Ok(false)
}

/// Looks after a sweep that waits: a newer jump makes a new picture of it; a clock that is right again, none.
fn wait(vault: &Vault, sweep: &Sweep, jump: Option<Jump>) -> Result<bool, Refusal> {
    let now = vault.now();
    if jump.is_some_and(|jump| jump.after > sweep.as_of) || jumps::is_implausible(vault.committer().last_entry(), now) {
        return stop(vault, Halt::Clock, sweep.last_entry);
    }
    let is_back = now < sweep.as_of && !jumps::is_implausible(sweep.last_entry, now);
    if sweep.halt == Halt::Clock && is_back {
        let sweep = sweep.clone();
        vault.committer().commit_blocking(
            move |txn| {
                sweep.end(txn);
                jumps::settle(txn);
                step::note(txn, "SweepWithdrawn", 0)
            },
            false,
        )?;
        tracing::warn!("the clock is back: the sweep that had stopped is withdrawn");
        return Ok(false);
    }
    stay_awake(vault).map(|()| false)
}

/// Writes an entry where nothing else has for long, so that a quiet time does not look like a jump of the clock.
fn stay_awake(vault: &Vault) -> Result<(), Refusal> {
    let quiet = |last: Timestamp| vault.now().as_millis().saturating_sub(last.as_millis());
    if vault.committer().last_entry().is_some_and(|last| quiet(last) > QUIET_MAX.as_millis() as i64) {
        vault.committer().commit_blocking(|txn| step::note(txn, "NothingDue", 0), false)?;
    }
    Ok(())
}

/// The end of a sweep that was confirmed.
fn end_confirmed(txn: &mut Txn<'_>, confirmed: &Sweep) -> Result<(), Refusal> {
    let Some(sweep) = state::find(txn)?.filter(|sweep| sweep.id == confirmed.id && sweep.confirmed) else {
        return Ok(());
    };
    sweep.end(txn);
    step::note(txn, "SweepEnded", sweep.done)
}
