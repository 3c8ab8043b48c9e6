//! ListEntries: what a filter selects, up to the end of the log as it is when the call starts.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use crate::audit::query::{Hit, Search};
use crate::audit::stored::SignedCheckpoint;
use crate::base::limits::{AUDIT_MESSAGE_BYTES, SEARCH_GATHER_TIME, SEARCH_SILENCE_MAX};
use crate::gate::call::Call;
use crate::gate::record::Ended;
use crate::gate::refusal::{Fault, FaultReason, Refusal, State, Unavailable};
use crate::gate::vault::Vault;

use super::details::{Opener, releases};
use super::model::{ListPart, ListQuery, Shown};
use super::open::{self, Opened};
use super::proofs::unreadable;
use super::resume::{Resumed, make_token, open_token};
use super::whose::{Known, unless_cut};

/// A list that goes on message by message.
pub struct List {
    vault: Arc<Vault>,
    call: Call,
    query: ListQuery,
    known: Option<Arc<Known>>,
    /// Travels to a thread where it may block, and back.
    work: Option<Work>,
    sent: u64,
    ended: bool,
    checkpoint: Arc<SignedCheckpoint>,
}

/// The part of a list that reads the log.
struct Work {
    search: Search,
    opener: Option<Opener>,
    /// Entries that do not open are not shown.
    only_opened: bool,
}

/// Opens a list.
///
/// # Durability
/// The entry that records it is durable when this returns: nothing is revealed before.
///
/// # Errors
/// What is wrong with the request; a denial; [`Unavailable`].
pub async fn open(vault: Arc<Vault>, call: Call, query: ListQuery) -> Result<List, Refusal> {
    let size = vault.committer().log_size();
    let prepared = begin(&call, &query, size, vault.now());
    let Opened { extra, known, filter, only_opened } =
        open::open(&vault, &call, &query.query, prepared, Ended::Done).await?;
    let Resumed { rest, sent } = extra;
    let checkpoint = vault.log().checkpoint(rest.end.max(1)).await?;
    let known = known.map(Arc::new);
    let opener = query.query.opened.then(|| Opener::new(vault.clone(), known.clone()));
    let search = Search::new(filter, rest, query.newest_first);
    let work = Some(Work { search, opener, only_opened });
    Ok(List { vault, call, query, known, work, sent, ended: false, checkpoint })
}

/// What is to be considered, and how much of the limit is used up.
fn begin(call: &Call, query: &ListQuery, size: u64, now: crate::base::time::Timestamp) -> Result<Resumed, Refusal> {
    if let Some(resumed) = open_token(call, query, now)? {
        return Ok(resumed);
    }
    let rest: Range<u64> = query.start..query.end.unwrap_or(size);
    if query.end.is_some_and(|end| end < query.start) {
        return Err(Fault::new("end_index", FaultReason::Conflict).into());
    }
    if rest.start > size || rest.end > size {
        Err(State::IndexOutOfRange.into())
    } else {
        Ok(Resumed { rest, sent: 0 })
    }
}

impl List {
    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The next message; none after the last.
    ///
    /// # Errors
    /// [`State::SubjectErased`] if the query's subject is erased meanwhile; [`Unavailable`].
    pub async fn next(&mut self) -> Result<Option<ListPart>, Refusal> {
        if self.ended {
            return Ok(None);
        }
        let known = self.known.clone();
        unless_cut(known.as_deref(), self.gather()).await?.map(Some)
    }

    /// Runs `work`, such as the sending of a message, unless the end of the query's subject cuts the list.
    ///
    /// # Errors
    /// [`State::SubjectErased`].
    pub async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Result<T, Refusal> {
        unless_cut(self.known.as_deref(), work).await
    }

    async fn gather(&mut self) -> Result<ListPart, Refusal> {
        let began = Instant::now();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let rest = loop {
            let used = self.sent + entries.len() as u64;
            let room = self.query.limit.map_or(u64::MAX, |limit| limit.saturating_sub(used));
            let room = (usize::try_from(room).unwrap_or(usize::MAX), AUDIT_MESSAGE_BYTES - bytes);
            let mut work = self.work.take().ok_or(Unavailable::Internal)?;
            let vault = self.vault.clone();
            let step = tokio::task::spawn_blocking(move || {
                let found = work.step(&vault, room);
                (work, found)
            });
            let (work, found) = step.await.map_err(|_| Unavailable::Internal)?;
            let rest = work.search.rest();
            self.work = Some(work);
            let found = found?;
            bytes += found.iter().map(|shown| shown.hit.size()).sum::<usize>();
            entries.extend(found);
            let used = self.sent + entries.len() as u64;
            self.ended = rest.is_empty() || self.query.limit.is_some_and(|limit| used >= limit);
            let time_max = if entries.is_empty() { SEARCH_SILENCE_MAX } else { SEARCH_GATHER_TIME };
            if self.ended || bytes >= AUDIT_MESSAGE_BYTES || began.elapsed() >= time_max {
                break rest;
            }
        };
        let released = releases(&self.vault, &self.call, self.known.as_deref(), &entries).await?;
        if !released.is_empty() {
            self.vault.record(released).await?;
        }
        self.sent += entries.len() as u64;
        let resumed = Resumed { rest, sent: self.sent };
        let resume_token = make_token(&self.call, &self.query, &resumed, self.vault.now())?;
        Ok(ListPart { entries, resume_token, checkpoint: self.ended.then(|| self.checkpoint.clone()) })
    }
}

impl Work {
    fn step(&mut self, vault: &Vault, room: (usize, usize)) -> Result<Vec<Shown>, Refusal> {
        let hits = self.search.step(vault.log().stored(), room.0, room.1).map_err(unreadable)?;
        show(hits, self.opener.as_mut(), self.only_opened, |_| true)
    }
}

/// Entries with their details, where these are asked for, may be opened, and open.
pub(super) fn show(
    hits: Vec<Hit>,
    mut opener: Option<&mut Opener>,
    only_opened: bool,
    may_open: impl Fn(&Hit) -> bool,
) -> Result<Vec<Shown>, Refusal> {
    let mut shown = Vec::with_capacity(hits.len());
    for hit in hits {
        let (detail, operator) = match &mut opener {
            Some(opener) if may_open(&hit) => (opener.open(&hit)?, opener.operator(&hit.leaf)?),
            Some(_) | None => (None, None),
        };
        if detail.is_some() || !only_opened {
            let operator = operator.filter(|_| detail.is_some());
            shown.push(Shown { hit, detail, operator });
        }
    }
    Ok(shown)
}
