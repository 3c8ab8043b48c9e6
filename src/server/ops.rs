//! The operations endpoints: alive, ready, metrics.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::base::log_safe::LogSafe;

/// What the process is able to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Opening the store, recovering.
    Starting,
    /// Serving calls.
    Ready,
    /// Serving, but with less than the configured safety (a slot is missing, say).
    Degraded,
    /// Asked to stop; finishing calls.
    Draining,
    /// Serving nothing: sealed, or storage failed.
    NotServing,
}

const STATES: [State; 5] = [State::Starting, State::Ready, State::Degraded, State::Draining, State::NotServing];

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Draining => "draining",
            Self::NotServing => "not serving",
        })
    }
}

impl LogSafe for State {}

/// The state of the process, shared between those who change it and those who ask. Starts as [`State::Starting`].
#[derive(Clone, Default)]
pub struct Readiness(Arc<AtomicU8>);

impl Readiness {
    /// The state now.
    pub fn state(&self) -> State {
        STATES[usize::from(self.0.load(Ordering::SeqCst))]
    }

    /// Changes the state.
    pub fn set(&self, state: State) {
        self.0.store(state as u8, Ordering::SeqCst);
    }

    /// Whether calls are served.
    pub fn is_serving(&self) -> bool {
        matches!(self.state(), State::Ready | State::Degraded)
    }
}

/// `/livez` (the process answers), `/readyz` (200 only while calls are served) and `/metrics` (OpenMetrics text).
pub fn routes(readiness: Readiness, metrics: Arc<Registry>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(async move || ready(&readiness)))
        .route("/metrics", get(async move || exposition(&metrics)))
}

fn ready(readiness: &Readiness) -> Response {
    let state = readiness.state();
    let code = if readiness.is_serving() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, format!("{state}\n")).into_response()
}

fn exposition(metrics: &Registry) -> Response {
    let mut text = String::new();
    match encode(&mut text, metrics) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_serving_process_is_ready() {
        let readiness = Readiness::default();
        assert_eq!(readiness.state(), State::Starting);
        for state in STATES {
            readiness.set(state);
            assert_eq!(readiness.state(), state);
            let expected = if matches!(state, State::Ready | State::Degraded) { 200 } else { 503 };
            assert_eq!(ready(&readiness).status().as_u16(), expected, "{state}");
        }
    }
}
