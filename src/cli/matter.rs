//! `lacuna matter`: the legal grounds of holds.

use std::path::PathBuf;

use super::failure::Failure;
use super::json;
use super::remote::{Remote, Usually};
use super::show::{self, Format, out, table};
use crate::api::proto::holds_client::HoldsClient;
use crate::api::proto::{
    CloseMatterRequest, ListMattersRequest, ListMattersResponse, Matter, MatterState, OpenMatterRequest, well_known,
};
use crate::base::time::Timestamp;

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
    /// How many at most.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    page_size: u32,
    /// Continues an earlier answer.
    #[arg(long, value_name = "TOKEN", default_value = "")]
    page_token: String,
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
    let List { open, page_size, page_token, remote } = arguments;
    let state = if *open { MatterState::Open } else { MatterState::Unspecified };
    let answer = remote.call(LEGAL, async |session| {
        let request = ListMattersRequest {
            context: session.context(),
            state: state.into(),
            page_size: *page_size,
            page_token: page_token.clone(),
            ..Default::default()
        };
        HoldsClient::new(session.channel.clone()).list_matters(session.request(request)).await
    })?;
    match remote.format() {
        Format::Json => show::message(&answer, Format::Json),
        Format::Table => tables(&answer),
    }
}

fn tables(answer: &ListMattersResponse) -> Result<(), Failure> {
    if answer.matters.is_empty() {
        return out("no matters");
    }
    let row = |matter: &Matter| {
        let state = matter.state().as_str_name().trim_start_matches("MATTER_STATE_").to_owned();
        [
            matter.matter_id.clone(),
            state,
            matter.hold_count.to_string(),
            matter.kept_item_count.to_string(),
            time(&matter.review_time),
            matter.name.clone(),
        ]
    };
    out(&table(["MATTER", "STATE", "HOLDS", "KEPT", "REVIEW", "NAME"], answer.matters.iter().map(row)))?;
    more(&answer.next_page_token)
}

fn show_one(matter: Option<Matter>, remote: &Remote) -> Result<(), Failure> {
    show::message(&matter.unwrap_or_default(), remote.format())
}

/// How a list goes on.
pub fn more(token: &str) -> Result<(), Failure> {
    if token.is_empty() { Ok(()) } else { out(&format!("\nmore: --page-token {token}")) }
}

/// A point in time, or nothing.
pub fn time(time: &Option<well_known::Timestamp>) -> String {
    time.as_ref().map_or_else(String::new, |time| {
        Timestamp::from_millis(time.seconds * 1000 + i64::from(time.nanos) / 1_000_000).to_string()
    })
}
