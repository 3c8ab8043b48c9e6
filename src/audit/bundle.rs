//! What the index says of a bundle of 256 entries: where it is, and what it may hold.
//!
//! A search that is not about one subject reads these rows and skips bundles that cannot match: by time, and by a set
//! of the words in them that may err towards yes.

use super::event::About;
use super::leaf::Leaf;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::time::Timestamp;

const VERSION: u8 = 1;
const SET_BYTES: usize = 64;

/// What one bundle may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// The key of the packed row that holds the bundle's first entry.
    pub row: u64,
    /// The earliest time in it.
    pub oldest: Timestamp,
    /// The latest time in it.
    pub newest: Timestamp,
    set: [u8; SET_BYTES],
}

/// A word of an entry that can be searched for.
#[derive(Clone, Copy, Debug)]
pub enum Word<'w> {
    /// Who acted, in the leaf's form: kind and bytes.
    Actor(u8, &'w [u8]),
    /// The role.
    Role(&'w str),
    /// The operation.
    Operation(&'w str),
    /// The purpose.
    Purpose(&'w str),
    /// The class.
    Class(&'w str),
    /// The decision, by its byte.
    Decision(u8),
    /// The outcome, by its byte.
    Outcome(u8),
    /// An erasure's receipt.
    Receipt(&'w [u8; 16]),
}

impl Bundle {
    /// A bundle that begins in this packed row, with nothing in it yet.
    pub fn starting(row: u64) -> Self {
        let (latest, earliest) = (Timestamp::from_millis(i64::MAX), Timestamp::from_millis(i64::MIN));
        Self { row, oldest: latest, newest: earliest, set: [0; SET_BYTES] }
    }

    /// Takes an entry in.
    pub fn note(&mut self, leaf: &Leaf) {
        self.oldest = self.oldest.min(leaf.time);
        self.newest = self.newest.max(leaf.time);
        let words = [
            Word::Actor(leaf.actor_kind, &leaf.actor),
            Word::Role(&leaf.role),
            Word::Operation(&leaf.operation),
            Word::Purpose(&leaf.purpose),
            Word::Class(&leaf.class),
            Word::Decision(leaf.decision as u8),
            Word::Outcome(leaf.outcome as u8),
        ];
        words.into_iter().for_each(|word| self.add(word));
        if let About::Erasure(receipt) = &leaf.about {
            self.add(Word::Receipt(receipt.as_bytes()));
        }
    }

    /// Whether an entry with this word may be in it. A no is certain.
    pub fn may_hold(&self, word: Word<'_>) -> bool {
        places(word).into_iter().all(|place| self.set[place / 8] >> (place % 8) & 1 == 1)
    }

    /// Whether a search that reads this one instead of the other finds no less.
    pub fn covers(&self, other: &Self) -> bool {
        let has_all = self.set.iter().zip(&other.set).all(|(ours, theirs)| ours & theirs == *theirs);
        has_all && self.row == other.row && self.oldest <= other.oldest && self.newest >= other.newest
    }

    /// The row's value.
    pub fn encode(&self) -> Vec<u8> {
        let writer = Writer::new().u8(VERSION).u64(self.row);
        writer.i64(self.oldest.as_millis()).i64(self.newest.as_millis()).raw(&self.set).finish()
    }

    /// Reads a row's value.
    pub fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let row = r.u64()?;
        let (oldest, newest) = (Timestamp::from_millis(r.i64()?), Timestamp::from_millis(r.i64()?));
        let bundle = Self { row, oldest, newest, set: r.array()? };
        r.finish()?;
        Ok(bundle)
    }

    fn add(&mut self, word: Word<'_>) {
        places(word).into_iter().for_each(|place| self.set[place / 8] |= 1 << (place % 8));
    }
}

/// The two bits of a word, out of FNV-1a with 64 bits over its tag and bytes. Permanent: they are in stored rows.
fn places(word: Word<'_>) -> [usize; 2] {
    let (tag, bytes): ([u8; 2], &[u8]) = match &word {
        Word::Actor(kind, bytes) => ([1, *kind], bytes),
        Word::Role(text) => ([2, 0], text.as_bytes()),
        Word::Operation(text) => ([3, 0], text.as_bytes()),
        Word::Purpose(text) => ([4, 0], text.as_bytes()),
        Word::Class(text) => ([5, 0], text.as_bytes()),
        Word::Decision(byte) => ([6, *byte], &[]),
        Word::Outcome(byte) => ([7, *byte], &[]),
        Word::Receipt(bytes) => ([8, 0], &bytes[..]),
    };
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = tag.iter().chain(bytes).fold(0xcbf2_9ce4_8422_2325, step);
    [hash as usize, (hash >> 32) as usize].map(|place| place % (SET_BYTES * 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::leaf::{self, tests::sample};

    fn leaf_at(millis: i64) -> Leaf {
        leaf::decode(&leaf::encode(&sample(), 0, Timestamp::from_millis(millis))).unwrap()
    }

    #[test]
    fn a_bundle_knows_its_words_and_times() {
        let mut bundle = Bundle::starting(7);
        assert!(!bundle.may_hold(Word::Role("billing")));
        [5, 3, 9].into_iter().for_each(|millis| bundle.note(&leaf_at(millis)));
        assert_eq!((bundle.oldest.as_millis(), bundle.newest.as_millis()), (3, 9));
        for word in [Word::Role("billing"), Word::Operation("GetItem"), Word::Class("payment"), Word::Decision(1)] {
            assert!(bundle.may_hold(word), "{word:?}");
        }
        for word in [Word::Role("payment"), Word::Operation("PutItem"), Word::Class("contact"), Word::Decision(2)] {
            assert!(!bundle.may_hold(word), "{word:?}");
        }
        assert_eq!(Bundle::decode(&bundle.encode()), Ok(bundle.clone()));
        assert_eq!(Bundle::decode(&bundle.encode()[1..]), Err(Malformed));
    }

    #[test]
    fn the_bits_of_a_word_never_change() {
        assert_eq!([places(Word::Role("auditor")), places(Word::Decision(2))], [[187, 71], [257, 7]]);
    }
}
