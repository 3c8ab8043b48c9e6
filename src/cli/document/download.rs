//! `lacuna item download`.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use serde_json::json;

use super::part::{Part, exists};
use super::{Broken, Waiting, bar, hex, incomplete, reason};
use crate::api::proto::download_document_response::Part as Got;
use crate::api::proto::vault_client::VaultClient;
use crate::api::proto::{Document, DownloadDocumentRequest, Item, SubjectRef, item_value};
use crate::base::id::ItemId;
use crate::cli::failure::Failure;
use crate::cli::remote::{Remote, Session};
use crate::cli::show::{Format, out, printable};
use crate::cli::subject::Whose;
use crate::crypto::hash::Digest;

/// What `item download` is told.
#[derive(clap::Args)]
pub struct Download {
    #[command(flatten)]
    whose: Whose,
    /// The document: itm_...
    #[arg(long, value_name = "ID")]
    item: String,
    /// The version; 0 for the newest.
    #[arg(long, default_value_t = 0)]
    version: u64,
    /// The file to make, or the folder to make it in, under the name that it was stored under.
    #[arg(long, value_name = "PATH", default_value = ".")]
    to: PathBuf,
    /// Replace what is there.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    remote: Remote,
}

/// Refusals after which what is stored is not to be had, and no part of it is to stay.
const GONE: [&str; 5] = ["NOT_FOUND", "ERASED", "ITEM_ERASED", "SUBJECT_ERASED", "INDEX_OUT_OF_RANGE"];

/// Carries it out: all of it, or what is missing.
pub fn run(arguments: &Download) -> Result<(), Failure> {
    let item: ItemId =
        arguments.item.parse().map_err(|_| Failure::Usage("--item is no id of an item: itm_... in full".into()))?;
    let target = Target::of(arguments)?;
    let (subject, part) = (arguments.whose.reference()?, Part::find(&target.folder, &item, arguments.version)?);
    let (remote, bar) = (&arguments.remote, bar(0));
    let earlier = part.as_ref().map_or(0, |part| part.bytes);
    let mut done = None;
    remote.follow(arguments.whose.usually(), async |session| {
        let mut receiving = Receiving { remote, session, subject, item, target, part, earlier, bar: bar.clone() };
        done = Some(receiving.run(arguments.version).await?);
        Ok(())
    })?;
    bar.finish_and_clear();
    match done {
        Some(done) => done.tell(remote.format()),
        None => Ok(()),
    }
}

/// Where the document is to be.
struct Target {
    folder: PathBuf,
    /// None for the name that it was stored under.
    file: Option<PathBuf>,
    replace: bool,
}

impl Target {
    fn of(arguments: &Download) -> Result<Self, Failure> {
        let (to, replace) = (&arguments.to, arguments.force);
        if to.is_dir() {
            return Ok(Self { folder: to.clone(), file: None, replace });
        }
        if to.exists() && !replace {
            return Err(exists(to));
        }
        let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new(".")).to_owned();
        Ok(Self { folder, file: Some(to.clone()), replace })
    }

    /// The file, once it is known what the document is called. What is in a vault does not decide on folders.
    fn file(&self, item: &ItemId, document: &Document) -> Result<PathBuf, Failure> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let name = &document.file_name;
        let is_plain = Path::new(name).file_name().is_some_and(|own| own == name.as_str())
            && !name.starts_with('.')
            && printable(name) == *name;
        let file = self.folder.join(if is_plain { name.clone() } else { item.to_string() });
        if file.exists() && !self.replace { Err(exists(&file)) } else { Ok(file) }
    }
}

/// A download on its way.
struct Receiving<'a> {
    remote: &'a Remote,
    session: Session,
    subject: Option<SubjectRef>,
    item: ItemId,
    target: Target,
    part: Option<Part>,
    /// Bytes of earlier runs.
    earlier: u64,
    bar: ProgressBar,
}

