//! The streams of documents: one message at a time, either way, never further ahead than the other side.

use std::time::Instant;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::Bytes;
use tonic::{Status, Streaming};

use super::convert::document;
use super::enter::refuse;
use super::proto::upload_document_request::Part;
use super::proto::*;
use super::status;
use crate::base::limits::DOCUMENT_PATIENCE;
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::items::download::{Download, Piece};
use crate::items::model::{ItemView, Uploaded};
use crate::items::upload::{Upload, out_of_order};

/// Answers that wait for the caller of an upload: the first, news of progress, and the last.
const UPLOAD_ANSWERS: usize = 4;

type Answers<T> = mpsc::Sender<Result<T, Status>>;

/// Takes what follows the opening of an upload. The answers.
pub(super) fn take(
    upload: Upload,
    messages: Streaming<UploadDocumentRequest>,
) -> ReceiverStream<Result<UploadDocumentResponse, Status>> {
    let (answers, receiver) = mpsc::channel(UPLOAD_ANSWERS);
    tokio::spawn(answer_upload(upload, messages, answers));
    ReceiverStream::new(receiver)
}

async fn answer_upload(
    upload: Upload,
    messages: Streaming<UploadDocumentRequest>,
    answers: Answers<UploadDocumentResponse>,
) {
    // Kept for the last word, so that also a caller who has let news of progress pile up gets it.
    let (Ok(last), Ok(())) =
        (answers.clone().try_reserve_owned(), answers.try_send(Ok(document::accepted(upload.accepted()))))
    else {
        return; // the caller is gone
    };
    let failed = refuse(upload.call());
    // Every call has a deadline: the caller's, or the longest that the vault allows.
    let deadline = upload.call().deadline().unwrap_or_else(Instant::now).into();
    let taken = tokio::time::timeout_at(deadline, async {
        tokio::select! {
            taken = take_all(upload, messages, &answers) => taken,
            () = answers.closed() => Err(Broken::Off),
        }
    });
    let _ = match taken.await {
        Ok(Ok(uploaded)) => last.send(Ok(document::done(uploaded))),
        Ok(Err(Broken::Refused(refusal))) => last.send(Err(failed(refusal))),
        Ok(Err(Broken::Transport(status))) => last.send(Err(status)),
        Ok(Err(Broken::Off)) => return,
        Err(_) => last.send(Err(status::of_reason(ErrorReason::DeadlineExceeded))),
    };
}

/// Why an upload did not come to its end.
enum Broken {
    /// It was refused, and that is recorded.
    Refused(Refusal),
    /// Its messages broke off or are none.
    Transport(Status),
    /// The caller is gone.
    Off,
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

async fn take_all(
    mut upload: Upload,
    mut messages: Streaming<UploadDocumentRequest>,
    answers: &Answers<UploadDocumentResponse>,
) -> Result<Uploaded, Broken> {
    loop {
        let next = tokio::time::timeout(DOCUMENT_PATIENCE, messages.message());
        let message = match upload.unless_erased(next).await {
            None => return Err(upload.refuse(State::SubjectErased.into()).await.into()),
            Some(Err(_)) => return Err(upload.refuse(Unavailable::Overloaded.into()).await.into()),
            Some(Ok(Err(status))) => return Err(Broken::Transport(status::of_transport(status))),
            Some(Ok(Ok(None))) => return Err(upload.refuse(out_of_order("finish")).await.into()),
            Some(Ok(Ok(Some(message)))) => message,
        };
        if message.context.is_some() {
            return Err(upload.refuse(out_of_order("context")).await.into());
        }
        match message.part {
            Some(Part::Chunk(chunk)) => {
                if let Some(durable) = upload.take(chunk.offset, &chunk.data).await? {
                    // News only: who does not read it gets the last.
                    let _ = answers.try_send(Ok(document::progress(durable)));
                }
            }
            Some(Part::Finish(finish)) => {
                return match document::finish(&finish) {
                    Ok(whole) => Ok(upload.finish(whole).await?),
                    Err(refusal) => Err(upload.refuse(refusal).await.into()),
                };
            }
            Some(Part::Open(_)) => return Err(upload.refuse(out_of_order("open")).await.into()),
            None => return Err(upload.refuse(out_of_order("part")).await.into()),
        }
    }
}

/// Gives a document: its description, then its content.
pub(super) fn give(view: ItemView, download: Download) -> ReceiverStream<Result<DownloadDocumentResponse, Status>> {
    let (answers, receiver) = mpsc::channel(1);
    tokio::spawn(answer_download(view, download, answers));
    ReceiverStream::new(receiver)
}

async fn answer_download(view: ItemView, mut download: Download, answers: Answers<DownloadDocumentResponse>) {
    let failed = refuse(download.call());
    let deadline = download.call().deadline().unwrap_or_else(Instant::now).into();
    let ended = match tokio::time::timeout_at(deadline, give_all(view, &mut download, &answers)).await {
        Ok(Ok(())) => return,
        Ok(Err(refusal)) => failed(download.refuse(refusal).await),
        Err(_) => status::of_reason(ErrorReason::DeadlineExceeded),
    };
    drop(download); // what is forgotten must not wait for the caller
    // A caller too slow to take its messages gets this one when it has taken what is before it.
    let _ = tokio::time::timeout(DOCUMENT_PATIENCE, answers.send(Err(ended))).await;
}

async fn give_all(
    view: ItemView,
    download: &mut Download,
    answers: &Answers<DownloadDocumentResponse>,
) -> Result<(), Refusal> {
    // The first message has its place in the channel.
    if answers.send(Ok(document::described(view))).await.is_err() {
        return Ok(()); // the caller is gone
    }
    while let Some(Piece { offset, bytes, skip }) = download.next().await? {
        // Wiped when the connection has sent it.
        let data = Bytes::from_owner(bytes.into_exposed()).slice(skip..);
        let message = document::piece(offset, data.clone());
        let sending = tokio::time::timeout(DOCUMENT_PATIENCE, answers.send(Ok(message)));
        match download.unless_cut(sending).await {
            None => {} // cut: looked at again, or over
            Some(Ok(Ok(()))) => download.sent(&data),
            Some(Ok(Err(_))) => return Ok(()), // the caller is gone
            Some(Err(_)) => return Err(Unavailable::Overloaded.into()),
        }
    }
    let end = Ok(document::end(download.whole()));
    // The end says no more than the description did.
    let _ = tokio::time::timeout(DOCUMENT_PATIENCE, answers.send(end)).await;
    Ok(())
}
