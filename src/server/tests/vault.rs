//! A whole vault behind both listeners: what health and readiness say while it fails, waits and ends.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64};

use tokio_stream::StreamExt as _;
use tonic::Streaming;
use tonic_types::StatusExt as _;

use super::*;
use crate::api::proto::system_client::SystemClient;
use crate::api::proto::{CallContext, GetStatusRequest};
use crate::api::routes::SERVICES;
use crate::base::id::InstanceId;
use crate::base::secret::Secret;
use crate::gate::open::{Parts, open};
use crate::gate::room::{Marks, Room};
use crate::gate::vault::{Patience, Vault};
use crate::keys::outer::source::Source;
use crate::server::assemble::{Doors, Mode, Service, serve_vault};
use crate::server::config::Config;
use crate::store::batch::Batch;
use crate::store::keyspace::Space;
use crate::store::memory::MemoryEngine;
use crate::store::purge::Purge;
use crate::store::{Engine, Error, Record};

/// Records in memory, until the medium fails.
#[derive(Clone, Default)]
struct Mortal {
    records: MemoryEngine,
    is_broken: Arc<AtomicBool>,
    /// Commits do not come back while this is so.
    is_stuck: Arc<AtomicBool>,
}

impl Engine for Mortal {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.records.get(space, key)
    }

    fn multi_get(&self, space: Space, keys: &[&[u8]]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        self.records.multi_get(space, keys)
    }

    fn scan(&self, space: Space, prefix: &[u8], from: &[u8], limit: usize) -> Result<Vec<Record>, Error> {
        self.records.scan(space, prefix, from, limit)
    }

    fn floor(&self, space: Space, key: &[u8]) -> Result<Option<Record>, Error> {
        self.records.floor(space, key)
    }

    fn commit(&self, batch: Batch) -> Result<(), Error> {
        while self.is_stuck.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.is_broken.load(Ordering::SeqCst) { Err(Error::Failed) } else { self.records.commit(batch) }
    }

    fn purge(&self, purge: &Purge) -> Result<Purge, Error> {
        self.records.purge(purge)
    }
}

struct Whole {
    fixture: Fixture,
    engine: Mortal,
    /// Free bytes of the store's volume.
    free: Arc<AtomicU64>,
    config: Config,
}

impl Whole {
    fn new() -> Self {
        let fixture = Fixture::new();
        std::fs::create_dir(fixture.dir.path().join("slots")).unwrap();
        let text = "[listen]\naddress = \"127.0.0.1:0\"\nops_address = \"127.0.0.1:0\"\nthreads = 1\n\
                    [tls]\ncert = \"server.pem\"\nkey = \"server.key\"\nclient_ca = \"ca.pem\"\n\
                    [store]\ndir = \"data\"\n[slots]\nlist = [{ path = \"slots/a\" }, { path = \"slots/b\" }]\n\
                    [outer_key]\nfile = \"outer.key\"\n\
                    [files]\ncatalog = \"catalog.toml\"\npolicies = \"policies\"\nbindings = \"bindings.toml\"\n";
        let config = Config::parse(text, fixture.dir.path()).unwrap();
        Self { fixture, engine: Mortal::default(), free: Arc::new(AtomicU64::new(u64::MAX)), config }
    }

    fn slot(&self, name: &str) -> PathBuf {
        self.fixture.dir.path().join("slots").join(name)
    }

    fn vault(&self) -> Arc<Vault> {
        let parts = Parts {
            engine: Arc::new(self.engine.clone()),
            store_bytes: Box::new(|| 0),
            room: Room::new(Marks::default(), {
                let free = self.free.clone();
                move || Some(free.load(Ordering::SeqCst))
            }),
            slots: vec![self.slot("a"), self.slot("b")],
            accepts_e0: true,
            apart_from: Vec::new(),
            published: None,
            instance: InstanceId::from_bytes([1; 16]),
            outer: Source::Key(Secret::copied(&[2; 32])),
            rules: crate::policy::rules::Rules::shipped().unwrap(),
            clock: Arc::new(SystemClock),
            patience: Patience { drain: Duration::ZERO, epoch_delay: Duration::ZERO, finds_per_minute: 100 },
        };
        tokio::task::block_in_place(|| open(parts)).unwrap()
    }

    fn start(&self) -> Service {
        let doors = Doors::open(&self.config, Mode::Dev).unwrap();
        tokio::task::block_in_place(|| serve_vault(self.vault(), doors, &self.config, Mode::Dev)).unwrap()
    }

    async fn channel(&self, service: &Service) -> Channel {
        let connector = Connector(service.api.address(), self.fixture.client("kyc"));
        Endpoint::from_static("http://localhost").connect_with_connector(connector).await.unwrap()
    }

