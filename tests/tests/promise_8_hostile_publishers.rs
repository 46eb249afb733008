//! Promise 8, and the app listener beside it: slow, oversized and malformed publishers hold up nobody and nothing, and a
//! backlog of a million events with a million keys stays on disk.
//!
//! On the embedded broker alone: what is judged is the listener and what is held for a subscription, in front of any broker.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use http::Method;
use postrider_tests::client::{self, Connection};
use postrider_tests::webhook::patience;
use postrider_tests::{Answer, Postrider, Setup, Webhook, tell};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const HEAD: &str =
    "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";

/// Lets this process, and the sidecars that it starts, open as many files as the system allows. How many that is.
fn raise_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    // Where it is refused, the limit is what it was.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How long each of so many requests took, sorted.
async fn timed(sidecar: &Postrider, requests: usize) -> Vec<Duration> {
    let mut connection = Connection::open(sidecar.app()).await.expect("a good client gets a connection");
    let mut took = Vec::with_capacity(requests);
    for _ in 0..requests {
        let headers = [("content-type", "application/json"), ("postrider-key", "k")];
        let request = client::request(Method::POST, "/v1/topics/orders/events", &headers, "{}");
        let began = Instant::now();
        let answer = connection.send(request).await.expect("a good client gets an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took
}

fn p99(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() * 99 / 100]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_slow_publishers_hold_up_no_good_one() {
    const REQUESTS: usize = 1_000;
    const ROUNDS: usize = 3;
    // Each takes a file in this process, and one in the sidecar.
    let slow_max = usize::try_from(raise_files() / 10 * 9).unwrap_or(usize::MAX).min(10_000);
    let sidecar = Postrider::start(Setup::new().with("/limits/connections", json!(20_000))).await;
    let Some(before_bytes) = sidecar.memory_peak_bytes() else { return };
    let mut without = Vec::new();
    let mut beside = Vec::new();
    let mut slow = Vec::new();
    for round in 0..ROUNDS {
        // The first rounds of either kind take turns: all slow ones go, and come again.
        slow.clear();
        without.extend(timed(&sidecar, REQUESTS).await);
        while slow.len() < slow_max {
            let mut stream = TcpStream::connect(sidecar.app()).await.expect("the listener accepts");
            // Half a head, a head without its body, half a body.
            let begun = match slow.len() % 3 {
                0 => HEAD[..40].to_owned(),
                1 => format!("{HEAD}content-length: 100\r\n\r\n"),
                _ => format!("{HEAD}transfer-encoding: chunked\r\n\r\n64\r\n{{\"a\":"),
            };
            stream.write_all(begun.as_bytes()).await.expect("the bytes are taken");
            slow.push(stream);
        }
        let (trickled, took) = tokio::join!(trickle(&mut slow), timed(&sidecar, REQUESTS));
        beside.extend(took);
        assert!(trickled > 0, "round {round}: the slow ones go on sending");
        let answer = client::send(sidecar.health(), client::request(Method::GET, "/readyz", &[], "")).await;
        assert_eq!(answer.expect("the health listener answers").status, 200);
    }
    without.sort_unstable();
    beside.sort_unstable();
    let grown = sidecar.memory_peak_bytes().unwrap_or(before_bytes) - before_bytes;
    tell(&format!(
        "{slow_max} slow sockets: good clients' p50 {:?} and p99 {:?} beside them, {:?} and {:?} without; {} KiB a socket",
        beside[beside.len() / 2],
        p99(&beside),
        without[without.len() / 2],
        p99(&without),
        grown / 1024 / slow_max as u64
    ));
    let held = slow_max as u64 * (64 << 10);
    assert!(grown < held, "{} MiB for {slow_max} sockets", grown >> 20);
}

/// A byte on each of the sockets. How many took it.
async fn trickle(slow: &mut [TcpStream]) -> usize {
    let mut taken = 0;
    for stream in slow {
        taken += usize::from(stream.write_all(b"x").await.is_ok());
        tokio::task::yield_now().await;
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_house_of_slow_publishers_leaves_those_who_are_in_alone() {
    const PLACES: usize = 64;
    let sidecar = Postrider::start(Setup::new().with("/limits/connections", json!(PLACES))).await;
    let mut good = Connection::open(sidecar.app()).await.expect("there is room");
    let request = || {
        let headers = [("content-type", "application/json"), ("postrider-key", "k")];
        client::request(Method::POST, "/v1/topics/orders/events", &headers, "{}")
    };
    assert_eq!(good.send(request()).await.expect("an answer comes").status, 200);
    let mut slow = Vec::new();
    for _ in 0..2 * PLACES {
        let mut stream = TcpStream::connect(sidecar.app()).await.expect("the kernel's queue has room");
        stream.write_all(HEAD.as_bytes()).await.expect("the bytes are taken");
        slow.push(stream);
    }
    for _ in 0..100 {
        assert_eq!(good.send(request()).await.expect("an answer comes").status, 200);
    }
    // Whoever comes now waits until one of the slow ones goes.
    let (late, ()) = tokio::join!(Connection::open(sidecar.app()), async { slow.clear() });
    let answer = late.expect("the kernel's queue has room").send(request()).await;
    assert_eq!(answer.expect("a place is free again").status, 200);
}

/// What is no request, or none that may be taken.
fn malformed() -> Vec<Vec<u8>> {
    let mut corpus: Vec<Vec<u8>> = [
        "\r\n\r\n\r\n",
        "\0\0\0\0\0\0\0\0\r\n\r\n",
        "GET\r\n\r\n",
        "POST /v1/topics/orders/events\r\n\r\n",
        "POST /v1/topics/orders/events HTTP/9.9\r\nhost: localhost\r\n\r\n",
        "POST /v1/topics/orders/events HTTP/1.1\r\n\r\n",
        "POST /v1/topics/orders/events HTTP/1.1\r\nhost localhost\r\n\r\n",
        "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\n folded: x\r\n\r\n",
        "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n",
        "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999999999999999\r\n\r\n",
        "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip, chunked\r\ncontent-type: application/json\r\n\r\n0\r\n\r\n",
        "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
        "POST /v1/topics/%zz/events HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n",
        "POST /v1/topics/../../etc/passwd HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n",
        "POST http://[::1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n",
        "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\n\r\n",
        "TRACE / HTTP/1.1\r\nhost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nthis is no frame at all, and long enough for one",
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03",
    ]
    .iter()
    .map(|text| text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect())
    .collect();
    let many: String = (0..5_000).map(|n| format!("x-{n}: y\r\n")).collect();
    corpus.push(format!("{HEAD}{many}\r\n").into_bytes());
    corpus.push(format!("{HEAD}x: {}\r\n\r\n", "y".repeat(1 << 20)).into_bytes());
    corpus.push(format!("POST /{} HTTP/1.1\r\nhost: localhost\r\n\r\n", "a".repeat(1 << 20)).into_bytes());
    corpus.push([HEAD.as_bytes(), b"postrider-key: \xff\x00\r\ncontent-length: 2\r\n\r\n{}"].concat());
    corpus.push(vec![b'\n'; 1 << 20]);
    corpus.push((0..=255).cycle().take(1 << 20).collect());
    corpus
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_request_is_refused_or_cut_off_and_harms_nobody() {
    let mut sidecar = Postrider::start(Setup::new()).await;
    for bytes in malformed() {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(120)]).into_owned();
        let (mut read, mut write) =
            TcpStream::connect(sidecar.app()).await.expect("the listener accepts").into_split();
        let exchange = async {
            // A server that has refused it may close while the rest is being written.
            let send = async {
                drop(write.write_all(&bytes).await);
                drop(write.shutdown().await);
            };
            let mut answer = Vec::new();
            let (_, ()) = tokio::join!(read.read_to_end(&mut answer), send);
            answer
        };
        let answer = tokio::time::timeout(patience(), exchange).await;
        let answer = answer.unwrap_or_else(|_| panic!("neither answered nor cut off: {shown:?}"));
        let head = String::from_utf8_lossy(&answer[..answer.len().min(60)]).into_owned();
        let refused = head.starts_with("HTTP/1.1 4") || head.starts_with("HTTP/1.1 505");
        // HTTP/2's refusal is a frame.
        assert!(refused || !head.starts_with("HTTP/1."), "{shown:?} is answered {head:?}");
    }
    sidecar.publish_event("e-1", "k").await;
    let ended = sidecar.stop().await;
    assert_eq!(ended.code, Some(0), "{}", ended.output);
    assert!(!ended.output.contains("panicked"), "{}", ended.output);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_of_a_million_events_and_keys_is_not_held_in_memory() {
    const STREAMS: u64 = 4;
    const EVENTS: u64 = 1_000_000;
    const QUARTER: u64 = EVENTS / 4;
    /// Three quarters of a million events with as many keys: what is held of them would be 24 MiB at 32 bytes each.
    const GROWTH_MAX: u64 = 96 << 20;
    let webhook = Webhook::scripted(|_| Answer::hang()).await;
    let setup = Setup::new().subscription("stuck", &webhook.url("/"), json!({ "timeout": "20s" }));
    let sidecar = Postrider::start(setup).await;
    let Some(before) = sidecar.memory_peak_bytes() else { return };
    let mut at = Vec::new();
    for quarter in 0..4 {
        let mut streams = JoinSet::new();
        for stream in 0..STREAMS {
            let from = quarter * QUARTER + stream * QUARTER / STREAMS;
            streams.spawn(lines(sidecar.app(), from, from + QUARTER / STREAMS));
        }
        while let Some(accepted) = streams.join_next().await {
            assert_eq!(accepted.expect("a stream does not panic"), QUARTER / STREAMS);
        }
        at.push(sidecar.memory_peak_bytes().expect("it runs still"));
    }
    let all = json!(EVENTS);
    let status = sidecar.until_subscription("stuck", "the whole backlog", |s| s["lag"] == all).await;
    let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
    let shown: Vec<String> = at.iter().map(|peak| mib(*peak)).collect();
    tell(&format!(
        "peak memory {} before, {} after each quarter of a million events",
        mib(before),
        shown.join(", ")
    ));
    let grown = at[3] - at[0];
    assert!(grown < GROWTH_MAX, "from 250,000 events to a million it grew by {}: {shown:?}", mib(grown));
    assert_eq!(status["dead_lettered"], 0);

    // It goes on where it stands, once the attempts that hang have run into their timeout.
    let tried: HashSet<String> = webhook.attempts().into_iter().map(|attempt| attempt.id).collect();
    webhook.answer(|_| Answer::status(204));
    webhook.until_delivered(5_000).await;
    assert!(tried.len() < 5_000, "no more than the window was tried while nothing was answered");
}

/// Streams events with these numbers, each with a key of its own. How many were accepted.
async fn lines(app: std::net::SocketAddr, from: u64, to: u64) -> u64 {
    let stream = TcpStream::connect(app).await.expect("the listener accepts");
    let (mut read, mut write) = stream.into_split();
    let send = async {
        let head = "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
            content-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n";
        write.write_all(head.as_bytes()).await?;
        let mut chunk = String::new();
        for n in from..to {
            chunk.push_str(&format!(
                "{{\"specversion\":\"1.0\",\"id\":\"{n}\",\"source\":\"/s\",\"type\":\"t\",\"partitionkey\":\"customer-{n}\"}}\n"
            ));
            if chunk.len() > 60_000 || n + 1 == to {
                write.write_all(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes()).await?;
                chunk.clear();
            }
        }
        write.write_all(b"0\r\n\r\n").await
    };
    let mut answer = String::new();
    let (sent, received) = tokio::join!(send, read.read_to_string(&mut answer));
    received.expect("an answer comes");
    sent.unwrap_or_else(|error| panic!("the stream was cut off ({error}) with {answer}"));
    let body =
        answer.split("\r\n\r\n").nth(1).and_then(|body| serde_json::from_str::<serde_json::Value>(body).ok());
    body.and_then(|body| body["accepted"].as_u64()).unwrap_or_else(|| panic!("{answer}"))
}
