//! Checkpoints on their way out of the vault, so that the log cannot be changed without contradicting them.
//!
//! Each outlet has a thread of its own, which sees what the log's thread signs and is waited for by nobody: an outlet
//! that is slow or fails delays its own checkpoints and nothing else.

mod folder;
mod https;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;

use super::config::{self, ConfigFault};
use super::https::HttpsError;
use crate::audit::checkpoint::Checkpoint;
use crate::audit::note;
use crate::audit::stored::SignedCheckpoint;
use crate::audit::tile::TileHashes;
use crate::audit::tree::root;
use crate::base::limits::{PUBLISH_RETRY, PUBLISH_SECONDS_MAX, PUBLISH_STOP_WAIT};
use crate::base::time::{Clock as _, SystemClock, Timestamp};
use crate::crypto::hash::Digest;
use crate::gate::vault::Vault;

pub use folder::{FolderOutlet, newest_in};
pub use https::HttpsOutlet;

/// A place outside the vault to which checkpoints go.
pub trait Outlet: Send {
    /// Its name in log lines and metrics.
    fn name(&self) -> &'static str;

    /// Puts a checkpoint there; `root_at` is the root that the log has now over its first so many entries.
    fn publish(&mut self, signed: &SignedCheckpoint, now: Timestamp, root_at: &RootAt<'_>) -> Result<(), OutletError>;
}

/// The root over the first so many entries; none if there are fewer.
pub type RootAt<'l> = dyn Fn(u64) -> Option<Digest> + 'l;

/// Why a checkpoint was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutletError {
    /// The system said so.
    #[error("{0}")]
    Io(std::io::ErrorKind),
    /// What is there is none of this log's.
    #[error("it holds checkpoints of another log, or something else; name another place")]
    Foreign,
    /// What was published before and the log as it is now contradict one another.
    #[error(
        "a checkpoint that was published before does not fit the log: the store is older than the checkpoint, or \
         entries were changed. Keep both, and find out which"
    )]
    Contradiction,
    /// The server did not take it.
    #[error("{0}")]
    Https(#[from] HttpsError),
}

impl OutletError {
    /// Whether what was published before is in question, which no other attempt will change.
    fn is_alarm(self) -> bool {
        matches!(self, Self::Foreign | Self::Contradiction)
    }
}

/// Whether a checkpoint may take the place of the note that is there: one of the same log, which has not changed since.
fn may_follow(old: &[u8], new: &Checkpoint, root_at: &RootAt<'_>) -> Result<(), OutletError> {
    let old = note::read(old, &[]).ok().and_then(|read| Checkpoint::parse(read.text)).ok_or(OutletError::Foreign)?;
    if old.origin != new.origin {
        return Err(OutletError::Foreign);
    }
    if root_at(old.size) == Some(old.root) { Ok(()) } else { Err(OutletError::Contradiction) }
}

/// Where a checkpoint stays: the day on which it was published, and its size.
fn history(signed: &SignedCheckpoint, now: Timestamp) -> (String, String) {
    (now.to_string().chars().take("2026-01-31".len()).collect(), signed.checkpoint.size.to_string())
}

impl From<std::io::Error> for OutletError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.kind())
    }
}

/// What became of checkpoints outside, by outlet. Cheap to clone; all clones count together.
#[derive(Clone, Default)]
pub struct OutletMetrics {
    published: Family<OutletLabel, Counter>,
    failed: Family<OutletLabel, Counter>,
    size: Family<OutletLabel, Gauge<u64, AtomicU64>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutletLabel {
    outlet: &'static str,
}

impl OutletMetrics {
    /// Puts the counts into a registry.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("lacuna_checkpoints");
        registry.register("published", "Checkpoints published outside", self.published.clone());
        registry.register("failed", "Attempts to publish a checkpoint that failed", self.failed.clone());
        registry.register("published_size", "Entries that the newest published one covers", self.size.clone());
    }
}

/// The outlets that a configuration names.
///
/// # Errors
/// An address is none.
pub fn configured(audit: &config::Audit) -> Result<Vec<Box<dyn Outlet>>, ConfigFault> {
    let folder = audit.checkpoint_folder.clone().map(|path| Box::new(FolderOutlet::new(path)) as Box<dyn Outlet>);
    let https = audit.address()?.map(|(url, how)| Box::new(HttpsOutlet::new(url, how)) as Box<dyn Outlet>);
    let line = audit.checkpoint_log.then(|| Box::new(LineOutlet) as Box<dyn Outlet>);
    Ok(folder.into_iter().chain(https).chain(line).collect())
}

/// Outlets at work. They go on until stopped.
pub struct Outlets(Vec<Running>);

