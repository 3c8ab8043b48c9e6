//! Unreadable ciphertext leaves the live files: passes over the whole store, each for everything that was forgotten by an
//! epoch, and the entry in the log that says so.
//!
//! A pass first notes which epoch was the last to be finished, whose rows are deleted then, and after that has the engine
//! begin: so it can never cover less than it says. How far it is, is in the store, and a pass goes on after a crash. The
//! entry and the note that the pass is over are one batch, after the engine's last step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::Call;
use super::chore::{self, Chore};
use super::epoch::STATE;
use super::record::{Ended, Touched, Whom, own_event};
use super::refusal::{Refusal, Unavailable};
use super::room::Level;
use super::txn::{Fault, Reads, Txn};
use super::vault::Vault;
use crate::audit::event::{About, Event};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::fault;
use crate::base::id::ReceiptId;
use crate::base::limits::{PURGE_DAYS, PURGE_LOOK, PURGE_REST, PURGE_STEP_TIME};
use crate::base::log_safe::SafeText;
use crate::base::time::Timestamp;
use crate::crypto::rng;
use crate::keys::epoch::State;
use crate::store::keyspace::Space;
use crate::store::purge::Purge;

/// The operation that the log names when a pass is over.
pub const DONE: &str = "CiphertextPurged";

/// The row of how far purges are.
const PROGRESS: &[u8] = b"purge";
const VERSION: u8 = 1;

/// How far purges are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What was forgotten by this epoch, or one before it, is in no live file.
    pub through: u64,
    /// What is left was forgotten after this time.
    pub since: Timestamp,
    /// The pass under way.
    pub running: Option<Running>,
}

/// A pass that is not over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// It covers what was forgotten by this epoch, or one before it.
    pub through: u64,
    /// When it began.
    pub began: Timestamp,
    /// How far the engine is.
    pub purge: Purge,
}

impl Progress {
    fn encode(&self) -> Vec<u8> {
        let writer = Writer::new().u8(VERSION).u64(self.through).i64(self.since.as_millis());
        let running = |w: Writer, running: &Running| {
            w.u64(running.through).i64(running.began.as_millis()).bytes(&running.purge.encode())
        };
        writer.option(self.running.as_ref(), running).finish()
    }

    fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let progress = Self {
            through: r.u64()?,
            since: Timestamp::from_millis(r.i64()?),
            running: r.option(|r| {
                let (through, began) = (r.u64()?, Timestamp::from_millis(r.i64()?));
                Ok(Running { through, began, purge: Purge::decode(r.bytes()?)? })
            })?,
        };
        r.finish()?;
        Ok(progress)
    }

    /// Since when something may be unreadable and still in live files, if anything is: `current` is the epoch in force.
    pub fn unpurged_since(&self, current: u64) -> Option<Timestamp> {
        (current > self.through).then_some(self.since)
    }

    /// Whether something is past the date that its receipt states.
    pub fn is_overdue(&self, current: u64, now: Timestamp) -> bool {
        self.unpurged_since(current).is_some_and(|since| elapsed(since, now) > days(PURGE_DAYS))
    }

    fn is_due(&self, current: u64, now: Timestamp, every: Duration) -> bool {
        // A clock that was set back must not put it off.
        self.unpurged_since(current).is_some_and(|since| now < since || elapsed(since, now) >= every)
    }
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(now.as_millis().saturating_sub(since.as_millis()).try_into().unwrap_or(0))
}

const fn days(days: i64) -> Duration {
    Duration::from_secs(days as u64 * 24 * 3600)
}

/// How far purges are; none in a store whose vault has not run since it knows of them.
pub fn progress(reads: &dyn Reads) -> Result<Option<Progress>, Fault> {
    let row = reads.row(Space::Meta, PROGRESS)?;
    row.map(|row| Progress::decode(&row).map_err(|_| Fault::Torn)).transpose()
}

/// Names the entry of the first pass that covered what was forgotten by an epoch; none if none has yet.
pub fn covering(reads: &dyn Reads, epoch: u64) -> Result<Option<ReceiptId>, Fault> {
    let rows = reads.rows(Space::Purge, &[], &epoch.to_be_bytes(), 1)?;
    rows.first().map(|(_, row)| decode_done(row).map_err(|_| Fault::Torn)).transpose()
}

fn decode_done(row: &[u8]) -> Result<ReceiptId, Malformed> {
    let mut r = Reader::new(row);
    if r.u8()? != VERSION {
        return Err(Malformed);
    }
    let id = ReceiptId::from_bytes(r.array()?);
    r.finish()?;
    Ok(id)
}

