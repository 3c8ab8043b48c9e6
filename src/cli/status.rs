//! `lacuna status`.

use super::failure::Failure;
use super::remote::{OPERATOR, Remote};
use super::show::{self, Format, out, table};
use crate::api::proto::system_client::SystemClient;
use crate::api::proto::{GetStatusRequest, GetStatusResponse, Slot};

/// What `status` is told.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    remote: Remote,
}

/// Shows how the vault is.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let remote = &arguments.remote;
    let status = remote.call(OPERATOR, async |session| {
        let request = session.request(GetStatusRequest { context: session.context() });
        SystemClient::new(session.channel.clone()).get_status(request).await
    })?;
    match remote.format() {
        Format::Json => show::message(&status, Format::Json),
        Format::Table => tables(&status),
    }
}

fn tables(status: &GetStatusResponse) -> Result<(), Failure> {
    let facts = GetStatusResponse { slots: Vec::new(), ..status.clone() };
    let facts = super::json::fields(&facts)?.into_iter().map(|(name, text)| [name, text]);
    out(&table(["VAULT", ""], facts))?;
    out("")?;
    out(&table(["SLOT", "NAME", "GRADE", "STATE", "EPOCH"], status.slots.iter().map(slot_row)))
}

fn slot_row(slot: &Slot) -> [String; 5] {
    let short = |name: &str, prefix: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    [
        slot.slot_id.clone(),
        slot.name.clone(),
        short(slot.grade().as_str_name(), "SLOT_GRADE_"),
        short(slot.state().as_str_name(), "SLOT_STATE_"),
        slot.epoch.to_string(),
    ]
}
