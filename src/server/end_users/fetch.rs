//! Fetching a key set: one request, bounded in size and time, over TLS 1.3 or on this machine; no redirects.

use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::codegen::http::{Request, StatusCode, header};

use super::url::Url;
use crate::base::limits::{END_USER_FETCH_TIME_MAX, END_USER_KEY_SET_BYTES_MAX};
use crate::server::file::{FileError, read_text};

/// Why there is no key set. Says nothing that the other side sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// No connection.
    #[error("the address does not answer")]
    Connect,
    /// The authorities cannot be read.
    #[error("ca_file {0}")]
    Authority(#[from] FileError),
    /// The file with the authorities has none.
    #[error("ca_file holds no certificate")]
    NoAuthority,
    /// The other side is not who it should be, or speaks no TLS 1.3.
    #[error("no TLS 1.3 connection: check ca_file, and that the certificate names the host")]
    Tls,
    /// What came is not a proper answer.
    #[error("the answer is no HTTP, broke off, or is larger than 256 KiB")]
    Http,
    /// Another answer than a key set.
    #[error("the answer is HTTP status {0}; redirects are not followed")]
    Status(StatusCode),
    /// It took too long.
    #[error("no complete answer in time")]
    Time,
}

/// Fetches what an address has.
///
/// # Errors
/// [`FetchError`].
pub async fn fetch(url: &Url, authorities: Option<&Path>) -> Result<Vec<u8>, FetchError> {
    tokio::time::timeout(END_USER_FETCH_TIME_MAX, attempt(url, authorities)).await.unwrap_or(Err(FetchError::Time))
}

async fn attempt(url: &Url, authorities: Option<&Path>) -> Result<Vec<u8>, FetchError> {
    let tls = match authorities {
        None => None,
        Some(path) => Some(connector(path)?),
    };
    let stream = TcpStream::connect((url.host(), url.port())).await.map_err(|_| FetchError::Connect)?;
    match tls {
        None => request(url, stream).await,
        Some(tls) => {
            let name = ServerName::try_from(url.host().to_owned()).map_err(|_| FetchError::Tls)?;
            request(url, tls.connect(name, stream).await.map_err(|_| FetchError::Tls)?).await
        }
    }
}

async fn request(
    url: &Url,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Vec<u8>, FetchError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| FetchError::Http)?;
    let connection = tokio::spawn(connection);
    let request = Request::get(url.path())
        .header(header::HOST, url.authority())
        .header(header::ACCEPT, "application/json")
        .header(header::CONNECTION, "close")
        .body(Body::empty());
    let answered = async {
        let answer = sender.send_request(request.map_err(|_| FetchError::Http)?).await.map_err(|_| FetchError::Http)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let body = to_bytes(Body::new(answer.into_body()), END_USER_KEY_SET_BYTES_MAX).await;
        Ok(body.map_err(|_| FetchError::Http)?.to_vec())
    };
    let answered = answered.await;
    connection.abort();
    answered
}

/// Read anew for each fetch: an exchanged file counts from then on.
fn connector(path: &Path) -> Result<TlsConnector, FetchError> {
    let text = read_text(path)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        roots.add(certificate.map_err(|_| FetchError::NoAuthority)?).map_err(|_| FetchError::NoAuthority)?;
    }
    if roots.is_empty() {
        return Err(FetchError::NoAuthority);
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|_| FetchError::Tls)?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}
