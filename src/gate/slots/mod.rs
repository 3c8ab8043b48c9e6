//! The vault's root slots together: which are in reach, and what is done to all of them.

mod seat;

use std::sync::Arc;

use parking_lot::Mutex;

pub(super) use seat::name;
pub use seat::{SeatError, SlotSeat, SlotState, SlotView, Unfit};

use super::former::{self, FormerSlot};
use super::receipts::SlotProof;
use crate::base::fault;
use crate::base::id::{InstanceId, SlotId, VaultId};
use crate::base::secret::Key;
use crate::base::time::Clock;
use crate::crypto::rng::RandomFailed;
use crate::keys::epoch::State;
use crate::keys::root::{self, Opened};
use crate::keys::slot::file::{Answered, FileSlot, Place};
use crate::keys::slot::grade::Grade;
use crate::keys::slot::{Description, RootSlot, SlotError};
use crate::keys::tree::Root;
use crate::store::keyspace::Space;
use crate::store::{self, Engine, Record};

/// A slot that was just made.
pub struct Made {
    /// R_e sealed for it, as a row.
    pub record: Record,
    /// The slot.
    pub seat: SlotSeat,
}

/// A keyed function of each slot's secret of an epoch: what seals the root of that epoch.
pub struct Staged {
    epoch: u64,
    secrets: Vec<(SlotId, Key)>,
}

impl Staged {
    /// Whether it seals the root of this epoch.
    pub fn is_of(&self, epoch: u64) -> bool {
        self.epoch == epoch
    }

    fn of(&self, slot: SlotId) -> Option<&Key> {
        self.secrets.iter().find(|(of, _)| *of == slot).map(|(_, prf)| prf)
    }
}

/// Every slot of the vault.
pub struct SlotSet {
    vault: VaultId,
    owner: InstanceId,
    outer: Key,
    seats: Mutex<Vec<SlotSeat>>,
    /// As the store has them.
    former: Mutex<Vec<FormerSlot>>,
    /// Where further slots may be made.
    spare: Mutex<Spare>,
}

#[derive(Default)]
struct Spare {
    places: Vec<Place>,
    accepts_e0: bool,
}

impl SlotSet {
    /// Seals the seed of a signing key under the outer key.
    pub fn seal_signing(&self, name: &str, seed: &Key) -> Result<Vec<u8>, RandomFailed> {
        root::seal_signing(&self.outer, &self.vault, name, seed)
    }

    /// Over slots that are not claimed yet.
    pub fn new(vault: VaultId, owner: InstanceId, outer: Key, places: Vec<(SlotId, Place)>) -> Self {
        let seats = places.into_iter().map(|(slot, place)| SlotSeat::new(slot, place)).collect();
        Self { vault, owner, outer, seats: Mutex::new(seats), former: Mutex::default(), spare: Mutex::default() }
    }

    /// Where further slots may be made, and whether of any grade.
    pub fn set_spare(&self, places: Vec<Place>, accepts_e0: bool) {
        *self.spare.lock() = Spare { places, accepts_e0 };
    }

    /// The place of that name for a slot that replaces `slot`: a spare one, or its own if nothing is there.
    pub fn spare(&self, named: &str, slot: SlotId) -> Option<Place> {
        let spare = self.spare.lock().places.iter().find(|place| name(place) == named).cloned();
        let own = || self.seat_of(slot).map(|(place, _)| place).filter(|place| name(place) == named);
        spare.or_else(|| own().filter(|place| !place.path.exists()))
    }

    /// Whether the file at a place is this slot of this vault's.
    pub fn is_at(&self, place: &Place, slot: SlotId) -> bool {
        let seen = FileSlot::claim(place, self.vault, self.owner).and_then(|claimed| claimed.describe());
        seen.is_ok_and(|seen| seen.slot == slot)
    }

