//! A day of events: one item of a subject and class, to which each batch appends a segment.
//!
//! Rows: `subject | class | day | item` says which item holds a day; `subject | item | number` is a segment. What the
//! day has come to - how many segments and the running hash over them - is in the clear part of the item's row, under
//! its code and its counter: so no segment can be left out, put in another's place or taken from an earlier writing.
//!
//! A segment: version, then sealed: version, how many events, each with its time and its encoded value.

use super::VERSION;
use super::item::{ItemRow, StoredItem, decode_item, item_key};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, SubjectId};
use crate::base::secret::PlainValue;
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::crypto::hash::Digest;
use crate::gate::txn::{Fault, Reads};
use crate::keys::segments::{CHAIN_START, follow};
use crate::store::keyspace::Space;

/// What a day of events has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayState {
    /// The UTC day, counted from 1970-01-01.
    pub day: i32,
    /// How many events it holds.
    pub events: u64,
    /// How many segments.
    pub segments: u32,
    /// Bytes of its segments, sealed.
    pub bytes: u64,
    /// The running hash over them.
    pub chain: Digest,
}

impl DayState {
    /// A day without events.
    pub fn empty(day: i32) -> Self {
        Self { day, events: 0, segments: 0, bytes: 0, chain: CHAIN_START }
    }

    /// The same after one more segment.
    pub fn after(&self, events: usize, sealed: &[u8]) -> Self {
        Self {
            day: self.day,
            events: self.events + events as u64,
            segments: self.segments + 1,
            bytes: self.bytes + sealed.len() as u64,
            chain: follow(&self.chain, self.segments, sealed),
        }
    }

    pub(super) fn write(&self, writer: Writer) -> Writer {
        writer.u32(self.day as u32).u64(self.events).u32(self.segments).u64(self.bytes).raw(&self.chain)
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { day: r.u32()? as i32, events: r.u64()?, segments: r.u32()?, bytes: r.u64()?, chain: r.array()? })
    }
}

/// When a UTC day begins.
pub fn start_of(day: i32) -> Timestamp {
    Timestamp::from_millis(i64::from(day) * 86_400_000)
}

/// One event in a segment.
pub struct Stored {
    /// When it took place.
    pub time: Timestamp,
    /// Its encoded value.
    pub value: PlainValue,
}

/// Encodes the events of a segment, to be sealed.
pub fn encode_segment(events: &[Stored]) -> PlainValue {
    let bytes: usize = events.iter().map(|event| EVENT_OVERHEAD + event.value.len()).sum();
    let writer = Writer::with_capacity(bytes + 8).u8(VERSION);
    let write = |w: Writer, event: &Stored| w.i64(event.time.as_millis()).bytes(event.value.expose());
    PlainValue::new(writer.list(events.iter(), write).finish())
}

/// Bytes of an event in a segment, beside its value.
pub const EVENT_OVERHEAD: usize = 12;

/// Shows `each` event of an opened segment in turn: its number, its time, its encoded value. How many there are.
pub fn read_segment(plain: &PlainValue, mut each: impl FnMut(u32, Timestamp, &[u8])) -> Result<u32, Malformed> {
    let mut r = Reader::new(plain.expose());
    if r.u8()? != VERSION {
        return Err(Malformed);
    }
    let count = r.u32()?;
    for number in 0..count {
        let time = Timestamp::from_millis(r.i64()?);
        each(number, time, r.bytes()?);
    }
    r.finish()?;
    Ok(count)
}

/// The row of a segment, with what was sealed.
pub fn segment_row(sealed: &[u8]) -> Vec<u8> {
    Writer::with_capacity(sealed.len() + 1).u8(VERSION).raw(sealed).finish()
}

/// What was sealed, from the row of a segment.
pub fn sealed_of(row: &[u8]) -> Result<&[u8], Malformed> {
    match row.split_first() {
        Some((&VERSION, sealed)) => Ok(sealed),
        Some(_) | None => Err(Malformed),
    }
}

/// The start of the keys of an item's segments.
pub fn segment_prefix(subject: &SubjectId, item: &ItemId) -> Vec<u8> {
    item_key(subject, item)
}

/// The key of a segment's row.
pub fn segment_key(subject: &SubjectId, item: &ItemId, number: u32) -> Vec<u8> {
    [&segment_prefix(subject, item)[..], &number.to_be_bytes()].concat()
}

