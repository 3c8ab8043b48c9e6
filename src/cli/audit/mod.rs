//! `lacuna audit`: the log, for those who review it.

mod export;
mod fetch;
mod folder;
mod verify;

use super::failure::Failure;

/// What `audit` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Copy the log out of a running vault: leaves, tiles, checkpoints and sealed details. Run again, it adds what is
    /// new.
    Export(Box<export::Arguments>),
    /// Verify an export offline, against public keys and checkpoints that were kept elsewhere.
    Verify(verify::Arguments),
}

/// Carries it out.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Export(arguments) => export::run(arguments),
        Command::Verify(arguments) => verify::run(arguments),
    }
}
