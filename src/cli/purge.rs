//! `lacuna purge`.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::Failure;
use super::remote::{OPERATOR, Remote};
use super::show;
use crate::api::proto::system_client::SystemClient;
use crate::api::proto::{GetStatusRequest, Purge, StartPurgeRequest};

/// What `purge` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// Start it and do not wait for its end.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    remote: Remote,
}

/// How often it is asked how far it is.
const LOOK: Duration = Duration::from_millis(500);

/// Starts a purge, and waits until what was forgotten before has left the live files.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let remote = &arguments.remote;
    let started = remote.call(OPERATOR, async |session| {
        let request = session.request(StartPurgeRequest { context: session.context() });
        SystemClient::new(session.channel.clone()).start_purge(request).await
    })?;
    let mut purge = started.purge.unwrap_or_default();
    if !arguments.no_wait && purge.running {
        let (through, bar) = (purge.running_through_epoch, bar());
        while purge.through_epoch < through {
            std::thread::sleep(LOOK);
            purge = look(remote)?;
            bar.set_length(purge.total_bytes);
            bar.set_position(purge.done_bytes);
        }
        bar.finish_and_clear();
    }
    show::message(&purge, remote.format())
}

fn look(remote: &Remote) -> Result<Purge, Failure> {
    let status = remote.call(OPERATOR, async |session| {
        let request = session.request(GetStatusRequest { context: session.context() });
        SystemClient::new(session.channel.clone()).get_status(request).await
    })?;
    Ok(status.store.and_then(|store| store.purge).unwrap_or_default())
}

/// A bar on standard error, if that is a terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    match ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
