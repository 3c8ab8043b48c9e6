//! Documents: how fast one goes up and down, what many of them take of memory, and how long others wait beside them.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lacuna::api::proto::download_document_response::Part as Got;
use lacuna::api::proto::upload_document_request::Part;
use lacuna::api::proto::upload_document_response::Event;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use lacuna::crypto::hash::sha256;
use tokio::runtime::Runtime;
use tokio_stream::StreamExt as _;
use tonic::codegen::Bytes;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::Error;
use super::data;
use super::servers::Server;

/// Bytes of a message.
const PIECE: usize = 1 << 20;
/// Uploads beside which others are measured.
pub const BESIDE: usize = 8;
/// How long the other side of a stalled stream does nothing.
const STALL: Duration = Duration::from_secs(3);
/// Until a stream that the vault had no memory for is asked for again.
const PAUSE: Duration = Duration::from_millis(50);

/// A document that is sent again and again, to a person who is there for that.
pub struct Documents {
    content: Bytes,
    sha256: Vec<u8>,
    subject: String,
    /// Streams at a time, where memory is measured.
    counts: &'static [usize],
}

impl Documents {
    /// A person for them. Whole: documents of 64 MiB, up to 64 at a time; else small ones, to see that it works.
    pub fn create(runtime: &Runtime, server: &Server, whole: bool) -> Result<Arc<Self>, Error> {
        let bytes = if whole { 64 << 20 } else { 3 << 20 };
        let mut random = data::Random::seeded(bytes as u64);
        let mut content = b"%PDF-1.7\n".to_vec();
        while content.len() < bytes {
            content.extend_from_slice(&(random.below(usize::MAX)).to_le_bytes());
        }
        content.truncate(bytes);
        let sha256 = sha256(&[&content]).to_vec();
        let request = CreateSubjectRequest { context: data::context(), ..Default::default() };
        let created = runtime.block_on(server.client(0).create_subject(request))?.into_inner();
        let counts = if whole { &[1, 8, 32, 64][..] } else { &[1, 2] };
        Ok(Arc::new(Self { content: content.into(), sha256, subject: created.subject_id, counts }))
    }

    /// MiB a second of one upload, and of the download of it.
    pub fn alone(self: &Arc<Self>, runtime: &Runtime, server: &Server) -> Result<(f64, f64), Error> {
        let mib = self.content.len() as f64 / f64::from(1 << 20);
        runtime.block_on(async {
            let begin = Instant::now();
            let item = self.upload(server.client(0)).await?;
            let up = mib / begin.elapsed().as_secs_f64();
            let begin = Instant::now();
            self.download(server.client(0), &item, Duration::ZERO).await?;
            let down = mib / begin.elapsed().as_secs_f64();
            self.delete(server.client(0), item).await?;
            Ok((up, down))
        })
    }

    /// By how many MiB the server's memory grew, at the most, with many streams at a time; said for each kind and number.
    pub fn memory(self: &Arc<Self>, runtime: &Runtime, server: &Server) -> Result<f64, Error> {
        static MEASURED: OnceLock<f64> = OnceLock::new();
        if let Some(known) = MEASURED.get() {
            return Ok(*known); // it takes minutes, and depends on no moment
        }
        let item = runtime.block_on(self.upload(server.client(0)))?;
        runtime.block_on(self.download(server.client(0), &item, Duration::ZERO))?;
        let mut most = 0.0_f64;
        for kind in [Kind::Upload, Kind::Download, Kind::StalledUpload, Kind::StalledDownload] {
            for count in self.counts {
                let before = server.memory_mib()?;
                let (peak, refused) = runtime.block_on(self.watch(server, kind, *count, &item))?;
                let grown = peak - before;
                eprintln!(
                    "memory: {count} x {}: {before:.0} MiB before, {grown:.0} MiB more at the most, refused {refused} times",
                    kind.name()
                );
                most = most.max(grown);
            }
        }
        runtime.block_on(self.delete(server.client(0), item))?;
        Ok(*MEASURED.get_or_init(|| most))
    }

    /// Does something while uploads are under way, in a thread of their own.
    pub fn beside<T>(self: &Arc<Self>, server: &Server, act: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let clients = server.connect_again(&runtime)?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let documents = self.clone();
        let uploads = std::thread::spawn(move || runtime.block_on(documents.upload_until(clients, stopped)));
        std::thread::sleep(Duration::from_millis(500));
        let done = act();
        let _ = stop.send(true);
        let mib_s = uploads.join().map_err(|_| "the uploads ended")??;
        eprintln!("beside: {BESIDE} uploads, {mib_s:.0} MiB/s together");
        done
    }

    /// MiB a second of uploads until they are to stop.
    async fn upload_until(
        self: Arc<Self>,
        clients: Vec<VaultClient<Channel>>,
        stopped: tokio::sync::watch::Receiver<bool>,
    ) -> Result<f64, Error> {
        let begin = Instant::now();
        let uploads: Vec<_> = (0..BESIDE)
            .map(|number| {
                let (documents, client, stopped) =
                    (self.clone(), clients[number % clients.len()].clone(), stopped.clone());
                tokio::spawn(async move {
                    let mut sent = 0;
                    while !*stopped.borrow() {
                        let item = documents.upload(client.clone()).await?;
                        sent += documents.content.len();
                        documents.delete(client.clone(), item).await?;
                    }
                    Ok::<usize, Error>(sent)
                })
            })
            .collect();
        let mut sent = 0;
        for upload in uploads {
            sent += upload.await??;
        }
        Ok(sent as f64 / f64::from(1 << 20) / begin.elapsed().as_secs_f64())
    }

