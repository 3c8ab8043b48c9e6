//! ReleaseHold: what no other reason keeps is unreadable at once, and its keys go with the next epoch.

use std::collections::BTreeMap;

use crate::base::id::{HoldId, ItemId, PseudonymId, ReceiptId};
use crate::catalog::class::ClassId;
use crate::crypto::rng;
use crate::gate::approvals::Approved;
use crate::gate::call::Call;
use crate::gate::intents::{DoomedRow, Intent, What};
use crate::gate::receipts::{Case, ForgottenKeys, Ground, Scope};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Refusal, State, Unavailable};
use crate::gate::txn::{Fault, Txn};
use crate::gate::vault::Vault;
use crate::items::kept::open as open_kept;
use crate::items::model::{Erasure, ErasureState, Wait};
use crate::items::record::{OpenSubject, open_subject};
use crate::keep::hold::{self, Hold};
use crate::keep::kept::{self, Copy, Under, VersionId};
use crate::keep::matter::Matter;
use crate::keep::reason_of;
use crate::keys::page::{Entry, KeyName, Tree};
use crate::policy::question::Resource;

use super::model::{Released, Releasing};
use super::repeat::{self, Earlier};
use super::view;

/// Releases a hold, with another person's word.
///
/// # Durability
/// On `Ok` the release survives power loss and no call reads what only the hold kept; the erasure says whether its keys
/// are gone.
///
/// # Errors
/// [`State::NotFound`]; [`State::NotFromHere`] if it is released already; [`crate::gate::refusal::Approving`].
pub async fn release(vault: &Vault, call: &Call, releasing: Releasing) -> Result<Released, Refusal> {
    let Releasing { hold: id, wait } = releasing;
    if let Err(denied) = call.permit(Resource::Vault).map_err(Access::openly) {
        return Err(vault.refuse(call, denied.into()).await);
    }
    let now = vault.now();
    match vault.read(|reads| repeat::of_matter(reads, call, now)) {
        Ok(None) => {}
        Ok(Some(earlier)) => return again(vault, call, HoldId::from_bytes(earlier.id)).await,
        Err(refusal) => return Err(vault.refuse(call, refusal).await),
    }
    let caller = call.clone();
    let check = move |txn: &mut Txn<'_>| find_active(txn, id).map(drop);
    let work = move |txn: &mut Txn<'_>, approved: Approved| lodge(txn, &caller, &approved, id);
    let lodged = vault.with_approval(call, vec![id.to_string()], check, work).await?;
    let outcome = lodged.outcome(vault, call, wait == Wait::Erased).await;
    let hold = vault.read(|reads| {
        let (hold, _) = hold::find(reads, id)?.ok_or(Fault::Torn)?;
        view::of_hold(reads, &hold)
    })?;
    Ok(Released { hold, erasure: outcome, supplements: lodged.supplements })
}

/// What an earlier call with the same key came to, as it is now.
async fn again(vault: &Vault, call: &Call, id: HoldId) -> Result<Released, Refusal> {
    let (hold, acts) = vault.read(|reads| {
        let (hold, _) = hold::find(reads, id)?.ok_or(Fault::Torn)?;
        let acts = hold.release.as_ref().map(|release| release.acts.clone()).unwrap_or_default();
        Ok((view::of_hold(reads, &hold)?, acts))
    })?;
    vault.record_done(call).await?;
    let supplements = vault.read(|reads| {
        let mut statements = Vec::new();
        for act in &acts {
            if crate::gate::receipts::look_up(reads, act)?.is_some_and(|record| record.matter.is_some()) {
                statements.push(*act);
            }
        }
        Ok(statements)
    })?;
    Ok(Released { hold, erasure: None, supplements })
}

fn find_active(txn: &Txn<'_>, id: HoldId) -> Result<(Hold, Matter), Refusal> {
    let (hold, matter) = hold::find(txn, id)?.ok_or(State::NotFound)?;
    if hold.release.is_some() { Err(State::NotFromHere.into()) } else { Ok((hold, matter)) }
}

