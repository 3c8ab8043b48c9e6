//! `lacuna key`: the keys that sign.

use super::failure::Failure;
use super::remote::{Remote, Usually};
use super::show::{self, Format, out, table};
use crate::api::proto::keys_client::KeysClient;
use crate::api::proto::{GetKeyStatusRequest, Key, StartRotationRequest};

/// What `key` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the keys that sign the log and receipts.
    List(ListArguments),
    /// Replace the key that signs the log. The old key signs the new one in, and is destroyed.
    Rotate(RotateArguments),
}

/// What `key list` is told.
#[derive(clap::Args)]
pub struct ListArguments {
    /// Destroyed keys as well; their verifier keys still verify what they signed.
    #[arg(long)]
    destroyed: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What `key rotate` is told.
#[derive(clap::Args)]
pub struct RotateArguments {
    /// The key to replace, as `key list` shows it.
    #[arg(value_name = "KEY_ID")]
    key_id: String,
    #[command(flatten)]
    remote: Remote,
}

/// A command about keys.
const KEY_ADMIN: Usually = Usually { client: "key-admin", purpose: Some("security") };

/// Carries it out.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list(arguments),
        Command::Rotate(arguments) => rotate(arguments),
    }
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let status = arguments.remote.call(KEY_ADMIN, async |session| {
        let (context, include_destroyed) = (session.context(), arguments.destroyed);
        let request = GetKeyStatusRequest { context, include_destroyed, ..Default::default() };
        KeysClient::new(session.channel.clone()).get_key_status(session.request(request)).await
    })?;
    match arguments.remote.format() {
        Format::Json => show::message(&status, Format::Json),
        Format::Table => out(&table(["KEY", "KIND", "STATE", "VERIFIER KEY"], status.keys.iter().map(row))),
    }
}

fn row(key: &Key) -> [String; 4] {
    let short = |name: &str, prefix: &str| name.strip_prefix(prefix).unwrap_or(name).to_owned();
    [
        key.key_id.clone(),
        short(key.kind().as_str_name(), "KEY_KIND_"),
        short(key.state().as_str_name(), "KEY_STATE_"),
        key.verifier_key.clone(),
    ]
}

fn rotate(arguments: &RotateArguments) -> Result<(), Failure> {
    let started = arguments.remote.call(KEY_ADMIN, async |session| {
        let (context, key_id) = (session.context(), arguments.key_id.clone());
        let request = StartRotationRequest { context, key_id, ..Default::default() };
        KeysClient::new(session.channel.clone()).start_rotation(session.request(request)).await
    })?;
    show::message(&started, arguments.remote.format())
}
