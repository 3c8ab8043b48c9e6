//! Entries by filter: in either direction, in steps of bounded work, each going on where the last one ended.
//!
//! A search about one subject looks its tokens up in the index; any other skips the bundles that cannot match. Both
//! work on the integrated part of the log only: who wants the end waits for a checkpoint first.

use std::ops::Range;

use super::bundle::{Bundle, Word};
use super::event::{About, Decision, Outcome, SubjectToken};
use super::leaf::{self, Leaf};
use super::sequence::{Entry, Error};
use super::stored::{Rows, StoredLog};
use super::tile::TILE_WIDTH;
use crate::base::id::{ReceiptId, RequestId};
use crate::base::limits::{SEARCH_STEP_BUNDLES, SEARCH_STEP_ENTRIES, SEARCH_STEP_INDICES};
use crate::base::time::Timestamp;

/// Selects entries: those that match every part that is given.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// About the subject with one of these tokens; none for whomever.
    pub tokens: Option<Vec<SubjectToken>>,
    /// By one of these actors, in the leaf's form: kind and bytes.
    pub actors: Vec<(u8, Vec<u8>)>,
    /// In one of these roles.
    pub roles: Vec<String>,
    /// Under one of these purposes.
    pub purposes: Vec<String>,
    /// About one of these classes.
    pub classes: Vec<String>,
    /// Of one of these operations.
    pub operations: Vec<String>,
    /// With one of these decisions.
    pub decisions: Vec<Decision>,
    /// With one of these outcomes.
    pub outcomes: Vec<Outcome>,
    /// Of this call.
    pub request: Option<RequestId>,
    /// Of the erasure with this receipt.
    pub receipt: Option<ReceiptId>,
    /// At this time or later.
    pub start: Option<Timestamp>,
    /// Before this time.
    pub end: Option<Timestamp>,
}

/// An entry that a search found.
#[derive(Debug)]
pub struct Hit {
    /// Its place in the log.
    pub index: u64,
    /// What it says.
    pub leaf: Leaf,
    /// The leaf's canonical bytes.
    pub bytes: Vec<u8>,
    /// The sealed detail.
    pub sealed: Option<Vec<u8>>,
}

impl Hit {
    /// Bytes of the leaf and the sealed detail.
    pub fn size(&self) -> usize {
        self.bytes.len() + self.sealed.as_ref().map_or(0, Vec::len)
    }
}

impl Filter {
    /// Whether an entry matches.
    pub fn matches(&self, leaf: &Leaf) -> bool {
        let is_about = |token: &SubjectToken| matches!(&leaf.about, About::Subject(own) if own == token);
        let is_by = |(kind, bytes): &(u8, Vec<u8>)| *kind == leaf.actor_kind && *bytes == leaf.actor;
        self.tokens.as_ref().is_none_or(|tokens| tokens.iter().any(is_about))
            && (self.actors.is_empty() || self.actors.iter().any(is_by))
            && is_one_of(&self.roles, &leaf.role)
            && is_one_of(&self.purposes, &leaf.purpose)
            && is_one_of(&self.classes, &leaf.class)
            && is_one_of(&self.operations, &leaf.operation)
            && is_one_of(&self.decisions, &leaf.decision)
            && is_one_of(&self.outcomes, &leaf.outcome)
            && self.request.is_none_or(|request| request == leaf.request)
            && self.receipt.is_none_or(|receipt| leaf.about == About::Erasure(receipt))
            && self.start.is_none_or(|start| leaf.time >= start)
            && self.end.is_none_or(|end| leaf.time < end)
    }

