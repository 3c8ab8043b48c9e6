//! `lacuna audit`: the log, for those who review it.

mod checkpoint;
mod entries;
mod export;
mod fetch;
mod filter;
mod folder;
mod lines;
mod list;
mod tail;
mod verify;

use super::failure::Failure;

/// What `audit` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List entries of the log.
    List(Box<list::Arguments>),
    /// Follow the log: entries as they are written, until interrupted.
    Tail(Box<tail::Arguments>),
    /// Print the newest checkpoint: a signed note, to be kept elsewhere.
    Checkpoint(Box<checkpoint::Arguments>),
    /// Copy the log out of a running vault: leaves, tiles, checkpoints and sealed details, or decoded entries as lines.
    /// Run again, it adds what is new.
    Export(Box<export::Arguments>),
    /// Verify an export offline, against public keys and checkpoints that were kept elsewhere.
    Verify(verify::Arguments),
}

/// Carries it out.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(arguments) => list::run(arguments),
        Command::Tail(arguments) => tail::run(arguments),
        Command::Checkpoint(arguments) => checkpoint::run(arguments),
        Command::Export(arguments) => export::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
    }
}
