//! `lacuna.toml`: what the process needs to know.
//!
//! Unknown keys are errors, every default is safe, and secrets are named by file only. What the named files hold is
//! looked at by [`Config::check`] and by those who use them.

mod audit;
mod check;
mod end_users;

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::file::{FileError, read_text};
use super::telemetry::{LogFormat, LogLevel};
use super::tls::TlsFiles;
use crate::base::limits;
use crate::policy::bindings::{Place, describe};

pub use audit::Audit;
pub use check::{Problem, RulesCheck};
pub use end_users::EndUserIssuer;

/// The process configuration, with absolute or working-directory paths.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to listen.
    #[serde(default)]
    pub listen: Listen,
    /// Certificates.
    pub tls: TlsFiles,
    /// The records.
    pub store: Store,
    /// The root slots.
    pub slots: Slots,
    /// The static outer key, O.
    pub outer_key: OuterKeySource,
    /// Other configuration files.
    pub files: Files,
    /// Issuers of people's tokens; without one, nobody acts for a person.
    #[serde(default)]
    pub end_users: Vec<EndUserIssuer>,
    /// Bounds an operator may choose.
    #[serde(default)]
    pub limits: Limits,
    /// Log lines.
    #[serde(default)]
    pub log: Log,
    /// Where the audit log's checkpoints go.
    #[serde(default)]
    pub audit: Audit,
}

/// Where to listen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// gRPC.
    pub address: SocketAddr,
    /// Operations.
    pub ops_address: SocketAddr,
    /// Worker threads; 0 for one per core.
    pub threads: usize,
}

impl Default for Listen {
    fn default() -> Self {
        let local = |port| (Ipv4Addr::LOCALHOST, port).into();
        Self { address: local(7443), ops_address: local(7444), threads: 0 }
    }
}

/// The records.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The data directory.
    pub dir: PathBuf,
    /// The block cache, in MiB.
    #[serde(default = "cache_mib")]
    pub cache_mib: u32,
    /// Erasures that the reserve of free space pays for.
    #[serde(default = "reserve_erasures")]
    pub reserve_erasures: u64,
    /// Reads that the reserve pays for before those.
    #[serde(default = "reserve_reads")]
    pub reserve_reads: u64,
    /// Days after which what was forgotten has to begin leaving the live files.
    #[serde(default = "purge_days")]
    pub purge_days: u64,
}

/// The root slots.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slots {
    /// Two or more, on different media.
    pub list: Vec<Slot>,
    /// Grades that are accepted although they promise less than erasure needs.
    #[serde(default)]
    pub accept_grades: Vec<AcceptedGrade>,
}

/// One root slot in a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// The file.
    pub path: PathBuf,
}

/// A grade that has to be accepted by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum AcceptedGrade {
    /// Overwriting is not known to destroy the old secret.
    E0,
}

/// Where the outer key comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OuterKeySource {
    /// A file that holds the key.
    File(PathBuf),
    /// A file that holds a passphrase the key is derived from.
    PassphraseFile(PathBuf),
}

impl OuterKeySource {
    /// The file, whichever it holds.
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) | Self::PassphraseFile(path) => path,
        }
    }
}

/// Other configuration files.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Classes and purposes.
    pub catalog: PathBuf,
    /// The directory of access policies: every file in it that ends in `.cedar`.
    pub policies: PathBuf,
    /// Identities and roles.
    pub bindings: PathBuf,
}

/// Bounds an operator may choose.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How long an epoch waits for calls that hold what is being forgotten.
    pub drain_ms_max: u64,
    /// How long a pending erasure may wait for its epoch.
    pub epoch_delay_max_ms: u64,
    /// How many different identifiers one caller may look for in any minute.
    pub finds_per_minute: usize,
    /// Share of all items that may be due at once before somebody must confirm it, in percent.
    pub due_percent_max: u64,
    /// As many items may be due at once whatever their share is.
    pub due_items_free: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            drain_ms_max: 250,
            epoch_delay_max_ms: 1000,
            finds_per_minute: limits::FINDS_PER_MINUTE,
            due_percent_max: limits::DUE_PERCENT_MAX,
            due_items_free: limits::DUE_ITEMS_FREE,
        }
    }
}

/// Log lines.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Their shape.
    pub format: LogFormat,
    /// How many of them.
    pub level: LogLevel,
}

/// Why a configuration was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", file.display())]
pub struct ConfigError {
    /// The configuration file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: ConfigFault,
}

/// What is wrong with a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigFault {
    /// It cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// It is not TOML, or has an unknown, missing or ill-typed key.
    #[error("{place}: {detail}")]
    Text {
        /// Where.
        place: Place,
        /// What, without the value.
        detail: String,
    },
    /// A key has a value that cannot work.
    #[error("{key}: {advice}")]
    Value {
        /// The key, with its section.
        key: &'static str,
        /// What to write instead.
        advice: String,
    },
}

