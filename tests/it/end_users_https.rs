//! Issuers' keys over https: from whom they are taken, what becomes of bad answers, and that it comes back by itself.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use lacuna::api::proto::GetSubjectRequest;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::base::time::{Clock as _, SystemClock, Timestamp};
use lacuna::server::certs::Authority;
use lacuna::server::config::EndUserIssuer;
use lacuna::server::dev_issuer::write_issuer;
use lacuna::server::end_users::{EndUserKeys, fetch};
use lacuna::server::https::url::Url;
use lacuna::server::https::{Credentials, HttpsError};
use lacuna::server::tls::DevCertificates;
use tonic::codegen::http::StatusCode;

use crate::end_users::{Person, becomes};
use crate::https::{Answer, Https, authority, certificate, config, ok, status};
use crate::samples::reason;
use crate::vault::TestVault;

const KEYS: &[u8] = b"{\"keys\":[]}";

struct Site {
    dir: tempfile::TempDir,
    authority: Authority,
    https: Https,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let authority = authority(&dir.path().join("ca.pem"));
        authority_beside(dir.path());
        let https = Https::start(config(&certificate(&authority), None), |_| ok(KEYS));
        Self { dir, authority, https }
    }

    fn credentials(&self, ca: &str) -> Credentials {
        Credentials { authorities: Some(self.dir.path().join(ca)), identity: None }
    }

    async fn fetch(&self) -> Result<Vec<u8>, HttpsError> {
        self.fetch_from(&self.https.url("/keys"), "ca.pem").await
    }

    async fn fetch_from(&self, url: &str, ca: &str) -> Result<Vec<u8>, HttpsError> {
        fetch(&Url::parse(url).expect("an address"), &self.credentials(ca)).await
    }
}

