//! The operations listener.

use super::*;

#[test]
fn operations_answer_over_plain_http_on_loopback_only() {
    let mut registry = Registry::default();
    let listener = Listener::ops(([127, 0, 0, 1], 0).into(), Security::Plain);
    listener.connections.register(&mut registry, listener.name);
    let (readiness, registry) = (Readiness::default(), Arc::new(registry));
    let state = readiness.clone();
    let routes = move || Routes::from(ops::routes(state.clone(), registry.clone()));
    let running = serve(&listener, routes.clone(), &Hooks::default()).unwrap();
    let status = |path| http(running.address(), path).lines().next().unwrap().to_owned();
    assert_eq!(status("/livez"), "HTTP/1.1 200 OK");
    assert_eq!(status("/readyz"), "HTTP/1.1 503 Service Unavailable");
    readiness.set(State::Ready);
    assert_eq!(status("/readyz"), "HTTP/1.1 200 OK");
    assert_eq!(status("/other"), "HTTP/1.1 404 Not Found");
    let metrics = http(running.address(), "/metrics");
    assert!(metrics.contains("lacuna_ops_connections_open 1"), "{metrics}");
    let public = Listener::ops(([0, 0, 0, 0], 0).into(), Security::Plain);
    assert!(matches!(serve(&public, routes, &Hooks::default()), Err(ServeError::PlainOffLoopback { .. })));
}

#[tokio::test]
async fn operations_in_serve_ask_for_a_certificate() {
    let fixture = Fixture::new();
    let security = Security::Ops(fixture.tls.clone(), fixture.bindings.clone());
    let listener = Listener::ops(([127, 0, 0, 1], 0).into(), security);
    let routes = || Routes::from(ops::routes(Readiness::default(), Arc::new(Registry::default())));
    let running = serve(&listener, routes, &Hooks::default()).unwrap();
    let get = async |config: Arc<ClientConfig>| {
        let mut config = (*config).clone();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut stream = connect_tls(running.address(), Arc::new(config)).await?;
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.map(|_| String::from_utf8(answer).unwrap())
    };
    assert!(get(fixture.client("operator")).await.unwrap().starts_with("HTTP/1.1 200 OK"));
    assert!(get(client_config(&fixture.authority, None)).await.is_err());
}
