//! A closed loop: so many callers, each with one call under way, for some time.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use lacuna::base::time::{Clock as _, SystemClock};
use tokio::runtime::Runtime;
use tonic::transport::Channel;

use super::Error;
use super::data::{self, ITEMS, Pick, Random, Stored};
use super::servers::Server;

/// What callers do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// GetItem of the bare echo.
    Echo,
    /// GetItem of the least server.
    Least,
    /// The same without its log.
    LeastUnrecorded,
    /// BatchGetItems of the least server.
    LeastBatch,
    /// GetItem of an item, any of all.
    GetItem,
    /// The same while the server leaves reads out of its log.
    Unrecorded,
    /// BatchGetItems of [`BATCH`] items, any of all.
    BatchGetItems,
    /// PutItem for a subject, any of all.
    PutItem,
    /// EraseSubject of a subject that was created for that, receipt included.
    EraseSubject,
    /// RecordEvents with [`EVENTS`] events of [`EVENT_SUBJECTS`] subjects, any of all.
    RecordEvents,
}

/// Items in one batch.
pub const BATCH: usize = 100;

/// Events in one batch.
pub const EVENTS: usize = 1_000;
/// Subjects that they are of.
pub const EVENT_SUBJECTS: usize = 100;

/// What is called, and by how many callers at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// The call.
    pub call: Call,
    /// Callers.
    pub callers: usize,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.call {
            Call::Echo => "echo",
            Call::Least => "least",
            Call::LeastUnrecorded => "least without the log",
            Call::LeastBatch => "least, batches of 100",
            Call::GetItem => "GetItem",
            Call::Unrecorded => "GetItem without the log",
            Call::BatchGetItems => "BatchGetItems of 100",
            Call::PutItem => "PutItem",
            Call::EraseSubject => "EraseSubject",
            Call::RecordEvents => "RecordEvents of 1,000",
        };
        write!(f, "{name}, {} callers", self.callers)
    }
}

/// What one load showed.
#[derive(Clone)]
pub struct Run {
    elapsed: Duration,
    cpu: Duration,
    items_per_call: usize,
    /// Of each call that ended in time, ascending.
    times: Vec<Duration>,
}

impl Run {
    /// Calls per second.
    pub fn rate(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// Items per second.
    pub fn items_rate(&self) -> f64 {
        self.rate() * self.items_per_call as f64
    }

    /// Microseconds of the server's CPU time per call, all its threads and the kernel's work for it together.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.times.len().max(1) as f64
    }

    /// The time that so many in a hundred calls did not exceed, in milliseconds.
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let last = self.times.len().saturating_sub(1);
        self.times.get(last * percent / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }
}

/// Drives one load against a server.
pub fn drive(
    runtime: &Runtime,
    server: &Server,
    stored: &Arc<Stored>,
    load: Load,
    warm_up: Duration,
    time: Duration,
) -> Result<Run, Error> {
    let doomed = match load.call {
        Call::EraseSubject => {
            let created = Stored::create(runtime, server, doomed(load, warm_up + time), ITEMS)?;
            server.settle()?;
            Some((created, AtomicUsize::new(0)))
        }
        _ => None,
    };
    let doomed = Arc::new(doomed);
    runtime.block_on(async {
        let begin = Instant::now() + warm_up;
        let end = begin + time;
        let callers: Vec<_> = (0..load.callers)
            .map(|number| {
                let caller = Caller {
                    client: server.client(number),
                    officer: server.officer(number),
                    doomed: doomed.clone(),
                    stored: stored.clone(),
                    random: Random::seeded(number as u64),
                };
                tokio::spawn(caller.run(load.call, begin, end))
            })
            .collect();
        tokio::time::sleep_until(begin.into()).await;
        let (before, began) = (server.cpu_time()?, Instant::now());
        tokio::time::sleep_until(end.into()).await;
        let (cpu, elapsed) = (server.cpu_time()? - before, began.elapsed());
        let mut times = Vec::new();
        for caller in callers {
            times.extend(caller.await??);
        }
        times.sort_unstable();
        let items_per_call = match load.call {
            Call::BatchGetItems | Call::LeastBatch => BATCH,
            Call::RecordEvents => EVENTS,
            _ => 1,
        };
        Ok(Run { elapsed, cpu, items_per_call, times })
    })
}

/// Subjects to create for so much erasing: more than can be erased in that time.
fn doomed(load: Load, time: Duration) -> usize {
    let rate = if load.callers == 1 { 1_500.0 } else { 8_000.0 };
    (time.as_secs_f64() * rate) as usize + 100
}

