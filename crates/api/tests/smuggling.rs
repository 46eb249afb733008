//! Requests that two parsers could read differently: each is refused and its connection closed, or is one request and
//! no other. hyper is the only parser here; this corpus holds what it does.

mod support;

use std::time::Duration;

use broker::fake::Fake;
use postrider_api::Settings;
use support::{Server, settings};

const EVENT: &str = "host: localhost\r\ncontent-type: application/json\r\nce-specversion: 1.0\r\nce-id: outer\r\n\
                     ce-source: /s\r\nce-type: t\r\n";
/// A whole request that an attacker hides in another one's body.
const HIDDEN: &str = "POST /v1/topics/orders/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                      ce-specversion: 1.0\r\nce-id: hidden\r\nce-source: /s\r\nce-type: t\r\ncontent-length: 1\r\n\r\n1";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    /// 400, and the connection is closed.
    Refused,
    /// Read as one request, whatever its answer; nothing hidden is read after it.
    One,
}
use Expected::{One, Refused};

fn with(headers: &str, body: &str) -> String {
    format!("POST /v1/topics/orders/events HTTP/1.1\r\n{EVENT}{headers}\r\n\r\n{body}")
}

fn lengths() -> Vec<(&'static str, String, Expected)> {
    let hidden_length = format!("content-length: {}", HIDDEN.len() + 5);
    let chunked = "transfer-encoding: chunked";
    let ended = format!("0\r\n\r\n{HIDDEN}");
    vec![
        // hyper takes the chunks for the truth, drops the length before anybody sees it, and closes the connection after
        // its answer (RFC 9112 §6.3 allows that beside a refusal): so there is nothing left to refuse, and nothing after
        // the chunks is ever read.
        ("length, then chunked", with(&format!("{hidden_length}\r\n{chunked}"), &ended), One),
        ("chunked, then length", with(&format!("{chunked}\r\n{hidden_length}"), &ended), One),
        ("length that ends within the chunks", with(&format!("content-length: 4\r\n{chunked}"), &ended), One),
        ("two lengths", with("content-length: 1\r\ncontent-length: 2", "1"), Refused),
        ("the same length twice", with("content-length: 1\r\ncontent-length: 1", "1"), One),
        ("lengths in a list", with("content-length: 1, 2", "1"), Refused),
        ("signed length", with("content-length: +1", "1"), Refused),
        ("negative length", with("content-length: -1", "1"), Refused),
        ("hexadecimal length", with("content-length: 0x1", "1"), Refused),
        ("empty length", with("content-length: ", "1"), Refused),
        ("length past 64 bits", with("content-length: 99999999999999999999", "1"), Refused),
        ("space before the colon", with("content-length : 1", "1"), Refused),
        ("tab before the colon", with("content-length\t: 1", "1"), Refused),
        ("folded length", with("content-length:\r\n 1", "1"), Refused),
        ("folded header", with("x: a\r\n content-length: 1", "1"), Refused),
        ("header before the first", "POST / HTTP/1.1\r\n x: a\r\nhost: localhost\r\n\r\n".into(), Refused),
    ]
}

fn encodings() -> Vec<(&'static str, String, Expected)> {
    let ended = format!("0\r\n\r\n{HIDDEN}");
    let te = |value: &str| with(&format!("transfer-encoding:{value}"), &ended);
    let http10 = te(" chunked").replace("HTTP/1.1\r\nhost", "HTTP/1.0\r\nhost");
    vec![
        ("chunked is not last", te(" chunked, identity"), Refused),
        ("unknown encoding", te(" xchunked"), Refused),
        ("identity", te(" identity"), Refused),
        ("vertical tab", te(" \x0bchunked"), Refused),
        ("encoding in HTTP/1.0", http10, Refused),
        ("space before the colon", with("transfer-encoding : chunked", &ended), Refused),
        (
            "second encoding hides the first",
            with("transfer-encoding: chunked\r\ntransfer-encoding: x", &ended),
            Refused,
        ),
    ]
}

fn chunks() -> Vec<(&'static str, String, Expected)> {
    let chunked = |body: &str| with("transfer-encoding: chunked", body);
    vec![
        ("hexadecimal prefix", chunked(&format!("0x1\r\n1\r\n0\r\n\r\n{HIDDEN}")), Refused),
        ("signed chunk", chunked(&format!("+1\r\n1\r\n0\r\n\r\n{HIDDEN}")), Refused),
        ("negative chunk", chunked(&format!("-1\r\n1\r\n0\r\n\r\n{HIDDEN}")), Refused),
        ("chunk past 64 bits", chunked(&format!("10000000000000001\r\n1\r\n0\r\n\r\n{HIDDEN}")), Refused),
        ("no line end after the data", chunked(&format!("1\r\n10\r\n\r\n{HIDDEN}")), Refused),
        ("line feed in an extension", chunked(&format!("1;a\nb\r\n1\r\n0\r\n\r\n{HIDDEN}")), Refused),
        ("bare line feed after the size", chunked(&format!("1\n1\r\n0\r\n\r\n{HIDDEN}")), Refused),
        ("empty size", chunked(&format!("\r\n1\r\n0\r\n\r\n{HIDDEN}")), Refused),
    ]
}

fn lines() -> Vec<(&'static str, String, Expected)> {
    let bare = with("content-length: 1", "1").replace("\r\n", "\n");
    vec![
        ("bare line feeds", bare, One),
        ("carriage return in a value", with("x: a\rcontent-length: 1", "1"), Refused),
        ("null in a value", with("x: a\0b\r\ncontent-length: 1", "1"), Refused),
        ("control byte in a name", with("x\x01: a\r\ncontent-length: 1", "1"), Refused),
        ("no name", with(": a\r\ncontent-length: 1", "1"), Refused),
        ("no colon", with("x\r\ncontent-length: 1", "1"), Refused),
        ("two hosts", with("host: localhost\r\ncontent-length: 1", "1"), Refused),
        ("no host", "POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n".into(), Refused),
        ("space in the target", "POST / / HTTP/1.1\r\nhost: localhost\r\n\r\n".into(), Refused),
        ("unknown version", "POST / HTTP/1.9\r\nhost: localhost\r\n\r\n".into(), Refused),
        ("null in the method", "PO\0ST / HTTP/1.1\r\nhost: localhost\r\n\r\n".into(), Refused),
    ]
}

#[tokio::test]
async fn no_request_is_read_as_two() {
    // Where a request is taken, its connection is kept alive: the idle timeout ends it.
    let limits = postrider_api::Limits { idle_timeout: Duration::from_secs(1), ..support::limits() };
    let mut wrong = Vec::new();
    for (name, bytes, expected) in [lengths(), encodings(), chunks(), lines()].concat() {
        let server = Server::start_with(Fake::new(), Settings { limits, ..settings() }).await;
        let reply = {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let mut connection = server.connect().await;
            connection.write_all(bytes.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let _ = connection.read_to_end(&mut answer).await;
            String::from_utf8_lossy(&answer).into_owned()
        };
        let answers = reply.matches("HTTP/1.").count();
        let refused = reply.starts_with("HTTP/1.1 400") || reply.starts_with("HTTP/1.0 400");
        let hidden = server.driver.ids().iter().any(|id| id == "hidden");
        let right = answers <= 1 && !hidden && (expected == One || refused);
        if !right {
            wrong.push(format!("{name}: {answers} answers, hidden: {hidden}, {:?}", reply.lines().next()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
