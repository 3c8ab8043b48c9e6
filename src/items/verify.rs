//! VerifyPassword: whether a password is right.
//!
//! Whatever is there and whoever asks, one hash is computed: against the stored verifier, or against nothing. Absent,
//! denied to a role that may not know, without a password, and wrong are one answer, after the same work; the log
//! tells them apart.

use crate::audit::detail::DetailKeys;
use crate::base::id::{ItemId, ReceiptId, SubjectId};
use crate::base::log_safe::SafeText;
use crate::base::secret::{Key, PlainValue};
use crate::base::time::Timestamp;
use crate::catalog::classes::password::{self, Verifier};
use crate::catalog::classes::{CanonicalValue, ItemValue};
use crate::catalog::text::Text;
use crate::crypto::passphrase::PASSWORDS;
use crate::crypto::{mac, rng};
use crate::gate::call::Call;
use crate::gate::once;
use crate::gate::readings::Reading;
use crate::gate::receipts::{self, Progress};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Denied, Refusal, State, Told, Unavailable};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::gate::vault::Vault;
use crate::store::keyspace::Space;

use super::draft::{Version, store_version};
use super::going;
use super::model::PasswordTest;
use super::record::{ItemHead, ItemRow, StoredItem, Target, decode_item, item_key, open_subject_to_tell};
use super::recorded::refuse;
use super::secret::{cost, hash, make};
use super::show::find;
use super::subject::each_item;

/// Tests a password: when it was set, if it is right.
///
/// # Durability
/// The entry that says so is durable before the answer. Tries are counted in memory.
///
/// # Errors
/// [`Refusal::RateLimited`]; a denial that the role may be told of. A wrong password is none.
pub async fn verify(vault: &Vault, call: &Call, test: PasswordTest) -> Result<Option<Timestamp>, Refusal> {
    let PasswordTest { subject: named, item, secret } = test;
    let items = item.iter().map(|item| (*item, 0)).collect();
    let touched = Touched { class: Some(password::ID), count: 1, items, ..Touched::default() };
    let target = Target::of(&named);
    let id = vault.read(|reads| target.id(reads)).ok();
    let reading = id.map(|id| vault.readings().begin(id, item));
    let counter = {
        let by_name = match &target {
            Target::External(name) => name.expose().as_bytes(),
            Target::Id(_) => &[],
        };
        vault.tries().counter(call.caller(), id.as_ref().map_or(by_name, |id| id.as_bytes()))
    };
    if let Err(wait) = vault.tries().take(counter) {
        let limited = Refusal::RateLimited { retry_after: wait };
        return Err(refuse(vault, call, Some(&named), touched, limited).await);
    }
    let found = look(vault, call, &target, item);
    let (is_right, secret) = match compare(vault, found.as_ref().ok(), secret).await {
        Ok(compared) => compared,
        Err(unavailable) => {
            vault.tries().give_back(counter);
            return Err(refuse(vault, call, Some(&named), touched, unavailable.into()).await);
        }
    };
    let found = match found {
        Ok(found) => found,
        Err(refusal) => {
            let is_absence = is_absence(&refusal);
            return match refuse(vault, call, Some(&named), touched, refusal).await {
                Refusal::Unavailable(unavailable) => Err(unavailable.into()),
                _ if is_absence => Ok(None),
                refusal => Err(refusal),
            };
        }
    };
    if is_right {
        vault.tries().clear(counter);
    }
    let set = found.verifier.set;
    record(vault, call, (found, touched), reading, is_right.then_some(secret)).await?;
    if !is_right {
        call.keep_time().await;
    }
    Ok(is_right.then_some(set))
}

/// Whether a refusal says no more than that there is no such password.
fn is_absence(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::State(State::NotFound | State::Erased(_) | State::SubjectErased | State::ItemErased) => true,
        Refusal::Access(Access::Denied(Denied { told, .. })) => *told == Told::Absent,
        Refusal::State(_)
        | Refusal::Access(_)
        | Refusal::Invalid(_)
        | Refusal::Approving(_)
        | Refusal::Slots(_)
        | Refusal::Document(_)
        | Refusal::RateLimited { .. }
        | Refusal::Unavailable(_) => false,
    }
}

/// A password that is there and may be tested.
struct Found {
    subject: SubjectId,
    item: ItemId,
    version: u64,
    counter: u64,
    verifier: Verifier,
    rule: SafeText,
    keys: DetailKeys,
}

fn look(vault: &Vault, call: &Call, target: &Target, item: Option<ItemId>) -> Result<Found, Refusal> {
    vault.read(|reads| {
        let subject = target.open(reads, call)?;
        let permit = call.permit(subject.data(call.purpose(), password::ID)).map_err(Refusal::from)?;
        let absent = || Refusal::from(State::NotFound);
        let item = match item {
            Some(item) => find(reads, &subject, item, 0)?,
            None => newest(reads, &subject.id)?.ok_or_else(absent)?,
        };
        if item.head.class != password::ID {
            return Err(absent().into());
        }
        let content = item.open(reads, vault.id(), subject.tree())?;
        let value = CanonicalValue::decode(password::ID, content.value.expose()).map(CanonicalValue::into_value);
        let Ok(ItemValue::Password(password::Password { verifier: Some(verifier), .. })) = value else {
            return Err(Refusal::from(Unavailable::Damaged).into());
        };
        Ok(Found {
            subject: subject.id,
            item: item.id,
            version: item.head.version,
            counter: item.head.counter,
            verifier,
            rule: permit.rule().clone(),
            keys: subject.detail_keys(reads)?,
        })
    })
}

