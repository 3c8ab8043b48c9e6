//! A trivial service over real TLS: who gets in, who does not, and how it ends.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::accept::{LiveBindings, Refusal, Security, live_bindings};
use super::certs::{Authority, Issued};
use super::deadline::Deadline;
use super::identity::Peer;
use super::ops::{self, Readiness, State};
use super::serve::{Ended, Hooks, Listener, Running, ServeError, serve};
use super::tls::{DevCertificates, Fault, LiveTls, Tls, TlsFiles};
use crate::base::time::{Clock, SystemClock, Timestamp};

const DAY: i64 = 86_400_000;
const BINDINGS: &str = "trust_domain = \"dev.lacuna.invalid\"\n[[binding]]\n\
                        identity = \"spiffe://dev.lacuna.invalid/kyc\"\nroles = [\"kyc\"]\n";

fn now() -> Timestamp {
    SystemClock.now()
}

fn days(count: i64) -> Timestamp {
    Timestamp::from_millis(now().as_millis() + count * DAY)
}

/// Answers at once, or after as many milliseconds as the service's name says.
#[derive(Clone, Default)]
struct Sample {
    callers: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl Health for Sample {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let peer: &Peer = request.extensions().get().unwrap();
        assert!(request.extensions().get::<Deadline>().is_some());
        self.callers.lock().push(peer.name().unwrap().to_string());
        if let Ok(millis) = request.get_ref().service.parse() {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        Ok(Response::new(HealthCheckResponse { status: 1 }))
    }

    type WatchStream = tokio_stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Ok(Response::new(tokio_stream::empty()))
    }
}

struct Fixture {
    dir: tempfile::TempDir,
    authority: Authority,
    tls: Arc<LiveTls>,
    bindings: Arc<LiveBindings>,
    sample: Sample,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::make(now()).unwrap();
        let files = write_server_files(dir.path(), &authority);
        let tls = Tls::live(files, DevCertificates::Accepted, Arc::new(SystemClock)).unwrap();
        let path = dir.path().join("bindings.toml");
        std::fs::write(&path, BINDINGS).unwrap();
        let bindings = Arc::new(live_bindings(path).unwrap());
        Self { dir, authority, tls: Arc::new(tls), bindings, sample: Sample::default() }
    }

    fn listener(&self) -> Listener {
        let security = Security::Api(self.tls.clone(), self.bindings.clone());
        Listener::api(([127, 0, 0, 1], 0).into(), 1, security)
    }

    fn start(&self, listener: &Listener) -> Running {
        let sample = self.sample.clone();
        serve(listener, move || Routes::new(HealthServer::new(sample.clone())), &Hooks::default()).unwrap()
    }

    fn client(&self, name: &str) -> Arc<ClientConfig> {
        self.client_with(&Authority::client_params(name, now()).unwrap())
    }

    fn client_with(&self, params: &CertificateParams) -> Arc<ClientConfig> {
        client_config(&self.authority, Some(&self.authority.issue(params).unwrap()))
    }

    fn calls(&self) -> usize {
        self.sample.callers.lock().len()
    }
}

