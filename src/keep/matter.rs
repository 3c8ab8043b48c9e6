//! Matters: the legal grounds of holds. A matter's texts are sealed under its own key, the first of its tree.
//!
//! ```text
//! 1 | id             -> clear part, its code, commitment, sealed texts
//! 2 | !opened | id   -> nothing: newest first
//! ```

use super::{VERSION, reason_of};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{MatterId, VaultId};
use crate::base::secret::{Key, PlainValue};
use crate::base::time::Timestamp;
use crate::catalog::text::Text;
use crate::crypto::rng;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::keys::envelope::{Envelope, Kind, Part, Place};
use crate::keys::page::{Entry, Tree};
use crate::store::keyspace::Space;

/// What a matter says of itself.
pub struct Texts {
    /// Its name.
    pub name: Text,
    /// Who demands it.
    pub authority: Text,
    /// Their reference; may be empty.
    pub reference: Text,
}

/// A matter.
pub struct Matter {
    /// Its id.
    pub id: MatterId,
    /// When it was opened.
    pub opened: Timestamp,
    /// When it was closed.
    pub closed: Option<Timestamp>,
    /// When it must be looked at again.
    pub review: Timestamp,
    /// Holds in force.
    pub holds: u64,
    /// Item versions that it keeps and the account does not.
    pub kept: u64,
    position: u64,
    entry: Entry,
    commitment: [u8; 32],
    texts: Vec<u8>,
}

/// Where a list goes on: after what was opened or placed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// Which.
    pub id: [u8; 16],
}

/// The place of a matter's own key in its tree.
const OWN_POSITION: u64 = 0;
const RECORD: u8 = 1;
const ORDER: u8 = 2;

impl Matter {
    /// Opens a matter, and stores it.
    pub fn open(txn: &mut Txn<'_>, texts: &Texts, review: Timestamp) -> Result<Self, Refusal> {
        let random = |_| Unavailable::Internal;
        let id = MatterId::from_bytes(rng::make_bytes().map_err(random)?);
        let position = txn.claim_position(Tree::Reasons)?;
        let tree = Tree::Reason(reason_of(id), position);
        let own = txn.claim_position(tree)?;
        debug_assert_eq!(own, OWN_POSITION);
        let entry = Entry { generation: 1, extra: 0, key: rng::make_secret().map_err(random)? };
        let envelope = Envelope::derive(Kind::Matter, &entry.key);
        let vault = *txn.index().vault();
        let plain = PlainValue::new(
            Writer::with_capacity(1024)
                .text(texts.name.expose())
                .text(texts.authority.expose())
                .text(texts.reference.expose())
                .finish(),
        );
        let sealed = envelope.seal(place(&vault, &id), Part::Value, plain.expose()).map_err(random)?;
        let opened = txn.now();
        let mut matter = Self {
            id,
            opened,
            closed: None,
            review,
            holds: 0,
            kept: 0,
            position,
            entry,
            commitment: *envelope.commitment(),
            texts: sealed,
        };
        matter.store(txn)?;
        txn.put(Space::Matter, order_key(Mark { at: opened, id: *id.as_bytes() }), []);
        Ok(matter)
    }

    /// The tree of the keys it keeps.
    pub fn tree(&self) -> Tree {
        Tree::Reason(reason_of(self.id), self.position)
    }

    /// What changes with every change.
    pub fn etag(&self) -> String {
        format!("m{}", self.entry.extra)
    }

    /// The key from which records of calls about the matter are sealed.
    pub fn companion(&self) -> Key {
        Envelope::derive(Kind::Matter, &self.entry.key).into_companion()
    }

    /// Its texts.
    pub fn texts(&self, vault: &VaultId) -> Result<Texts, Fault> {
        let envelope = Envelope::derive(Kind::Matter, &self.entry.key);
        let opened = envelope.open(place(vault, &self.id), Part::Value, &self.commitment, &self.texts);
        let plain = opened.map_err(|_| Fault::Torn)?;
        let read = || {
            let mut r = Reader::new(plain.expose());
            let texts = Texts { name: r.text()?.into(), authority: r.text()?.into(), reference: r.text()?.into() };
            r.finish().map(|()| texts)
        };
        read().map_err(|_: Malformed| Fault::Torn)
    }

