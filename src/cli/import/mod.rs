//! `lacuna import`: people from a file, through the API, as many as there are.
//!
//! What is in memory is a few batches, however long the file is. Files beside it say how far the import is and which
//! rows were not stored; neither holds anything of a row.

mod check;
pub mod journal;
pub mod mapping;
mod path;
mod rejects;
mod rows;
mod send;
pub mod source;
mod summary;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::Failure;
use super::remote::{Remote, SERVICE};
use super::show::{Format as Shown, out, table};
use journal::{Counts, Journal, Mark};
use mapping::Mapping;
use rejects::Rejects;
use send::{BATCH_BYTES, BATCH_ENTRIES, Import, too_many_rejected, vault_of};
use source::{Format, Place, Source};
use summary::Count;

/// What `import` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// The file: JSON lines or CSV, a person in each row.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Which column goes into which field of which item: see docs/import.md.
    #[arg(long, value_name = "FILE")]
    mapping: PathBuf,
    /// What the file is, where its name does not end in .jsonl, .ndjson or .csv.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where it is kept how far the import is. Without it, the file's name with .import at its end.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Where rows are named that were not stored. Without it, the file's name with .rejected.jsonl at its end.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Stores nothing and asks no vault: finds the rows whose form is wrong and names them in the file's name with
    /// .faults.jsonl at its end.
    #[arg(long)]
    check: bool,
    /// Ends once more rows than this were rejected. The same command with a higher number goes on.
    #[arg(long, value_name = "ROWS", default_value_t = REJECTED_MAX)]
    rejected_max: u64,
    #[command(flatten)]
    remote: Remote,
}

/// Rejected rows after which an import ends, unless told otherwise.
const REJECTED_MAX: u64 = 10_000;

/// Carries it out: all of the file, or what is left of it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = &arguments.file;
    let format = arguments.format.or_else(|| Format::of(file));
    let format = format.ok_or_else(|| Failure::Usage("--format is required: jsonl or csv".into()))?;
    let mapping = Mapping::read(&arguments.mapping)?;
    let bytes = std::fs::metadata(file).map_err(|error| about(file, error.kind()))?.len();
    let rejects = arguments
        .rejects
        .clone()
        .unwrap_or_else(|| with_ending(file, if arguments.check { ".faults.jsonl" } else { ".rejected.jsonl" }));
    let work = Work { arguments, mapping, format, rejects: &rejects, bar: bar(bytes), began: Instant::now() };
    if arguments.check {
        return work.check();
    }
    work.import()
}

/// What is to be done with which files.
struct Work<'a> {
    arguments: &'a Arguments,
    mapping: Mapping,
    format: Format,
    rejects: &'a Path,
    bar: ProgressBar,
    began: Instant,
}

