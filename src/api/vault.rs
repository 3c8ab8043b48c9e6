//! Storing personal data and reading it back.

use std::sync::Arc;
use std::time::Instant;

use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::convert::batch::{self, GetBatch};
use super::convert::{access, document, events as event, find, item, subject};
use super::documents;
use super::enter::{enter, enter_stream, refuse};
use super::events::{Recording, answer};
use super::proto::vault_server;
use super::proto::*;
use super::status;
use crate::base::limits::{
    ANSWER_STREAMS_MAX, EVENT_STREAMS_MAX, GET_STEP_ITEMS, MESSAGE_BYTES_MAX, RECORD_STREAMS_MAX, STREAM_MESSAGE_BYTES,
    STREAM_QUEUE_MAX,
};
use crate::gate::call::Call;
use crate::gate::refusal::Unavailable;
use crate::gate::vault::Vault;
use crate::items;

/// The service `lacuna.v1.Vault`.
pub(super) struct VaultService {
    vault: Arc<Vault>,
    /// Room for streamed answers: each holds items in the clear until its caller takes them.
    streams: Arc<Semaphore>,
    /// The same for streams of batches of events, and for readings of events.
    recordings: Arc<Semaphore>,
    readings: Arc<Semaphore>,
}

impl VaultService {
    pub(super) fn new(vault: Arc<Vault>) -> Self {
        let room = |count| Arc::new(Semaphore::new(count));
        let (streams, recordings) = (room(ANSWER_STREAMS_MAX), room(RECORD_STREAMS_MAX));
        Self { vault, streams, recordings, readings: room(EVENT_STREAMS_MAX) }
    }

    async fn room(&self, rooms: &Arc<Semaphore>, call: &Call) -> Result<OwnedSemaphorePermit, Status> {
        match rooms.clone().try_acquire_owned() {
            Ok(room) => Ok(room),
            Err(_) => Err(refuse(call)(self.vault.refuse(call, Unavailable::StreamsExhausted.into()).await)),
        }
    }
}

#[tonic::async_trait]
impl vault_server::Vault for VaultService {
    async fn create_subject(
        &self,
        request: Request<CreateSubjectRequest>,
    ) -> Result<Response<CreateSubjectResponse>, Status> {
        let (call, new) = enter(&self.vault, request).await?.convert(&self.vault, subject::create).await?;
        let created = items::create::create(&self.vault, &call, new).await.map_err(refuse(&call))?;
        Ok(Response::new(subject::created(created)))
    }

    async fn get_subject(&self, request: Request<GetSubjectRequest>) -> Result<Response<GetSubjectResponse>, Status> {
        let (call, named) = enter(&self.vault, request).await?.convert(&self.vault, subject::describe).await?;
        let view = items::subject::describe(&self.vault, &call, named).await.map_err(refuse(&call))?;
        Ok(Response::new(GetSubjectResponse { subject: Some(subject::view(view)) }))
    }

    async fn put_item(&self, request: Request<PutItemRequest>) -> Result<Response<PutItemResponse>, Status> {
        let (call, (named, new)) = enter(&self.vault, request).await?.convert(&self.vault, item::put).await?;
        let (subject, stamp) = items::put::put(&self.vault, &call, named, new).await.map_err(refuse(&call))?;
        Ok(Response::new(item::put_done(subject, stamp)))
    }

    async fn batch_put_items(
        &self,
        request: Request<BatchPutItemsRequest>,
    ) -> Result<Response<BatchPutItemsResponse>, Status> {
        let here = *self.vault.id();
        let for_here = |request| batch::put(request)?.for_vault(&here);
        let (call, entries) = enter(&self.vault, request).await?.convert(&self.vault, for_here).await?;
        let (entries, all) = entries.split();
        if all.is_empty() {
            self.vault.record_done(&call).await.map_err(refuse(&call))?;
        }
        let refused = all.iter().filter_map(|(_, refusal)| refusal.as_ref());
        self.vault.record_refusals(&call, refused).await.map_err(refuse(&call))?;
        let done = items::put::put_batch(&self.vault, &call, entries).await.map_err(refuse(&call))?;
        let results = batch::merged(all, done).map(|(reference, outcome)| batch::put_result(reference, outcome));
        Ok(Response::new(BatchPutItemsResponse { results: results.collect(), vault_id: here.to_string() }))
    }