fn write_server_files(dir: &Path, authority: &Authority) -> TlsFiles {
    use std::os::unix::fs::PermissionsExt;
    let issued = authority.issue(&Authority::server_params(now()).unwrap()).unwrap();
    let [cert, key, client_ca] = ["server.pem", "server.key", "ca.pem"].map(|name| dir.join(name));
    for (path, text) in
        [(&cert, &issued.certificate_pem), (&key, &issued.key_pem), (&client_ca, &authority.pem().into())]
    {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    TlsFiles { cert, key, client_ca }
}

fn client_config(server: &Authority, client: Option<&Issued>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server.pem().as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(issued) => {
            let chain = vec![CertificateDer::from(issued.certificate.clone())];
            let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

#[derive(Clone)]
struct Connector(SocketAddr, Arc<ClientConfig>);

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TlsStream<tokio::net::TcpStream>>;
    type Error = std::io::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self(address, config) = self.clone();
        Box::pin(async move { Ok(TokioIo::new(connect_tls(address, config).await?)) })
    }
}

async fn connect_tls(
    address: SocketAddr,
    config: Arc<ClientConfig>,
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let stream = tokio::net::TcpStream::connect(address).await?;
    TlsConnector::from(config).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

async fn connect(
    running: &Running,
    config: Arc<ClientConfig>,
) -> Result<HealthClient<Channel>, tonic::transport::Error> {
    let endpoint = Endpoint::from_static("http://localhost");
    Ok(HealthClient::new(endpoint.connect_with_connector(Connector(running.address(), config)).await?))
}

async fn check(client: &mut HealthClient<Channel>, service: &str) -> Result<(), Status> {
    client.check(HealthCheckRequest { service: service.into() }).await.map(|_| ())
}

async fn one_call(running: &Running, config: Arc<ClientConfig>) -> Result<(), String> {
    let mut client = connect(running, config).await.map_err(|e| e.to_string())?;
    check(&mut client, "").await.map_err(|e| e.to_string())
}

/// Waits until the condition holds, for things the server does after the client has seen the end.
fn soon(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn a_named_service_is_let_in_and_its_calls_carry_its_name() {
    let fixture = Fixture::new();
    let running = fixture.start(&Listener { threads: 2, ..fixture.listener() });
    for name in ["kyc", "unbound"] {
        one_call(&running, fixture.client(name)).await.unwrap();
    }
    let mut dns = Authority::client_params("dns", now()).unwrap();
    dns.subject_alt_names = vec![SanType::DnsName("batch.example.org".try_into().unwrap())];
    one_call(&running, fixture.client_with(&dns)).await.unwrap();
    let expected = ["spiffe://dev.lacuna.invalid/kyc", "spiffe://dev.lacuna.invalid/unbound", "dns:batch.example.org"];
    assert_eq!(*fixture.sample.callers.lock(), expected);
}

#[tokio::test]
async fn nobody_else_reaches_a_service() {
    let fixture = Fixture::new();
    let listener = fixture.listener();
    let running = fixture.start(&listener);
    let client = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = Authority::client_params("kyc", now()).unwrap();
        change(&mut params);
        fixture.client_with(&params)
    };
    let at = |time| Authority::client_params("kyc", time).unwrap();
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let stranger = Authority::make(now()).unwrap();
    let strangers = stranger.issue(&at(now())).unwrap();
    let good = uri("spiffe://dev.lacuna.invalid/kyc");
    let server_only = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let two = vec![good.clone(), uri("spiffe://dev.lacuna.invalid/legal")];
    let tls = [
        ("no certificate", client_config(&fixture.authority, None)),
        ("expired", fixture.client_with(&at(days(-40)))),
        ("not yet valid", fixture.client_with(&at(days(2)))),
        ("wrong usage", client(&|params| params.extended_key_usages = server_only.clone())),
        ("wrong authority", client_config(&fixture.authority, Some(&strangers))),
        ("an authority", client(&|params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained))),
    ];
    let names = [
        ("wrong trust domain", client(&|params| params.subject_alt_names = vec![uri("spiffe://example.org/kyc")])),
        ("no name", client(&|params| params.subject_alt_names = vec![])),
        ("two URIs", client(&|params| params.subject_alt_names = two.clone())),
        ("no SPIFFE URI", client(&|params| params.subject_alt_names = vec![uri("https://dev.lacuna.invalid/kyc")])),
    ];
    for (reason, cases) in [(Refusal::Handshake, &tls[..]), (Refusal::Identity, &names[..])] {
        for (i, (what, config)) in cases.iter().enumerate() {
            assert!(one_call(&running, config.clone()).await.is_err(), "{what}");
            soon(what, || listener.metrics.refused(reason) > i as u64);
        }
    }
    let total = |reason| listener.metrics.refused(reason);
    assert!(total(Refusal::Handshake) >= tls.len() as u64 && total(Refusal::Identity) >= names.len() as u64);
    assert_eq!(fixture.calls(), 0);
    one_call(&running, client(&|params| params.subject_alt_names = vec![good.clone()])).await.unwrap();
}

/// A TLS 1.2 ClientHello (RFC 5246, section 7.4.1.2): no supported_versions extension, sound in all else.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let extensions: &[u8] = &[
        0, 10, 0, 6, 0, 4, 0, 29, 0, 23, // supported groups: x25519, secp256r1
        0, 11, 0, 2, 1, 0, // point formats: uncompressed
        0, 13, 0, 6, 0, 4, 4, 3, 8, 4, // signatures: ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256
        0, 23, 0, 0, // extended master secret
    ];
    let mut body = vec![3, 3];
    body.extend([7; 32]); // random
    body.push(0); // session id
    body.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x2f]); // ECDHE with AES-128-GCM
    body.extend([1, 0]); // no compression
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut hello = vec![0x16, 3, 1];
    hello.extend((body.len() as u16 + 4).to_be_bytes());
    hello.extend([1, 0]);
    hello.extend((body.len() as u16).to_be_bytes());
    hello.extend(body);
    hello
}