/// A release that is durable.
struct Lodged {
    intents: Vec<(u64, ReceiptId)>,
    supplements: Vec<ReceiptId>,
    kept_elsewhere: bool,
}

impl Lodged {
    /// What became of what the hold kept; none if that was nothing.
    async fn outcome(&self, vault: &Vault, call: &Call, wait: bool) -> Option<Erasure> {
        let (last, before) = self.intents.split_last()?;
        for (intent, _) in before {
            vault.await_erasure(call, *intent, false).await;
        }
        let awaited = vault.await_erasure(call, last.0, wait).await;
        let receipt = self.supplements.first().copied().unwrap_or(last.1);
        let mut erasure = Erasure::of(awaited, receipt);
        if self.kept_elsewhere && erasure.state == ErasureState::Erased {
            erasure.state = ErasureState::Kept;
        }
        Some(erasure)
    }
}

/// What goes, by the receipt of the act of forgetting that it outlived.
struct Going {
    pseudonym: PseudonymId,
    names: Vec<KeyName>,
    targets: Vec<(Tree, u64)>,
    rows: Vec<DoomedRow>,
    versions: Vec<VersionId>,
    classes: Vec<ClassId>,
}

fn lodge(txn: &mut Txn<'_>, call: &Call, approved: &Approved, id: HoldId) -> Result<Lodged, Refusal> {
    let (mut hold, mut matter) = find_active(txn, id)?;
    let Taken { gone, copies, kept_elsewhere } = take(txn, &hold, &mut matter)?;
    let owner = match open_subject(txn, call.recorder().vault(), hold.subject) {
        Ok(subject) => Some(subject),
        Err(Fault::Refused(Refusal::State(State::Erased(_)))) => None,
        Err(fault) => return Err(fault.into()),
    };
    let mut lodged = Lodged { intents: Vec::new(), supplements: Vec::new(), kept_elsewhere };
    for (first, going) in gone {
        let intent = intent_of(txn, &hold, first, going.pseudonym, &going)?;
        kept::put_supplement(txn, &first, &intent.receipt);
        begin(txn, call, owner.as_ref(), &intent, &going)?;
        lodged.supplements.push(intent.receipt);
        lodged.intents.push((intent.lodge(txn)?, intent.receipt));
    }
    if !copies.is_empty() {
        let intent = Intent { subject: Some(hold.subject), targets: copies, ..Intent::of_own(What::Copies)? };
        lodged.intents.push((intent.lodge(txn)?, intent.receipt));
    }
    matter.holds = matter.holds.checked_sub(1).ok_or(Unavailable::Damaged)?;
    hold.end(txn, &matter, lodged.intents.iter().map(|(_, receipt)| *receipt).collect())?;
    matter.store(txn)?;
    repeat::remember_matter(txn, call, &matter, Earlier { id: *id.as_bytes(), count: 0 })?;
    let keys = owner.map(|subject| subject.detail_keys(txn)).transpose()?;
    let whom = keys.as_ref().map_or(Whom::Nobody, Whom::Subject);
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(whom, approved.touched(), Ended::Done, at)?);
    Ok(lodged)
}

/// What a release takes away from its matter.
struct Taken {
    gone: BTreeMap<ReceiptId, Going>,
    /// Copies of keys that other reasons have as well.
    copies: Vec<(Tree, u64)>,
    /// Whether any of what the hold kept stays.
    kept_elsewhere: bool,
}