impl Work<'_> {
    fn import(self) -> Result<(), Failure> {
        let Arguments { file, journal, remote, rejected_max, .. } = self.arguments;
        let journal = journal.clone().unwrap_or_else(|| with_ending(file, ".import"));
        let mark = Mark::of(file)?;
        // Opened before anything is asked, so that what is wrong with it is said first.
        Source::open(file, self.format, Place::default(), self.mapping.columns())?;
        let (mut before, mut counts, mut rejects_bytes) = (Counts::default(), Counts::default(), 0);
        let ran = remote.follow(SERVICE, async |session| {
            let vault = vault_of(&session).await.map_err(|status| remote.refused(&status))?;
            let sizes = (BATCH_ENTRIES, BATCH_BYTES);
            let journal = Journal::open(&journal, &vault, mark, &self.mapping.digest, sizes)?;
            let (from, _) = journal.from();
            let rejects = Rejects::open(self.rejects, journal.rejects_bytes())?;
            let source = Source::open(file, self.format, from, self.mapping.columns())?;
            (before, counts) = (journal.counts(), journal.counts());
            self.bar.set_position(from.offset);
            let (mapping, rejected_max) = (&self.mapping, *rejected_max);
            let mut import = Import { mapping, source, journal, rejects, session, vault, rejected_max, remote };
            let ran = import.run(|offset, more| {
                counts.add(more);
                self.progress(offset, counts);
            });
            let ran = ran.await;
            rejects_bytes = import.journal.rejects_bytes();
            ran
        });
        self.bar.finish_and_clear();
        ran?;
        self.told(before, counts, rejects_bytes)
    }

    fn check(self) -> Result<(), Failure> {
        let Arguments { file, rejected_max, .. } = self.arguments;
        let mut source = Source::open(file, self.format, Place::default(), self.mapping.columns())?;
        let mut rejects = Rejects::open(self.rejects, 0)?;
        let (mut counts, mut bytes) = (Counts::default(), 0);
        while let Some(row) = source.next_row()? {
            let faults = match rows::entries(&self.mapping, row.number, row.value.as_ref()) {
                Ok(entries) => {
                    let each = entries.into_iter().map(|entry| check::faults(&self.mapping, row.number, entry));
                    each.flatten().collect()
                }
                Err(faults) => faults,
            };
            counts.add(match faults.is_empty() {
                true => Counts { stored: 1, rejected: 0 },
                false => Counts { stored: 0, rejected: 1 },
            });
            bytes = rejects.add(&faults)?;
            self.progress(source.place().offset, counts);
            if counts.rejected > *rejected_max {
                return Err(too_many_rejected(*rejected_max));
            }
        }
        self.bar.finish_and_clear();
        self.told(Counts::default(), counts, bytes)
    }

    fn progress(&self, offset: u64, counts: Counts) {
        self.bar.set_position(self.bar.position().max(offset));
        let Words { stored, rejected } = self.words();
        self.bar.set_message(format!("{} {stored}, {} {rejected}", counts.stored, counts.rejected));
    }

    fn words(&self) -> Words {
        match self.arguments.check {
            true => Words { stored: "sound", rejected: "faulty" },
            false => Words { stored: "stored", rejected: "rejected" },
        }
    }

    fn told(&self, before: Counts, after: Counts, rejects_bytes: u64) -> Result<(), Failure> {
        let seconds = self.began.elapsed().as_secs_f64();
        let (earlier, now) = (before.stored + before.rejected, after.stored + after.rejected);
        let rate = (now - earlier) as f64 / seconds.max(0.001);
        let kinds = summary::kinds(self.rejects, rejects_bytes)?;
        let Words { stored, rejected } = self.words();
        match self.arguments.remote.format() {
            Shown::Json => out(&serde_json::json!({
                "rows": now, stored: after.stored, rejected: after.rejected, "faults": kinds,
                "rows_of_earlier_runs": earlier,
                "seconds": (seconds * 1e3).round() / 1e3, "rows_per_second": rate.round(),
            })
            .to_string())?,
            Shown::Table => {
                let earlier = if earlier > 0 { format!(", {earlier} of them by earlier runs") } else { String::new() };
                out(&format!(
                    "{now} rows{earlier}: {} {stored}, {} {rejected}; {seconds:.1} s, {rate:.0} rows a second",
                    after.stored, after.rejected
                ))?;
                if !kinds.is_empty() {
                    let row = |Count { faults, column, field, reason }| {
                        [faults.to_string(), column.unwrap_or_default(), field, reason]
                    };
                    out(&table(["FAULTS", "COLUMN", "FIELD", "REASON"], kinds.into_iter().map(row)))?;
                }
            }
        }
        match (after.rejected, self.arguments.check) {
            (0, _) => Ok(()),
            (rejected, false) => {
                Err(Failure::failed(format!("{rejected} rows were not stored: {} says why", self.rejects.display())))
            }
            (faulty, true) => {
                Err(Failure::failed(format!("{faulty} rows would not be stored: {} says why", self.rejects.display())))
            }
        }
    }
}

/// What rows are called that were taken, and that were not.
struct Words {
    stored: &'static str,
    rejected: &'static str,
}

/// A bar on standard error, if that is a terminal.
fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let template = "{bar:40} {bytes} of {total_bytes}, {eta} left; {msg}";
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn about(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {what}", path.display()))
}
