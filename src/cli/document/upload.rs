//! `lacuna item upload`.

use std::path::PathBuf;

use indicatif::ProgressBar;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::Bytes;

use super::journal::Journal;
use super::source::Source;
use super::{Broken, Waiting, bar, incomplete, reason};
use crate::api::proto::upload_document_request::Part;
use crate::api::proto::upload_document_response::Event;
use crate::api::proto::vault_client::VaultClient;
use crate::api::proto::{CallContext, DocumentChunk, UploadDocumentRequest, UploadDone, UploadFinish, UploadOpen};
use crate::catalog::media::MediaType;
use crate::cli::failure::Failure;
use crate::cli::remote::{Remote, SERVICE, Session};
use crate::cli::subject::Subject;
use crate::cli::{json, show};

/// What `item upload` is told.
#[derive(clap::Args)]
pub struct Upload {
    #[command(flatten)]
    subject: Subject,
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its media type. Without it the one that the file begins as.
    #[arg(long, value_name = "TYPE")]
    media_type: Option<String>,
    /// Do not store the file's name.
    #[arg(long)]
    unnamed: bool,
    /// The class. Without it `document`.
    #[arg(long, default_value = "", hide_default_value = true)]
    class: String,
    /// The document to make a new version of: itm_... The old version is forgotten. Without it a new item.
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    item: String,
    /// The etag read, if that document must not have changed since.
    #[arg(long, default_value = "", requires = "item", hide_default_value = true)]
    etag: String,
    /// The item that it is a scan or copy of: itm_...
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    related: String,
    /// The particulars of its processing as JSON, - for standard input, as in ItemMetadata.
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    /// Where it is kept which upload it is, until it is done. Without it, the file's name with .upload at its end.
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

/// Messages that are ready to be sent.
const AHEAD: usize = 1;
/// Refusals after which the upload is no more, and another run begins a new one.
const OVER: [&str; 2] = ["CONTENT_MISMATCH", "MEDIA_TYPE_REFUSED"];

/// Carries it out: all of it, or what is left.
pub fn run(arguments: &Upload) -> Result<(), Failure> {
    let source = Source::open(&arguments.file)?;
    let opening = arguments.opening(&source)?;
    let journal = arguments.journal.clone().unwrap_or_else(|| {
        let mut name = arguments.file.clone().into_os_string();
        name.push(".upload");
        name.into()
    });
    let journal = Journal::open(&journal, &source.sha256, &opening.encode_to_vec())?;
    let bar = bar(source.size);
    let mut done = None;
    arguments.remote.follow(SERVICE, async |session| {
        let mut sending = Sending { remote: &arguments.remote, session, source, opening, bar: bar.clone() };
        done = Some(sending.run(journal).await?);
        Ok(())
    })?;
    bar.finish_and_clear();
    show::message(&done.unwrap_or_default(), arguments.remote.format())
}

impl Upload {
    fn opening(&self, source: &Source) -> Result<UploadOpen, Failure> {
        let media_type = match (&self.media_type, source.media) {
            (Some(stated), _) => stated.clone(),
            (None, Some(media)) => media.as_str().to_owned(),
            (None, None) => {
                let known: Vec<&str> = MediaType::ALL.iter().map(|media| media.as_str()).collect();
                let known = known.join(", ");
                let file = self.file.display();
                return Err(Failure::failed(format!(
                    "{file}: begins as none of the types that a vault takes: {known}"
                )));
            }
        };
        Ok(UploadOpen {
            subject: self.subject.reference()?,
            upload_id: String::new(),
            class: self.class.clone(),
            media_type,
            file_name: if self.unnamed { String::new() } else { source.name() },
            related_item_id: self.related.clone(),
            item_id: self.item.clone(),
            etag: self.etag.clone(),
            metadata: self.metadata.as_deref().map(json::read).transpose()?,
        })
    }
}

/// An upload on its way.
struct Sending<'a> {
    remote: &'a Remote,
    session: Session,
    source: Source,
    opening: UploadOpen,
    bar: ProgressBar,
}

