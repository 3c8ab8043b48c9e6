//! TailEntries: what a filter selects, as it is written, until the caller ends it.
//!
//! A tail looks for new entries at short intervals, so that nothing of it is in the writer's way. It reads what is
//! durable, whether or not it is integrated.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::leaf;
use crate::audit::query::{Filter, Hit, Search};
use crate::audit::sequence::Error;
use crate::audit::stored::{Rows, StoredLog};
use crate::base::limits::{AUDIT_MESSAGE_BYTES, SEARCH_STEP_ENTRIES, TAIL_PERIOD, TAIL_SILENCE_MAX};
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::vault::Vault;

use super::details::{Opener, RELEASE, releases};
use super::list::show;
use super::model::{Shown, TailPart, TailQuery};
use super::open::{self, Opened};
use super::proofs::unreadable;
use super::whose::{Known, unless_cut};

/// A tail that goes on message by message.
pub struct Tail {
    vault: Arc<Vault>,
    call: Call,
    known: Option<Arc<Known>>,
    /// Travels to a thread where it may block, and back.
    work: Option<Work>,
    pace: Pace,
    next: u64,
    spoke: Instant,
    sent: u64,
}

/// How often a tail looks, and how long it is silent.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Between two looks.
    pub period: Duration,
    /// Before a sign of life.
    pub silence_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { period: TAIL_PERIOD, silence_max: TAIL_SILENCE_MAX }
    }
}

/// The part of a tail that reads the log.
struct Work {
    call: Call,
    follow: Follow,
    opener: Option<Opener>,
    only_opened: bool,
}

/// Opens a tail.
///
/// # Durability
/// The entry that records it is durable when this returns: nothing is revealed before.
///
/// # Errors
/// What is wrong with the request; a denial; [`Unavailable`].
pub async fn open(vault: Arc<Vault>, call: Call, query: TailQuery, pace: Pace) -> Result<Tail, Refusal> {
    let size = vault.committer().log_size();
    let start = query.start.unwrap_or(size);
    let prepared = if start <= size { Ok(start) } else { Err(State::IndexOutOfRange.into()) };
    let Opened { extra: next, known, filter, only_opened } =
        open::open(&vault, &call, &query.query, prepared, Ended::Started).await?;
    let known = known.map(Arc::new);
    let opener = query.query.opened.then(|| Opener::new(vault.clone(), known.clone()));
    let follow = Follow { filter, next, row: None };
    let work = Some(Work { call: call.clone(), follow, opener, only_opened });
    Ok(Tail { vault, call, known, work, pace, next, spoke: Instant::now(), sent: 0 })
}

impl Tail {
    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The next message: entries as soon as there are any, else a sign of life in time.
    ///
    /// # Errors
    /// [`State::SubjectErased`] if the query's subject is erased; [`Unavailable`], also when the vault stops.
    pub async fn next(&mut self) -> Result<TailPart, Refusal> {
        let known = self.known.clone();
        unless_cut(known.as_deref(), self.wait()).await?
    }

    /// Runs `work`, such as the sending of a message, unless the end of the query's subject cuts the tail.
    ///
    /// # Errors
    /// [`State::SubjectErased`].
    pub async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Result<T, Refusal> {
        unless_cut(self.known.as_deref(), work).await
    }

    /// Ends it, and records that it ended and how many entries it sent.
    ///
    /// # Durability
    /// The entry is durable when this returns.
    pub async fn close(self, refusal: Option<&Refusal>) -> Result<(), Refusal> {
        let Self { vault, call, known, work, sent, .. } = self;
        drop(work);
        // If the subject is being erased, the entry must not be about it any more, and its keys must go at once.
        let known = known.filter(|known| !known.reading.is_cut());
        let whom = known.as_deref().map_or(Whom::Nobody, |known| Whom::Subject(&known.keys));
        let touched = Touched { count: u32::try_from(sent).unwrap_or(u32::MAX), ..Touched::default() };
        let ended = refusal.map_or(Ended::Done, Ended::Not);
        let recorder = call.recorder().on(vault.days().await?);
        let entry = recorder.entry(whom, touched, ended, (vault.now(), vault.epoch()))?;
        drop(known);
        vault.record(vec![entry]).await
    }

