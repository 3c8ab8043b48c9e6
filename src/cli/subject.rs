//! `lacuna subject`.

use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::remote::{Remote, SERVICE, Usually};
use super::{files, find, json, show};
use crate::api::proto::vault_client::VaultClient;
use crate::api::proto::{CreateSubjectRequest, GetSubjectRequest, SubjectRef, subject_ref};

/// What `subject` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Create a subject, with its first items if there are any.
    Create(Create),
    /// Show what is known about a subject itself; no values.
    Get(Get),
    /// Find subjects by an identifier that stands in a file.
    Find(find::Arguments),
}

/// What `subject create` is told.
#[derive(clap::Args)]
pub struct Create {
    /// The subject as JSON, - for standard input: external_id, labels, items, as in CreateSubjectRequest.
    #[arg(long, value_name = "FILE")]
    value: Option<PathBuf>,
    /// A file that holds your own id for the person, - for standard input.
    #[arg(long, value_name = "FILE")]
    external_id_file: Option<PathBuf>,
    /// A label that access rules may read. Never personal data.
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    remote: Remote,
}

/// What `subject get` is told.
#[derive(clap::Args)]
pub struct Get {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    remote: Remote,
}

/// Names one subject.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub struct Subject {
    /// The subject: sub_...
    #[arg(long = "subject", value_name = "ID")]
    id: Option<String>,
    /// A file that holds your own id for the person, - for standard input.
    #[arg(long, value_name = "FILE")]
    external_id_file: Option<PathBuf>,
}

impl Subject {
    /// The reference for a request.
    pub fn reference(&self) -> Result<Option<SubjectRef>, Failure> {
        reference(self.id.as_deref(), self.external_id_file.as_deref())
    }
}

/// Names one subject, or none: for an item that its account does not keep any more.
#[derive(clap::Args)]
#[group(multiple = false)]
pub struct Whose {
    /// The subject: sub_... Without one, only what a hold or a statutory period keeps is found, for the role legal.
    #[arg(long = "subject", value_name = "ID")]
    id: Option<String>,
    /// A file that holds your own id for the person, - for standard input.
    #[arg(long, value_name = "FILE")]
    external_id_file: Option<PathBuf>,
}

impl Whose {
    /// The reference for a request.
    pub fn reference(&self) -> Result<Option<SubjectRef>, Failure> {
        reference(self.id.as_deref(), self.external_id_file.as_deref())
    }

    /// Whom the command is for.
    pub fn usually(&self) -> Usually {
        if self.id.is_none() && self.external_id_file.is_none() { LEGAL } else { SERVICE }
    }
}

/// A command about what only a hold or a period keeps.
const LEGAL: Usually = Usually { client: "legal", purpose: Some("legal_compliance") };

fn reference(id: Option<&str>, external_id_file: Option<&Path>) -> Result<Option<SubjectRef>, Failure> {
    let reference = match (id, external_id_file) {
        (Some(id), _) => Some(subject_ref::Ref::SubjectId(id.to_owned())),
        (None, Some(path)) => Some(subject_ref::Ref::ExternalId(text_of(path)?)),
        (None, None) => None,
    };
    Ok(reference.map(|reference| SubjectRef { r#ref: Some(reference) }))
}

/// Carries it out.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Create(arguments) => create(arguments),
        Command::Get(arguments) => get(arguments),
        Command::Find(arguments) => find::run(arguments),
    }
}

fn create(arguments: &Create) -> Result<(), Failure> {
    let mut request = match &arguments.value {
        Some(path) => json::read::<CreateSubjectRequest>(path)?,
        None => CreateSubjectRequest::default(),
    };
    if request.context.is_some() {
        return Err(Failure::failed("the value has a context; give it by options, such as --purpose"));
    }
    if let Some(path) = &arguments.external_id_file {
        request.external_id = text_of(path)?;
    }
    request.labels.extend(arguments.labels.iter().cloned());
    let answer = arguments.remote.call(SERVICE, async |session| {
        request.context = session.context();
        VaultClient::new(session.channel.clone()).create_subject(session.request(request)).await
    })?;
    show::message(&answer, arguments.remote.format())
}

fn get(arguments: &Get) -> Result<(), Failure> {
    let subject = arguments.subject.reference()?;
    let answer = arguments.remote.call(SERVICE, async |session| {
        let request = GetSubjectRequest { context: session.context(), subject };
        VaultClient::new(session.channel.clone()).get_subject(session.request(request)).await
    })?;
    show::message(&answer.subject.unwrap_or_default(), arguments.remote.format())
}

/// The text of a file without the line feed at its end.
pub(super) fn text_of(path: &Path) -> Result<String, Failure> {
    let bytes = files::read(path)?;
    // Exposed to become a field of the request.
    let text = std::str::from_utf8(bytes.expose());
    let text = text.map_err(|_| Failure::failed(format!("{}: is not UTF-8 text", files::name(path))))?;
    Ok(text.strip_suffix('\n').unwrap_or(text).to_owned())
}

/// A label as it is typed.
pub fn label(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').ok_or("is not of the form KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
