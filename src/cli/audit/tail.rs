//! `lacuna audit tail`.

use tonic::Request;

use super::entries::Entries;
use super::filter::Filter;
use crate::api::proto::TailEntriesRequest;
use crate::api::proto::audit_client::AuditClient;
use crate::cli::failure::Failure;
use crate::cli::remote::{AUDITOR, Remote};

/// What `audit tail` is told.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    filter: Filter,
    /// Where to begin; without it at the end as it is now.
    #[arg(long, value_name = "INDEX")]
    start_index: Option<u64>,
    #[command(flatten)]
    remote: Remote,
}

/// Prints entries as they are written, until the vault or the user ends it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (filter, parts) = (arguments.filter.message()?, arguments.filter.parts());
    let mut entries = Entries::new(arguments.remote.format());
    arguments.remote.follow(AUDITOR, async |session| {
        let request = TailEntriesRequest {
            context: session.context(),
            filter: Some(filter),
            parts: Some(parts),
            start_index: arguments.start_index,
        };
        let refused = |status: &tonic::Status| arguments.remote.refused(status);
        let mut client = AuditClient::new(session.channel.clone());
        let mut stream = client.tail_entries(Request::new(request)).await.map_err(|s| refused(&s))?.into_inner();
        while let Some(message) = stream.message().await.map_err(|s| refused(&s))? {
            entries.print(&message.entries)?;
        }
        Ok(())
    })
}
