//! What is done with each call before its service sees it.

use std::sync::Arc;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::codegen::http::{Extensions, Request};
use tower::{Layer, Service};

/// Shows the extensions of every arriving call to a hook, which may add to them. Costs no allocation and no task.
#[derive(Clone)]
pub(super) struct ArrivalLayer(pub(super) Arc<dyn Fn(&mut Extensions) + Send + Sync>);

impl<S> Layer<S> for ArrivalLayer {
    type Service = ArrivalService<S>;

    fn layer(&self, inner: S) -> ArrivalService<S> {
        ArrivalService { inner, layer: self.clone() }
    }
}

#[derive(Clone)]
pub(super) struct ArrivalService<S> {
    inner: S,
    layer: ArrivalLayer,
}

impl<S: Service<Request<Body>>> Service<Request<Body>> for ArrivalService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> S::Future {
        (self.layer.0)(request.extensions_mut());
        self.inner.call(request)
    }
}
