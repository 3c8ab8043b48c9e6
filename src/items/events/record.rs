//! RecordEvents: a batch of events, stored with one sync.
//!
//! All of a batch is one change: what can be stored of it is stored together, with its entries in the log and the
//! record by which the batch is known again.

use crate::audit::detail::DetailKeys;
use crate::base::limits::EVENTS_CHECK_STEP;
use crate::catalog::class::ClassId;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Recorder, Touched, Whom};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::Txn;
use crate::gate::vault::Vault;
use crate::items::draft::permit_to_write;
use crate::items::record::OpenSubject;
use crate::policy::action::Draw;

use super::append::{append, open_day};
use super::incoming::{DayBatch, Group, Incoming};
use super::model::{Batch, Recorded, Rejection};
use super::once::{Once, Owner};

/// Stores what can be stored of a batch.
///
/// # Durability
/// On `Ok` every event that is counted as stored survives power loss. On an error nothing of the batch was stored, or
/// it is not known: a batch that has a key can be sent again.
///
/// # Errors
/// What concerns the batch as a whole.
pub async fn record(vault: &Vault, call: &Call, batch: Batch) -> Result<Recorded, Refusal> {
    let recorded = match prepare(vault, call, batch).await {
        Ok(work) => vault.committer().commit(move |txn| work.store(txn)).await,
        Err(refusal) => Err(refusal),
    };
    match recorded {
        Ok(recorded) => {
            if !recorded.rejected.is_empty() {
                call.keep_time().await;
            }
            Ok(recorded)
        }
        Err(refusal) => Err(vault.refuse(call, refusal).await),
    }
}

async fn prepare(vault: &Vault, call: &Call, batch: Batch) -> Result<Work, Refusal> {
    // A stream may have begun when there was room.
    vault.room().admit(Draw::Data)?;
    let days = vault.days().await?;
    let Batch { key, digest, events } = batch;
    let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
    let mut incoming = Incoming::new(call, vault.now());
    let mut rejected = Vec::new();
    for (place, event) in (0..).zip(events) {
        if let Err(refusal) = event.and_then(|event| incoming.take(place, event)) {
            rejected.push((place, refusal));
        }
        if (place as usize + 1).is_multiple_of(EVENTS_CHECK_STEP) {
            tokio::task::yield_now().await;
        }
    }
    let mut groups = incoming.into_groups();
    groups.iter_mut().flat_map(|group| group.days.values_mut()).for_each(DayBatch::sort);
    let once = Once::of(&days, call.caller(), &key, digest);
    Ok(Work { call: call.clone(), recorder: call.recorder().on(days), once, count, groups, rejected })
}

/// A batch, ready for the writer.
struct Work {
    call: Call,
    recorder: Recorder,
    once: Option<Once>,
    count: u32,
    groups: Vec<Group>,
    rejected: Vec<(u32, Refusal)>,
}

impl Work {
    fn store(self, txn: &mut Txn<'_>) -> Result<Recorded, Refusal> {
        let Self { call, recorder, once, count, groups, rejected } = self;
        if let Some(once) = &once
            && let Some(before) = once.find(txn, recorder.vault(), count)?
        {
            record_nobody(txn, &recorder, Ended::Done, 0)?;
            return Ok(before);
        }
        let mut storing = Storing { call, recorder, rejected, nobody: 0, owners: Vec::new(), stored: 0, begun: 0 };
        storing.nobody = storing.rejected.len();
        for group in &groups {
            storing.store(txn, group)?;
        }
        storing.finish(txn, once.as_ref(), count)
    }
}

/// A batch while it is stored.
struct Storing {
    call: Call,
    recorder: Recorder,
    rejected: Vec<(u32, Refusal)>,
    /// How many of these, from the first on, are about nobody who is known.
    nobody: usize,
    owners: Vec<Owner>,
    stored: u32,
    /// How many items were opened so far: the order of those that are begun.
    begun: u32,
}