    /// Whether a bundle may hold an entry that matches. A no is certain.
    fn may_match(&self, bundle: &Bundle) -> bool {
        fn any<'w, T>(bundle: &Bundle, wanted: &'w [T], word: impl Fn(&'w T) -> Word<'w>) -> bool {
            wanted.is_empty() || wanted.iter().any(|wanted| bundle.may_hold(word(wanted)))
        }
        any(bundle, &self.actors, |(kind, bytes)| Word::Actor(*kind, bytes))
            && any(bundle, &self.roles, |text| Word::Role(text))
            && any(bundle, &self.purposes, |text| Word::Purpose(text))
            && any(bundle, &self.classes, |text| Word::Class(text))
            && any(bundle, &self.operations, |text| Word::Operation(text))
            && any(bundle, &self.decisions, |decision| Word::Decision(*decision as u8))
            && any(bundle, &self.outcomes, |outcome| Word::Outcome(*outcome as u8))
            && any(bundle, self.receipt.as_slice(), |receipt| Word::Receipt(receipt.as_bytes()))
            && self.start.is_none_or(|start| bundle.newest >= start)
            && self.end.is_none_or(|end| bundle.oldest < end)
    }
}

fn is_one_of<T: PartialEq>(wanted: &[T], own: &T) -> bool {
    wanted.is_empty() || wanted.contains(own)
}

/// A search that goes on step by step.
pub struct Search {
    filter: Filter,
    /// What is still to be considered.
    rest: Range<u64>,
    newest_first: bool,
    /// How far back the next step of a search by token looks, newest first.
    reach: u64,
    /// The last packed row that was read: of a large one, each bundle is a part.
    held: Option<(u64, Vec<Entry>)>,
}

/// A bundle to look into, and where in it.
struct Place {
    bundle: Bundle,
    within: Range<u64>,
    /// Only these; none for all.
    only: Option<Vec<u64>>,
}

impl Search {
    /// Over the entries of a range, which must be integrated.
    pub fn new(filter: Filter, range: Range<u64>, newest_first: bool) -> Self {
        Self { filter, rest: range, newest_first, reach: SEARCH_STEP_INDICES as u64, held: None }
    }

    /// What is still to be considered.
    pub fn rest(&self) -> Range<u64> {
        self.rest.clone()
    }

    /// Considers some more and returns what matches, in order, until there are so many or so many bytes of them.
    ///
    /// # Errors
    /// [`Error`]: the log is damaged or cannot be read.
    pub fn step(&mut self, log: StoredLog<'_>, hits_max: usize, bytes_max: usize) -> Result<Vec<Hit>, Error> {
        let (mut hits, mut bytes, mut looked) = (Vec::new(), 0, 0);
        if self.rest.is_empty() || hits_max == 0 {
            return Ok(hits);
        }
        let (places, covered) = match self.filter.tokens.clone() {
            Some(tokens) => self.indexed_places(log, &tokens)?,
            None => self.all_places(log)?,
        };
        for place in places {
            if !self.filter.may_match(&place.bundle) {
                continue;
            }
            let mut entries = self.read(log, &place)?;
            if self.newest_first {
                entries.reverse();
            }
            for (index, (leaf, sealed)) in entries {
                looked += 1;
                self.pass(index);
                let read = leaf::decode(&leaf).map_err(|_| Error::Damaged("an entry is not in its place"))?;
                if !self.filter.matches(&read) {
                    continue;
                }
                let hit = Hit { index, leaf: read, bytes: leaf, sealed };
                bytes += hit.size();
                hits.push(hit);
                if hits.len() == hits_max || bytes >= bytes_max {
                    return Ok(hits);
                }
            }
            if looked >= SEARCH_STEP_ENTRIES {
                return Ok(hits);
            }
        }
        match self.newest_first {
            true => self.rest.end = covered.start,
            false => self.rest.start = covered.end,
        }
        Ok(hits)
    }

    /// An entry was considered, and with it all before it in the order of the search.
    fn pass(&mut self, index: u64) {
        match self.newest_first {
            true => self.rest.end = index,
            false => self.rest.start = index + 1,
        }
    }

