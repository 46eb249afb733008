//! Whatever a client sends to the app listener: requests, bodies, batches, NDJSON lines, or no HTTP at all.

#![no_main]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use api::{App, Caller, Face, Handle, Limits, Peer, Settings};
use broker::fake::{Fake, durable, refused};
use broker::{Outcome, RefusalKind};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use libfuzzer_sys::fuzz_target;
use publish::{KeyFrom, Publisher, Topic};
use serde_json::Value;
use telemetry::Telemetry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;

/// Most bytes of a body, so that inputs reach beyond it.
const BODY_BYTES_MAX: usize = 2048;
/// Every so many records one is refused.
const REFUSED_EVERY: u64 = 5;

thread_local! {
    // A paused clock goes on when nothing else can: what waits for a timeout gets it at once.
    static RUNTIME: Runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O");
}

fuzz_target!(|input: &[u8]| RUNTIME.with(|runtime| runtime.block_on(exchange(input))));

async fn exchange(input: &[u8]) {
    let driver = Fake::forgetting(outcome);
    let tasks = TaskTracker::new();
    let (app, caller) = (app(&driver, &tasks), caller());
    let (client, server) = tokio::io::duplex(1 << 16);
    let service = service_fn(|request| {
        let (app, caller) = (app.clone(), caller.clone());
        async move { Ok::<_, std::convert::Infallible>(app.handle(caller, request).await) }
    });
    let serve = http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
    let (mut read, mut write) = tokio::io::split(client);
    let send = async {
        // A server that has answered may close while the rest is being written.
        let _ = write.write_all(input).await;
        let _ = write.shutdown().await;
    };
    let mut answers = Vec::new();
    let (_, (), received) = tokio::join!(serve, send, read.read_to_end(&mut answers));
    received.expect("a duplex does not fail");
    tasks.close();
    tasks.wait().await;
    let told: u64 = answers_in(&answers).map(|(status, body)| accepted(status, body)).sum();
    let durable = driver.count() - driver.count() / REFUSED_EVERY;
    assert!(told <= durable, "{told} events are told to be durable, and {durable} are");
}

/// How many events an answer tells to be durable, having judged its form.
fn accepted(status: u16, body: &[u8]) -> u64 {
    if body.is_empty() {
        // HTTP's own refusals have none, and what is asked to be minimal.
        assert!(matches!(status, 204 | 400 | 405 | 408 | 413 | 414 | 417 | 431), "an empty {status}");
        return 0;
    }
    let body: Value = serde_json::from_slice(body).expect("an answer is JSON");
    if status >= 400 {
        assert_eq!(body["status"], status, "{body}");
        assert!(body["code"].as_str().is_some_and(|code| !code.is_empty()), "{body}");
        assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    }
    match &body["accepted"] {
        Value::Number(count) => count.as_u64().expect("a count"),
        Value::String(by) => {
            assert_eq!((status, by.as_str()), (200, "broker"), "{body}");
            1
        }
        _ => {
            let results = body["results"].as_array().map(Vec::as_slice).unwrap_or_default();
            results.iter().filter(|result| result["accepted"].is_string()).count() as u64
        }
    }
}

/// Status and body of each answer on the connection.
fn answers_in(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        loop {
            if bytes.is_empty() {
                return None;
            }
            let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a whole head");
            let head = std::str::from_utf8(&bytes[..end]).expect("a head of ASCII").to_ascii_lowercase();
            bytes = &bytes[end + 4..];
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length = length.map_or(0, |length| length.parse::<usize>().expect("a length"));
            // An answer to HEAD tells a length and has no body.
            let (body, rest) = bytes.split_at_checked(length).unwrap_or((&[], bytes));
            let body_follows = !body.starts_with(b"HTTP/1.");
            if status == 100 {
                continue;
            }
            if body_follows {
                bytes = rest;
                return Some((status, body));
            }
        }
    })
}

fn caller() -> Arc<Caller> {
    let peer = Peer::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)));
    Arc::new(Caller { face: Face::App, peer })
}

fn app(driver: &Arc<Fake>, tasks: &TaskTracker) -> App {
    let publisher = Publisher::new(publish::Limits::default(), Telemetry::default());
    publisher.set_topics(vec![Topic {
        name: "t".into(),
        broker: "local".into(),
        on_broker: "t".into(),
        driver: driver.clone(),
        key: Some(KeyFrom::Subject),
        event_bytes_max: 1024,
        types: vec!["t".into()],
        open: true,
    }]);
    let limits =
        Limits { body_bytes: BODY_BYTES_MAX, request_timeout: Duration::from_secs(2), ..Limits::default() };
    let settings = Settings { service: "fuzz".into(), hosts: Vec::new(), limits };
    App::new(publisher, Telemetry::default(), settings, tasks.clone())
}

/// Some records are refused.
fn outcome(number: u64) -> Outcome {
    let is_refused = number % REFUSED_EVERY == REFUSED_EVERY - 1;
    if is_refused { refused(RefusalKind::Unavailable) } else { durable(number) }
}
