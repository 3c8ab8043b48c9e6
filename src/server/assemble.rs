//! A configuration into a running vault and its two listeners.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::middleware::map_request;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;

use super::accept::{LiveBindings, Security, live_bindings};
use super::config::{Config, OuterKeySource};
use super::file::read_text;
use super::health::HealthService;
use super::identity::Peer;
use super::metrics::{self, VaultMetrics};
use super::ops;
use super::readiness::{Readiness, State, Watcher};
use super::serve::{Hooks, Listener, Running, serve};
use super::tls::{DevCertificates, LiveTls, Tls};
use crate::api::peer::PeerInfo;
use crate::api::routes as api;
use crate::base::id::InstanceId;
use crate::base::limits::STATE_INTERVAL;
use crate::base::time::{Clock, SystemClock};
use crate::gate::open::{Parts, open};
use crate::gate::vault::{Patience, Vault};
use crate::keys::outer::OuterKey as _;
use crate::keys::outer::file::KeyFile;
use crate::keys::slot::grade::Grade;
use crate::policy::rules::Rules;
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
    tls: Arc<LiveTls>,
    bindings: Arc<LiveBindings>,
    readiness: Readiness,
    _watcher: Watcher,
}

/// What kept a vault from serving, for people.
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// Opens the vault of a configuration. Creates it if the store is empty.
pub fn open_vault(config: &Config, mode: Mode) -> Result<Arc<Vault>, StartError> {
    std::fs::create_dir_all(&config.store.dir)?;
    let path = config.store.dir.join("db");
    let cache = config.store.cache_mib as usize * 1024 * 1024;
    let engine =
        RocksEngine::open(&path, &RocksOptions { create: true, block_cache_bytes: cache, ..Default::default() })?;
    let engine = Arc::new(engine);
    let outer = match &config.outer_key {
        OuterKeySource::File(path) => KeyFile::at(path).key()?,
        OuterKeySource::PassphraseFile(_) => {
            return Err("[outer_key] passphrase_file is not offered by this release; use file".into());
        }
    };
    let vault = open(Parts {
        store_bytes: Box::new({
            let engine = engine.clone();
            move || engine.disk_bytes().unwrap_or(0)
        }),
        engine,
        slots: config.slots.list.iter().map(|slot| slot.path.clone()).collect(),
        apart_from: vec![config.store.dir.clone()],
        instance: instance(&config.store.dir)?,
        outer,
        rules: Rules::load(&read_text(&config.files.catalog)?)?,
        clock: Arc::new(SystemClock),
        patience: Patience {
            drain: Duration::from_millis(config.limits.drain_ms_max),
            epoch_delay: Duration::from_millis(config.limits.epoch_delay_max_ms),
        },
    })?;
    check_grades(&vault, config, mode)?;
    Ok(vault)
}

/// Opens the vault and starts both listeners.
pub fn start(config: &Config, mode: Mode) -> Result<Service, StartError> {
    serve_vault(open_vault(config, mode)?, config, mode)
}

/// Starts both listeners over an open vault.
pub fn serve_vault(vault: Arc<Vault>, config: &Config, mode: Mode) -> Result<Service, StartError> {
    let readiness = Readiness::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let dev = if mode == Mode::Dev { DevCertificates::Accepted } else { DevCertificates::Refused };
    let tls = Arc::new(Tls::live(config.tls.clone(), dev, clock)?);
    let bindings = Arc::new(live_bindings(config.files.bindings.clone())?);
    let hooks = Hooks {
        on_park: Arc::new({
            let committer = vault.committer().clone();
            move || committer.runtime_parks()
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
    let metrics = metrics::registry(&[&api_listener, &ops_listener], &numbers);
    let api = serve(&api_listener, api_routes(vault.clone(), bindings.clone(), readiness.clone()), &hooks)?;
    let ready = readiness.clone();
    let ops_routes = move || Routes::from(ops::routes(ready.clone(), metrics.clone()));
    let ops = serve(&ops_listener, ops_routes, &Hooks::default())?;
    let watched = vault.clone();
    let watcher = Watcher::start(readiness.clone(), STATE_INTERVAL, move || numbers.look(&watched))?;
    Ok(Service { vault, api, ops, tls, bindings, readiness, _watcher: watcher })
}

impl Service {
    /// Reads certificates and bindings again; a bad new file keeps the old.
    pub fn reload(&self) {
        match self.tls.reload() {
            Ok(()) => tracing::info!("certificates were read again"),
            Err(error) => tracing::error!("certificates are kept as they were: {error}"),
        }
        match self.bindings.reload() {
            Ok(()) => tracing::info!("bindings were read again"),
            Err(error) => tracing::error!("bindings are kept as they were: {error}"),
        }
    }

    /// Lets calls finish, then stops everything.
    pub fn stop(self) {
        self.readiness.set(State::Draining);
        self.api.stop();
        self.ops.stop();
        self.vault.stop();
    }
}

fn api_routes(
    vault: Arc<Vault>,
    bindings: Arc<LiveBindings>,
    readiness: Readiness,
) -> impl Fn() -> Routes + Send + Sync + 'static {
    move || {
        vault.committer().attach_runtime();
        let health = HealthServer::new(HealthService(readiness.clone()));
        let bindings = bindings.clone();
        let identify = move |mut request: axum::extract::Request| {
            let bindings = bindings.current();
            async move {
                if let Some(peer) = request.extensions().get::<Peer>() {
                    let caller = peer.caller(&bindings, SystemClock.now()).ok();
                    let info = PeerInfo { caller, address: peer.address() };
                    request.extensions_mut().insert(info);
                }
                request
            }
        };
        let router = api::routes(&vault, health).into_axum_router();
        Routes::from(router.layer(map_request(identify)))
    }
}

/// This installation's id, made at the first start; never part of a backup.
fn instance(dir: &Path) -> Result<InstanceId, StartError> {
    let path = dir.join("instance");
    if let Ok(text) = std::fs::read_to_string(&path) {
        return Ok(text.trim().parse()?);
    }
    let id = InstanceId::from_bytes(crate::gate::open::random_id()?);
    std::fs::write(&path, format!("{id}\n"))?;
    std::fs::File::open(&path)?.sync_all()?;
    std::fs::File::open(dir)?.sync_all()?;
    Ok(id)
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