/// The key of the row that says which item holds a day.
pub fn day_key(subject: &SubjectId, class: ClassId, day: i32, item: &ItemId) -> Vec<u8> {
    day_writer(subject, class).u32(sortable(day)).raw(item.as_bytes()).finish()
}

/// Finds the item that holds a day of a class: its live one, if there is one.
pub fn find_day(
    reads: &dyn Reads,
    subject: &SubjectId,
    class: ClassId,
    day: i32,
) -> Result<Option<Box<StoredItem>>, Fault> {
    let prefix = day_writer(subject, class).u32(sortable(day)).finish();
    for (key, _) in reads.rows(Space::EventDay, &prefix, &[], usize::MAX)? {
        let id = key[prefix.len()..].try_into().map(ItemId::from_bytes).map_err(|_| Fault::Torn)?;
        // One that was deleted stays here until its epoch is done.
        if let Some(row) = reads.row(Space::Item, &item_key(subject, &id))?
            && let ItemRow::Live(item) = decode_item(id, &row)?
        {
            let is_it = item.head.class == class && item.head.day.as_ref().is_some_and(|state| state.day == day);
            return if is_it { Ok(Some(item)) } else { Err(Fault::Torn) };
        }
    }
    Ok(None)
}

/// The first day of a class, from a day on, that some item holds or held.
pub fn next_day(reads: &dyn Reads, subject: &SubjectId, class: ClassId, from: i32) -> Result<Option<i32>, Fault> {
    let prefix = day_writer(subject, class).finish();
    let from = [&prefix[..], &sortable(from).to_be_bytes()].concat();
    let rows = reads.rows(Space::EventDay, &prefix, &from, 1)?;
    let Some((key, _)) = rows.first() else { return Ok(None) };
    let day = key[prefix.len()..].first_chunk().ok_or(Fault::Torn)?;
    Ok(Some(unsortable(u32::from_be_bytes(*day))))
}

fn day_writer(subject: &SubjectId, class: ClassId) -> Writer {
    Writer::new().raw(subject.as_bytes()).text(class.as_str())
}

/// A day as a number that sorts as days do, those before 1970 included.
fn sortable(day: i32) -> u32 {
    (day as u32) ^ (1 << 31)
}

fn unsortable(number: u32) -> i32 {
    (number ^ (1 << 31)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(millis: i64, value: &[u8]) -> Stored {
        Stored { time: Timestamp::from_millis(millis), value: PlainValue::new(value.to_vec()) }
    }

    #[test]
    fn a_segment_reads_back_event_by_event_and_never_grows_its_buffer() {
        let events = [stored(-5, b"first"), stored(7, b""), stored(7, b"third")];
        let plain = encode_segment(&events);
        assert_eq!(plain.len(), 5 + 3 * EVENT_OVERHEAD + 10);
        let mut seen = Vec::new();
        let each = |number, time: Timestamp, value: &[u8]| seen.push((number, time.as_millis(), value.to_vec()));
        assert_eq!(read_segment(&plain, each), Ok(3));
        assert_eq!(seen, [(0, -5, b"first".to_vec()), (1, 7, vec![]), (2, 7, b"third".to_vec())]);
        let cut = PlainValue::new(plain.expose()[..plain.len() - 1].to_vec());
        assert_eq!(read_segment(&cut, |_, _, _| ()), Err(Malformed));
    }

    #[test]
    fn days_sort_as_they_follow_one_another() {
        let days = [i32::MIN, -1, 0, 1, 20_000, i32::MAX];
        assert!(days.windows(2).all(|pair| sortable(pair[0]) < sortable(pair[1])));
        assert!(days.iter().all(|day| unsortable(sortable(*day)) == *day));
        assert_eq!(start_of(-1).day(), -1);
        assert_eq!(Timestamp::from_millis(start_of(1).as_millis() - 1).day(), 0);
    }

    #[test]
    fn each_segment_counts_in_what_a_day_has_come_to() {
        let one = DayState::empty(3).after(2, b"one");
        assert_eq!((one.events, one.segments, one.bytes), (2, 1, 3));
        let two = one.after(1, b"two");
        assert_ne!(two.chain, DayState::empty(3).after(1, b"two").after(2, b"one").chain, "the order counts");
        let bytes = two.write(Writer::new()).finish();
        assert_eq!(DayState::read(&mut Reader::new(&bytes)), Ok(two));
    }
}
