//! `lacuna slot`: root slots, taken over while no vault runs on them, or taken out of a running vault.

use std::path::PathBuf;

use serde_json::json;

use super::failure::Failure;
use super::show::{Format, out, table};
use super::slot_remote::{self, AttestArguments, RemoveArguments, ReplaceArguments};
use crate::gate::take_over::{Owner, Seen, TakeOver};
use crate::server::assemble::{self, StartError};
use crate::server::config::Config;

/// What `slot` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make this installation the owner of slots that another one owned, for good.
    ///
    /// For a vault that moved to another machine, or whose `instance` file was lost. Refused while a vault runs on the
    /// store or on a slot. Recorded in the audit log.
    TakeOver(TakeOverArguments),
    /// Take a slot out of a running vault for good; needs another person's approval.
    ///
    /// The first time, this opens an approval and says how another person gives it. If the slot answers it is destroyed;
    /// if not, it is lost: erasures stay pending until its destruction is attested.
    Remove(RemoveArguments),
    /// Put a new slot in the place of a lost or ageing one of a running vault.
    Replace(ReplaceArguments),
    /// State that a lost slot is destroyed; needs another person's approval.
    Attest(AttestArguments),
}

/// What `slot take-over` is told.
#[derive(clap::Args)]
pub struct TakeOverArguments {
    /// The vault's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Do it. Without this the command only says what it would do.
    #[arg(long)]
    yes: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Carries it out.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::TakeOver(arguments) => take_over(arguments),
        Command::Remove(arguments) => slot_remote::remove(arguments),
        Command::Replace(arguments) => slot_remote::replace(arguments),
        Command::Attest(arguments) => slot_remote::attest(arguments),
    }
}

fn take_over(arguments: &TakeOverArguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config).map_err(StartError::from)?;
    let parts = assemble::parts(&config, false)?;
    let take_over = TakeOver::look(&parts).map_err(StartError::from)?;
    let plan = Plan::of(&take_over);
    if arguments.output == Format::Table {
        plan.print_table()?;
    }
    if take_over.count() > 0 && !arguments.yes {
        if arguments.output == Format::Json {
            plan.print_json(0)?;
        }
        return Err(Failure::failed(
            "nothing was changed. Take slots over only if the other installation is gone for good: once this one has \
             erased anything, the other's copy of the vault does not open any more. To go on, repeat this with --yes",
        ));
    }
    let taken = take_over.carry_out().map_err(StartError::from)?;
    match (arguments.output, taken) {
        (Format::Json, _) => plan.print_json(taken),
        (Format::Table, 0) => out("\nnothing to take over"),
        (Format::Table, _) => out(&format!("\ntaken over: {taken}; recorded in the audit log")),
    }
}

/// What a take-over would do, in words.
struct Plan {
    vault: String,
    instance: String,
    /// Slot, file, owner, and whether it is to be taken over.
    slots: Vec<[String; 4]>,
}

impl Plan {
    fn of(take_over: &TakeOver<'_>) -> Self {
        let row = |seen: &Seen| {
            let (owner, action) = match seen.owner {
                Owner::Us => ("this installation".to_owned(), "not needed"),
                Owner::Other(instance) => (instance.to_string(), "yes"),
                Owner::OutOfReach => ("not in reach".to_owned(), "repeat when it is back"),
            };
            [seen.slot.to_string(), seen.path.display().to_string(), owner, action.to_owned()]
        };
        Self {
            vault: take_over.vault().to_string(),
            instance: take_over.instance().to_string(),
            slots: take_over.slots().iter().map(row).collect(),
        }
    }

    fn print_table(&self) -> Result<(), Failure> {
        out(&format!("vault              {}\nthis installation  {}\n", self.vault, self.instance))?;
        out(&table(["SLOT", "FILE", "OWNER", "TAKE OVER"], self.slots.iter().cloned()))
    }

    fn print_json(&self, taken: usize) -> Result<(), Failure> {
        let slot = |[slot, file, owner, action]: &[String; 4]| json!({ "slot": slot, "file": file, "owner": owner, "take_over": action });
        let slots: Vec<_> = self.slots.iter().map(slot).collect();
        let plan = json!({ "vault": self.vault, "instance": self.instance, "slots": slots, "taken_over": taken });
        out(&format!("{plan:#}"))
    }
}
