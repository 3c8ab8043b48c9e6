//! From a listening socket to connections whose peer is known.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::Registry;
use rustls::server::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
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
    /// TLS was still going on when too many others wanted it too.
    HandshakeLimit,
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
        let mut handshakes = VecDeque::new();
        loop {
            let accepted = tokio::select! {
                () = ready.closed() => return,
                accepted = this.next(&listener) => accepted,
            };
            let Some((stream, address)) = accepted else { continue };
            this.make_room(&mut handshakes);
            handshakes.push_back(tokio::spawn(this.clone().admit(stream, address, ready.clone())).abort_handle());
        }
    }

    /// Waits for a connection. None if it came to nothing.
    async fn next(&self, listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
        let accepted = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // The peer is gone already, or the process is out of descriptors or memory: let it recover.
                tracing::warn!(kind = %error.kind(), "accepting a connection failed");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                return None;
            }
        };
        if self.open.available_permits() == 0 {
            self.metrics.refuse(Refusal::ConnectionLimit);
            return None;
        }
        Some(accepted)
    }

    /// Ends the oldest handshake if there are too many: who begins handshakes and does not go on crowds out only
    /// itself, and a client that answers at once gets in.
    fn make_room(&self, handshakes: &mut VecDeque<AbortHandle>) {
        if handshakes.len() < limits::HANDSHAKES_MAX {
            return;
        }
        handshakes.retain(|handshake| !handshake.is_finished());
        if handshakes.len() >= limits::HANDSHAKES_MAX
            && let Some(oldest) = handshakes.pop_front()
        {
            oldest.abort();
            self.metrics.refuse(Refusal::HandshakeLimit);
        }
    }

    /// Hands a connection on once its peer is known. It takes a place among the open ones only then, so that nobody
    /// without a certificate takes one.
    async fn admit(self: Arc<Self>, stream: TcpStream, address: SocketAddr, ready: mpsc::Sender<Connection>) {
        let secured = tokio::time::timeout(self.times.handshake, self.secure(stream, address)).await;
        let admitted = secured.unwrap_or(Err(Refusal::HandshakeTimeout)).and_then(|secured| {
            let place = self.open.clone().try_acquire_owned().map_err(|_| Refusal::ConnectionLimit)?;
            Ok((secured, place))
        });
        match admitted {
            Ok(((io, peer), place)) => {
                self.metrics.accepted.inc();
                let open = self.metrics.open.clone();
                // A failed send means that the server has stopped: the connection closes.
                let _ = ready.send(Connection::new(io, peer, self.times, open, place)).await;
            }
            Err(reason) => self.metrics.refuse(reason),
        }
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

async fn handshake(config: Arc<ServerConfig>, stream: TcpStream) -> Result<TlsStream<TcpStream>, Refusal> {
    TlsAcceptor::from(config).accept(stream).await.map_err(|error| {
        // Only whether it was TLS is told: a certificate's contents are the caller's, not the log's. And that only
        // to who asks for it: anybody can make this happen, as often as they like.
        tracing::debug!(kind = %error.kind(), "tls handshake failed");
        Refusal::Handshake
    })
}
