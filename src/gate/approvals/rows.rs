//! Where approvals are: rows by id, in order of time, and by requester as long as they are open.
//!
//! ```text
//! 1 | id                    -> created, sealed record
//! 2 | !created | id         -> nothing: newest first
//! 3 | requester | id        -> nothing: not used, rejected or found to be expired
//! ```

use super::record::{Approval, ApprovalKeys, Standing, Stored};
use crate::base::codec::{Reader, Writer};
use crate::base::id::{ActorId, ApprovalId, VaultId};
use crate::base::limits::{APPROVAL_KEEP_DAYS, SWEEP_ROWS_MAX};
use crate::base::time::Timestamp;
use crate::gate::periods;
use crate::gate::refusal::Refusal;
use crate::gate::service_keys::{self, Name};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::store::keyspace::Space;

const RECORD: u8 = 1;
const ORDER: u8 = 2;
const OPEN: u8 = 3;

/// Where a list goes on: before this time and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub created: Timestamp,
    pub id: ApprovalId,
}

/// The approval of an id.
pub(super) fn find(reads: &dyn Reads, vault: &VaultId, id: ApprovalId) -> Result<Option<Approval>, Fault> {
    let Some(row) = reads.row(Space::Approval, &record_key(id))? else { return Ok(None) };
    let mut r = Reader::new(&row);
    let created = Timestamp::from_millis(r.i64().map_err(|_| Fault::Torn)?);
    let key = service_keys::find(reads, Name::Approvals(periods::of_approvals(created)))?.ok_or(Fault::Torn)?;
    let opened = ApprovalKeys::of(&key).open(vault, id, created, r.rest());
    opened.map(Some).map_err(|_| Fault::Torn)
}

/// Writes an approval, new or changed.
pub(super) fn put(txn: &mut Txn<'_>, vault: &VaultId, approval: &Approval) -> Result<(), Refusal> {
    let Approval { id, created, .. } = *approval;
    let key = service_keys::find_or_make(txn, Name::Approvals(periods::of_approvals(created)))?;
    let sealed = ApprovalKeys::of(&key).seal(vault, approval)?;
    txn.put(Space::Approval, record_key(id), Writer::new().i64(created.as_millis()).raw(&sealed).finish());
    txn.put(Space::Approval, order_key(Place { created, id }), []);
    let open = open_key(approval.requester.actor, id);
    if approval.stored == Stored::Open {
        txn.put(Space::Approval, open, []);
    } else {
        txn.delete(Space::Approval, open);
    }
    Ok(())
}

/// What a requester has open. What has expired unnoticed stops counting as open.
pub(super) fn open_of(txn: &mut Txn<'_>, vault: &VaultId, requester: ActorId) -> Result<Vec<Approval>, Refusal> {
    let prefix = [&[OPEN], &requester.as_bytes()[..]].concat();
    let mut open = Vec::new();
    for (key, _) in txn.rows(Space::Approval, &prefix, &[], usize::MAX)? {
        let id = key[prefix.len()..].try_into().map(ApprovalId::from_bytes).map_err(|_| Fault::Torn)?;
        match find(txn, vault, id)? {
            Some(approval) if approval.standing(txn.now()) != Standing::Expired => open.push(approval),
            Some(_) | None => txn.delete(Space::Approval, key),
        }
    }
    Ok(open)
}

/// Ids from a place on, newest first.
pub(super) fn newest_first(reads: &dyn Reads, after: Option<Place>, limit: usize) -> Result<Vec<Place>, Fault> {
    let from = after.map_or(vec![ORDER], |place| [order_key(place), vec![0]].concat());
    let rows = reads.rows(Space::Approval, &[ORDER], &from, limit)?;
    rows.iter().map(|(key, _)| read_order(key).ok_or(Fault::Torn)).collect()
}

/// Deletes approvals whose time to be listed is over, some at a time. Whether there may be more.
pub(in crate::gate) fn sweep(txn: &mut Txn<'_>, vault: &VaultId) -> Result<bool, Refusal> {
    let kept = i64::from(APPROVAL_KEEP_DAYS) * 86_400_000;
    let created = Timestamp::from_millis(txn.now().as_millis().saturating_sub(kept));
    let old = newest_first(txn, Some(Place { created, id: ApprovalId::from_bytes([0xff; 16]) }), SWEEP_ROWS_MAX)?;
    for place in &old {
        // One that does not open any more goes too; its row by requester goes when it leads to nothing.
        if let Ok(Some(approval)) = find(txn, vault, place.id) {
            txn.delete(Space::Approval, open_key(approval.requester.actor, place.id));
        }
        txn.delete(Space::Approval, record_key(place.id));
        txn.delete(Space::Approval, order_key(*place));
    }
    Ok(old.len() == SWEEP_ROWS_MAX)
}

fn record_key(id: ApprovalId) -> Vec<u8> {
    Writer::new().u8(RECORD).raw(id.as_bytes()).finish()
}

fn order_key(place: Place) -> Vec<u8> {
    Writer::new().u8(ORDER).u64(!(place.created.as_millis() as u64)).raw(place.id.as_bytes()).finish()
}

fn read_order(key: &[u8]) -> Option<Place> {
    let mut r = Reader::new(key);
    let (_, created, id) = (r.u8().ok()?, r.u64().ok()?, r.array().ok()?);
    r.finish().ok()?;
    Some(Place { created: Timestamp::from_millis(!created as i64), id: ApprovalId::from_bytes(id) })
}

fn open_key(requester: ActorId, id: ApprovalId) -> Vec<u8> {
    Writer::new().u8(OPEN).raw(requester.as_bytes()).raw(id.as_bytes()).finish()
}