    /// The next bundles, and what they cover.
    fn all_places(&self, log: StoredLog<'_>) -> Result<(Vec<Place>, Range<u64>), Error> {
        let (first, last) = (self.rest.start / TILE_WIDTH, (self.rest.end - 1) / TILE_WIDTH);
        let count = SEARCH_STEP_BUNDLES as u64;
        let from = if self.newest_first { first.max((last + 1).saturating_sub(count)) } else { first };
        let count = count.min(last - from + 1);
        let bundles = log.bundles(from, count as usize)?;
        if !bundles.iter().map(|(index, _)| *index).eq(from..from + count) {
            return Err(Error::Damaged("a bundle's row is missing"));
        }
        let covered = self.within(from * TILE_WIDTH..(from + count) * TILE_WIDTH);
        let place = |(index, bundle)| Place {
            bundle,
            within: self.within(index * TILE_WIDTH..(index + 1) * TILE_WIDTH),
            only: None,
        };
        let mut places: Vec<Place> = bundles.into_iter().map(place).collect();
        if self.newest_first {
            places.reverse();
        }
        Ok((places, covered))
    }

    /// The next entries with one of the tokens, and what is covered by looking for them.
    fn indexed_places(
        &mut self,
        log: StoredLog<'_>,
        tokens: &[SubjectToken],
    ) -> Result<(Vec<Place>, Range<u64>), Error> {
        let (indices, covered) = self.indices(log, tokens)?;
        let mut places: Vec<Place> = Vec::new();
        for index in indices {
            match places.last_mut() {
                Some(Place { within, only: Some(only), .. }) if within.start / TILE_WIDTH == index / TILE_WIDTH => {
                    within.end = index + 1;
                    only.push(index);
                }
                _ => {
                    let bundle = log.bundle(index / TILE_WIDTH)?.ok_or(Error::Damaged("a bundle's row is missing"))?;
                    places.push(Place { bundle, within: index..index + 1, only: Some(vec![index]) });
                }
            }
        }
        if self.newest_first {
            places.reverse();
        }
        Ok((places, covered))
    }

    fn indices(&mut self, log: StoredLog<'_>, tokens: &[SubjectToken]) -> Result<(Vec<u64>, Range<u64>), Error> {
        loop {
            let start = match self.newest_first {
                true => self.rest.end.saturating_sub(self.reach).max(self.rest.start),
                false => self.rest.start,
            };
            let mut covered = start..self.rest.end;
            let mut indices = Vec::new();
            for token in tokens {
                let found = log.with_token(token, start, SEARCH_STEP_INDICES)?;
                if let (SEARCH_STEP_INDICES, Some(last)) = (found.len(), found.last()) {
                    covered.end = covered.end.min(last + 1);
                }
                indices.extend(found);
            }
            if self.newest_first && covered.end < self.rest.end {
                // So many that they did not all come: nearer, where they do. A reach of no more than the limit is.
                self.reach = (self.reach / 2).max(1);
                continue;
            }
            self.reach = self.reach.saturating_mul(2);
            indices.retain(|index| covered.contains(index));
            indices.sort_unstable();
            indices.dedup();
            return Ok((indices, covered));
        }
    }

    fn within(&self, range: Range<u64>) -> Range<u64> {
        range.start.max(self.rest.start)..range.end.min(self.rest.end)
    }

    /// The entries of a place, in log order.
    fn read(&mut self, log: StoredLog<'_>, place: &Place) -> Result<Vec<(u64, Entry)>, Error> {
        let within = &place.within;
        let mut entries = Vec::new();
        let mut take = |first: u64, row: &[Entry]| {
            let wanted = |index: &u64| {
                within.contains(index) && place.only.as_ref().is_none_or(|only| only.binary_search(index).is_ok())
            };
            let numbered = (first..).zip(row).filter(|(index, _)| wanted(index));
            entries.extend(numbered.map(|(index, entry)| (index, entry.clone())));
            first + row.len() as u64
        };
        let mut next = place.bundle.row;
        if let Some((first, row)) = self.held.as_ref().filter(|(first, _)| *first <= within.start)
            && within.start < first + row.len() as u64
        {
            next = take(*first, row);
        }
        let mut rows = if place.only.is_some() { Rows::briefly(log, next) } else { Rows::new(log, next) };
        while next < within.end {
            let (first, row) = rows.next().ok_or(Error::Damaged("a row is missing"))??;
            next = take(first, &row);
            self.held = Some((first, row));
        }
        Ok(entries)
    }
}

#[cfg(test)]
#[path = "tests/querying.rs"]
mod tests;
