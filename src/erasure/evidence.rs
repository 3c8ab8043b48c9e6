//! Receipts as they are shown: the signed statement, which never changes, and proofs that are made anew each time.

use std::time::Instant;

use crate::audit::event::{About, Outcome};
use crate::audit::leaf;
use crate::audit::tile::TileHashes;
use crate::base::codec::Writer;
use crate::base::id::ReceiptId;
use crate::base::limits::{DEADLINE_MARGIN, LOG_INDEX_ROWS, PAGE_BYTES_MAX};
use crate::crypto::hash::sha256;
use crate::crypto::label;
use crate::gate::call::Call;
use crate::gate::intents::What;
use crate::gate::purge;
use crate::gate::receipts::{self, KeptVersion, Progress, Record, Signed};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Fault, FaultReason, Refusal, State, Unavailable};
use crate::gate::signing::{Proven, prove_leaf};
use crate::gate::tokens::{self, Bound};
use crate::gate::txn::{self, Reads};
use crate::gate::vault::Vault;
use crate::items::recorded::refuse;
use crate::keep::kept::{self, Opening};
use crate::keep::list;
use crate::policy::action::Action;
use crate::policy::question::{Resource, Standing};

/// A receipt.
pub struct Receipt {
    /// Its id.
    pub id: ReceiptId,
    /// The statement and its signature.
    pub signed: Signed,
    /// The two entries of the log; none if no checkpoint could be had in time.
    pub proofs: Option<Proofs>,
    /// What opens its commitments to keep reasons, or those of `kept`; none for who may not know.
    pub openings: Vec<Opening>,
    /// What its statement has only the hash of, as much as was asked for.
    pub kept: Vec<KeptVersion>,
    /// What became of it later.
    pub later: Later,
    /// Of what was kept and has gone since, oldest first; theirs have none.
    pub supplements: Vec<Receipt>,
}

impl Receipt {
    fn bare(id: ReceiptId, signed: Signed, proofs: Option<Proofs>) -> Self {
        let (openings, kept, supplements) = (Vec::new(), Vec::new(), Vec::new());
        Self { id, signed, proofs, openings, kept, later: Later::default(), supplements }
    }

    /// With its proofs, if they are of this very statement: the log's entry has its hash. Whoever can write the store
    /// could have exchanged its row.
    fn proven(id: ReceiptId, signed: Signed, proofs: Proofs) -> Result<Self, Refusal> {
        agree(&proofs, &signed)?;
        Ok(Self::bare(id, signed, Some(proofs)))
    }
}

/// Checks that the log's entry has the hash of this very statement.
///
/// # Errors
/// [`Unavailable::Damaged`].
pub(super) fn agree(proofs: &Proofs, signed: &Signed) -> Result<(), Refusal> {
    let leaf = leaf::decode(&proofs.erased.leaf).map_err(|_| Unavailable::Damaged)?;
    if leaf.receipt_hash == Some(sha256(&[&signed.body])) { Ok(()) } else { Err(Unavailable::Damaged.into()) }
}

/// That both entries of an act of forgetting are in the log.
pub struct Proofs {
    /// The entry of the request.
    pub requested: Proven,
    /// The entry of the completion.
    pub erased: Proven,
}

/// Entries that came after the end of an act of forgetting.
#[derive(Default)]
pub struct Later {
    /// That its unreadable ciphertext has left the live files.
    pub purged: Option<Proven>,
    /// That index keys which its statement names are gone, in the order in which they went.
    pub rotated: Vec<Proven>,
    /// Whether there are others that are not.
    pub awaits_rotation: bool,
}

/// Which receipt, and how much of what its statement has only the hash of.
pub struct Wanted {
    /// Which.
    pub receipt: ReceiptId,
    /// So many kept versions.
    pub kept: usize,
    /// From where on; empty for the first.
    pub token: String,
}

