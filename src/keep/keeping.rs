//! Who keeps a version, and keeping it: asked on the writer's thread by whatever is about to forget something.

use super::Reason;
use super::history;
use super::hold::{self, Hold};
use super::kept::{self, Copy, Kept, Opening, VersionId};
use super::matter::Matter;
use super::period::PeriodEnd;
use crate::base::id::{HoldId, ItemId, PseudonymId, ReceiptId, SubjectId};
use crate::base::protobuf::Message;
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::registry::Registry;
use crate::catalog::statutory::{PeriodId, Times};
use crate::crypto::hash::{Digest, sha256};
use crate::crypto::rng;
use crate::gate::intents::DoomedRow;
use crate::gate::receipts::KeptVersion;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::keys::page::{Entry, Tree};

/// The reasons, besides the account, that a subject's items have now; what is kept for them is counted, and the counts
/// are stored by [`Keeping::finish`].
pub struct Keeping<'r> {
    subject: SubjectId,
    registry: &'r Registry,
    holds: Vec<Hold>,
    matters: Vec<Matter>,
    periods: Vec<PeriodEnd>,
    openings: Vec<Opening>,
    changed: bool,
}

/// A version that is about to lose its account.
pub struct Leaving<'a> {
    /// Which.
    pub id: VersionId,
    /// Its class.
    pub class: ClassId,
    /// From when statutory periods count for it.
    pub times: Times,
    /// Its key.
    pub entry: &'a Entry,
    /// Its row as it is.
    pub row: Vec<u8>,
    /// Rows that belong to it besides.
    pub rows: Vec<DoomedRow>,
}

/// What keeps a version: holds by their place among those of its subject, and periods with their ends.
struct Covering {
    holds: Vec<usize>,
    periods: Vec<(PeriodId, Timestamp)>,
}

impl Covering {
    fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.periods.is_empty()
    }
}

impl<'r> Keeping<'r> {
    /// The holds in force on a subject, which must be as many as its row counts, and the statutory periods of a registry.
    pub fn of(
        reads: &dyn Reads,
        (subject, counted): (SubjectId, Option<u32>),
        registry: &'r Registry,
    ) -> Result<Self, Fault> {
        let (mut holds, mut matters) = (Vec::new(), Vec::<Matter>::new());
        for (hold, matter) in hold::in_force(reads, &subject, counted)? {
            holds.push(hold);
            if !matters.iter().any(|known| known.id == matter.id) {
                matters.push(matter);
            }
        }
        let (periods, openings) = (Vec::new(), Vec::new());
        Ok(Self { subject, registry, holds, matters, periods, openings, changed: false })
    }

    /// Whether nothing can keep anything of the subject.
    pub fn is_empty(&self) -> bool {
        self.holds.is_empty() && self.registry.periods().is_empty()
    }

    /// Whether a hold is in force.
    pub fn has_holds(&self) -> bool {
        !self.holds.is_empty()
    }

    /// Whether some reason keeps a version.
    pub fn covers(&self, txn: &Txn<'_>, leaving: &Leaving<'_>) -> Result<bool, Fault> {
        Ok(!self.covering(txn, leaving)?.is_empty())
    }

