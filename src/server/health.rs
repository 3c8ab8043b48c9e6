//! `grpc.health.v1`: whether calls are served, told to those who ask and to those who watch.
//!
//! The vault serves all its services or none, so each of them, and the empty name of the whole, has the one state of
//! the process.

use std::pin::Pin;

use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::readiness::{Readiness, State};
use crate::api::proto::ErrorReason;
use crate::api::routes::SERVICES;
use crate::api::status;

/// The service `grpc.health.v1.Health`.
pub(super) struct HealthService(pub(super) Readiness);

#[tonic::async_trait]
impl Health for HealthService {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request.get_ref().service) {
            return Err(status::of_reason(ErrorReason::NotFound));
        }
        Ok(Response::new(answer(of_state(self.0.state()))))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    /// Ends once the process drains: an endless stream would hold its connection open until it is cut.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let is_known = is_known(&request.get_ref().service);
        let (answers, receiver) = mpsc::channel(1);
        tokio::spawn(tell(self.0.changes(), is_known, answers));
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }
}

async fn tell(
    mut states: watch::Receiver<State>,
    is_known: bool,
    answers: mpsc::Sender<Result<HealthCheckResponse, Status>>,
) {
    let mut told = None;
    loop {
        let state = *states.borrow_and_update();
        let status = if is_known { of_state(state) } else { ServingStatus::ServiceUnknown };
        if told.replace(status) != Some(status) && answers.send(Ok(answer(status))).await.is_err() {
            return;
        }
        if state == State::Draining {
            return;
        }
        tokio::select! {
            changed = states.changed() => if changed.is_err() { return },
            () = answers.closed() => return,
        }
    }
}

fn is_known(service: &str) -> bool {
    service.is_empty() || SERVICES.contains(&service)
}

fn of_state(state: State) -> ServingStatus {
    if state.is_serving() { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio_stream::StreamExt as _;
    use tonic::Code;

    fn about(service: &str) -> Request<HealthCheckRequest> {
        Request::new(HealthCheckRequest { service: service.into() })
    }

    #[tokio::test]
    async fn every_service_has_the_state_of_the_process() {
        let readiness = Readiness::default();
        let health = HealthService(readiness.clone());
        let states = [State::Starting, State::Ready, State::Degraded, State::NotServing, State::ReadOnly];
        for state in states.into_iter().chain([State::Draining]) {
            readiness.set(state);
            let expected = if matches!(state, State::Ready | State::Degraded | State::ReadOnly) {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            for service in SERVICES.into_iter().chain([""]) {
                let answer = health.check(about(service)).await.unwrap().into_inner();
                assert_eq!(answer.status(), expected, "{service} {state}");
            }
        }
        assert_eq!(health.check(about("lacuna.v1.Nothing")).await.unwrap_err().code(), Code::NotFound);
    }

    #[tokio::test]
    async fn who_watches_is_told_of_every_change_and_let_go_at_the_end() {
        let readiness = Readiness::default();
        let health = HealthService(readiness.clone());
        let mut watching = health.watch(about("lacuna.v1.Vault")).await.unwrap().into_inner();
        let mut unknown = health.watch(about("lacuna.v1.Nothing")).await.unwrap().into_inner();
        assert_eq!(unknown.next().await.unwrap().unwrap().status(), ServingStatus::ServiceUnknown);
        let mut next = async || {
            let next = tokio::time::timeout(Duration::from_secs(5), watching.next());
            next.await.expect("told in time").map(|answer| answer.unwrap().status())
        };
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        readiness.set(State::Ready);
        assert_eq!(next().await, Some(ServingStatus::Serving));
        readiness.set(State::Degraded);
        readiness.set(State::NotServing);
        assert_eq!(next().await, Some(ServingStatus::NotServing));
        readiness.set(State::Ready);
        assert_eq!(next().await, Some(ServingStatus::Serving));
        readiness.set(State::Draining);
        assert_eq!((next().await, next().await), (Some(ServingStatus::NotServing), None));
        assert!(unknown.next().await.is_none());
    }
}
