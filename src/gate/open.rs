//! Creating a vault and opening one: the checks of which none may touch anything before all have passed.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::advice;
use super::buffers::Buffers;
use super::committer::{Committer, End};
use super::end_users::EndUsers;
use super::epoch::{Epochs, STATE, Work};
use super::former;
use super::hashing::Hashing;
use super::index::{self, Index};
use super::intents;
use super::ledger::Ledger;
use super::log::Log;
use super::log::keys::{self as log_keys, LogKeys};
use super::pages::StoredPages;
use super::persons::Persons;
use super::places::{self, Places};
use super::publication::Readers;
use super::rates::Rates;
use super::readings::Readings;
use super::receipts::ReceiptSigner;
use super::refusal::Refusal;
use super::room::Room;
use super::slots::{self, SeatError, SlotSet};
use super::tally;
use super::tries::Tries;
use super::txn::{Ground, Txn};
use super::vault::{Patience, Vault};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::integrate::Integrator;
use crate::audit::leaf;
use crate::audit::note::{self, VerifierKey};
use crate::audit::sequence::{self, Head};
use crate::audit::stored::StoredLog;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{InstanceId, SlotId, VaultId};
use crate::base::limits::OPEN_PAGES_BYTES_MAX;
use crate::base::secret::Key;
use crate::base::time::{Clock, Timestamp};
use crate::crypto::label;
use crate::crypto::rng::{self, RandomFailed};
use crate::crypto::sign::Signer;
use crate::keys::epoch::State;
use crate::keys::outer::OuterError;
use crate::keys::outer::passphrase::Kdf;
use crate::keys::outer::source::Source;
use crate::keys::root::{self, Opened};
use crate::keys::slot::file::Place;
use crate::keys::tally::Tally;
use crate::keys::tree::{self, Root};
use crate::policy::bindings::Bindings;
use crate::policy::rules::Rules;
use crate::store::batch::Batch;
use crate::store::format;
use crate::store::keyspace::Space;
use crate::store::{self, Engine};

/// The row that names the vault and its slots.
pub(super) const VAULT: &[u8] = b"vault";
/// The name and the row of the key that signs the log.
pub(super) const AUDIT_KEY: &str = "signing/audit";
const RECEIPT_KEY: &str = "signing/receipt";
/// How a passphrase becomes the outer key; absent where the key is in a file.
const OUTER_KDF: &[u8] = b"outer/kdf";

/// What a vault is opened with.
pub struct Parts {
    /// The store.
    pub engine: Arc<dyn Engine>,
    /// How many bytes the store takes.
    pub store_bytes: Box<dyn Fn() -> u64 + Send + Sync>,
    /// The room on its volume.
    pub room: Room,
    /// The slots' files, in the order of configuration.
    pub slots: Vec<PathBuf>,
    /// Whether a new slot may be of a grade that promises nothing.
    pub accepts_e0: bool,
    /// The directories that slots should not share a volume with.
    pub apart_from: Vec<PathBuf>,
    /// This installation.
    pub instance: InstanceId,
    /// The newest checkpoint that was published outside, where one can be read.
    pub published: Option<Vec<u8>>,
    /// Where the outer key comes from.
    pub outer: Source,
    /// Who may do what with what.
    pub rules: Rules,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Bounds.
    pub patience: Patience,
}