    async fn watch(&self, service: &Service) -> (HealthClient<Channel>, Streaming<HealthCheckResponse>) {
        let mut client = HealthClient::new(self.channel(service).await);
        let request = HealthCheckRequest { service: "lacuna.v1.Vault".into() };
        let watching = client.watch(request).await.unwrap().into_inner();
        (client, watching)
    }
}

/// The status code of `/readyz` and the state it names.
fn ready(service: &Service) -> (u16, String) {
    let answer = http(service.ops.address(), "/readyz");
    let code = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (code, answer.lines().last().unwrap().to_owned())
}

async fn next(watching: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    next_within(watching, Duration::from_secs(5)).await
}

async fn next_within(watching: &mut Streaming<HealthCheckResponse>, patience: Duration) -> Option<ServingStatus> {
    let next = tokio::time::timeout(patience, watching.next());
    next.await.expect("told in time").map(|answer| answer.unwrap().status())
}

#[tokio::test(flavor = "multi_thread")]
async fn when_storage_fails_health_and_readiness_say_so_by_themselves() {
    let whole = Whole::new();
    let service = whole.start();
    let (mut client, mut watching) = whole.watch(&service).await;
    assert_eq!(next(&mut watching).await, Some(ServingStatus::Serving));
    assert_eq!(ready(&service), (200, "ready".into()));

    whole.engine.is_broken.store(true, Ordering::SeqCst);
    let write = service.vault.committer().commit(|txn| {
        txn.put(Space::Meta, &b"any"[..], &b"thing"[..]);
        Ok(())
    });
    assert!(write.await.is_err());
    assert_eq!(next(&mut watching).await, Some(ServingStatus::NotServing));
    assert_eq!(ready(&service), (503, "not serving".into()));
    for name in SERVICES.into_iter().chain([""]) {
        let request = HealthCheckRequest { service: name.into() };
        let answer = client.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing, "{name}");
    }
    // The medium is back, but what a failed sync left behind is not known.
    whole.engine.is_broken.store(false, Ordering::SeqCst);
    tokio::time::sleep(2 * limits::STATE_INTERVAL).await;
    assert_eq!(ready(&service), (503, "not serving".into()));
    let metrics = http(service.ops.address(), "/metrics");
    assert!(metrics.contains("lacuna_state{state=\"not serving\"} 1"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_that_fills_up_shows_although_nobody_calls_and_so_does_room_on_it() {
    let whole = Whole::new();
    let service = whole.start();
    let (_client, mut watching) = whole.watch(&service).await;
    assert_eq!(next(&mut watching).await, Some(ServingStatus::Serving));
    let marks = Marks::default();
    let fill_to = |free| whole.free.store(free, Ordering::SeqCst);
    fill_to(marks.data - 1);
    soon("writes stop", || ready(&service) == (200, "read only".into()));
    fill_to(marks.reads - 1);
    assert_eq!(next(&mut watching).await, Some(ServingStatus::NotServing));
    assert_eq!(ready(&service), (503, "not serving".into()));
    let metrics = http(service.ops.address(), "/metrics");
    assert!(metrics.contains(&format!("lacuna_store_free_bytes {}", marks.reads - 1)), "{metrics}");
    fill_to(marks.data);
    assert_eq!(next(&mut watching).await, Some(ServingStatus::Serving));
    assert_eq!(ready(&service), (200, "ready".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_does_not_come_back_holds_up_nobody_beyond_their_deadline() {
    let whole = Whole::new();
    let service = whole.start();
    let (_client, mut watching) = whole.watch(&service).await;
    assert_eq!(next(&mut watching).await, Some(ServingStatus::Serving));
    let mut system = SystemClient::new(whole.channel(&service).await);
    let mut ask = async |patience: Duration| {
        let context = CallContext { purpose: "security".into(), ..Default::default() };
        let mut request = Request::new(GetStatusRequest { context: Some(context) });
        request.set_timeout(patience);
        let start = Instant::now();
        let answer = system.get_status(request).await.map(|_| ());
        // Where the client's own clock is first, there is no reason of ours.
        let reason = |status: Status| status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        (answer.map_err(reason), start.elapsed())
    };
    let (answer, _) = ask(Duration::from_secs(5)).await;
    assert_eq!(answer, Err("ACCESS_DENIED".into()), "a kyc caller's question is answered, and recorded");

    whole.engine.is_stuck.store(true, Ordering::SeqCst);
    let (answer, took) = ask(Duration::from_millis(300)).await;
    assert!(["", "DEADLINE_EXCEEDED"].contains(&&*answer.unwrap_err()));
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(next_within(&mut watching, 2 * limits::COMMIT_STALL_MAX).await, Some(ServingStatus::NotServing));
    let (answer, took) = ask(Duration::from_secs(20)).await;
    assert_eq!(answer, Err("LOG_UNAVAILABLE".into()));
    assert!(took < Duration::from_secs(3), "at once: {took:?}");

    whole.engine.is_stuck.store(false, Ordering::SeqCst);
    assert_eq!(next(&mut watching).await, Some(ServingStatus::Serving));
    let (answer, _) = ask(Duration::from_secs(5)).await;
    assert_eq!(answer, Err("ACCESS_DENIED".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_slot_shows_as_degraded_until_it_is_back() {
    let whole = Whole::new();
    whole.vault().stop();
    std::fs::rename(whole.slot("b"), whole.slot("away")).unwrap();
    let service = whole.start();
    let (_client, mut watching) = whole.watch(&service).await;
    assert_eq!(next(&mut watching).await, Some(ServingStatus::Serving));
    assert_eq!(ready(&service), (200, "degraded".into()));
    let metrics = http(service.ops.address(), "/metrics");
    assert!(metrics.contains("lacuna_slots_waiting 1"), "{metrics}");

    std::fs::rename(whole.slot("away"), whole.slot("b")).unwrap();
    soon("the slot is claimed", || ready(&service) == (200, "ready".into()));
    std::fs::rename(whole.slot("a"), whole.slot("away")).unwrap();
    soon("the loss is noticed", || ready(&service) == (200, "degraded".into()));
    std::fs::rename(whole.slot("away"), whole.slot("a")).unwrap();
    soon("the slot is claimed again", || ready(&service) == (200, "ready".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_tells_those_who_watch_and_does_not_wait_for_them() {
    let whole = Whole::new();
    let service = whole.start();
    let (_client, mut watching) = whole.watch(&service).await;
    assert_eq!(next(&mut watching).await, Some(ServingStatus::Serving));
    let start = Instant::now();
    let stopping = tokio::task::spawn_blocking(move || service.stop());
    assert_eq!(next(&mut watching).await, Some(ServingStatus::NotServing));
    assert_eq!(next(&mut watching).await, None);
    stopping.await.unwrap();
    assert!(start.elapsed() < limits::SHUTDOWN_TIME_MAX / 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_is_closed_when_the_service_has_ended_whoever_else_held_it() {
    let whole = Whole::new();
    let service = whole.start();
    let held = service.vault.clone();
    let reading = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(held);
    });
    assert!(tokio::task::block_in_place(|| service.end()));
    assert_eq!(Arc::strong_count(&whole.engine.is_broken), 1, "nothing else has the engine");
    reading.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_becomes_a_call_has_a_reason_and_is_counted() {
    let whole = Whole::new();
    let service = whole.start();
    let channel = whole.channel(&service).await;
    let mut grpc = tonic::client::Grpc::new(channel).max_encoding_message_size(usize::MAX);
    let mut refusal = async |path: &'static str, item_id: String| {
        grpc.ready().await.unwrap();
        let message = crate::api::proto::GetItemRequest { item_id, ..Default::default() };
        let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
        let codec = crate::api::codec::Codec::<_, crate::api::proto::GetItemResponse>::default();
        let status = grpc.unary(Request::new(message), path, codec).await.map(|_| ()).unwrap_err();
        (status.code(), status.get_details_error_info().unwrap().reason)
    };
    let large = "x".repeat(limits::MESSAGE_BYTES_MAX);
    for (path, item_id, code, reason) in [
        ("/lacuna.v1.Vault/Steal", String::new(), Code::Unimplemented, "NOT_IMPLEMENTED"),
        ("/lacuna.v1.Nothing/GetItem", String::new(), Code::Unimplemented, "NOT_IMPLEMENTED"),
        ("/lacuna.v1.Vault/GetItem", large, Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        // A GetItemRequest is no UploadDocumentRequest: its field 3 is text there, a message here.
        ("/lacuna.v1.Vault/UploadDocument", "x".into(), Code::InvalidArgument, "MESSAGE_MALFORMED"),
        ("/lacuna.v1.Vault/GetItem", "x".into(), Code::InvalidArgument, "FIELD_REQUIRED"),
    ] {
        assert_eq!(refusal(path, item_id).await, (code, reason.to_owned()), "{path}");
    }
    let metrics = http(service.ops.address(), "/metrics");
    for line in [
        "lacuna_api_calls_total{service=\"other\",method=\"other\",code=\"UNIMPLEMENTED\"} 2",
        "lacuna_api_calls_total{service=\"Vault\",method=\"GetItem\",code=\"RESOURCE_EXHAUSTED\"} 1",
        "lacuna_api_calls_total{service=\"Vault\",method=\"GetItem\",code=\"INVALID_ARGUMENT\"} 1",
        "lacuna_api_connections_open 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("Steal") && !metrics.contains("spiffe") && !metrics.contains("127.0.0.1"), "{metrics}");
}
