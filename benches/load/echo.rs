//! The bare echo: the least that a gRPC server with our listener can do. It reads a GetItem request, looks at nothing,
//! and answers with an item of the usual size.

use std::path::Path;
use std::sync::Arc;

use lacuna::api::codec::Codec;
use lacuna::api::proto::{GetItemRequest, GetItemResponse, Item};
use lacuna::server::serve::Hooks;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, UnaryService};
use tonic::{Request, Response, Status};

use super::Error;
use super::data::{Random, item};
use super::peer::{self, Handler};

/// Serves with the certificates of a vault of `lacuna dev` until a signal; prints its address when ready.
pub fn run(dir: &Path) -> Result<(), Error> {
    let (_, listener) = peer::listener(dir)?;
    peer::run(&listener, Echo(Arc::new(answer())), &Hooks::default())
}

fn answer() -> GetItemResponse {
    let new = item(&mut Random::seeded(1));
    GetItemResponse { item: Some(Item { class: new.class, value: new.value, version: 1, ..Item::default() }) }
}

/// Answers GetItem, always the same.
#[derive(Clone)]
struct Echo(Arc<GetItemResponse>);

impl Handler for Echo {
    async fn answer(self, request: http::Request<Body>) -> http::Response<Body> {
        Grpc::new(Codec::default()).unary(self, request).await
    }
}

impl UnaryService<GetItemRequest> for Echo {
    type Response = GetItemResponse;
    type Future = std::future::Ready<Result<Response<GetItemResponse>, Status>>;

    fn call(&mut self, _: Request<GetItemRequest>) -> Self::Future {
        std::future::ready(Ok(Response::new((*self.0).clone())))
    }
}
