//! A root slot in a plain file of its own, on a medium apart from the store.
//!
//! What lives here: [`FileSlot`], which claims and changes a slot file, and [`SlotView`], which only reads one.
//! [`layout`] gives every byte its meaning, `medium` is the file itself. What may not: any cipher, and any copy of
//! a secret in another file.
//!
//! INVARIANT: a block is only ever overwritten in place, whole and on its 4096-byte boundary; the file is never
//! renamed, copied, truncated or extended once it exists. INVARIANT: of the two copies of the header, and of the
//! two secret blocks, the one in force stays whole until the other one is durable.
//!
//! # What the destruction of a secret is worth
//! Overwriting, `fdatasync`, then a read past the page cache show that the file system's logical image no longer
//! holds the secret (grade E1). That says nothing about spare cells of a flash device, the cache of the drive
//! itself, snapshots below the file system, or copies that somebody made of the file; [`super::grade`] lowers the
//! grade where the file system itself is known to keep old blocks. The kernel's page cache holds the live secret
//! while it is in force, and zeros afterwards.

pub mod layout;
mod medium;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::grade::{self, Grading};
use super::{Description, RootSlot, SlotError};
use crate::base::fault;
use crate::base::id::{InstanceId, SlotId, VaultId};
use crate::base::secret::Secret;
use crate::crypto::rng::{self, RandomFailed};
use crate::crypto::{label, mac};
use layout::{BLOCK, Block, COPIES, Contents, Header, SECRETS};
use medium::{Access, Medium};

/// Where a slot file is, and what it has to be apart from.
#[derive(Debug, Clone)]
pub struct Place {
    /// The slot file.
    pub path: PathBuf,
    /// The store's directory and every backup's: sharing a volume with one of them makes the slot's grade E0.
    pub apart_from: Vec<PathBuf>,
}

/// A slot file claimed by this process: readable, writable, locked against every other.
///
/// The claim is an exclusive `flock` on the file. It ends when the value drops or the process dies.
pub struct FileSlot {
    view: SlotView,
    owner: InstanceId,
    vault: VaultId,
    /// Set while a write is under way, so that it stays set when the write fails.
    failed: bool,
}

/// What the secret of an epoch is asked, and what it answered when something was sealed under that.
pub struct Answered<'a> {
    /// The epoch.
    pub epoch: u64,
    /// What it is asked.
    pub context: &'a [&'a [u8]],
    /// What it answered.
    pub answer: &'a Secret<32>,
}

/// A slot file opened for reading only. It takes no lock and has no way to claim, stage or destroy.
///
/// Beside a running vault it may see a block half written, which shows as damage for that moment.
pub struct SlotView {
    medium: Medium,
    grading: Grading,
}

impl FileSlot {
    /// Creates the file with a random secret for `epoch`, readable by its owner alone, and claims it.
    ///
    /// # Durability
    /// On return the file, its name and the secret survive power loss. A call cut short leaves a file that is
    /// damaged as a whole, in which no secret was ever used.
    ///
    /// # Errors
    /// [`SlotError::Exists`] when anything is at that path already; it is left as it is.
    pub fn create(
        place: &Place,
        vault: VaultId,
        slot: SlotId,
        owner: InstanceId,
        epoch: u64,
    ) -> Result<Self, SlotError> {
        let header = Header { turn: 1, slot, vault, owner };
        let secret = rng::make_secret()?;
        let medium = Medium::create(&place.path)?;
        let written = fill_new(&medium, &header, epoch, &secret);
        let grading = grade::of_file(medium.file(), &place.apart_from);
        let claimed = Self { view: SlotView { medium, grading }, owner, vault, failed: false };
        match written.and_then(|()| claimed.view.contents()) {
            Ok(contents) if contents.header == header && !contents.damaged() => Ok(claimed),
            Ok(_) => Err(claimed.view.medium.discard(SlotError::Damaged)),
            Err(error) => Err(claimed.view.medium.discard(error)),
        }
    }

    /// Claims an existing slot for the instance that owns it, as after a crash or an orderly stop. Changes
    /// nothing.
    ///
    /// # Errors
    /// [`SlotError::InUse`] while any other claim lives, [`SlotError::WrongVault`], and [`SlotError::NotOurs`] when
    /// `owner` is not the slot's owner.
    pub fn claim(place: &Place, vault: VaultId, owner: InstanceId) -> Result<Self, SlotError> {
        let view = SlotView::locked(place)?;
        check(&view.contents()?.header, vault, Some(owner))?;
        Ok(Self { view, owner, vault, failed: false })
    }

