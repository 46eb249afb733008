//! What is the same for all listeners: addresses, protocols, hosts, limits, shutdown.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use broker::fake::{Fake, durable};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use postrider_api::{App, BindErrorKind, Limits, Listener, Settings, serve};
use support::{BINARY, Server, exchange, limits, request, settings};
use telemetry::Telemetry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const ORDERS: &str = "/v1/topics/orders/events";

/// What must come in the end, comes long before.
const PATIENCE: Duration = Duration::from_secs(20);

fn publish() -> Vec<u8> {
    request("POST", ORDERS, &BINARY, b"1")
}

/// The app listener on any address.
async fn serving(listener: Listener, limits: Limits) -> (TaskTracker, CancellationToken) {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let app = App::new(support::publisher(&Fake::new()), Telemetry::default(), settings(), tasks.clone());
    serve(listener, app, limits, &tasks, &stop);
    (tasks, stop)
}

#[tokio::test]
async fn localhost_is_both_loopbacks_at_one_port() {
    let listener = Listener::bind("localhost:0").await.unwrap();
    let port = listener.port().unwrap();
    assert_eq!(listener.address(), format!("localhost:{port}"));
    let (_tasks, _stop) = serving(listener, limits()).await;
    let v4 = exchange(TcpStream::connect(("127.0.0.1", port)).await.unwrap(), &publish()).await;
    assert_eq!(v4.status, 200);
    // A machine without IPv6 has one loopback.
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        let v6 = exchange(TcpStream::connect(("::1", port)).await.unwrap(), &publish()).await;
        assert_eq!(v6.status, 200);
    }
    let again = Listener::bind(&format!("localhost:{port}")).await.unwrap_err();
    assert!(matches!(again.kind, BindErrorKind::InUse), "{again}");
    assert_eq!(again.to_string(), format!("cannot listen on localhost:{port}: the address is in use"));
}

#[tokio::test]
async fn both_loopbacks_are_answered_though_there_is_one_place() {
    let listener = Listener::bind("localhost:0").await.unwrap();
    let port = listener.port().unwrap();
    let _serving = serving(listener, Limits { connections: 1, ..limits() }).await;
    let has_v6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    let hosts: &[&str] = if has_v6 { &["127.0.0.1", "127.0.0.1", "::1", "::1"] } else { &["127.0.0.1"] };
    for host in hosts {
        let stream = TcpStream::connect((*host, port)).await.unwrap();
        let reply = tokio::time::timeout(PATIENCE, exchange(stream, &publish())).await;
        assert_eq!(reply.unwrap_or_else(|_| panic!("{host} is not answered")).status, 200, "{host}");
    }
}

#[tokio::test]
async fn what_is_no_address_is_said_to_be_none() {
    for bad in ["", "localhost", "localhost:x", "localhost:70000", "3500"] {
        let error = Listener::bind(bad).await.unwrap_err();
        assert!(matches!(error.kind, BindErrorKind::Invalid(_)), "{bad:?}: {error}");
    }
    let error = Listener::bind("192.0.2.1:0").await.unwrap_err();
    assert!(matches!(error.kind, BindErrorKind::Io(_)), "no interface has it: {error}");
}

#[tokio::test]
async fn a_unix_socket_is_its_owners_alone_and_a_stale_one_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let address = format!("unix:{}", path.display());
    // What a killed process leaves behind.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&address).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let error = Listener::bind(&address).await.unwrap_err();
    assert!(matches!(error.kind, BindErrorKind::InUse), "a live socket is not taken over: {error}");
    let (tasks, stop) = serving(listener, limits()).await;
    let any_host = request("POST", ORDERS, &[BINARY.as_slice(), &[("host", "anything")]].concat(), b"1");
    let reply = exchange(UnixStream::connect(&path).await.unwrap(), &any_host).await;
    assert_eq!(reply.status, 200, "the host is of no concern: {reply:?}");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    assert!(!path.exists(), "the file goes with the listener");
    std::fs::write(&path, "mine").unwrap();
    let error = Listener::bind(&address).await.unwrap_err();
    assert!(matches!(error.kind, BindErrorKind::Invalid(_)), "a file that is no socket stays: {error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
}

#[tokio::test]
async fn http2_is_spoken_without_an_upgrade() {
    let server = Server::start().await;
    let stream = TokioIo::new(server.connect().await);
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    for (host, expected) in [("localhost", StatusCode::OK), ("evil.example", StatusCode::FORBIDDEN)] {
        let mut request = Request::post(format!("http://{host}{ORDERS}"));
        for (name, value) in BINARY {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(bytes::Bytes::from_static(b"1"))).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), expected);
        assert!(!response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test]