/// Why a vault does not open. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store is of another release.
    #[error("{0}{next}", next = advice::on_format(.0))]
    Format(#[from] format::FormatError),
    /// The store failed.
    #[error("{0}{next}", next = advice::on_store(*.0))]
    Store(#[from] store::Error),
    /// The outer key could not be had.
    #[error("{0}{next}", next = advice::on_outer(*.0))]
    Outer(#[from] OuterError),
    /// The outer key is not this vault's.
    #[error("the outer key is not this vault's: check [outer_key] in the configuration")]
    WrongOuterKey,
    /// No slot answers.
    #[error("no root slot is in reach: check [slots] in the configuration and that their media are mounted")]
    NoSlot,
    /// A slot is out of reach, which could say how old the store is, and what was published outside says that it is.
    #[error("a root slot is out of reach, and the store is older than a checkpoint of its log that was published{next}", next = advice::OVERTAKEN)]
    Overtaken,
    /// A slot is unfit.
    #[error("{0}{next}", next = advice::on_slot(&.0.error))]
    Slot(#[from] SeatError),
    /// The number of slots differs from what the vault knows.
    #[error(
        "the vault has {known} root slots, the configuration names {configured}: name exactly those in [slots], in \
         the order in which they were created, also the ones that are out of reach"
    )]
    SlotCount {
        /// In the store.
        known: usize,
        /// In the configuration.
        configured: usize,
    },
    /// A row that every vault has is missing or malformed.
    #[error("the store is damaged, {0} does not read{next}", next = advice::RESTORE)]
    Damaged(&'static str),
    /// The end of the audit log is damaged.
    #[error("{0}{next}", next = advice::RESTORE)]
    Log(#[from] sequence::Error),
    /// The system's random source failed.
    #[error(transparent)]
    Random(#[from] RandomFailed),
    /// A thread could not be started.
    #[error("a thread could not be started: raise the limit of processes for the vault's user")]
    Thread,
    /// A step was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// What is permanent about a vault.
pub(super) struct Identity {
    pub vault: VaultId,
    pub slots: Vec<SlotId>,
}

/// What the store says about its vault, once the outer key has proved to be the right one.
pub(super) struct Known {
    pub identity: Identity,
    /// Every slot of the vault and where it is.
    pub seats: Vec<(SlotId, Place)>,
    /// Places for further ones.
    pub spare: Vec<Place>,
    pub state: State,
    pub outer: Key,
    pub receipts: Arc<ReceiptSigner>,
    pub signing: Signing,
    pub log_keys: LogKeys,
    pub head: Head,
    pub integrated: Integrator,
}

/// The key of the audit log.
pub(super) struct Signing {
    pub signer: Arc<Signer>,
    pub key: VerifierKey,
}

impl Identity {
    pub fn encode(&self) -> Vec<u8> {
        Writer::new().u8(1).raw(self.vault.as_bytes()).list(self.slots.iter(), |w, id| w.raw(id.as_bytes())).finish()
    }

    pub fn decode(row: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(row);
        if r.u8()? != 1 {
            return Err(Malformed);
        }
        let identity =
            Self { vault: VaultId::from_bytes(r.array()?), slots: r.list(|r| r.array().map(SlotId::from_bytes))? };
        r.finish()?;
        Ok(identity)
    }
}

/// Creates a vault in an empty store, with new slots.
///
/// # Durability
/// On return the vault can be opened after power loss. If cut short, the store is still new, and slot files that
/// were made must be removed by hand.
pub fn create(parts: &Parts) -> Result<(), OpenError> {
    // Before any slot file is made: a passphrase that is missing must leave nothing behind.
    let kdf = parts.outer.make_kdf()?;
    let outer = parts.outer.key(kdf)?;
    let identity = Identity {
        vault: VaultId::from_bytes(rng::make_bytes()?),
        slots: parts.slots.iter().map(|_| rng::make_bytes().map(SlotId::from_bytes)).collect::<Result<_, _>>()?,
    };
    let places = places(parts);
    let first = State::FIRST;
    slots::create(&places, identity.vault, parts.instance, &identity.slots, first.current)?;
    let seats = identity.slots.iter().copied().zip(places).collect();
    let set = SlotSet::new(identity.vault, parts.instance, outer.duplicate(), seats);
    set.claim(&first)?;

    let (planted, page) = tree::plant(&identity.vault, first.current).map_err(Refusal::from)?;
    let mut batch = Batch::new();
    format::stamp(&mut batch);
    batch.put(Space::Meta, VAULT, identity.encode());
    batch.put(Space::Meta, STATE, first.encode());
    for name in [AUDIT_KEY, RECEIPT_KEY] {
        let seed = rng::make_secret()?;
        batch.put(Space::Meta, name, root::seal_signing(&outer, &identity.vault, name, &seed)?);
        if name == AUDIT_KEY {
            let keys = LogKeys::first(*Signer::from_seed(&seed).public(), parts.clock.now());
            batch.put(Space::Meta, log_keys::ROW, keys.encode());
        }
    }
    if let Some(kdf) = kdf {
        batch.put(Space::Meta, OUTER_KDF, kdf.encode());
    }
    for (key, row) in set.seal_root(&set.read_staged(first.current)?, &planted.key)? {
        batch.put(Space::Root, key, row);
    }
    batch.put(Space::Page, page.id.row_key(page.generation), &page.bytes[..]);
    for (key, row) in [Ledger::first(&identity.vault, &planted.key)?, tally::first(&identity.vault, &planted, &page)?] {
        batch.put(Space::Meta, key, row);
    }
    Ok(parts.engine.commit(batch)?)
}

/// Opens a vault: the store's format, the outer key, the slots, the root, the log's end; then starts its threads.
pub fn open(parts: Parts) -> Result<Arc<Vault>, OpenError> {
    let engine = parts.engine.clone();
    if matches!(format::check(&*engine)?, format::Found::New) {
        create(&parts)?;
    }
    let Unlocked { identity, state, receipts, signing, log_keys, head, integrated, slots, root, has_ledger, tally } =
        unlock(&parts)?;
    if tally.is_none() {
        tracing::warn!(
            "nothing says whether the pages of the key tree are the newest: stop, and run lacuna doctor --deep"
        );
    }
    let root = Arc::new(ArcSwap::from_pointee(root));
    let index = Arc::new(Index::new(identity.vault));
    let ground = ground(identity.vault, &engine, &index);
    let pages = ground.pages.clone();
    let room = Arc::new(parts.room);
    let end = end_of_log(&*engine, head, tally)?;
    let committer = Committer::start(ground, root.clone(), end, parts.clock.clone(), room.clone());
    let committer = Arc::new(committer.map_err(|_| OpenError::Thread)?);
    let find = move |txn: &mut Txn<'_>| {
        if !has_ledger {
            Ledger::adopt(txn)?;
        }
        Ok((index::load(txn)?, intents::find_all(txn)?))
    };
    let (live, found) = committer.commit_blocking(find, false)?;
    index.put_live(live);
    if !found.complete {
        tracing::error!("rows of erasures that were asked for are missing or were changed: erasures stay pending");
    }
    let readings = Arc::new(Readings::default());
    let log = Log::start(engine.clone(), committer.clone(), slots.clone(), (signing, log_keys), integrated)?;
    let work = Work {
        vault: identity.vault,
        engine: engine.clone(),
        committer: committer.clone(),
        readings: readings.clone(),
        slots: slots.clone(),
        root: root.clone(),
        pages: pages.clone(),
        receipts: receipts.clone(),
        checkpoint: log.expectation(),
        clock: parts.clock.clone(),
        patience: parts.patience,
    };
    let epochs =
        Epochs::start(work, found.pending, found.held, state.prepared.is_some()).map_err(|_| OpenError::Thread)?;
    Ok(Arc::new(Vault {
        id: identity.vault,
        engine,
        pages,
        root,
        committer,
        readings,
        slots,
        epochs,
        log,
        readers: Readers::default(),
        rules: ArcSwap::from_pointee(parts.rules),
        bindings: ArcSwap::from_pointee(Bindings::default()),
        persons: Persons::default(),
        days: ArcSwapOption::empty(),
        started: parts.clock.now(),
        closing: std::sync::atomic::AtomicBool::new(false),
        clock: parts.clock,
        index,
        finds: Rates::new(label::FIND_RATE, parts.patience.finds_per_minute).map_err(Refusal::from)?,
        receipts,
        store_bytes: parts.store_bytes,
        room,
        patience: parts.patience,
        end_users: EndUsers::default(),
        hashing: Hashing::default(),
        tries: Tries::new()?,
        buffers: Buffers::new(),
    }))
}

/// A vault whose root is open, and nothing that runs.
pub(super) struct Unlocked {
    pub identity: Identity,
    pub state: State,
    pub receipts: Arc<ReceiptSigner>,
    pub signing: Signing,
    pub log_keys: LogKeys,
    pub head: Head,
    pub integrated: Integrator,
    pub slots: Arc<SlotSet>,
    pub root: Root,
    pub has_ledger: bool,
    pub tally: Option<Tally>,
}

/// All checks, then the slots and the root. Touches nothing.
pub(super) fn unlock(parts: &Parts) -> Result<Unlocked, OpenError> {
    let engine = &*parts.engine;
    let Known { identity, seats, spare, state, outer, receipts, signing, log_keys, head, integrated } =
        recognise(parts)?;
    let slots = Arc::new(SlotSet::new(identity.vault, parts.instance, outer, seats));
    slots.reload_former(engine)?;
    slots.set_spare(spare, parts.accepts_e0);
    slots.claim(&state)?;
    if !slots.missing().is_empty() && is_overtaken(parts.published.as_deref(), signing.key.name(), head) {
        return Err(OpenError::Overtaken);
    }
    let epoch = state.needed();
    let Opened { key, has_ledger } = slots.open_root(engine, epoch)?.ok_or(OpenError::NoSlot)?;
    let root = Root { epoch, key };
    let tally = tally::load(engine, &identity.vault, &root, head)?;
    Ok(Unlocked { identity, state, receipts, signing, log_keys, head, integrated, slots, root, has_ledger, tally })
}

/// What transactions stand on.
pub(super) fn ground(vault: VaultId, engine: &Arc<dyn Engine>, index: &Arc<Index>) -> Ground {
    let pages = Arc::new(StoredPages::new(vault, engine.clone(), OPEN_PAGES_BYTES_MAX));
    Ground { vault, engine: engine.clone(), pages, index: index.clone() }
}

/// Where the writer goes on.
pub(super) fn end_of_log(engine: &dyn Engine, head: Head, tally: Option<Tally>) -> Result<End, OpenError> {
    Ok((head, last_entry(engine, head)?, tally))
}

/// Whether a checkpoint of this log covers more than it has.
fn is_overtaken(published: Option<&[u8]>, origin: &str, head: Head) -> bool {
    let read = published.and_then(|note| note::read(note, &[]).ok());
    let checkpoint = read.and_then(|read| Checkpoint::parse(read.text));
    checkpoint.is_some_and(|checkpoint| checkpoint.origin == origin && checkpoint.size > head.size())
}

/// The time of the log's last entry.
fn last_entry(engine: &dyn Engine, head: Head) -> Result<Option<Timestamp>, OpenError> {
    let Some(last) = head.size().checked_sub(1) else { return Ok(None) };
    let last = StoredLog(engine).entries(last)?.next().transpose()?;
    Ok(last.and_then(|(_, (bytes, _))| leaf::decode(&bytes).ok()).map(|leaf| leaf.time))
}

/// The keys of the log. A vault that was made before its key could be replaced has no row of them: one key signed all.
fn known_log_keys(engine: &dyn Engine, signing: &Signing) -> Result<LogKeys, OpenError> {
    match engine.get(Space::Meta, log_keys::ROW)? {
        Some(row) => LogKeys::decode(&row).map_err(|_| OpenError::Damaged(text(log_keys::ROW))),
        None => {
            let first = StoredLog(engine).entries(0)?.next().transpose()?;
            let first = first.and_then(|(_, (leaf, _))| leaf::decode(&leaf).ok());
            let made = first.map_or(Timestamp::from_millis(0), |leaf| leaf.time);
            Ok(LogKeys::first(*signing.signer.public(), made))
        }
    }
}

/// Reads the rows that every vault has, and checks the outer key and the end of the log. Touches nothing.
pub(super) fn recognise(parts: &Parts) -> Result<Known, OpenError> {
    let engine = &*parts.engine;
    let row = |key: &'static [u8]| engine.get(Space::Meta, key)?.ok_or(OpenError::Damaged(text(key)));
    let identity = Identity::decode(&row(VAULT)?).map_err(|_| OpenError::Damaged("vault"))?;
    let state = State::decode(&row(STATE)?).map_err(|_| OpenError::Damaged("epoch"))?;
    let kdf = engine.get(Space::Meta, OUTER_KDF)?.map(|row| Kdf::decode(&row)).transpose();
    let outer = parts.outer.key(kdf.map_err(|_| OpenError::Damaged(text(OUTER_KDF)))?)?;
    let signing = signing(&outer, &identity.vault, AUDIT_KEY, &row(AUDIT_KEY.as_bytes())?)?;
    let receipts = self::signing(&outer, &identity.vault, RECEIPT_KEY, &row(RECEIPT_KEY.as_bytes())?)?;
    let log_keys = known_log_keys(engine, &signing)?;
    if log_keys.current().public != *signing.signer.public() {
        return Err(OpenError::Damaged(text(log_keys::ROW)));
    }
    let configured = parts.slots.len();
    let count = OpenError::SlotCount { known: identity.slots.len(), configured };
    let Places { seats, spare } =
        places::assign(places(parts), &identity.slots, &former::load(engine)?).ok_or(count)?;
    let head = Head::load(engine)?;
    let log = StoredLog(engine);
    let signed_by = log_keys::verifier(signing.key.name(), &log_keys.at(log.integrated()?).public);
    let signed_by = signed_by.map_err(|_| OpenError::Damaged("vault"))?;
    let integrated = Integrator::resume(log, &signed_by, head)?;
    let receipts = Arc::new(ReceiptSigner::new(identity.vault, receipts.signer, receipts.key));
    Ok(Known { identity, seats, spare, state, outer, receipts, signing, log_keys, head, integrated })
}

fn signing(outer: &Key, vault: &VaultId, name: &'static str, sealed: &[u8]) -> Result<Signing, OpenError> {
    let seed = root::open_signing(outer, vault, name, sealed).map_err(|_| OpenError::WrongOuterKey)?;
    let purpose = name.rsplit('/').next().unwrap_or_default();
    let signer = Arc::new(Signer::from_seed(&seed));
    let key = VerifierKey::new(&format!("{vault}/{purpose}"), *signer.public());
    Ok(Signing { signer, key: key.map_err(|_| OpenError::Damaged("vault"))? })
}

fn text(key: &'static [u8]) -> &'static str {
    std::str::from_utf8(key).unwrap_or("a row")
}

/// The places of the slots, in the order of configuration.
pub(super) fn places(parts: &Parts) -> Vec<Place> {
    let place = |path: &PathBuf| Place { path: path.clone(), apart_from: parts.apart_from.clone() };
    parts.slots.iter().map(place).collect()
}

/// Sixteen random bytes for an identifier.
pub fn random_id() -> Result<[u8; 16], RandomFailed> {
    rng::make_bytes()
}

#[cfg(test)]
pub(in crate::gate) mod tests;