    /// Makes `owner` the owner of the slot, whoever owned it before, and claims it.
    ///
    /// Also the way to mend a damaged copy of the header. An owner that takes over its own slot is served.
    ///
    /// # Durability
    /// On return both copies of the header name the new owner, whatever happens next. A call cut short leaves the
    /// slot with its old owner or its new one, never with neither.
    ///
    /// # Errors
    /// [`SlotError::InUse`] while any claim lives, [`SlotError::WrongVault`]. Nothing is written in these cases.
    pub fn take_over(place: &Place, vault: VaultId, owner: InstanceId) -> Result<Self, SlotError> {
        let view = SlotView::locked(place)?;
        let before = view.contents()?;
        check(&before.header, vault, None)?;
        let turn = before.header.turn.checked_add(1).ok_or(SlotError::Damaged)?;
        let header = Header { turn, owner, ..before.header };
        let mut claimed = Self { view, owner, vault, failed: false };
        // INVARIANT: the copy in force is overwritten last, when the other one is durable with the higher turn.
        for copy in [1 - before.copy, before.copy] {
            claimed.overwrite(copy, &header.encode())?;
            fault::point("slot_take_over");
        }
        let after = claimed.view.contents()?;
        if after.header == header && after.header_settled { Ok(claimed) } else { Err(SlotError::Damaged) }
    }

    /// [`RootSlot::describe`] and [`RootSlot::read`] with one look at the medium.
    ///
    /// # Errors
    /// As for the first, and inside as for the second.
    pub fn describe_and_read(
        &self,
        epoch: u64,
        context: &[&[u8]],
    ) -> Result<(Description, Result<Secret<32>, SlotError>), SlotError> {
        let contents = self.contents()?;
        Ok((contents.describe(self.view.grading), contents.prf(epoch, context)))
    }

    /// [`RootSlot::destroy_except`], and what the look that read it back showed, and answered to what was asked. With a
    /// `next`, what is destroyed is overwritten by a random secret for that epoch, and so staged with the same write.
    ///
    /// # Errors
    /// As for the first, and inside as for [`RootSlot::read`]; [`SlotError::Damaged`] when the secret to keep answers
    /// otherwise than before, [`SlotError::NotNewer`] when `next` is not newer than it. Nothing is destroyed then.
    pub fn destroy_and_read<const N: usize>(
        &mut self,
        (keep, next): (&Answered<'_>, Option<u64>),
        asked: [(u64, &[&[u8]]); N],
    ) -> Result<(Description, [Result<Secret<32>, SlotError>; N]), SlotError> {
        let answers_as_before = |contents: &Contents| {
            let answer = contents.prf(keep.epoch, keep.context)?;
            if mac::equal(answer.expose(), keep.answer.expose()) { Ok(()) } else { Err(SlotError::Damaged) }
        };
        let after = self.overwrite_beside((keep.epoch, next), answers_as_before)?;
        Ok((after.describe(self.view.grading), asked.map(|(epoch, context)| after.prf(epoch, context))))
    }

    /// Overwrites whatever is beside the secret of `keep`, with zeros or with the secret of `next`, if what the slot holds
    /// now passes the check. What the medium holds after that.
    fn overwrite_beside(
        &mut self,
        (keep, next): (u64, Option<u64>),
        check: impl FnOnce(&Contents) -> Result<(), SlotError>,
    ) -> Result<Contents, SlotError> {
        let before = self.contents()?;
        let kept = before.position(keep)?;
        check(&before)?;
        if next.is_some_and(|next| next <= keep) {
            return Err(SlotError::NotNewer);
        }
        let staged = next.map(|next| Ok::<_, SlotError>((next, rng::make_secret()?))).transpose()?;
        let encode =
            |(next, secret): &(u64, Secret<32>)| layout::encode_secret(&before.header, 1 - kept, *next, secret);
        let block = staged.as_ref().map(encode);
        fault::point("slot_destroy_before");
        // Also when the block reads as empty: zeros may be in the page cache alone.
        self.overwrite(COPIES + 1 - kept, block.as_ref().map_or(&layout::ERASED, Secret::expose))?;
        fault::point("slot_destroy_after");
        let after = self.contents()?;
        if after.position(keep)? != kept {
            return Err(SlotError::Damaged);
        }
        let is_there = match (&after.secrets[1 - kept], &staged) {
            (Block::Empty, None) => true,
            (Block::Holds { epoch, secret }, Some((next, staged))) => {
                epoch == next && mac::equal(secret.expose(), staged.expose())
            }
            (Block::Empty | Block::Holds { .. } | Block::Damaged, _) => false,
        };
        if is_there { Ok(after) } else { Err(SlotError::StillThere) }
    }

    /// The slot as read now, if it is still the one that was claimed and no write has failed.
    fn contents(&self) -> Result<Contents, SlotError> {
        if self.failed {
            return Err(SlotError::Io);
        }
        let contents = self.view.contents()?;
        check(&contents.header, self.vault, Some(self.owner))?;
        Ok(contents)
    }

    /// Overwrites one block in place and syncs it.
    fn overwrite(&mut self, index: usize, block: &[u8; BLOCK]) -> Result<(), SlotError> {
        self.failed = true;
        self.view.medium.write(index, block)?;
        self.view.medium.sync()?;
        self.failed = false;
        Ok(())
    }
}

impl RootSlot for FileSlot {
    fn describe(&self) -> Result<Description, SlotError> {
        Ok(self.contents()?.describe(self.view.grading))
    }

    fn read(&self, epoch: u64, context: &[&[u8]]) -> Result<Secret<32>, SlotError> {
        self.contents()?.prf(epoch, context)
    }

