//! `lacuna due`: what falls due by itself, and sweeps that have stopped.

use super::failure::Failure;
use super::page::more;
use super::remote::{Remote, Usually};
use super::show::{self, Format, out, table};
use crate::api::proto::system_client::SystemClient;
use crate::api::proto::{ConfirmSweepRequest, DueEntry, ListDueRequest, ListDueResponse, Sweep, well_known};
use crate::base::time::Timestamp;

/// What `due` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// Only before this moment, such as 2026-12-31T00:00:00Z; without it, within 30 days.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    before: Option<Timestamp>,
    /// List items that expire one by one, with whose they are, and nothing else.
    #[arg(long)]
    items: bool,
    /// Let the sweep go on that has stopped, as it was seen: its id and its etag, as shown.
    #[arg(long, value_names = ["SWEEP", "ETAG"], num_args = 2, conflicts_with_all = ["before", "page_token", "items"])]
    confirm: Option<Vec<String>>,
    /// How many at most.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    page_size: u32,
    /// Continues an earlier answer.
    #[arg(long, value_name = "TOKEN", default_value = "")]
    page_token: String,
    #[command(flatten)]
    remote: Remote,
}

/// A command for those who answer for how long things are kept.
const PRIVACY_OFFICER: Usually = Usually { client: "privacy-officer", purpose: Some("legal_compliance") };

/// Carries it out.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.confirm {
        Some(seen) => confirm(&arguments.remote, &seen[0], &seen[1]),
        None => list(arguments),
    }
}

fn confirm(remote: &Remote, sweep_id: &str, etag: &str) -> Result<(), Failure> {
    let answer = remote.call(PRIVACY_OFFICER, async |session| {
        let (context, sweep_id, etag) = (session.context(), sweep_id.to_owned(), etag.to_owned());
        let request = ConfirmSweepRequest { context, sweep_id, etag };
        SystemClient::new(session.channel.clone()).confirm_sweep(session.request(request)).await
    })?;
    show::message(&answer, remote.format())
}

fn list(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { before, items, page_size, page_token, remote, .. } = arguments;
    let before_time = before.map(|time| well_known::Timestamp {
        seconds: time.as_millis().div_euclid(1_000),
        nanos: (time.as_millis().rem_euclid(1_000) * 1_000_000) as i32,
    });
    let answer = remote.call(PRIVACY_OFFICER, async |session| {
        let (context, page_size, page_token) = (session.context(), *page_size, page_token.clone());
        let kinds = Vec::new();
        let request = ListDueRequest { context, kinds, before_time, page_size, page_token, each_item: *items };
        SystemClient::new(session.channel.clone()).list_due(session.request(request)).await
    })?;
    match remote.format() {
        Format::Json => show::message(&answer, Format::Json),
        Format::Table => tables(&answer, *items),
    }
}

fn tables(answer: &ListDueResponse, items: bool) -> Result<(), Failure> {
    if let Some(sweep) = &answer.halted_sweep {
        out(&stopped(sweep))?;
        out("")?;
    }
    if answer.entries.is_empty() && answer.next_page_token.is_empty() {
        return out("nothing falls due");
    }
    let late = |entry: &DueEntry| if entry.overdue { "overdue".to_owned() } else { String::new() };
    if items {
        let row = |entry: &DueEntry| {
            let time = text(entry.due_time.as_ref());
            [time, entry.class.clone(), entry.subject_id.clone(), entry.target_id.clone(), late(entry)]
        };
        out(&table(["DUE", "CLASS", "SUBJECT", "ITEM", ""], answer.entries.iter().map(row)))?;
        return more(&answer.next_page_token);
    }
    let row = |entry: &DueEntry| {
        let kind = entry.kind().as_str_name().trim_start_matches("DUE_KIND_").to_owned();
        let what = if entry.class.is_empty() { entry.target_id.clone() } else { entry.class.clone() };
        [text(entry.due_time.as_ref()), kind, what, entry.count.to_string(), late(entry)]
    };
    out(&table(["DUE", "KIND", "WHAT", "COUNT", ""], answer.entries.iter().map(row)))?;
    more(&answer.next_page_token)
}

fn stopped(sweep: &Sweep) -> String {
    let why = sweep.halt().as_str_name().trim_start_matches("SWEEP_HALT_").to_lowercase();
    let (count, id, etag) = (sweep.due_count, &sweep.sweep_id, &sweep.etag);
    let (as_of, last) = (text(sweep.as_of_time.as_ref()), text(sweep.last_log_time.as_ref()));
    format!(
        "The sweep has stopped ({why}): {count} items and kept versions were due at {as_of}; the entry of the log before \
         that is of {last}. If the clock and the number are right: lacuna due --confirm {id} {etag}"
    )
}

fn text(time: Option<&well_known::Timestamp>) -> String {
    time.map_or(String::new(), |time| Timestamp::from_millis(time.seconds * 1_000).to_string().replace(".000Z", "Z"))
}

fn moment(text: &str) -> Result<Timestamp, &'static str> {
    let time: jiff::Timestamp = text.parse().map_err(|_| "is not a moment such as 2026-12-31T00:00:00Z")?;
    Ok(Timestamp::from_millis(time.as_millisecond()))
}
