//! The next events of a person, in order of time: day after day, and within a day by passing over its segments and
//! keeping the earliest that one message takes. So what is held is bounded, however much a day holds.

use crate::base::id::{ItemId, SubjectId, VaultId};
use crate::base::limits::{EVENT_DAYS_STEP, EVENTS_PER_MESSAGE_MAX, SEGMENT_SCAN_ROWS, STREAM_MESSAGE_BYTES};
use crate::base::secret::PlainValue;
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::gate::txn::{Fault, Reads};
use crate::items::record::day::{find_day, next_day, read_segment, sealed_of, segment_key, segment_prefix};
use crate::items::record::{OpenSubject, StoredItem};
use crate::keys::page::Entry;
use crate::keys::segments::{CHAIN_START, SegmentKeys, SegmentPlace, follow};
use crate::store::keyspace::Space;

/// Where an event is, in the order in which events are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub time: Timestamp,
    pub class: ClassId,
    pub segment: u32,
    pub index: u32,
}

/// Where a reading goes on: with the events of a day, and of those that follow, after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct From {
    pub day: i32,
    pub after: Option<At>,
}

/// Where days of events are.
pub(super) enum Source<'r> {
    /// With a person's account.
    Account(&'r OpenSubject),
    /// One day, which only a keep reason keeps.
    Kept {
        /// Whose it is.
        owner: SubjectId,
        /// The day's item.
        item: &'r StoredItem,
        /// Its key.
        entry: &'r Entry,
    },
}

impl Source<'_> {
    /// The first day of a class, from a day on.
    fn next_day(&self, reads: &dyn Reads, class: ClassId, from: i32) -> Result<Option<i32>, Fault> {
        match self {
            Self::Account(subject) => next_day(reads, &subject.id, class, from),
            Self::Kept { item, .. } => {
                let of_class = item.head.day.as_ref().filter(|_| item.head.class == class);
                Ok(of_class.map(|state| state.day).filter(|day| *day >= from))
            }
        }
    }

    /// Shows `each` event of a day of a class in turn.
    fn pass_over(
        &self,
        reads: &dyn Reads,
        vault: &VaultId,
        (class, day): (ClassId, i32),
        each: &mut dyn FnMut(At, ItemId, &[u8]),
    ) -> Result<(), Fault> {
        match self {
            Self::Account(subject) => {
                let Some(item) = find_day(reads, &subject.id, class, day)? else { return Ok(()) };
                let entry = item.entry(reads, vault, subject.tree())?;
                pass_over(reads, vault, &subject.id, (&item, &entry), each)
            }
            Self::Kept { owner, item, entry } if self.next_day(reads, class, day)? == Some(day) => {
                pass_over(reads, vault, owner, (item, entry), each)
            }
            Self::Kept { .. } => Ok(()),
        }
    }
}

/// What is asked for.
pub(super) struct Wanted<'q> {
    pub classes: &'q [ClassId],
    /// The first moment, and the first one after.
    pub start: Timestamp,
    pub end: Timestamp,
}

/// An event that was found.
pub(super) struct Found {
    pub at: At,
    pub item: ItemId,
    /// Its encoded value.
    pub value: PlainValue,
}

/// The next events, and where to go on; none at the end.
pub(super) struct Gathered {
    pub events: Vec<Found>,
    pub next: Option<From>,
}

/// Gathers what one message takes, or looks at as many days as one step does.
pub(super) fn gather(
    reads: &dyn Reads,
    vault: &VaultId,
    source: &Source<'_>,
    wanted: &Wanted<'_>,
    from: From,
) -> Result<Gathered, Fault> {
    let mut picked = Picked::new(Bounds::MESSAGE);
    let mut day = from.day;
    let last = Timestamp::from_millis(wanted.end.as_millis().saturating_sub(1)).day();
    for _ in 0..EVENT_DAYS_STEP {
        let mut next = None;
        for class in wanted.classes {
            next = [next, source.next_day(reads, *class, day)?].into_iter().flatten().min();
        }
        let Some(found) = next.filter(|day| *day <= last) else {
            return Ok(Gathered { events: picked.finish().0, next: None });
        };
        day = found;
        for class in wanted.classes {
            source.pass_over(reads, vault, (*class, day), &mut |at, item, value| {
                let within = wanted.start <= at.time && at.time < wanted.end && from.after < Some(at);
                if within {
                    picked.offer(at, item, value);
                }
            })?;
        }
        if picked.is_full() {
            let (events, cut) = picked.finish();
            // What was cut off begins the next message; everything before its day is in this one.
            let day = cut.map_or(day, |at| at.time.day());
            let after = events.last().map(|found| found.at).or(from.after);
            return Ok(Gathered { events, next: Some(From { day, after }) });
        }
        let Some(tomorrow) = day.checked_add(1) else { break };
        day = tomorrow;
    }
    let events = picked.finish().0;
    let after = events.last().map(|found| found.at).or(from.after);
    Ok(Gathered { events, next: Some(From { day, after }) })
}