    /// Makes a slot with a secret for the epoch in force, and what R_e is for it.
    ///
    /// # Errors
    /// The grade is too low, or a file is there.
    pub fn make(&self, place: &Place, id: SlotId, root: &Root) -> Result<Made, SeatError> {
        let mut seat = SlotSeat::new(id, place.clone());
        let slot =
            FileSlot::create(place, self.vault, id, self.owner, root.epoch).map_err(|error| seat.error(error))?;
        let seen = slot.describe().map_err(|error| seat.error(error))?;
        (seat.last.grade, seat.last.grade_reason) = (seen.grade, seen.grade_reason);
        if seen.grade == Grade::E0 && !self.spare.lock().accepts_e0 {
            return Err(seat.error(Unfit::LowGrade));
        }
        let prf = self.prf(&slot, root.epoch).map_err(|error| seat.error(error))?;
        let row = root::seal(&self.outer, &prf, &self.vault, &id, root.epoch, &root.key)
            .map_err(|_| seat.error(SlotError::Io))?;
        seat.claimed = Some(slot);
        (seat.last.epoch, seat.last.state) = (root.epoch, SlotState::Current);
        Ok(Made { record: (root::row_key(root.epoch, &id), row), seat })
    }

    /// Puts a slot that was made in the place of one that left.
    pub fn replace_seat(&self, old: SlotId, made: SlotSeat) {
        self.spare.lock().places.retain(|place| place.path != made.place.path);
        let mut seats = self.seats.lock();
        if let Some(seat) = seats.iter_mut().find(|seat| seat.slot == old) {
            *seat = made;
        }
    }

    /// The slots that are no longer the vault's.
    pub fn former(&self) -> Vec<FormerSlot> {
        self.former.lock().clone()
    }

    /// Takes over what the store says about former slots.
    pub fn reload_former(&self, engine: &dyn Engine) -> Result<(), store::Error> {
        *self.former.lock() = former::load(engine)?;
        Ok(())
    }

    /// Whether some slot besides this one is in reach.
    pub fn has_another(&self, than: SlotId) -> bool {
        self.seats.lock().iter().any(|seat| seat.slot != than && seat.claimed.is_some())
    }

    /// Where one of the vault's slots is, and its grade.
    pub fn seat_of(&self, slot: SlotId) -> Option<(Place, Grade)> {
        let seats = self.seats.lock();
        seats.iter().find(|seat| seat.slot == slot).map(|seat| (seat.place.clone(), seat.last.grade))
    }

    /// Lets go of a slot that is no longer the vault's.
    pub fn drop_seat(&self, slot: SlotId) {
        self.seats.lock().retain(|seat| seat.slot != slot);
    }

    /// Destroys everything that a former slot holds, if it is in reach and is that slot. Whether it did.
    pub fn destroy_former(&self, former: &FormerSlot) -> bool {
        let place = Place { path: former.path.clone(), apart_from: Vec::new() };
        let destroy = || {
            let mut slot = FileSlot::claim(&place, self.vault, self.owner)?;
            if slot.describe()?.slot != former.slot {
                return Err(SlotError::Missing); // another slot has its place
            }
            slot.destroy_all()
        };
        destroy().is_ok()
    }

    /// Takes a slot over that another instance owns.
    pub fn take_over(&self) -> Result<usize, SeatError> {
        let mut taken = 0;
        for seat in self.seats.lock().iter_mut() {
            match FileSlot::claim(&seat.place, self.vault, self.owner) {
                Err(SlotError::NotOurs { .. }) => {
                    FileSlot::take_over(&seat.place, self.vault, self.owner).map_err(|error| seat.error(error))?;
                    taken += 1;
                }
                Err(SlotError::Missing | SlotError::Io) | Ok(_) => {}
                Err(error) => return Err(seat.error(error)),
            }
        }
        Ok(taken)
    }

