//! GetItem and BatchGetItems.

use std::cell::RefCell;

use crate::audit::event::Event;
use crate::base::secret::Key;
use crate::crypto::label::Label;
use crate::gate::call::Call;
use crate::gate::index::Index;
use crate::gate::readings::Reading;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Refusal, State};
use crate::gate::txn::{Fault, Reads};
use crate::gate::vault::{Row, Vault};
use crate::keys::page::{Entry, Tree};
use crate::store::Record;
use crate::store::keyspace::Space;

use super::kept::{self, Pick, Sought};
use super::model::{ItemQuery, ItemView};
use super::record::{Target, item_key};
use super::recorded::{refusal_entry, refuse};
use super::show::{find, permit, show};

/// Reads one item. The value is returned only after the entry that records it is durable.
pub async fn get(vault: &Vault, call: &Call, query: ItemQuery) -> Result<ItemView, Refusal> {
    let seen = begin(vault, call, &query).and_then(|begun| look(vault, call, &query, begun));
    let Seen { view, event, reading } = match seen {
        Ok(seen) => seen,
        Err(refusal) => return Err(refuse(vault, call, query.subject.as_ref(), touched(&query), refusal).await),
    };
    match reading.unless_cut(vault.record(vec![event])).await {
        None => Err(reading.ended_by().into()),
        Some(Err(refusal)) => Err(refusal),
        Some(Ok(())) => Ok(view),
    }
}

/// Reads several items with a shared sync; each succeeds or fails by itself.
pub async fn get_batch(vault: &Vault, call: &Call, queries: Vec<ItemQuery>) -> Vec<Result<ItemView, Refusal>> {
    let mut outcomes = Vec::with_capacity(queries.len());
    let mut events = Vec::with_capacity(queries.len());
    for (query, begun) in queries.iter().zip(begin_all(vault, call, &queries)) {
        let seen = begun.and_then(|begun| look(vault, call, query, begun)).map(|seen| {
            events.push(seen.event);
            (seen.view, seen.reading)
        });
        if let Err(refusal) = &seen {
            match refusal_entry(vault, call, query.subject.as_ref(), touched(query), refusal) {
                Ok(event) => events.push(event),
                Err(error) => return queries.iter().map(|_| Err(error.clone())).collect(),
            }
        }
        outcomes.push(seen);
    }
    let recorded = vault.record(events).await;
    if outcomes.iter().any(Result::is_err) {
        call.keep_time().await;
    }
    let reveal = |(view, reading): (ItemView, Reading)| {
        if reading.is_cut() { Err(reading.ended_by().into()) } else { Ok(view) }
    };
    outcomes.into_iter().map(|seen| recorded.clone().and_then(|()| seen.and_then(reveal))).collect()
}

struct Seen {
    view: ItemView,
    event: Event,
    reading: Reading,
}

fn touched(query: &ItemQuery) -> Touched {
    let items = vec![(query.item, query.version)];
    Touched { count: 1, items, fields: query.fields.clone(), ..Touched::default() }
}

/// A reading that has begun.
struct Begun {
    sought: Sought,
    reading: Reading,
    ahead: Ahead,
}

fn begin(vault: &Vault, call: &Call, query: &ItemQuery) -> Result<Begun, Refusal> {
    let sought = Sought::find(vault, call, query.subject.as_ref(), pick(query))?;
    // Registered before any row that decides is read; see `gate::readings`.
    let reading = vault.readings().begin(sought.owner, Some(query.item));
    Ok(Begun { sought, reading, ahead: Ahead::default() })
}

fn pick(query: &ItemQuery) -> Pick<'_> {
    Pick { item: query.item, version: query.version, etag: &query.etag }
}

