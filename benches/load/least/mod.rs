//! The least that a vault has to do, as a server: what the floors of the read path can be held against on a machine.
//!
//! The echo's listener and TLS; two rows of the usual size read from the same engine, one value opened, one entry
//! hashed, and one synced record per group of calls before any of them is answered. No key tree, no decision, no
//! check. A request for VIEW_EXISTS is answered without the log.

mod group;
mod store;

use std::path::Path;
use std::sync::Arc;

use lacuna::api::codec::Codec;
use lacuna::api::proto::*;
use lacuna::crypto::hash::sha256;
use lacuna::server::serve::Hooks;
use tokio_stream::Once;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, http};
use tonic::server::{Grpc, ServerStreamingService, UnaryService};
use tonic::{Request, Response, Status};

use super::Error;
use super::data::{Random, item};
use super::peer::{self, Handler};
use group::Log;
use store::Rows;

/// What an entry of the log takes in a vault, about.
const ENTRY_BYTES: usize = 400;

/// Fills a store of its own and serves with the certificates of a vault of `lacuna dev` until a signal; prints its
/// address when ready.
pub fn run(dir: &Path, subjects: usize) -> Result<(), Error> {
    let (config, mut listener) = peer::listener(dir)?;
    listener.threads = 1; // the log hands its groups back to one runtime
    let rows = Rows::create(&dir.join("least"), config.store.cache_mib, subjects)?;
    let log = Arc::new(Log::start(rows.engine()));
    let new = item(&mut Random::seeded(1));
    let answer = Item { class: new.class, value: new.value, version: 1, ..Item::default() };
    let hooks = Hooks {
        on_park: Arc::new({
            let log = log.clone();
            move || log.runtime_parks()
        }),
        ..Hooks::default()
    };
    peer::run(&listener, Least(Arc::new(State { rows, log, answer })), &hooks)
}

struct State {
    rows: Rows,
    log: Arc<Log>,
    answer: Item,
}

impl State {
    /// One item, and its entry for the log.
    fn read(&self, subject: Option<SubjectRef>, item: &str) -> Result<(Item, Vec<u8>), Status> {
        let subject = match subject.and_then(|subject| subject.r#ref) {
            Some(subject_ref::Ref::SubjectId(id)) => id,
            _ => return Err(Status::invalid_argument("subject")),
        };
        let row = self.rows.read(&subject, item).ok_or_else(|| Status::internal("store"))?;
        let mut entry = vec![0; ENTRY_BYTES];
        entry[..32].copy_from_slice(&sha256(&[&[0], &row[..row.len().min(ENTRY_BYTES)]]));
        Ok((self.answer.clone(), entry))
    }
}

#[derive(Clone)]
struct Least(Arc<State>);

impl Handler for Least {
    async fn answer(self, request: http::Request<Body>) -> http::Response<Body> {
        if request.uri().path().ends_with("/BatchGetItems") {
            Grpc::new(Codec::default()).server_streaming(self, request).await
        } else {
            Grpc::new(Codec::default()).unary(self, request).await
        }
    }
}

impl UnaryService<GetItemRequest> for Least {
    type Response = GetItemResponse;
    type Future = BoxFuture<Response<GetItemResponse>, Status>;

    fn call(&mut self, request: Request<GetItemRequest>) -> Self::Future {
        let Least(state) = self.clone();
        Box::pin(async move {
            let request = request.into_inner();
            let is_recorded = request.view() != View::Exists;
            let (item, entry) = state.read(request.subject, &request.item_id)?;
            if is_recorded {
                state.log.append(entry).await.ok_or_else(|| Status::internal("log"))?;
            }
            Ok(Response::new(GetItemResponse { item: Some(item) }))
        })
    }
}

impl ServerStreamingService<BatchGetItemsRequest> for Least {
    type Response = BatchGetItemsResponse;
    type ResponseStream = Once<Result<BatchGetItemsResponse, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<BatchGetItemsRequest>) -> Self::Future {
        let Least(state) = self.clone();
        Box::pin(async move {
            let mut results = Vec::new();
            let mut entries = Vec::new();
            for asked in request.into_inner().entries {
                let (item, entry) = state.read(asked.subject, &asked.item_id)?;
                entries.extend(entry);
                let outcome = Some(get_item_result::Outcome::Item(item));
                results.push(GetItemResult { reference: asked.reference, outcome });
            }
            state.log.append(entries).await.ok_or_else(|| Status::internal("log"))?;
            Ok(Response::new(tokio_stream::once(Ok(BatchGetItemsResponse { results }))))
        })
    }
}