    /// Claims what is in reach and not claimed yet. A missing slot is no error; one that is there and unfit is.
    pub fn claim(&self, state: &State) -> Result<(), SeatError> {
        for seat in self.seats.lock().iter_mut() {
            seat.claim(self.vault, self.owner, state)?;
        }
        Ok(())
    }

    /// Looks at every slot again; a slot that no longer answers, or answers wrongly, is let go of.
    pub fn check(&self, state: &State) {
        self.in_turn(|seat| seat.check(state, |slot| Ok((slot.describe()?, ()))));
    }

    /// The same, and with the same look takes what seals the root of an epoch that is staged; none if some slot does not
    /// hold its secret.
    pub fn check_staged(&self, state: &State, epoch: u64) -> Option<Staged> {
        let look = |seat: &mut SlotSeat| {
            let prf = seat.check(state, |slot| self.look(slot, epoch))?;
            Some((seat.slot, prf.ok()?))
        };
        let secrets: Option<Vec<(SlotId, Key)>> = self.in_turn(look).into_iter().collect();
        secrets.map(|secrets| Staged { epoch, secrets })
    }

    /// What seals the root of an epoch, read from every slot. Every slot must hold its secret.
    pub fn read_staged(&self, epoch: u64) -> Result<Staged, SeatError> {
        let read = |seat: &mut SlotSeat| {
            let slot = seat.claimed.as_ref().ok_or(SlotError::Missing);
            let prf = slot.and_then(|slot| self.prf(slot, epoch)).map_err(|error| seat.error(error))?;
            Ok((seat.slot, prf))
        };
        let secrets = self.in_turn(read).into_iter().collect::<Result<_, SeatError>>()?;
        Ok(Staged { epoch, secrets })
    }

    /// What was last seen of every slot.
    pub fn views(&self) -> Vec<SlotView> {
        self.seats.lock().iter().map(|seat| seat.last.clone()).collect()
    }

    /// The slots that erasures wait for: not in reach, or lost.
    pub fn waited_for(&self) -> Vec<SlotId> {
        let former = self.former.lock();
        self.missing().into_iter().chain(former.iter().filter(|slot| slot.is_lost()).map(|slot| slot.slot)).collect()
    }

    /// The slots that are not in reach.
    pub fn missing(&self) -> Vec<SlotId> {
        self.seats.lock().iter().filter(|seat| seat.claimed.is_none()).map(|seat| seat.slot).collect()
    }

    /// Opens R_e through every slot in reach; all must agree. `None` if no slot is in reach.
    pub fn open_root(&self, engine: &dyn Engine, epoch: u64) -> Result<Option<Opened>, SeatError> {
        self.open_each(|seat| {
            let Some(slot) = &seat.claimed else { return Ok(None) };
            let prf = self.prf(slot, epoch).map_err(|error| seat.error(error))?;
            self.open_through(engine, seat, epoch, &prf).map(Some)
        })
    }

    /// The same with what was read from the slots before. `None` unless it was read from each.
    pub fn open_staged(&self, engine: &dyn Engine, staged: &Staged) -> Result<Option<Key>, SeatError> {
        if self.seats.lock().iter().any(|seat| staged.of(seat.slot).is_none()) {
            return Ok(None);
        }
        let through = |seat: &SlotSeat, prf| self.open_through(engine, seat, staged.epoch, prf);
        let opened = self.open_each(|seat| staged.of(seat.slot).map(|prf| through(seat, prf)).transpose())?;
        Ok(opened.map(|opened| opened.key))
    }

    fn open_each(
        &self,
        open: impl Fn(&mut SlotSeat) -> Result<Option<Opened>, SeatError>,
    ) -> Result<Option<Opened>, SeatError> {
        let mut opened: Option<Opened> = None;
        for (at, row) in self.in_turn(open).into_iter().enumerate() {
            match (&mut opened, row?) {
                (_, None) => {}
                (Some(first), Some(row)) if !crate::crypto::mac::equal(first.key.expose(), row.key.expose()) => {
                    return Err(self.seats.lock()[at].error(Unfit::DoesNotOpen));
                }
                (Some(first), Some(row)) => first.has_ledger |= row.has_ledger,
                (None, Some(row)) => opened = Some(row),
            }
        }
        Ok(opened)
    }

