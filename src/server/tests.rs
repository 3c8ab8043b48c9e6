//! Services over real TLS: who gets in, who does not, and how it ends.

mod abuse;
mod entry;
mod operations;
mod running;
mod vault;

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
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use super::accept::{LiveBindings, Refusal, Security, live_bindings};
use super::certs::{Authority, Issued};
use super::connection::Times;
use super::identity::Peer;
use super::ops;
use super::readiness::{Readiness, State};
use super::serve::{Ended, Hooks, Listener, Running, ServeError, serve};
use super::tls::{DevCertificates, Fault, LiveTls, Tls, TlsFiles};
use crate::api::peer::Deadline;
use crate::base::limits;
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

    fn listener_with(&self, change: impl Fn(&mut Times)) -> Listener {
        let mut listener = self.listener();
        change(&mut listener.times);
        listener
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
    Ok(HealthClient::new(channel(running, config).await?))
}

async fn channel(running: &Running, config: Arc<ClientConfig>) -> Result<Channel, tonic::transport::Error> {
    Endpoint::from_static("http://localhost").connect_with_connector(Connector(running.address(), config)).await
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

fn http(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
