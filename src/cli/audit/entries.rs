//! Entries as they arrive: a line each, for people in columns, for programs as JSON.

use crate::api::proto::{AuditDetail, AuditEntry, Decision, ErrorReason, Outcome, View};
use crate::cli::failure::Failure;
use crate::cli::json;
use crate::cli::show::{Format, out, printable};

/// Prints entries; the head of the table once.
pub struct Entries {
    format: Format,
    count: u64,
}

impl Entries {
    /// None yet.
    pub fn new(format: Format) -> Self {
        Self { format, count: 0 }
    }

    /// How many were printed.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Prints some more.
    pub fn print(&mut self, entries: &[AuditEntry]) -> Result<(), Failure> {
        for entry in entries {
            match self.format {
                Format::Json => out(&json::line(entry)?)?,
                Format::Table => {
                    if self.count == 0 {
                        out(&columns(HEAD.map(str::to_owned)))?;
                    }
                    out(&columns(row(entry)?))?;
                    if let Some(detail) = &entry.detail {
                        out(&format!("{:>8}  {}", "", described(detail)))?;
                    }
                }
            }
            self.count += 1;
        }
        Ok(())
    }
}

const HEAD: [&str; 10] =
    ["INDEX", "TIME", "OUTCOME", "OPERATION", "CLASS", "VIEW", "ROLE", "PURPOSE", "ABOUT", "ACTOR"];
/// Wide enough for what is usual: a longer text moves the rest of its line.
const WIDTHS: [usize; 10] = [8, 24, 20, 22, 14, 6, 15, 16, 30, 0];

fn columns(cells: [String; 10]) -> String {
    let mut line = String::new();
    for (place, (cell, width)) in cells.iter().zip(WIDTHS).enumerate() {
        let cell = printable(cell);
        line.push_str(&if place == 0 { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") });
    }
    line.trim_end().to_owned()
}

fn row(entry: &AuditEntry) -> Result<[String; 10], Failure> {
    let time = entry.time.as_ref().map(json::text).transpose()?.unwrap_or_default();
    let operation = entry.operation.strip_prefix("lacuna.v1.").unwrap_or(&entry.operation);
    let view = if entry.view() == View::Unspecified { "" } else { short(entry.view().as_str_name(), "VIEW_") };
    let about = match (entry.subject_token.is_empty(), entry.receipt_id.as_str()) {
        (false, _) => entry.subject_token.iter().take(8).map(|byte| format!("{byte:02x}")).collect(),
        (true, receipt) => receipt.to_owned(),
    };
    Ok([
        entry.index.to_string(),
        time.trim_matches('"').to_owned(),
        ended(entry),
        operation.rsplit('/').next().unwrap_or(operation).to_owned(),
        entry.class.clone(),
        view.to_lowercase(),
        entry.role.clone(),
        entry.purpose.clone(),
        about,
        entry.actor.clone(),
    ])
}

/// How it ended, and why where it did not end well.
fn ended(entry: &AuditEntry) -> String {
    let word = match (entry.decision(), entry.outcome()) {
        (Decision::Denied, _) => "denied",
        (_, Outcome::Refused) => "refused",
        (_, Outcome::Failed) => "failed",
        (_, Outcome::Started) => "started",
        (_, Outcome::Ok) => "ok",
        (_, Outcome::Unspecified) => "",
    };
    match entry.reason() {
        ErrorReason::Unspecified | ErrorReason::AccessDenied => word.to_owned(),
        reason => format!("{word} {}", short(reason.as_str_name(), "ERROR_REASON_")),
    }
}

fn described(detail: &AuditDetail) -> String {
    let item = |item: &crate::api::proto::ItemVersionRef| match item.version {
        0 => item.item_id.clone(),
        version => format!("{} version {version}", item.item_id),
    };
    let parts = [
        ("subject", detail.subject_id.clone()),
        ("items", detail.items.iter().map(item).collect::<Vec<_>>().join(", ")),
        ("fields", detail.fields.join(", ")),
        ("ticket", detail.ticket.clone()),
        ("from", detail.peer_address.clone()),
        ("person", detail.operator_name.clone()),
    ];
    let given = parts.iter().filter(|(_, text)| !text.is_empty());
    given.map(|(name, text)| format!("{name}: {}", printable(text))).collect::<Vec<_>>().join("; ")
}

fn short<'n>(name: &'n str, prefix: &str) -> &'n str {
    name.strip_prefix(prefix).unwrap_or(name)
}