/// Gets a receipt, and records that; and the token of the next page of what it keeps, if there is one.
///
/// # Errors
/// [`State::NotFound`] if there is none by this id; [`State::NotFromHere`] while the erasure is pending; a fault of
/// `kept_page_token`; [`Unavailable`].
pub async fn receipt(vault: &Vault, call: &Call, wanted: Wanted) -> Result<(Receipt, String), Refusal> {
    let id = wanted.receipt;
    let permit = match call.permit(Resource::Vault).map_err(Access::openly) {
        Ok(permit) => permit,
        Err(denied) => return Err(vault.refuse(call, denied.into()).await),
    };
    let record = vault.read(|reads| receipts::look_up(reads, &id))?;
    let later = later_of(vault, record.as_ref()).await?;
    let signed = match record {
        Some(Record { signed: Some(signed), .. }) => signed,
        Some(Record { progress: Progress::Pending { .. } | Progress::Parting, matter: Some(_), .. }) => {
            return Err(refuse(vault, call, None, Touched::default(), State::NotFromHere.into()).await);
        }
        // The vault's own acts, and those of releases that made no statements, have nothing to show.
        Some(_) | None => return Err(refuse(vault, call, None, Touched::default(), State::NotFound.into()).await),
    };
    let page = match kept_page(vault, call, &wanted) {
        Ok(page) => page,
        Err(refusal) => return Err(refuse(vault, call, None, Touched::default(), refusal).await),
    };
    let touched = Touched { rule: Some(permit.rule().clone()), count: 1, ..Touched::default() };
    let entry = call.recorder().entry(Whom::Evidence(id), touched, Ended::Done, (vault.now(), vault.epoch()))?;
    vault.record(vec![entry]).await?;
    let proven = Receipt::proven(id, signed, proofs(vault, id).await?)?;
    let (openings, supplements) = (openings(vault, call, &id, page.openings)?, supplements(vault, &id).await?);
    Ok((Receipt { openings, kept: page.versions, later, supplements, ..proven }, page.next))
}

/// A page of what a statement does not list.
#[derive(Default)]
struct KeptPage {
    versions: Vec<KeptVersion>,
    /// The openings of their commitments: the first's number, and how many.
    openings: (u32, usize),
    next: String,
}

fn kept_page(vault: &Vault, call: &Call, wanted: &Wanted) -> Result<KeptPage, Refusal> {
    let bound = Bound { label: label::RECEIPT_PAGE, query: wanted.receipt.as_bytes() };
    let now = vault.now();
    let (number, skip) = match &wanted.token[..] {
        "" => (0, 0),
        token => tokens::open(call, &bound, token, now, |r| Ok((r.u64()?, r.u32()?)))
            .ok_or_else(|| Fault::new("kept_page_token", FaultReason::PageToken))?,
    };
    if wanted.kept == 0 {
        return Ok(KeptPage::default());
    }
    let (mut page, next) = vault.read(|reads| read_page(reads, wanted, (number, skip as usize)))?;
    if let Some((number, skip)) = next {
        let place = Writer::new().u64(number).u32(skip).finish();
        page.next = tokens::seal(call, &bound, &place, now)?;
    }
    Ok(page)
}

/// Where a page begins: in which part of the list, after so many of its versions.
type At = (u64, u32);

fn read_page(
    reads: &dyn Reads,
    wanted: &Wanted,
    (mut number, mut skip): (u64, usize),
) -> Result<(KeptPage, Option<At>), txn::Fault> {
    let (mut page, mut bytes) = (KeptPage::default(), 0);
    while let Some(part) = list::parts(reads, &wanted.receipt, number, 1)?.pop() {
        if page.versions.is_empty() {
            let before = part.versions.iter().take(skip).map(|kept| kept.reasons.len()).sum::<usize>();
            page.openings.0 = part.opening + before as u32;
        }
        for (at, kept) in part.versions.into_iter().enumerate().skip(skip) {
            if page.versions.len() == wanted.kept || bytes >= PAGE_BYTES_MAX {
                return Ok((page, Some((part.number, at as u32))));
            }
            page.openings.1 += kept.reasons.len();
            bytes += 64 + 128 * kept.reasons.len(); // with its openings
            page.versions.push(kept);
        }
        (number, skip) = (part.number + 1, 0);
    }
    Ok((page, None))
}

