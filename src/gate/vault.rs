//! A running vault: what the verbs and the wire hold on to.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::buffers::Buffers;
use super::call::Call;
use super::committer::Committer;
use super::days::Days;
use super::end_users::EndUsers;
use super::epoch::Epochs;
use super::hashing::Hashing;
use super::held;
use super::index::Index;
use super::ledger::key_under;
use super::log::Log;
use super::pages::{StoredPages, Uncached};
use super::persons::Persons;
use super::publication::Readers;
use super::rates::Rates;
use super::readings::{Forgotten, Readings};
use super::receipts::{Progress, ReceiptSigner, Record};
use super::record::own_event;
use super::refusal::{Refusal, Unavailable};
use super::room::Room;
use super::slots::SlotSet;
use super::tries::Tries;
use super::txn::{Fault, Reads, Txn};
use crate::audit::event::Event;
use crate::base::id::{ReceiptId, SlotId, SubjectId, VaultId};
use crate::base::limits::{DEADLINE_MARGIN, EPOCH_RETRY, STORE_RELEASE_WAIT};
use crate::base::log_safe::SafeText;
use crate::base::secret::Key;
use crate::base::time::{Clock, Timestamp};
use crate::crypto::label::Label;
use crate::keys::page::{Entry, FANOUT, KeyName, Page, Tree, name_of};
use crate::keys::tree::{self, Draft, Nodes, Pages, Root};
use crate::policy::bindings::Bindings;
use crate::policy::caller::{Caller, ServiceName};
use crate::policy::rules::Rules;
use crate::store::Engine;
use crate::store::keyspace::Space;

/// A running vault.
pub struct Vault {
    pub(super) id: VaultId,
    pub(super) engine: Arc<dyn Engine>,
    pub(super) pages: Arc<StoredPages>,
    pub(super) root: Arc<ArcSwap<Root>>,
    pub(super) committer: Arc<Committer>,
    pub(super) readings: Arc<Readings>,
    pub(super) slots: Arc<SlotSet>,
    pub(super) epochs: Epochs,
    pub(super) log: Log,
    pub(super) readers: Readers,
    pub(super) rules: ArcSwap<Rules>,
    pub(super) bindings: ArcSwap<Bindings>,
    pub(super) persons: Persons,
    pub(super) days: ArcSwapOption<Days>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) index: Arc<Index>,
    pub(super) finds: Rates,
    pub(super) receipts: Arc<ReceiptSigner>,
    pub(super) store_bytes: Box<dyn Fn() -> u64 + Send + Sync>,
    pub(super) room: Arc<Room>,
    pub(super) patience: Patience,
    pub(super) started: Timestamp,
    pub(super) closing: AtomicBool,
    pub(super) end_users: EndUsers,
    pub(super) hashing: Hashing,
    pub(super) tries: Tries,
    pub(super) buffers: Buffers,
}

/// The public keys by which outsiders check what the vault signs.
#[derive(Debug, Clone)]
pub struct Verifiers {
    /// Of the audit log's checkpoints.
    pub audit: String,
    /// Of receipts.
    pub receipt: String,
}

/// How an erasure stands when its call answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Awaited {
    /// Carried out.
    Done {
        /// By this epoch.
        epoch: u64,
    },
    /// To be carried out; no call can read what is erased.
    Pending {
        /// The slots that are out of reach.
        waiting: Vec<SlotId>,
    },
}

/// Bounds that configuration may set.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long an epoch waits for readers of what it forgets, before it cuts them.
    pub drain: Duration,
    /// How long an erasure that nobody waits for may stay pending.
    pub epoch_delay: Duration,
    /// How many different identifiers one caller may look for in a minute.
    pub finds_per_minute: usize,
}

/// The row that names the bindings recorded last.
const BINDINGS: &[u8] = b"bindings";

/// A row's key and its value; none if there is no such row.
pub type Row = (Vec<u8>, Option<Vec<u8>>);

impl Vault {
    /// The vault's id.
    pub fn id(&self) -> &VaultId {
        &self.id
    }

    /// The one writer.
    pub fn committer(&self) -> &Arc<Committer> {
        &self.committer
    }

