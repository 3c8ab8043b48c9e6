//! How a command fails: what it prints on standard error, and the exit code.
//!
//! The codes are stable: 0 done, 1 not done, 2 the command line cannot be carried out as given, 3 what was asked is
//! answered with no.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::json;
use tonic::Status;
use tonic_types::StatusExt as _;

use super::show::Format;
use crate::api::proto::StatusCode;
use crate::api::reasons::{self, Traits};
use crate::server::assemble::StartError;

/// Why a command did not do what it was asked for.
pub enum Failure {
    /// The command line cannot be carried out as given.
    Usage(String),
    /// The vault refused the call.
    Refused(Box<Refused>),
    /// The answer, which was printed, is no.
    No,
    /// Anything else.
    Failed(StartError),
}

/// What the vault said, as far as it is worth reading.
pub struct Refused {
    code: &'static str,
    message: String,
    reason: Option<Traits>,
    fields: Vec<(String, String, String)>,
    /// Ids by which the log or a colleague finds the call: `request_id`, `rule_id`, `receipt_id`.
    ids: BTreeMap<String, String>,
    format: Format,
}

impl Failure {
    /// A failure in words.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into().into())
    }

    /// The answer to a call that was not carried out.
    pub fn of_status(status: &Status, format: Format) -> Self {
        let details = status.get_error_details();
        let Some(info) = details.error_info() else {
            return Self::failed(format!("no answer: {}{}", causes(status), advice(status)));
        };
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        let fields = violations.into_iter().map(|field| (field.field, field.reason, field.description));
        Self::Refused(Box::new(Refused {
            code: code_name(status),
            message: status.message().to_owned(),
            reason: reasons::by_name(&info.reason),
            fields: fields.collect(),
            ids: info.metadata.clone().into_iter().collect(),
            format,
        }))
    }

    /// Prints it. The exit code to end with.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Usage(text) => eprintln!("lacuna: {text}\n\nFor more information, try '--help'."),
            Self::No => {}
            Self::Failed(error) => eprintln!("lacuna: {error}"),
            Self::Refused(refused) => match refused.format {
                Format::Table => eprint!("{}", refused.text()),
                Format::Json => eprintln!("{}", refused.json()),
            },
        }
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::No => ExitCode::from(3),
            Self::Failed(_) | Self::Refused(_) => ExitCode::FAILURE,
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        Self::Failed(error)
    }
}

impl Refused {
    fn text(&self) -> String {
        let mut text = format!("lacuna: refused: {}\n", self.message);
        let mut line = |key: &str, value: &str| text.push_str(&format!("  {key:<11} {value}\n"));
        line("code", self.code);
        line("reason", self.reason.map_or("of another release", |reason| reason.name));
        for (field, reason, description) in &self.fields {
            line("field", &format!("{field} {description} ({reason})"));
        }
        if let Some(reason) = self.reason {
            line("what to do", reason.what_to_do);
            if reason.retryable {
                line("retry", "the same call may be sent again");
            }
        }
        for (key, id) in &self.ids {
            line(key, id);
        }
        if let Some(id) = self.ids.get("approval_id") {
            text.push_str(&format!(
                "\nask another person to run: lacuna approval list --decidable, and, if it is what they agree to,\n  \
                 lacuna approval approve {id} --digest DIGEST\nthen repeat this command with --approval {id}\n"
            ));
        }
        text
    }

    fn json(&self) -> serde_json::Value {
        let fields = self.fields.iter().map(
            |(field, reason, description)| json!({ "field": field, "reason": reason, "description": description }),
        );
        json!({ "error": {
            "code": self.code,
            "reason": self.reason.map(|reason| reason.name),
            "message": self.message,
            "fields": fields.collect::<Vec<_>>(),
            "what_to_do": self.reason.map(|reason| reason.what_to_do),
            "retryable": self.reason.is_some_and(|reason| reason.retryable),
            "ids": self.ids,
        } })
    }
}

/// Every error from the outermost to its cause, each said once.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = match error.downcast_ref::<Status>() {
            Some(status) => status.message().to_owned(),
            None => error.to_string(),
        };
        if !text.is_empty() && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

fn advice(status: &Status) -> &'static str {
    match status.code() {
        tonic::Code::Cancelled | tonic::Code::DeadlineExceeded => {
            ". What the call was to change may be done or not; look, or raise --timeout"
        }
        tonic::Code::Unimplemented => ". Is this the address of a vault's gRPC listener?",
        _ => {
            ". If the vault closed the connection, check that --cert is issued by the authority in its [tls] client_ca \
             and has not expired"
        }
    }
}

fn code_name(status: &Status) -> &'static str {
    let name = StatusCode::try_from(status.code() as i32).unwrap_or_default().as_str_name();
    name.strip_prefix("STATUS_CODE_").unwrap_or(name)
}
