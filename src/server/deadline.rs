//! Ends calls at their deadline: the caller's, capped by ours.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::service::Routes;
use tower::{Layer, Service};

use crate::api::peer::Deadline;
use crate::api::proto::ErrorReason;
use crate::api::status;

/// Gives every call its [`Deadline`] and ends it then with the reason `DEADLINE_EXCEEDED` (tonic's own timer says
/// `CANCELLED`, one tick later, and gives no reason).
///
/// The call's future is dropped then. INVARIANT for services: work that must not stop half way, such as an epoch,
/// does not live in that future.
#[derive(Clone)]
pub(super) struct DeadlineLayer {
    /// The longest a call may take; none for listeners that do not serve gRPC.
    pub(super) time_max: Option<Duration>,
}

impl Layer<Routes> for DeadlineLayer {
    type Service = DeadlineService;

    fn layer(&self, inner: Routes) -> DeadlineService {
        DeadlineService { inner, time_max: self.time_max }
    }
}

#[derive(Clone)]
pub(super) struct DeadlineService {
    inner: Routes,
    time_max: Option<Duration>,
}

type RoutesCall = <Routes as Service<Request<Body>>>::Future;

impl Service<Request<Body>> for DeadlineService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = DeadlineFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Body>>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> DeadlineFuture {
        let deadline = self.time_max.map(|time_max| {
            let deadline = Deadline::of(request.headers(), Instant::now(), time_max);
            request.extensions_mut().insert(deadline);
            deadline.0
        });
        DeadlineFuture { inner: self.inner.call(request), deadline, sleep: None }
    }
}

pub(super) struct DeadlineFuture {
    inner: RoutesCall,
    deadline: Option<Instant>,
    /// Made only when the call does not answer at once.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Future for DeadlineFuture {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Poll::Ready(answer) = Pin::new(&mut this.inner).poll(cx) {
            return Poll::Ready(answer);
        }
        let Some(deadline) = this.deadline else { return Poll::Pending };
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(status::of_reason(ErrorReason::DeadlineExceeded).into_http())),
            Poll::Pending => Poll::Pending,
        }
    }
}