    /// Stores it as it is now, with the next count.
    pub fn store(&mut self, txn: &mut Txn<'_>) -> Result<(), Refusal> {
        self.entry.extra += 1;
        txn.set(self.tree(), OWN_POSITION, &self.entry)?;
        let clear = self.clear();
        let envelope = Envelope::derive(Kind::Matter, &self.entry.key);
        let code = envelope.authenticate(place(txn.index().vault(), &self.id), &authenticated(&clear, &self.texts));
        let row = Writer::new().bytes(&clear).raw(&code).raw(&self.commitment).bytes(&self.texts).finish();
        txn.put(Space::Matter, record_key(&self.id), row);
        Ok(())
    }

    fn clear(&self) -> Vec<u8> {
        Writer::new()
            .u8(VERSION)
            .u64(self.position)
            .u64(self.entry.extra)
            .i64(self.opened.as_millis())
            .option(self.closed, |w, time| w.i64(time.as_millis()))
            .i64(self.review.as_millis())
            .u64(self.holds)
            .u64(self.kept)
            .finish()
    }
}

/// The matter of an id, checked to be its newest row.
pub fn find(reads: &dyn Reads, id: MatterId) -> Result<Option<Matter>, Fault> {
    let Some(row) = reads.row(Space::Matter, &record_key(&id))? else { return Ok(None) };
    let torn = |_: Malformed| Fault::Torn;
    let mut r = Reader::new(&row);
    let clear = r.bytes().map_err(torn)?;
    let code: [u8; 32] = r.array().map_err(torn)?;
    let commitment = r.array().map_err(torn)?;
    let texts = r.bytes().map_err(torn)?.to_vec();
    r.finish().map_err(torn)?;
    let (position, counter) = read_place(clear).map_err(torn)?;
    let entry = reads.entry(Tree::Reason(reason_of(id), position), OWN_POSITION)?.ok_or(Fault::Torn)?;
    let is_newest = entry.extra == counter;
    let checked = Envelope::check_only(
        Kind::Matter,
        &entry.key,
        place(reads.index().vault(), &id),
        &authenticated(clear, &texts),
        &code,
    );
    if !is_newest || checked.is_err() {
        return Err(Fault::Torn);
    }
    read(id, clear, entry, commitment, texts).map(Some).map_err(torn)
}

/// Ids from a mark on, newest first.
pub fn newest_first(reads: &dyn Reads, after: Option<Mark>, limit: usize) -> Result<Vec<Mark>, Fault> {
    let from = after.map_or(vec![ORDER], |mark| [order_key(mark), vec![0]].concat());
    let rows = reads.rows(Space::Matter, &[ORDER], &from, limit)?;
    rows.iter().map(|(key, _)| read_mark(&key[1..]).ok_or(Fault::Torn)).collect()
}

/// A mark as the end of a key, newest first.
pub(super) fn write_mark(w: Writer, mark: Mark) -> Writer {
    w.u64(!(mark.at.as_millis() as u64)).raw(&mark.id)
}

pub(super) fn read_mark(bytes: &[u8]) -> Option<Mark> {
    let mut r = Reader::new(bytes);
    let (at, id) = (r.u64().ok()?, r.array().ok()?);
    r.finish().ok()?;
    Some(Mark { at: Timestamp::from_millis(!at as i64), id })
}

fn read_place(clear: &[u8]) -> Result<(u64, u64), Malformed> {
    let mut r = Reader::new(clear);
    if r.u8()? != VERSION {
        return Err(Malformed);
    }
    Ok((r.u64()?, r.u64()?))
}

fn read(id: MatterId, clear: &[u8], entry: Entry, commitment: [u8; 32], texts: Vec<u8>) -> Result<Matter, Malformed> {
    let mut r = Reader::new(clear);
    let (_, position, _) = (r.u8()?, r.u64()?, r.u64()?);
    let matter = Matter {
        id,
        opened: Timestamp::from_millis(r.i64()?),
        closed: r.option(|r| r.i64().map(Timestamp::from_millis))?,
        review: Timestamp::from_millis(r.i64()?),
        holds: r.u64()?,
        kept: r.u64()?,
        position,
        entry,
        commitment,
        texts,
    };
    r.finish()?;
    Ok(matter)
}

fn authenticated(clear: &[u8], texts: &[u8]) -> Vec<u8> {
    Writer::new().bytes(clear).bytes(texts).finish()
}

fn place<'a>(vault: &'a VaultId, id: &'a MatterId) -> Place<'a> {
    Place { vault, owner: id.as_bytes(), class: "", version: 1, generation: 1 }
}

fn record_key(id: &MatterId) -> Vec<u8> {
    Writer::new().u8(RECORD).raw(id.as_bytes()).finish()
}

fn order_key(mark: Mark) -> Vec<u8> {
    write_mark(Writer::new().u8(ORDER), mark).finish()
}