#[test]
fn tls_1_2_is_answered_with_an_alert() {
    let fixture = Fixture::new();
    let running = fixture.start(&fixture.listener());
    let mut stream = TcpStream::connect(running.address()).unwrap();
    stream.write_all(&client_hello_of_tls_1_2()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    // Alert record, fatal, protocol_version (RFC 8446, section 6.2).
    assert_eq!((answer[0], &answer[5..]), (0x15, &[2, 70][..]), "{answer:?}");
}

#[tokio::test]
async fn other_protocols_are_refused() {
    let fixture = Fixture::new();
    let listener = fixture.listener();
    let running = fixture.start(&listener);
    let offering = |protocols: &[&[u8]]| {
        let mut config = (*fixture.client("kyc")).clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    };
    assert!(connect_tls(running.address(), offering(&[b"http/1.1"])).await.is_err());
    let mut silent = connect_tls(running.address(), offering(&[])).await.unwrap();
    let _ = silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = silent.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    soon("counted", || listener.metrics.refused(Refusal::Protocol) == 1);
}

#[tokio::test]
async fn no_session_is_resumed() {
    let fixture = Fixture::new();
    let running = fixture.start(&fixture.listener());
    let config = fixture.client("kyc");
    for _ in 0..2 {
        let mut stream = connect_tls(running.address(), config.clone()).await.unwrap();
        let _ = stream.read_u8().await; // the server's settings come after any ticket
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}

#[tokio::test]
async fn a_reload_changes_new_connections_and_keeps_open_ones() {
    let fixture = Fixture::new();
    let listener = fixture.listener();
    let running = fixture.start(&listener);
    let mut open = connect(&running, fixture.client("kyc")).await.unwrap();
    check(&mut open, "").await.unwrap();

    std::fs::write(fixture.dir.path().join("server.pem"), "junk").unwrap();
    assert_eq!(fixture.tls.reload().unwrap_err().fault, Fault::NoCertificate);
    one_call(&running, fixture.client("kyc")).await.unwrap();

    let next = Authority::make(now()).unwrap();
    write_server_files(fixture.dir.path(), &next);
    fixture.tls.reload().unwrap();
    check(&mut open, "").await.unwrap();
    let issued = |authority: &Authority| authority.issue(&Authority::client_params("kyc", now()).unwrap()).unwrap();
    assert!(one_call(&running, fixture.client("kyc")).await.is_err(), "old server certificate");
    assert!(
        one_call(&running, client_config(&next, Some(&issued(&fixture.authority)))).await.is_err(),
        "old authority"
    );
    one_call(&running, client_config(&next, Some(&issued(&next)))).await.unwrap();
    check(&mut open, "").await.unwrap();
}

#[tokio::test]
async fn bindings_are_reloaded_or_kept() {
    let fixture = Fixture::new();
    let path = fixture.dir.path().join("bindings.toml");
    std::fs::write(&path, BINDINGS.replace("kyc", "root")).unwrap();
    assert!(fixture.bindings.reload().is_err());
    assert_eq!(fixture.bindings.current().len(), 1);
    std::fs::write(&path, BINDINGS.replace("dev.lacuna.invalid", "example.org")).unwrap();
    fixture.bindings.reload().unwrap();
    let running = fixture.start(&fixture.listener());
    assert!(one_call(&running, fixture.client("kyc")).await.is_err(), "the trust domain has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_calls_and_takes_no_new_ones() {
    let fixture = Fixture::new();
    let listener = Listener { threads: 2, ..fixture.listener() };
    let running = fixture.start(&listener);
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    let slow = tokio::spawn(async move { check(&mut client, "400").await });
    soon("the call has begun", || fixture.calls() == 1);
    running.drain();
    soon("the port is closed", || TcpStream::connect(running.address()).is_err());
    assert!(!slow.is_finished());
    slow.await.unwrap().unwrap();
    assert_eq!(running.stop(), Ended { threads_cut: 0, threads_lost: 0 });
    assert_eq!(listener.metrics.open(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_cuts_calls_that_take_too_long() {
    let fixture = Fixture::new();
    let listener = Listener { shutdown_time_max: Duration::from_millis(100), ..fixture.listener() };
    let running = fixture.start(&listener);
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    let slow = tokio::spawn(async move { check(&mut client, "30000").await });
    soon("the call has begun", || fixture.calls() == 1);
    let start = Instant::now();
    assert_eq!(running.stop(), Ended { threads_cut: 1, threads_lost: 0 });
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(slow.await.unwrap().is_err());
    assert_eq!(listener.metrics.open(), 0);
}

#[tokio::test]
async fn a_call_past_its_time_is_told_so() {
    let fixture = Fixture::new();
    let listener = Listener { call_time_max: Some(Duration::from_millis(50)), ..fixture.listener() };
    let running = fixture.start(&listener);
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    check(&mut client, "").await.unwrap();
    assert_eq!(check(&mut client, "5000").await.unwrap_err().code(), Code::DeadlineExceeded);
    check(&mut client, "").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_and_counted() {
    let fixture = Fixture::new();
    let listener = Listener { connections_max: 1, ..fixture.listener() };
    let running = fixture.start(&listener);
    let first = connect(&running, fixture.client("kyc")).await.unwrap();
    assert!(one_call(&running, fixture.client("kyc")).await.is_err());
    assert!(listener.metrics.refused(Refusal::ConnectionLimit) >= 1);
    drop(first);
    soon("the place is free again", || listener.metrics.open() == 0);
    one_call(&running, fixture.client("kyc")).await.unwrap();
}

#[test]
fn a_client_that_says_nothing_is_dropped() {
    let fixture = Fixture::new();
    let listener = Listener { handshake_time_max: Duration::from_millis(50), ..fixture.listener() };
    let running = fixture.start(&listener);
    let mut stream = TcpStream::connect(running.address()).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    soon("counted", || listener.metrics.refused(Refusal::HandshakeTimeout) == 1);
}

#[tokio::test]
async fn the_hook_is_called_when_a_thread_is_about_to_sleep() {
    let fixture = Fixture::new();
    let parks = Arc::new(AtomicUsize::new(0));
    let counter = parks.clone();
    let on_park = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let hooks = Hooks { on_park: Arc::new(on_park) };
    let sample = fixture.sample.clone();
    let routes = move || Routes::new(HealthServer::new(sample.clone()));
    let running = serve(&fixture.listener(), routes, &hooks).unwrap();
    soon("the thread is asleep", || parks.load(Ordering::SeqCst) > 0);
    let before = parks.load(Ordering::SeqCst);
    one_call(&running, fixture.client("kyc")).await.unwrap();
    assert!(parks.load(Ordering::SeqCst) > before);
}

fn http(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn operations_answer_over_plain_http_on_loopback_only() {
    let mut registry = Registry::default();
    let listener = Listener::ops(([127, 0, 0, 1], 0).into(), Security::Plain);
    listener.metrics.register(&mut registry, listener.name);
    let (readiness, registry) = (Readiness::default(), Arc::new(registry));
    let state = readiness.clone();
    let routes = move || Routes::from(ops::routes(state.clone(), registry.clone()));
    let running = serve(&listener, routes.clone(), &Hooks::default()).unwrap();
    let status = |path| http(running.address(), path).lines().next().unwrap().to_owned();
    assert_eq!(status("/livez"), "HTTP/1.1 200 OK");
    assert_eq!(status("/readyz"), "HTTP/1.1 503 Service Unavailable");
    readiness.set(State::Ready);
    assert_eq!(status("/readyz"), "HTTP/1.1 200 OK");
    assert_eq!(status("/other"), "HTTP/1.1 404 Not Found");
    let metrics = http(running.address(), "/metrics");
    assert!(metrics.contains("lacuna_ops_connections_open 1"), "{metrics}");
    let public = Listener::ops(([0, 0, 0, 0], 0).into(), Security::Plain);
    assert!(matches!(serve(&public, routes, &Hooks::default()), Err(ServeError::PlainOffLoopback { .. })));
}

#[tokio::test]
async fn operations_in_serve_ask_for_a_certificate() {
    let fixture = Fixture::new();
    let security = Security::Ops(fixture.tls.clone(), fixture.bindings.clone());
    let listener = Listener::ops(([127, 0, 0, 1], 0).into(), security);
    let routes = || Routes::from(ops::routes(Readiness::default(), Arc::new(Registry::default())));
    let running = serve(&listener, routes, &Hooks::default()).unwrap();
    let get = async |config: Arc<ClientConfig>| {
        let mut config = (*config).clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut stream = connect_tls(running.address(), Arc::new(config)).await?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map(|_| String::from_utf8(answer).unwrap())
    };
    assert!(get(fixture.client("operator")).await.unwrap().starts_with("HTTP/1.1 200 OK"));
    assert!(get(client_config(&fixture.authority, None)).await.is_err());
}

#[test]
fn server_files_are_checked_when_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let files = write_server_files(dir.path(), &Authority::make(now()).unwrap());
    let load = |dev, time: Timestamp| {
        let clock: Arc<dyn Clock> = Arc::new(crate::base::time::ManualClock::new(time));
        Tls::load(&files, dev, &clock).map(|_| ()).map_err(|error| error.fault)
    };
    assert_eq!(load(DevCertificates::Accepted, now()), Ok(()));
    assert_eq!(load(DevCertificates::Refused, now()), Err(Fault::DevCertificate));
    assert_eq!(load(DevCertificates::Accepted, days(31)), Err(Fault::Expired));
    assert_eq!(load(DevCertificates::Accepted, days(-2)), Err(Fault::NotYetValid));
}
