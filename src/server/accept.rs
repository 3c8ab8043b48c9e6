//! From a listening socket to connections whose peer is known.

use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;
use rustls::server::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::connection::{Connection, Io, Times};
use super::identity::{Identity, Peer};
use super::live::Live;
use super::tls::LiveTls;
use crate::base::limits;
use crate::policy::bindings::{Bindings, BindingsError};

/// The bindings in force, with the file they came from. What is wrong with a file is said by the loader.
pub type LiveBindings = Live<Bindings, BindingsLoadError>;

/// Why `bindings.toml` was not taken over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingsLoadError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] super::file::FileError),
    /// Its text is wrong.
    #[error("{0}")]
    Text(#[from] BindingsError),
}

/// Loads `bindings.toml` and keeps its path for reloading.
///
/// # Errors
/// The file cannot be read, or its text is wrong.
pub fn live_bindings(path: std::path::PathBuf) -> Result<LiveBindings, BindingsLoadError> {
    Live::start(move || Ok(Bindings::parse(&super::file::read_text(&path)?)?))
}

/// How a listener's connections are protected.
#[derive(Clone)]
pub enum Security {
    /// Not at all: operations on loopback in `dev`.
    Plain,
    /// TLS 1.3 with client certificates, gRPC only.
    Api(Arc<LiveTls>, Arc<LiveBindings>),
    /// TLS 1.3 with client certificates, HTTP/1.1 and HTTP/2.
    Ops(Arc<LiveTls>, Arc<LiveBindings>),
}

/// Why a connection was closed before its first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Refusal {
    /// As many connections are open as may be.
    ConnectionLimit,
    /// TLS failed: no certificate or an unacceptable one, an old version, a broken client.
    Handshake,
    /// TLS took too long.
    HandshakeTimeout,
    /// The client does not speak a protocol of this listener.
    Protocol,
    /// The certificate names no service we know how to trust.
    Identity,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabel {
    reason: Refusal,
}

/// Counts of connections. Cheap to clone; all clones count together.
#[derive(Clone, Default)]
pub struct ConnectionMetrics {
    open: Gauge,
    accepted: Counter,
    refused: Family<RefusalLabel, Counter>,
}

impl ConnectionMetrics {
    /// Puts the counts into a registry, under names that start with `lacuna_` and the listener's name.
    pub fn register(&self, registry: &mut Registry, listener: &str) {
        let registry = registry.sub_registry_with_prefix(format!("lacuna_{listener}"));
        registry.register("connections_open", "Connections open now", self.open.clone());
        registry.register("connections_accepted", "Connections whose peer was accepted", self.accepted.clone());
        registry.register("connections_refused", "Connections closed before a call", self.refused.clone());
    }

    /// Connections open now.
    pub fn open(&self) -> i64 {
        self.open.get()
    }

    /// Connections accepted so far.
    pub fn accepted(&self) -> u64 {
        self.accepted.get()
    }

    /// Connections refused for this reason so far.
    pub fn refused(&self, reason: Refusal) -> u64 {
        self.refused.get_or_create(&RefusalLabel { reason }).get()
    }

    fn refuse(&self, reason: Refusal) {
        self.refused.get_or_create(&RefusalLabel { reason }).inc();
        tracing::debug!(reason = ?reason, "connection refused");
    }
}

/// Accepts connections on one thread.
pub(super) struct Acceptor {
    pub(super) security: Security,
    /// Open connections over all threads.
    pub(super) open: Arc<Semaphore>,
    pub(super) times: Times,
    pub(super) metrics: ConnectionMetrics,
}

impl Acceptor {
    /// Accepts until the receiver of `ready` is dropped, which also closes the listener.
    pub(super) async fn run(self, listener: TcpListener, ready: mpsc::Sender<Connection>) {
        let this = Arc::new(self);
        let handshakes = Arc::new(Semaphore::new(limits::HANDSHAKES_MAX));
        loop {
            let accepted = tokio::select! {
                () = ready.closed() => return,
                accepted = this.next(&listener, &handshakes) => accepted,
            };
            let Some((stream, address, slot, handshake)) = accepted else { continue };
            let (this, ready) = (this.clone(), ready.clone());
            tokio::spawn(async move {
                match tokio::time::timeout(this.times.handshake, this.secure(stream, address)).await {
                    Ok(Ok((io, peer))) => {
                        drop(handshake);
                        this.metrics.accepted.inc();
                        // A failed send means that the server has stopped: the connection closes.
                        let open = this.metrics.open.clone();
                        let _ = ready.send(Connection::new(io, peer, this.times, open, slot)).await;
                    }
                    Ok(Err(reason)) => this.metrics.refuse(reason),
                    Err(_) => this.metrics.refuse(Refusal::HandshakeTimeout),
                }
            });
        }
    }

    /// Waits for room to make a handshake, then for a connection. None if that connection came to nothing.
    async fn next(&self, listener: &TcpListener, handshakes: &Arc<Semaphore>) -> Option<Accepted> {
        let handshake = handshakes.clone().acquire_owned().await.ok()?;
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // The peer is gone already, or the process is out of descriptors or memory: let it recover.
                tracing::warn!(kind = %error.kind(), "accepting a connection failed");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                return None;
            }
        };
        let Ok(slot) = self.open.clone().try_acquire_owned() else {
            self.metrics.refuse(Refusal::ConnectionLimit);
            return None;
        };
        Some((stream, address, slot, handshake))
    }

    async fn secure(&self, stream: TcpStream, address: SocketAddr) -> Result<(Io, Peer), Refusal> {
        stream.set_nodelay(true).map_err(|_| Refusal::Handshake)?;
        let (config, bindings) = match &self.security {
            Security::Plain => return Ok((Io::Plain(stream), Peer::new(address, None))),
            Security::Api(tls, bindings) => (tls.current().api.clone(), bindings),
            Security::Ops(tls, bindings) => (tls.current().ops.clone(), bindings),
        };
        let must_agree = config.alpn_protocols.len() == 1;
        let stream = handshake(config, stream).await?;
        let (_, session) = stream.get_ref();
        // Without an agreed protocol, bytes meant for another service could be taken for calls.
        if must_agree && session.alpn_protocol().is_none() {
            return Err(Refusal::Protocol);
        }
        let leaf = session.peer_certificates().and_then(|chain| chain.first()).ok_or(Refusal::Identity)?;
        let identity = Identity::of(leaf, bindings.current().trust_domain()).map_err(|error| {
            tracing::info!(%error, "client certificate refused");
            Refusal::Identity
        })?;
        Ok((Io::Tls(Box::new(stream)), Peer::new(address, Some(identity))))
    }
}

type Accepted = (TcpStream, SocketAddr, OwnedSemaphorePermit, OwnedSemaphorePermit);

async fn handshake(config: Arc<ServerConfig>, stream: TcpStream) -> Result<TlsStream<TcpStream>, Refusal> {
    TlsAcceptor::from(config).accept(stream).await.map_err(|error| {
        // Only whether it was TLS is told: a certificate's contents are the caller's, not the log's.
        tracing::info!(kind = %error.kind(), "tls handshake failed");
        Refusal::Handshake
    })
}
