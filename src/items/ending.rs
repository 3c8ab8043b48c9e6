//! The end of a keep reason: what no other reason keeps goes, by the receipt of the act of forgetting that it outlived.

use std::collections::BTreeMap;

use crate::base::id::{HoldId, ItemId, PseudonymId, ReasonId, ReceiptId, SubjectId};
use crate::catalog::class::ClassId;
use crate::crypto::rng;
use crate::gate::intents::{DoomedRow, Intent, What};
use crate::gate::receipts::{Case, ForgottenKeys, Ground, History, Scope};
use crate::gate::record::{Ended, Recorder, Touched, Whom};
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::txn::{Fault, Txn};
use crate::keep::history;
use crate::keep::kept::{self, Copy, VersionId};
use crate::keys::page::{Entry, KeyName, Tree};

use super::kept::open as open_kept;
use super::record::{OpenSubject, open_subject};

/// What is taken away from a reason.
#[derive(Default)]
pub struct Ending {
    gone: BTreeMap<ReceiptId, Going>,
    /// Copies of keys that other reasons have as well.
    copies: Vec<(SubjectId, (Tree, u64))>,
    /// Whether any of it stays, for another reason.
    pub kept_elsewhere: bool,
}

/// What goes of what outlived one act of forgetting.
struct Going {
    subject: SubjectId,
    pseudonym: PseudonymId,
    names: Vec<KeyName>,
    targets: Vec<(Tree, u64)>,
    rows: Vec<DoomedRow>,
    versions: Vec<VersionId>,
    classes: Vec<ClassId>,
    history: History,
}

/// The acts of forgetting that an end has lodged.
#[derive(Default)]
pub struct Lodged {
    /// Each intent, with its receipt.
    pub intents: Vec<(u64, ReceiptId)>,
    /// The receipts that supplement earlier ones.
    pub supplements: Vec<ReceiptId>,
}

/// How the keys of what ends are forgotten.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// One by one.
    Each,
    /// With the reason's whole tree: an intent that was lodged before does it.
    Whole,
}

impl Ending {
    /// Takes a version away from a reason; and its rows, where no other reason keeps it. Of a matter, one hold lets go of
    /// it: as long as another hold of the matter does not, the matter keeps it. Whether the reason keeps it no more.
    pub fn take(
        &mut self,
        txn: &mut Txn<'_>,
        id: &VersionId,
        (reason, hold): (ReasonId, Option<HoldId>),
    ) -> Result<bool, Refusal> {
        let (item, entry, said) = open_kept(txn, id)?;
        let copies = kept::copies(txn, id)?;
        let own = copies.iter().find(|copy| copy.reason == reason).ok_or(Unavailable::Damaged)?;
        if let Some(hold) = hold {
            kept::unlink_hold(txn, id, &hold);
            let holds: Vec<HoldId> = own.holds.iter().filter(|other| **other != hold).copied().collect();
            if !holds.is_empty() {
                kept::put_copy(txn, id, &Copy { holds, ..own.clone() }, &said.receipt);
                self.kept_elsewhere = true;
                return Ok(false);
            }
        }
        kept::delete_copy(txn, id, own);
        // Should somebody put the row back while the epoch is awaited, it does not fit the page.
        txn.set(own.tree(), own.position, &Entry { extra: entry.extra + 1, key: entry.key.duplicate(), ..entry })?;
        let target = (own.tree(), own.position);
        if copies.len() > 1 {
            self.copies.push((said.subject, target));
            self.kept_elsewhere = true;
            return Ok(true);
        }
        kept::delete(txn, id, &said);
        let going = self.gone.entry(said.receipt).or_insert_with(|| Going::of(said.subject, said.pseudonym));
        going.names.push(entry.name());
        going.targets.push(target);
        going.rows.extend(said.rows);
        going.versions.push(*id);
        if !going.classes.contains(&item.head.class) {
            going.classes.push(item.head.class);
        }
        Ok(true)
    }

    /// Takes the audit key of whom a receipt is about away from a matter, unless another hold of it keeps the access history.
    pub fn take_history(
        &mut self,
        txn: &mut Txn<'_>,
        receipt: &ReceiptId,
        (reason, hold): (ReasonId, HoldId),
    ) -> Result<(), Refusal> {
        let (entry, whose) = history::find(txn, receipt)?.ok_or(Unavailable::Damaged)?;
        let copies = history::copies(txn, receipt)?;
        let own = copies.iter().find(|copy| copy.reason == reason).ok_or(Unavailable::Damaged)?;
        history::unlink_hold(txn, receipt, &hold);
        let holds: Vec<HoldId> = own.holds.iter().filter(|other| **other != hold).copied().collect();
        if !holds.is_empty() {
            history::put_copy(txn, receipt, &Copy { holds, ..own.clone() }, &entry, &whose);
            self.kept_elsewhere = true;
            return Ok(());
        }
        history::delete_copy(txn, receipt, own);
        let target = (own.tree(), own.position);
        if copies.len() > 1 {
            self.copies.push((whose.subject, target));
            self.kept_elsewhere = true;
            return Ok(());
        }
        let going = self.gone.entry(*receipt).or_insert_with(|| Going::of(whose.subject, whose.pseudonym));
        going.names.push(entry.name());
        going.targets.push(target);
        going.history = History::Ended;
        Ok(())
    }

