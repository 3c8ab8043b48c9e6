//! A configuration into a running vault and its two listeners.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tonic::codegen::http::Extensions;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use super::accept::{LiveBindings, Security, live_bindings};
use super::config::{Config, Files, OuterKeySource};
use super::end_users::EndUserKeys;
use super::file::{read_policies, read_text};
use super::health::HealthService;
use super::identity::Peer;
use super::metrics::{self, VaultMetrics};
use super::ops;
use super::outlet::{self, OutletMetrics, Outlets};
use super::publication::{self, Publication};
use super::readiness::{Readiness, State, Watcher};
use super::serve::{Hooks, Listener, Running, ServeError, serve};
use super::tls::{DevCertificates, LiveTls, Tls};
use crate::api::peer::PeerInfo;
use crate::api::routes as api;
use crate::base::id::InstanceId;
use crate::base::limits::STATE_INTERVAL;
use crate::base::time::{Clock, SystemClock};
use crate::erasure::parting;
use crate::gate::chore::Chore;
use crate::gate::open::{OpenError, Parts, open};
use crate::gate::purge;
use crate::gate::room::{Marks, Room};
use crate::gate::still::Still;
use crate::gate::throw_away;
use crate::gate::vault::{Patience, Vault};
use crate::items::reindex;
use crate::keys::outer::source::Source;
use crate::keys::slot::grade::Grade;
use crate::policy::rules::{Rules, RulesError};
use crate::retention::sweeper::{self, Bounds};
use crate::store;
use crate::store::rocks::{RocksEngine, RocksOptions};

/// Whether slots of the lowest grade are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A throw-away vault: warn and go on.
    Dev,
    /// A vault that is meant: refuse what the configuration does not accept by name.
    Serve,
}

/// A vault that serves.
pub struct Service {
    /// The vault.
    pub vault: Arc<Vault>,
    /// The gRPC listener.
    pub api: Running,
    /// The operations listener.
    pub ops: Running,
    files: Files,
    tls: Arc<LiveTls>,
    bindings: Arc<LiveBindings>,
    end_users: EndUserKeys,
    readiness: Readiness,
    outlets: Outlets,
    /// In the order in which they end.
    chores: [Chore; 4],
    numbers: VaultMetrics,
    _watcher: Watcher,
}

/// What kept a vault from serving, for people.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// Opens the vault of a configuration. Creates it if the store is empty.
pub fn open_vault(config: &Config, mode: Mode) -> Result<Arc<Vault>, StartError> {
    if cfg!(feature = "unrecorded") && mode == Mode::Serve {
        return Err("this program was built to measure reads without their record: it does not serve".into());
    }
    let accepts_e0 = mode == Mode::Dev || !config.slots.accept_grades.is_empty();
    let parts = Parts { accepts_e0, ..parts(config, true)? };
    if mode == Mode::Serve && throw_away::is_marked(&*parts.engine)? {
        let advice = "is a throw-away vault of lacuna dev, whose keys nobody has kept as keys must be; name another \
                      store.dir, with new slots and a new outer key";
        return Err(about(&config.store.dir, advice));
    }
    let is_new = throw_away::is_new(&*parts.engine)?;
    let vault = open(parts)?;
    if mode == Mode::Dev && is_new {
        vault.mark_throw_away()?;
    }
    check_grades(&vault, config, mode)?;
    Ok(vault)
}

/// Opens the vault of a configuration, of any kind, for a look at it. Creates nothing, and carries nothing on.
pub fn stand_still(config: &Config) -> Result<Still, StartError> {
    let parts = parts(config, false)?;
    if throw_away::is_new(&*parts.engine)? {
        return Err(about(&config.store.dir, store::Error::Missing));
    }
    Ok(Still::open(parts)?)
}

/// What the vault of a configuration is opened with. Holds the store's lock; `create` makes an empty store where
/// there is none.
pub fn parts(config: &Config, create: bool) -> Result<Parts, StartError> {
    let dir = &config.store.dir;
    if create {
        std::fs::create_dir_all(dir).map_err(|error| about(dir, error.kind()))?;
    }
    let cache = config.store.cache_mib as usize * 1024 * 1024;
    let options = RocksOptions { create, block_cache_bytes: cache, ..Default::default() };
    let engine = Arc::new(RocksEngine::open(&dir.join("db"), &options).map_err(OpenError::from)?);
    Ok(Parts {
        store_bytes: Box::new({
            let engine = engine.clone();
            move || engine.disk_bytes().unwrap_or(0)
        }),
        room: {
            let (engine, store) = (engine.clone(), &config.store);
            Room::new(Marks::of_reserve(store.reserve_erasures, store.reserve_reads), move || engine.spare_bytes().ok())
        },
        engine,
        slots: config.slots.list.iter().map(|slot| slot.path.clone()).collect(),
        accepts_e0: false,
        apart_from: vec![dir.clone()],
        published: config.audit.checkpoint_folder.as_deref().and_then(outlet::newest_in),
        instance: instance(dir)?,
        outer: match &config.outer_key {
            OuterKeySource::File(path) => Source::KeyFile(path.clone()),
            OuterKeySource::PassphraseFile(path) => Source::Passphrase(path.clone()),
        },
        rules: read_rules(&config.files)?,
        clock: Arc::new(SystemClock),
        patience: Patience {
            drain: Duration::from_millis(config.limits.drain_ms_max),
            epoch_delay: Duration::from_millis(config.limits.epoch_delay_max_ms),
            finds_per_minute: config.limits.finds_per_minute,
        },
    })
}