/// Takes every version that the hold kept away from it; from its matter too, where no other hold of it remains; and its
/// rows, where no other reason does.
fn take(txn: &mut Txn<'_>, hold: &Hold, matter: &mut Matter) -> Result<Taken, Refusal> {
    let mut taken = Taken { gone: BTreeMap::new(), copies: Vec::new(), kept_elsewhere: false };
    for id in kept::list(txn, Under::Hold(hold.id), None, usize::MAX)? {
        let (item, entry, said) = open_kept(txn, &id)?;
        let copies = kept::copies(txn, &id)?;
        let own = copies.iter().find(|copy| copy.reason == reason_of(matter.id)).ok_or(Unavailable::Damaged)?;
        kept::unlink_hold(txn, &id, &hold.id);
        let holds: Vec<HoldId> = own.holds.iter().filter(|other| **other != hold.id).copied().collect();
        if !holds.is_empty() {
            kept::put_copy(txn, &id, &Copy { holds, ..own.clone() }, &said.receipt);
            taken.kept_elsewhere = true;
            continue;
        }
        kept::delete_copy(txn, &id, own);
        // Should somebody put the row back while the epoch is awaited, it does not fit the page.
        txn.set(own.tree(), own.position, &Entry { extra: entry.extra + 1, key: entry.key.duplicate(), ..entry })?;
        matter.kept = matter.kept.checked_sub(1).ok_or(Unavailable::Damaged)?;
        let target = (own.tree(), own.position);
        if copies.len() > 1 {
            taken.copies.push(target);
            taken.kept_elsewhere = true;
            continue;
        }
        kept::delete(txn, &id, &said);
        let going = taken.gone.entry(said.receipt).or_insert_with(|| Going::of(said.pseudonym));
        going.names.push(entry.name());
        going.targets.push(target);
        going.rows.extend(said.rows);
        going.versions.push(id);
        if !going.classes.contains(&item.head.class) {
            going.classes.push(item.head.class);
        }
    }
    Ok(taken)
}

impl Going {
    fn of(pseudonym: PseudonymId) -> Self {
        let (names, targets, rows) = (Vec::new(), Vec::new(), Vec::new());
        Self { pseudonym, names, targets, rows, versions: Vec::new(), classes: Vec::new() }
    }

    fn class(&self) -> Option<ClassId> {
        self.classes.first().copied().filter(|_| self.classes.len() == 1)
    }

    /// The one item that goes, if it is one.
    fn item(&self) -> Option<ItemId> {
        let first = self.versions.first()?.item;
        self.versions.iter().all(|id| id.item == first).then_some(first)
    }
}

fn intent_of(
    txn: &Txn<'_>,
    hold: &Hold,
    first: ReceiptId,
    pseudonym: PseudonymId,
    going: &Going,
) -> Result<Intent, Refusal> {
    let case = Case::new(Scope::KeepReason, Ground::Unstated, txn.now(), Vec::new())?;
    let keys = ForgottenKeys::of(going.names.clone());
    Ok(Intent {
        receipt: ReceiptId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?),
        what: What::Kept,
        class: going.class().map(|class| class.as_str().to_owned()).unwrap_or_default(),
        subject: Some(hold.subject),
        item: going.item(),
        targets: going.targets.clone(),
        rows: going.rows.clone(),
        case: Some(Case { keys, pseudonym, supplements: Some(first), ..case }),
    })
}

/// The first entry of an act of forgetting: named by its receipt alone, and not to be linked to the release.
fn begin(
    txn: &mut Txn<'_>,
    call: &Call,
    owner: Option<&OpenSubject>,
    intent: &Intent,
    going: &Going,
) -> Result<(), Refusal> {
    let touched = Touched {
        class: going.class(),
        count: u32::try_from(going.versions.len()).unwrap_or(u32::MAX),
        items: going.versions.iter().map(|id| (id.item, id.version)).collect(),
        ..Touched::default()
    };
    let keys = owner.map(|subject| subject.detail_keys(txn).map(|keys| (keys, subject.id))).transpose()?;
    let whom = match &keys {
        Some((keys, subject)) => Whom::Erasure { keys, subject: *subject, receipt: intent.receipt },
        None => Whom::Evidence(intent.receipt),
    };
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().apart()?.entry(whom, touched, Ended::Started, at)?);
    Ok(())
}
