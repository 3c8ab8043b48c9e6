//! PutItem and BatchPutItems: new items, of subjects that exist or, in a batch, are created along the way.

use std::collections::HashMap;

use tokio::sync::Mutex;

use crate::base::id::SubjectId;
use crate::base::limits::PUT_ENTRIES_MAX;
use crate::base::time::Timestamp;
use crate::gate::call::Call;
use crate::gate::once::Once;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Fault, FaultReason, Refusal, State, Unavailable};
use crate::gate::txn::{self, Txn};
use crate::gate::vault::Vault;
use crate::policy::action::Action;

use super::draft::{Draft, permit_to_write, touched};
use super::model::{NewItem, PutDone, PutEntry, Stamp, SubjectRef};
use super::person::{NewPerson, Placed};
use super::record::Target;
use super::recorded::refuse;
use super::repeat::{Answer, record_repeat, remember, repeated};

/// Creates one item.
///
/// # Durability
/// On `Ok` the item and its entry survive power loss; on an error nothing was created.
pub async fn put(vault: &Vault, call: &Call, named: SubjectRef, item: NewItem) -> Result<(SubjectId, Stamp), Refusal> {
    let stored = match Draft::check(call, item, vault.now(), "item") {
        Err(refusal) => Err(refusal),
        Ok(draft) => {
            let target = Target::of(&named);
            let mut unit = Unit { target, person: None, drafts: vec![draft], once: call.once().cloned() };
            match unit.harden(vault).await {
                Ok(()) => unit.commit(vault, call).await,
                Err(refusal) => Err(refusal),
            }
        }
    };
    match stored {
        Ok(Answer { subject, items, .. }) if items.len() == 1 => {
            Ok((subject, items.into_iter().next().expect("there is one")))
        }
        Ok(_) => Err(State::IdempotencyKeyReused.into()),
        Err(refusal) => Err(refuse(vault, call, Some(&named), Touched::default(), refusal).await),
    }
}

/// Creates items with a shared sync; each succeeds or fails by itself, but for those that create one subject: they
/// are stored or refused together.
///
/// # Durability
/// As for [`put`], entry by entry.
pub async fn put_batch(
    vault: &Vault,
    call: &Call,
    entries: Vec<PutEntry>,
) -> Result<Vec<Result<PutDone, Refusal>>, Refusal> {
    if entries.len() > PUT_ENTRIES_MAX {
        return Err(vault.refuse(call, Fault::new("entries", FaultReason::TooMany).into()).await);
    }
    let mut done: Vec<Option<Result<PutDone, Refusal>>> = entries.iter().map(|_| None).collect();
    let groups = grouped(entries);
    let turn = Mutex::new(());
    let preparing = groups.into_iter().enumerate().map(|(number, group)| {
        Box::pin(prepare(vault, call, (number, group), &turn)) as Running<'_, (Entries, Result<Unit, Failed>)>
    });
    let (mut units, mut outcomes) = (Vec::new(), Vec::new());
    for (entries, prepared) in join_all(preparing.collect()).await {
        let failed = match prepared {
            Ok(unit) => {
                units.push(unit);
                None
            }
            Err(failed) => Some(failed),
        };
        outcomes.push((entries, failed));
    }
    // All are handed to the writer at once, so that they share its sync.
    let work = |unit: Unit| {
        let call = call.clone();
        move |txn: &mut Txn<'_>| unit.store(txn, &call)
    };
    let works: Vec<_> = units.into_iter().map(work).collect();
    let mut stored = vault.committer().commit_all(works).await.into_iter();
    let finishing = outcomes.into_iter().map(|(entries, failed)| {
        let outcome = match failed {
            Some(failed) => Err(failed),
            // Every unit that was prepared has an outcome, in order.
            None => stored.next().unwrap_or(Err(Unavailable::Internal.into())).map_err(Failed::Whole),
        };
        Box::pin(finish(vault, call, entries, outcome)) as Running<'_, Vec<(usize, Result<PutDone, Refusal>)>>
    });
    let finishing: Vec<_> = finishing.collect();
    for (at, outcome) in join_all(finishing).await.into_iter().flatten() {
        done[at] = Some(outcome);
    }
    // Every entry is in one group, and every group answers all of its entries.
    Ok(done.into_iter().flatten().collect())
}