/// Shows `each` event of a day in turn, whose row was checked to be the newest under its key. Nothing may be made of them
/// unless all went well: that no segment is missing is known at the end only.
fn pass_over(
    reads: &dyn Reads,
    vault: &VaultId,
    subject: &SubjectId,
    (item, entry): (&StoredItem, &Entry),
    each: &mut dyn FnMut(At, ItemId, &[u8]),
) -> Result<(), Fault> {
    let state = item.head.day.as_ref().ok_or(Fault::Torn)?;
    let keys = SegmentKeys::derive(&entry.key);
    let prefix = segment_prefix(subject, &item.id);
    let (mut number, mut chain, mut events) = (0, CHAIN_START, 0);
    let torn = |_| Fault::Torn;
    while number < state.segments {
        let limit = SEGMENT_SCAN_ROWS.min((state.segments - number) as usize);
        let rows = reads.rows(Space::EventSegment, &prefix, &segment_key(subject, &item.id, number), limit)?;
        if rows.is_empty() {
            return Err(Fault::Torn);
        }
        for (key, row) in rows {
            if key != segment_key(subject, &item.id, number) {
                return Err(Fault::Torn);
            }
            let sealed = sealed_of(&row).map_err(torn)?;
            chain = follow(&chain, number, sealed);
            let (class, generation) = (item.head.class.as_str(), entry.generation);
            let place = SegmentPlace { vault, subject, item: &item.id, class, number, generation };
            let plain = keys.open(place, sealed).map_err(|_| Fault::Torn)?;
            let show = |index, time, value: &[u8]| {
                each(At { time, class: item.head.class, segment: number, index }, item.id, value);
            };
            events += u64::from(read_segment(&plain, show).map_err(torn)?);
            number += 1;
        }
    }
    if chain == state.chain && events == state.events { Ok(()) } else { Err(Fault::Torn) }
}

/// How much one message takes.
#[derive(Clone, Copy)]
struct Bounds {
    bytes: usize,
    count: usize,
}

impl Bounds {
    const MESSAGE: Self = Self { bytes: STREAM_MESSAGE_BYTES, count: EVENTS_PER_MESSAGE_MAX };
}

/// The earliest of the events that were offered, as many as a message takes. Never holds more than twice as much.
struct Picked {
    bounds: Bounds,
    events: Vec<Found>,
    bytes: usize,
    /// The earliest event that did not fit: nothing from there on is taken.
    cut: Option<At>,
}

impl Picked {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, events: Vec::new(), bytes: 0, cut: None }
    }

    fn offer(&mut self, at: At, item: ItemId, value: &[u8]) {
        if self.cut.is_some_and(|cut| cut <= at) {
            return;
        }
        self.bytes += value.len();
        self.events.push(Found { at, item, value: PlainValue::new(value.to_vec()) });
        if self.bytes > 2 * self.bounds.bytes || self.events.len() > 2 * self.bounds.count {
            self.trim();
        }
    }

    fn is_full(&mut self) -> bool {
        self.trim();
        self.cut.is_some()
    }

    fn finish(mut self) -> (Vec<Found>, Option<At>) {
        self.trim();
        (self.events, self.cut)
    }

    /// Keeps the earliest that fit, and one at least.
    fn trim(&mut self) {
        self.events.sort_by_key(|found| found.at);
        let mut bytes = 0;
        let fits = |found: &&Found| {
            bytes += found.value.len();
            bytes <= self.bounds.bytes
        };
        let count = self.events.iter().take(self.bounds.count).take_while(fits).count();
        let count = count.max(1).min(self.events.len());
        if let Some(first_out) = self.events.get(count) {
            self.cut = Some(self.cut.map_or(first_out.at, |cut| cut.min(first_out.at)));
        }
        self.events.truncate(count);
        self.bytes = self.events.iter().map(|found| found.value.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::classes::CLASSES;
    use proptest::prelude::*;

    fn at(time: i64, index: u32) -> At {
        At { time: Timestamp::from_millis(time), class: CLASSES[0].id, segment: 0, index }
    }

    proptest! {
        #[test]
        fn message_by_message_every_event_comes_once_and_in_order(
            times in proptest::collection::vec((0_i64..40, 0_usize..30), 0..80),
            bytes in 1_usize..100,
            count in 1_usize..12,
        ) {
            let all: Vec<(At, usize)> =
                times.iter().enumerate().map(|(i, (time, len))| (at(*time, i as u32), *len)).collect();
            let mut expected: Vec<At> = all.iter().map(|(at, _)| *at).collect();
            expected.sort();
            let (mut shown, mut after): (Vec<At>, Option<At>) = (Vec::new(), None);
            loop {
                let mut picked = Picked::new(Bounds { bytes, count });
                for (at, len) in all.iter().filter(|(at, _)| after < Some(*at)) {
                    picked.offer(*at, ItemId::from_bytes([0; 16]), &vec![0; *len]);
                    prop_assert!(picked.events.len() <= 2 * count && picked.bytes <= 2 * bytes.max(30));
                }
                let (events, cut) = picked.finish();
                shown.extend(events.iter().map(|found| found.at));
                after = shown.last().copied();
                prop_assert!(events.len() <= count);
                if cut.is_none() {
                    break;
                }
            }
            prop_assert_eq!(shown, expected);
        }
    }
}
