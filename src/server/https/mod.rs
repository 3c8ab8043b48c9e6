//! Asking a web server: one request, bounded in size and time, over TLS 1.3 or on this machine; no redirects.

pub mod url;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tonic::codegen::http::{Method, Request, StatusCode, header};

use self::url::Url;
use super::file::{FileError, read_secret, read_text};

/// Why there is no answer. Says nothing that the other side sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HttpsError {
    /// No connection.
    #[error("the address does not answer")]
    Connect,
    /// A file that is needed for TLS does not do.
    #[error("{0} {1}")]
    File(&'static str, FileError),
    /// A file holds no certificate, or no key.
    #[error("{0} holds none in PEM, or one that is of no use")]
    Empty(&'static str),
    /// The other side is not who it should be, or speaks no TLS 1.3.
    #[error("no TLS 1.3 connection: check ca_file, and that the certificate names the host and has not expired")]
    Tls,
    /// What came is not a proper answer.
    #[error("the answer is no HTTP, broke off, or is too large")]
    Http,
    /// Another answer than the one that was asked for.
    #[error("the answer is HTTP status {}; redirects are not followed", .0.as_u16())]
    Status(StatusCode),
    /// It took too long.
    #[error("no complete answer in time")]
    Time,
}

/// By what a server is known, and what shows who asks. The files are read anew for each request: an exchanged file counts
/// from then on.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// The authorities of the server's certificate, in PEM; none for http on this machine.
    pub authorities: Option<PathBuf>,
    /// A client certificate with its chain, and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// How much of an answer is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// From the beginning of the request to the end of the answer.
    pub time: Duration,
    /// Of the answer's content.
    pub bytes: usize,
}

/// Asks, and returns the status and what came with it: for a status other than 200, nothing.
///
/// # Errors
/// [`HttpsError`], but not for a status.
pub async fn ask(
    (method, url): (Method, &Url),
    credentials: &Credentials,
    content: Vec<u8>,
    bounds: Bounds,
) -> Result<(StatusCode, Vec<u8>), HttpsError> {
    let request = Request::builder()
        .method(method)
        .uri(url.path())
        .header(header::HOST, url.authority())
        .header(header::CONNECTION, "close")
        .body(Body::from(content))
        .map_err(|_| HttpsError::Http)?;
    let answered = async {
        let tls = if url.is_tls() { Some(credentials.connector()?) } else { None };
        let stream = TcpStream::connect((url.host(), url.port())).await.map_err(|_| HttpsError::Connect)?;
        match tls {
            None => exchange(request, stream, bounds.bytes).await,
            Some(tls) => {
                let name = ServerName::try_from(url.host().to_owned()).map_err(|_| HttpsError::Tls)?;
                let stream = tls.connect(name, stream).await.map_err(|_| HttpsError::Tls)?;
                exchange(request, stream, bounds.bytes).await
            }
        }
    };
    tokio::time::timeout(bounds.time, answered).await.unwrap_or(Err(HttpsError::Time))
}

async fn exchange(
    request: Request<Body>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    bytes_max: usize,
) -> Result<(StatusCode, Vec<u8>), HttpsError> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| HttpsError::Http)?;
    // Ends with this future, however that ends.
    let mut beside = JoinSet::new();
    beside.spawn(connection);
    let answer = sender.send_request(request).await.map_err(|_| HttpsError::Http)?;
    let status = answer.status();
    if status != StatusCode::OK {
        return Ok((status, Vec::new()));
    }
    let content = to_bytes(Body::new(answer.into_body()), bytes_max).await.map_err(|_| HttpsError::Http)?;
    Ok((status, content.to_vec()))
}

impl Credentials {
    /// What is wrong with the files.
    ///
    /// # Errors
    /// [`HttpsError::File`] and [`HttpsError::Empty`].
    pub fn check(&self) -> Result<(), HttpsError> {
        if self.authorities.is_some() { self.connector().map(|_| ()) } else { Ok(()) }
    }

    fn connector(&self) -> Result<TlsConnector, HttpsError> {
        let authorities = self.authorities.as_deref().ok_or(HttpsError::Empty(CA))?;
        let mut roots = RootCertStore::empty();
        for certificate in certificates(CA, authorities)? {
            roots.add(certificate).map_err(|_| HttpsError::Empty(CA))?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|_| HttpsError::Tls)?
            .with_root_certificates(roots);
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = certificates(CERT, chain)?;
                let key = read_secret(key).map_err(|error| HttpsError::File(KEY, error))?;
                // Exposed to be parsed; the TLS library keeps it for the connection.
                let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| HttpsError::Empty(KEY))?;
                builder.with_client_auth_cert(chain, key).map_err(|_| HttpsError::Empty(KEY))?
            }
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

const CA: &str = "ca_file";
const CERT: &str = "the client certificate";
const KEY: &str = "the client key";

/// At least one.
fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, HttpsError> {
    let text = read_text(path).map_err(|error| HttpsError::File(what, error))?;
    let found = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
    found.ok().filter(|found| !found.is_empty()).ok_or(HttpsError::Empty(what))
}
