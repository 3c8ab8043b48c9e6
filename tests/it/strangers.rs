//! Connections that are refused before any call: bad certificates, old versions of TLS, and no TLS at all.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use lacuna::api::proto::GetStatusRequest;
use lacuna::base::limits::STATE_INTERVAL;
use lacuna::base::time::{Clock as _, SystemClock};
use lacuna::server::certs::{Authority, DEV_TRUST_DOMAIN, Issued};
use prost::Message as _;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, SanType, date_time_ymd};

use crate::figures;
use crate::program::blocking;
use crate::raw;
use crate::samples::reason;
use crate::vault::TestVault;

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().expect("a URI"))
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().expect("a name"))
}

/// What is wrong with a certificate that is otherwise one for the role `service`.
type Flaw = (&'static str, fn(&mut CertificateParams));

#[rustfmt::skip] // a table
const FLAWS: &[Flaw] = &[
    ("expired",                    |p| { p.not_before = date_time_ymd(2020, 1, 1); p.not_after = date_time_ymd(2021, 1, 1); }),
    ("not yet valid",              |p| { p.not_before = date_time_ymd(2100, 1, 1); p.not_after = date_time_ymd(2101, 1, 1); }),
    ("for servers only",           |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
    ("for signing code",           |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]),
    ("another trust domain",       |p| p.subject_alt_names = vec![uri("spiffe://example.org/service")]),
    ("a longer trust domain",      |p| p.subject_alt_names = vec![uri("spiffe://dev.lacuna.invalid.example.org/service")]),
    ("no alternative name",        |p| p.subject_alt_names = vec![]),
    ("several URIs",               |p| p.subject_alt_names.push(uri("spiffe://dev.lacuna.invalid/legal"))),
    ("the same URI twice",         |p| p.subject_alt_names.push(uri("spiffe://dev.lacuna.invalid/service"))),
    ("a URI of another scheme",    |p| p.subject_alt_names = vec![uri("https://dev.lacuna.invalid/service")]),
    ("a path that climbs",         |p| p.subject_alt_names = vec![uri("spiffe://dev.lacuna.invalid/x/../service")]),
    ("a wildcard name",            |p| p.subject_alt_names = vec![dns("*.dev.lacuna.invalid")]),
    ("an email address alone",     |p| p.subject_alt_names = vec![SanType::Rfc822Name("a@example.org".try_into().expect("a name"))]),
];

/// A vault that believes one authority more than the one it was made with.
struct Gate {
    vault: TestVault,
    authority: Authority,
}

impl Gate {
    fn open() -> Self {
        let vault = TestVault::start();
        let authority = Authority::make(SystemClock.now()).expect("an authority");
        let path = vault.dir().join("tls/ca.pem");
        let text = std::fs::read_to_string(&path).expect("a file");
        std::fs::write(&path, text + authority.pem()).expect("is written");
        vault.program().reload();
        Self { vault, authority }
    }

    fn install(&self, name: &str, issued: &Issued) {
        let tls = self.vault.dir().join("tls");
        std::fs::write(tls.join(format!("client-{name}.pem")), &issued.certificate_pem).expect("is written");
        std::fs::write(tls.join(format!("client-{name}.key")), &issued.key_pem).expect("is written");
    }

    /// The reason of a call with that certificate; none where no call was made.
    async fn call(&self, name: Option<&str>) -> Result<(), String> {
        let request = GetStatusRequest { context: self.vault.context("security") }.encode_to_vec();
        let answer = raw::call(self.vault.service(name), "System/GetStatus", request).await;
        answer.map(|_| ()).map_err(|status| reason(&status))
    }

    /// Entries of the log, once the number that is shown has caught up.
    async fn recorded(&self) -> u64 {
        tokio::time::sleep(2 * STATE_INTERVAL).await;
        self.vault.program().metric("lacuna_log_entries")
    }

    /// What the listener sends back to these bytes.
    fn answer(&self, bytes: &[u8]) -> Vec<u8> {
        let description = self.vault.program().description();
        let mut answer = Vec::new();
        blocking(|| {
            let mut stream =
                TcpStream::connect(description["address"].as_str().expect("an address")).expect("connects");
            stream.write_all(bytes).expect("is sent");
            let _ = stream.read_to_end(&mut answer); // a reset is an end too
        });
        answer
    }
}

fn params() -> CertificateParams {
    Authority::client_params("service", SystemClock.now()).expect("a name")
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_known_is_refused_before_any_call() {
    let gate = Gate::open();
    gate.install("sound", &gate.authority.issue(&params()).expect("is issued"));
    assert_eq!(gate.call(Some("sound")).await, Err("ACCESS_DENIED".into()), "the service is known, and no operator");
    let (mut cases, mut accepted) = (0, Vec::new());
    let before = gate.recorded().await;
    for (name, flaw) in FLAWS {
        let mut params = params();
        flaw(&mut params);
        gate.install("flawed", &gate.authority.issue(&params).expect("is issued"));
        cases += 1;
        accepted.extend((gate.call(Some("flawed")).await != Err(String::new())).then_some(*name));
    }
    let stranger = Authority::make(SystemClock.now()).expect("an authority").issue(&params()).expect("is issued");
    let key = KeyPair::generate().expect("a key");
    let alone = params().self_signed(&key).expect("is signed");
    let alone =
        Issued { certificate_pem: alone.pem(), certificate: alone.der().to_vec(), key_pem: key.serialize_pem() };
    for (name, issued) in [("by an unknown authority", stranger), ("self-signed", alone)] {
        gate.install("flawed", &issued);
        cases += 1;
        accepted.extend((gate.call(Some("flawed")).await != Err(String::new())).then_some(name));
    }
    cases += 1;
    accepted.extend((gate.call(None).await != Err(String::new())).then_some("no certificate"));
    for (name, version) in [("TLS 1.2", 3), ("TLS 1.1", 2), ("TLS 1.0", 1), ("SSL 3", 0)] {
        cases += 1;
        accepted.extend((!is_alert(&gate.answer(&client_hello(version)))).then_some(name));
    }
    cases += 1;
    let plain = gate.answer(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    accepted.extend((!is_alert(&plain)).then_some("no TLS at all"));
    let figures = serde_json::json!({ "cases": cases, "accepted": accepted.len() });
    figures::note(19, "strangers knock", None, figures);
    assert!(accepted.is_empty(), "{accepted:?} of {cases}");
    assert_eq!(gate.recorded().await, before, "no call was opened");
    assert_eq!(gate.call(Some("sound")).await, Err("ACCESS_DENIED".into()), "and the sound one still is");
    assert!(gate.recorded().await > before);
    assert_eq!(DEV_TRUST_DOMAIN, "dev.lacuna.invalid", "what the table above is written for");
}

/// Whether nothing came back but a fatal alert, if anything.
fn is_alert(answer: &[u8]) -> bool {
    matches!(answer, [] | [21, 3, _, 0, 2, 2, _])
}

/// The first message of a client that offers this version of TLS at the most, with the cipher suites and extensions
/// that servers of that time expect (RFC 5246, section 7.4.1.2).
fn client_hello(minor: u8) -> Vec<u8> {
    let suites: &[u8] = &[0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x0a, 0xc0, 0x14, 0x00, 0x2f];
    let extensions: &[u8] = &[
        0x00, 0x0a, 0x00, 0x06, 0x00, 0x04, 0x00, 0x1d, 0x00, 0x17, // groups: x25519, secp256r1
        0x00, 0x0b, 0x00, 0x02, 0x01, 0x00, // point formats: uncompressed
        0x00, 0x0d, 0x00, 0x06, 0x00, 0x04, 0x04, 0x03, 0x08, 0x04, // signatures
    ];
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).expect("short").to_be_bytes();
    let random = [7; 32];
    let body =
        [&[3, minor][..], &random, &[0], &length(suites), suites, &[1, 0], &length(extensions), extensions].concat();
    let handshake = [&[1, 0][..], &length(&body), &body].concat();
    [&[22, 3, minor.min(1)][..], &length(&handshake), &handshake].concat()
}