    async fn get_item(&self, request: Request<GetItemRequest>) -> Result<Response<GetItemResponse>, Status> {
        let (call, query) = enter(&self.vault, request).await?.convert(&self.vault, item::get).await?;
        let view = items::get::get(&self.vault, &call, query).await.map_err(refuse(&call))?;
        Ok(Response::new(GetItemResponse { item: Some(item::item(view)) }))
    }

    type BatchGetItemsStream = ReceiverStream<Result<BatchGetItemsResponse, Status>>;

    async fn batch_get_items(
        &self,
        request: Request<BatchGetItemsRequest>,
    ) -> Result<Response<Self::BatchGetItemsStream>, Status> {
        let (call, batch) = enter(&self.vault, request).await?.convert(&self.vault, batch::get).await?;
        let room = self.room(&self.streams, &call).await?;
        let (answers, receiver) = mpsc::channel(STREAM_QUEUE_MAX);
        let answering = Answering { vault: self.vault.clone(), call, answers, _room: room };
        tokio::spawn(answering.run(batch));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn list_items(&self, request: Request<ListItemsRequest>) -> Result<Response<ListItemsResponse>, Status> {
        let (call, query) = enter(&self.vault, request).await?.convert(&self.vault, item::list).await?;
        let page = items::list::list(&self.vault, &call, query).await.map_err(refuse(&call))?;
        let page = item::page(page);
        if page.encoded_len() > MESSAGE_BYTES_MAX {
            return Err(status::of_reason(ErrorReason::MessageTooLarge)); // tonic would say it without a reason
        }
        Ok(Response::new(page))
    }

    async fn update_item(&self, request: Request<UpdateItemRequest>) -> Result<Response<UpdateItemResponse>, Status> {
        let (call, update) = enter(&self.vault, request).await?.convert(&self.vault, item::update).await?;
        let (stamp, old) = items::update::update(&self.vault, &call, update).await.map_err(refuse(&call))?;
        Ok(Response::new(item::updated(stamp, old)))
    }

    async fn delete_item(&self, request: Request<DeleteItemRequest>) -> Result<Response<DeleteItemResponse>, Status> {
        let (call, delete) = enter(&self.vault, request).await?.convert(&self.vault, item::delete).await?;
        let erasure = items::delete::delete(&self.vault, &call, delete).await.map_err(refuse(&call))?;
        Ok(Response::new(item::deleted(erasure)))
    }

    async fn find_subjects(
        &self,
        request: Request<FindSubjectsRequest>,
    ) -> Result<Response<FindSubjectsResponse>, Status> {
        let (call, query) = enter(&self.vault, request).await?.convert(&self.vault, find::query).await?;
        let page = items::find::find(&self.vault, &call, query).await.map_err(refuse(&call))?;
        Ok(Response::new(find::page(page)))
    }

    type RecordEventsStream = ReceiverStream<Result<RecordEventsResponse, Status>>;

    async fn record_events(
        &self,
        request: Request<tonic::Streaming<RecordEventsRequest>>,
    ) -> Result<Response<Self::RecordEventsStream>, Status> {
        let (entered, batches) = enter_stream(&self.vault, request).await?;
        let (call, first) = entered.convert(&self.vault, Ok).await?;
        let room = self.room(&self.recordings, &call).await?;
        let (answers, receiver) = mpsc::channel(STREAM_QUEUE_MAX);
        let recording = Recording { vault: self.vault.clone(), call, batches, answers, _room: room };
        tokio::spawn(recording.run(first));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type ReadEventsStream = ReceiverStream<Result<ReadEventsResponse, Status>>;

    async fn read_events(
        &self,
        request: Request<ReadEventsRequest>,
    ) -> Result<Response<Self::ReadEventsStream>, Status> {
        let (call, query) = enter(&self.vault, request).await?.convert(&self.vault, event::read).await?;
        let room = self.room(&self.readings, &call).await?;
        let failed = refuse(&call);
        let reading = items::events::read::open(self.vault.clone(), call, query).await.map_err(failed)?;
        let (answers, receiver) = mpsc::channel(STREAM_QUEUE_MAX);
        tokio::spawn(answer(reading, answers, room));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    type UploadDocumentStream = ReceiverStream<Result<UploadDocumentResponse, Status>>;

    async fn upload_document(
        &self,
        request: Request<tonic::Streaming<UploadDocumentRequest>>,
    ) -> Result<Response<Self::UploadDocumentStream>, Status> {
        let (entered, messages) = enter_stream(&self.vault, request).await?;
        let (call, opening) = entered.convert(&self.vault, document::opening).await?;
        let failed = refuse(&call);
        let upload = items::upload::open(self.vault.clone(), call, opening).await.map_err(failed)?;
        Ok(Response::new(documents::take(upload, messages)))
    }

    type DownloadDocumentStream = ReceiverStream<Result<DownloadDocumentResponse, Status>>;

    async fn download_document(
        &self,
        request: Request<DownloadDocumentRequest>,
    ) -> Result<Response<Self::DownloadDocumentStream>, Status> {
        let (call, query) = enter(&self.vault, request).await?.convert(&self.vault, document::download).await?;
        let failed = refuse(&call);
        let (view, download) = items::download::open(self.vault.clone(), call, query).await.map_err(failed)?;
        Ok(Response::new(documents::give(view, download)))
    }

    async fn verify_password(
        &self,
        request: Request<VerifyPasswordRequest>,
    ) -> Result<Response<VerifyPasswordResponse>, Status> {
        let (call, test) = enter(&self.vault, request).await?.convert(&self.vault, item::verify).await?;
        let set = items::verify::verify(&self.vault, &call, test).await.map_err(refuse(&call))?;
        Ok(Response::new(item::verified(set)))
    }

    async fn check_access(
        &self,
        request: Request<CheckAccessRequest>,
    ) -> Result<Response<CheckAccessResponse>, Status> {
        let (call, supposed) = enter(&self.vault, request).await?.convert(&self.vault, access::check).await?;
        let explanation = items::check::check(&self.vault, &call, supposed).await.map_err(refuse(&call))?;
        Ok(Response::new(access::explained(explanation)))
    }
}

/// A batch of reads while it is answered: one chunk at a time, never more than a few messages ahead of the caller.
struct Answering {
    vault: Arc<Vault>,
    call: Call,
    answers: mpsc::Sender<Result<BatchGetItemsResponse, Status>>,
    _room: OwnedSemaphorePermit,
}

impl Answering {
    async fn run(self, batch: GetBatch) {
        // Every call has a deadline: the caller's, or the longest that the vault allows.
        let deadline = self.call.deadline().unwrap_or_else(Instant::now).into();
        if tokio::time::timeout_at(deadline, self.answer(batch)).await.is_err() {
            // A caller too slow to take its messages has no room for this one either; its own deadline ends the call.
            let _ = self.answers.try_send(Err(status::of_reason(ErrorReason::DeadlineExceeded)));
        }
    }

    async fn answer(&self, mut batch: GetBatch) {
        while let Some(entries) = batch.next(GET_STEP_ITEMS) {
            let (queries, all) = entries.split();
            let refused = all.iter().filter_map(|(_, refusal)| refusal.as_ref());
            if let Err(refusal) = self.vault.record_refusals(&self.call, refused).await {
                let _ = self.answers.send(Err(refuse(&self.call)(refusal))).await; // or the caller is gone
                return;
            }
            let views = items::get::get_batch(&self.vault, &self.call, queries).await;
            let results = batch::merged(all, views).map(|(reference, outcome)| batch::get_result(reference, outcome));
            if !self.send(results).await {
                return; // the caller is gone
            }
        }
    }

    /// Sends the results of one chunk in messages of bounded size. False if nobody listens any more.
    async fn send(&self, results: impl Iterator<Item = GetItemResult>) -> bool {
        let mut gathered = Vec::new();
        let mut bytes = 0;
        for result in results {
            bytes += result.encoded_len();
            gathered.push(result);
            if bytes >= STREAM_MESSAGE_BYTES {
                bytes = 0;
                let message = BatchGetItemsResponse { results: std::mem::take(&mut gathered) };
                if self.answers.send(Ok(message)).await.is_err() {
                    return false;
                }
            }
        }
        gathered.is_empty() || self.answers.send(Ok(BatchGetItemsResponse { results: gathered })).await.is_ok()
    }
}