impl Config {
    /// Reads a configuration file. Relative paths in it start at its directory.
    ///
    /// # Errors
    /// The first mistake, with file, place and what to do.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let fault = |fault| ConfigError { file: path.to_owned(), fault };
        let text = read_text(path).map_err(|e| fault(e.into()))?;
        let dir = path.parent().unwrap_or_else(|| Path::new(""));
        Self::parse(&text, dir).map_err(fault)
    }

    /// Reads a configuration text, as if it stood in a file in `dir`.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(text: &str, dir: &Path) -> Result<Self, ConfigFault> {
        let parsed = toml::from_str(text);
        let mut config: Self =
            parsed.map_err(|e| ConfigFault::Text { place: Place::of(text, &e), detail: describe(&e) })?;
        for path in config.paths() {
            *path = dir.join(&path);
        }
        config.validate()?;
        Ok(config)
    }

    /// A complete configuration with an explanation of every key.
    pub const fn sample() -> &'static str {
        include_str!("sample.toml")
    }

    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let outer_key = match &mut self.outer_key {
            OuterKeySource::File(path) | OuterKeySource::PassphraseFile(path) => path,
        };
        let tls = [&mut self.tls.cert, &mut self.tls.key, &mut self.tls.client_ca];
        let Files { catalog, policies, bindings } = &mut self.files;
        let files = [&mut self.store.dir, outer_key, catalog, policies, bindings];
        let slots = self.slots.list.iter_mut().map(|slot| &mut slot.path);
        let issuers = self.end_users.iter_mut();
        let keys = issuers.flat_map(|issuer| [issuer.jwks_file.as_mut(), issuer.ca_file.as_mut()]).flatten();
        tls.into_iter().chain(files).chain(slots).chain(self.audit.paths()).chain(keys)
    }

    fn validate(&self) -> Result<(), ConfigFault> {
        let threads = self.listen.threads as u64;
        within("listen.threads", threads, 0..=limits::THREADS_MAX as u64)?;
        let cache = u64::from(self.store.cache_mib);
        within("store.cache_mib", cache, limits::CACHE_MIB_MIN..=limits::CACHE_MIB_MAX)?;
        within("store.reserve_erasures", self.store.reserve_erasures, 1..=limits::RESERVE_CEILING)?;
        within("store.reserve_reads", self.store.reserve_reads, 1..=limits::RESERVE_CEILING)?;
        within("store.purge_days", self.store.purge_days, 1..=limits::PURGE_EVERY_DAYS_MAX)?;
        within("limits.drain_ms_max", self.limits.drain_ms_max, 0..=limits::DRAIN_MS_CEILING)?;
        within("limits.epoch_delay_max_ms", self.limits.epoch_delay_max_ms, 0..=limits::EPOCH_DELAY_MS_CEILING)?;
        let finds = self.limits.finds_per_minute as u64;
        within("limits.finds_per_minute", finds, 1..=limits::FINDS_PER_MINUTE_CEILING as u64)?;
        within("limits.due_percent_max", self.limits.due_percent_max, 0..=100)?;
        let (api, ops) = (self.listen.address, self.listen.ops_address);
        if api == ops && api.port() != 0 {
            return Err(value("listen.ops_address", "is the same as listen.address; choose another port"));
        }
        self.validate_audit()?;
        self.validate_end_users()?;
        self.validate_slots()
    }

    fn validate_slots(&self) -> Result<(), ConfigFault> {
        let (min, max) = (limits::SLOTS_MIN, limits::SLOTS_MAX);
        if !(min..=max).contains(&self.slots.list.len()) {
            let advice = format!("name {min} to {max} slots, on different media: losing the only one loses everything");
            return Err(ConfigFault::Value { key: "slots.list", advice });
        }
        let mut seen = HashSet::new();
        for slot in &self.slots.list {
            if !seen.insert(&slot.path) {
                return Err(value("slots.list", "names one path twice; a copy of a slot is no second slot"));
            }
            if slot.path.starts_with(&self.store.dir) {
                let advice = "has a slot inside store.dir; keep slots on other media than the records they open";
                return Err(value("slots.list", advice));
            }
        }
        Ok(())
    }
}

fn within(key: &'static str, number: u64, range: RangeInclusive<u64>) -> Result<(), ConfigFault> {
    if range.contains(&number) {
        return Ok(());
    }
    Err(ConfigFault::Value { key, advice: format!("choose a number from {} to {}", range.start(), range.end()) })
}

fn value(key: &'static str, advice: &str) -> ConfigFault {
    ConfigFault::Value { key, advice: advice.to_owned() }
}

const fn cache_mib() -> u32 {
    256
}

const fn reserve_erasures() -> u64 {
    limits::RESERVE_ERASURES
}

const fn reserve_reads() -> u64 {
    limits::RESERVE_READS
}

const fn purge_days() -> u64 {
    limits::PURGE_EVERY_DAYS
}

#[cfg(test)]
mod tests;