    async fn wait(&mut self) -> Result<TailPart, Refusal> {
        loop {
            if self.vault.is_closing() {
                return Err(Unavailable::Stopping.into());
            }
            self.vault.check()?;
            let size = self.vault.committer().log_size();
            let entries = if self.next < size { self.step(size).await? } else { Vec::new() };
            let is_due = self.spoke.elapsed() >= self.pace.silence_max;
            if !entries.is_empty() || is_due {
                let released = releases(&self.vault, &self.call, self.known.as_deref(), &entries).await?;
                if !released.is_empty() {
                    self.vault.record(released).await?;
                }
                self.sent += entries.len() as u64;
                self.spoke = Instant::now();
                return Ok(TailPart { entries, next_index: self.next });
            }
            if self.next >= size {
                tokio::time::sleep(self.pace.period).await;
            }
        }
    }

    async fn step(&mut self, size: u64) -> Result<Vec<Shown>, Refusal> {
        let mut work = self.work.take().ok_or(Unavailable::Internal)?;
        let vault = self.vault.clone();
        let step = tokio::task::spawn_blocking(move || {
            let found = work.step(&vault, size);
            (work, found)
        });
        let (work, found) = step.await.map_err(|_| Unavailable::Internal)?;
        self.next = work.follow.next;
        self.work = Some(work);
        found
    }
}

impl Work {
    fn step(&mut self, vault: &Vault, size: u64) -> Result<Vec<Shown>, Refusal> {
        let mut hits = self.follow.step(vault.log().stored(), size).map_err(unreadable)?;
        // What a tail causes itself would feed it for ever: its own entries are not in it, and the details of a release
        // are opened by lists only.
        hits.retain(|hit| hit.leaf.request != self.call.request());
        show(hits, self.opener.as_mut(), self.only_opened, |hit| hit.leaf.operation != RELEASE)
    }
}

/// Where a tail is: by search in what is integrated, row by row in what is not.
struct Follow {
    filter: Filter,
    next: u64,
    /// The key of the packed row that holds the next entry, where it is known.
    row: Option<u64>,
}

impl Follow {
    /// Considers some more of what there is up to `size`, which is durable.
    fn step(&mut self, log: StoredLog<'_>, size: u64) -> Result<Vec<Hit>, Error> {
        let integrated = log.integrated()?.min(size);
        if self.next < integrated {
            let mut search = Search::new(self.filter.clone(), self.next..integrated, false);
            let hits = search.step(log, usize::MAX, AUDIT_MESSAGE_BYTES)?;
            (self.next, self.row) = (search.rest().start, None);
            return Ok(hits);
        }
        let row = match self.row {
            Some(row) => row,
            None => log.row_of(self.next)?,
        };
        let (mut hits, mut bytes, mut looked) = (Vec::new(), 0, 0);
        for row in Rows::briefly(log, row) {
            let (first, entries) = row?;
            if first >= size {
                break; // is there already, and may be lost with the power
            }
            let (from, end) = (self.next, first + entries.len() as u64);
            self.row = Some(first);
            for (index, (leaf, sealed)) in (first..).zip(entries).filter(|(index, _)| *index >= from) {
                self.next = index + 1;
                looked += 1;
                let read = leaf::decode(&leaf).map_err(|_| Error::Damaged("an entry is not in its place"))?;
                if self.filter.matches(&read) {
                    let hit = Hit { index, leaf: read, bytes: leaf, sealed };
                    bytes += hit.size();
                    hits.push(hit);
                }
                if bytes >= AUDIT_MESSAGE_BYTES {
                    return Ok(hits);
                }
            }
            self.row = Some(end);
            if looked >= SEARCH_STEP_ENTRIES {
                break;
            }
        }
        Ok(hits)
    }
}