/// Reads the catalog and the policies.
///
/// # Errors
/// What is wrong, with the file.
pub fn read_rules(files: &Files) -> Result<Rules, StartError> {
    let catalog = read_text(&files.catalog).map_err(|error| about(&files.catalog, error))?;
    let policies = read_policies(&files.policies).map_err(|error| about(&files.policies, error))?;
    Rules::load(&catalog, &policies).map_err(|error| match &error {
        RulesError::Registry(_) => about(&files.catalog, error),
        RulesError::Policies(_) => about(&files.policies, error),
    })
}

/// Opens the vault and starts both listeners. Where nobody could connect, no vault is created.
pub fn start(config: &Config, mode: Mode) -> Result<Service, StartError> {
    let doors = Doors::open(config, mode)?;
    let vault = open_vault(config, mode)?;
    let service = serve_vault(vault.clone(), doors, config, mode);
    if service.is_err() && !vault.end() {
        return Err("the vault does not serve, and its store does not close".into());
    }
    service
}

/// What decides who gets in: certificates, what identities are bound to, and whose tokens are believed.
pub struct Doors {
    tls: Arc<LiveTls>,
    bindings: Arc<LiveBindings>,
    end_users: EndUserKeys,
}

impl Doors {
    /// Reads all of it from files, and starts fetching the keys that are elsewhere.
    pub fn open(config: &Config, mode: Mode) -> Result<Self, StartError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let dev = if mode == Mode::Dev { DevCertificates::Accepted } else { DevCertificates::Refused };
        let tls = Arc::new(Tls::live(config.tls.clone(), dev, clock)?);
        let bindings = live_bindings(config.files.bindings.clone());
        let bindings = Arc::new(bindings.map_err(|error| about(&config.files.bindings, error))?);
        let end_users = EndUserKeys::start(&config.end_users, dev)?;
        Ok(Self { tls, bindings, end_users })
    }
}

/// Starts both listeners over an open vault.
pub fn serve_vault(vault: Arc<Vault>, doors: Doors, config: &Config, mode: Mode) -> Result<Service, StartError> {
    let Doors { tls, bindings, end_users } = doors;
    vault.replace_bindings(bindings.current())?;
    vault.end_users().trust(end_users.issuers());
    let readiness = Readiness::default();
    let hooks = Hooks {
        on_park: Arc::new({
            let committer = vault.committer().clone();
            move || committer.runtime_parks()
        }),
        on_call: Arc::new({
            let bindings = bindings.clone();
            move |extensions| identify(&bindings, extensions)
        }),
    };
    let api_listener =
        Listener::api(config.listen.address, config.listen.threads, Security::Api(tls.clone(), bindings.clone()));
    let ops_listener = Listener::ops(
        config.listen.ops_address,
        match mode {
            Mode::Dev => Security::Plain,
            Mode::Serve => Security::Ops(tls.clone(), bindings.clone()),
        },
    );
    let numbers = VaultMetrics::default();
    let outlet_numbers = OutletMetrics::default();
    let metrics = metrics::registry(&[&api_listener, &ops_listener], &numbers, &outlet_numbers);
    let api = serve(&api_listener, api_routes(vault.clone(), readiness.clone()), &hooks)?;
    let ready = readiness.clone();
    let publication = Publication {
        vault: vault.clone(),
        bindings: match mode {
            Mode::Dev => None,
            Mode::Serve => Some(bindings.clone()),
        },
    };
    let ops_routes =
        move || Routes::from(ops::routes(ready.clone(), metrics.clone()).merge(publication::routes(&publication)));
    let ops = serve(&ops_listener, ops_routes, &Hooks::default())?;
    let outlets = start_outlets(&vault, config, mode, &outlet_numbers)?;
    let bounds = Bounds { percent_max: config.limits.due_percent_max, items_free: config.limits.due_items_free };
    let purge_every = Duration::from_secs(config.store.purge_days * 24 * 3600);
    let chores = || {
        let (reindexer, sweeper) = (reindex::look_after(&vault)?, sweeper::look_after(&vault, bounds)?);
        Ok([reindexer, sweeper, parting::look_after(&vault)?, purge::look_after(&vault, purge_every)?])
    };
    let chores = chores().map_err(|error: std::io::Error| ServeError::Thread(error.kind()))?;
    let (watched, looking) = (vault.clone(), numbers.clone());
    let watcher = Watcher::start(readiness.clone(), STATE_INTERVAL, move || looking.look(&watched))?;
    let files = config.files.clone();
    Ok(Service {
        vault,
        api,
        ops,
        files,
        tls,
        bindings,
        end_users,
        readiness,
        numbers,
        outlets,
        chores,
        _watcher: watcher,
    })
}