/// Entries that are stored together, each with its place in the batch.
type Group = Vec<(usize, PutEntry)>;

fn grouped(entries: Vec<PutEntry>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::with_capacity(entries.len());
    let mut creating: HashMap<Vec<u8>, usize> = HashMap::new();
    for (at, entry) in entries.into_iter().enumerate() {
        let shared = match &entry.subject {
            SubjectRef::External(id) if entry.create_subject => Some(id.expose().as_bytes().to_vec()),
            SubjectRef::External(_) | SubjectRef::Id(_) => None,
        };
        match shared {
            None => groups.push(vec![(at, entry)]),
            Some(id) => match creating.get(&id) {
                Some(group) => groups[*group].push((at, entry)),
                None => {
                    creating.insert(id, groups.len());
                    groups.push(vec![(at, entry)]);
                }
            },
        }
    }
    groups
}

/// What is answered about a group: the place of each entry and whether it has an item; and whose they are.
type Entries = (Vec<(usize, bool)>, Option<SubjectRef>);

/// Why a group is refused.
enum Failed {
    /// For something that concerns all of it.
    Whole(Refusal),
    /// For what is wrong with entries, each by its place; there is at least one.
    Entries(Vec<(usize, Refusal)>),
}

/// Checks a group. Passwords of one batch take turns, so that a batch of them is one among others that wait.
async fn prepare(
    vault: &Vault,
    call: &Call,
    (number, group): (usize, Group),
    turn: &Mutex<()>,
) -> (Entries, Result<Unit, Failed>) {
    let places: Vec<(usize, bool)> = group.iter().map(|(at, entry)| (*at, entry.item.is_some())).collect();
    let named = group.first().map(|(_, entry)| entry.subject.duplicate());
    let unit = match Unit::check(vault, call, number, group) {
        Ok(unit) => unit.hardened(vault, turn).await.map_err(Failed::Whole),
        Err(failed) => Err(failed),
    };
    ((places, named), unit)
}

/// What became of each entry of a group. A refusal is recorded.
async fn finish(
    vault: &Vault,
    call: &Call,
    (places, named): Entries,
    outcome: Result<Answer, Failed>,
) -> Vec<(usize, Result<PutDone, Refusal>)> {
    match outcome {
        Ok(answer) => {
            let mut stamps = answer.items.into_iter();
            let mut created = answer.created;
            let done = places.into_iter().map(|(at, has_item)| {
                let item = if has_item { stamps.next() } else { None };
                let subject_created = std::mem::take(&mut created);
                (at, Ok(PutDone { subject: answer.subject, item, subject_created }))
            });
            done.collect()
        }
        Err(Failed::Whole(refusal)) => {
            let refusal = refuse(vault, call, named.as_ref(), Touched::default(), refusal).await;
            places.into_iter().map(|(place, _)| (place, Err(refusal.clone()))).collect()
        }
        Err(Failed::Entries(faulty)) => {
            // One entry in the log, as for the person's items if they were stored. Where it cannot be made, nothing is told.
            let first = faulty.first().map_or(Unavailable::Internal.into(), |(_, refusal)| refusal.clone());
            let recorded = refuse(vault, call, named.as_ref(), Touched::default(), first.clone()).await;
            let mut faulty: HashMap<usize, Refusal> = faulty.into_iter().collect();
            let mut told = |place: usize| match (recorded == first, faulty.remove(&place)) {
                (false, _) => recorded.clone(),
                (true, Some(refusal)) => refusal,
                (true, None) => refused_together(),
            };
            places.into_iter().map(|(place, _)| (place, Err(told(place)))).collect()
        }
    }
}

fn refused_together() -> Refusal {
    Fault::new("create_subject", FaultReason::Conflict).into()
}

/// What the entries of a group come to.
#[derive(Default)]
struct Parts {
    person: Option<NewPerson>,
    drafts: Vec<Draft>,
    digests: Vec<u8>,
}