/// Subjects that are there to be erased, and how many are.
type Doomed = Arc<Option<(Arc<Stored>, AtomicUsize)>>;

struct Caller {
    client: VaultClient<Channel>,
    officer: Option<PrivacyClient<Channel>>,
    doomed: Doomed,
    stored: Arc<Stored>,
    random: Random,
}

impl Caller {
    /// Calls until the end. The times of the calls that ended between begin and end.
    async fn run(mut self, call: Call, begin: Instant, end: Instant) -> Result<Vec<Duration>, Error> {
        let mut times = Vec::new();
        loop {
            let start = Instant::now();
            if start >= end {
                return Ok(times);
            }
            match call {
                Call::Echo | Call::Least | Call::GetItem | Call::Unrecorded => self.get(View::Unspecified).await?,
                Call::LeastUnrecorded => self.get(View::Exists).await?,
                Call::BatchGetItems | Call::LeastBatch => self.get_batch().await?,
                Call::PutItem => self.put().await?,
                Call::EraseSubject => self.erase().await?,
                Call::RecordEvents => self.record().await?,
            }
            let now = Instant::now();
            if (begin..end).contains(&now) {
                times.push(now - start);
            }
        }
    }

    async fn get(&mut self, view: View) -> Result<(), Error> {
        let Pick { subject, item } = self.stored.pick(&mut self.random);
        let request = GetItemRequest {
            context: data::context(),
            subject: data::subject(subject),
            item_id: item.to_owned(),
            view: view.into(),
            ..Default::default()
        };
        let item = self.client.get_item(request).await?.into_inner().item;
        item.and_then(|item| item.value).map(|_| ()).ok_or_else(|| "an answer without a value".into())
    }

    async fn get_batch(&mut self) -> Result<(), Error> {
        let entries = (0..BATCH).map(|number| {
            let Pick { subject, item } = self.stored.pick(&mut self.random);
            GetItemEntry {
                reference: number.to_string(),
                subject: data::subject(subject),
                item_id: item.to_owned(),
                ..Default::default()
            }
        });
        let request =
            BatchGetItemsRequest { context: data::context(), entries: entries.collect(), ..Default::default() };
        let mut answers = self.client.batch_get_items(request).await?.into_inner();
        let mut shown = 0;
        while let Some(answer) = answers.message().await? {
            let is_shown = |result: &&GetItemResult| matches!(result.outcome, Some(get_item_result::Outcome::Item(_)));
            shown += answer.results.iter().filter(is_shown).count();
        }
        if shown == BATCH { Ok(()) } else { Err(format!("{shown} items of {BATCH}").into()) }
    }

    async fn erase(&mut self) -> Result<(), Error> {
        let (doomed, next) = self.doomed.as_ref().as_ref().ok_or("nobody to erase")?;
        let subject = doomed.subject(next.fetch_add(1, Ordering::Relaxed)).ok_or("too few subjects to erase")?;
        let context = Some(CallContext { purpose: "legal_compliance".into(), ..Default::default() });
        let request = EraseSubjectRequest { context, subject: data::subject(subject), ..Default::default() };
        let officer = self.officer.as_mut().ok_or("not a vault")?;
        let receipt = officer.erase_subject(request).await?.into_inner().receipt;
        // Where the log lags by seconds, it comes without proofs, seconds later.
        receipt.map(drop).ok_or_else(|| "no receipt".into())
    }

    async fn put(&mut self) -> Result<(), Error> {
        let Pick { subject, .. } = self.stored.pick(&mut self.random);
        let request = PutItemRequest {
            context: data::context(),
            subject: data::subject(subject),
            item: Some(data::item(&mut self.random)),
        };
        self.client.put_item(request).await?;
        Ok(())
    }

    async fn record(&mut self) -> Result<(), Error> {
        let pick = |caller: &mut Self| caller.stored.pick(&mut caller.random).subject.to_owned();
        let subjects: Vec<String> = (0..EVENT_SUBJECTS).map(|_| pick(self)).collect();
        let now = SystemClock.now();
        let events = (0..EVENTS).map(|number| data::event(&subjects[number % EVENT_SUBJECTS], now, &mut self.random));
        let batch = RecordEventsRequest { context: data::context(), events: events.collect(), ..Default::default() };
        let mut answers = self.client.record_events(tokio_stream::once(batch)).await?.into_inner();
        let answer = answers.message().await?.ok_or("no answer")?;
        if answer.stored_count as usize == EVENTS { Ok(()) } else { Err("not every event was stored".into()) }
    }
}
