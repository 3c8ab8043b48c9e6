//! On the writer's thread: what a batch has of one day becomes segments of the day's item.

use crate::base::id::{ItemId, VaultId};
use crate::base::limits::{DAY_BYTES_MAX, DAY_SEGMENTS_MAX, ITEMS_PER_SUBJECT_MAX, SEGMENT_BYTES};
use crate::base::secret::{Key, PlainValue};
use crate::catalog::class::ClassId;
use crate::crypto::aead::OVERHEAD;
use crate::crypto::rng;
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::txn::Txn;
use crate::items::draft::Details;
use crate::items::expiry;
use crate::items::record::day::{
    DayState, EVENT_OVERHEAD, Stored, day_key, encode_segment, find_day, segment_key, segment_row,
};
use crate::items::record::{ItemHead, OpenSubject, StoredItem, encode_item, item_key};
use crate::keys::page::Entry;
use crate::keys::segments::{SegmentKeys, SegmentPlace};
use crate::store::keyspace::Space;

use super::incoming::DayBatch;

/// The item of a day, found or begun, to which segments are about to be appended.
pub(super) struct Day {
    id: ItemId,
    head: ItemHead,
    entry: Entry,
    /// The row it has; none for one that is begun now.
    stored: Option<Box<StoredItem>>,
    state: DayState,
}

/// What was appended to.
pub(super) struct Appended {
    pub item: ItemId,
    /// The key by which other records die with it.
    pub companion: Key,
}

/// Finds the item of a day or begins it, and sees that there is room. `order` counts the items that one batch begins.
///
/// # Errors
/// [`State::SubjectFull`] without room; [`Unavailable::Damaged`] if the day's row is not the newest under its key.
/// Nothing is changed then.
pub(super) fn open_day(
    txn: &mut Txn<'_>,
    vault: &VaultId,
    subject: &OpenSubject,
    (class, day): (ClassId, i32),
    (batch, order): (&DayBatch, u32),
) -> Result<Day, Refusal> {
    let segments = segments(&batch.events);
    let bytes = batch.events.iter().map(size).sum::<usize>() + segments.len() * (OVERHEAD + 5);
    let has_room = |state: &DayState| {
        let count = u64::from(state.segments) + segments.len() as u64;
        count <= u64::from(DAY_SEGMENTS_MAX) && state.bytes + bytes as u64 <= DAY_BYTES_MAX
    };
    let found = find_day(txn, &subject.id, class, day)?;
    let state = found.as_ref().and_then(|item| item.head.day.clone()).unwrap_or_else(|| DayState::empty(day));
    if !has_room(&state) {
        return Err(State::SubjectFull.into());
    }
    match found {
        Some(item) => {
            let entry = item.entry(txn, vault, subject.tree())?;
            Ok(Day { id: item.id, head: item.head.clone(), entry, stored: Some(item), state })
        }
        None => begin(txn, subject, class, &batch.details, order, state),
    }
}

fn begin(
    txn: &mut Txn<'_>,
    subject: &OpenSubject,
    class: ClassId,
    details: &Details,
    order: u32,
    state: DayState,
) -> Result<Day, Refusal> {
    let position = txn.claim_position(subject.tree())?;
    if position >= ITEMS_PER_SUBJECT_MAX {
        txn.release_position(subject.tree(), position)?;
        return Err(State::SubjectFull.into());
    }
    let id = ItemId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
    let key = rng::make_secret().map_err(|_| Unavailable::Internal)?;
    let head = details.head(ItemHead { position, counter: 0, ..ItemHead::first(class, txn.now(), order) });
    Ok(Day { id, head, entry: Entry { generation: 1, extra: 0, key }, stored: None, state })
}

/// Appends a batch's events of a day, in order of time.
///
/// # Errors
/// What makes the whole batch fail: some of it may be in the transaction already.
pub(super) fn append(
    txn: &mut Txn<'_>,
    vault: &VaultId,
    subject: &OpenSubject,
    day: Day,
    batch: &DayBatch,
) -> Result<Appended, Refusal> {
    let Day { id, mut head, mut entry, stored, mut state } = day;
    let class = head.class;
    let keys = SegmentKeys::derive(&entry.key);
    for events in segments(&batch.events) {
        let number = state.segments;
        let place = SegmentPlace {
            vault,
            subject: &subject.id,
            item: &id,
            class: class.as_str(),
            number,
            generation: entry.generation,
        };
        let sealed = keys.seal(place, &encode_segment(events)).map_err(|_| Unavailable::Internal)?;
        state = state.after(events.len(), &sealed);
        txn.put(Space::EventSegment, segment_key(&subject.id, &id, number), segment_row(&sealed));
    }
    head.counter += 1;
    head.updated = txn.now();
    entry.extra = head.counter;
    let number = state.day;
    head.day = Some(state);
    txn.set(subject.tree(), head.position, &entry)?;
    let row = match stored {
        Some(item) => item.with_head(vault, &head, &entry),
        None => {
            txn.put(Space::EventDay, day_key(&subject.id, class, number, &id), []);
            expiry::note(txn, &subject.id, &id, &head)?;
            encode_item(vault, &id, &head, &entry, &PlainValue::new(Vec::new()), batch.details.notes())?
        }
    };
    txn.put(Space::Item, item_key(&subject.id, &id), row);
    Ok(Appended { item: id, companion: keys.companion().duplicate() })
}

/// The events of each segment: as many as fill one.
fn segments(events: &[Stored]) -> Vec<&[Stored]> {
    let mut segments = Vec::new();
    let (mut first, mut bytes) = (0, 0);
    for (at, event) in events.iter().enumerate() {
        bytes += size(event);
        if bytes >= SEGMENT_BYTES {
            segments.push(&events[first..=at]);
            (first, bytes) = (at + 1, 0);
        }
    }
    if first < events.len() {
        segments.push(&events[first..]);
    }
    segments
}

fn size(event: &Stored) -> usize {
    EVENT_OVERHEAD + event.value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Timestamp;

    #[test]
    fn a_segment_ends_with_the_event_that_fills_it() {
        let event = |bytes| Stored { time: Timestamp::from_millis(0), value: PlainValue::new(vec![0; bytes]) };
        let sizes = |events: &[Stored]| segments(events).iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[event(1), event(SEGMENT_BYTES), event(1)]), [2, 1]);
        let half = SEGMENT_BYTES / 2;
        assert_eq!(sizes(&[event(half), event(half), event(half), event(half)]), [2, 2]);
        assert_eq!(sizes(&[event(half), event(half), event(1)]), [2, 1]);
    }
}