impl Parts {
    fn take(&mut self, call: &Call, entry: PutEntry, now: Timestamp) -> Result<(), Refusal> {
        if entry.create_subject && self.person.is_none() {
            let SubjectRef::External(id) = entry.subject else {
                return Err(Fault::new("create_subject", FaultReason::Conflict).into());
            };
            self.person = Some(NewPerson::make(id, entry.labels)?);
        }
        self.digests.extend_from_slice(&entry.digest);
        match entry.item {
            Some(item) => self.drafts.push(Draft::check(call, item, now, "item")?),
            None if entry.create_subject => {}
            None => return Err(Fault::new("item", FaultReason::Required).into()),
        }
        Ok(())
    }
}

/// What is stored together: items of one subject, and perhaps the subject.
struct Unit {
    target: Target,
    person: Option<NewPerson>,
    drafts: Vec<Draft>,
    once: Option<Once>,
}

impl Unit {
    /// Checks all entries of a group.
    fn check(vault: &Vault, call: &Call, number: usize, group: Group) -> Result<Self, Failed> {
        let mut unit = Parts::default();
        let target = group.first().map(|(_, entry)| Target::of(&entry.subject));
        let mut faulty = Vec::new();
        for (at, entry) in group {
            if let Err(refusal) = unit.take(call, entry, vault.now()) {
                faulty.push((at, refusal));
            }
        }
        if !faulty.is_empty() {
            return Err(Failed::Entries(faulty));
        }
        let Parts { person, drafts, digests } = unit;
        let part = u32::try_from(number).unwrap_or(u32::MAX);
        let digest = crate::crypto::hash::sha256(&[&digests]);
        let once = call.once().map(|once| once.part(part + 1, digest));
        let target = target.ok_or(Failed::Whole(Unavailable::Internal.into()))?; // no group is empty
        Ok(Self { target, person, drafts, once })
    }

    async fn hardened(mut self, vault: &Vault, turn: &Mutex<()>) -> Result<Self, Refusal> {
        if self.drafts.iter().any(Draft::is_secret) {
            let _turn = turn.lock().await;
            self.harden(vault).await?;
        }
        Ok(self)
    }

    async fn harden(&mut self, vault: &Vault) -> Result<(), Refusal> {
        for draft in &mut self.drafts {
            self.once = draft.harden(vault, self.once.take()).await?;
        }
        Ok(())
    }

    async fn commit(self, vault: &Vault, call: &Call) -> Result<Answer, Refusal> {
        let call = call.clone();
        vault.committer().commit(move |txn| self.store(txn, &call)).await
    }

    fn store(self, txn: &mut Txn<'_>, call: &Call) -> Result<Answer, Refusal> {
        let vault = call.recorder().vault();
        if let Some(repeated) = repeated(txn, vault, self.once.as_ref(), txn.now())? {
            let answer = repeated.standing()?;
            record_repeat(txn, call, answer.subject)?;
            return Ok(answer);
        }
        let mut rule = None;
        let (placed, created) = match (self.target.open(txn, call), self.person) {
            (Ok(subject), _) => {
                for draft in &self.drafts {
                    rule = Some(permit_to_write(call, subject.data(call.purpose(), draft.class()))?);
                }
                let detail_keys = subject.detail_keys(txn)?;
                (Placed { id: subject.id, tree: subject.tree(), detail_keys }, false)
            }
            (Err(txn::Fault::Refused(Refusal::State(State::NotFound))), Some(person)) => {
                rule = Some(call.permit_to(Action::CreateSubject, person.resource())?.rule().clone());
                for draft in &self.drafts {
                    rule = Some(permit_to_write(call, person.data(draft.class()))?);
                }
                (person.store(txn, vault)?, true)
            }
            (Err(fault), _) => return Err(fault.into()),
        };
        let touched = touched(&self.drafts, rule);
        let mut items = Vec::with_capacity(self.drafts.len());
        for (order, draft) in self.drafts.into_iter().enumerate() {
            items.push(draft.store(txn, vault, (&placed.id, placed.tree), order)?);
        }
        let answer = Answer { subject: placed.id, created, time: txn.now(), items, receipt: None };
        remember(txn, vault, self.once.as_ref(), &answer)?;
        let at = (txn.now(), txn.epoch());
        txn.record(call.recorder().entry(Whom::Subject(&placed.detail_keys), touched, Ended::Done, at)?);
        Ok(answer)
    }
}

type Running<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs all at once; answers in order.
async fn join_all<T>(mut running: Vec<Running<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, slot) in running.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *slot = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}
