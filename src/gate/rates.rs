//! How many different things a caller may ask about in a minute: exact, and in bounded memory.
//!
//! What was asked about is kept as a code under a key that lives as long as the process. Asking about the same thing
//! again is free, so that a retry is.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::refusal::{Refusal, Unavailable};
use crate::base::limits::RATES_REMEMBERED_MAX;
use crate::base::secret::Key;
use crate::crypto::label::Label;
use crate::crypto::{mac, rng};

/// The time over which it is counted: any minute, not those of the clock.
const WINDOW: Duration = Duration::from_secs(60);

/// A limit on different things per caller and minute.
pub struct Rates {
    key: Key,
    label: Label,
    of_each_max: usize,
    in_all_max: usize,
    asked: Mutex<Asked>,
}

type Code = [u8; 16];

#[derive(Default)]
struct Asked {
    /// Per caller: what it asked about, and when it last did.
    by_caller: HashMap<String, HashMap<Code, Instant>>,
    count: usize,
    /// Until when nothing is forgotten, so that looking for it is of no use.
    all_fresh_until: Option<Instant>,
}

impl Rates {
    /// A limit of its own, under a key of its own.
    pub fn new(label: Label, of_each_max: usize) -> Result<Self, Unavailable> {
        let key = rng::make_secret().map_err(|_| Unavailable::Internal)?;
        Ok(Self { key, label, of_each_max, in_all_max: RATES_REMEMBERED_MAX, asked: Mutex::default() })
    }

    /// Counts one more thing that a caller asks about, unless it did within the minute.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`]: the caller, or all callers together, asked about too many; when to try again.
    pub fn count(&self, caller: &str, what: &[&[u8]], now: Instant) -> Result<(), Refusal> {
        let code = mac::mac(&self.key, self.label, what);
        let code: Code = std::array::from_fn(|i| code[i]);
        let mut asked = self.asked.lock();
        if let Some(last) = asked.by_caller.get_mut(caller).and_then(|own| own.get_mut(&code)) {
            *last = now;
            return Ok(());
        }
        if asked.count >= self.in_all_max {
            asked.forget_all_old(now)?;
        }
        asked.forget_old(caller, self.of_each_max, now)?;
        asked.by_caller.entry(caller.to_owned()).or_default().insert(code, now);
        asked.count += 1;
        Ok(())
    }
}

impl Asked {
    /// Makes room for one more of the caller's.
    fn forget_old(&mut self, caller: &str, max: usize, now: Instant) -> Result<(), Refusal> {
        let Some(own) = self.by_caller.get_mut(caller).filter(|own| own.len() >= max) else { return Ok(()) };
        let before = own.len();
        own.retain(|_, last| *last + WINDOW > now);
        self.count -= before - own.len();
        match own.values().min() {
            Some(oldest) if own.len() >= max => Err(limited(*oldest + WINDOW, now)),
            _ => Ok(()),
        }
    }

    /// Makes room for one more of anybody's.
    fn forget_all_old(&mut self, now: Instant) -> Result<(), Refusal> {
        if let Some(until) = self.all_fresh_until.filter(|until| *until > now) {
            return Err(limited(until, now));
        }
        let before = self.count;
        self.by_caller.retain(|_, own| {
            own.retain(|_, last| *last + WINDOW > now);
            !own.is_empty()
        });
        self.count = self.by_caller.values().map(HashMap::len).sum();
        if self.count < before {
            return Ok(());
        }
        let oldest = self.by_caller.values().flat_map(HashMap::values).min();
        self.all_fresh_until = oldest.map(|oldest| *oldest + WINDOW);
        Err(limited(self.all_fresh_until.unwrap_or(now), now))
    }
}

fn limited(until: Instant, now: Instant) -> Refusal {
    Refusal::RateLimited { retry_after: until.saturating_duration_since(now) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::label;

    fn rates(of_each_max: usize, in_all_max: usize) -> Rates {
        Rates { in_all_max, ..Rates::new(label::FIND_RATE, of_each_max).expect("randomness") }
    }

    fn wait(outcome: Result<(), Refusal>) -> Option<u64> {
        match outcome {
            Ok(()) => None,
            Err(Refusal::RateLimited { retry_after }) => Some(retry_after.as_secs()),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn so_many_different_things_in_any_minute_and_a_repeat_is_free() {
        let (rates, start) = (rates(3, 100), Instant::now());
        let ask = |caller, what: &str, after: u64| {
            wait(rates.count(caller, &[what.as_bytes()], start + Duration::from_secs(after)))
        };
        for (what, after) in [("a", 0), ("b", 10), ("c", 20), ("a", 30), ("c", 30)] {
            assert_eq!(ask("one", what, after), None);
        }
        assert_eq!(ask("one", "d", 40), Some(30), "b was asked about last at 10");
        assert_eq!(ask("two", "d", 40), None, "another caller");
        assert_eq!(ask("one", "d", 69), Some(1));
        assert_eq!(ask("one", "d", 70), None);
        assert_eq!(ask("one", "e", 70), Some(20), "a and c count from 30");
    }

    #[test]
    fn what_is_remembered_of_all_callers_is_bounded_and_never_wrong() {
        let (rates, start) = (rates(100, 5), Instant::now());
        let ask = |caller: usize, what: usize, after: u64| {
            let caller = caller.to_string();
            wait(rates.count(&caller, &[&what.to_be_bytes()], start + Duration::from_secs(after)))
        };
        assert!((0..5).all(|n| ask(n, n, n as u64).is_none()));
        assert_eq!(ask(9, 9, 10), Some(50));
        assert_eq!(ask(9, 9, 11), Some(49), "without looking again");
        assert_eq!(ask(3, 3, 12), None, "a repeat needs no room");
        assert_eq!(ask(9, 9, 60), None);
        assert!(rates.asked.lock().count <= 5);
    }

    #[test]
    fn exactly_the_limit_passes_whatever_the_order() {
        let (rates, start) = (rates(50, 1000), Instant::now());
        let mut last = HashMap::new();
        for step in 0..5_000_u64 {
            let (now, what) = (start + Duration::from_millis(step * 100), (step * step * 31 + step / 7) % 70);
            let others = last.iter().filter(|(other, at)| **other != what && **at + WINDOW > now).count();
            let fits = others < 50 || last.get(&what).is_some_and(|at| *at + WINDOW > now);
            assert_eq!(rates.count("one", &[&what.to_be_bytes()], now).is_ok(), fits, "step {step}");
            if fits {
                last.insert(what, now);
            }
        }
    }
}
