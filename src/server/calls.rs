//! Counts calls by method and outcome and how long they took to be answered, and bounds how many there are at a time.
//!
//! INVARIANT: every label is a word of this source code. A path that names no method of ours counts as `other`, so
//! that no caller can make series or write into them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
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
use crate::policy::action::{Action, Draw};

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
            let right = if action.draw() == Draw::Duty { Right::Duty } else { Right::Ordinary };
            methods.push(Method { right, ..Method::new(action.service(), action.as_str()) });
        }
        for method in ["Check", "Watch"] {
            places.insert(format!("/grpc.health.v1.Health/{method}"), methods.len());
            methods.push(Method { right: Right::Health, ..Method::new("Health", method) });
        }
        let seconds = Family::new_with_constructor(histogram as fn() -> Histogram);
        let (in_progress, answered) = (Gauge::default(), Family::default());
        Self(Arc::new(Calls { places, methods, in_progress, places_taken: AtomicUsize::new(0), answered, seconds }))
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

    fn begin(&self, path: &str, bounds: Bounds) -> Began {
        self.0.in_progress.inc();
        let place = self.0.place(path);
        let admission = self.0.admit(self.0.methods[place].right, bounds);
        Began { metrics: self.clone(), place, at: Instant::now(), code: Code::Cancelled, admission }
    }
}

struct Calls {
    /// Where the method of a path is.
    places: HashMap<String, usize>,
    /// Every method, after `other`.
    methods: Vec<Method>,
    in_progress: Gauge,
    /// Those of them that were not refused.
    places_taken: AtomicUsize,
    answered: Family<OutcomeLabels, Counter>,
    seconds: Family<MethodLabels, Histogram>,
}

/// A method, with its two usual series at hand once they exist.
struct Method {
    labels: MethodLabels,
    right: Right,
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
        Self { labels, right: Right::Ordinary, ok: OnceLock::new(), seconds: OnceLock::new() }
    }
}

/// What a call may do when there are many.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Right {
    /// It is refused when the places are taken.
    Ordinary,
    /// It has places of its own beyond those: erasures, and what else people and courts are owed.
    Duty,
    /// It always gets an answer: it is asked whether to go on sending calls here.
    Health,
}

/// How many calls there may be at a time.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// Of any kind.
    pub(super) calls: usize,
    /// Beyond them, of those that have places of their own.
    pub(super) duties: usize,
}

/// Whether a call goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Admission {
    /// It has taken a place, and gives it back.
    Place,
    /// There is none for it.
    Refused,
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

    fn admit(&self, right: Right, bounds: Bounds) -> Admission {
        let max = match right {
            Right::Health => usize::MAX,
            Right::Ordinary => bounds.calls,
            Right::Duty => bounds.calls + bounds.duties,
        };
        // A refused call never counts, so that a crowd of them cannot keep out who has places of their own.
        let take = |taken| (taken < max).then_some(taken + 1);
        match self.places_taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Admission::Place,
            Err(_) => Admission::Refused,
        }
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
    pub(super) bounds: Bounds,
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
        let began = self.layer.metrics.as_ref().map(|metrics| metrics.begin(request.uri().path(), self.layer.bounds));
        let is_refused = began.as_ref().is_some_and(|began| began.admission == Admission::Refused);
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
    admission: Admission,
}

impl Drop for Began {
    fn drop(&mut self) {
        self.metrics.0.in_progress.dec();
        if self.admission == Admission::Place {
            self.metrics.0.places_taken.fetch_sub(1, Ordering::Relaxed);
        }
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
    fn a_flood_of_calls_leaves_places_for_erasures_alone() {
        let metrics = CallMetrics::default();
        let bounds = Bounds { calls: 2, duties: 1 };
        let begin = |path| Some(metrics.begin(path, bounds)).filter(|began| began.admission == Admission::Place);
        let (get, erase) = ("/lacuna.v1.Vault/GetItem", "/lacuna.v1.Privacy/EraseSubject");
        let (first, second) = (begin(get), begin(get));
        assert!(first.is_some() && second.is_some() && begin(get).is_none());
        let crowd: Vec<Began> = (0..100).map(|_| metrics.begin(get, bounds)).collect();
        let third = begin(erase);
        assert!(third.is_some(), "however many were refused");
        assert!(begin(erase).is_none(), "there is an end to these too");
        assert!(begin("/grpc.health.v1.Health/Check").is_some());
        drop((crowd, first));
        assert!(begin(get).is_none(), "what the erasure took is not theirs");
        drop(third);
        assert!(begin(get).is_some());
        drop(second);
        assert_eq!(metrics.0.places_taken.load(Ordering::Relaxed), 0);
        assert_eq!(metrics.in_progress(), 0);
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
