//! TLS 1.3 with client certificates, loaded from files and exchanged as a whole.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certs::is_dev_certificate;
use super::file::{FileError, read_secret, read_text};
use super::live::Live;
use crate::base::time::{Clock, Timestamp};

/// Where the server's certificate, its key and the callers' authority are.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The server's certificate, then the intermediate ones, in PEM.
    pub cert: PathBuf,
    /// The certificate's private key, in PEM, readable by its owner only.
    pub key: PathBuf,
    /// The authorities that issue callers' certificates, in PEM.
    pub client_ca: PathBuf,
}

/// Whether throw-away certificates will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevCertificates {
    /// In `lacuna dev`, demos and tests.
    Accepted,
    /// In `lacuna serve`.
    Refused,
}

/// The TLS settings of both listeners, from one reading of the files.
///
/// INVARIANT: TLS 1.3 only; a client certificate from the configured authority is required; no session is ever
/// resumed, since a resumed one would not be checked against the present authority and time.
pub struct Tls {
    /// For gRPC: HTTP/2 only.
    pub api: Arc<ServerConfig>,
    /// For operations: HTTP/2 or HTTP/1.1.
    pub ops: Arc<ServerConfig>,
}

/// TLS settings that can be read again: certificate, key and authority change together or not at all.
pub type LiveTls = Live<Tls, TlsError>;

impl Tls {
    /// Reads the files and keeps them for reloading.
    ///
    /// # Errors
    /// As [`Tls::load`].
    pub fn live(files: TlsFiles, dev: DevCertificates, clock: Arc<dyn Clock>) -> Result<LiveTls, TlsError> {
        Live::start(move || Self::load(&files, dev, &clock))
    }

    /// Reads the files once and checks that callers could connect with them now.
    ///
    /// # Errors
    /// The first file that will not do, and why.
    pub fn load(files: &TlsFiles, dev: DevCertificates, clock: &Arc<dyn Clock>) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let now = clock.now();
        let chain = load_certificates(&files.cert, dev, now)?;
        let key = load_key(&files.key)?;
        let certified = CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider);
        certified.map_err(|_| Fault::KeyMismatch.at(&files.key))?;
        let roots = load_authorities(&files.client_ca, dev, now)?;
        let make = |alpn: &[&[u8]]| {
            server_config(&provider, clock, &roots, (&chain, &key), alpn).ok_or(Fault::Malformed.at(&files.client_ca))
        };
        Ok(Self { api: make(&[b"h2"])?, ops: make(&[b"h2", b"http/1.1"])? })
    }

    /// Everything that is wrong with the files, for one report.
    pub fn problems(files: &TlsFiles, dev: DevCertificates, clock: &Arc<dyn Clock>) -> Vec<TlsError> {
        let now = clock.now();
        let cert = load_certificates(&files.cert, dev, now).err();
        let key = load_key(&files.key).err();
        let client_ca = load_authorities(&files.client_ca, dev, now).err();
        let mut problems: Vec<_> = cert.into_iter().chain(key).chain(client_ca).collect();
        if problems.is_empty() {
            problems.extend(Self::load(files, dev, clock).err());
        }
        problems
    }
}

/// What is wrong with a TLS file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {fault}", file.display())]
pub struct TlsError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a certificate or key file. The message tells what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// It holds no certificate in PEM.
    #[error("holds no certificate; expected PEM with BEGIN CERTIFICATE")]
    NoCertificate,
    /// It holds no private key in PEM.
    #[error("holds no private key; expected PEM with BEGIN PRIVATE KEY")]
    NoKey,
    /// A certificate cannot be understood.
    #[error("holds a malformed certificate")]
    Malformed,
    /// The key is of a kind we do not use, or is not the certificate's.
    #[error("is not the private key of the configured certificate")]
    KeyMismatch,
    /// A certificate's time has not come.
    #[error("holds a certificate that is not yet valid; check the machine's clock")]
    NotYetValid,
    /// A certificate's time is over.
    #[error("holds an expired certificate; renew or remove it")]
    Expired,
    /// A certificate that is no authority stands where authorities are expected.
    #[error("holds a certificate that is not an authority; name the issuing authority's certificate")]
    NotAnAuthority,
    /// A throw-away certificate.
    #[error("holds a throw-away certificate of lacuna dev; use one of your own authority")]
    DevCertificate,
}

impl Fault {
    fn at(self, file: &Path) -> TlsError {
        TlsError { file: file.to_owned(), fault: self }
    }
}

fn load_certificates(
    path: &Path,
    dev: DevCertificates,
    now: Timestamp,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read_text(path).map_err(|e| Fault::File(e).at(path))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    let chain = chain.map_err(|_| Fault::Malformed.at(path))?;
    if chain.is_empty() {
        return Err(Fault::NoCertificate.at(path));
    }
    for certificate in &chain {
        check_certificate(certificate, dev, now).map_err(|fault| fault.at(path))?;
    }
    Ok(chain)
}

fn check_certificate(der: &CertificateDer<'_>, dev: DevCertificates, now: Timestamp) -> Result<(), Fault> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Fault::Malformed)?;
    let seconds = now.as_millis().div_euclid(1000);
    if seconds < certificate.validity().not_before.timestamp() {
        return Err(Fault::NotYetValid);
    }
    if seconds > certificate.validity().not_after.timestamp() {
        return Err(Fault::Expired);
    }
    if dev == DevCertificates::Refused && is_dev_certificate(der) {
        return Err(Fault::DevCertificate);
    }
    Ok(())
}

fn load_authorities(path: &Path, dev: DevCertificates, now: Timestamp) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for authority in load_certificates(path, dev, now)? {
        check_authority(&authority).map_err(|fault| fault.at(path))?;
        roots.add(authority).map_err(|_| Fault::Malformed.at(path))?;
    }
    Ok(roots)
}

/// A trust anchor's own extensions are not looked at later, so a mistaken leaf would pass as an authority.
fn check_authority(der: &CertificateDer<'_>) -> Result<(), Fault> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Fault::Malformed)?;
    if certificate.is_ca() { Ok(()) } else { Err(Fault::NotAnAuthority) }
}

fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read_secret(path).map_err(|e| Fault::File(e).at(path))?;
    // Exposed to be parsed; the text is wiped on return.
    PrivateKeyDer::from_pem_slice(text.expose()).map_err(|_| Fault::NoKey.at(path))
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    clock: &Arc<dyn Clock>,
    roots: &RootCertStore,
    (chain, key): (&[CertificateDer<'static>], &PrivateKeyDer<'static>),
    alpn: &[&[u8]],
) -> Option<Arc<ServerConfig>> {
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), provider.clone()).build().ok()?;
    let time = Arc::new(VaultTime(clock.clone()));
    let mut config = ServerConfig::builder_with_details(provider.clone(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .ok()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.to_vec(), key.clone_key())
        .ok()?;
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Some(Arc::new(config))
}

/// The vault's clock, as rustls asks for it.
struct VaultTime(Arc<dyn Clock>);

impl fmt::Debug for VaultTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VaultTime")
    }
}

impl TimeProvider for VaultTime {
    fn current_time(&self) -> Option<UnixTime> {
        let millis = u64::try_from(self.0.now().as_millis()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_millis(millis)))
    }
}
