//! `lacuna approval`: another person's word.

use super::failure::Failure;
use super::page::{self, Paging};
use super::remote::{KEY_ADMIN, Remote};
use super::show::{self, Format, out, table};
use crate::api::proto::approvals_client::ApprovalsClient;
use crate::api::proto::{Approval, ApprovalDecision, ApproveRequest, ListApprovalsRequest, RejectRequest};

/// What `approval` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List what waits for a decision, and what became of the rest; newest first.
    List(List),
    /// Agree to somebody else's request.
    Approve(Approve),
    /// Refuse somebody else's request, or withdraw your own. Final.
    Reject(Reject),
}

/// What `approval list` is told.
#[derive(clap::Args)]
pub struct List {
    /// Only those that you may agree to now.
    #[arg(long)]
    decidable: bool,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    remote: Remote,
}

/// What `approval approve` is told.
#[derive(clap::Args)]
pub struct Approve {
    /// The approval: apr_...
    #[arg(value_name = "ID")]
    id: String,
    /// The digest of the request you agree to, as `approval list` shows it: 64 hexadecimal digits.
    #[arg(long, value_name = "HEX", value_parser = digest)]
    digest: [u8; 32],
    /// The etag that the approval must still have.
    #[arg(long, value_name = "ETAG", default_value = "")]
    etag: String,
    /// For the record; kept sealed.
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    #[command(flatten)]
    remote: Remote,
}

/// What `approval reject` is told.
#[derive(clap::Args)]
pub struct Reject {
    /// The approval: apr_...
    #[arg(value_name = "ID")]
    id: String,
    /// The etag that the approval must still have.
    #[arg(long, value_name = "ETAG", default_value = "")]
    etag: String,
    /// For the record; kept sealed.
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
    #[command(flatten)]
    remote: Remote,
}

/// Carries it out.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments),
        Command::Approve(arguments) => approve(arguments),
        Command::Reject(arguments) => reject(arguments),
    }
}

fn list(arguments: &List) -> Result<(), Failure> {
    let List { decidable, paging, remote } = arguments;
    let answer = remote.call(KEY_ADMIN, async |session| {
        let request = ListApprovalsRequest {
            context: session.context(),
            decidable: *decidable,
            page_size: paging.size,
            page_token: paging.token.clone(),
            ..Default::default()
        };
        ApprovalsClient::new(session.channel.clone()).list_approvals(session.request(request)).await
    })?;
    let what = (answer.approvals.is_empty(), "no approvals", &answer.next_page_token[..]);
    page::show(&answer, remote.format(), what, || blocks(&answer.approvals))
}

fn approve(arguments: &Approve) -> Result<(), Failure> {
    let answer = arguments.remote.call(KEY_ADMIN, async |session| {
        let request = ApproveRequest {
            context: session.context(),
            approval_id: arguments.id.clone(),
            request_digest: arguments.digest.to_vec(),
            etag: arguments.etag.clone(),
            comment: arguments.comment.clone(),
        };
        ApprovalsClient::new(session.channel.clone()).approve(session.request(request)).await
    })?;
    show_one(answer.approval, &arguments.remote)?;
    if arguments.remote.format() == Format::Table {
        out(&format!("\nthe requester now repeats the same request with --approval {}", arguments.id))?;
    }
    Ok(())
}

fn reject(arguments: &Reject) -> Result<(), Failure> {
    let answer = arguments.remote.call(KEY_ADMIN, async |session| {
        let request = RejectRequest {
            context: session.context(),
            approval_id: arguments.id.clone(),
            etag: arguments.etag.clone(),
            comment: arguments.comment.clone(),
        };
        ApprovalsClient::new(session.channel.clone()).reject(session.request(request)).await
    })?;
    show_one(answer.approval, &arguments.remote)
}

fn show_one(approval: Option<Approval>, remote: &Remote) -> Result<(), Failure> {
    let approval = approval.unwrap_or_default();
    match remote.format() {
        Format::Json => show::message(&approval, Format::Json),
        Format::Table => block(&approval),
    }
}

fn blocks(approvals: &[Approval]) -> Result<(), Failure> {
    for (number, approval) in approvals.iter().enumerate() {
        if number > 0 {
            out("")?;
        }
        block(approval)?;
    }
    Ok(())
}

/// One approval, with the digest in the form in which it is given back.
fn block(approval: &Approval) -> Result<(), Failure> {
    let state = approval.state().as_str_name().trim_start_matches("APPROVAL_STATE_").to_owned();
    let mut rows = vec![
        ["state".to_owned(), state],
        ["operation".to_owned(), approval.operation.clone()],
        ["on".to_owned(), approval.target_ids.join(", ")],
        ["requested by".to_owned(), format!("{} as {}", approval.requester, approval.requester_role)],
        ["purpose".to_owned(), approval.purpose.clone()],
        ["ticket".to_owned(), approval.ticket.clone()],
        ["opened".to_owned(), page::time(approval.create_time.as_ref())],
        ["usable until".to_owned(), page::time(approval.expire_time.as_ref())],
        ["digest".to_owned(), hex(&approval.request_digest)],
        ["etag".to_owned(), approval.etag.clone()],
    ];
    for ApprovalDecision { actor, approved, time: when, comment } in &approval.decisions {
        let said = if *approved { "approved by" } else { "rejected by" };
        let comment = if comment.is_empty() { String::new() } else { format!(": {comment}") };
        rows.push([said.to_owned(), format!("{actor} at {}{comment}", page::time(when.as_ref()))]);
    }
    rows.retain(|[_, text]| !text.is_empty());
    out(&table(["APPROVAL", &approval.approval_id], rows))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest(text: &str) -> Result<[u8; 32], &'static str> {
    const WRONG: &str = "is not the digest that lacuna approval list shows: 64 hexadecimal digits";
    if text.len() != 64 || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err(WRONG);
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).map_err(|_| WRONG)?;
    }
    Ok(bytes)
}
