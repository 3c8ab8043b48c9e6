//! `lacuna erase`: a person, for good.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::receipt::{rows, write};
use super::remote::{Remote, Usually};
use super::show::{self, Format, out, table};
use super::subject::text_of;
use crate::api::proto::privacy_client::PrivacyClient;
use crate::api::proto::{
    EraseSubjectRequest, EraseSubjectResponse, ErasureGround, ErasureState, SubjectRef, Wait, subject_ref,
};

/// What `erase` is told.
#[derive(clap::Args)]
pub struct Arguments {
    /// The person: sub_...
    #[arg(value_name = "SUBJECT", required_unless_present = "external_id_file")]
    subject: Option<String>,
    /// A file with your own id of the person instead; - for standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "subject")]
    external_id_file: Option<PathBuf>,
    /// Why the person is erased (GDPR article 17(1)).
    #[arg(long, value_enum)]
    ground: Option<GroundName>,
    /// Answer as soon as no call can read the person, before every key is gone.
    #[arg(long)]
    no_wait: bool,
    /// Do not ask whether it is meant.
    #[arg(long, short)]
    yes: bool,
    /// Write the receipt there, as JSON. Nothing must be there yet.
    #[arg(long, value_name = "FILE")]
    receipt_out: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

/// The names of grounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum GroundName {
    Request,
    ConsentWithdrawn,
    Objection,
    NoLongerNeeded,
    Unlawful,
    LegalObligation,
}

/// A command for who answers people's requests.
const OFFICER: Usually = Usually { client: "privacy-officer", purpose: None };

/// Carries it out.
pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let reference = match (&arguments.subject, &arguments.external_id_file) {
        (Some(id), _) => subject_ref::Ref::SubjectId(id.clone()),
        (None, Some(path)) => subject_ref::Ref::ExternalId(text_of(path)?),
        (None, None) => return Err(Failure::Usage("name the person to erase".into())),
    };
    confirm(arguments)?;
    // Opened first: an erasure whose receipt has no place would still be an erasure.
    let file = arguments.receipt_out.as_deref().map(new_file).transpose()?;
    let ground = arguments.ground.map_or(ErasureGround::Unspecified, GroundName::ground);
    let wait = if arguments.no_wait { Wait::Logical } else { Wait::Erased };
    let answer = arguments.remote.call(OFFICER, async |session| {
        let request = EraseSubjectRequest {
            context: session.context(),
            subject: Some(SubjectRef { r#ref: Some(reference) }),
            ground: ground.into(),
            wait: wait.into(),
            ..Default::default()
        };
        PrivacyClient::new(session.channel.clone()).erase_subject(session.request(request)).await
    });
    if let (Some(path), Ok(EraseSubjectResponse { receipt: None, .. }) | Err(_)) = (&arguments.receipt_out, &answer) {
        let _ = std::fs::remove_file(path); // ours, and empty
    }
    let answer = answer?;
    if let (Some(file), Some(receipt)) = (file, &answer.receipt) {
        write(file, receipt)?;
    }
    tell(&answer, arguments.remote.format())
}

fn tell(answer: &EraseSubjectResponse, format: Format) -> Result<(), Failure> {
    if format == Format::Json {
        return show::message(answer, Format::Json);
    }
    let erasure = answer.erasure.clone().unwrap_or_default();
    let state = erasure.state().as_str_name().trim_start_matches("ERASURE_STATE_").to_owned();
    let mut all = vec![["state".into(), state], ["receipt".into(), erasure.receipt_id.clone()]];
    match (&answer.receipt, erasure.state()) {
        (Some(receipt), _) => all.extend(rows(receipt)?),
        (None, ErasureState::Pending) => {
            let slots = erasure.waiting_slot_ids.iter().map(|slot| ["waits for".into(), slot.clone()]);
            all.extend(slots);
            all.push(["later".into(), format!("lacuna receipt get {}", erasure.receipt_id)]);
        }
        (None, _) => {}
    }
    out(&table(["ERASURE", ""], all))
}

fn confirm(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage("an erasure cannot be undone: give --yes where nobody can be asked".into()));
    }
    let whom = arguments.subject.as_deref().unwrap_or("the person named in the file");
    eprint!("Erase {whom} and everything held about them? This cannot be undone. Type yes to go on: ");
    let mut answer = String::new();
    let read = io::stderr().flush().and_then(|()| io::stdin().read_line(&mut answer));
    match read {
        Ok(_) if answer.trim() == "yes" => Ok(()),
        Ok(_) | Err(_) => Err(Failure::failed("nothing was erased")),
    }
}

/// A file for a receipt, where nothing is yet.
pub(super) fn new_file(path: &Path) -> Result<File, Failure> {
    let made = File::options().write(true).create_new(true).open(path);
    made.map_err(|error| Failure::failed(format!("{}: {}", path.display(), error.kind())))
}

impl GroundName {
    fn ground(self) -> ErasureGround {
        match self {
            Self::Request => ErasureGround::Request,
            Self::ConsentWithdrawn => ErasureGround::ConsentWithdrawn,
            Self::Objection => ErasureGround::Objection,
            Self::NoLongerNeeded => ErasureGround::NoLongerNeeded,
            Self::Unlawful => ErasureGround::Unlawful,
            Self::LegalObligation => ErasureGround::LegalObligation,
        }
    }
}
