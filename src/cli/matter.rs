//! `lacuna matter`: the legal grounds of holds.

use std::path::PathBuf;

use super::failure::Failure;
use super::json;
use super::page::{self, Paging};
use super::remote::{Remote, Usually};
use super::show::{self, out, table};
use crate::api::proto::holds_client::HoldsClient;
use crate::api::proto::{CloseMatterRequest, ListMattersRequest, Matter, MatterState, OpenMatterRequest};

/// A command for people of the law.
pub const LEGAL: Usually = Usually { client: "legal", purpose: Some("legal_compliance") };

/// What `matter` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Open a matter.
    Open(Open),
    /// Close a matter without holds, for good.
    Close(Close),
    /// List matters, newest first.
    List(List),
}

/// What `matter open` is told.
#[derive(clap::Args)]
pub struct Open {
    /// The matter as JSON, - for standard input: name, authority, reference, review_time, as in Matter.
    #[arg(value_name = "FILE")]
    matter: PathBuf,
    #[command(flatten)]
    remote: Remote,
}

/// What `matter close` is told.
#[derive(clap::Args)]
pub struct Close {
    /// The matter: mat_...
    #[arg(value_name = "ID")]
    id: String,
    /// The etag that the matter must still have.
    #[arg(long, value_name = "ETAG", default_value = "")]
    etag: String,
    #[command(flatten)]
    remote: Remote,
}

/// What `matter list` is told.
#[derive(clap::Args)]
pub struct List {
    /// Only open ones.
    #[arg(long)]
    open: bool,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    remote: Remote,
}

/// Carries it out.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Open(arguments) => open(arguments),
        Command::Close(arguments) => close(arguments),
        Command::List(arguments) => list(arguments),
    }
}

fn open(arguments: &Open) -> Result<(), Failure> {
    let matter: Matter = json::read(&arguments.matter)?;
    let answer = arguments.remote.call(LEGAL, async |session| {
        let request = OpenMatterRequest { context: session.context(), matter: Some(matter) };
        HoldsClient::new(session.channel.clone()).open_matter(session.request(request)).await
    })?;
    show_one(answer.matter, &arguments.remote)
}

fn close(arguments: &Close) -> Result<(), Failure> {
    let answer = arguments.remote.call(LEGAL, async |session| {
        let request = CloseMatterRequest {
            context: session.context(),
            matter_id: arguments.id.clone(),
            etag: arguments.etag.clone(),
        };
        HoldsClient::new(session.channel.clone()).close_matter(session.request(request)).await
    })?;
    show_one(answer.matter, &arguments.remote)
}

fn list(arguments: &List) -> Result<(), Failure> {
    let List { open, paging, remote } = arguments;
    let state = if *open { MatterState::Open } else { MatterState::Unspecified };
    let answer = remote.call(LEGAL, async |session| {
        let request = ListMattersRequest {
            context: session.context(),
            state: state.into(),
            page_size: paging.size,
            page_token: paging.token.clone(),
            ..Default::default()
        };
        HoldsClient::new(session.channel.clone()).list_matters(session.request(request)).await
    })?;
    let what = (answer.matters.is_empty(), "no matters", &answer.next_page_token[..]);
    page::show(&answer, remote.format(), what, || matters_table(&answer.matters))
}

fn matters_table(matters: &[Matter]) -> Result<(), Failure> {
    let row = |matter: &Matter| {
        let state = matter.state().as_str_name().trim_start_matches("MATTER_STATE_").to_owned();
        [
            matter.matter_id.clone(),
            state,
            matter.hold_count.to_string(),
            matter.kept_item_count.to_string(),
            page::time(matter.review_time.as_ref()),
            matter.name.clone(),
        ]
    };
    out(&table(["MATTER", "STATE", "HOLDS", "KEPT", "REVIEW", "NAME"], matters.iter().map(row)))
}

fn show_one(matter: Option<Matter>, remote: &Remote) -> Result<(), Failure> {
    show::message(&matter.unwrap_or_default(), remote.format())
}
