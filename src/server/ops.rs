//! The operations endpoints: alive, ready, metrics.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::readiness::Readiness;

/// `/livez` (the process answers), `/readyz` (the state's name; 200 only while calls are served) and `/metrics`
/// (OpenMetrics text).
pub fn routes(readiness: Readiness, metrics: Arc<Registry>) -> Router {
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(async move || ready(&readiness)))
        .route("/metrics", get(async move || exposition(&metrics)))
}

fn ready(readiness: &Readiness) -> Response {
    let state = readiness.state();
    let code = if state.is_serving() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
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
    use crate::server::readiness::State;

    #[test]
    fn only_a_serving_process_is_ready() {
        for state in State::ALL {
            let readiness = Readiness::default();
            readiness.set(state);
            let expected = if matches!(state, State::Ready | State::Degraded | State::ReadOnly) { 200 } else { 503 };
            assert_eq!(ready(&readiness).status().as_u16(), expected, "{state}");
        }
    }
}