/// Another authority, which the server has nothing to do with.
fn authority_beside(dir: &Path) {
    authority(&dir.join("other.pem"));
    std::fs::write(dir.join("empty.pem"), "").expect("is written");
    std::fs::write(dir.join("junk.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .expect("is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_the_server_that_the_authority_vouches_for() {
    let site = Site::new();
    assert_eq!(site.fetch().await.as_deref(), Ok(KEYS));
    let port = site.https.address.port();
    assert_eq!(site.fetch_from(&format!("https://127.0.0.1:{port}/k"), "ca.pem").await.as_deref(), Ok(KEYS));
    assert_eq!(site.https.asked()[0].path, "/keys");

    let refused = async |ca: &str| site.fetch_from(&site.https.url("/keys"), ca).await.expect_err("is refused");
    assert_eq!(refused("other.pem").await, HttpsError::Tls);
    assert!(matches!(refused("none.pem").await, HttpsError::File("ca_file", _)));
    assert_eq!(refused("empty.pem").await, HttpsError::Empty("ca_file"));
    assert_eq!(refused("junk.pem").await, HttpsError::Empty("ca_file"));

    // Names: the certificate is for another host. Time: it was good until a month ago.
    let mut params = Authority::server_params(SystemClock.now()).expect("names");
    params.subject_alt_names = vec![rcgen::SanType::DnsName("elsewhere.example".try_into().expect("a name"))];
    site.https.show(config(&site.authority.issue(&params).expect("is issued"), None));
    assert_eq!(site.fetch().await, Err(HttpsError::Tls));
    let past = Timestamp::from_millis(SystemClock.now().as_millis() - 60 * 86_400_000);
    let params = Authority::server_params(past).expect("names");
    site.https.show(config(&site.authority.issue(&params).expect("is issued"), None));
    assert_eq!(site.fetch().await, Err(HttpsError::Tls));
    site.https.show(config(&certificate(&site.authority), None));
    assert_eq!(site.fetch().await.as_deref(), Ok(KEYS), "nothing of it lasts");

    // A server without TLS is not talked to, whatever it says; nobody listens at the last one.
    let plain = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = plain.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (mut stream, _) = plain.accept().expect("somebody comes");
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{\"keys\":[]}");
    });
    let url = format!("https://localhost:{}/keys", address.port());
    assert_eq!(site.fetch_from(&url, "ca.pem").await, Err(HttpsError::Tls));
    assert_eq!(site.fetch_from("https://localhost:1/keys", "ca.pem").await, Err(HttpsError::Connect));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_the_key_set_is_not_taken() {
    let site = Site::new();
    let elsewhere = Https::start(config(&certificate(&site.authority), None), |_| ok(KEYS));
    let location = format!("location: {}\r\n", elsewhere.url("/keys"));
    for (code, header) in [("302 Found", location.as_str()), ("308 Moved", &location), ("500 Down", ""), ("404 No", "")]
    {
        let header = header.to_owned();
        site.https.answer(move |_| status(code, &header));
        let number = code[..3].parse::<u16>().expect("a number");
        assert_eq!(site.fetch().await, Err(HttpsError::Status(StatusCode::from_u16(number).expect("a status"))));
    }
    assert!(elsewhere.asked().is_empty(), "a redirect is not followed");

    let large = |bytes: usize| vec![b' '; bytes];
    site.https.answer(move |_| ok(&large(256 * 1024)));
    assert_eq!(site.fetch().await.map(|keys| keys.len()), Ok(256 * 1024));
    site.https.answer(move |_| ok(&large(256 * 1024 + 1)));
    assert_eq!(site.fetch().await, Err(HttpsError::Http));
    // Without a length, until the end; and one that breaks off.
    site.https.answer(move |_| Answer::Whole([b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), large(300 * 1024)].concat()));
    assert_eq!(site.fetch().await, Err(HttpsError::Http));
    site.https.answer(|_| Answer::Whole(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{".to_vec()));
    assert_eq!(site.fetch().await, Err(HttpsError::Http));
    site.https.answer(|_| Answer::Whole(b"SSH-2.0-junk\r\n\r\n".to_vec()));
    assert_eq!(site.fetch().await, Err(HttpsError::Http));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_its_time_is_left() {
    let begin = b"HTTP/1.1 200 OK\r\ncontent-length: 999\r\n\r\n".to_vec();
    let answers: [fn(Vec<u8>) -> Answer; 3] = [
        |_| Answer::Stuck(Vec::new()),
        |begin| Answer::Stuck([begin, b"{\"keys\"".to_vec()].concat()),
        |begin| Answer::Dripping([begin, vec![b' '; 999]].concat()),
    ];
    let started = Instant::now();
    let waits = answers.map(|answer| {
        let begin = begin.clone();
        tokio::spawn(async move {
            let site = Site::new();
            site.https.answer(move |_| answer(begin.clone()));
            site.fetch().await
        })
    });
    for wait in waits {
        assert_eq!(wait.await.expect("ends"), Err(HttpsError::Time));
    }
    assert!(started.elapsed() < Duration::from_secs(20), "five seconds, and what a busy machine adds");
}

/// An answer that will not do, and what is said of it.
type Bad = (fn() -> Answer, &'static str);

/// A vault whose issuer of people's tokens publishes its keys at an https server of the test's.
struct Dashboard {
    vault: TestVault,
    person: Person,
    site: Site,
}

impl Dashboard {
    async fn open() -> Self {
        let mut vault = TestVault::start();
        let person = Person::make(&vault).await;
        let site = Site::new();
        let keys = vault.dir().join("end-users/jwks.json");
        site.https.answer(move |_| ok(&std::fs::read(&keys).expect("a file")));
        vault.stop();
        std::fs::copy(site.dir.path().join("ca.pem"), vault.dir().join("issuer-ca.pem")).expect("is copied");
        let at = format!("jwks_url = \"{}\"\nca_file = \"issuer-ca.pem\"", site.https.url("/keys"));
        vault.edit("lacuna.toml", |text| {
            assert!(text.contains("jwks_file = \"end-users/jwks.json\""));
            text.replace("jwks_file = \"end-users/jwks.json\"", &at)
        });
        vault.run("");
        Self { vault, person, site }
    }

    async fn asks(&self, token: &str) -> String {
        let service = self.vault.service(Some("subject")).with_token(token);
        let subject = self.person.refs()[0].clone();
        let request = GetSubjectRequest { context: self.vault.delivery(), subject };
        let answer = VaultClient::new(service).get_subject(request).await;
        answer.map_or_else(|status| reason(&status), |_| "OK".into())
    }

    fn token(&self) -> String {
        self.vault.token(&self.person.external_id, Duration::ZERO)
    }

    /// Has the keys fetched again, and waits until the log says so many times that the old ones are kept, and why.
    async fn refuses_keys(&self, times: usize, why: &str) {
        self.vault.program().reload();
        becomes("told", Duration::from_secs(30), async || {
            let printed = self.vault.printed();
            let told = printed.matches("keys of an issuer of people's tokens are kept as they were").count();
            if told == times && printed.contains(why) { "told".into() } else { format!("told {told} times") }
        })
        .await;
        self.counts_as_failing("1").await;
    }

    async fn counts_as_failing(&self, issuers: &str) {
        let count = async || self.vault.program().metric("lacuna_end_user_keys_failing").to_string();
        becomes(issuers, Duration::from_secs(30), count).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_keys_stay_while_the_server_is_not_itself_and_new_ones_come_when_it_is() {
    let at = Dashboard::open().await;
    let old = at.token();
    assert_eq!(at.asks(&old).await, "OK");
    at.counts_as_failing("0").await;

    // Somebody else's server in its place; then its own, with answers that will not do.
    let keys = at.vault.dir().join("end-users/jwks.json");
    let other = authority(&at.site.dir.path().join("third.pem"));
    at.site.https.show(config(&certificate(&other), None));
    at.refuses_keys(1, "check ca_file, and that the certificate names the host").await;
    at.site.https.show(config(&certificate(&at.site.authority), None));
    let mut told = 1;
    let bad: [Bad; 4] = [
        (|| ok(b"<html>down for maintenance</html>"), "kept as they were"),
        (|| ok(b"{\"keys\":[]}"), "kept as they were"),
        (|| status("503 Later", ""), "HTTP status 503"),
        (|| status("302 Found", "location: https://localhost/\r\n"), "redirects are not followed"),
    ];
    for (answer, why) in bad {
        at.site.https.answer(move |_| answer());
        told += 1;
        at.refuses_keys(told, why).await;
        assert_eq!(at.asks(&old).await, "OK", "{why}");
    }

    // Well again, with another key: the old one has vanished from the set, and is good no more.
    for name in ["issuer.key", "jwks.json"] {
        std::fs::remove_file(at.vault.dir().join("end-users").join(name)).expect("is there");
    }
    write_issuer(&at.vault.dir().join("end-users")).expect("an issuer");
    at.site.https.answer(move |_| ok(&std::fs::read(&keys).expect("a file")));
    at.vault.program().reload();
    let new = at.token();
    becomes("OK", Duration::from_secs(30), async || at.asks(&new).await).await;
    assert_eq!(at.asks(&old).await, "END_USER_TOKEN_INVALID");
    at.counts_as_failing("0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_keys_people_wait_and_nobody_else_does() {
    let mut at = Dashboard::open().await;
    let keys = at.vault.dir().join("end-users/jwks.json");
    at.vault.stop();
    let other = authority(&at.site.dir.path().join("third.pem"));
    at.site.https.show(config(&certificate(&other), None));
    at.vault.run("");
    let token = at.token();
    assert_eq!(at.asks(&token).await, "IDENTITY_PROVIDER_UNAVAILABLE");
    assert!(at.vault.read(&at.person.subject_id, &at.person.item.item_id).await.is_ok());
    let printed = at.vault.printed();
    assert!(printed.contains("no keys of an issuer of people's tokens"), "{printed}");
    // A server that hangs holds up nobody: whoever waits for it waits two seconds.
    at.site.https.show(config(&certificate(&at.site.authority), None));
    at.site.https.answer(|_| Answer::Stuck(Vec::new()));
    becomes("asked", Duration::from_secs(30), async || {
        let refused = at.asks(&token).await;
        assert_eq!(refused, "IDENTITY_PROVIDER_UNAVAILABLE");
        let count = at.site.https.asked().iter().filter(|asked| asked.path == "/keys").count();
        if count > 1 { "asked".into() } else { "not asked".into() }
    })
    .await;
    at.site.https.answer(move |_| ok(&std::fs::read(&keys).expect("a file")));
    // By itself: the next one who comes once it may be asked again.
    becomes("OK", Duration::from_secs(40), async || at.asks(&token).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throw_away_key_is_refused_at_an_address_too() {
    let site = Site::new();
    write_issuer(site.dir.path()).expect("an issuer");
    let keys = site.dir.path().join("jwks.json");
    site.https.answer(move |_| ok(&std::fs::read(&keys).expect("a file")));
    let issuer = EndUserIssuer {
        issuer: "https://dev.lacuna.invalid".into(),
        audience: "lacuna-dev".into(),
        subject_prefix: String::new(),
        jwks_file: None,
        jwks_url: Some(site.https.url("/keys")),
        ca_file: Some(site.dir.path().join("ca.pem")),
    };
    for (dev, expected) in [(DevCertificates::Accepted, true), (DevCertificates::Refused, false)] {
        let keys = EndUserKeys::start(std::slice::from_ref(&issuer), dev).expect("starts");
        let issuer = keys.issuers().remove(0);
        becomes("tried", Duration::from_secs(30), async || {
            if issuer.has_keys(SystemClock.now()) || issuer.is_failing() { "tried".into() } else { "not yet".into() }
        })
        .await;
        assert_eq!((issuer.has_keys(SystemClock.now()), issuer.is_failing()), (expected, !expected));
        tokio::task::block_in_place(|| drop(keys));
    }
}
