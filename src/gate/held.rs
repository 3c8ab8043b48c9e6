//! Acts of forgetting that an epoch has carried out while a slot was lost: they count as pending until its end is known.
//!
//! Which keys existed while the lost slot was current is not written down page by page, and a page keeps its key as
//! long as nothing on it is forgotten. So everything that is forgotten while a slot is lost waits for that slot: never
//! less than what its last secret opens.
//!
//! Row: the number of the intent; its receipt, what it was, and the slots it waits for. It is authenticated at its number.

use super::former::{self, Attestation, FormerSlot};
use super::intents::{Intent, What, read_what};
use super::ledger::Ledger;
use super::receipts::{self, Carried, Case, Matter, Progress, ReceiptSigner, Signed};
use super::record::own_event;
use super::refusal::{Refusal, Unavailable};
use super::txn::{Fault, Reads, Txn};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{AttestationId, ReceiptId, SlotId, SubjectId};
use crate::base::limits::SWEEP_ROWS_MAX;
use crate::base::log_safe::SafeText;
use crate::store::keyspace::Space;

const VERSION: u8 = 3;

/// One act that waits.
struct Held {
    receipt: ReceiptId,
    what: What,
    class: String,
    count: u32,
    epoch: u64,
    slots: Vec<SlotId>,
    /// What it takes to make its statement; none for acts without one.
    statement: Option<Statement>,
}

/// What a statement is made of, once it is known what the lost slots came to.
struct Statement {
    matter: Matter,
    case: Case,
    carried: Carried,
}

/// How far a release has come.
pub(super) struct Released {
    /// How many acts were released.
    pub count: u64,
    /// Where to go on; none at the end.
    pub next: Option<Vec<u8>>,
}

/// The slots whose end is not known.
fn lost(former: &[FormerSlot]) -> Vec<SlotId> {
    former.iter().filter(|slot| slot.is_lost()).map(|slot| slot.slot).collect()
}

/// The attestations that whatever is forgotten from now on relies on.
pub(super) fn attestations(former: &[FormerSlot]) -> Vec<(&FormerSlot, &Attestation)> {
    former.iter().filter_map(|slot| slot.attestation().map(|said| (slot, said))).collect()
}

/// How an epoch ended, for the intents that it carried out.
pub(super) struct Ending<'e> {
    /// What every slot showed.
    pub carried: &'e Carried,
    /// Every former slot, as stored now.
    pub former: &'e [FormerSlot],
    /// Makes statements.
    pub signer: &'e ReceiptSigner,
    /// Authenticates what waits.
    pub ledger: &'e Ledger,
}

impl Ending<'_> {
    /// The slots whose end is not known.
    pub fn lost(&self) -> Vec<SlotId> {
        lost(self.former)
    }
}

/// Ends an intent that an epoch has carried out: done, with its statement and its entry, or held while a slot is lost.
/// Whether it is held. `ready` is its statement if that was made before.
pub(super) fn end(
    txn: &mut Txn<'_>,
    number: u64,
    intent: &Intent,
    ending: &Ending<'_>,
    ready: Option<&Signed>,
) -> Result<bool, Refusal> {
    let lost = ending.lost();
    if lost.is_empty() || intent.what == What::Slots {
        done(txn, &Held::of(intent, ending.carried, &[]), ending.former, ending.signer, ready)?;
        return Ok(false);
    }
    let held = Held::of(intent, ending.carried, &lost).encode();
    txn.put(Space::Held, number.to_be_bytes(), ending.ledger.sign(Space::Held, number, held));
    Ok(true)
}

/// Notes in the lost slots' rows that more waits for them.
pub(super) fn count(txn: &mut Txn<'_>, lost: &[SlotId], more: u64) -> Result<(), Refusal> {
    for slot in lost {
        let mut former = former::find(txn, *slot)?.ok_or(Unavailable::Damaged)?;
        former.waiting += more;
        former.put(txn);
    }
    Ok(())
}

/// Whether an intent was carried out and waits for a lost slot.
pub(super) fn is_held(reads: &dyn Reads, number: u64) -> Result<bool, Fault> {
    Ok(reads.row(Space::Held, &number.to_be_bytes())?.is_some())
}