    fn stage(&mut self, current: u64, next: u64) -> Result<(), SlotError> {
        let contents = self.contents()?;
        let kept = contents.position(current)?;
        if next <= current {
            return Err(SlotError::NotNewer);
        }
        let free = 1 - kept;
        match contents.secrets[free] {
            Block::Holds { epoch, .. } if epoch == next => return Ok(()),
            Block::Holds { epoch, .. } if epoch > next => return Err(SlotError::NotNewer),
            Block::Holds { epoch, .. } if epoch <= current => return Err(SlotError::StillThere),
            Block::Holds { .. } | Block::Damaged | Block::Empty => {}
        }
        let secret = rng::make_secret()?;
        let block = layout::encode_secret(&contents.header, free, next, &secret);
        fault::point("slot_stage_before");
        self.overwrite(COPIES + free, block.expose())?;
        fault::point("slot_stage_after");
        Ok(())
    }

    fn destroy_except(&mut self, keep: u64) -> Result<(), SlotError> {
        self.overwrite_beside((keep, None), |_| Ok(())).map(drop)
    }

    fn destroy_all(&mut self) -> Result<(), SlotError> {
        self.contents()?; // still the one that was claimed
        for secret in 0..SECRETS {
            self.overwrite(COPIES + secret, &layout::ERASED)?;
            fault::point("slot_retired");
        }
        let after = self.contents()?;
        if after.secrets.iter().all(|block| matches!(block, Block::Empty)) {
            Ok(())
        } else {
            Err(SlotError::StillThere)
        }
    }
}

impl SlotView {
    /// Opens a slot file without claiming it: for checks, drills and for naming the present owner.
    ///
    /// # Errors
    /// As [`RootSlot::describe`], and [`SlotError::Missing`] or [`SlotError::NotPrivate`].
    pub fn inspect(place: &Place) -> Result<Self, SlotError> {
        let view = Self::opened(place, Access::Read)?;
        view.contents()?;
        Ok(view)
    }

    /// What the slot holds, read from the medium now.
    pub fn describe(&self) -> Result<Description, SlotError> {
        Ok(self.contents()?.describe(self.grading))
    }

    /// As [`RootSlot::read`]; a drill needs it to open the root of a restored copy.
    pub fn read(&self, epoch: u64, context: &[&[u8]]) -> Result<Secret<32>, SlotError> {
        self.contents()?.prf(epoch, context)
    }

    fn locked(place: &Place) -> Result<Self, SlotError> {
        let view = Self::opened(place, Access::ReadWrite)?;
        view.medium.lock()?;
        // INVARIANT: whatever a claimed slot reads is durable. An earlier process may have written, and been killed
        // before its sync; from here on nobody else writes.
        view.medium.sync()?;
        Ok(view)
    }

    fn opened(place: &Place, access: Access) -> Result<Self, SlotError> {
        let medium = Medium::open(&place.path, access)?;
        let grading = grade::of_file(medium.file(), &place.apart_from);
        Ok(Self { medium, grading })
    }

    fn contents(&self) -> Result<Contents, SlotError> {
        Contents::decode(self.medium.read()?.blocks())
    }
}

impl Contents {
    fn describe(&self, grading: Grading) -> Description {
        Description {
            slot: self.header.slot,
            vault: self.header.vault,
            owner: self.header.owner,
            epochs: self.epochs(),
            damaged: self.damaged(),
            grade: grading.grade,
            grade_reason: grading.why,
        }
    }

    fn prf(&self, epoch: u64, context: &[&[u8]]) -> Result<Secret<32>, SlotError> {
        Ok(mac::prf(self.secret(epoch)?, label::SLOT_PRF, context))
    }
}

impl Place {
    /// A slot at `path`, with the directories it has to be apart from.
    pub fn new(path: impl AsRef<Path>, apart_from: &[&Path]) -> Self {
        Self { path: path.as_ref().into(), apart_from: apart_from.iter().map(PathBuf::from).collect() }
    }
}

impl From<RandomFailed> for SlotError {
    fn from(RandomFailed: RandomFailed) -> Self {
        Self::Io
    }
}

/// Writes every block of a new file, then makes the file and its name durable.
fn fill_new(medium: &Medium, header: &Header, epoch: u64, secret: &Secret<32>) -> Result<(), SlotError> {
    medium.lock()?;
    // Every block is written, the empty one too, so that a later overwrite finds its place on the medium allocated.
    medium.write(COPIES, layout::encode_secret(header, 0, epoch, secret).expose())?;
    for index in COPIES + 1..COPIES + SECRETS {
        medium.write(index, &layout::ERASED)?;
    }
    for copy in 0..COPIES {
        medium.write(copy, &header.encode())?;
    }
    medium.sync_name()
}

fn check(header: &Header, vault: VaultId, owner: Option<InstanceId>) -> Result<(), SlotError> {
    if header.vault != vault {
        return Err(SlotError::WrongVault);
    }
    if owner.is_some_and(|owner| owner != header.owner) {
        return Err(SlotError::NotOurs { owner: header.owner });
    }
    Ok(())
}