/// Begins several readings; then their rows are read in one go, which is cheaper than one by one.
fn begin_all(vault: &Vault, call: &Call, queries: &[ItemQuery]) -> Vec<Result<Begun, Refusal>> {
    let mut all: Vec<_> = queries.iter().map(|query| begin(vault, call, query)).collect();
    let keys = |begun: &Begun, query: &ItemQuery| {
        let owner = begun.sought.owner;
        (owner.as_bytes().to_vec(), item_key(&owner, &query.item))
    };
    let begun = all.iter().zip(queries).filter_map(|(begun, query)| Some(keys(begun.as_ref().ok()?, query)));
    let (subjects, items): (Vec<_>, Vec<_>) = begun.unzip();
    // Where that fails, each finds out by itself.
    if let (Ok(subjects), Ok(items)) = (vault.rows(Space::Subject, subjects), vault.rows(Space::Item, items)) {
        for (begun, (subject, item)) in all.iter_mut().flatten().zip(subjects.into_iter().zip(items)) {
            begun.ahead = Ahead { subject: RefCell::new(Some(subject)), item: RefCell::new(Some(item)) };
        }
    }
    all
}

/// Rows that were read ahead, each with its key. They serve the first look: where they do not fit the keys, because
/// something changed meanwhile, the next look reads them again.
#[derive(Default)]
struct Ahead {
    subject: RefCell<Option<Row>>,
    item: RefCell<Option<Row>>,
}

/// Reads, some rows of them ahead.
struct ReadsAhead<'a> {
    reads: &'a dyn Reads,
    ahead: &'a Ahead,
}

impl Reads for ReadsAhead<'_> {
    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let ahead = match space {
            Space::Subject => self.ahead.subject.take(),
            Space::Item => self.ahead.item.take(),
            _ => None,
        };
        match ahead {
            Some((of, value)) if of == key => Ok(value),
            _ => self.reads.row(space, key),
        }
    }

    fn rows(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, Fault> {
        self.reads.rows(space, prefix, from, limit)
    }

    fn entry(&self, tree: Tree, position: u64) -> Result<Option<Entry>, Fault> {
        self.reads.entry(tree, position)
    }

    fn index(&self) -> &Index {
        self.reads.index()
    }

    fn under_root(&self, job: Label) -> Key {
        self.reads.under_root(job)
    }
}

fn look(vault: &Vault, call: &Call, query: &ItemQuery, begun: Begun) -> Result<Seen, Refusal> {
    let Begun { sought, reading, ahead } = begun;
    let live = |target: &Target| look_at_live(vault, call, query, (target, &ahead));
    let (view, event) = sought.look(vault, call, pick(query), live, || look_at_kept(vault, call, query))?;
    Ok(Seen { view, event, reading })
}

type Shown = (ItemView, Event);

fn look_at_kept(vault: &Vault, call: &Call, query: &ItemQuery) -> Result<Shown, Refusal> {
    let (view, seen) = vault.read(|reads| {
        let seen = kept::see(reads, vault, call, pick(query), query.view)?;
        Ok((seen.show(vault, call, &query.fields)?, seen))
    })?;
    Ok((view, seen.entry_of(vault, call, &query.fields)?))
}

fn look_at_live(
    vault: &Vault,
    call: &Call,
    query: &ItemQuery,
    (target, ahead): (&Target, &Ahead),
) -> Result<Shown, Refusal> {
    let (view, rule, keys) = vault.read(|reads| {
        let reads = &ReadsAhead { reads, ahead };
        let subject = target.open(reads, call)?;
        let item = find(reads, &subject, query.item, query.version)?;
        if !query.etag.is_empty() && query.etag != item.head.etag() {
            return Err(Fault::Refused(State::NotFound.into()));
        }
        let (permit, view) = permit(call, &subject, &item, query.view)?;
        let shown = show(reads, call, &subject, &item, (&permit, view), &query.fields)?;
        Ok((shown, permit.rule().clone(), subject.detail_keys(reads)?))
    })?;
    let touched = Touched {
        class: Some(view.class),
        view: Some(view.view),
        rule: Some(rule),
        items: vec![(view.item, view.version)],
        ..touched(query)
    };
    let event = call.recorder().entry(Whom::Subject(&keys), touched, Ended::Done, (vault.now(), vault.epoch()))?;
    Ok((view, event))
}

#[cfg(test)]
#[path = "tests/ahead.rs"]
mod tests;
