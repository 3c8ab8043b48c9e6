//! The keys of people's issuers: read from files, fetched from addresses, and kept up to date beside the calls.
//!
//! INVARIANT: keys that cannot be read or fetched, and a key set that will not do, leave the old keys in force - those
//! of an address until they are too old, those of a file for good - and are told in the log.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::codegen::http::{Method, StatusCode};

use super::config::EndUserIssuer;
use super::file::{FileError, read_text};
use super::https::url::{BadUrl, Url};
use super::https::{Bounds, Credentials, HttpsError, ask};
use super::tls::DevCertificates;
use crate::base::limits::{
    END_USER_FETCH_TIME_MAX, END_USER_KEY_SET_BYTES_MAX, END_USER_KEYS_AGE_MAX, END_USER_KEYS_PERIOD,
};
use crate::base::time::{Clock, SystemClock, Timestamp};
use crate::bearer::jwks::{KeySet, KeySetError};
use crate::gate::end_users::Issuer;

/// The issuers of a configuration, and the thread that keeps their keys. Dropping it ends that.
pub struct EndUserKeys {
    sources: Vec<Arc<Source>>,
    reload: watch::Sender<u64>,
    thread: Option<JoinHandle<()>>,
}

struct Source {
    issuer: Arc<Issuer>,
    place: Place,
    dev: DevCertificates,
}

enum Place {
    File(PathBuf),
    Url { url: Url, credentials: Credentials },
}

