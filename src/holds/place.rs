//! PlaceHold: from the moment it returns, nothing that it covers is forgotten.

use crate::base::id::{HoldId, ItemId};
use crate::base::limits::HOLDS_PER_SUBJECT_MAX;
use crate::catalog::class::ClassId;
use crate::catalog::classes::class_of;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Fault as Invalid, FaultReason, Refusal, State};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::gate::vault::Vault;
use crate::items::record::{ItemRow, OpenSubject, Target, class_and_version, decode_item, item_key};
use crate::items::recorded::refuse;
use crate::items::repeat::record_repeat;
use crate::items::subject::each_row;
use crate::keep::hold::{self, Hold, Scope};
use crate::keep::kept::{self, Under};
use crate::keep::matter;
use crate::policy::question::Resource;
use crate::store::keyspace::Space;

use super::model::{HoldView, Placing, PlacingScope};
use super::repeat::{self, Earlier};
use super::view;

/// Places a hold. How many item versions it covers now.
///
/// # Durability
/// On `Ok` it survives power loss, and everything that is forgotten from then on respects it.
///
/// # Errors
/// [`State::NotFound`]; [`State::Erased`] for what an earlier act of forgetting took, also while that is pending;
/// [`State::MatterClosed`]; a class that there is not.
pub async fn place(vault: &Vault, call: &Call, placing: Placing) -> Result<(HoldView, u64), Refusal> {
    let named = placing.subject.duplicate();
    let (caller, target) = (call.clone(), Target::of(&placing.subject));
    let work = move |txn: &mut Txn<'_>| match repeat::of_subject(txn, &caller, txn.now())? {
        Some(earlier) => again(txn, &caller, earlier),
        None => store(txn, &caller, &target, &placing),
    };
    match vault.committer().commit(work).await {
        Ok(placed) => Ok(placed),
        Err(refusal) => Err(refuse(vault, call, Some(&named), Touched::default(), refusal).await),
    }
}

fn again(txn: &mut Txn<'_>, call: &Call, earlier: Earlier) -> Result<(HoldView, u64), Refusal> {
    let (hold, _) = hold::find(txn, HoldId::from_bytes(earlier.id))?.ok_or(State::NotFound)?;
    record_repeat(txn, call, hold.subject)?;
    Ok((view::of_hold(txn, &hold)?, earlier.count))
}

fn store(txn: &mut Txn<'_>, call: &Call, target: &Target, placing: &Placing) -> Result<(HoldView, u64), Refusal> {
    let mut subject = target.open(txn, call)?;
    let permit = call.permit(Resource::Subject(subject.row.standing.clone()))?;
    let mut matter = matter::find(txn, placing.matter)?.ok_or(State::NotFound)?;
    if matter.closed.is_some() {
        return Err(State::MatterClosed.into());
    }
    let in_force = hold::in_force(txn, &subject.id, subject.row.holds)?.len();
    if in_force >= HOLDS_PER_SUBJECT_MAX {
        return Err(Invalid::new("subject", FaultReason::TooMany).into());
    }
    let Covered { scope, versions } = Covered::of(txn, &subject, &placing.scope)?;
    let count = versions.len() as u64;
    let is_open_ended = matches!(scope, Scope::Subject { future: true, .. });
    let listed = if is_open_ended { &[][..] } else { &versions[..] };
    let hold = Hold::place(txn, &matter, subject.id, (scope, placing.history), listed)?;
    subject.row.holds = u32::try_from(in_force + 1).ok();
    subject.store(txn, call.recorder().vault())?;
    matter.holds += 1;
    matter.store(txn)?;
    repeat::remember_subject(txn, call, &subject, Earlier { id: *hold.id.as_bytes(), count })?;
    let items = match &placing.scope {
        PlacingScope::Items(_) => versions.clone(),
        PlacingScope::Subject { .. } => Vec::new(),
    };
    let touched = Touched {
        rule: Some(permit.rule().clone()),
        count: u32::try_from(count).unwrap_or(u32::MAX),
        items,
        fields: vec![matter.id.to_string(), hold.id.to_string()],
        ..Touched::default()
    };
    let keys = subject.detail_keys(txn)?;
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(Whom::Subject(&keys), touched, Ended::Done, at)?);
    Ok((view::of_hold(txn, &hold)?, count))
}

/// What a hold covers, and the versions of it that there are now.
struct Covered {
    scope: Scope,
    versions: Vec<(ItemId, u64)>,
}

impl Covered {
    fn of(reads: &dyn Reads, subject: &OpenSubject, wanted: &PlacingScope) -> Result<Self, Refusal> {
        match wanted {
            PlacingScope::Subject { classes, future } => {
                let classes = known(classes)?;
                let mut versions = Vec::new();
                // On the writer's thread, and perhaps very many: no more is read of each than it takes.
                each_row(reads, &subject.id, |item, row| {
                    let covered = class_and_version(row)?;
                    let covered = covered.filter(|(class, _)| classes.is_empty() || classes.contains(class));
                    versions.extend(covered.map(|(_, version)| (item, version)));
                    Ok(())
                })?;
                Ok(Self { scope: Scope::Subject { classes, future: *future }, versions })
            }
            PlacingScope::Items(wanted) => {
                let mut versions = Vec::with_capacity(wanted.len());
                for (item, version) in wanted {
                    versions.push((*item, live_version(reads, subject, *item, *version)?));
                }
                versions.sort_unstable();
                versions.dedup();
                Ok(Self { scope: Scope::Items, versions })
            }
        }
    }
}

fn known(names: &[String]) -> Result<Vec<ClassId>, Refusal> {
    let mut classes = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let field = || format!("subject_scope.classes[{index}]");
        let class = class_of(name).ok_or_else(|| Invalid::new(field(), FaultReason::ClassUnknown))?.id;
        if !classes.contains(&class) {
            classes.push(class);
        }
    }
    Ok(classes)
}

/// The version of an item that the account has, if it is the one that is named.
fn live_version(reads: &dyn Reads, subject: &OpenSubject, item: ItemId, version: u64) -> Result<u64, Refusal> {
    let row = reads.row(Space::Item, &item_key(&subject.id, &item))?;
    match row.map(|row| decode_item(item, &row)).transpose()? {
        Some(ItemRow::Live(live)) if version == 0 || version == live.head.version => Ok(live.head.version),
        Some(ItemRow::Live(live)) if version < live.head.version => {
            Err(erased(reads, subject, Under::Version(item, version))?.unwrap_or(State::Erased(None)).into())
        }
        Some(ItemRow::Live(_)) => Err(State::NotFound.into()),
        Some(ItemRow::Deleted(receipt)) => Err(State::Erased(Some(receipt)).into()),
        None => Err(erased(reads, subject, Under::Item(item))?.unwrap_or(State::NotFound).into()),
    }
}

/// That something of the subject is erased as far as its account goes, and kept by others.
fn erased(reads: &dyn Reads, subject: &OpenSubject, under: Under) -> Result<Option<State>, Fault> {
    let Some(id) = kept::list(reads, under, None, 1)?.pop() else { return Ok(None) };
    let kept = kept::find(reads, &id)?.ok_or(Fault::Torn)?;
    let stated = kept.stated();
    Ok((stated.subject == subject.id).then_some(State::Erased(Some(stated.receipt))))
}