    fn open_through(&self, engine: &dyn Engine, seat: &SlotSeat, epoch: u64, prf: &Key) -> Result<Opened, SeatError> {
        let sealed = engine.get(Space::Root, &root::row_key(epoch, &seat.slot)).ok().flatten();
        let sealed = sealed.ok_or_else(|| seat.error(Unfit::DoesNotOpen))?;
        let opened = root::open(&self.outer, prf, &self.vault, &seat.slot, epoch, &sealed);
        opened.map_err(|_| seat.error(Unfit::DoesNotOpen))
    }

    /// Checks that every slot is in reach, before anything is done that only all of them together can finish.
    pub fn require_all(&self) -> Result<(), SeatError> {
        all_claimed(&self.seats.lock())
    }

    /// Stages the next secret in every slot. Every slot must be in reach.
    pub fn stage(&self, current: u64, next: u64) -> Result<(), SeatError> {
        fault::point("epoch_stage_before");
        self.on_all(|_, slot| slot.stage(current, next))?;
        fault::point("epoch_stage_after");
        Ok(())
    }

    /// R_e sealed for every slot, as rows. Touches no slot.
    pub fn seal_root(&self, staged: &Staged, root_key: &Key) -> Result<Vec<Record>, RandomFailed> {
        let seal = |(slot, prf): &(SlotId, Key)| {
            let row = root::seal(&self.outer, prf, &self.vault, slot, staged.epoch, root_key)?;
            Ok((root::row_key(staged.epoch, slot), row))
        };
        staged.secrets.iter().map(seal).collect()
    }

    /// Destroys every secret but that of `keep` in every slot, and reads back that they are gone.
    pub fn destroy_except(&self, keep: u64) -> Result<(), SeatError> {
        fault::point("epoch_destroy_before");
        self.on_all(|_, slot| slot.destroy_except(keep))?;
        fault::point("epoch_destroy_after");
        Ok(())
    }

    /// The same, and what every slot shows by that look: read from the medium, and the secret of `old` asked for. With a
    /// `next`, the old secret is overwritten by one for that epoch, which so is staged: with it comes what seals its root.
    ///
    /// # Errors
    /// Where a slot's new secret is not what the root was sealed under: there nothing is destroyed. Also where a slot holds
    /// anything but that secret and the one of `next`, or still answers for the old one.
    pub fn replace(
        &self,
        (staged, next): (&Staged, Option<u64>),
        old: u64,
        clock: &dyn Clock,
    ) -> Result<(Vec<SlotProof>, Option<Staged>), SeatError> {
        fault::point("epoch_destroy_before");
        let epoch = staged.epoch;
        let left: Vec<u64> = [epoch].into_iter().chain(next).collect();
        let [vault, number] = root::prf_context(&self.vault, epoch);
        let [old_vault, old_number] = root::prf_context(&self.vault, old);
        let [next_vault, next_number] = root::prf_context(&self.vault, next.unwrap_or(epoch));
        let shown = self.on_all(|id, slot| {
            let answer = staged.of(id).ok_or(SlotError::NoSuchEpoch)?;
            let keep = Answered { epoch, context: &[&vault, &number], answer };
            let asked: [(u64, &[&[u8]]); 2] =
                [(old, &[&old_vault, &old_number]), (next.unwrap_or(epoch), &[&next_vault, &next_number])];
            let (seen, [old, next]) = slot.destroy_and_read((&keep, next), asked)?;
            let old_failed = matches!(old.map(drop), Err(SlotError::NoSuchEpoch));
            if seen.epochs != left || !old_failed {
                return Err(SlotError::StillThere);
            }
            let proof = SlotProof { slot: seen.slot, grade: seen.grade, epoch, old_failed, at: clock.now() };
            Ok((proof, (id, next?)))
        })?;
        let (proofs, secrets) = shown.into_iter().unzip();
        fault::point("epoch_destroy_after");
        for seat in self.seats.lock().iter_mut() {
            seat.last.epoch = epoch;
        }
        Ok((proofs, next.map(|epoch| Staged { epoch, secrets })))
    }

