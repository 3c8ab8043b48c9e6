//! One connection while it is served: its bytes, its peer, its place among the open ones, and its end.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use super::identity::Peer;

/// How long a connection may take, and last.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// For the TLS handshake, and then for the first bytes of HTTP.
    pub handshake: Duration,
    /// Until it is asked to end.
    pub age: Duration,
    /// From then on, until it is closed whatever happens on it.
    pub grace: Duration,
}

/// An accepted connection, with its peer and its place among the open ones. It fails when its time is over.
pub(super) struct Connection {
    io: Io,
    peer: Peer,
    end: Pin<Box<Sleep>>,
    /// When it ends at the latest, while its first bytes are awaited.
    last: Option<Instant>,
    read: usize,
    open: Gauge,
    _slot: OwnedSemaphorePermit,
}

impl Connection {
    pub(super) fn new(io: Io, peer: Peer, times: Times, open: Gauge, slot: OwnedSemaphorePermit) -> Self {
        open.inc();
        let now = Instant::now();
        let end = Box::pin(sleep_until(now + times.handshake));
        Self { io, peer, end, last: Some(now + times.age + times.grace), read: 0, open, _slot: slot }
    }

    /// Ends the wait for the first bytes once they are there.
    fn has_read(&mut self, bytes: usize) {
        self.read += bytes;
        if self.read >= PREFACE_BYTES
            && let Some(last) = self.last.take()
        {
            self.end.as_mut().reset(last);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.open.dec();
    }
}

/// What bytes travel over.
pub(super) enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Whoever serves the connection reads all the time it is open, so this is where its end is noticed.
        if self.end.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        ready!(match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        })?;
        if self.last.is_some() {
            self.has_read(buf.filled().len() - before);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(stream) => stream.is_write_vectored(),
            // It would be, but each answer would then be a TLS record and a system call of its own; so, the answers of
            // up to 1 KiB that are ready together share both.
            Io::Tls(_) => false,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// What every client sends before its first call: the preface of HTTP/2 (RFC 9113, section 3.4). No request of
/// HTTP/1.1 with its host is shorter.
const PREFACE_BYTES: usize = 24;