    /// Lodges an intent for each act of forgetting that is completed further, and one for copies that other reasons have
    /// too.
    pub fn lodge(self, txn: &mut Txn<'_>, recorder: &Recorder, cut: Cut) -> Result<Lodged, Refusal> {
        let mut lodged = Lodged::default();
        for (first, going) in self.gone {
            let intent = intent_of(txn, first, &going, cut)?;
            kept::put_supplement(txn, &first, &intent.receipt);
            begin(txn, recorder, &intent, &going)?;
            lodged.supplements.push(intent.receipt);
            lodged.intents.push((intent.lodge(txn)?, intent.receipt));
        }
        let mut copies: BTreeMap<SubjectId, Vec<(Tree, u64)>> = BTreeMap::new();
        for (subject, target) in self.copies.into_iter().filter(|_| cut == Cut::Each) {
            copies.entry(subject).or_default().push(target);
        }
        for (subject, targets) in copies {
            let intent = Intent { subject: Some(subject), targets, ..Intent::of_own(What::Copies)? };
            lodged.intents.push((intent.lodge(txn)?, intent.receipt));
        }
        Ok(lodged)
    }
}

impl Going {
    fn of(subject: SubjectId, pseudonym: PseudonymId) -> Self {
        let (names, targets, rows) = (Vec::new(), Vec::new(), Vec::new());
        let (versions, classes) = (Vec::new(), Vec::new());
        Self { subject, pseudonym, names, targets, rows, versions, classes, history: History::Plain }
    }

    fn class(&self) -> Option<ClassId> {
        self.classes.first().copied().filter(|_| self.classes.len() == 1)
    }

    /// The one item that goes, if it is one.
    fn item(&self) -> Option<ItemId> {
        if self.history == History::Ended {
            return None; // readers of the log are concerned as well
        }
        let first = self.versions.first()?.item;
        self.versions.iter().all(|id| id.item == first).then_some(first)
    }
}

fn intent_of(txn: &Txn<'_>, first: ReceiptId, going: &Going, cut: Cut) -> Result<Intent, Refusal> {
    let case = Case::new(Scope::KeepReason, Ground::Unstated, txn.now(), Vec::new())?;
    let keys = ForgottenKeys::of(going.names.clone());
    Ok(Intent {
        receipt: ReceiptId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?),
        what: What::Kept,
        class: going.class().map(|class| class.as_str().to_owned()).unwrap_or_default(),
        subject: Some(going.subject),
        item: going.item(),
        targets: if cut == Cut::Each { going.targets.clone() } else { Vec::new() },
        rows: going.rows.clone(),
        case: Some(Case { keys, pseudonym: going.pseudonym, supplements: Some(first), history: going.history, ..case }),
    })
}

/// The first entry of an act of forgetting: named by its receipt alone, and not to be linked to the end of the reason.
fn begin(txn: &mut Txn<'_>, recorder: &Recorder, intent: &Intent, going: &Going) -> Result<(), Refusal> {
    let touched = Touched {
        class: going.class(),
        count: u32::try_from(going.versions.len()).unwrap_or(u32::MAX),
        items: going.versions.iter().map(|id| (id.item, id.version)).collect(),
        ..Touched::default()
    };
    let owner = owner_of(txn, recorder, going.subject)?;
    let keys = owner.map(|subject| subject.detail_keys(txn).map(|keys| (keys, subject.id))).transpose()?;
    let whom = match &keys {
        Some((keys, subject)) => Whom::Erasure { keys, subject: *subject, receipt: intent.receipt },
        None => Whom::Evidence(intent.receipt),
    };
    let at = (txn.now(), txn.epoch());
    txn.record(recorder.apart()?.entry(whom, touched, Ended::Started, at)?);
    Ok(())
}

/// Whose it was; none once the account has ended.
pub fn owner_of(txn: &Txn<'_>, recorder: &Recorder, subject: SubjectId) -> Result<Option<OpenSubject>, Refusal> {
    match open_subject(txn, recorder.vault(), subject) {
        Ok(subject) => Ok(Some(subject)),
        Err(Fault::Refused(Refusal::State(State::Erased(_)))) => Ok(None),
        Err(fault) => Err(fault.into()),
    }
}
