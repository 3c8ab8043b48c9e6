//! Measures the figures of `docs/figures.md` on the real program, over the wire, beside a bare echo.
//!
//! `load figures` is what `scripts/bench` calls. `load echo` is the server to compare with. Without arguments every
//! figure is measured once on a very small vault, so that CI sees that all of it still works.

mod crowd;
mod data;
mod decision;
mod documents;
mod drive;
mod echo;
mod figures;
mod import;
mod least;
mod peer;
mod report;
mod rounds;
mod servers;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use rounds::Plan;

/// Anything that goes wrong ends the measurement.
type Error = Box<dyn std::error::Error + Send + Sync>;

// As in the program, so that the echo is no slower for want of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures the figures")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What `cargo bench` passes to every bench.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Measure every figure; a table goes to standard output.
    Figures {
        /// The program to measure.
        #[arg(long)]
        server: PathBuf,
        /// Where data goes meanwhile: a folder on a disk, since syncs count.
        #[arg(long)]
        dir: PathBuf,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
        /// Few subjects, short rounds: shows a direction, not a figure.
        #[arg(long)]
        quick: bool,
        /// Long rounds.
        #[arg(long, conflicts_with = "quick")]
        long: bool,
        /// Measure only figures whose name contains this, or one of these, with commas between.
        #[arg(long, default_value = "")]
        only: String,
    },
    /// Serve the bare echo with the certificates of a vault of `lacuna dev`; prints its address.
    Echo {
        /// The folder of that vault.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Serve the least that a vault has to do, likewise.
    Least {
        /// The folder of that vault.
        #[arg(long)]
        dir: PathBuf,
        /// Subjects to store.
        #[arg(long)]
        subjects: usize,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Option<Command>) -> Result<(), Error> {
    match command {
        Some(Command::Echo { dir }) => echo::run(&dir),
        Some(Command::Least { dir, subjects }) => least::run(&dir, subjects),
        Some(Command::Figures { server, dir, out, quick, long, only }) => {
            let plan = match (quick, long) {
                (true, _) => &Plan::QUICK,
                (_, true) => &Plan::LONG,
                _ => &Plan::FULL,
            };
            let measured = rounds::measure(&server, &dir, plan, &only)?;
            report::print(&measured);
            report::write(&measured, &out)
        }
        None => {
            let server = PathBuf::from(env!("CARGO_BIN_EXE_lacuna"));
            let plan = Plan {
                subjects: 20,
                rounds: 1,
                warm_up: Duration::ZERO,
                time: Duration::from_millis(100),
                pinned: false,
                unrecorded: false,
                crowds: Some((10, 30)),
            };
            let measured = rounds::measure(&server, &std::env::temp_dir(), &plan, "")?;
            println!("{} figures can be measured", measured.figures.len());
            Ok(())
        }
    }
}