impl Sending<'_> {
    /// Begins streams until one ends with the document, or nothing moves any more.
    async fn run(&mut self, mut journal: Journal) -> Result<UploadDone, Failure> {
        let mut waiting = Waiting::new(self.remote);
        loop {
            let status = match self.attempt(&mut journal, &mut waiting).await {
                Ok(done) => {
                    journal.remove();
                    return Ok(done);
                }
                Err(Broken::Own(failure)) => return Err(failure),
                Err(Broken::Stream(status)) => status,
            };
            let place = journal.path().display().to_string();
            match reason(&status) {
                Some(reason) if OVER.contains(&reason.as_str()) => {
                    journal.remove();
                    return Err(self.remote.refused(&status));
                }
                Some(reason) if reason == "UPLOAD_EXPIRED" && journal.upload().is_some() => {
                    return Err(Failure::failed(format!(
                        "the upload that {place} names is no more: its day is over, or it was finished and its document \
                         erased since. Look with lacuna item list what is stored; to upload the file anew, remove {place}"
                    )));
                }
                _ => {}
            }
            let left = match journal.upload() {
                Some(_) => format!("run the same command again within a day: it goes on where it was ({place})"),
                None => "nothing was stored; run the same command again".to_owned(),
            };
            waiting.or_give_up(&status, self.remote, &left).await?;
        }
    }

    /// One stream.
    async fn attempt(&self, journal: &mut Journal, waiting: &mut Waiting) -> Result<UploadDone, Broken> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let upload_id = journal.upload().unwrap_or_default().to_owned();
        let open = Part::Open(UploadOpen { upload_id, ..self.opening.clone() });
        let _ = sender.send(message(self.session.context(), open)).await; // there is room for the first
        let request = self.session.request(ReceiverStream::new(receiver));
        let mut answers = VaultClient::new(self.session.channel.clone()).upload_document(request).await?.into_inner();
        let accepted = match answers.message().await?.and_then(|answer| answer.event) {
            Some(Event::Accepted(accepted)) => accepted,
            _ => return Err(incomplete().into()),
        };
        journal.note(&accepted.upload_id)?;
        waiting.moved();
        self.bar.set_position(accepted.durable_bytes);
        let sending = self.send(&sender, accepted.durable_bytes);
        tokio::pin!(sending);
        let mut is_sent = false;
        loop {
            tokio::select! {
                biased;
                answer = answers.message() => match answer?.and_then(|answer| answer.event) {
                    Some(Event::Progress(progress)) => {
                        waiting.moved();
                        self.bar.set_position(progress.durable_bytes);
                    }
                    Some(Event::Done(done)) => return Ok(done),
                    Some(Event::Accepted(_)) | None => return Err(incomplete().into()),
                },
                sent = &mut sending, if !is_sent => {
                    sent?;
                    is_sent = true;
                }
            }
        }
    }

    /// Sends the content from an offset on, and its end. If the stream is over, the answers say why.
    async fn send(&self, sender: &mpsc::Sender<UploadDocumentRequest>, from: u64) -> Result<(), Failure> {
        let mut offset = from;
        while offset < self.source.size {
            // Wiped when the connection has sent it.
            let data = Bytes::from_owner(self.source.piece(offset)?.into_exposed());
            let next = offset + data.len() as u64;
            if sender.send(message(None, Part::Chunk(DocumentChunk { offset, data }))).await.is_err() {
                return Ok(());
            }
            offset = next;
        }
        let finish = UploadFinish { size_bytes: self.source.size, sha256: self.source.sha256.to_vec() };
        let _ = sender.send(message(None, Part::Finish(finish))).await;
        Ok(())
    }
}

fn message(context: Option<CallContext>, part: Part) -> UploadDocumentRequest {
    UploadDocumentRequest { context, part: Some(part) }
}
