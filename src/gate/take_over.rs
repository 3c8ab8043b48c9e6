//! Taking root slots over from another installation: explicit, recorded, and only while no vault runs.
//!
//! A slot names the installation that may claim it, so that two copies of a vault never both move its epochs. When an
//! installation is gone for good, somebody has to say so. What may not live here: a take-over that nobody asked for.

use std::path::PathBuf;

use crate::audit::event::{Event, Outcome};
use crate::audit::sequence::Head;
use crate::base::id::{InstanceId, SlotId, VaultId};
use crate::base::log_safe::SafeText;
use crate::keys::epoch::{self, Standing};
use crate::keys::root;
use crate::keys::slot::SlotError;
use crate::keys::slot::file::{FileSlot, Place, SlotView};
use crate::keys::tree::Root;
use crate::store;
use crate::store::batch::Batch;
use crate::store::format::{self, Found};
use crate::store::keyspace::Space;

use super::open::{self, Known, OpenError, Parts};
use super::record::own_event;
use super::slots::{SeatError, SlotSet, Unfit};
use super::tally;

/// A take-over that was looked into and not carried out yet.
pub struct TakeOver<'a> {
    parts: &'a Parts,
    known: Known,
    slots: Vec<Seen>,
    /// As a slot in reach opens it.
    root: Option<Root>,
}

/// What was seen of one configured slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The slot.
    pub slot: SlotId,
    /// Its file.
    pub path: PathBuf,
    /// Whose it is.
    pub owner: Owner,
}

/// Whose a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// This installation's.
    Us,
    /// Another installation's: to be taken over.
    Other(InstanceId),
    /// Not in reach: left as it is.
    OutOfReach,
}

impl<'a> TakeOver<'a> {
    /// Looks at the vault and at every slot in reach. Changes nothing.
    ///
    /// # Errors
    /// A wrong outer key, a slot that a running vault holds, and everything for which a vault would not open even if
    /// the slots were its own: a slot of another vault, a stale one, one that does not open the root, an old store.
    pub fn look(parts: &'a Parts) -> Result<Self, OpenError> {
        if format::check(&*parts.engine)? == Found::New {
            return Err(store::Error::Missing.into());
        }
        let known = open::recognise(parts)?;
        let (mut slots, mut root) = (Vec::new(), None);
        for (slot, place) in &known.seats {
            let (seen, opened) = look_at(parts, &known, *slot, place)
                .map_err(|error| SeatError { name: super::slots::name(place), error })?;
            slots.push(seen);
            root = root.or(opened);
        }
        Ok(Self { parts, known, slots, root })
    }

    /// The vault.
    pub fn vault(&self) -> VaultId {
        self.known.identity.vault
    }

    /// This installation, which is to own the slots.
    pub fn instance(&self) -> InstanceId {
        self.parts.instance
    }

    /// Every slot, in the order of configuration.
    pub fn slots(&self) -> &[Seen] {
        &self.slots
    }

    /// How many slots would be taken over.
    pub fn count(&self) -> usize {
        self.slots.iter().filter(|seen| matches!(seen.owner, Owner::Other(_))).count()
    }

    /// Takes the slots over. Returns how many; with none to take, nothing is written.
    ///
    /// # Durability
    /// An entry in the log, with the outcome "started", is durable before the first slot is touched, and a second one
    /// says that all of them were. Cut short, the slots that were taken are this installation's, and doing it again
    /// takes the others.
    ///
    /// # Errors
    /// As [`TakeOver::look`]: something else may have claimed a slot since.
    pub fn carry_out(self) -> Result<usize, OpenError> {
        let count = self.count();
        if count == 0 {
            return Ok(0);
        }
        let head = self.record(self.known.head, Outcome::Started, count)?;
        let seats = self.known.seats.clone();
        let outer = self.known.outer.duplicate();
        let taken = SlotSet::new(self.vault(), self.instance(), outer, seats).take_over()?;
        self.record(head, Outcome::Done, taken)?;
        Ok(taken)
    }

    /// Commits one entry. No committer runs beside this: the store is ours alone and no vault was opened on it.
    fn record(&self, head: Head, outcome: Outcome, count: usize) -> Result<Head, OpenError> {
        let (mut batch, engine, vault) = (Batch::new(), &*self.parts.engine, self.vault());
        let end = head.append(&mut batch, self.parts.clock.now(), &[self.event(outcome, count)?]);
        if let Some(root) = &self.root
            && let Some(tally) = tally::load(engine, &vault, root, head)?
        {
            tally::put(&mut batch, &tally, &vault, (root, end))?;
        }
        engine.commit(batch)?;
        Ok(end)
    }

    fn event(&self, outcome: Outcome, count: usize) -> Result<Event, OpenError> {
        let operation = SafeText::constant("SlotTakenOver");
        let count = count as u32; // at most the slots that one configuration names
        Ok(Event { outcome, count, ..own_event(operation, self.known.state.needed())? })
    }
}

fn look_at(parts: &Parts, known: &Known, slot: SlotId, place: &Place) -> Result<(Seen, Option<Root>), Unfit> {
    let path = place.path.clone();
    // Claiming takes the slot's lock, so a slot that anybody uses is found before anything is written.
    let owner = match FileSlot::claim(place, known.identity.vault, parts.instance) {
        Ok(_) => Owner::Us,
        Err(SlotError::NotOurs { owner }) => Owner::Other(owner),
        Err(SlotError::Missing | SlotError::Io) => {
            return Ok((Seen { slot, path, owner: Owner::OutOfReach }, None));
        }
        Err(error) => return Err(error.into()),
    };
    let view = SlotView::inspect(place)?;
    let seen = view.describe()?;
    if seen.slot != slot {
        return Err(Unfit::Unknown);
    }
    match epoch::judge(&known.state, &seen.epochs, seen.damaged) {
        Standing::Current => {}
        Standing::Stale => return Err(Unfit::Stale),
        Standing::Ahead => return Err(Unfit::Ahead),
        Standing::Damaged => return Err(Unfit::Damaged),
    }
    let root = open_root(parts, known, slot, &view)?;
    Ok((Seen { slot, path, owner }, Some(root)))
}

/// Opens the vault's root through a slot: the slot, the store and the outer key belong together.
fn open_root(parts: &Parts, known: &Known, slot: SlotId, view: &SlotView) -> Result<Root, Unfit> {
    let (vault, epoch) = (known.identity.vault, known.state.needed());
    let [id, number] = root::prf_context(&vault, epoch);
    let prf = view.read(epoch, &[&id, &number])?;
    let sealed = parts.engine.get(Space::Root, &root::row_key(epoch, &slot)).ok().flatten();
    let sealed = sealed.ok_or(Unfit::DoesNotOpen)?;
    let opened = root::open(&known.outer, &prf, &vault, &slot, epoch, &sealed).map_err(|_| Unfit::DoesNotOpen)?;
    Ok(Root { epoch, key: opened.key })
}

#[cfg(test)]
mod tests;