/// The password that was created last. However many items a person has, few are held at a time.
fn newest(reads: &dyn Reads, subject: &SubjectId) -> Result<Option<StoredItem>, Fault> {
    let mut newest: Option<StoredItem> = None;
    let age = |item: &StoredItem| (item.head.created, item.head.order, item.id);
    each_item(reads, subject, |item| {
        if item.head.class == password::ID && newest.as_ref().is_none_or(|known| age(known) < age(&item)) {
            newest = Some(item);
        }
    })?;
    Ok(newest)
}

/// Computes one hash, whatever was found. Whether the secret is the one that was set, and the secret as it is hashed.
async fn compare(vault: &Vault, found: Option<&Found>, secret: Text) -> Result<(bool, Text), Unavailable> {
    let verifier = found.map(|found| &found.verifier);
    let (salt, cost) = verifier.map_or(([0; 16], PASSWORDS), |verifier| (verifier.salt, cost(verifier)));
    let tag = verifier.map_or(Key::copied(&[0; 32]), |verifier| verifier.tag.duplicate());
    let is_there = verifier.is_some();
    let work = move || {
        let secret = password::normal(secret.expose());
        let computed = hash(&secret, &salt, cost)?;
        Ok((mac::equal(computed.expose(), tag.expose()) && is_there, secret))
    };
    vault.hashing().run(work).await?
}

/// Records what came of it, and makes the verifier anew if it has become too cheap.
async fn record(
    vault: &Vault,
    call: &Call,
    (found, touched): (Found, Touched),
    reading: Option<Reading>,
    right: Option<Text>,
) -> Result<(), Refusal> {
    let touched = Touched {
        rule: Some(found.rule.clone()),
        items: vec![(found.item, found.version)],
        fields: vec![format!("verified={}", right.is_some())],
        ..touched
    };
    let at = (vault.now(), vault.epoch());
    let entry = call.recorder().entry(Whom::Subject(&found.keys), touched, Ended::Done, at)?;
    let renewed = match right {
        Some(secret) if cost(&found.verifier) != PASSWORDS => renewed(vault, secret, found.verifier.set).await,
        _ => None,
    };
    // An erasure that began meanwhile waits for this reading, or cuts it. Renewing the verifier is no reading.
    let recorded = vault.record(vec![entry]);
    match reading {
        None => recorded.await?,
        Some(reading) => reading.unless_cut(recorded).await.ok_or_else(|| reading.ended_by())??,
    }
    if let Some(value) = renewed {
        renew(vault, call, found, value).await;
    }
    Ok(())
}

/// A verifier of the same secret at today's cost; none if there is no room for that now.
async fn renewed(vault: &Vault, secret: Text, set: Timestamp) -> Option<PlainValue> {
    let salt = rng::make_bytes().ok()?;
    vault.hashing().run(move || make(&secret, salt, set)).await.ok()?.ok().map(password::encoded)
}

/// Stores a verifier in place of another, whose key is forgotten. The version stays: the password is the same. Where
/// that fails, the next time does.
async fn renew(vault: &Vault, call: &Call, found: Found, value: PlainValue) {
    let Ok(receipt) = rng::make_bytes().map(ReceiptId::from_bytes) else { return };
    let asked = call.clone();
    let work = move |txn: &mut Txn<'_>| replace(txn, &asked, &found, value, receipt);
    if let Ok(Some(Progress::Pending { intent })) = vault.committer().commit(work).await {
        vault.await_erasure(call, intent, false).await;
    }
}

fn replace(
    txn: &mut Txn<'_>,
    call: &Call,
    found: &Found,
    value: PlainValue,
    receipt: ReceiptId,
) -> Result<Option<Progress>, Refusal> {
    let vault = *txn.index().vault();
    let subject = open_subject_to_tell(txn, &vault, found.subject)?;
    let row = txn.row(Space::Item, &item_key(&subject.id, &found.item))?.ok_or(State::NotFound)?;
    let ItemRow::Live(old) = decode_item(found.item, &row)? else { return Err(State::NotFound.into()) };
    if (old.head.version, old.head.counter) != (found.version, found.counter) {
        return Ok(None); // it was changed meanwhile
    }
    let notes = old.open(txn, &vault, subject.tree())?.notes;
    let head = ItemHead { counter: old.head.counter + 1, ..old.head.clone() };
    store_version(txn, &vault, &subject.id, subject.tree(), Version { id: old.id, head, value, notes })?;
    once::forget(txn, old.id.as_bytes(), subject.id, receipt)?;
    going::with_version(txn, &subject, &old, (receipt, call.registry()), Vec::new())?.lodge(txn)?;
    let keys = subject.detail_keys(txn)?;
    let whom = Whom::Erasure { keys: &keys, subject: subject.id, receipt };
    let items = vec![(old.id, old.head.version)];
    let touched = Touched { class: Some(password::ID), count: 1, items, ..Touched::default() };
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().apart()?.entry(whom, touched, Ended::Started, at)?);
    Ok(receipts::find(txn, &receipt)?)
}
