//! Gives the transport's own errors a reason: those for messages that never reach a method.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;

use super::status;

/// A service whose every error has a reason.
#[derive(Clone)]
pub(super) struct Reasoned<S>(pub(super) S);

impl<S: NamedService> NamedService for Reasoned<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Reasoned<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer<S::Future> {
        Answer(self.0.call(request))
    }
}

/// The answer to come.
pub(super) struct Answer<F>(F);

impl<F> Future for Answer<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Ok(response) = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(Ok(with_reason(response)))
    }
}

/// An error that comes before any message is whole in the headers.
fn with_reason(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    if !headers.contains_key("grpc-status") || headers.contains_key("grpc-status-details-bin") {
        return response;
    }
    let Some(status) = Status::from_header_map(headers).filter(|status| status.code() != tonic::Code::Ok) else {
        return response;
    };
    let reasoned = status::of_transport(status).into_http::<Body>();
    for (name, value) in reasoned.headers() {
        response.headers_mut().insert(name, value.clone());
    }
    response
}
