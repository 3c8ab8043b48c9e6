//! `lacuna audit verify`.

use std::path::PathBuf;

use serde_json::json;

use super::super::failure::Failure;
use super::super::show::{Format, out, table};
use super::export::bar;
use super::folder::{Folder, checkpoints};
use crate::audit::note::VerifierKey;
use crate::audit::verify::{Finding, NotVerified, Report, verify};

/// What `audit verify` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// The folder of an export.
    #[arg(value_name = "DIR")]
    path: PathBuf,
    /// A public key of the log; may be given several times.
    #[arg(long = "key", value_name = "VKEY", required = true)]
    keys: Vec<VerifierKey>,
    /// A checkpoint that was kept elsewhere, or a folder of such; may be given several times.
    #[arg(long = "checkpoint", value_name = "PATH")]
    checkpoints: Vec<PathBuf>,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Carries it out.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let folder = Folder::new(&arguments.path);
    let newest = folder.newest()?.ok_or_else(|| {
        Failure::failed(format!("{}: holds no export; make one with lacuna audit export", folder.path().display()))
    })?;
    let mut held = folder.history()?;
    for path in &arguments.checkpoints {
        held.extend(checkpoints(path)?);
    }
    let bar = bar(0, "verifying");
    let outcome = verify(&folder, newest, held, &arguments.keys, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    match outcome {
        Ok(report) => show(&report, arguments.output),
        Err(NotVerified::Unread(failure)) => Err(failure),
        Err(NotVerified::Found(finding)) => {
            if arguments.output == Format::Json {
                out(&refused(&finding).to_string())?;
            }
            Err(Failure::failed(format!("the log does not verify: {finding}")))
        }
    }
}

fn show(report: &Report, format: Format) -> Result<(), Failure> {
    let root: String = report.newest.root.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = |key: &Option<VerifierKey>| key.as_ref().map(ToString::to_string);
    if format == Format::Json {
        let handovers = report.handovers.iter().map(|(index, to)| json!({ "index": index, "key": key(to) }));
        let result = json!({
            "verified": true,
            "origin": report.newest.origin,
            "size": report.newest.size,
            "root": root,
            "checkpoints": report.checkpoints,
            "details": report.details,
            "details_absent": report.details_absent,
            "handovers": handovers.collect::<Vec<_>>(),
        });
        return out(&result.to_string());
    }
    let mut rows = vec![
        ["log".into(), report.newest.origin.clone()],
        ["entries".into(), report.newest.size.to_string()],
        ["root".into(), root],
        ["checkpoints".into(), format!("{} agree and are signed", report.checkpoints)],
        ["sealed details".into(), format!("{} fit, {} are not in the export", report.details, report.details_absent)],
    ];
    rows.extend(report.handovers.iter().map(|(index, to)| {
        let to = key(to).unwrap_or_else(|| "a key that is not in the export".into());
        [format!("entry {index}"), format!("hands the signing key over to {to}")]
    }));
    out(&table(["VERIFIED", ""], rows))
}

fn refused(finding: &Finding) -> serde_json::Value {
    json!({ "verified": false, "first": finding.first, "until": finding.until, "wrong": finding.wrong.to_string() })
}
