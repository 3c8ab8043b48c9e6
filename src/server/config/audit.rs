//! `[audit]`: where the audit log's checkpoints go.

use std::path::PathBuf;

use serde::Deserialize;

use super::{Config, ConfigFault, value, within};
use crate::base::limits;
use crate::server::https::Credentials;
use crate::server::https::url::Url;
use crate::server::telemetry::LogLevel;

/// Where the audit log's checkpoints go.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// A folder, best on another machine's disk.
    pub checkpoint_folder: Option<PathBuf>,
    /// An address below which they are put.
    pub checkpoint_url: Option<String>,
    /// The authorities of that address, in PEM.
    pub checkpoint_ca_file: Option<PathBuf>,
    /// The certificate that is shown there, with its chain.
    pub checkpoint_cert: Option<PathBuf>,
    /// Its key.
    pub checkpoint_key: Option<PathBuf>,
    /// A log line for each.
    pub checkpoint_log: bool,
    /// The time between two that are published.
    pub checkpoint_seconds: u64,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            checkpoint_folder: None,
            checkpoint_url: None,
            checkpoint_ca_file: None,
            checkpoint_cert: None,
            checkpoint_key: None,
            checkpoint_log: false,
            checkpoint_seconds: limits::PUBLISH_SECONDS_MAX,
        }
    }
}

impl Audit {
    /// The address below which checkpoints are put, with what is needed there.
    ///
    /// # Errors
    /// It is none.
    pub fn address(&self) -> Result<Option<(Url, Credentials)>, ConfigFault> {
        let Some(text) = &self.checkpoint_url else { return Ok(None) };
        let url = Url::parse(text).map_err(|error| value("audit.checkpoint_url", &error.to_string()))?;
        if url.path().contains('?') {
            return Err(value("audit.checkpoint_url", "has a query; name the address that the files are put below"));
        }
        let identity = self.checkpoint_cert.clone().zip(self.checkpoint_key.clone());
        Ok(Some((url, Credentials { authorities: self.checkpoint_ca_file.clone(), identity })))
    }

    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let Self { checkpoint_folder, checkpoint_ca_file, checkpoint_cert, checkpoint_key, .. } = self;
        [checkpoint_folder, checkpoint_ca_file, checkpoint_cert, checkpoint_key].into_iter().flatten()
    }
}

impl Config {
    pub(super) fn validate_audit(&self) -> Result<(), ConfigFault> {
        let audit = &self.audit;
        within("audit.checkpoint_seconds", audit.checkpoint_seconds, 1..=limits::PUBLISH_SECONDS_MAX)?;
        if audit.checkpoint_log && matches!(self.log.level, LogLevel::Error | LogLevel::Warn) {
            return Err(value("audit.checkpoint_log", "needs log.level = \"info\": below it the line is not written"));
        }
        if audit.checkpoint_folder.as_ref().is_some_and(|folder| folder.starts_with(&self.store.dir)) {
            let advice = "is inside store.dir; who can change the one must not be able to change the other";
            return Err(value("audit.checkpoint_folder", advice));
        }
        let tls = audit.address()?.map(|(url, _)| url.is_tls());
        let (ca, cert, key) = (&audit.checkpoint_ca_file, &audit.checkpoint_cert, &audit.checkpoint_key);
        match (tls, ca, cert, key) {
            (Some(true), None, _, _) => {
                Err(value("audit.checkpoint_ca_file", "is needed with https: name the authority's certificate"))
            }
            (Some(true), Some(_), Some(_), Some(_)) | (Some(true), Some(_), None, None) => Ok(()),
            (Some(true), Some(_), _, _) => {
                Err(value("audit.checkpoint_cert", "goes with checkpoint_key; name both or neither"))
            }
            (Some(false) | None, None, None, None) => Ok(()),
            (Some(false) | None, _, _, _) => {
                let advice = "and checkpoint_cert and checkpoint_key go with an https checkpoint_url";
                Err(value("audit.checkpoint_ca_file", advice))
            }
        }
    }
}