    /// The rules in force.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Puts other rules in force, and with them forgets every decision made so far. Calls that are open finish under
    /// the rules they began with. To be called from a plain thread.
    ///
    /// # Durability
    /// That the rules changed, and to which version, is recorded before it takes effect.
    pub fn replace_rules(&self, rules: Rules) -> Result<(), Refusal> {
        if rules.version() == self.rules().version() {
            return Ok(());
        }
        let policy = rules.version();
        let work = move |txn: &mut Txn<'_>| {
            let event = Event { policy, ..own_event(SafeText::constant("RulesChanged"), txn.epoch())? };
            txn.record(event);
            Ok(())
        };
        self.committer.commit_blocking(work, false)?;
        self.rules.store(Arc::new(rules));
        Ok(())
    }

    /// Says who is bound to what from now on. It matters to approvals: whoever agreed must still have been entitled to
    /// when the approval is used. To be called from a plain thread.
    ///
    /// # Durability
    /// That the bindings changed, and to which version, is recorded before it takes effect: also where they were changed
    /// while the vault did not run.
    ///
    /// # Errors
    /// It could not be recorded; the old bindings stay in force.
    pub fn replace_bindings(&self, bindings: Arc<Bindings>) -> Result<(), Refusal> {
        let (version, count) = (bindings.version(), u32::try_from(bindings.len()).unwrap_or(u32::MAX));
        let policy = self.rules().version();
        let work = move |txn: &mut Txn<'_>| {
            if txn.row(Space::Meta, BINDINGS)?.is_some_and(|row| row == version.as_bytes()) {
                return Ok(());
            }
            txn.put(Space::Meta, BINDINGS, version.as_bytes());
            let event = own_event(SafeText::constant("BindingsChanged"), txn.epoch())?;
            txn.record(Event { policy, count, rule: SafeText::of(&version), ..event });
            Ok(())
        };
        self.committer.commit_blocking(work, false)?;
        self.bindings.store(bindings);
        Ok(())
    }

    /// A caller as the bindings in force have it.
    pub(super) fn bound(&self, identity: &ServiceName) -> Caller {
        let bindings = self.bindings.load();
        let (roles, person) = (bindings.roles_of(identity).to_vec(), bindings.person_of(identity).cloned());
        Caller { identity: identity.clone(), roles, person }
    }

    /// Who is reading whom.
    pub fn readings(&self) -> &Arc<Readings> {
        &self.readings
    }

    /// What signs receipts.
    pub(super) fn receipts(&self) -> &Arc<ReceiptSigner> {
        &self.receipts
    }

    /// The epochs that each slot in reach holds a secret of, read now.
    pub fn epochs_held(&self) -> Vec<(SlotId, Vec<u64>)> {
        self.slots.epochs_held()
    }

    /// The epochs.
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// The audit log's checkpoints.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The issuers whose tokens for people are believed.
    pub fn end_users(&self) -> &EndUsers {
        &self.end_users
    }

    /// Where passwords are hashed.
    pub fn hashing(&self) -> &Hashing {
        &self.hashing
    }

    /// How often passwords were tried.
    pub fn tries(&self) -> &Tries {
        &self.tries
    }

    /// The epoch in force.
    pub fn epoch(&self) -> u64 {
        self.root.load().epoch
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The blind index.
    pub fn index(&self) -> &Arc<Index> {
        &self.index
    }

    /// How many different identifiers callers may look for.
    pub fn finds(&self) -> &Rates {
        &self.finds
    }

    /// The public keys, as they are now.
    pub fn verifiers(&self) -> Verifiers {
        Verifiers { audit: self.log.key().to_string(), receipt: self.receipts.key().to_string() }
    }

    /// The room on the store's volume.
    pub fn room(&self) -> &Room {
        &self.room
    }

    /// Whether calls can be served, as far as the store and the log are concerned.
    ///
    /// # Errors
    /// The store failed, the log is damaged, or a commit has not come back for so long that the log counts as
    /// unwritable. Only the last can pass.
    pub fn check(&self) -> Result<(), Unavailable> {
        self.committer.check()?;
        match self.log.ended() {
            None => Ok(()),
            Some(Unavailable::Damaged) => Err(Unavailable::LogUnavailable),
            Some(ended) => Err(ended),
        }
    }

    /// Reads rows and keys that fit together. The closure runs again, past the cache, when a change went on meanwhile.
    pub fn read<T>(&self, look: impl Fn(&dyn Reads) -> Result<T, Fault>) -> Result<T, Refusal> {
        const ATTEMPTS: usize = 8;
        self.check()?;
        for attempt in 0..ATTEMPTS {
            let root = self.root.load_full();
            let snapshot = Snapshot { vault: self, root: &root, cached: attempt == 0, last: RefCell::default() };
            match look(&snapshot) {
                Err(Fault::Torn) => std::thread::yield_now(),
                Ok(value) => return Ok(value),
                Err(Fault::Refused(refusal)) => return Err(refusal),
            }
        }
        Err(Unavailable::Damaged.into())
    }

    /// Tells the epochs of a durable intent and, if the call wants that, waits until it is carried out. A call whose
    /// deadline comes first is told that it is pending: the erasure goes on.
    pub async fn await_erasure(&self, call: &Call, intent: u64, wait: bool) -> Awaited {
        self.epochs.ask(wait, self.patience.epoch_delay);
        self.await_intent(call, intent, wait).await
    }

    /// Commits what asks for an act of forgetting. Where an epoch is waited for, without waiting for the medium: the epoch's
    /// own changes make it last, or else [`Vault::await_lodged`] does.
    pub async fn lodge<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Txn<'_>) -> Result<T, Refusal> + Send + 'static,
        wait: bool,
    ) -> Result<T, Refusal> {
        if wait { self.committer.commit_followed(work).await } else { self.committer.commit_first(work).await }
    }

    /// As [`Vault::await_progress`], of what was [lodged](Vault::lodge). On return that is durable.
    pub async fn await_lodged(
        &self,
        call: &Call,
        (progress, new): (Progress, bool),
        wait: bool,
    ) -> Result<Awaited, Refusal> {
        let awaited = self.await_progress(call, (progress, new), wait).await;
        let is_durable = !wait || new && matches!(awaited, Awaited::Done { .. });
        if !is_durable {
            self.committer.settle().await?;
        }
        Ok(awaited)
    }

    /// Waits for an act of forgetting from where it stands; `new` if the epochs are not told of its intent yet.
    pub async fn await_progress(&self, call: &Call, (progress, new): (Progress, bool), wait: bool) -> Awaited {
        match progress {
            Progress::Done { epoch } => Awaited::Done { epoch },
            Progress::Pending { intent } if new => self.await_erasure(call, intent, wait).await,
            Progress::Pending { intent } => self.await_intent(call, intent, wait).await,
            Progress::Parting => Awaited::Pending { waiting: self.epochs.waiting() },
        }
    }

    /// Checks that what is about to be called erased is: its record says that it is carried out, with a statement that this
    /// vault has signed. Which intent it waits for is known from that record too, unless it was lodged just now.
    ///
    /// # Errors
    /// [`Unavailable::Damaged`].
    pub fn must_be_stated(&self, receipt: &ReceiptId, record: Option<&Record>) -> Result<(), Unavailable> {
        let is_stated = record.is_some_and(|record| record.is_stated(receipt, &self.receipts));
        if is_stated { Ok(()) } else { Err(Unavailable::Damaged) }
    }

    /// Tells the epochs of a durable intent that somebody may wait for.
    pub fn forget_now(&self) {
        self.epochs.ask(true, self.patience.epoch_delay);
    }

    /// Waits until no call that began before reads a person who is unreadable now; who takes too long is cut. For a plain
    /// thread.
    pub fn drain(&self, subject: SubjectId) -> Result<(), Refusal> {
        let settle = || self.committer.commit_blocking(|_| Ok(()), true);
        self.readings.drain(&[(subject, Forgotten::Everything)], self.patience.drain, settle)
    }

    /// The names of all keys of a tree that nobody changes any more, and what must still lead to it when they are used:
    /// should an epoch have replaced keys meanwhile, it does not.
    pub fn key_names(&self, tree: Tree, leads: (Tree, u64)) -> Result<(Vec<KeyName>, KeyName), Refusal> {
        self.read(|reads| {
            let root = self.root.load_full();
            let nodes = Nodes::default();
            let draft = Draft::new(&*self.pages, &root, &nodes);
            let mut names = Vec::new();
            draft.each_key(tree, &mut |key| names.push(name_of(key)))?;
            let top = reads.entry(leads.0, leads.1)?.ok_or(Fault::Torn)?;
            Ok((names, top.name()))
        })
    }

    /// Tells the epochs of a durable intent that nobody waits for.
    pub fn forget_soon(&self) {
        self.epochs.ask(false, self.patience.epoch_delay);
    }

    /// The same for an intent that the epochs know of already.
    pub async fn await_intent(&self, call: &Call, intent: u64, wait: bool) -> Awaited {
        let pending = || Awaited::Pending { waiting: self.epochs.waiting() };
        // Once carried out, it may still wait for a lost slot. Where that cannot be read, nothing is claimed.
        let is_held = || self.read(|reads| held::is_held(reads, intent)).unwrap_or(true);
        if !wait || is_held() {
            return pending();
        }
        let deadline = call.deadline().and_then(|deadline| deadline.checked_sub(DEADLINE_MARGIN));
        loop {
            // A slot that is out of reach may stay so: say so soon, rather than at the deadline.
            let step = Instant::now() + EPOCH_RETRY;
            let until = Some(deadline.map_or(step, |deadline| deadline.min(step)));
            if let Some(epoch) = self.epochs.wait_for(intent, until).await {
                return if is_held() { pending() } else { Awaited::Done { epoch } };
            }
            let over = deadline.is_some_and(|deadline| deadline <= Instant::now());
            if over || !self.epochs.waiting().is_empty() || self.committer.has_failed() {
                return pending();
            }
        }
    }

    /// Rows by their keys, in one go, each with its key.
    ///
    /// # Errors
    /// The store failed.
    pub fn rows(&self, space: Space, keys: Vec<Vec<u8>>) -> Result<Vec<Row>, Refusal> {
        let wanted: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let values = self.engine.multi_get(space, &wanted)?;
        Ok(keys.into_iter().zip(values).collect())
    }

    /// Memory for the bytes of documents.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Asks calls that would go on for ever to end: the vault is about to stop.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Whether calls that would go on for ever should end.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Stops the epochs, then the log, then the writer.
    pub fn stop(&self) {
        self.epochs.stop();
        self.log.stop();
        self.committer.stop();
    }

    /// Stops, and waits until nothing holds the store any more, so that it is this thread that closes it. False if
    /// that took too long: then a call that was cut off, or the medium, still keeps it open.
    ///
    /// A process whose `main` returns before that closes the store while the store's own globals are torn down.
    #[must_use = "a store that is open at the end of the process aborts it"]
    pub fn end(self: Arc<Self>) -> bool {
        self.stop();
        let engine = self.engine.clone();
        drop(self);
        alone_with(&engine)
    }
}

