//! The bare echo: the least that a gRPC server with our listener can do. It reads a GetItem request, looks at nothing,
//! and answers with an item of the usual size.

use std::convert::Infallible;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use lacuna::api::codec::Codec;
use lacuna::api::proto::{GetItemRequest, GetItemResponse, Item};
use lacuna::base::time::{Clock, SystemClock};
use lacuna::server::accept::{Security, live_bindings};
use lacuna::server::config::Config;
use lacuna::server::serve::{Hooks, Listener, serve};
use lacuna::server::stop::Signals;
use lacuna::server::tls::{DevCertificates, Tls};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::Error;
use super::data::{Random, item};

/// Serves with the certificates of a vault of `lacuna dev` until a signal; prints its address when ready.
pub fn run(dir: &Path) -> Result<(), Error> {
    let config = Config::load(&dir.join("lacuna.toml"))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tls = Arc::new(Tls::live(config.tls.clone(), DevCertificates::Accepted, clock)?);
    let bindings = Arc::new(live_bindings(config.files.bindings.clone())?);
    let listener = Listener::api(([127, 0, 0, 1], 0).into(), config.listen.threads, Security::Api(tls, bindings));
    let mut signals = Signals::take_over()?;
    let answer = Arc::new(answer());
    let running = serve(&listener, move || Routes::new(Echo(answer.clone())), &Hooks::default())?;
    println!("{}", running.address());
    std::io::stdout().flush()?;
    signals.wait(|| ());
    running.stop();
    Ok(())
}

fn answer() -> GetItemResponse {
    let new = item(&mut Random::seeded(1));
    GetItemResponse { item: Some(Item { class: new.class, value: new.value, version: 1, ..Item::default() }) }
}

/// Answers GetItem, always the same.
#[derive(Clone)]
struct Echo(Arc<GetItemResponse>);

impl NamedService for Echo {
    const NAME: &'static str = "lacuna.v1.Vault";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = Answer(self.0.clone());
        Box::pin(async move { Ok(Grpc::new(Codec::default()).unary(answer, request).await) })
    }
}

struct Answer(Arc<GetItemResponse>);

impl UnaryService<GetItemRequest> for Answer {
    type Response = GetItemResponse;
    type Future = std::future::Ready<Result<Response<GetItemResponse>, Status>>;

    fn call(&mut self, _: Request<GetItemRequest>) -> Self::Future {
        std::future::ready(Ok(Response::new((*self.0).clone())))
    }
}
