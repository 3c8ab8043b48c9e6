//! The command line: the only place that prints.

mod config;
mod dev;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

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
    /// Run the vault of a configuration until SIGTERM or SIGINT; SIGHUP reads certificates and bindings again.
    Serve(serve::Arguments),
    /// Look at configuration files.
    #[command(subcommand)]
    Config(config::Command),
}

/// Runs the command that the process was started with.
pub fn run() -> ExitCode {
    crate::base::fault::arm();
    let outcome = match Arguments::parse().command {
        Command::Dev(arguments) => dev::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Config(command) => config::run(&command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lacuna: {error}");
            ExitCode::FAILURE
        }
    }
}
