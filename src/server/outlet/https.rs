//! Checkpoints on a web server: the same files as in a folder, put under an address.

use tokio::runtime::Builder;
use tonic::codegen::http::{Method, StatusCode};

use super::{Outlet, OutletError, RootAt, history, may_follow};
use crate::audit::note::NOTE_BYTES_MAX;
use crate::audit::stored::SignedCheckpoint;
use crate::base::limits::PUBLISH_TIME_MAX;
use crate::base::time::Timestamp;
use crate::server::https::url::Url;
use crate::server::https::{Bounds, Credentials, HttpsError, ask};

/// A server that takes files by PUT and shows them by GET, below an address.
///
/// INVARIANT: a checkpoint that the log contradicts is never written over.
pub struct HttpsOutlet {
    base: Url,
    credentials: Credentials,
}

impl HttpsOutlet {
    /// Below this address; nothing is asked yet.
    pub fn new(base: Url, credentials: Credentials) -> Self {
        Self { base, credentials }
    }

    async fn replace(
        &self,
        signed: &SignedCheckpoint,
        now: Timestamp,
        root_at: &RootAt<'_>,
    ) -> Result<(), OutletError> {
        let (day, size) = history(signed, now);
        let places = [format!("history/{day}/{size}"), "checkpoint".to_owned()];
        for name in &places {
            match self.ask(Method::GET, name, Vec::new()).await? {
                (StatusCode::OK, old) => may_follow(&old, &signed.checkpoint, root_at)?,
                (StatusCode::NOT_FOUND, _) => {}
                (status, _) => return Err(HttpsError::Status(status).into()),
            }
        }
        for name in &places {
            match self.ask(Method::PUT, name, signed.note.as_bytes().to_vec()).await? {
                (StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT, _) => {}
                (status, _) => return Err(HttpsError::Status(status).into()),
            }
        }
        Ok(())
    }

    async fn ask(&self, method: Method, name: &str, content: Vec<u8>) -> Result<(StatusCode, Vec<u8>), HttpsError> {
        let bounds = Bounds { time: PUBLISH_TIME_MAX, bytes: NOTE_BYTES_MAX };
        ask((method, &self.base.below(name)), &self.credentials, content, bounds).await
    }
}

impl Outlet for HttpsOutlet {
    fn name(&self) -> &'static str {
        "https"
    }

    /// # Durability
    /// On `Ok` the server has said that it has both files.
    fn publish(&mut self, signed: &SignedCheckpoint, now: Timestamp, root_at: &RootAt<'_>) -> Result<(), OutletError> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let replaced = runtime.block_on(async {
            // All of it in that time: the end of the process waits for whoever holds the store.
            let replaced = tokio::time::timeout(PUBLISH_TIME_MAX, self.replace(signed, now, root_at)).await;
            replaced.unwrap_or(Err(HttpsError::Time.into()))
        });
        runtime.shutdown_background(); // does not wait for a name that is being resolved
        replaced
    }
}
