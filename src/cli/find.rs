//! `lacuna subject find`: by an identifier that stands in a file, so that no shell history and no list of processes
//! has it.

use std::path::PathBuf;

use super::failure::Failure;
use super::json;
use super::remote::{Remote, SERVICE};
use super::show::{self, Format, out, table};
use super::subject::text_of;
use crate::api::proto::identifier::Identifier as By;
use crate::api::proto::vault_client::VaultClient;
use crate::api::proto::{DocumentNumber, FindSubjectsRequest, FindSubjectsResponse, Identifier, SubjectMatch};

/// What `subject find` is told.
#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    identifier: Files,
    #[command(flatten)]
    remote: Remote,
}

/// Where the identifier is. `printf %s "$EMAIL" | lacuna subject find --email-file -` shows it to nobody else, since
/// printf is the shell's own.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Files {
    /// A file that holds an email address, - for standard input: neither the shell's history nor the list of processes
    /// has it then.
    #[arg(long, value_name = "FILE")]
    email_file: Option<PathBuf>,
    /// A file that holds a phone number with its country code, - for standard input.
    #[arg(long, value_name = "FILE")]
    phone_file: Option<PathBuf>,
    /// A file that holds a document's type, country_code and number as JSON, - for standard input: as DocumentNumber.
    #[arg(long, value_name = "FILE")]
    government_id_file: Option<PathBuf>,
    /// A file that holds your own id for the person, - for standard input.
    #[arg(long, value_name = "FILE")]
    external_id_file: Option<PathBuf>,
}

impl Files {
    fn identifier(&self) -> Result<Identifier, Failure> {
        let by = match self {
            Self { email_file: Some(path), .. } => By::Email(text_of(path)?),
            Self { phone_file: Some(path), .. } => By::Phone(text_of(path)?),
            Self { government_id_file: Some(path), .. } => By::GovernmentId(json::read::<DocumentNumber>(path)?),
            Self { external_id_file: Some(path), .. } => By::ExternalId(text_of(path)?),
            _ => return Err(Failure::Usage("name the file that holds the identifier".into())),
        };
        Ok(Identifier { identifier: Some(by) })
    }
}

/// Carries it out: all pages.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let identifier = arguments.identifier.identifier()?;
    let found = arguments.remote.call(SERVICE, async |session| {
        let (mut matches, mut page_token) = (Vec::new(), String::new());
        loop {
            let (context, identifier) = (session.context(), Some(identifier.clone()));
            let request = FindSubjectsRequest { context, identifier, page_size: 0, page_token };
            let page = VaultClient::new(session.channel.clone()).find_subjects(session.request(request)).await?;
            let page = page.into_inner();
            matches.extend(page.matches);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(tonic::Response::new(FindSubjectsResponse { matches, ..Default::default() }));
            }
        }
    })?;
    match arguments.remote.format() {
        Format::Json => show::message(&found, Format::Json),
        Format::Table => out(&table(["SUBJECT", "ITEM"], found.matches.into_iter().map(row))),
    }
}

fn row(SubjectMatch { subject_id, item_id }: SubjectMatch) -> [String; 2] {
    [subject_id, item_id]
}
