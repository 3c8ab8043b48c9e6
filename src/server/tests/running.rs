//! What changes while a listener runs, and how calls and connections end.

use tonic_types::StatusExt as _;

use super::*;

#[tokio::test]
async fn a_reload_changes_new_connections_and_keeps_open_ones() {
    let fixture = Fixture::new();
    let listener = fixture.listener();
    let running = fixture.start(&listener);
    let mut open = connect(&running, fixture.client("kyc")).await.unwrap();
    check(&mut open, "").await.unwrap();

    std::fs::write(fixture.dir.path().join("server.pem"), "junk").unwrap();
    assert_eq!(fixture.tls.reload().unwrap_err().fault, Fault::NoCertificate);
    one_call(&running, fixture.client("kyc")).await.unwrap();

    let next = Authority::make(now()).unwrap();
    write_server_files(fixture.dir.path(), &next);
    fixture.tls.reload().unwrap();
    check(&mut open, "").await.unwrap();
    let issued = |authority: &Authority| authority.issue(&Authority::client_params("kyc", now()).unwrap()).unwrap();
    assert!(one_call(&running, fixture.client("kyc")).await.is_err(), "old server certificate");
    assert!(
        one_call(&running, client_config(&next, Some(&issued(&fixture.authority)))).await.is_err(),
        "old authority"
    );
    one_call(&running, client_config(&next, Some(&issued(&next)))).await.unwrap();
    check(&mut open, "").await.unwrap();
}

#[tokio::test]
async fn bindings_are_reloaded_or_kept() {
    let fixture = Fixture::new();
    let path = fixture.dir.path().join("bindings.toml");
    std::fs::write(&path, BINDINGS.replace("kyc", "root")).unwrap();
    assert!(fixture.bindings.reload().is_err());
    assert_eq!(fixture.bindings.current().len(), 1);
    std::fs::write(&path, BINDINGS.replace("dev.lacuna.invalid", "example.org")).unwrap();
    fixture.bindings.reload().unwrap();
    let running = fixture.start(&fixture.listener());
    assert!(one_call(&running, fixture.client("kyc")).await.is_err(), "the trust domain has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_finishes_calls_and_takes_no_new_ones() {
    let fixture = Fixture::new();
    let listener = Listener { threads: 2, ..fixture.listener() };
    let running = fixture.start(&listener);
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    let slow = tokio::spawn(async move { check(&mut client, "400").await });
    soon("the call has begun", || fixture.calls() == 1);
    running.drain();
    soon("the port is closed", || TcpStream::connect(running.address()).is_err());
    assert!(!slow.is_finished());
    slow.await.unwrap().unwrap();
    assert_eq!(running.stop(), Ended { threads_cut: 0, threads_lost: 0 });
    assert_eq!(listener.connections.open(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_cuts_calls_that_take_too_long() {
    let fixture = Fixture::new();
    let listener = Listener { shutdown_time_max: Duration::from_millis(100), ..fixture.listener() };
    let running = fixture.start(&listener);
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    let slow = tokio::spawn(async move { check(&mut client, "30000").await });
    soon("the call has begun", || fixture.calls() == 1);
    let start = Instant::now();
    assert_eq!(running.stop(), Ended { threads_cut: 1, threads_lost: 0 });
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(slow.await.unwrap().is_err());
    assert_eq!(listener.connections.open(), 0);
}

#[tokio::test]
async fn a_call_past_its_time_is_told_so() {
    let fixture = Fixture::new();
    let listener = Listener { call_time_max: Some(Duration::from_millis(50)), ..fixture.listener() };
    let running = fixture.start(&listener);
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    check(&mut client, "").await.unwrap();
    let status = check(&mut client, "5000").await.unwrap_err();
    let info = status.get_details_error_info().unwrap();
    assert_eq!((status.code(), info.reason.as_str()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
    assert_eq!(info.domain, "lacuna.v1");
    assert!(status.get_details_retry_info().is_some());
    check(&mut client, "").await.unwrap();
    let calls = listener.calls.unwrap();
    let answered = [Code::Ok, Code::DeadlineExceeded].map(|code| calls.answered("/grpc.health.v1.Health/Check", code));
    assert_eq!(answered, [2, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_its_caller_gives_up_is_counted_as_cancelled() {
    let fixture = Fixture::new();
    let listener = fixture.listener();
    let running = fixture.start(&listener);
    let mut client = connect(&running, fixture.client("kyc")).await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(100), check(&mut client, "30000")).await;
    assert!(given_up.is_err());
    let calls = listener.calls.unwrap();
    soon("counted", || calls.answered("/grpc.health.v1.Health/Check", Code::Cancelled) == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_and_counted() {
    let fixture = Fixture::new();
    let listener = Listener { connections_max: 1, ..fixture.listener() };
    let running = fixture.start(&listener);
    let first = connect(&running, fixture.client("kyc")).await.unwrap();
    assert!(one_call(&running, fixture.client("kyc")).await.is_err());
    assert!(listener.connections.refused(Refusal::ConnectionLimit) >= 1);
    drop(first);
    soon("the place is free again", || listener.connections.open() == 0);
    one_call(&running, fixture.client("kyc")).await.unwrap();
}

#[test]
fn a_client_that_says_nothing_is_dropped() {
    let fixture = Fixture::new();
    let listener = fixture.listener_with(|times| times.handshake = Duration::from_millis(50));
    let running = fixture.start(&listener);
    let mut stream = TcpStream::connect(running.address()).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    soon("counted", || listener.connections.refused(Refusal::HandshakeTimeout) == 1);
}

#[tokio::test]
async fn the_hook_is_called_when_a_thread_is_about_to_sleep() {
    let fixture = Fixture::new();
    let parks = Arc::new(AtomicUsize::new(0));
    let counter = parks.clone();
    let on_park = move || {
        counter.fetch_add(1, Ordering::SeqCst);
    };
    let hooks = Hooks { on_park: Arc::new(on_park), ..Hooks::default() };
    let sample = fixture.sample.clone();
    let routes = move || Routes::new(HealthServer::new(sample.clone()));
    let running = serve(&fixture.listener(), routes, &hooks).unwrap();
    soon("the thread is asleep", || parks.load(Ordering::SeqCst) > 0);
    let before = parks.load(Ordering::SeqCst);
    one_call(&running, fixture.client("kyc")).await.unwrap();
    assert!(parks.load(Ordering::SeqCst) > before);
}