struct Running {
    name: &'static str,
    stop: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

impl Outlets {
    /// Starts a thread for each outlet.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        vault: &Arc<Vault>,
        outlets: Vec<Box<dyn Outlet>>,
        period: Duration,
        metrics: &OutletMetrics,
    ) -> std::io::Result<Self> {
        let start = |outlet: Box<dyn Outlet>| {
            let ((stop, stopped), (end, ended)) = (mpsc::channel(), mpsc::channel());
            let name = outlet.name();
            let label = OutletLabel { outlet: name };
            let mut worker = Worker {
                vault: vault.clone(),
                outlet,
                period,
                metrics: metrics.clone(),
                label,
                done: None,
                handed_over: None,
            };
            std::thread::Builder::new().name(format!("outlet-{name}")).spawn(move || {
                worker.run(&stopped);
                drop(worker); // and with it what it holds of the vault, before it counts as ended
                let _ = end.send(());
            })?;
            Ok(Running { name, stop, ended })
        };
        outlets.into_iter().map(start).collect::<std::io::Result<Vec<_>>>().map(Self)
    }

    /// Publishes the newest checkpoint and ends, but waits for that only so long.
    pub fn stop(self) {
        for Running { name, stop, ended } in self.0 {
            drop(stop);
            if ended.recv_timeout(PUBLISH_STOP_WAIT) == Err(RecvTimeoutError::Timeout) {
                tracing::warn!(outlet = name, "the last checkpoint could not be published in time");
            }
        }
    }
}

struct Worker {
    vault: Arc<Vault>,
    outlet: Box<dyn Outlet>,
    period: Duration,
    metrics: OutletMetrics,
    label: OutletLabel,
    /// The size of the last checkpoint that was published.
    done: Option<u64>,
    /// The size of the last note that was, by which the signing key changed.
    handed_over: Option<u64>,
}

impl Worker {
    fn run(&mut self, stopped: &mpsc::Receiver<()>) {
        let mut next = Instant::now();
        let mut pause = PUBLISH_RETRY.min(self.period);
        loop {
            let wait = next.saturating_duration_since(Instant::now()).min(LOOK);
            let stopping = stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout);
            if stopping || Instant::now() >= next {
                match self.publish() {
                    Some(true) => {
                        next = Instant::now() + self.period;
                        pause = PUBLISH_RETRY.min(self.period);
                    }
                    Some(false) => {
                        next = Instant::now() + pause;
                        pause = (2 * pause).min(Duration::from_secs(PUBLISH_SECONDS_MAX));
                    }
                    None => next = Instant::now() + LOOK,
                }
            }
            if stopping {
                return;
            }
        }
    }

    /// Whether it could be published; none if there is nothing new.
    fn publish(&mut self) -> Option<bool> {
        let known = self.vault.log().known().borrow().clone();
        let newest = known.newest?;
        let size = newest.checkpoint.size;
        if self.done == Some(size) {
            return None;
        }
        let log = self.vault.log().stored();
        let root_at = |at| if at <= size { root(&TileHashes::new(&log), at).ok() } else { None };
        // The note by which the signing key changed is what leads a reader from the old key to the new one.
        let handover = known.handover.filter(|note| self.handed_over != Some(note.checkpoint.size));
        let handover = handover.filter(|note| note.checkpoint.size < size);
        let mut both = handover.iter().chain([&newest]);
        match both.try_for_each(|signed| self.outlet.publish(signed, SystemClock.now(), &root_at)) {
            Ok(()) => {
                self.done = Some(size);
                self.handed_over = handover.as_ref().map(|note| note.checkpoint.size).or(self.handed_over);
                self.metrics.published.get_or_create(&self.label).inc();
                self.metrics.size.get_or_create(&self.label).set(size);
                Some(true)
            }
            Err(error) => {
                self.metrics.failed.get_or_create(&self.label).inc();
                let outlet = self.outlet.name();
                if error.is_alarm() {
                    tracing::error!(outlet, %error, "a checkpoint was not published");
                } else {
                    tracing::warn!(outlet, %error, "a checkpoint was not published; trying again");
                }
                Some(false)
            }
        }
    }
}

/// How often an outlet looks whether it is to stop, or whether there is something new.
const LOOK: Duration = Duration::from_millis(250);

/// A log line for each checkpoint.
struct LineOutlet;

impl Outlet for LineOutlet {
    fn name(&self) -> &'static str {
        "log"
    }

    fn publish(&mut self, signed: &SignedCheckpoint, _: Timestamp, _: &RootAt<'_>) -> Result<(), OutletError> {
        tracing::info!(size = signed.checkpoint.size, note = ?signed.note, "checkpoint of the audit log");
        Ok(())
    }
}

#[cfg(test)]
mod tests;
