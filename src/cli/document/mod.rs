//! `lacuna item upload` and `lacuna item download`: whole documents, and from where it was if something comes between.
//!
//! A stream that breaks off is begun again by itself for as long as something comes of it. A command that ends is run
//! again: what it left beside the file says where to go on.

mod download;
mod journal;
mod part;
mod source;
mod upload;

use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::failure::{Failure, causes};
use super::remote::Remote;
use crate::api::reasons;
use crate::base::limits::DOCUMENT_BYTES_MAX;

pub use download::{Download, run as download};
pub use upload::{Upload, run as upload};

/// Until a stream that broke off is begun again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How a stream ended, if not with what was wanted.
enum Broken {
    /// The vault's word, or that none came.
    Stream(Status),
    /// Something of ours.
    Own(Failure),
}

impl From<Status> for Broken {
    fn from(status: Status) -> Self {
        Self::Stream(status)
    }
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Own(failure)
    }
}

/// A stream that ended without its last message.
fn incomplete() -> Status {
    Status::unavailable("the stream ended before its last message")
}

/// The reason of a refusal; none if no answer came from the vault.
fn reason(status: &Status) -> Option<String> {
    status.get_error_details().error_info().map(|info| info.reason.clone())
}

/// For how long nothing has moved.
struct Waiting {
    patience: Duration,
    since: Instant,
}

impl Waiting {
    fn new(remote: &Remote) -> Self {
        Self { patience: remote.patience(), since: Instant::now() }
    }

    fn moved(&mut self) {
        self.since = Instant::now();
    }

    /// Waits before another try, if there is to be one. `left` says what there is to go on from.
    async fn or_give_up(&self, status: &Status, remote: &Remote, left: &str) -> Result<(), Failure> {
        if may_pass(status) && self.since.elapsed() < self.patience {
            tokio::time::sleep(RETRY_PAUSE).await;
            return Ok(());
        }
        match reason(status) {
            Some(_) => Err(remote.refused(status)),
            None => Err(Failure::failed(format!("the stream broke off: {}; {left}", causes(status)))),
        }
    }
}

fn may_pass(status: &Status) -> bool {
    match reason(status).and_then(|name| reasons::by_name(&name)) {
        Some(reason) => reason.retryable,
        None => !matches!(status.code(), Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied),
    }
}

/// A bar on standard error, if that is a terminal.
fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    match ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn about(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {what}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The most that a document may have, in words.
fn size_max() -> String {
    format!("{} MiB", DOCUMENT_BYTES_MAX >> 20)
}
