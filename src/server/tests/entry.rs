//! Who reaches a service, and who does not.

use super::*;

#[tokio::test]
async fn a_named_service_is_let_in_and_its_calls_carry_its_name() {
    let fixture = Fixture::new();
    let running = fixture.start(&Listener { threads: 2, ..fixture.listener() });
    for name in ["kyc", "unbound"] {
        one_call(&running, fixture.client(name)).await.unwrap();
    }
    let mut dns = Authority::client_params("dns", now()).unwrap();
    dns.subject_alt_names = vec![SanType::DnsName("batch.example.org".try_into().unwrap())];
    one_call(&running, fixture.client_with(&dns)).await.unwrap();
    let expected = ["spiffe://dev.lacuna.invalid/kyc", "spiffe://dev.lacuna.invalid/unbound", "dns:batch.example.org"];
    assert_eq!(*fixture.sample.callers.lock(), expected);
}

#[tokio::test]
async fn nobody_else_reaches_a_service() {
    let fixture = Fixture::new();
    let listener = fixture.listener();
    let running = fixture.start(&listener);
    let client = |change: &dyn Fn(&mut CertificateParams)| {
        let mut params = Authority::client_params("kyc", now()).unwrap();
        change(&mut params);
        fixture.client_with(&params)
    };
    let at = |time| Authority::client_params("kyc", time).unwrap();
    let uri = |text: &str| SanType::URI(text.try_into().unwrap());
    let stranger = Authority::make(now()).unwrap();
    let strangers = stranger.issue(&at(now())).unwrap();
    let good = uri("spiffe://dev.lacuna.invalid/kyc");
    let server_only = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let two = vec![good.clone(), uri("spiffe://dev.lacuna.invalid/legal")];
    let tls = [
        ("no certificate", client_config(&fixture.authority, None)),
        ("expired", fixture.client_with(&at(days(-40)))),
        ("not yet valid", fixture.client_with(&at(days(2)))),
        ("wrong usage", client(&|params| params.extended_key_usages = server_only.clone())),
        ("wrong authority", client_config(&fixture.authority, Some(&strangers))),
        ("an authority", client(&|params| params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained))),
    ];
    let names = [
        ("wrong trust domain", client(&|params| params.subject_alt_names = vec![uri("spiffe://example.org/kyc")])),
        ("no name", client(&|params| params.subject_alt_names = vec![])),
        ("two URIs", client(&|params| params.subject_alt_names = two.clone())),
        ("no SPIFFE URI", client(&|params| params.subject_alt_names = vec![uri("https://dev.lacuna.invalid/kyc")])),
    ];
    for (reason, cases) in [(Refusal::Handshake, &tls[..]), (Refusal::Identity, &names[..])] {
        for (i, (what, config)) in cases.iter().enumerate() {
            assert!(one_call(&running, config.clone()).await.is_err(), "{what}");
            soon(what, || listener.connections.refused(reason) > i as u64);
        }
    }
    let total = |reason| listener.connections.refused(reason);
    assert!(total(Refusal::Handshake) >= tls.len() as u64 && total(Refusal::Identity) >= names.len() as u64);
    assert_eq!(fixture.calls(), 0);
    one_call(&running, client(&|params| params.subject_alt_names = vec![good.clone()])).await.unwrap();
}

/// A TLS 1.2 ClientHello (RFC 5246, section 7.4.1.2): no supported_versions extension, sound in all else.
fn client_hello_of_tls_1_2() -> Vec<u8> {
    let extensions: &[u8] = &[
        0, 10, 0, 6, 0, 4, 0, 29, 0, 23, // supported groups: x25519, secp256r1
        0, 11, 0, 2, 1, 0, // point formats: uncompressed
        0, 13, 0, 6, 0, 4, 4, 3, 8, 4, // signatures: ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256
        0, 23, 0, 0, // extended master secret
    ];
    let mut body = vec![3, 3];
    body.extend([7; 32]); // random
    body.push(0); // session id
    body.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x2f]); // ECDHE with AES-128-GCM
    body.extend([1, 0]); // no compression
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut hello = vec![0x16, 3, 1];
    hello.extend((body.len() as u16 + 4).to_be_bytes());
    hello.extend([1, 0]);
    hello.extend((body.len() as u16).to_be_bytes());
    hello.extend(body);
    hello
}

#[test]
fn tls_1_2_is_answered_with_an_alert() {
    let fixture = Fixture::new();
    let running = fixture.start(&fixture.listener());
    let mut stream = TcpStream::connect(running.address()).unwrap();
    stream.write_all(&client_hello_of_tls_1_2()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    // Alert record, fatal, protocol_version (RFC 8446, section 6.2).
    assert_eq!((answer[0], &answer[5..]), (0x15, &[2, 70][..]), "{answer:?}");
}

#[test]
fn what_is_not_tls_is_not_answered() {
    let fixture = Fixture::new();
    let listener = fixture.listener();
    let running = fixture.start(&listener);
    for (i, begin) in
        [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"].iter().enumerate()
    {
        let mut stream = TcpStream::connect(running.address()).unwrap();
        stream.write_all(begin).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        // At most an alert of TLS, never a word of HTTP.
        assert!(answer.first().is_none_or(|kind| *kind == 0x15) && answer.len() <= 7, "{answer:?}");
        soon("counted", || listener.connections.refused(Refusal::Handshake) == i as u64 + 1);
    }
    assert_eq!(fixture.calls(), 0);
}

#[tokio::test]
async fn other_protocols_are_refused() {
    let fixture = Fixture::new();
    let listener = fixture.listener();
    let running = fixture.start(&listener);
    let offering = |protocols: &[&[u8]]| {
        let mut config = (*fixture.client("kyc")).clone();
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    };
    assert!(connect_tls(running.address(), offering(&[b"http/1.1"])).await.is_err());
    let mut silent = connect_tls(running.address(), offering(&[])).await.unwrap();
    let _ = silent.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = silent.read_to_end(&mut answer).await;
    assert!(answer.is_empty());
    soon("counted", || listener.connections.refused(Refusal::Protocol) == 1);
}

#[tokio::test]
async fn no_session_is_resumed() {
    let fixture = Fixture::new();
    let running = fixture.start(&fixture.listener());
    let config = fixture.client("kyc");
    for _ in 0..2 {
        let mut stream = connect_tls(running.address(), config.clone()).await.unwrap();
        let _ = stream.read_u8().await; // the server's settings come after any ticket
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Full));
    }
}

#[test]
fn server_files_are_checked_when_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let files = write_server_files(dir.path(), &Authority::make(now()).unwrap());
    let load = |dev, time: Timestamp| {
        let clock: Arc<dyn Clock> = Arc::new(crate::base::time::ManualClock::new(time));
        Tls::load(&files, dev, &clock).map(|_| ()).map_err(|error| error.fault)
    };
    assert_eq!(load(DevCertificates::Accepted, now()), Ok(()));
    assert_eq!(load(DevCertificates::Refused, now()), Err(Fault::DevCertificate));
    assert_eq!(load(DevCertificates::Accepted, days(31)), Err(Fault::Expired));
    assert_eq!(load(DevCertificates::Accepted, days(-2)), Err(Fault::NotYetValid));
}