impl Storing {
    fn store(&mut self, txn: &mut Txn<'_>, group: &Group) -> Result<(), Refusal> {
        let (subject, keys) = match open(txn, &self.call, group) {
            Ok(opened) => opened,
            Err(refusal) => {
                let rejected = reject(group.days.values(), &survivable(refusal)?);
                // Kept apart from those whose refusal is recorded with the person.
                let rest = self.rejected.split_off(self.nobody);
                self.rejected.extend(rejected);
                self.nobody = self.rejected.len();
                self.rejected.extend(rest);
                return Ok(());
            }
        };
        let data = subject.data(self.call.purpose(), group.class);
        let rule = match permit_to_write(&self.call, data) {
            Ok(rule) => rule,
            Err(access) => return self.refuse(txn, &keys, group.class, group.days.values(), access.into()),
        };
        let mut touched = Touched { class: Some(group.class), rule: Some(rule), ..Touched::default() };
        for (day, batch) in &group.days {
            match open_day(txn, self.recorder.vault(), &subject, (group.class, *day), (batch, self.begun)) {
                Ok(opened) => {
                    let appended = append(txn, self.recorder.vault(), &subject, opened, batch)?;
                    self.begun += 1;
                    touched.count += u32::try_from(batch.events.len()).unwrap_or(u32::MAX);
                    touched.items.push((appended.item, 1));
                    let (item, companion) = (appended.item, appended.companion);
                    self.owners.push(Owner { subject: subject.id, item, companion });
                }
                Err(refusal) => {
                    self.refuse(txn, &keys, group.class, std::iter::once(batch), survivable(refusal)?)?;
                }
            }
        }
        self.stored += touched.count;
        if touched.count > 0 {
            let at = (txn.now(), txn.epoch());
            txn.record(self.recorder.entry(Whom::Subject(&keys), touched, Ended::Done, at)?);
        }
        Ok(())
    }

    /// Rejects events of a person who is there, and records that about the person.
    fn refuse<'b>(
        &mut self,
        txn: &mut Txn<'_>,
        keys: &DetailKeys,
        class: ClassId,
        days: impl Iterator<Item = &'b DayBatch>,
        refusal: Refusal,
    ) -> Result<(), Refusal> {
        let before = self.rejected.len();
        self.rejected.extend(reject(days, &refusal));
        let count = u32::try_from(self.rejected.len() - before).unwrap_or(u32::MAX);
        let touched = Touched { class: Some(class), count, ..Touched::default() };
        let at = (txn.now(), txn.epoch());
        txn.record(self.recorder.entry(Whom::Subject(keys), touched, Ended::Not(&refusal), at)?);
        Ok(())
    }

    fn finish(self, txn: &mut Txn<'_>, once: Option<&Once>, count: u32) -> Result<Recorded, Refusal> {
        let Self { recorder, mut rejected, nobody, owners, stored, .. } = self;
        // One entry per reason, however many events it befell.
        let mut tally: Vec<(&Refusal, u32)> = Vec::new();
        for (_, refusal) in &rejected[..nobody] {
            match tally.iter_mut().find(|(known, _)| known.reason() == refusal.reason()) {
                Some((_, count)) => *count += 1,
                None => tally.push((refusal, 1)),
            }
        }
        for (refusal, count) in tally {
            record_nobody(txn, &recorder, Ended::Not(refusal), count)?;
        }
        rejected.sort_by_key(|(place, _)| *place);
        let rejected = rejected.into_iter().map(|(place, refusal)| (place, Rejection::Now(refusal)));
        let recorded = Recorded { stored, rejected: rejected.collect() };
        // Of a batch of which nothing is stored nothing is kept, its digest included: sent again, it fails again.
        if let (Some(once), true) = (once, stored > 0) {
            once.remember(txn, recorder.vault(), (count, &recorded), &owners)?;
        }
        Ok(recorded)
    }
}

fn open(txn: &Txn<'_>, call: &Call, group: &Group) -> Result<(OpenSubject, DetailKeys), Refusal> {
    let subject = group.target.open(txn, call)?;
    let keys = subject.detail_keys(txn)?;
    Ok((subject, keys))
}

fn record_nobody(txn: &mut Txn<'_>, recorder: &Recorder, ended: Ended<'_>, count: u32) -> Result<(), Refusal> {
    let touched = Touched { count, ..Touched::default() };
    let at = (txn.now(), txn.epoch());
    txn.record(recorder.entry(Whom::Nobody, touched, ended, at)?);
    Ok(())
}

fn reject<'b>(days: impl Iterator<Item = &'b DayBatch>, refusal: &Refusal) -> Vec<(u32, Refusal)> {
    days.flat_map(|day| &day.places).map(|place| (*place, refusal.clone())).collect()
}

/// A refusal that concerns some events; one that concerns the vault ends the batch.
fn survivable(refusal: Refusal) -> Result<Refusal, Refusal> {
    match refusal {
        Refusal::Unavailable(unavailable) if unavailable != Unavailable::Damaged => Err(refusal),
        other => Ok(other),
    }
}