/// Waits until nobody else holds a store. False if that took too long.
pub(super) fn alone_with(engine: &Arc<dyn Engine>) -> bool {
    let until = Instant::now() + STORE_RELEASE_WAIT;
    // Nothing holds the engine weakly: once this is the only one, no other can come to be.
    while Arc::strong_count(engine) > 1 {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

impl Drop for Vault {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Snapshot<'a> {
    vault: &'a Vault,
    root: &'a Root,
    cached: bool,
    /// The leaf page looked at last: a subject's keys are mostly on one, and asked for one after another.
    last: RefCell<Option<Leaf>>,
}

/// A leaf page, with the tree and the place among its leaves.
type Leaf = (Tree, u64, Option<Arc<Page>>);

impl Reads for Snapshot<'_> {
    fn row(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        Ok(self.vault.engine.get(space, key)?)
    }

    fn rows(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<crate::store::Record>, Fault> {
        Ok(self.vault.engine.scan(space, prefix, from, limit)?)
    }

    fn entry(&self, tree: Tree, position: u64) -> Result<Option<Entry>, Fault> {
        let place = position / FANOUT;
        if let Some((last, at, leaf)) = &*self.last.borrow()
            && (*last, *at) == (tree, place)
        {
            return Ok(leaf.as_deref().and_then(|leaf| tree::entry_of(leaf, position)));
        }
        let find = |pages: &dyn Pages| tree::leaf(&pages, self.root, tree, position);
        let leaf = if self.cached { find(&*self.vault.pages)? } else { find(&Uncached(&self.vault.pages))? };
        let entry = leaf.as_deref().and_then(|leaf| tree::entry_of(leaf, position));
        self.last.replace(Some((tree, place, leaf)));
        Ok(entry)
    }

    fn index(&self) -> &Index {
        &self.vault.index
    }

    fn under_root(&self, job: Label) -> Key {
        key_under(&self.root.key, job)
    }
}