/// Why an issuer has no new keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// The address gave nothing.
    #[error("{0}")]
    Fetch(#[from] HttpsError),
    /// What is there will not do.
    #[error("{0}")]
    KeySet(#[from] KeySetError),
    /// The address is none.
    #[error("{0}")]
    Url(#[from] BadUrl),
}

impl EndUserKeys {
    /// Reads the keys that are in files and starts fetching the others.
    ///
    /// # Errors
    /// The file that will not do, and why; a thread could not be started.
    pub fn start(
        configured: &[EndUserIssuer],
        dev: DevCertificates,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let mut sources = Vec::with_capacity(configured.len());
        for issuer in configured {
            let place = Place::of(issuer)?;
            let source = Source { issuer: Arc::new(Issuer::new(issuer.trust())), place, dev };
            if let Place::File(path) = &source.place {
                source.take(read(path)).map_err(|error| format!("{}: {error}", path.display()))?;
            }
            sources.push(Arc::new(source));
        }
        let (reload, watched) = watch::channel(0);
        let thread = if sources.is_empty() { None } else { Some(keep(sources.clone(), watched)?) };
        Ok(Self { sources, reload, thread })
    }

    /// The issuers, for the gate.
    pub fn issuers(&self) -> Vec<Arc<Issuer>> {
        self.sources.iter().map(|source| source.issuer.clone()).collect()
    }

    /// Gets all keys again: those in files before this returns, the others as soon as they answer. Whether all those in
    /// files are in force now.
    pub fn reload(&self) -> bool {
        let mut all_taken = true;
        for source in &self.sources {
            if let Place::File(path) = &source.place {
                let taken = source.take(read(path));
                all_taken &= taken.is_ok();
                source.tell(taken);
            }
        }
        self.reload.send_modify(|count| *count += 1);
        all_taken
    }
}

impl Drop for EndUserKeys {
    fn drop(&mut self) {
        // The thread ends when nobody can ask it any more.
        self.reload = watch::channel(0).0;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it has nothing to say
        }
    }
}

/// What is wrong with the keys of one configured issuer, without using them.
///
/// # Errors
/// [`KeysError`]; an address is not asked.
pub fn check(issuer: &EndUserIssuer, dev: DevCertificates) -> Result<(), KeysError> {
    match Place::of(issuer)? {
        Place::File(path) => parse(read(&path)?.as_slice(), dev).map(|_| ()),
        Place::Url { credentials, .. } => Ok(credentials.check()?),
    }
}

/// Fetches what an address has.
///
/// # Errors
/// [`HttpsError`].
pub async fn fetch(url: &Url, credentials: &Credentials) -> Result<Vec<u8>, HttpsError> {
    let bounds = Bounds { time: END_USER_FETCH_TIME_MAX, bytes: END_USER_KEY_SET_BYTES_MAX };
    match ask((Method::GET, url), credentials, Vec::new(), bounds).await? {
        (StatusCode::OK, content) => Ok(content),
        (status, _) => Err(HttpsError::Status(status)),
    }
}

impl Place {
    fn of(issuer: &EndUserIssuer) -> Result<Self, BadUrl> {
        match (&issuer.jwks_file, &issuer.jwks_url) {
            (Some(path), _) => Ok(Self::File(path.clone())),
            (None, Some(url)) => {
                let credentials = Credentials { authorities: issuer.ca_file.clone(), identity: None };
                Ok(Self::Url { url: Url::parse(url)?, credentials })
            }
            (None, None) => Err(BadUrl),
        }
    }
}

impl Source {
    /// Puts keys in force, if they will do.
    fn take(&self, text: Result<Vec<u8>, KeysError>) -> Result<usize, KeysError> {
        let taken = text.and_then(|text| parse(&text, self.dev)).map(|keys| {
            let count = keys.len();
            let until = match self.place {
                Place::File(_) => None,
                Place::Url { .. } => Some(later(SystemClock.now(), END_USER_KEYS_AGE_MAX)),
            };
            self.issuer.replace(keys, until);
            count
        });
        self.issuer.attempt_ended(taken.is_ok());
        taken
    }

    fn tell(&self, taken: Result<usize, KeysError>) {
        let issuer = &self.issuer.trusted().issuer;
        match taken {
            Ok(keys) => tracing::info!(issuer, keys, "the keys of an issuer of people's tokens were read again"),
            Err(error) if self.issuer.has_keys(SystemClock.now()) => {
                tracing::error!(issuer, "the keys of an issuer of people's tokens are kept as they were: {error}");
            }
            Err(error) => {
                tracing::error!(issuer, "no keys of an issuer of people's tokens, who are refused: {error}");
            }
        }
    }

    async fn keep(self: Arc<Self>, mut reload: watch::Receiver<u64>) {
        // What is in a file was read before this began.
        let mut due = matches!(self.place, Place::Url { .. });
        loop {
            if due {
                let text = match &self.place {
                    Place::File(path) => read(path),
                    Place::Url { url, credentials } => fetch(url, credentials).await.map_err(KeysError::from),
                };
                self.tell(self.take(text));
            }
            tokio::select! {
                () = self.issuer.keys_wanted() => due = true,
                () = tokio::time::sleep(END_USER_KEYS_PERIOD) => due = true,
                asked = reload.changed() => match asked {
                    // Whoever reloads has read the files already.
                    Ok(()) => due = matches!(self.place, Place::Url { .. }),
                    Err(_) => return,
                },
            }
        }
    }
}

fn keep(sources: Vec<Arc<Source>>, reload: watch::Receiver<u64>) -> std::io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("lacuna-issuers".into()).spawn(move || {
        runtime.block_on(async {
            let mut stopped = reload.clone();
            let mut all: JoinSet<()> = sources.into_iter().map(|source| source.keep(reload.clone())).collect();
            while stopped.changed().await.is_ok() {}
            all.shutdown().await; // a fetch that is under way is of no use any more
        });
        runtime.shutdown_background(); // does not wait for a name that is being resolved
    })
}

fn read(path: &Path) -> Result<Vec<u8>, KeysError> {
    Ok(read_text(path)?.into_bytes())
}

fn parse(text: &[u8], dev: DevCertificates) -> Result<KeySet, KeysError> {
    let keys = KeySet::parse(text)?;
    if dev == DevCertificates::Refused && keys.is_of_dev() { Err(KeySetError::DevKey.into()) } else { Ok(keys) }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(time.as_millis().saturating_add(by.as_millis() as i64))
}
