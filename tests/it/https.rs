//! A web server of a test: TLS 1.3 on this machine, with a certificate and answers that the test chooses.

use std::io::{ErrorKind, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lacuna::base::time::{Clock as _, SystemClock};
use lacuna::server::certs::{Authority, Issued};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

/// What somebody asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub content: Vec<u8>,
    /// Whether a client certificate was shown.
    pub named: bool,
}

/// What is sent back.
pub enum Answer {
    /// This, then the end.
    Whole(Vec<u8>),
    /// This, then nothing for as long as the other side stays.
    Stuck(Vec<u8>),
    /// This, a byte at a time.
    Dripping(Vec<u8>),
}

type Answering = Box<dyn FnMut(&Asked) -> Answer + Send>;

/// The server. It goes on until the test's process ends.
pub struct Https {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

struct State {
    config: Arc<ServerConfig>,
    answering: Arc<Mutex<Answering>>,
    asked: Vec<Asked>,
}

impl Https {
    /// Starts with a certificate and answers.
    pub fn start(config: ServerConfig, answering: impl FnMut(&Asked) -> Answer + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let answering: Answering = Box::new(answering);
        let answering = Arc::new(Mutex::new(answering));
        let state = Arc::new(Mutex::new(State { config: Arc::new(config), answering, asked: Vec::new() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, state }
    }

    /// Another certificate, from the next connection on.
    pub fn show(&self, config: ServerConfig) {
        self.state.lock().expect("whole").config = Arc::new(config);
    }

    /// Other answers.
    pub fn answer(&self, answering: impl FnMut(&Asked) -> Answer + Send + 'static) {
        self.state.lock().expect("whole").answering = Arc::new(Mutex::new(Box::new(answering)));
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.state.lock().expect("whole").asked.clone()
    }

    /// Its address, by name.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }
}

fn serve(stream: TcpStream, shared: &Mutex<State>) {
    let (config, answering) = {
        let state = shared.lock().expect("whole");
        (state.config.clone(), state.answering.clone())
    };
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
    stream.set_nodelay(true).expect("is set");
    let connection = ServerConnection::new(config).expect("a connection");
    let mut tls = StreamOwned::new(connection, stream);
    let Some(mut asked) = read(&mut tls) else { return };
    asked.named = tls.conn.peer_certificates().is_some();
    shared.lock().expect("whole").asked.push(asked.clone());
    let answer = answering.lock().expect("whole")(&asked);
    // Whoever asked may have gone.
    match answer {
        Answer::Whole(bytes) => {
            let _ = tls.write_all(&bytes);
            tls.conn.send_close_notify();
            let _ = tls.flush();
        }
        Answer::Stuck(bytes) => {
            let _ = tls.write_all(&bytes).and_then(|()| tls.flush());
            let _ = tls.read(&mut [0]);
        }
        Answer::Dripping(bytes) => {
            for byte in bytes {
                if tls.write_all(&[byte]).and_then(|()| tls.flush()).is_err() {
                    return;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

fn read(stream: &mut impl Read) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        more(stream, &mut bytes)?;
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let mut words = text.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let length = text.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while bytes.len() < head + length.unwrap_or(0) {
        more(stream, &mut bytes)?;
    }
    Some(Asked { method, path, content: bytes[head..].to_vec(), named: false })
}

fn more(stream: &mut impl Read, bytes: &mut Vec<u8>) -> Option<()> {
    let mut part = [0; 4096];
    match stream.read(&mut part) {
        Ok(0) => None,
        Ok(read) => {
            bytes.extend_from_slice(&part[..read]);
            Some(())
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Some(()),
        Err(_) => None,
    }
}

/// An answer with content.
pub fn ok(content: &[u8]) -> Answer {
    Answer::Whole(
        [format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", content.len()).as_bytes(), content].concat(),
    )
}

/// An answer of another status, with a header.
pub fn status(code: &str, header: &str) -> Answer {
    Answer::Whole(format!("HTTP/1.1 {code}\r\n{header}content-length: 0\r\n\r\n").into_bytes())
}

/// An authority whose certificate is in a file.
pub fn authority(file: &Path) -> Authority {
    let authority = Authority::make(SystemClock.now()).expect("an authority");
    std::fs::write(file, authority.pem()).expect("is written");
    authority
}

/// A certificate for this machine.
pub fn certificate(authority: &Authority) -> Issued {
    let params = Authority::server_params(SystemClock.now()).expect("names");
    authority.issue(&params).expect("is issued")
}

/// A server's settings, with a certificate; callers must show one of `callers`, if that is given.
pub fn config(certificate: &Issued, callers: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("TLS 1.3");
    let builder = match callers {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM")).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::from_pem_slice(certificate.key_pem.as_bytes()).expect("a key");
    builder.with_single_cert(vec![certificate.certificate.clone().into()], key).expect("fits")
}
