//! `lacuna audit checkpoint`.

use crate::api::proto::GetCheckpointRequest;
use crate::api::proto::audit_client::AuditClient;
use crate::cli::failure::Failure;
use crate::cli::remote::{AUDITOR, Remote};
use crate::cli::show::{self, Format, out};

/// What `audit checkpoint` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// The least size that it must cover; 0 for the newest there is.
    #[arg(long, value_name = "SIZE", default_value_t = 0)]
    tree_size_min: u64,
    #[command(flatten)]
    remote: Remote,
}

/// Prints the note as it is signed, or the whole answer as JSON.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let remote = &arguments.remote;
    let answer = remote.call(AUDITOR, async |session| {
        let tree_size_min = arguments.tree_size_min;
        let request = session.request(GetCheckpointRequest { context: session.context(), tree_size_min });
        AuditClient::new(session.channel.clone()).get_checkpoint(request).await
    })?;
    let checkpoint = answer.checkpoint.unwrap_or_default();
    match remote.format() {
        Format::Json => show::message(&checkpoint, Format::Json),
        // A note ends with a line feed of its own.
        Format::Table => out(String::from_utf8_lossy(&checkpoint.note).trim_end_matches('\n')),
    }
}
