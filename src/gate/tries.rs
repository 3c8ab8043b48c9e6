//! How often passwords are tried, per caller and person: a fixed number of counters, whoever tries and whatever exists.
//!
//! Callers and persons are spread over the counters by a keyed hash with a key of this process, so that nobody can aim
//! at somebody else's counter. Counters are in memory: a restart begins anew.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::base::limits::{PASSWORD_COUNTERS, PASSWORD_TRIES_AT_ONCE, PASSWORD_TRY_PERIOD};
use crate::base::secret::Key;
use crate::crypto::rng::{self, RandomFailed};
use crate::crypto::{label, mac};

/// The counters. Each holds the moment, in milliseconds, at which all its tries are there again (GCRA).
pub struct Tries {
    counters: Box<[AtomicU64]>,
    key: Key,
    began: Instant,
}

/// One caller's counter for one person.
#[derive(Clone, Copy)]
pub struct Counter(usize);

impl Tries {
    /// All are unused.
    pub fn new() -> Result<Self, RandomFailed> {
        let counters = (0..PASSWORD_COUNTERS).map(|_| AtomicU64::new(0)).collect();
        Ok(Self { counters, key: rng::make_secret()?, began: Instant::now() })
    }

    /// The counter of a caller and a person.
    pub fn counter(&self, caller: &str, person: &[u8]) -> Counter {
        let code = mac::mac(&self.key, label::PASSWORD_TRIES, &[caller.as_bytes(), person]);
        let number = u64::from_be_bytes(code[..8].try_into().unwrap_or_default());
        Counter((number % self.counters.len() as u64) as usize)
    }

    /// Takes one try.
    ///
    /// # Errors
    /// How long to wait for the next one.
    pub fn take(&self, counter: Counter) -> Result<(), Duration> {
        self.take_at(counter, self.now())
    }

    /// Gives all tries back: the password was right.
    pub fn clear(&self, counter: Counter) {
        self.counters[counter.0].store(0, Ordering::Relaxed);
    }

    /// Gives one try back: nothing was tried.
    pub fn give_back(&self, counter: Counter) {
        let back = |full: u64| Some(full.saturating_sub(PERIOD_MS));
        let _ = self.counters[counter.0].fetch_update(Ordering::Relaxed, Ordering::Relaxed, back);
    }

    fn take_at(&self, counter: Counter, now: u64) -> Result<(), Duration> {
        let burst = PERIOD_MS * u64::from(PASSWORD_TRIES_AT_ONCE);
        let next = |full: u64| Some(full.max(now) + PERIOD_MS).filter(|full| *full <= now + burst);
        let counter = &self.counters[counter.0];
        match counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(_) => Ok(()),
            Err(full) => Err(Duration::from_millis((full.max(now) + PERIOD_MS).saturating_sub(now + burst))),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

const PERIOD_MS: u64 = PASSWORD_TRY_PERIOD.as_millis() as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_run_out_and_come_back_one_by_one() {
        let tries = Tries::new().expect("a key");
        let ours = tries.counter("a", b"x");
        for _ in 0..PASSWORD_TRIES_AT_ONCE {
            assert_eq!(tries.take_at(ours, 1_000), Ok(()));
        }
        assert_eq!(tries.take_at(ours, 1_000), Err(PASSWORD_TRY_PERIOD));
        assert_eq!(tries.take_at(ours, 1_000 + PERIOD_MS - 1), Err(Duration::from_millis(1)));
        assert_eq!(tries.take_at(ours, 1_000 + PERIOD_MS), Ok(()));
        assert!(tries.take_at(ours, 1_000 + PERIOD_MS).is_err());
        tries.give_back(ours);
        assert_eq!(tries.take_at(ours, 1_000 + PERIOD_MS), Ok(()));
        tries.clear(ours);
        let all = (0..PASSWORD_TRIES_AT_ONCE).all(|_| tries.take_at(ours, 1_000 + PERIOD_MS).is_ok());
        assert!(all && tries.take_at(ours, 1_000 + PERIOD_MS).is_err());
    }

    #[test]
    fn others_have_counters_of_their_own() {
        let tries = Tries::new().expect("a key");
        let counters = [("a", &b"x"[..]), ("b", b"x"), ("a", b"y"), ("ax", b""), ("", b"ax")];
        let numbers = counters.map(|(caller, person)| tries.counter(caller, person).0);
        let distinct: std::collections::BTreeSet<_> = numbers.iter().collect();
        assert!(distinct.len() >= 4, "of 65,536 two may be one by chance, hardly more");
    }
}
