//! Keys that live for a day: what is under them is forgotten with them, without looking for it.
//!
//! Today's keys are made by the first call of the day. Old ones are given to an epoch then, and also by the epochs'
//! thread, which looks now and then, so that an idle vault forgets too.

use std::sync::Arc;

use super::intents::{Intent, What};
use super::refusal::Refusal;
use super::service_keys::{self, Name};
use super::txn::{Fault, Reads, Txn};
use super::vault::Vault;
use crate::audit::detail::DetailKeys;
use crate::base::limits::SWEEP_ROWS_MAX;
use crate::base::secret::Key;
use crate::base::time::Timestamp;
use crate::crypto::{kdf, label};
use crate::store::keyspace::Space;

/// The keys of one UTC day.
pub struct DayKeys {
    /// The day, counted from 1970-01-01.
    pub day: i32,
    /// Names idempotency records.
    pub lookup: Key,
    /// Authenticates what is in clear in them.
    pub meta: Key,
    /// Seals page tokens.
    pub tokens: Key,
    /// Seals details of entries that concern no subject.
    pub detail: DetailKeys,
}

/// The keys in use: today's, and yesterday's as long as there are any.
pub struct Days {
    /// Today.
    pub today: DayKeys,
    /// The day before.
    pub before: Option<DayKeys>,
}

impl Days {
    /// Both days, today first.
    pub fn each(&self) -> impl Iterator<Item = &DayKeys> {
        std::iter::once(&self.today).chain(&self.before)
    }
}

impl DayKeys {
    fn new(day: i32, lookup: &Key, detail: &Key) -> Self {
        Self {
            day,
            lookup: kdf::derive_key(b"", lookup, label::IDEMPOTENCY_LOOKUP, &[]),
            meta: meta_key(lookup),
            tokens: kdf::derive_key(b"", lookup, label::PAGE_TOKEN_SEAL, &[]),
            detail: DetailKeys::derive(detail),
        }
    }
}

/// What authenticates the idempotency records of a day; none once its keys are forgotten.
pub(super) fn meta_of(reads: &dyn Reads, day: i32) -> Result<Option<Key>, Fault> {
    Ok(service_keys::find(reads, Name::Lookup(day))?.map(|lookup| meta_key(&lookup)))
}

fn meta_key(lookup: &Key) -> Key {
    kdf::derive_key(b"", lookup, label::IDEMPOTENCY_META, &[])
}

impl Vault {
    /// The day keys in use. At the first call of a day its keys are made, and lookup keys older than yesterday's are
    /// given to the next epoch to forget.
    pub async fn days(&self) -> Result<Arc<Days>, Refusal> {
        let day = self.now().day();
        if let Some(days) = self.days.load_full().filter(|days| days.today.day == day) {
            return Ok(days);
        }
        let turned = self.committer.commit(turn).await?;
        Ok(self.turned(turned))
    }

    /// The same for a plain thread.
    pub fn days_blocking(&self) -> Result<Arc<Days>, Refusal> {
        let day = self.now().day();
        if let Some(days) = self.days.load_full().filter(|days| days.today.day == day) {
            return Ok(days);
        }
        let turned = self.committer.commit_blocking(turn, false)?;
        Ok(self.turned(turned))
    }

    fn turned(&self, (days, forgetting): (Days, bool)) -> Arc<Days> {
        let days = Arc::new(days);
        self.days.store(Some(days.clone()));
        if forgetting {
            self.epochs.ask(false, self.patience.epoch_delay);
        }
        days
    }
}

/// Makes the keys of the day that it is, and lodges the forgetting of what is too old. Whether it did.
fn turn(txn: &mut Txn<'_>) -> Result<(Days, bool), Refusal> {
    let today = txn.now().day();
    let lookup = service_keys::find_or_make(txn, Name::Lookup(today))?;
    let detail = service_keys::find_or_make(txn, Name::Detail(today))?;
    let before = match service_keys::find(txn, Name::Lookup(today - 1))? {
        None => None,
        Some(lookup) => {
            let detail = service_keys::find(txn, Name::Detail(today - 1))?;
            detail.map(|detail| DayKeys::new(today - 1, &lookup, &detail))
        }
    };
    let days = Days { today: DayKeys::new(today, &lookup, &detail), before };
    Ok((days, forget_old(txn)?))
}

/// Lodges the forgetting of lookup keys older than yesterday's. Whether there were any.
pub(super) fn forget_old(txn: &mut Txn<'_>) -> Result<bool, Refusal> {
    let oldest = txn.now().day() - 1;
    forget_before(txn, oldest)
}

fn forget_before(txn: &mut Txn<'_>, oldest: i32) -> Result<bool, Refusal> {
    let mut intent = Intent::of_own(What::DayKeys)?;
    for day in service_keys::lookup_days(txn)?.into_iter().filter(|day| *day < oldest) {
        if let Some(doomed) = service_keys::doomed(txn, Name::Lookup(day))? {
            intent.targets.push(doomed.target);
            intent.rows.push(doomed.row);
        }
    }
    if intent.targets.is_empty() {
        return Ok(false);
    }
    intent.lodge(txn)?;
    Ok(true)
}

/// Deletes idempotency rows that no key opens any more, some at a time. Whether there may be more.
pub fn sweep(txn: &mut Txn<'_>) -> Result<bool, Refusal> {
    let oldest = txn.now().day() - 1;
    let rows = txn.rows(Space::Idempotency, &[], &[], SWEEP_ROWS_MAX)?;
    let is_old = |key: &[u8]| day_of(key).is_none_or(|day| day < oldest);
    let old: Vec<Vec<u8>> = rows.into_iter().map(|(key, _)| key).take_while(|key| is_old(key)).collect();
    let more = old.len() == SWEEP_ROWS_MAX;
    for key in old {
        txn.delete(Space::Idempotency, key);
    }
    Ok(more)
}

/// The start of the keys of one day's idempotency rows. Days before 1970 do not occur.
pub fn day_prefix(day: i32) -> [u8; 4] {
    (day as u32).to_be_bytes()
}

fn day_of(key: &[u8]) -> Option<i32> {
    key.first_chunk().map(|bytes| u32::from_be_bytes(*bytes) as i32)
}

/// Whether something made at `made` is still within a day of `now`.
pub fn is_within_a_day(made: Timestamp, now: Timestamp) -> bool {
    now.as_millis().saturating_sub(made.as_millis()) < 24 * 3600 * 1000
}
