//! What `/metrics` shows: connections, calls, and how the vault is.
//!
//! INVARIANT: numbers and words of this source code only. No id, no name, no address, nothing that a caller chose.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;

use super::outlet::OutletMetrics;
use super::readiness::State;
use super::serve::Listener;
use crate::gate::room::Level;
use crate::gate::vault::Vault;
use crate::retention::state::halted;

/// A registry with the counts of these listeners, of the vault and of where its checkpoints go.
pub fn registry(listeners: &[&Listener], vault: &VaultMetrics, outlets: &OutletMetrics) -> Arc<Registry> {
    let mut registry = Registry::default();
    for listener in listeners {
        listener.connections.register(&mut registry, listener.name);
        if let Some(calls) = &listener.calls {
            calls.register(&mut registry);
        }
    }
    vault.register(&mut registry);
    outlets.register(&mut registry);
    Arc::new(registry)
}

/// How the vault is, as numbers. Cheap to clone; all clones show the same.
#[derive(Clone, Default)]
pub struct VaultMetrics {
    state: Family<StateLabel, Gauge>,
    slots_waiting: Gauge,
    erasures_pending: Unsigned,
    epoch: Unsigned,
    log_entries: Unsigned,
    free_bytes: Unsigned,
    sweep_stopped: Gauge,
    keys_failing: Gauge,
    reloads: Counter,
    stale: Family<FilesLabel, Gauge>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FilesLabel {
    files: &'static str,
}

type Unsigned = Gauge<u64, AtomicU64>;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

impl VaultMetrics {
    /// Takes the vault's numbers over, and tells the state they mean.
    pub fn look(&self, vault: &Vault) -> State {
        let waiting = vault.epochs().waiting().len();
        vault.room().look();
        let state = match (vault.check(), vault.room().level()) {
            (Err(_), _) | (Ok(()), Level::DutiesOnly | Level::Full) => State::NotServing,
            (Ok(()), Level::ReadOnly) => State::ReadOnly,
            (Ok(()), Level::Open) if waiting > 0 => State::Degraded,
            (Ok(()), Level::Open) => State::Ready,
        };
        for known in [State::Ready, State::Degraded, State::ReadOnly, State::NotServing] {
            let label = StateLabel { state: known.as_str() };
            self.state.get_or_create(&label).set(i64::from(known == state));
        }
        let failing = vault.end_users().issuers().iter().filter(|issuer| issuer.is_failing()).count();
        self.keys_failing.set(i64::try_from(failing).unwrap_or(i64::MAX));
        self.slots_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.erasures_pending.set(vault.epochs().pending());
        self.epoch.set(vault.epoch());
        self.log_entries.set(vault.committer().log_size());
        self.free_bytes.set(vault.room().free_bytes());
        // Where it cannot be read, the state says why.
        if let Ok(halted) = halted(vault) {
            self.sweep_stopped.set(i64::from(halted.is_some()));
        }
        state
    }

    /// Notes that files were read again, and which of them are not in force since they will not do.
    pub fn reloaded(&self, outcomes: &[(&'static str, bool)]) {
        for (files, taken) in outcomes {
            self.stale.get_or_create(&FilesLabel { files }).set(i64::from(!taken));
        }
        self.reloads.inc();
    }

    fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("lacuna");
        registry.register("reloads", "Times that the files were read again", self.reloads.clone());
        registry.register("files_stale", "1 for files that will not do: the old ones are in force", self.stale.clone());
        registry.register("state", "1 for the state the vault is in", self.state.clone());
        registry.register("slots_waiting", "Slots that are out of reach", self.slots_waiting.clone());
        let failing = "Issuers of people's tokens whose keys could not be had when that was tried last";
        registry.register("end_user_keys_failing", failing, self.keys_failing.clone());
        registry.register("erasures_pending", "Erasures not carried out yet", self.erasures_pending.clone());
        let stopped = "1 while the sweep of what is due has stopped and waits to be confirmed";
        registry.register("sweep_stopped", stopped, self.sweep_stopped.clone());
        registry.register("epoch", "The epoch in force", self.epoch.clone());
        registry.register("log_entries", "Entries of the audit log", self.log_entries.clone());
        registry.register("store_free_bytes", "Free bytes of the store's volume", self.free_bytes.clone());
    }
}
