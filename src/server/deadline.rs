//! A call's deadline: the caller's, capped by ours.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::service::Routes;
use tower::{Layer, Service};

/// When the answer to a call must have begun; every call carries it as an extension.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(pub Instant);

/// Ends calls at their deadline with `DEADLINE_EXCEEDED` (tonic's own timer says `CANCELLED`, one tick later).
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
            let time = requested(request.headers()).map_or(time_max, |asked| asked.min(time_max));
            let deadline = Instant::now() + time;
            request.extensions_mut().insert(Deadline(deadline));
            deadline
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
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        match sleep.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Ok(Status::deadline_exceeded("the deadline has passed").into_http())),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// The caller's `grpc-timeout`: up to eight digits and a unit (gRPC over HTTP/2, "Requests"). What is malformed is
/// ignored, so that our own limit applies.
fn requested(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_deadline_is_read_or_ignored() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            requested(&headers)
        };
        for (text, expected) in [
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("0u", Some(Duration::ZERO)),
            ("7n", Some(Duration::from_nanos(7))),
            ("", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("+1S", None),
            ("1s", None),
            ("999999999S", None),
            ("1 S", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(requested(&HeaderMap::new()), None);
    }
}
