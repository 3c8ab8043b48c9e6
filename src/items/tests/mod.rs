//! The verbs on a vault in memory, with real slots and a clock that is moved by hand.

mod checks;
mod cuts;
mod documents;
pub mod events;
mod fields;
mod finding;
mod forms;
mod frozen;
mod full;
pub mod indexed;
mod lists;
mod on_behalf;
mod passwords;
mod records;
mod repeats;
mod rights;
mod rotating;
mod seeking;
mod updates;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::audit::leaf::{self, Leaf};
use crate::audit::sequence;
use crate::base::id::{InstanceId, ItemId, SubjectId};
use crate::base::secret::Key;
use crate::base::time::{ManualClock, Timestamp};
use crate::catalog::classes::ItemValue;
use crate::catalog::classes::contact::Contact;
use crate::catalog::text::Text;
use crate::gate::call::{Call, CallRequest};
use crate::gate::end_users::Presented;
use crate::gate::open::{Parts, open};
use crate::gate::purge::{self, Progress};
use crate::gate::refusal::Refusal;
use crate::gate::room::{Marks, Room};
use crate::gate::vault::{Patience, Vault};
use crate::keys::outer::source::Source;
use crate::policy::action::Action;
use crate::policy::caller::{Caller, RoleId};
use crate::policy::rules::Rules;
use crate::store::batch::Batch;
use crate::store::keyspace::Space;
use crate::store::memory::MemoryEngine;
use crate::store::purge::Purge;
use crate::store::{Engine, Error, Record};

use super::model::{ItemQuery, NewItem, NewMetadata, NewSubject, Stamp, SubjectRef};
use super::{create, get};

/// An engine whose commits can be made to fail.
struct Breakable {
    inner: MemoryEngine,
    mood: AtomicU8,
    commits: AtomicU64,
    /// Those of them that wait for the medium.
    synced: AtomicU64,
    /// No purge gets any further.
    holds_purge: AtomicBool,
    /// Where a power cut is to come: what would be left, and what has not reached the medium.
    lasting: Mutex<Option<(MemoryEngine, Vec<Batch>)>>,
}

impl Breakable {
    fn write(&self, batch: Batch, lasts: bool) -> Result<(), Error> {
        if let Some((left, waiting)) = &mut *self.lasting.lock() {
            waiting.push(batch.clone());
            if lasts {
                waiting.drain(..).try_for_each(|batch| left.commit(batch))?;
            }
        }
        self.inner.commit(batch)
    }
}

/// How an engine takes the next commit.
const WELL: u8 = 0;
const BROKEN: u8 = 1;
const FULL: u8 = 2;
const FULL_AFTER_ONE: u8 = 3;

impl Engine for Breakable {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.inner.get(space, key)
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.inner.multi_get(space, keys)
    }

    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, Error> {
        self.inner.scan(space, prefix, from, limit)
    }

    fn floor(&self, space: Space, key: &[u8]) -> Result<Option<Record>, Error> {
        self.inner.floor(space, key)
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        self.synced.fetch_add(1, Ordering::SeqCst);
        match self.mood.load(Ordering::SeqCst) {
            BROKEN => return Err(Error::Failed),
            FULL => return Err(Error::Full),
            FULL_AFTER_ONE => self.mood.store(FULL, Ordering::SeqCst),
            _ => {}
        }
        self.write(batch, true)
    }

    fn commit_derived(&self, batch: Batch) -> Result<(), Error> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        match self.mood.load(Ordering::SeqCst) {
            BROKEN => Err(Error::Failed),
            FULL => Err(Error::Full),
            _ => self.write(batch, false),
        }
    }

    fn purge(&self, purge: &Purge) -> Result<Purge, Error> {
        if self.holds_purge.load(Ordering::SeqCst) { Ok(purge.clone()) } else { self.inner.purge(purge) }
    }
}

/// A vault to call verbs on.
pub struct Bench {
    pub vault: Arc<Vault>,
    clock: Arc<ManualClock>,
    engine: Arc<Breakable>,
    /// Free bytes of the store's volume.
    free: Arc<AtomicU64>,
    dir: tempfile::TempDir,
    sound: Soundness,
}

/// Looks through the store at the end of a test: whatever verbs did to it, it must be sound.
struct Soundness {
    vault: Option<Arc<Vault>>,
    engine: Arc<Breakable>,
    /// Whether the test has changed the store behind the vault's back.
    tampered: AtomicBool,
}

impl Drop for Soundness {
    fn drop(&mut self) {
        let is_well = self.engine.mood.load(Ordering::SeqCst) == WELL;
        let Some(vault) = self.vault.take().filter(|_| is_well && !self.tampered.load(Ordering::SeqCst)) else {
            return;
        };
        if !std::thread::panicking() {
            let look = move || crate::doctor::look_through(vault.committer(), *vault.id(), false, Arc::default());
            let looked = std::thread::spawn(look).join().expect("no panic");
            // A vault that has failed, or was stopped, is not looked at.
            let Ok(found) = looked else { return };
            assert!(found.is_sound(), "{found:?}");
        }
    }
}

