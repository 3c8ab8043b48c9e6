//! Counts calls by method and outcome and how long they took to be answered, and bounds how many there are at a time.
//!
//! INVARIANT: every label is a word of this source code. A path that names no method of ours counts as `other`, so
//! that no caller can make series or write into them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
use prometheus_client::registry::{Registry, Unit};
use tonic::Code;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, StatusCode};
use tower::{Layer, Service};

use crate::api::proto::ErrorReason;
use crate::api::reasons::code_name;
use crate::api::status;
use crate::policy::action::Action;

/// Counts of calls. Cheap to clone; all clones count together.
///
/// A call counts when its answer begins, under the code with which it begins: the streamed part of an answer may
/// still fail. One that its caller gave up before counts as `CANCELLED`.
#[derive(Clone)]
pub struct CallMetrics(Arc<Calls>);

impl Default for CallMetrics {
    fn default() -> Self {
        let mut places = HashMap::new();
        let mut methods = vec![Method::new("other", "other")];
        for action in Action::ALL {
            places.insert(format!("/lacuna.v1.{}/{action}", action.service()), methods.len());
            methods.push(Method::new(action.service(), action.as_str()));
        }
        for method in ["Check", "Watch"] {
            places.insert(format!("/grpc.health.v1.Health/{method}"), methods.len());
            methods.push(Method { is_health: true, ..Method::new("Health", method) });
        }
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        Self(Arc::new(Calls { places, methods, in_progress: Gauge::default(), answered: Family::default(), seconds }))
    }
}

impl CallMetrics {
    /// Puts the counts into a registry, under names that start with `lacuna_api_call`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("lacuna_api");
        registry.register("calls", "Calls answered, by the code their answer began with", self.0.answered.clone());
        registry.register("calls_in_progress", "Calls not answered yet", self.0.in_progress.clone());
        let help = "Time until a call's answer began";
        registry.register_with_unit("call_time", help, Unit::Seconds, self.0.seconds.clone());
    }

    /// Calls to this path answered with this code so far.
    pub fn answered(&self, path: &str, code: Code) -> u64 {
        let labels = self.0.methods[self.0.place(path)].labels.with(code);
        self.0.answered.get_or_create(&labels).get()
    }

    /// Calls not answered yet.
    pub fn in_progress(&self) -> i64 {
        self.0.in_progress.get()
    }

    fn begin(&self, path: &str) -> Began {
        let before = self.0.in_progress.inc();
        let place = self.0.place(path);
        Began { metrics: self.clone(), place, at: Instant::now(), code: Code::Cancelled, before }
    }
}

struct Calls {
    /// Where the method of a path is.
    places: HashMap<String, usize>,
    /// Every method, after `other`.
    methods: Vec<Method>,
    in_progress: Gauge,
    answered: Family<OutcomeLabels, Counter>,
    seconds: Family<MethodLabels, Histogram>,
}

/// A method, with its two usual series at hand once they exist.
struct Method {
    labels: MethodLabels,
    is_health: bool,
    ok: OnceLock<Counter>,
    seconds: OnceLock<Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct MethodLabels {
    service: &'static str,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    service: &'static str,
    method: &'static str,
    code: &'static str,
}

impl Method {
    const fn new(service: &'static str, method: &'static str) -> Self {
        let labels = MethodLabels { service, method };
        Self { labels, is_health: false, ok: OnceLock::new(), seconds: OnceLock::new() }
    }
}

impl MethodLabels {
    fn with(&self, code: Code) -> OutcomeLabels {
        let Self { service, method } = *self;
        OutcomeLabels { service, method, code: if code == Code::Ok { "OK" } else { code_name(code.into()) } }
    }
}

impl Calls {
    fn place(&self, path: &str) -> usize {
        self.places.get(path).copied().unwrap_or(OTHER)
    }

    fn count(&self, place: usize, code: Code, began: Instant) {
        let method = &self.methods[place];
        let counter = || self.answered.get_or_create_owned(&method.labels.with(code));
        if code == Code::Ok {
            method.ok.get_or_init(counter).inc();
        } else {
            counter().inc();
        }
        let seconds = method.seconds.get_or_init(|| self.seconds.get_or_create_owned(&method.labels));
        seconds.observe(began.elapsed().as_secs_f64());
    }
}

/// Counts the calls that pass and refuses those that are too many; no metrics for listeners that do not serve gRPC.
#[derive(Clone)]
pub(super) struct CallsLayer {
    pub(super) metrics: Option<CallMetrics>,
    /// Calls in progress at a time.
    pub(super) max: usize,
}

impl<S> Layer<S> for CallsLayer {
    type Service = CallsService<S>;