/// What opens the commitments on a receipt, for who may ask why a person's data is kept; where the statement lists none,
/// those of a page.
fn openings(vault: &Vault, call: &Call, id: &ReceiptId, of_page: (u32, usize)) -> Result<Vec<Opening>, Refusal> {
    if call.permit_to(Action::ListKeepReasons, Resource::Subject(Standing::default())).is_err() {
        return Ok(Vec::new());
    }
    vault.read(|reads| match list::parts(reads, id, 0, 1)?.is_empty() {
        true => kept::openings(reads, id),
        false => kept::openings_from(reads, id, of_page.0, of_page.1),
    })
}

/// The receipts that supplement one, as far as they are final.
async fn supplements(vault: &Vault, id: &ReceiptId) -> Result<Vec<Receipt>, Refusal> {
    let mut supplements = Vec::new();
    for id in vault.read(|reads| kept::supplements(reads, id))? {
        let record = vault.read(|reads| receipts::look_up(reads, &id))?;
        let later = later_of(vault, record.as_ref()).await?;
        if let Some(signed) = record.and_then(|record| record.signed) {
            supplements.push(Receipt { later, ..Receipt::proven(id, signed, proofs(vault, id).await?)? });
        }
    }
    Ok(supplements)
}

/// The receipt of what a call has erased. What the call is for is done: without a checkpoint in time it answers without
/// proofs, which can be had later. `new` if this call asked for it: then its own intent was carried out, and the statement
/// need not be asked who signed it.
///
/// # Errors
/// [`Unavailable::Damaged`] if there is no statement that it is done.
pub(super) async fn of_call(vault: &Vault, call: &Call, id: ReceiptId, new: bool) -> Result<Receipt, Refusal> {
    let record = vault.read(|reads| receipts::look_up(reads, &id))?;
    if !new {
        vault.must_be_stated(&id, record.as_ref())?;
    }
    let later = later_of(vault, record.as_ref());
    let proven = async { Ok::<_, Refusal>((proofs(vault, id).await?, later.await?)) };
    let signed = record.as_ref().and_then(|record| record.signed.clone()).ok_or(Unavailable::Damaged)?;
    let proven = match call.deadline().and_then(|deadline| deadline.checked_sub(DEADLINE_MARGIN)) {
        None => proven.await.ok(),
        Some(until) => tokio::time::timeout_at(Instant::into(until), proven).await.ok().and_then(Result::ok),
    };
    let (shown, later) = match proven {
        Some((proofs, later)) => (Receipt::proven(id, signed, proofs)?, later),
        None => (Receipt::bare(id, signed, None), Later::default()),
    };
    Ok(Receipt { openings: openings(vault, call, &id, (0, 0))?, later, ..shown })
}

/// Finds both entries and proves them under a checkpoint that covers all that is durable now.
pub(super) async fn proofs(vault: &Vault, id: ReceiptId) -> Result<Proofs, Refusal> {
    let newest = vault.log().known().borrow().newest.clone();
    let places = places(vault, id)?;
    let checkpoint = match (&newest, &places) {
        (Some(newest), Some((_, erased))) if newest.checkpoint.size > erased.0 => newest.clone(),
        _ => vault.log().checkpoint(vault.committer().log_size()).await?,
    };
    // Both are durable, so they are indexed by now.
    let (requested, erased) = match places {
        Some(places) => places,
        None => self::places(vault, id)?.ok_or(Unavailable::Damaged)?,
    };
    let log = vault.log().stored();
    let hashes = TileHashes::new(&log);
    let prove = |place| prove_leaf(&hashes, place, checkpoint.clone());
    Ok(Proofs { requested: prove(requested)?, erased: prove(erased)? })
}