async fn other_hosts_and_web_pages_are_refused() {
    let server = Server::start().await;
    let with = |extra: &[(&'static str, &'static str)]| [BINARY.as_slice(), extra].concat();
    for host in ["localhost:3500", "127.0.0.1", "[::1]:1", "SHOP.example:3500"] {
        assert_eq!(server.post(ORDERS, &with(&[("host", host)]), "1").await.status, 200, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "", "169.254.169.254"] {
        let reply = server.post(ORDERS, &with(&[("host", host)]), "1").await;
        assert_eq!((reply.status, reply.code()), (403, "host_not_allowed".into()), "{host}");
    }
    let target = format!("http://evil.example{ORDERS}");
    let reply = server.raw(&request("POST", &target, &BINARY, b"1")).await;
    assert_eq!((reply.status, reply.code()), (403, "host_not_allowed".into()), "in absolute form");
    for origin in ["http://localhost:3500", "https://evil.example", "null"] {
        let reply = server.post(ORDERS, &with(&[("origin", origin)]), "1").await;
        assert_eq!((reply.status, reply.code()), (403, "origin_not_allowed".into()), "{origin}");
    }
    let twice = String::from_utf8(publish()).unwrap().replace("host:", "host: localhost\r\nhost:");
    let reply = server.raw(twice.as_bytes()).await;
    assert_eq!((reply.status, reply.code()), (400, "bad_request".into()));
}

#[tokio::test]
async fn a_head_past_its_bound_is_431() {
    let server = Server::start().await;
    let large = "x".repeat(20_000);
    let reply = server.post(ORDERS, &[BINARY.as_slice(), &[("ce-note", large.as_str())]].concat(), "1").await;
    assert_eq!(reply.status, 431);
    let fits = "x".repeat(12_000);
    let reply = server.post(ORDERS, &[BINARY.as_slice(), &[("ce-note", fits.as_str())]].concat(), "1").await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_or_stops_halfway_is_closed() {
    let limits = Limits { idle_timeout: Duration::from_millis(50), ..limits() };
    let server = Server::start_with(Fake::new(), Settings { limits, ..settings() }).await;
    for said in ["", "PRI * HTTP/2.0\r\n", "POST / HTTP/1.1\r\nhost: loc"] {
        let mut connection = server.connect().await;
        connection.write_all(said.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // Ends only because the server closes.
        let _ = connection.read_to_end(&mut answer).await;
    }
}

#[tokio::test]
async fn a_client_that_opens_no_window_for_its_answer_loses_its_connection() {
    let limits = Limits { idle_timeout: Duration::from_millis(50), ..limits() };
    let server = Server::start_with(Fake::new(), Settings { limits, ..settings() }).await;
    // It reads all the time, and answers pings.
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(0)
        .handshake(TokioIo::new(server.connect().await))
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let request = Request::get("http://localhost/nothing").body(Full::new(bytes::Bytes::new())).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let closed = tokio::time::timeout(PATIENCE, tasks.join_next()).await;
    assert!(closed.is_ok(), "the connection is kept for an answer that is never taken");
    assert!(response.into_body().collect().await.is_err(), "the answer was not taken");
}

#[tokio::test]
async fn over_the_bound_on_connections_one_waits_for_another_to_end() {
    let limits = Limits { connections: 1, ..limits() };
    let server = Server::start_with(Fake::new(), Settings { limits, ..settings() }).await;
    let mut first = server.connect().await;
    first.write_all(b"POST / HTTP/1.1\r\n").await.unwrap();
    let bytes = publish();
    let second = server.raw(&bytes);
    let mut second = std::pin::pin!(second);
    tokio::select! {
        biased;
        reply = &mut second => panic!("answered beside the first: {reply:?}"),
        () = async { for _ in 0..1000 { tokio::task::yield_now().await } } => {}
    }
    drop(first);
    assert_eq!(second.await.status, 200);
}

#[tokio::test]
async fn at_shutdown_requests_under_way_are_answered_and_connections_closed() {
    let server = Server::start_with(Fake::holding(), settings()).await;
    let idle = server.connect().await;
    let mut busy = server.connect().await;
    let keep_alive = String::from_utf8(publish()).unwrap().replace("connection: close\r\n", "");
    busy.write_all(keep_alive.as_bytes()).await.unwrap();
    let promise = server.driver.held().await;
    server.stop.cancel();
    promise.answer(vec![durable(0)]);
    let mut answer = Vec::new();
    busy.read_to_end(&mut answer).await.unwrap();
    assert_eq!(support::Reply::parse(&answer).status, 200);
    server.tasks.close();
    server.tasks.wait().await;
    drop(idle);
    assert!(TcpStream::connect(server.address).await.is_err(), "nothing listens any more");
}