impl Service {
    /// Reads certificates, bindings, issuers' keys, catalog and policies again; a bad new file keeps the old, and says
    /// so in the log and as a metric.
    pub fn reload(&self) {
        let rules = read_rules(&self.files).and_then(|rules| Ok(self.vault.replace_rules(rules)?));
        let bindings =
            self.bindings.reload_once(|next| Ok::<_, StartError>(self.vault.replace_bindings(next.clone())?));
        self.numbers.reloaded(&[
            ("certificates", taken("certificates", self.tls.reload())),
            ("bindings", taken("bindings", bindings)),
            ("rules", taken("catalog and policies", rules)),
            ("end_user_keys", self.end_users.reload()),
        ]);
    }

    /// Lets calls finish, then stops everything.
    pub fn stop(self) {
        self.readiness.set(State::Draining);
        self.vault.close();
        self.api.stop();
        self.ops.stop();
        drop(self.chores);
        self.vault.stop();
        self.outlets.stop();
    }

    /// Stops, and closes the store. False if something still keeps that open.
    #[must_use = "a store that is open at the end of the process aborts it"]
    pub fn end(self) -> bool {
        let vault = self.vault.clone();
        self.stop();
        vault.end()
    }
}

fn start_outlets(
    vault: &Arc<Vault>,
    config: &Config,
    mode: Mode,
    numbers: &OutletMetrics,
) -> Result<Outlets, StartError> {
    let outlets = outlet::configured(&config.audit)?;
    if outlets.is_empty() && mode == Mode::Serve {
        tracing::warn!(
            "checkpoints of the audit log go nowhere outside: whoever can change the store can change the log unseen. \
             Set [audit] checkpoint_folder, checkpoint_url or checkpoint_log"
        );
    }
    Ok(Outlets::start(vault, outlets, Duration::from_secs(config.audit.checkpoint_seconds), numbers)?)
}

/// Says in the log whether files were taken over.
fn taken(files: &'static str, outcome: Result<(), impl Display>) -> bool {
    match &outcome {
        Ok(()) => tracing::info!("{files} were read again"),
        Err(error) => tracing::error!("{files} are kept as they were: {error}"),
    }
    outcome.is_ok()
}

fn api_routes(vault: Arc<Vault>, readiness: Readiness) -> impl Fn() -> Routes + Send + Sync + 'static {
    move || {
        vault.committer().attach_runtime();
        let health = HealthServer::new(HealthService(readiness.clone()));
        api::routes(&vault, health)
    }
}

/// Tells a call who is at the other end of its connection, under the bindings now in force.
fn identify(bindings: &LiveBindings, extensions: &mut Extensions) {
    if let Some(peer) = extensions.get::<Peer>() {
        let caller = peer.caller(&bindings.current(), SystemClock.now()).ok();
        let info = PeerInfo { caller, address: peer.address() };
        extensions.insert(info);
    }
}

/// This installation's id, made at the first start; never part of a backup.
fn instance(dir: &Path) -> Result<InstanceId, StartError> {
    let path = dir.join("instance");
    if let Ok(text) = std::fs::read_to_string(&path) {
        let advice = "does not hold the id of an installation: put the file back as it was, or move it away, start \
                      again and run lacuna slot take-over";
        return text.trim().parse().map_err(|_| about(&path, advice));
    }
    let id = InstanceId::from_bytes(crate::gate::open::random_id()?);
    std::fs::write(&path, format!("{id}\n"))?;
    std::fs::File::open(&path)?.sync_all()?;
    std::fs::File::open(dir)?.sync_all()?;
    Ok(id)
}

fn about(path: &Path, error: impl Display) -> StartError {
    format!("{}: {error}", path.display()).into()
}

fn check_grades(vault: &Vault, config: &Config, mode: Mode) -> Result<(), StartError> {
    let weak: Vec<String> =
        vault.status().slots.iter().filter(|slot| slot.grade == Grade::E0).map(|slot| slot.name.clone()).collect();
    if weak.is_empty() || !config.slots.accept_grades.is_empty() {
        return Ok(());
    }
    match mode {
        Mode::Dev => {
            tracing::warn!("slots of grade E0, which promise nothing about what they overwrite: {}", weak.join(", "));
            Ok(())
        }
        Mode::Serve => Err(format!(
            "slots of grade E0: {}. Move them to a volume apart from the store, or accept the grade by name: \
             [slots] accept_grades = [\"E0\"]",
            weak.join(", ")
        )
        .into()),
    }
}
