//! Which entries, as options.

use std::path::PathBuf;

use crate::api::proto::well_known::Timestamp;
use crate::api::proto::{AuditFilter, AuditParts, Decision, Outcome, SubjectRef, subject_ref};
use crate::cli::failure::Failure;
use crate::cli::json;
use crate::cli::subject::text_of;
use crate::policy::action::Action;

/// Selects entries: those that match every option that is given. An option that is given several times takes any.
#[derive(clap::Args)]
#[command(next_help_heading = "Which entries")]
pub struct Filter {
    /// About this subject: sub_...
    #[arg(long, value_name = "ID", conflicts_with = "external_id_file")]
    subject: Option<String>,
    /// About the person with your own id in this file, - for standard input.
    #[arg(long, value_name = "FILE")]
    external_id_file: Option<PathBuf>,
    /// By this actor: a service's identity, act_..., vault or unknown.
    #[arg(long = "by", value_name = "ACTOR")]
    actors: Vec<String>,
    /// In this role.
    #[arg(long = "in-role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Under this purpose.
    #[arg(long = "for-purpose", value_name = "PURPOSE")]
    purposes: Vec<String>,
    /// About this class.
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<String>,
    /// Of this operation: a method, such as GetItem, or an event, such as item.erased.
    #[arg(long = "operation", value_name = "NAME")]
    operations: Vec<String>,
    /// With this decision.
    #[arg(long = "decision", value_enum)]
    decisions: Vec<Decided>,
    /// That ended so.
    #[arg(long = "outcome", value_enum)]
    outcomes: Vec<Ended>,
    /// Of the call with this id: req_...
    #[arg(long = "request", value_name = "ID")]
    request: Option<String>,
    /// Of the erasure with this receipt: rcp_...
    #[arg(long = "receipt", value_name = "ID")]
    receipt: Option<String>,
    /// About the person whose erasure has this receipt, where a hold keeps the access history: rcp_... For legal, with
    /// --client legal and --purpose legal_compliance.
    #[arg(long = "history-of", value_name = "ID", conflicts_with_all = ["subject", "external_id_file"])]
    history_of: Option<String>,
    /// At this time or later: 2026-03-01, or with a time as 2026-03-01T08:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
    /// Before this time.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// Show the bytes of the leaves too, to check proofs against. For --output json.
    #[arg(long)]
    leaf: bool,
    /// Show the sealed details too. For --output json.
    #[arg(long)]
    sealed_detail: bool,
    /// Open the details: a release of personal data, which is recorded. Needs a permission of its own; as shipped the
    /// auditor has it under --purpose legal_compliance with a --ticket.
    #[arg(long)]
    detail: bool,
}

/// A decision by its name.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Decided {
    /// Nothing was to be decided: the vault's own work, and requests that were not well formed.
    None,
    /// It was allowed.
    Allowed,
    /// It was denied.
    Denied,
}

/// An outcome by its name.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Ended {
    /// Done.
    Ok,
    /// Refused.
    Refused,
    /// Failed.
    Failed,
    /// Begun, to be ended by a later entry.
    Started,
}

impl Filter {
    /// The filter of a request.
    pub fn message(&self) -> Result<AuditFilter, Failure> {
        let subject = match (&self.subject, &self.external_id_file) {
            (Some(id), _) => Some(subject_ref::Ref::SubjectId(id.clone())),
            (None, Some(path)) => Some(subject_ref::Ref::ExternalId(text_of(path)?)),
            (None, None) => None,
        };
        let decisions = self.decisions.iter().map(|decision| match decision {
            Decided::None => Decision::Unspecified,
            Decided::Allowed => Decision::Allowed,
            Decided::Denied => Decision::Denied,
        });
        let outcomes = self.outcomes.iter().map(|outcome| match outcome {
            Ended::Ok => Outcome::Ok,
            Ended::Refused => Outcome::Refused,
            Ended::Failed => Outcome::Failed,
            Ended::Started => Outcome::Started,
        });
        Ok(AuditFilter {
            subject: subject.map(|subject| SubjectRef { r#ref: Some(subject) }),
            actors: self.actors.clone(),
            roles: self.roles.clone(),
            purposes: self.purposes.clone(),
            classes: self.classes.clone(),
            operations: self.operations.iter().map(|name| in_full(name)).collect(),
            decisions: decisions.map(i32::from).collect(),
            outcomes: outcomes.map(i32::from).collect(),
            request_id: self.request.clone().unwrap_or_default(),
            receipt_id: self.receipt.clone().unwrap_or_default(),
            start_time: self.since,
            end_time: self.until,
            history_receipt_id: self.history_of.clone().unwrap_or_default(),
        })
    }

    /// The parts of entries that are wanted.
    pub fn parts(&self) -> AuditParts {
        AuditParts { leaf: self.leaf, sealed_detail: self.sealed_detail, detail: self.detail }
    }
}

/// A method's name with its service, as the contract has it.
fn in_full(name: &str) -> String {
    let action = Action::ALL.iter().find(|action| action.as_str() == name);
    action.map_or(name.to_owned(), |action| format!("lacuna.v1.{}/{action}", action.service()))
}

/// A time in RFC 3339, or the beginning of a day in UTC.
fn time(text: &str) -> Result<Timestamp, &'static str> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    let quoted = serde_json::Value::String(whole).to_string();
    json::of_text(&quoted).ok_or("is not a time such as 2026-03-01 or 2026-03-01T08:00:00Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_or_rfc_3339() {
        assert_eq!(time("1970-01-02").map(|time| time.seconds), Ok(86_400));
        assert_eq!(time("1970-01-01T02:00:00+01:00").map(|time| time.seconds), Ok(3_600));
        for text in ["", "yesterday", "2026-02-30", "2026-01-01T00:00:00", "1767225600"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_method_is_named_with_or_without_its_service() {
        assert_eq!(in_full("GetItem"), "lacuna.v1.Vault/GetItem");
        assert_eq!(in_full("lacuna.v1.Vault/GetItem"), "lacuna.v1.Vault/GetItem");
        assert_eq!(in_full("item.erased"), "item.erased");
    }
}