    fn layer(&self, inner: S) -> CallsService<S> {
        CallsService { inner, layer: self.clone() }
    }
}

#[derive(Clone)]
pub(super) struct CallsService<S> {
    inner: S,
    layer: CallsLayer,
}

impl<S> Service<Request<Body>> for CallsService<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Counted<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Counted<S::Future> {
        let began = self.layer.metrics.as_ref().map(|metrics| metrics.begin(request.uri().path()));
        let is_refused = began.as_ref().is_some_and(|began| began.is_beyond(self.layer.max));
        Counted { inner: (!is_refused).then(|| self.inner.call(request)), began }
    }
}

/// A call in progress; counted when its answer begins, or when nobody waits for it any more.
pub(super) struct Counted<F> {
    /// None for a call too many.
    inner: Option<F>,
    began: Option<Began>,
}

impl<F> Future for Counted<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let response = match &mut self.inner {
            Some(call) => {
                let Ok(response) = ready!(Pin::new(call).poll(cx));
                response
            }
            None => status::of_reason(ErrorReason::Overloaded).into_http(),
        };
        if let Some(mut began) = self.began.take() {
            began.code = code_of(&response);
        }
        Poll::Ready(Ok(response))
    }
}

struct Began {
    metrics: CallMetrics,
    place: usize,
    at: Instant,
    code: Code,
    /// Calls that were in progress when this one came.
    before: i64,
}

impl Began {
    /// Health answers also under overload: it is asked whether to go on sending calls here.
    fn is_beyond(&self, max: usize) -> bool {
        !self.metrics.0.methods[self.place].is_health && usize::try_from(self.before).is_ok_and(|before| before >= max)
    }
}

impl Drop for Began {
    fn drop(&mut self) {
        self.metrics.0.in_progress.dec();
        self.metrics.0.count(self.place, self.code, self.at);
    }
}

/// The code in the headers: an error that comes before any message. Its absence is a success, as far as it is known.
fn code_of(response: &Response<Body>) -> Code {
    match response.headers().get("grpc-status") {
        Some(code) => Code::from_bytes(code.as_bytes()),
        None if response.status() == StatusCode::OK => Code::Ok,
        None => Code::Unknown,
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

/// Upper bounds in seconds, from what an answer out of memory takes to the longest that a call may take.
const BUCKETS: [f64; 15] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0, 60.0];

/// The place of what is no method of ours.
const OTHER: usize = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    fn exposed(metrics: &CallMetrics) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn calls_are_counted_by_method_and_code() {
        let metrics = CallMetrics::default();
        let count = |path, code| metrics.0.count(metrics.0.place(path), code, Instant::now());
        count("/lacuna.v1.Vault/GetItem", Code::Ok);
        count("/lacuna.v1.Vault/GetItem", Code::Ok);
        count("/lacuna.v1.Vault/GetItem", Code::NotFound);
        assert_eq!(metrics.answered("/lacuna.v1.Vault/GetItem", Code::Ok), 2);
        let text = exposed(&metrics);
        for line in [
            "lacuna_api_calls_total{service=\"Vault\",method=\"GetItem\",code=\"OK\"} 2",
            "lacuna_api_calls_total{service=\"Vault\",method=\"GetItem\",code=\"NOT_FOUND\"} 1",
            "lacuna_api_call_time_seconds_count{service=\"Vault\",method=\"GetItem\"} 3",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn a_callers_path_is_no_label() {
        let metrics = CallMetrics::default();
        for i in 0..100 {
            let place = metrics.0.place(&format!("/lacuna.v1.Vault/CANARY{i}"));
            metrics.0.count(place, Code::Unimplemented, Instant::now());
        }
        assert_eq!(metrics.answered("CANARY", Code::Unimplemented), 100);
        let text = exposed(&metrics);
        assert!(!text.contains("CANARY"), "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("lacuna_api_calls_total")).count(), 1);
    }

    #[test]
    fn every_method_has_series_of_its_own() {
        let metrics = CallMetrics::default();
        assert_eq!(metrics.0.methods.len(), 1 + Action::ALL.len() + 2);
        assert_eq!(metrics.0.places.len(), Action::ALL.len() + 2);
    }
}
