//! The two-phase epoch as a pure state machine: what the store and the slots say, and what to do next.
//!
//! ```text
//! idle(e) --reserve--> reserved(e, n) --stage S_n in every slot, one synced batch--> prepared(e, n)
//!    ^                     | crash: discard S_n, never use n again                        | crash: roll forward
//!    +---------------------+-------- destroy S_e in every slot, one synced batch <--------+
//! ```
//! Without a crash `prepared` reserves the number after `n` as well, whose secret takes the place of `S_e`: the end of one
//! epoch is `reserved` of the next.
//!
//! A number is reserved, durably, before any slot hears of it, so it is never used twice.

use crate::base::codec::{Malformed, Reader, Writer};

/// The store's row about epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// The epoch whose root is in force.
    pub current: u64,
    /// The highest number that any slot may have heard of.
    pub reserved: u64,
    /// Set once the new pages and the sealed new roots are durable; from then on only forward.
    pub prepared: Option<Prepared>,
}

/// An epoch that must be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its number.
    pub epoch: u64,
    /// It carries out every intent up to this one.
    pub intents_through: u64,
}

impl State {
    /// The state of a new vault.
    pub const FIRST: State = State { current: 1, reserved: 1, prepared: None };

    /// The epoch every slot must hold.
    pub fn needed(&self) -> u64 {
        self.prepared.map_or(self.current, |prepared| prepared.epoch)
    }

    /// The row.
    pub fn encode(&self) -> Vec<u8> {
        Writer::new()
            .u8(1)
            .u64(self.current)
            .u64(self.reserved)
            .option(self.prepared, |w, p| w.u64(p.epoch).u64(p.intents_through))
            .finish()
    }

    /// Reads the row.
    pub fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != 1 {
            return Err(Malformed);
        }
        let (current, reserved) = (r.u64()?, r.u64()?);
        let prepared = r.option(|r| Ok(Prepared { epoch: r.u64()?, intents_through: r.u64()? }))?;
        r.finish()?;
        let state = Self { current, reserved, prepared };
        let ordered = current <= reserved && prepared.is_none_or(|p| current < p.epoch && p.epoch <= reserved);
        if ordered { Ok(state) } else { Err(Malformed) }
    }
}

/// What a slot that answered is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Holds the needed epoch.
    Current,
    /// Holds only epochs before the needed one: an old copy was put back. Refused, and nothing is destroyed.
    Stale,
    /// Holds only epochs after the needed one: the store is an old copy.
    Ahead,
    /// Does not hold the needed epoch and is damaged.
    Damaged,
}

/// Judges a slot by the epochs it holds, in ascending order.
pub fn judge(state: &State, epochs: &[u64], damaged: bool) -> Standing {
    let needed = state.needed();
    if epochs.contains(&needed) {
        return Standing::Current; // a torn or unfinished neighbour block is a crash's, and harmless
    }
    match (epochs.last(), damaged) {
        (_, true) | (None, _) => Standing::Damaged,
        (Some(last), false) if *last < needed => Standing::Stale,
        (Some(_), false) => Standing::Ahead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: State = State { current: 5, reserved: 6, prepared: None };
    const PREPARED: State =
        State { current: 5, reserved: 6, prepared: Some(Prepared { epoch: 6, intents_through: 9 }) };

    #[test]
    fn every_crash_point_has_one_answer() {
        // (where the crash was, the store, what the slot holds, torn block, standing)
        let cases = [
            ("before staging", IDLE, &[5][..], false, Standing::Current),
            ("in the middle of staging", IDLE, &[5], true, Standing::Current),
            ("after staging", IDLE, &[5, 6], false, Standing::Current),
            ("after the batch", PREPARED, &[5, 6], false, Standing::Current),
            ("in the middle of destroying", PREPARED, &[6], true, Standing::Current),
            ("after destroying", PREPARED, &[6], false, Standing::Current),
            ("slot was away while staging", PREPARED, &[5], false, Standing::Stale),
            ("old slot image", IDLE, &[3, 4], false, Standing::Stale),
            ("old store", IDLE, &[7], false, Standing::Ahead),
            ("flipped byte", IDLE, &[], true, Standing::Damaged),
            ("flipped byte beside an older secret", IDLE, &[4], true, Standing::Damaged),
            ("empty", IDLE, &[], false, Standing::Damaged),
        ];
        for (name, state, epochs, damaged, standing) in cases {
            assert_eq!(judge(&state, epochs, damaged), standing, "{name}");
        }
    }

    #[test]
    fn the_row_reads_back_and_impossible_rows_are_refused() {
        for state in [State::FIRST, IDLE, PREPARED] {
            assert_eq!(State::decode(&state.encode()), Ok(state));
        }
        let impossible = [
            State { reserved: 4, ..IDLE },
            State { prepared: Some(Prepared { epoch: 5, intents_through: 0 }), ..IDLE },
            State { prepared: Some(Prepared { epoch: 7, intents_through: 0 }), ..IDLE },
        ];
        for state in impossible {
            assert_eq!(State::decode(&state.encode()), Err(Malformed));
        }
    }
}