    /// Whether some hold may keep an item of which nothing but its id is known.
    pub fn may_cover(&self, reads: &dyn Reads, item: &ItemId) -> Result<bool, Fault> {
        for hold in &self.holds {
            if hold.may_cover(reads, item)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn covering(&self, txn: &Txn<'_>, leaving: &Leaving<'_>) -> Result<Covering, Fault> {
        let mut holds = Vec::new();
        for (number, hold) in self.holds.iter().enumerate() {
            if hold.covers(txn, leaving.class, &leaving.id.item, leaving.id.version)? {
                holds.push(number);
            }
        }
        let of_class = self.registry.periods_of(leaving.class);
        let running =
            of_class.filter_map(|period| Some((period.id.clone(), period.end_after(txn.now(), &leaving.times)?)));
        Ok(Covering { holds, periods: running.collect() })
    }

    /// Copies a version's key to every reason that keeps it, with its row, before the account forgets it. What the
    /// receipt says of it; none if no reason keeps it.
    ///
    /// The copy is added in the tree as it is; the original is forgotten by the epoch of the intent that the same batch
    /// lodges. Either both are durable or none.
    pub fn keep(
        &mut self,
        txn: &mut Txn<'_>,
        leaving: Leaving<'_>,
        receipt: ReceiptId,
        pseudonym: PseudonymId,
    ) -> Result<Option<KeptVersion>, Refusal> {
        let covering = self.covering(txn, &leaving)?;
        if covering.is_empty() {
            return Ok(None);
        }
        let copying = Copying { id: leaving.id, entry: leaving.entry, receipt };
        let mut reasons = Vec::new();
        for matter in &mut self.matters {
            let of_matter = covering.holds.iter().map(|number| &self.holds[*number]);
            let holds: Vec<_> = of_matter.filter(|hold| hold.matter == matter.id).map(|hold| hold.id).collect();
            if !holds.is_empty() {
                copying.copy_to(txn, matter.tree(), holds)?;
                matter.kept += 1;
                reasons.push(Reason::Matter(matter.id));
            }
        }
        for (id, end) in covering.periods {
            let period = self.period(txn, &id, end)?;
            copying.copy_to(txn, period.tree(), Vec::new())?;
            period.kept += 1;
            reasons.push(Reason::Period { id, end });
        }
        for number in covering.holds {
            self.holds[number].kept += 1;
        }
        let mut commitments = Vec::new();
        for reason in &reasons {
            let (opening, commitment) = commit_to(reason)?;
            self.openings.push(opening);
            commitments.push(commitment);
        }
        let Leaving { id, class, entry, row, rows, .. } = leaving;
        let kept = Kept { subject: self.subject, receipt, pseudonym, rows, row };
        kept::put(txn, &id, class.as_str(), entry, &kept);
        self.changed = true;
        Ok(Some(KeptVersion { item: id.item, version: id.version, class: class.as_str().into(), reasons: commitments }))
    }

    /// The reason that the end of a period is.
    fn period(&mut self, txn: &mut Txn<'_>, id: &PeriodId, end: Timestamp) -> Result<&mut PeriodEnd, Refusal> {
        let known = self.periods.iter().position(|known| known.period == *id && known.end == end);
        let at = match known {
            Some(at) => at,
            None => {
                self.periods.push(PeriodEnd::find_or_open(txn, id, end)?);
                self.periods.len() - 1
            }
        };
        Ok(&mut self.periods[at])
    }

    /// Copies the subject's audit key to every matter that has a hold with the access history on it, before the account
    /// forgets it. Whether there is any.
    pub fn keep_history(
        &mut self,
        txn: &mut Txn<'_>,
        entry: &Entry,
        receipt: &ReceiptId,
        pseudonym: PseudonymId,
    ) -> Result<bool, Refusal> {
        let mut is_kept = false;
        for matter in &self.matters {
            let of_matter = self.holds.iter().filter(|hold| hold.history && hold.matter == matter.id);
            let holds: Vec<_> = of_matter.map(|hold| hold.id).collect();
            if holds.is_empty() {
                continue;
            }
            let copy = copy_key(txn, matter.tree(), entry, holds)?;
            history::put_copy(txn, receipt, &copy, entry, &history::Whose { subject: self.subject, pseudonym });
            is_kept = true;
        }
        Ok(is_kept)
    }

    /// Stores the counts of what was kept, and the openings of what the receipt says of the reasons, after those that it
    /// has. How many it has then.
    pub fn finish(mut self, txn: &mut Txn<'_>, receipt: &ReceiptId, openings: u32) -> Result<u32, Refusal> {
        if !self.changed {
            return Ok(openings);
        }
        for matter in &mut self.matters {
            matter.store(txn)?;
        }
        for hold in &mut self.holds {
            let matter = self.matters.iter().find(|matter| matter.id == hold.matter).ok_or(Unavailable::Internal)?;
            hold.store(txn, matter)?;
        }
        for period in &mut self.periods {
            period.store(txn)?;
        }
        Ok(kept::put_openings(txn, receipt, openings, &self.openings))
    }
}

/// A version whose key is copied to reasons.
struct Copying<'a> {
    id: VersionId,
    entry: &'a Entry,
    receipt: ReceiptId,
}

impl Copying<'_> {
    fn copy_to(&self, txn: &mut Txn<'_>, tree: Tree, holds: Vec<HoldId>) -> Result<(), Refusal> {
        let copy = copy_key(txn, tree, self.entry, holds)?;
        kept::put_copy(txn, &self.id, &copy, &self.receipt);
        Ok(())
    }
}

/// Adds a key to a reason's tree.
fn copy_key(txn: &mut Txn<'_>, tree: Tree, entry: &Entry, holds: Vec<HoldId>) -> Result<Copy, Refusal> {
    let Tree::Reason(reason, at) = tree else { return Err(Unavailable::Internal.into()) };
    let position = txn.claim_position(tree)?;
    let Entry { generation, extra, key } = entry;
    txn.set(tree, position, &Entry { generation: *generation, extra: *extra, key: key.duplicate() })?;
    Ok(Copy { reason, at, position, holds })
}

/// A commitment to a reason, as the contract has it, and what opens it.
fn commit_to(reason: &Reason) -> Result<(Opening, Digest), Refusal> {
    const DOMAIN: &[u8] = b"lacuna-keep-reason-v1\0";
    let salt: [u8; 32] = rng::make_bytes().map_err(|_| Unavailable::Internal)?;
    let reason = message_of(reason).finish();
    let commitment = sha256(&[DOMAIN, &salt, &reason]);
    Ok((Opening { salt, reason }, commitment))
}

/// The message `KeepReason` of the contract.
fn message_of(reason: &Reason) -> Message {
    const KIND_MATTER: u64 = 2;
    const KIND_PERIOD: u64 = 3;
    match reason {
        Reason::Matter(matter) => Message::new().number(1, KIND_MATTER).text(2, &matter.to_string()),
        // Ends are whole days.
        Reason::Period { id, end } => Message::new()
            .number(1, KIND_PERIOD)
            .text(2, id.as_str())
            .message(3, Message::new().number(1, end.as_millis().div_euclid(1_000) as u64)),
    }
}
