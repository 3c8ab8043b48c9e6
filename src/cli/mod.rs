//! The command line: the only place that prints.
//!
//! A command on a running vault uses its API and nothing else of it. Exit codes are stable: 0 done, 1 not done, 2 the
//! command line cannot be carried out as given, 3 what was asked is answered with no.

mod approval;
mod audit;
mod config;
mod dev;
mod dev_token;
mod doctor;
mod document;
mod due;
mod erase;
mod failure;
mod files;
mod find;
mod hold;
pub mod import;
mod item;
mod item_table;
mod json;
mod key;
mod matter;
mod page;
mod policy;
mod purge;
pub mod receipt;
mod remote;
mod serve;
mod show;
mod slot;
mod slot_remote;
mod status;
mod subject;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use failure::Failure;

/// A personal-data vault that can prove it forgot.
#[derive(Parser)]
#[command(name = "lacuna", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a throw-away vault on loopback until SIGTERM or SIGINT.
    Dev(dev::Arguments),
    /// Print a person's token for a throw-away vault.
    DevToken(dev_token::Arguments),
    /// Run the vault of a configuration until SIGTERM or SIGINT; SIGHUP reads certificates, bindings, keys of
    /// people's issuers, catalog and policies again.
    Serve(serve::Arguments),
    /// Show how a running vault is.
    Status(status::Arguments),
    /// Create subjects and look at them.
    #[command(subcommand)]
    Subject(subject::Command),
    /// Store, read, correct and delete items.
    #[command(subcommand)]
    Item(item::Command),
    /// Erase a person, with a receipt.
    Erase(erase::Arguments),
    /// Get receipts of erasures, and check them without a vault.
    #[command(subcommand)]
    Receipt(receipt::Command),
    /// Open, close and list matters: the legal grounds of holds.
    #[command(subcommand)]
    Matter(matter::Command),
    /// Place, release and list holds, and tell why something is still there.
    #[command(subcommand)]
    Hold(hold::Command),
    /// List what falls due by itself, and let a sweep go on that has stopped.
    Due(due::Arguments),
    /// Import people from a file.
    Import(import::Arguments),
    /// Read, follow, export and verify the audit log.
    #[command(subcommand)]
    Audit(audit::Command),
    /// List the keys that sign, and replace the one that signs the log.
    #[command(subcommand)]
    Key(key::Command),
    /// Have unreadable ciphertext leave the live files now, instead of when it is due.
    Purge(purge::Arguments),
    /// List, give and refuse approvals: what needs two people.
    #[command(subcommand)]
    Approval(approval::Command),
    /// Take root slots over from another installation, out of a running vault, or attest their end.
    #[command(subcommand)]
    Slot(slot::Command),
    /// Look through the store of a vault that does not run.
    Doctor(doctor::Arguments),
    /// Check access policies and ask what they would decide, without a vault.
    #[command(subcommand)]
    Policy(policy::Command),
    /// Look at configuration files.
    #[command(subcommand)]
    Config(config::Command),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    crate::base::fault::arm();
    let outcome = match Arguments::parse().command {
        Command::Dev(arguments) => dev::run(&arguments).map_err(Failure::from),
        Command::DevToken(arguments) => dev_token::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments).map_err(Failure::from),
        Command::Status(arguments) => status::run(&arguments),
        Command::Subject(command) => subject::run(&command),
        Command::Item(command) => item::run(&command),
        Command::Erase(arguments) => erase::run(&arguments),
        Command::Receipt(command) => receipt::run(&command),
        Command::Matter(command) => matter::run(&command),
        Command::Hold(command) => hold::run(&command),
        Command::Due(arguments) => due::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Audit(command) => audit::run(&command),
        Command::Purge(arguments) => purge::run(&arguments),
        Command::Approval(command) => approval::run(&command),
        Command::Key(command) => key::run(&command),
        Command::Slot(command) => slot::run(&command),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Policy(command) => policy::run(&command),
        Command::Config(command) => config::run(&command).map_err(Failure::from),
        Command::Completions { shell } => completions(shell),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "lacuna", &mut script);
    show::out(&String::from_utf8_lossy(&script))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }
}
