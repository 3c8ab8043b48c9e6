//! All problems of a configuration at once, by reading what it names.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use crate::base::time::Clock;
use crate::policy::bindings::Bindings;
use crate::server::end_users;
use crate::server::file::{read_policies, read_secret, read_text};
use crate::server::tls::{DevCertificates, Tls};

/// Policies by name and content.
type NamedPolicies = [(String, String)];

/// Reads the text of a catalog, or of a catalog and policies by name, and says what is wrong with it.
pub struct RulesCheck<'a> {
    /// For a catalog.
    pub catalog: &'a dyn Fn(&str) -> Result<(), String>,
    /// For policies, given a catalog that is right.
    pub policies: &'a dyn Fn(&str, &NamedPolicies) -> Result<(), String>,
}

/// One thing to put right before the vault starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The configuration key that names the file.
    pub key: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.key, self.path.display(), self.detail)
    }
}

impl Config {
    /// Reads every file the configuration names and lists all problems; changes nothing.
    pub fn check(&self, dev: DevCertificates, clock: &Arc<dyn Clock>, rules: &RulesCheck<'_>) -> Vec<Problem> {
        let mut problems = self.check_tls(dev, clock);
        let mut note = |key, path: &Path, outcome: Result<(), String>| {
            problems.extend(outcome.err().map(|detail| Problem { key, path: path.to_owned(), detail }));
        };
        note("store.dir", &self.store.dir, check_dir(&self.store.dir));
        for slot in &self.slots.list {
            note("slots.list", &slot.path, check_slot(&slot.path));
        }
        note("outer_key", self.outer_key.path(), check_outer_key(self.outer_key.path()));
        let text = |path: &Path| read_text(path).map_err(|e| e.to_string());
        let catalog = text(&self.files.catalog).and_then(|text| (rules.catalog)(&text).map(|()| text));
        let policies = read_policies(&self.files.policies).map_err(|e| e.to_string());
        let policies = policies.and_then(|policies| match &catalog {
            Ok(catalog) => (rules.policies)(catalog, &policies),
            Err(_) => Ok(()), // told already
        });
        note("files.catalog", &self.files.catalog, catalog.map(|_| ()));
        note("files.policies", &self.files.policies, policies);
        let bindings = |text: String| Bindings::parse(&text).map(|_| ()).map_err(|e| e.to_string());
        note("files.bindings", &self.files.bindings, text(&self.files.bindings).and_then(bindings));
        for issuer in &self.end_users {
            let path = issuer.jwks_file.as_ref().or(issuer.ca_file.as_ref());
            let path = path.map_or(Path::new(""), PathBuf::as_path);
            note("end_users", path, end_users::check(issuer, dev).map_err(|e| e.to_string()));
        }
        if let Ok(Some((_, credentials))) = self.audit.address() {
            let path = credentials.authorities.clone().unwrap_or_default();
            note("audit.checkpoint_url", &path, credentials.check().map_err(|e| e.to_string()));
        }
        problems
    }

    fn check_tls(&self, dev: DevCertificates, clock: &Arc<dyn Clock>) -> Vec<Problem> {
        let keys = [("tls.cert", &self.tls.cert), ("tls.key", &self.tls.key), ("tls.client_ca", &self.tls.client_ca)];
        let found = Tls::problems(&self.tls, dev, clock).into_iter();
        found
            .map(|error| {
                let key = keys.iter().find(|(_, path)| **path == error.file).map_or("tls", |(key, _)| key);
                Problem { key, path: error.file, detail: error.fault.to_string() }
            })
            .collect()
    }
}

/// The directory, or the place where it will be made.
fn check_dir(dir: &Path) -> Result<(), String> {
    match fs::metadata(dir) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err("is not a directory; name a directory for the records".into()),
        Err(_) => check_parent(dir),
    }
}

fn check_slot(path: &Path) -> Result<(), String> {
    match fs::metadata(path) {
        Ok(found) if !found.is_file() => Err("is not a file; name a file on the slot's medium".into()),
        Ok(found) if found.mode() & 0o077 != 0 => Err("other users can read or write it; run chmod 600 on it".into()),
        Ok(_) => Ok(()),
        Err(_) => check_parent(path),
    }
}

fn check_outer_key(path: &Path) -> Result<(), String> {
    match read_secret(path) {
        Ok(secret) if secret.is_empty() => Err("is empty; write the key or passphrase into it".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

fn check_parent(path: &Path) -> Result<(), String> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if parent.is_dir() { Ok(()) } else { Err("its directory does not exist; make it, or mount its medium".into()) }
}