/// A document that is there.
struct Done {
    file: PathBuf,
    item: Item,
    size: u64,
    sha256: Digest,
    earlier: u64,
}

impl Receiving<'_> {
    /// Begins streams until one ends with the whole document, or nothing moves any more.
    async fn run(&mut self, version: u64) -> Result<Done, Failure> {
        let mut waiting = Waiting::new(self.remote);
        loop {
            let status = match self.attempt(version, &mut waiting).await {
                Ok(done) => return Ok(done),
                Err(Broken::Own(failure)) => return Err(failure),
                Err(Broken::Stream(status)) => status,
            };
            if reason(&status).is_some_and(|reason| GONE.contains(&reason.as_str())) {
                if let Some(part) = self.part.take() {
                    part.remove()?;
                    // There may be a newer version than the one that an earlier run began with.
                    if std::mem::take(&mut self.earlier) > 0 && version == 0 {
                        continue;
                    }
                }
                return Err(self.remote.refused(&status));
            }
            let left = match &self.part {
                Some(part) => {
                    let (bytes, place) = (part.bytes, part.path().display());
                    format!("{bytes} bytes are in {place}; run the same command again: it goes on from there")
                }
                None => "run the same command again".to_owned(),
            };
            waiting.or_give_up(&status, self.remote, &left).await?;
        }
    }

    /// One stream.
    async fn attempt(&mut self, version: u64, waiting: &mut Waiting) -> Result<Done, Broken> {
        let request = DownloadDocumentRequest {
            context: self.session.context(),
            subject: self.subject.clone(),
            item_id: self.item.to_string(),
            version: self.part.as_ref().map_or(version, |part| part.version),
            offset: self.part.as_ref().map_or(0, |part| part.bytes),
        };
        let request = self.session.request(request);
        let mut answers = VaultClient::new(self.session.channel.clone()).download_document(request).await?.into_inner();
        let Some(Got::Item(item)) = answers.message().await?.and_then(|answer| answer.part) else {
            return Err(incomplete().into());
        };
        let document = match item.value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(item_value::Value::Document(document)) => document,
            _ => return Err(Failure::failed("the vault's answer describes no document").into()),
        };
        let file = self.target.file(&self.item, document)?;
        self.bar.set_length(document.size_bytes);
        if self.part.is_none() {
            self.part = Some(Part::open(&self.target.folder, &self.item, item.version)?);
        }
        while let Some(answer) = answers.message().await? {
            let Some(part) = self.part.as_mut() else { break };
            match answer.part {
                Some(Got::Chunk(chunk)) if chunk.offset == part.bytes => {
                    part.add(&chunk.data)?;
                    waiting.moved();
                    self.bar.set_position(part.bytes);
                }
                Some(Got::End(end)) => {
                    let sha256 = Digest::try_from(end.sha256.as_slice());
                    let sha256 = sha256.map_err(|_| Failure::failed("the vault's answer has no hash"))?;
                    let Some(part) = self.part.take() else { break };
                    part.finish(end.size_bytes, &sha256, &file, self.target.replace)?;
                    return Ok(Done { file, item, size: end.size_bytes, sha256, earlier: self.earlier });
                }
                _ => return Err(Failure::failed("the vault's answers are out of order").into()),
            }
        }
        Err(incomplete().into())
    }
}

impl Done {
    fn tell(&self, format: Format) -> Result<(), Failure> {
        let Self { file, item, size, sha256, earlier } = self;
        let file = file.display().to_string();
        out(&match format {
            Format::Json => json!({
                "file": file, "item_id": item.item_id, "version": item.version.to_string(), "size_bytes": size.to_string(),
                "sha256": hex(sha256), "bytes_of_earlier_runs": earlier.to_string(),
            })
            .to_string(),
            Format::Table => {
                let earlier = if *earlier > 0 { format!(", {earlier} of them by earlier runs") } else { String::new() };
                format!("{}: {size} bytes{earlier}, version {} of {}", printable(&file), item.version, item.item_id)
            }
        })
    }
}