/// A moment in 2026, at noon UTC.
pub const NOON: i64 = 1_780_000_000_000 / 86_400_000 * 86_400_000 + 43_200_000;
pub const HOUR: i64 = 3_600_000;

impl Bench {
    pub fn new() -> Self {
        Self::on(MemoryEngine::new(), tempfile::tempdir().expect("a folder"))
    }

    /// Opens the vault of an engine and a folder with its slots, or makes one.
    pub fn on(inner: MemoryEngine, dir: tempfile::TempDir) -> Self {
        let (mood, holds_purge) = (AtomicU8::new(WELL), AtomicBool::new(false));
        let (commits, synced, lasting) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::default());
        let engine = Arc::new(Breakable { inner, mood, commits, synced, holds_purge, lasting });
        let free = Arc::new(AtomicU64::new(u64::MAX));
        let told = free.clone();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(NOON)));
        let parts = Parts {
            engine: engine.clone(),
            store_bytes: Box::new(|| 0),
            room: Room::new(Marks::default(), move || Some(told.load(Ordering::SeqCst))),
            slots: vec![dir.path().join("a"), dir.path().join("b")],
            accepts_e0: true,
            apart_from: vec![],
            published: None,
            instance: InstanceId::from_bytes([7; 16]),
            outer: Source::Key(Key::copied(&[9; 32])),
            rules: Rules::shipped().expect("the shipped registry"),
            clock: clock.clone(),
            patience: Patience {
                drain: Duration::from_millis(50),
                epoch_delay: Duration::from_millis(5),
                finds_per_minute: 100,
            },
        };
        // Opening waits for the writer, which a runtime's own thread must not.
        let vault = std::thread::spawn(move || open(parts).expect("opens")).join().expect("opens");
        let sound = Soundness { vault: Some(vault.clone()), engine: engine.clone(), tampered: AtomicBool::new(false) };
        Self { vault, clock, engine, free, dir, sound }
    }

    /// Moves the clock to so long after noon of the first day.
    pub fn at(&self, after_noon: i64) {
        self.clock.set(Timestamp::from_millis(NOON + after_noon));
    }

    /// Puts another catalog in force.
    pub async fn catalog(&self, text: &str) {
        self.rule_by(text, crate::policy::policies::DEFAULT).await;
    }

    /// Puts another catalog and other policies in force.
    pub async fn rule_by(&self, catalog: &str, policies: &str) {
        let rules = Rules::load(catalog, &[("roles.cedar".to_owned(), policies.to_owned())]).expect("rules");
        let vault = self.vault.clone();
        tokio::task::spawn_blocking(move || vault.replace_rules(rules)).await.expect("no panic").expect("replaces");
    }

    /// Takes rows away, as a store of before has none.
    pub fn take_away(&self, space: Space, keys: impl IntoIterator<Item = Vec<u8>>) {
        let mut batch = Batch::new();
        keys.into_iter().for_each(|key| batch.delete(space, key));
        self.tamper(batch);
    }

    /// Writes rows over, as somebody does who can write to the store.
    pub fn write_over(&self, rows: impl IntoIterator<Item = (Space, Record)>) {
        let mut batch = Batch::new();
        rows.into_iter().for_each(|(space, (key, row))| batch.put(space, key, row));
        self.tamper(batch);
    }

    /// Writes behind the vault's back.
    pub fn tamper(&self, batch: Batch) {
        self.sound.tampered.store(true, Ordering::SeqCst);
        self.engine.inner.commit(batch).expect("is written");
    }

    /// The vault of the same store, as another process opens it.
    pub fn reopened(self) -> Self {
        let tampered = self.sound.tampered.load(Ordering::SeqCst);
        let (engine, dir) = self.shut();
        let bench = Self::on(engine, dir);
        bench.sound.tampered.store(tampered, Ordering::SeqCst);
        bench
    }

    /// Closes the vault: its store and the folder with its slots.
    pub fn shut(self) -> (MemoryEngine, tempfile::TempDir) {
        let Self { vault, dir, engine, mut sound, .. } = self;
        sound.vault = None;
        let inner = engine.inner.clone();
        drop((engine, sound));
        let ended = std::thread::spawn(move || vault.end()).join().expect("no panic");
        assert!(ended, "nothing holds its slots");
        (inner, dir)
    }

    /// From now on, what the medium has not been waited for can be lost.
    pub fn power_is_weak(&self) {
        *self.engine.lasting.lock() = Some((self.engine.inner.copy(), Vec::new()));
    }

    /// Cuts the power: a vault that opens what is left then.
    pub fn cut_power(self) -> Self {
        let (left, _) = self.engine.lasting.lock().take().expect("power is weak");
        let (_, dir) = self.shut();
        Self::on(left, dir)
    }

    /// From now on, every commit fails.
    pub fn break_storage(&self) {
        self.engine.mood.store(BROKEN, Ordering::SeqCst);
    }

    /// How many commits have waited for the medium so far.
    pub fn synced(&self) -> u64 {
        self.engine.synced.load(Ordering::SeqCst)
    }

    /// Whether a purge gets no further.
    pub fn hold_purge(&self, holds: bool) {
        self.engine.holds_purge.store(holds, Ordering::SeqCst);
    }

    /// A step of a purge, as its thread makes it: what was forgotten so long ago is to go.
    pub async fn purge(&self, every: Duration) -> Progress {
        let vault = self.vault.clone();
        let work = move || vault.purge_further(every).and_then(|_| vault.read(purge::progress));
        tokio::task::spawn_blocking(work).await.expect("no panic").expect("a step").expect("has looked")
    }

    pub async fn call(&self, action: Action) -> Call {
        self.call_as("checkout", RoleId::Service, "service_delivery", action, "", "").await
    }

    /// A call with an idempotency key, and a request of which only the text matters.
    pub async fn call_once(&self, action: Action, key: &str, request: &str) -> Call {
        self.call_as("checkout", RoleId::Service, "service_delivery", action, key, request).await
    }

    pub async fn call_as(
        &self,
        caller: &str,
        role: RoleId,
        purpose: &str,
        action: Action,
        key: &str,
        request: &str,
    ) -> Call {
        let request = self.request(caller, role, purpose, action, key, request);
        self.vault.open_call(request).await.expect("is open to the role")
    }

    fn request(
        &self,
        caller: &str,
        role: RoleId,
        purpose: &str,
        action: Action,
        key: &str,
        request: &str,
    ) -> CallRequest {
        let identity = format!("spiffe://example.org/{caller}").parse().expect("an identity");
        CallRequest {
            token: Presented::Nothing,
            find_person: crate::items::own::find_person,
            caller: Some(Arc::new(Caller { identity, roles: vec![role], person: None })),
            action,
            purpose: purpose.into(),
            role: String::new(),
            ticket: Text::from("T-1"),
            idempotency_key: Text::from(key),
            request_digest: CallRequest::digest(action.as_str(), request.as_bytes()),
            approval: None,
            peer: "192.0.2.1:1".into(),
            deadline: None,
            malformed: None,
        }
    }

    /// A subject with contacts of these names.
    pub async fn person(&self, names: &[&str]) -> (SubjectId, Vec<Stamp>) {
        let call = self.call(Action::CreateSubject).await;
        let items = names.iter().map(|name| contact(name)).collect();
        let new = NewSubject { external_id: Text::default(), labels: vec![], items };
        let created = create::create(&self.vault, &call, new).await.expect("creates");
        (created.subject, created.items)
    }

    /// The name in a contact, read as a service.
    pub async fn name(&self, subject: SubjectId, item: ItemId) -> Result<String, Refusal> {
        let call = self.call(Action::GetItem).await;
        let view = get::get(&self.vault, &call, query(subject, item)).await?;
        match view.value {
            Some(ItemValue::Contact(contact)) => Ok(contact.full_name.expose().to_owned()),
            _ => panic!("a contact"),
        }
    }

    /// Takes a slot out of reach: whatever is to be forgotten waits, and cuts nobody.
    pub fn take_slot_away(&self) {
        std::fs::rename(self.dir.path().join("a"), self.dir.path().join("away")).expect("is moved");
    }

    /// Puts it back.
    pub fn put_slot_back(&self) {
        std::fs::rename(self.dir.path().join("away"), self.dir.path().join("a")).expect("is moved back");
    }

    /// Every leaf of the log.
    pub fn leaves(&self) -> Vec<Leaf> {
        let rows = self.engine.scan(Space::Log, &[], &[], usize::MAX).expect("reads");
        let entries = rows.iter().flat_map(|(_, row)| sequence::unpack(row).expect("unpacks"));
        entries.map(|(bytes, _)| leaf::decode(&bytes).expect("decodes")).collect()
    }

    pub fn last_leaf(&self) -> Leaf {
        self.leaves().pop().expect("there is one")
    }

    pub fn rows(&self, space: Space) -> Vec<Record> {
        self.engine.scan(space, &[], &[], usize::MAX).expect("reads")
    }

    /// Waits until the vault has carried out what is pending.
    pub async fn settle(&self) {
        for _ in 0..500 {
            if self.vault.epochs().pending() == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("erasures stay pending");
    }
}

pub fn contact(name: &str) -> NewItem {
    let value = ItemValue::Contact(Contact { full_name: name.into(), ..Contact::default() });
    NewItem { class: "contact".into(), value, metadata: NewMetadata::default() }
}

pub fn query(subject: SubjectId, item: ItemId) -> ItemQuery {
    ItemQuery {
        subject: Some(SubjectRef::Id(subject)),
        item,
        version: 0,
        etag: String::new(),
        view: None,
        fields: vec![],
    }
}