/// An entry's index and its bytes.
type Place = (u64, Vec<u8>);

/// Both entries, as far as the log is indexed.
fn places(vault: &Vault, id: ReceiptId) -> Result<Option<(Place, Place)>, Refusal> {
    let log = vault.log().stored();
    let (mut requested, mut from) = (None, 0);
    loop {
        let indices = log.with_token(id.as_bytes(), from, LOG_INDEX_ROWS)?;
        for index in &indices {
            let (bytes, _) = log.entry(*index)?;
            let leaf = leaf::decode(&bytes).map_err(|_| Unavailable::Damaged)?;
            match (leaf.about, leaf.outcome, leaf.receipt_hash) {
                (About::Erasure(of), Outcome::Started, None) if of == id => {
                    requested = requested.or(Some((*index, bytes)));
                }
                (About::Erasure(of), Outcome::Done, Some(_)) if of == id => {
                    return Ok(requested.map(|requested| (requested, (*index, bytes))));
                }
                _ => {}
            }
        }
        match indices.last() {
            Some(last) if indices.len() == LOG_INDEX_ROWS => from = last + 1,
            Some(_) | None => return Ok(None),
        }
    }
}

/// The entries that came after the end of an act, under a checkpoint that covers them.
pub(super) async fn later_of(vault: &Vault, record: Option<&Record>) -> Result<Later, Refusal> {
    let Some(Record { progress: Progress::Done { epoch }, index_keys, .. }) = record else {
        return Ok(Later::default());
    };
    let purged = match vault.read(|reads| purge::covering(reads, *epoch))? {
        Some(id) => Some(end_of(vault, id, (purge::DONE, *epoch)).await?),
        None => None,
    };
    let mut rotated = Vec::new();
    for key in index_keys {
        let id = ReceiptId::from_bytes(*key.as_bytes());
        if let Some(Progress::Done { .. }) = vault.read(|reads| receipts::find(reads, &id))? {
            rotated.push(end_of(vault, id, (What::IndexKey.done().as_str(), 0)).await?);
        }
    }
    rotated.sort_by_key(|proven| proven.index);
    let awaits_rotation = rotated.len() < index_keys.len();
    Ok(Later { purged, rotated, awaits_rotation })
}

/// The entry by which the vault ended something of its own, not before an epoch. That is asked of the log: whoever can
/// write the store could have exchanged the row that names the entry.
async fn end_of(vault: &Vault, id: ReceiptId, (operation, epoch): (&str, u64)) -> Result<Proven, Refusal> {
    let look = || -> Result<Option<Place>, Refusal> {
        let log = vault.log().stored();
        for index in log.with_token(id.as_bytes(), 0, LOG_INDEX_ROWS)? {
            let (bytes, _) = log.entry(index)?;
            let leaf = leaf::decode(&bytes).map_err(|_| Unavailable::Damaged)?;
            let is_it = leaf.about == About::Erasure(id) && leaf.outcome == Outcome::Done;
            if is_it && leaf.operation == operation && leaf.epoch >= epoch {
                return Ok(Some((index, bytes)));
            }
        }
        Ok(None)
    };
    let newest = vault.log().known().borrow().newest.clone();
    let (place, checkpoint) = match (newest, look()?) {
        (Some(newest), Some(place)) if newest.checkpoint.size > place.0 => (place, newest),
        _ => {
            // It is durable, so it is indexed then.
            let checkpoint = vault.log().checkpoint(vault.committer().log_size()).await?;
            (look()?.ok_or(Unavailable::Damaged)?, checkpoint)
        }
    };
    let log = vault.log().stored();
    prove_leaf(&TileHashes::new(&log), place, checkpoint)
}
