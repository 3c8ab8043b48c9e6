//! Files of a published log, from the operations port of a running vault: one after another on one connection.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;

use super::super::failure::{Failure, causes};
use super::super::remote::{AUDITOR, Place, Remote, about};
use crate::audit::tile::Resource;
use crate::base::limits::{FETCH_ATTEMPTS, PUBLISHED_FILE_BYTES_MAX, RETRY_AFTER};
use crate::server::file::{read_secret, read_text};

type Sender = SendRequest<Empty<Bytes>>;
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Fetches files of a published log.
pub struct Fetcher {
    runtime: Runtime,
    address: String,
    /// None where a `lacuna dev` serves without.
    tls: Option<(TlsConnector, ServerName<'static>)>,
    patience: Duration,
    connection: Option<Sender>,
    /// The key of a `lacuna dev`.
    dev_key: Option<String>,
}

impl Fetcher {
    /// For the vault of these options; nothing is connected yet.
    ///
    /// # Errors
    /// Missing options, or certificates that cannot be used.
    pub fn new(remote: &Remote, ops_address: Option<&str>) -> Result<Self, Failure> {
        let place = remote.whereabouts(AUDITOR)?;
        let given = ops_address.map(str::to_owned);
        let (address, tls, dev_key) = match (&place.dev, given) {
            (Some(dev), None) => (dev.ops_address.clone(), None, Some(dev.audit_vkey.clone())),
            (_, Some(address)) => {
                let name = server_name(&address, remote.server_name())?;
                (address, Some((connector(&place)?, name)), None)
            }
            (None, None) => {
                let missing = "--ops-address is required: where the vault serves operations; or give --dev DIR";
                return Err(Failure::Usage(missing.into()));
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::failed(format!("no runtime: {}", error.kind())))?;
        Ok(Self { runtime, address, tls, patience: remote.patience(), connection: None, dev_key })
    }

    /// The key that verifies the checkpoints of a `lacuna dev`.
    pub fn dev_key(&self) -> Option<&str> {
        self.dev_key.as_deref()
    }

    /// A file; none if the log has none of this name yet.
    ///
    /// # Errors
    /// The vault refuses, or does not answer after several attempts.
    pub fn read(&mut self, resource: Resource) -> Result<Option<Vec<u8>>, Failure> {
        let mut last = String::new();
        for attempt in 0..FETCH_ATTEMPTS {
            if attempt > 0 {
                std::thread::sleep(RETRY_AFTER * 2u32.pow(attempt));
            }
            match self.attempt(resource) {
                Ok((StatusCode::OK, bytes)) => return Ok(Some(bytes)),
                Ok((StatusCode::NOT_FOUND, _)) => return Ok(None),
                Ok((StatusCode::FORBIDDEN, _)) => return Err(Failure::failed(forbidden(resource))),
                Ok((code, _)) => last = format!("{resource}: the vault answers {code}"),
                Err(error) => {
                    self.connection = None;
                    last = format!("no answer from {}: {}", self.address, causes(&*error));
                }
            }
        }
        Err(Failure::failed(format!("{last}; what was fetched is kept, so run this again to go on")))
    }

    fn attempt(&mut self, resource: Resource) -> Result<(StatusCode, Vec<u8>), Cause> {
        let Self { runtime, address, tls, patience, connection, .. } = self;
        runtime.block_on(async {
            tokio::time::timeout(*patience, async {
                let sender = match connection.take().filter(|sender| !sender.is_closed()) {
                    Some(sender) => sender,
                    None => connect(address, tls.as_ref()).await?,
                };
                let (sender, answer) = get(sender, address, resource).await?;
                *connection = Some(sender);
                Ok(answer)
            })
            .await
            .map_err(|_| "not in time")?
        })
    }
}

async fn connect(address: &str, tls: Option<&(TlsConnector, ServerName<'static>)>) -> Result<Sender, Cause> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    match tls {
        None => spawn(handshake(TokioIo::new(stream)).await?),
        Some((tls, name)) => spawn(handshake(TokioIo::new(tls.connect(name.clone(), stream).await?)).await?),
    }
}

/// Lets a connection work beside the requests on it; whatever ends it, the next request finds out.
fn spawn<C>((sender, connection): (Sender, C)) -> Result<Sender, Cause>
where
    C: Future<Output = hyper::Result<()>> + Send + 'static,
{
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

async fn get(mut sender: Sender, host: &str, file: Resource) -> Result<(Sender, (StatusCode, Vec<u8>)), Cause> {
    let request = Request::get(format!("/{file}")).header(header::HOST, host).body(Empty::new())?;
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let code = answer.status();
    let body = Limited::new(answer.into_body(), PUBLISHED_FILE_BYTES_MAX).collect().await?;
    Ok((sender, (code, body.to_bytes().into())))
}

fn forbidden(resource: Resource) -> String {
    match resource {
        Resource::Details(..) => "the vault shows sealed details to the role auditor only; with the role monitor, \
                                  export with --leaves-only"
            .into(),
        Resource::Checkpoint | Resource::Tile(..) | Resource::Entries(..) => {
            "the vault shows its log to the roles auditor and monitor only: check --cert and the vault's bindings"
                .into()
        }
    }
}

fn server_name(address: &str, given: Option<&str>) -> Result<ServerName<'static>, Failure> {
    let host = address.rsplit_once(':').map(|(host, _)| host.trim_matches(['[', ']']));
    let name = given.or(host).and_then(|name| ServerName::try_from(name.to_owned()).ok());
    name.ok_or_else(|| {
        Failure::Usage("--ops-address is not of the form HOST:PORT, such as vault.example.com:7444".into())
    })
}

fn connector(place: &Place) -> Result<TlsConnector, Failure> {
    let unusable = |_| Failure::failed("the certificates cannot be used: check --ca, --cert and --key");
    let certificates = |path| {
        let text = read_text(path).map_err(|error| about(path, error))?;
        let all = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        all.map_err(|_| about(path, "holds no certificate in PEM"))
    };
    let mut roots = RootCertStore::empty();
    for authority in certificates(&place.ca)? {
        roots.add(authority).map_err(unusable)?;
    }
    let key = read_secret(&place.key).map_err(|error| about(&place.key, error))?;
    // Exposed to be parsed; the TLS library keeps it for the connection.
    let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| about(&place.key, "holds no private key"))?;
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_root_certificates(roots);
    let mut config = builder.with_client_auth_cert(certificates(&place.cert)?, key).map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