/// Starts a pass, unless one is under way or nothing was forgotten since the last.
///
/// # Durability
/// On `Ok` the pass and the call's entry survive power loss, and it finishes by itself.
///
/// # Errors
/// [`Unavailable`].
pub async fn start(vault: &Vault, call: &Call) -> Result<Progress, Refusal> {
    let recorder = call.recorder().clone();
    let made = vault.log_made();
    let work = move |txn: &mut Txn<'_>| {
        let progress = begin(txn, made, |progress, current, _| progress.unpurged_since(current).is_some())?;
        let touched = Touched { count: u32::from(progress.running.is_some()), ..Touched::default() };
        txn.record(recorder.entry(Whom::Nobody, touched, Ended::Done, (txn.now(), txn.epoch()))?);
        Ok(progress)
    };
    match vault.committer().commit(work).await {
        Ok(progress) => Ok(progress),
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

/// Begins a pass if none is under way and it is wanted: told the epoch in force and the time.
fn begin(
    txn: &mut Txn<'_>,
    made: Timestamp,
    is_wanted: impl FnOnce(&Progress, u64, Timestamp) -> bool,
) -> Result<Progress, Refusal> {
    let state = txn.row(Space::Meta, STATE)?.and_then(|row| State::decode(&row).ok()).ok_or(Unavailable::Damaged)?;
    let mut progress = match progress(txn)? {
        Some(progress) => progress,
        None => {
            // Nothing is forgotten in the first epoch; in a vault of an earlier release, at any time.
            let is_new = state.current == State::FIRST.current;
            let known = if is_new { (state.current, txn.now()) } else { (0, made) };
            Progress { through: known.0, since: known.1, running: None }
        }
    };
    if progress.running.is_none() && is_wanted(&progress, state.current, txn.now()) {
        // INVARIANT: an epoch is the current one only once the rows that it deletes are deleted.
        let (through, began) = (state.current, txn.now());
        progress.running = Some(Running { through, began, purge: Purge::new() });
    }
    txn.put(Space::Meta, PROGRESS, progress.encode());
    Ok(progress)
}

impl Vault {
    /// When the vault was made, as its log has it.
    fn log_made(&self) -> Timestamp {
        self.log.keys().all().first().map_or(Timestamp::from_millis(0), |key| key.made)
    }

    /// Takes the pass under way a step further; else begins one, if what is left is as old as `every`. How long to rest
    /// until the next step. For a plain thread.
    ///
    /// # Errors
    /// Why the step could not be made; it is made again.
    pub fn purge_further(&self, every: Duration) -> Result<Duration, Refusal> {
        let progress = match self.read(progress)? {
            Some(progress) if progress.running.is_some() || !progress.is_due(self.epoch(), self.now(), every) => {
                progress
            }
            Some(_) | None => {
                let made = self.log_made();
                let is_due = move |progress: &Progress, current, now| progress.is_due(current, now, every);
                self.committer.commit_blocking(move |txn| begin(txn, made, is_due), false)?
            }
        };
        let Some(running) = progress.running else { return Ok(PURGE_LOOK) };
        if self.room.level() != Level::Open {
            return Ok(PURGE_LOOK); // tables are written before those that they replace go
        }
        fault::point("purge_step");
        let (began, mut purge) = (Instant::now(), running.purge.clone());
        let mut is_further = true;
        while is_further && !purge.is_done() && began.elapsed() < PURGE_STEP_TIME {
            let next = self.engine.purge(&purge)?;
            is_further = next != purge;
            purge = next;
        }
        if purge == running.purge {
            return Ok(PURGE_LOOK); // somebody still reads what is to go
        }
        let took = began.elapsed();
        fault::point("purge_stepped");
        let running = Running { purge, ..running };
        let is_done = running.purge.is_done();
        self.committer.commit_blocking(move |txn| note(txn, running), false)?;
        fault::point("purge_noted");
        if is_done {
            tracing::info!(through = self.read(progress_through)?, "unreadable ciphertext has left the live files");
        }
        Ok(if is_further { took * PURGE_REST } else { PURGE_LOOK })
    }
}

fn progress_through(reads: &dyn Reads) -> Result<u64, Fault> {
    Ok(progress(reads)?.map_or(0, |progress| progress.through))
}

/// Notes how far a pass is; at its end, that it is over, with its entry in the log.
fn note(txn: &mut Txn<'_>, running: Running) -> Result<(), Refusal> {
    let known = progress(txn)?.ok_or(Unavailable::Damaged)?;
    let progress = if running.purge.is_done() {
        let id = ReceiptId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
        txn.put(Space::Purge, running.through.to_be_bytes(), Writer::new().u8(VERSION).raw(id.as_bytes()).finish());
        let event = own_event(SafeText::constant(DONE), running.through)?;
        txn.record(Event { about: About::Erasure(id), ..event });
        Progress { through: running.through, since: running.began, running: None }
    } else {
        Progress { running: Some(running), ..known }
    };
    txn.put(Space::Meta, PROGRESS, progress.encode());
    Ok(())
}

/// Starts the thread that carries passes out. They begin by themselves when what is left is as old as `every`.
pub fn look_after(vault: &Arc<Vault>, every: Duration) -> std::io::Result<Chore> {
    Chore::start("purge", vault, move |vault| {
        vault
            .purge_further(every)
            .unwrap_or_else(|refusal| chore::rest(Err(refusal), (PURGE_LOOK, PURGE_LOOK), "the purge"))
    })
}