/// Releases what no longer waits for a lost slot, some at a time, from a key on. An act whose row does not read stays as it
/// is, and keeps no other from being released.
pub(super) fn release(txn: &mut Txn<'_>, from: &[u8], signer: &ReceiptSigner) -> Result<Released, Refusal> {
    let former = former::all(txn)?;
    let lost = lost(&former);
    let rows = txn.rows(Space::Held, &[], from, SWEEP_ROWS_MAX)?;
    let next = (rows.len() == SWEEP_ROWS_MAX).then(|| rows.last().map(|(key, _)| [&key[..], &[0]].concat())).flatten();
    let (mut ledger, mut count) = (Ledger::find(txn)?, 0);
    for (key, row) in rows {
        let held = match Held::read(txn, &ledger, &key, &row) {
            Ok(held) => held,
            Err(Refusal::Unavailable(Unavailable::Damaged)) => {
                tracing::error!("an act that waited for a lost slot is not released: its row was changed");
                continue;
            }
            Err(refusal) => return Err(refusal),
        };
        if held.slots.iter().any(|slot| lost.contains(slot)) {
            continue;
        }
        done(txn, &held, &former, signer, None)?;
        txn.delete(Space::Held, key);
        count += 1;
    }
    if count > 0 {
        ledger.release(count)?;
        ledger.store(txn)?;
    }
    Ok(Released { count, next })
}

fn done(
    txn: &mut Txn<'_>,
    held: &Held,
    former: &[FormerSlot],
    signer: &ReceiptSigner,
    ready: Option<&Signed>,
) -> Result<(), Refusal> {
    let attested = attestations(former);
    let event = own_event(SafeText::constant(""), held.epoch)?;
    let made;
    let signed = match (&held.statement, ready) {
        (None, _) => {
            let ids: Vec<AttestationId> = attested.iter().map(|(_, said)| said.id).collect();
            receipts::put_done(txn, &held.receipt, held.epoch, &ids);
            None
        }
        (Some(statement), Some(ready)) => Some((statement, ready)),
        (Some(statement), None) => {
            made = signer.sign(&held.receipt, &statement.case, &statement.carried, &attested);
            Some((statement, &made))
        }
    };
    if let Some((statement, signed)) = signed {
        receipts::put_signed(txn, &held.receipt, held.epoch, statement.matter, (signed, &statement.case.index_keys));
    }
    let signed = signed.map(|(_, signed)| signed);
    txn.record(Intent::done_event(held.what, &held.class, (held.receipt, signed), held.count, event));
    Ok(())
}

impl Statement {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        let subject = r.option(|r| r.array().map(SubjectId::from_bytes))?;
        let (case, carried) = (Case::decode(r.bytes()?)?, Carried::decode(r.bytes()?)?);
        Ok(Self { matter: Matter { scope: case.scope, subject }, case, carried })
    }
}

impl Held {
    fn of(intent: &Intent, carried: &Carried, slots: &[SlotId]) -> Self {
        let Intent { receipt, what, .. } = *intent;
        let count = u32::try_from(intent.targets.len()).unwrap_or(u32::MAX);
        let statement = intent.case.clone().zip(intent.matter());
        let statement = statement.map(|(case, matter)| Statement { matter, case, carried: carried.clone() });
        let (class, epoch) = (intent.class.clone(), carried.epoch);
        Self { receipt, what, class, count, epoch, slots: slots.to_vec(), statement }
    }

    fn encode(&self) -> Vec<u8> {
        Writer::new()
            .u8(VERSION)
            .raw(self.receipt.as_bytes())
            .u8(self.what as u8)
            .text(&self.class)
            .u32(self.count)
            .u64(self.epoch)
            .list(self.slots.iter(), |w, slot| w.raw(slot.as_bytes()))
            .option(self.statement.as_ref(), |w, statement| {
                let w = w.option(statement.matter.subject, |w, id| w.raw(id.as_bytes()));
                w.bytes(&statement.case.encode()).bytes(&statement.carried.encode())
            })
            .finish()
    }

    /// Reads a row, if it belongs where it is and was not released before.
    fn read(reads: &dyn Reads, ledger: &Ledger, key: &[u8], row: &[u8]) -> Result<Self, Refusal> {
        let number = key.try_into().map(u64::from_be_bytes).map_err(|_| Unavailable::Damaged)?;
        let row = ledger.check(Space::Held, number, row).map_err(|_| Unavailable::Damaged)?;
        let held = Self::decode(row).map_err(|_| Unavailable::Damaged)?;
        let waits = receipts::find(reads, &held.receipt)? == Some(Progress::Pending { intent: number });
        if waits { Ok(held) } else { Err(Unavailable::Damaged.into()) }
    }

    fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let held = Self {
            receipt: ReceiptId::from_bytes(r.array()?),
            what: read_what(r.u8()?)?,
            class: r.text()?.to_owned(),
            count: r.u32()?,
            epoch: r.u64()?,
            slots: r.list(|r| r.array().map(SlotId::from_bytes))?,
            statement: r.option(Statement::read)?,
        };
        r.finish()?;
        Ok(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::open::tests::{Bench, OURS};
    use crate::gate::vault::Vault;

    /// What a change on the writer's thread gives.
    fn changed<T: Send + 'static>(
        vault: &Vault,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
    ) -> T {
        vault.committer().commit_blocking(work, false).expect("is changed")
    }

    /// Lodges an act and has it carried out, but for the end of a slot. Its number and receipt.
    fn waits(txn: &mut Txn<'_>) -> Result<(u64, ReceiptId), Refusal> {
        let intent = Intent::of_own(What::Copies)?;
        let number = intent.lodge(txn)?;
        let mut ledger = Ledger::find(txn)?;
        ledger.prepare(number)?;
        ledger.finish(number, 1)?;
        ledger.store(txn)?;
        let (class, statement) = (String::new(), None);
        let held =
            Held { receipt: intent.receipt, what: intent.what, class, count: 1, epoch: 1, slots: vec![], statement };
        txn.delete(Space::Intent, number.to_be_bytes());
        txn.put(Space::Held, number.to_be_bytes(), ledger.sign(Space::Held, number, held.encode()));
        Ok((number, intent.receipt))
    }

    fn row(txn: &Txn<'_>, number: u64) -> Result<Vec<u8>, Refusal> {
        Ok(txn.row(Space::Held, &number.to_be_bytes())?.ok_or(Unavailable::Damaged)?)
    }

    #[test]
    fn an_act_that_waits_is_read_at_its_own_number_and_while_its_receipt_waits_for_it() {
        let bench = Bench::new();
        let vault = bench.open(OURS, bench.key_file()).expect("opens");
        let (receipt, read) = changed(&vault, |txn| {
            let (number, receipt) = waits(txn)?;
            let (ledger, row) = (Ledger::find(txn)?, row(txn, number)?);
            let read = |txn: &Txn<'_>, number: u64, row: &[u8]| {
                Held::read(txn, &ledger, &number.to_be_bytes(), row).map(|held| held.receipt)
            };
            let mut flipped = row.clone();
            flipped[25] ^= 1;
            let mut found = vec![read(txn, number, &row), read(txn, number + 1, &row), read(txn, number, &flipped)];
            receipts::put_pending(txn, &receipt, number + 1, None);
            found.push(read(txn, number, &row));
            receipts::put_done(txn, &receipt, 1, &[]);
            found.push(read(txn, number, &row));
            Ok((receipt, found))
        });
        let damaged = Err(Unavailable::Damaged.into());
        let expected = [Ok(receipt), damaged.clone(), damaged.clone(), damaged.clone(), damaged];
        assert_eq!(read, expected, "its own; another number; changed; another waits; released already");
    }

    #[test]
    fn every_act_is_released_once_and_a_damaged_one_when_it_is_as_it_was() {
        let bench = Bench::new();
        let vault = bench.open(OURS, bench.key_file()).expect("opens");
        let signer = vault.receipts().clone();
        let counts = changed(&vault, move |txn| {
            let [(one, first), (two, second)] = [waits(txn)?, waits(txn)?];
            let (of_one, of_two) = (row(txn, one)?, row(txn, two)?);
            let release = |txn: &mut Txn<'_>, puts: [(u64, &[u8]); 2]| {
                puts.into_iter().for_each(|(number, row)| txn.put(Space::Held, number.to_be_bytes(), row));
                let released = release(txn, &[], &signer)?.count;
                let done = |receipt| Ok::<_, Refusal>(receipts::find(txn, receipt)?.is_some_and(Progress::is_done));
                Ok::<_, Refusal>((released, Ledger::find(txn)?.held(), [done(&first)?, done(&second)?]))
            };
            let damaged = release(txn, [(one, &of_one[1..]), (two, &of_two)])?;
            // What is released already is put back, too.
            Ok([damaged, release(txn, [(one, &of_one), (two, &of_two)])?])
        });
        assert_eq!(counts, [(1, 1, [false, true]), (1, 0, [true, true])]);
    }
}