    /// The epochs that each slot in reach holds a secret of, read now.
    pub fn epochs_held(&self) -> Vec<(SlotId, Vec<u64>)> {
        let seats = self.seats.lock();
        let held = |seat: &SlotSeat| Some((seat.slot, seat.claimed.as_ref()?.describe().ok()?.epochs));
        seats.iter().filter_map(held).collect()
    }

    fn prf(&self, slot: &FileSlot, epoch: u64) -> Result<Key, SlotError> {
        let [vault, number] = root::prf_context(&self.vault, epoch);
        slot.read(epoch, &[&vault, &number])
    }

    /// What a slot shows, and its part in sealing the root of an epoch, from one look.
    fn look(&self, slot: &FileSlot, epoch: u64) -> Result<(Description, Result<Key, SlotError>), SlotError> {
        let [vault, number] = root::prf_context(&self.vault, epoch);
        slot.describe_and_read(epoch, &[&vault, &number])
    }

    /// Does the same to every slot, each of which must be in reach.
    fn on_all<T: Send>(
        &self,
        act: impl Fn(SlotId, &mut FileSlot) -> Result<T, SlotError> + Sync,
    ) -> Result<Vec<T>, SeatError> {
        self.require_all()?;
        let act = |seat: &mut SlotSeat| {
            let acted = seat.claimed.as_mut().map_or(Err(SlotError::Missing), |slot| act(seat.slot, slot));
            acted.map_err(|error| {
                // What reached the medium is unknown: claim it again before it is trusted.
                seat.claimed = None;
                seat.last.state = SlotState::Unreachable;
                seat.error(error)
            })
        };
        self.on_each(act).into_iter().collect()
    }

    /// Looks at one slot after another: a look takes less time than starting a thread for it.
    fn in_turn<T>(&self, look: impl FnMut(&mut SlotSeat) -> T) -> Vec<T> {
        self.seats.lock().iter_mut().map(look).collect()
    }

    /// Does something with every slot at once, since each waits for its own medium. In the order of the slots.
    fn on_each<T: Send>(&self, act: impl Fn(&mut SlotSeat) -> T + Sync) -> Vec<T> {
        let mut seats = self.seats.lock();
        let Some((first, others)) = seats.split_first_mut() else { return Vec::new() };
        std::thread::scope(|scope| {
            let act = &act;
            let running: Vec<_> = others.iter_mut().map(|seat| scope.spawn(move || act(seat))).collect();
            let first = act(first);
            let joined = running.into_iter().map(|thread| match thread.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            std::iter::once(first).chain(joined).collect()
        })
    }
}

fn all_claimed(seats: &[SlotSeat]) -> Result<(), SeatError> {
    match seats.iter().find(|seat| seat.claimed.is_none()) {
        Some(seat) => Err(seat.error(SlotError::Missing)),
        None => Ok(()),
    }
}

/// Creates the file slots of a new vault with a first secret.
pub fn create(
    places: &[Place],
    vault: VaultId,
    owner: InstanceId,
    ids: &[SlotId],
    epoch: u64,
) -> Result<(), SeatError> {
    for (place, id) in places.iter().zip(ids) {
        FileSlot::create(place, vault, *id, owner, epoch)
            .map_err(|error| SeatError { name: name(place), error: error.into() })?;
    }
    Ok(())
}

/// Shared between the vault and the thread that runs epochs.
pub type SharedSlots = Arc<SlotSet>;
