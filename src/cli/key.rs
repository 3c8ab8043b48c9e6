//! `lacuna key`: the keys that sign and those of the index.

use tonic::Request;

use super::failure::Failure;
use super::remote::{Remote, Usually};
use super::show::{self, Format, out, table};
use crate::api::proto::keys_client::KeysClient;
use crate::api::proto::{
    GetKeyStatusRequest, Key, PauseRotationRequest, ResumeRotationRequest, Rotation, StartRotationRequest,
    WatchRotationRequest,
};

/// What `key` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the keys that sign the log and receipts, and those of the index.
    List(ListArguments),
    /// Replace the key that signs the log, or one of the index, and destroy the old one.
    ///
    /// The log's key is replaced at once: the old key signs the new one in. A key of the index is replaced in the
    /// background, while calls go on.
    Rotate(RotateArguments),
    /// Follow the replacement of a key of the index until its end.
    Watch(RotationArguments),
    /// Let the replacement of a key of the index stand still.
    Pause(RotationArguments),
    /// Let it go on.
    Resume(RotationArguments),
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

/// What `key watch`, `key pause` and `key resume` are told.
#[derive(clap::Args)]
pub struct RotationArguments {
    /// The rotation, as `key rotate` shows it.
    #[arg(value_name = "ROTATION_ID")]
    rotation_id: String,
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
        Command::Watch(arguments) => watch(arguments),
        Command::Pause(arguments) => pause(arguments),
        Command::Resume(arguments) => resume(arguments),
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
        Format::Table => {
            out(&table(["KEY", "KIND", "FIELD", "STATE", "VERIFIER KEY"], status.keys.iter().map(row)))?;
            if status.rotations.is_empty() {
                return Ok(());
            }
            out("")?;
            out(&table(["ROTATION", "OLD KEY", "NEW KEY", "STATE", "DONE"], status.rotations.iter().map(rotation_row)))
        }
    }
}

fn row(key: &Key) -> [String; 5] {
    [
        key.key_id.clone(),
        short(key.kind().as_str_name(), "KEY_KIND_"),
        key.scope.clone(),
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

fn watch(arguments: &RotationArguments) -> Result<(), Failure> {
    arguments.remote.follow(KEY_ADMIN, async |session| {
        let (context, rotation_id) = (session.context(), arguments.rotation_id.clone());
        let request = WatchRotationRequest { context, rotation_id };
        let refused = |status: &tonic::Status| arguments.remote.refused(status);
        let mut client = KeysClient::new(session.channel.clone());
        let mut stream = client.watch_rotation(Request::new(request)).await.map_err(|s| refused(&s))?.into_inner();
        while let Some(message) = stream.message().await.map_err(|s| refused(&s))? {
            match arguments.remote.format() {
                Format::Json => show::message(&message, Format::Json)?,
                Format::Table => out(&rotation_row(&message.rotation.unwrap_or_default()).join("  "))?,
            }
        }
        Ok(())
    })
}

fn pause(arguments: &RotationArguments) -> Result<(), Failure> {
    let paused = arguments.remote.call(KEY_ADMIN, async |session| {
        let (context, rotation_id) = (session.context(), arguments.rotation_id.clone());
        let request = PauseRotationRequest { context, rotation_id };
        KeysClient::new(session.channel.clone()).pause_rotation(session.request(request)).await
    })?;
    show::message(&paused, arguments.remote.format())
}

fn resume(arguments: &RotationArguments) -> Result<(), Failure> {
    let resumed = arguments.remote.call(KEY_ADMIN, async |session| {
        let (context, rotation_id) = (session.context(), arguments.rotation_id.clone());
        let request = ResumeRotationRequest { context, rotation_id, ..Default::default() };
        KeysClient::new(session.channel.clone()).resume_rotation(session.request(request)).await
    })?;
    show::message(&resumed, arguments.remote.format())
}

fn rotation_row(rotation: &Rotation) -> [String; 5] {
    [
        rotation.rotation_id.clone(),
        rotation.old_key_id.clone(),
        rotation.new_key_id.clone(),
        short(rotation.state().as_str_name(), "ROTATION_STATE_"),
        rotation.done_count.to_string(),
    ]
}

fn short(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_owned()
}