    /// The most memory while so many streams are under way, and how often the vault had none for one.
    async fn watch(
        self: &Arc<Self>,
        server: &Server,
        kind: Kind,
        count: usize,
        item: &str,
    ) -> Result<(f64, usize), Error> {
        let streams: Vec<_> = (0..count)
            .map(|number| tokio::spawn(self.clone().stream(server.client(number), kind, item.to_owned())))
            .collect();
        let mut peak = server.memory_mib()?;
        while !streams.iter().all(tokio::task::JoinHandle::is_finished) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            peak = peak.max(server.memory_mib()?);
        }
        let mut refused = 0;
        for stream in streams {
            refused += stream.await??;
        }
        Ok((peak, refused))
    }

    /// One stream, as often as the vault refuses it for want of memory.
    async fn stream(self: Arc<Self>, client: VaultClient<Channel>, kind: Kind, item: String) -> Result<usize, Error> {
        let mut refused = 0;
        loop {
            let ended = match kind {
                Kind::Upload => match self.upload(client.clone()).await {
                    Ok(item) => return self.delete(client, item).await.map(|()| refused),
                    Err(status) => Err(status),
                },
                Kind::Download => self.download(client.clone(), &item, Duration::ZERO).await,
                Kind::StalledUpload => self.stall(client.clone()).await,
                Kind::StalledDownload => self.download(client.clone(), &item, STALL).await,
            };
            match ended {
                Ok(()) => return Ok(refused),
                Err(status) if status.code() == Code::ResourceExhausted => refused += 1,
                Err(status) => return Err(status.into()),
            }
            if matches!(kind, Kind::StalledUpload | Kind::StalledDownload) {
                return Ok(refused);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn messages(&self) -> Vec<UploadDocumentRequest> {
        let open = UploadOpen {
            subject: data::subject(&self.subject),
            media_type: "application/pdf".into(),
            ..Default::default()
        };
        let whole = UploadFinish { size_bytes: self.content.len() as u64, sha256: self.sha256.clone() };
        let mut messages = vec![UploadDocumentRequest { context: data::context(), part: Some(Part::Open(open)) }];
        for offset in (0..self.content.len()).step_by(PIECE) {
            let data = self.content.slice(offset..(offset + PIECE).min(self.content.len()));
            let part = Part::Chunk(DocumentChunk { offset: offset as u64, data });
            messages.push(UploadDocumentRequest { context: None, part: Some(part) });
        }
        messages.push(UploadDocumentRequest { context: None, part: Some(Part::Finish(whole)) });
        messages
    }

    async fn upload(&self, mut client: VaultClient<Channel>) -> Result<String, Status> {
        let mut answers = client.upload_document(tokio_stream::iter(self.messages())).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            if let Some(Event::Done(done)) = answer.event {
                return Ok(done.item.unwrap_or_default().item_id);
            }
        }
        Err(Status::unavailable("the upload did not end"))
    }

    /// Opens an upload, sends a piece, and nothing more for a while.
    async fn stall(&self, mut client: VaultClient<Channel>) -> Result<(), Status> {
        let begun = tokio_stream::iter(self.messages().into_iter().take(2)).chain(tokio_stream::pending());
        let mut answers = client.upload_document(begun).await?.into_inner();
        answers.message().await?;
        tokio::time::sleep(STALL).await;
        Ok(())
    }

    async fn download(&self, mut client: VaultClient<Channel>, item: &str, stall: Duration) -> Result<(), Status> {
        let request = DownloadDocumentRequest {
            context: data::context(),
            subject: data::subject(&self.subject),
            item_id: item.to_owned(),
            ..Default::default()
        };
        let mut answers = client.download_document(request).await?.into_inner();
        if !stall.is_zero() {
            answers.message().await?;
            tokio::time::sleep(stall).await;
            return Ok(());
        }
        let mut bytes = 0;
        while let Some(answer) = answers.message().await? {
            match answer.part {
                Some(Got::Chunk(chunk)) => bytes += chunk.data.len(),
                Some(Got::End(_)) if bytes == self.content.len() => return Ok(()),
                _ => {}
            }
        }
        Err(Status::unavailable("the download did not end"))
    }

    async fn delete(&self, mut client: VaultClient<Channel>, item_id: String) -> Result<(), Error> {
        let subject = data::subject(&self.subject);
        let wait = Wait::Logical.into();
        let request = DeleteItemRequest { context: data::context(), subject, item_id, wait, ..Default::default() };
        client.delete_item(request).await?;
        Ok(())
    }
}

/// What streams do.
#[derive(Clone, Copy)]
enum Kind {
    Upload,
    Download,
    StalledUpload,
    StalledDownload,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Download => "download",
            Self::StalledUpload => "stalled upload",
            Self::StalledDownload => "stalled download",
        }
    }
}
