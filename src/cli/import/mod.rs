//! `lacuna import`: people from a file, through the API, as many as there are.
//!
//! What is in memory is a few batches, however long the file is. Files beside it say how far the import is and which
//! rows were not stored; neither holds anything of a row.

mod journal;
mod mapping;
mod path;
mod rejects;
mod rows;
mod send;
mod source;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::failure::Failure;
use super::remote::{Remote, SERVICE};
use super::show::{Format as Shown, out};
use journal::{Counts, Journal};
use mapping::Mapping;
use rejects::Rejects;
use send::{BATCH_BYTES, BATCH_ENTRIES, Import};
use source::{Format, Source};

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
    #[command(flatten)]
    remote: Remote,
}

/// Carries it out: all of the file, or what is left of it.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = &arguments.file;
    let format = arguments.format.or_else(|| Format::of(file));
    let format = format.ok_or_else(|| Failure::Usage("--format is required: jsonl or csv".into()))?;
    let mapping = Mapping::read(&arguments.mapping)?;
    let bytes = std::fs::metadata(file).map_err(|error| about(file, error.kind()))?.len();
    let beside = |given: &Option<PathBuf>, ending| given.clone().unwrap_or_else(|| with_ending(file, ending));
    let (journal, rejects) = (beside(&arguments.journal, ".import"), beside(&arguments.rejects, ".rejected.jsonl"));
    let journal = Journal::open(&journal, bytes, &mapping.digest, (BATCH_ENTRIES, BATCH_BYTES))?;
    let (from, _) = journal.from();
    let open_rejects = Rejects::open(&rejects, journal.rejects_bytes())?;
    let source = Source::open(file, format, from, mapping.columns())?;
    let (before, began) = (journal.counts(), Instant::now());
    let bar = bar(bytes);
    bar.set_position(from.offset);
    let mut counts = before;
    let remote = &arguments.remote;
    remote.follow(SERVICE, async |session| {
        let mut import = Import { mapping: &mapping, source, journal, rejects: open_rejects, session, remote };
        let ran = import.run(|offset, more| {
            counts.add(more);
            bar.set_position(bar.position().max(offset));
            bar.set_message(format!("{} stored, {} rejected", counts.stored, counts.rejected));
        });
        ran.await
    })?;
    bar.finish_and_clear();
    told(remote.format(), before, counts, began)?;
    match counts.rejected {
        0 => Ok(()),
        rejected => Err(Failure::failed(format!("{rejected} rows were not stored: {} says why", rejects.display()))),
    }
}

fn told(shown: Shown, before: Counts, after: Counts, began: Instant) -> Result<(), Failure> {
    let seconds = began.elapsed().as_secs_f64();
    let (earlier, now) = (before.stored + before.rejected, after.stored + after.rejected);
    let rate = (now - earlier) as f64 / seconds.max(0.001);
    match shown {
        Shown::Json => out(&serde_json::json!({
            "rows": now, "stored": after.stored, "rejected": after.rejected, "rows_of_earlier_runs": earlier,
            "seconds": (seconds * 1e3).round() / 1e3, "rows_per_second": rate.round(),
        })
        .to_string()),
        Shown::Table => {
            let earlier = if earlier > 0 { format!(", {earlier} of them by earlier runs") } else { String::new() };
            out(&format!(
                "{now} rows{earlier}: {} stored, {} rejected; {seconds:.1} s, {rate:.0} rows a second",
                after.stored, after.rejected
            ))
        }
    }
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
