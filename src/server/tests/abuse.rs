//! HTTP/2 by hand: what a client is told it may do, and what becomes of one that does more.

use tonic_types::StatusExt as _;

use super::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Frame types and flags (RFC 9113, section 6).
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

// Error codes (RFC 9113, section 7).
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of a call to the sample service, without Huffman coding or a dynamic table (RFC 7541).
fn call_headers() -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let mut block = vec![0x83, 0x87]; // :method POST, :scheme https
    block.extend([&[0x04][..], &text("/grpc.health.v1.Health/Check")].concat());
    block.extend([&[0x01][..], &text("localhost")].concat());
    block.extend([&[0x0f, 0x10][..], &text("application/grpc")].concat());
    block.extend([&[0x00][..], &text("te"), &text("trailers")].concat());
    block
}

struct Raw(TlsStream<tokio::net::TcpStream>);

impl Raw {
    async fn connect(fixture: &Fixture, running: &Running) -> Self {
        let mut stream = connect_tls(running.address(), fixture.client("kyc")).await.unwrap();
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
        Self(stream)
    }

    /// The next frame's kind, stream and payload; none at the end of the connection.
    async fn next(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        let read = tokio::time::timeout(Duration::from_secs(5), self.0.read_exact(&mut head)).await;
        read.expect("the server answers or closes").ok()?;
        let len = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; len];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((head[3], u32::from_be_bytes(head[5..9].try_into().unwrap()), payload))
    }

    /// The error code with which the client is told to go; none if the connection ends without a word.
    async fn told_to_go(&mut self) -> Option<u32> {
        while let Some((kind, _, payload)) = self.next().await {
            if kind == GOAWAY {
                return Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
        }
        None
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_the_bounds() {
    let fixture = Fixture::new();
    let running = fixture.start(&fixture.listener());
    let mut raw = Raw::connect(&fixture, &running).await;
    let (kind, _, settings) = raw.next().await.unwrap();
    assert_eq!(kind, SETTINGS);
    let setting = |id: u16| {
        let found = settings.chunks(6).find(|setting| setting[..2] == id.to_be_bytes());
        found.map(|setting| u32::from_be_bytes(setting[2..].try_into().unwrap()))
    };
    assert_eq!(setting(3), Some(limits::STREAMS_MAX));
    assert_eq!(setting(4), Some(limits::STREAM_WINDOW_BYTES));
    assert_eq!(setting(6), Some(limits::HEADER_LIST_BYTES_MAX));
    let update = loop {
        let (kind, stream, payload) = raw.next().await.unwrap();
        if (kind, stream) == (WINDOW_UPDATE, 0) {
            break u32::from_be_bytes(payload.try_into().unwrap());
        }
    };
    assert_eq!(65_535 + update, limits::CONNECTION_WINDOW_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_resets_ends_the_connection() {
    let fixture = Fixture::new();
    let listener = fixture.listener();
    let running = fixture.start(&listener);
    let mut raw = Raw::connect(&fixture, &running).await;
    let mut flood = Vec::new();
    for stream in (1..2_000).step_by(2) {
        flood.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &call_headers()));
        flood.extend(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
    }
    let _ = raw.0.write_all(&flood).await; // the server may close before it has taken all
    assert_eq!(raw.told_to_go().await, Some(ENHANCE_YOUR_CALM));
    soon("the connection is closed", || listener.connections.open() == 0);
    one_call(&running, fixture.client("kyc")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_never_end_end_the_connection() {
    let fixture = Fixture::new();
    let listener = fixture.listener();
    let running = fixture.start(&listener);
    let mut raw = Raw::connect(&fixture, &running).await;
    raw.0.write_all(&frame(HEADERS, END_STREAM, 1, &call_headers())).await.unwrap();
    // A literal header of 1000 bytes after another, in frames of 16 KiB.
    let header = [&[0x00, 1, b'x', 0x7f, 0xe9, 0x06][..], &[b'y'; 1_000]].concat();
    let more = frame(CONTINUATION, 0, 1, &header.repeat(16));
    let mut sent = 0;
    while sent < 64 << 20 && raw.0.write_all(&more).await.is_ok() {
        sent += more.len();
    }
    assert!(sent < 4 << 20, "{sent} bytes were taken");
    soon("the connection is closed", || listener.connections.open() == 0);
    assert_eq!(fixture.calls(), 0);
    one_call(&running, fixture.client("kyc")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_are_too_large_are_refused_and_the_connection_goes_on() {
    let fixture = Fixture::new();
    let running = fixture.start(&fixture.listener());
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    let mut request = Request::new(HealthCheckRequest::default());
    let large = "x".repeat(limits::HEADER_LIST_BYTES_MAX as usize);
    request.metadata_mut().insert("x-large", large.parse().unwrap());
    assert!(client.check(request).await.is_err());
    assert_eq!(fixture.calls(), 0);
    check(&mut client, "").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_too_many_on_one_connection_is_refused() {
    let fixture = Fixture::new();
    let running = fixture.start(&fixture.listener());
    let mut raw = Raw::connect(&fixture, &running).await;
    // Their messages never come, so that none of the calls ends.
    let calls = (0..limits::STREAMS_MAX + 10).map(|i| frame(HEADERS, END_HEADERS, 2 * i + 1, &call_headers()));
    raw.0.write_all(&calls.collect::<Vec<_>>().concat()).await.unwrap();
    for i in 0..10 {
        let (stream, code) = loop {
            let (kind, stream, payload) = raw.next().await.unwrap();
            if kind == RST_STREAM {
                break (stream, u32::from_be_bytes(payload.try_into().unwrap()));
            }
        };
        assert_eq!((stream, code), (2 * (limits::STREAMS_MAX + i) + 1, REFUSED_STREAM));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_after_the_handshake_is_dropped() {
    let fixture = Fixture::new();
    let listener = fixture.listener_with(|times| times.handshake = Duration::from_millis(300));
    let running = fixture.start(&listener);
    for begun in [&b""[..], &PREFACE[..20]] {
        let mut stream = connect_tls(running.address(), fixture.client("kyc")).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let end = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut Vec::new())).await;
        assert!(end.is_ok(), "after {} bytes", begun.len());
        soon("its place is free", || listener.connections.open() == 0);
    }
    // One that has begun is not hurried.
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    check(&mut client, "").await.unwrap();
    assert_eq!(listener.connections.accepted(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_is_asked_to_go_and_its_calls_end() {
    let fixture = Fixture::new();
    let listener = fixture.listener_with(|times| times.age = Duration::from_millis(200));
    let running = fixture.start(&listener);
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    check(&mut client, "600").await.unwrap();
    soon("it has gone", || listener.connections.open() == 0);
    let mut raw = Raw::connect(&fixture, &running).await;
    assert_eq!(raw.told_to_go().await, Some(0), "asked to go without an error");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_that_does_not_go_is_closed() {
    let fixture = Fixture::new();
    let short = Duration::from_millis(200);
    let listener = fixture.listener_with(|times| (times.age, times.grace) = (short, short));
    let running = fixture.start(&listener);
    let start = Instant::now(); // a connection's age counts from when it was accepted
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    assert!(check(&mut client, "30000").await.is_err());
    assert!(start.elapsed() >= 2 * short && start.elapsed() < Duration::from_secs(20));
    soon("it is closed", || listener.connections.open() == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_handshakes_crowd_out_only_themselves() {
    let fixture = Fixture::new();
    let listener = fixture.listener();
    let running = fixture.start(&listener);
    let begin = || {
        let mut stream = TcpStream::connect(running.address()).unwrap();
        stream.write_all(&[0x16, 3, 1]).unwrap();
        stream
    };
    let _silent: Vec<TcpStream> = (0..limits::HANDSHAKES_MAX + 50).map(|_| begin()).collect();
    let start = Instant::now();
    one_call(&running, fixture.client("kyc")).await.unwrap();
    assert!(start.elapsed() < limits::HANDSHAKE_TIME_MAX / 2);
    assert!(listener.connections.refused(Refusal::HandshakeLimit) >= 50);
    assert_eq!(listener.connections.refused(Refusal::ConnectionLimit), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_too_many_are_refused_as_overload_and_health_still_answers() {
    let fixture = Fixture::new();
    let listener = Listener { calls_max: 2, ..fixture.listener() };
    let running = fixture.start(&listener);
    let calls = listener.calls.clone().unwrap();
    let mut raw = Raw::connect(&fixture, &running).await;
    // Their messages never come, so that they stay in progress.
    for stream in [1, 3] {
        raw.0.write_all(&frame(HEADERS, END_HEADERS, stream, &call_headers())).await.unwrap();
    }
    soon("the calls have begun", || calls.in_progress() == 2);
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    check(&mut client, "").await.unwrap();
    let mut grpc = tonic::client::Grpc::new(channel(&running, fixture.client("kyc")).await.unwrap());
    grpc.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/lacuna.v1.Vault/GetItem");
    let codec = crate::api::codec::Codec::<HealthCheckRequest, HealthCheckResponse>::default();
    let status = grpc.unary(Request::new(HealthCheckRequest::default()), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.get_details_error_info().unwrap().reason, "OVERLOADED");
    assert_eq!(calls.answered("/lacuna.v1.Vault/GetItem", Code::ResourceExhausted), 1);
    // An erasure has a place; here there is no such service.
    grpc.ready().await.unwrap();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/lacuna.v1.Privacy/EraseSubject");
    let codec = crate::api::codec::Codec::<HealthCheckRequest, HealthCheckResponse>::default();
    let status = grpc.unary(Request::new(HealthCheckRequest::default()), path, codec).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    drop(raw);
    soon("the calls are over", || calls.in_progress() == 0);
}
