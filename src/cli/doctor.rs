//! `lacuna doctor`: a look at a store that no vault runs on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::failure::Failure;
use super::show::{Format, out, table};
use crate::doctor::{Count, Findings, Pages, look_through};
use crate::gate::still::Still;
use crate::server::assemble::{self, StartError};
use crate::server::config::Config;

/// What `doctor` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// The vault's configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Look through every page of the key tree and the rows that hang on it, and compare them with what the vault last wrote.
    #[arg(long)]
    deep: bool,
    /// Where pages of the key tree are not the newest, or that is not known: take them as they are from now on. Recorded in
    /// the audit log.
    #[arg(long, requires = "deep")]
    accept: bool,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// How often the bar moves.
const LOOK: Duration = Duration::from_millis(200);

/// Opens the vault with all checks of a start, looks, and closes it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let config = Config::load(&arguments.config).map_err(StartError::from)?;
    let vault = assemble::stand_still(&config)?;
    let epoch = vault.epoch();
    let looked = arguments.deep.then(|| looked_through(&vault, arguments.accept)).transpose();
    if !vault.end() {
        return Err(Failure::failed("the store does not close"));
    }
    let findings = looked?;
    print(epoch, findings.as_ref(), arguments)?;
    match findings {
        Some(findings) if !is_well(&findings, arguments.accept) => Err(Failure::No),
        Some(_) | None => Ok(()),
    }
}

fn looked_through(vault: &Still, accept: bool) -> Result<Findings, Failure> {
    let (people, done) = (Arc::new(AtomicU64::new(0)), AtomicBool::new(false));
    let bar = ProgressBar::new_spinner();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                bar.set_message(format!("{} people looked at", people.load(Ordering::Relaxed)));
                bar.tick();
                std::thread::park_timeout(LOOK);
            }
        });
        let looked = look_through(vault.committer(), vault.id(), accept, people.clone());
        done.store(true, Ordering::Release);
        bar.finish_and_clear();
        looked.map_err(|refusal| Failure::failed(format!("the store could not be looked through: {refusal}")))
    })
}

/// Whether all is well now.
fn is_well(findings: &Findings, accept: bool) -> bool {
    let pages = if accept { Pages::Newest } else { findings.pages };
    Findings { pages, ..findings.clone() }.is_sound()
}

fn print(epoch: u64, findings: Option<&Findings>, arguments: &Arguments) -> Result<(), Failure> {
    match arguments.output {
        Format::Json => out(&report(epoch, findings, arguments.accept).to_string()),
        Format::Table => {
            let Some(findings) = findings else {
                return out(&format!(
                    "the vault opens, at epoch {epoch}; --deep looks through the key tree and its rows"
                ));
            };
            let count = |(name, count): (&str, Count)| {
                [name.replace('_', " "), count.all.to_string(), count.unreadable.to_string()]
            };
            out(&table(["", "ALL", "UNREADABLE"], findings.counts().map(count)))?;
            out(&format!("\npages of the key tree: {}", in_words(findings.pages, arguments.accept)))?;
            out(&format!("keys to which no row leads: {}", findings.keys_without_row))?;
            match is_well(findings, arguments.accept) {
                true => Ok(()),
                false => out(&format!("\n{ADVICE}")),
            }
        }
    }
}

const ADVICE: &str = "something has changed this store behind the vault's back. Keep a copy of it, find out who could write to \
                      it, and restore it from a backup (docs/operators.md)";

fn in_words(pages: Pages, accept: bool) -> &'static str {
    match (pages, accept) {
        (Pages::Newest, _) => "the newest",
        (Pages::NotNewest, false) => "NOT the newest: what was added since may be hidden",
        (Pages::NotNewest, true) => "were not the newest; taken as they are from now on",
        (Pages::Unknown, false) => {
            "not known: the vault has no count of them, since it was last written by an earlier release, or since that was \
             taken away; --accept takes them as they are"
        }
        (Pages::Unknown, true) => "were not counted before; taken as they are from now on",
    }
}

fn report(epoch: u64, findings: Option<&Findings>, accept: bool) -> Value {
    let Some(findings) = findings else { return json!({ "epoch": epoch }) };
    let pages = match findings.pages {
        Pages::Newest => "NEWEST",
        Pages::NotNewest => "NOT_NEWEST",
        Pages::Unknown => "UNKNOWN",
    };
    let counts = findings
        .counts()
        .into_iter()
        .map(|(name, count)| (name.to_owned(), json!({ "all": count.all, "unreadable": count.unreadable })));
    json!({
        "epoch": epoch, "sound": is_well(findings, accept), "pages": pages,
        "accepted": accept && findings.pages != Pages::Newest,
        "keys_without_row": findings.keys_without_row, "counts": counts.collect::<Map<_, _>>(),
    })
}
