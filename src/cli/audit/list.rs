//! `lacuna audit list`.

use tonic::{Request, Status};

use super::entries::Entries;
use super::filter::Filter;
use crate::api::proto::audit_client::AuditClient;
use crate::api::proto::{Checkpoint, ListEntriesRequest};
use crate::cli::failure::Failure;
use crate::cli::remote::{AUDITOR, Remote, Session};
use crate::cli::show::{Format, out};

/// What `audit list` is told.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    filter: Filter,
    /// The first index to consider.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    start_index: u64,
    /// The first index not to consider; 0 for the end.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    end_index: u64,
    /// From the newest to the oldest.
    #[arg(long)]
    newest_first: bool,
    /// At most so many entries; 0 for all.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    limit: u64,
    #[command(flatten)]
    remote: Remote,
}

/// Lists entries as they come. A list that is longer than one call may take goes on in another.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let mut request = ListEntriesRequest {
        context: None,
        filter: Some(arguments.filter.message()?),
        parts: Some(arguments.filter.parts()),
        start_index: arguments.start_index,
        end_index: arguments.end_index,
        newest_first: arguments.newest_first,
        limit: arguments.limit,
        resume_token: String::new(),
    };
    let mut entries = Entries::new(arguments.remote.format());
    let mut last = None;
    arguments.remote.follow(AUDITOR, async |session| {
        request.context = session.context();
        loop {
            let before = request.resume_token.clone();
            match page(&session, &mut request, &mut entries, &mut last).await {
                Ok(printed) => return printed,
                // The vault ends every call after a while: as long as it gets on, the list does.
                Err(status) if is_over_time(&status) && request.resume_token != before => {}
                Err(status) => return Err(arguments.remote.refused(&status)),
            }
        }
    })?;
    if let (Format::Table, Some(checkpoint)) = (arguments.remote.format(), last) {
        let count = entries.count();
        out(&format!("\n{count} entries; a checkpoint over {} covers all that was considered", checkpoint.tree_size))?;
    }
    Ok(())
}

async fn page(
    session: &Session,
    request: &mut ListEntriesRequest,
    entries: &mut Entries,
    last: &mut Option<Checkpoint>,
) -> Result<Result<(), Failure>, Status> {
    let mut client = AuditClient::new(session.channel.clone());
    let mut stream = client.list_entries(Request::new(request.clone())).await?.into_inner();
    while let Some(message) = stream.message().await? {
        if let Err(failure) = entries.print(&message.entries) {
            return Ok(Err(failure));
        }
        request.resume_token = message.resume_token;
        *last = message.checkpoint;
    }
    Ok(Ok(()))
}

fn is_over_time(status: &Status) -> bool {
    status.code() == tonic::Code::DeadlineExceeded
}
