//! A server over a driver that answers as the test says, and a client that sends exact bytes.

#![expect(dead_code, reason = "each test binary uses its part")]

pub(crate) mod desk;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use broker::fake::Fake;
use postrider_api::{App, Limits, Listener, Settings, serve};
use publish::{KeyFrom, Publisher, Topic};
use telemetry::Telemetry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) driver: Arc<Fake>,
    pub(crate) publisher: Publisher,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
}

pub(crate) fn topic(driver: &Arc<Fake>, name: &str, types: &[&str]) -> Topic {
    Topic {
        name: name.into(),
        broker: "local".into(),
        on_broker: name.into(),
        driver: driver.clone(),
        key: Some(KeyFrom::Subject),
        event_bytes_max: 100_000,
        types: types.iter().map(|t| t.to_string()).collect(),
        open: true,
    }
}

pub(crate) fn publisher(driver: &Arc<Fake>) -> Publisher {
    let publisher = Publisher::new(publish::Limits::default(), Telemetry::default());
    let internal = Topic { open: false, ..topic(driver, "orders.dead-letter", &[]) };
    publisher.set_topics(vec![
        topic(driver, "orders", &["com.example.order"]),
        topic(driver, "users", &["com.example.user"]),
        internal,
    ]);
    publisher
}

/// Small bounds, so that tests reach them.
pub(crate) fn limits() -> Limits {
    Limits {
        header_bytes: 16 << 10,
        body_bytes: 200_000,
        request_timeout: Duration::from_secs(20),
        connections: 64,
        idle_timeout: Duration::from_secs(20),
    }
}

pub(crate) fn settings() -> Settings {
    Settings { service: "shop".into(), hosts: vec!["shop.example".into()], limits: limits() }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(Fake::new(), settings()).await
    }

    pub(crate) async fn start_with(driver: Arc<Fake>, settings: Settings) -> Self {
        let publisher = publisher(&driver);
        let listener = Listener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.port().expect("TCP has a port");
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let limits = settings.limits;
        let app = App::new(publisher.clone(), Telemetry::default(), settings, tasks.clone());
        serve(listener, app, limits, &tasks, &stop);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        Self { address, driver, publisher, tasks, stop }
    }

    /// POSTs with these headers beside `host` and `content-length`.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Reply {
        self.raw(&request("POST", path, headers, body.as_ref())).await
    }

    /// Sends exactly these bytes and reads until the server closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Reply {
        exchange(TcpStream::connect(self.address).await.expect("the server listens"), bytes).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("the server listens")
    }
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        head.push_str("host: localhost\r\n");
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub(crate) async fn exchange<S>(mut stream: S, bytes: &[u8]) -> Reply
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // A server that has answered already may close while the rest is being written.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    Reply::parse(&answer)
}

#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    /// The code of a problem document, having checked its form.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!(json["status"], self.status, "{self:?}");
        let code = json["code"].as_str().expect("a code").to_owned();
        assert!(json["type"].as_str().expect("a type").ends_with(&format!("/{code}.md")), "{self:?}");
        assert!(!json["detail"].as_str().expect("a detail").is_empty(), "{self:?}");
        if matches!(self.status, 429 | 503) {
            assert!(self.header("retry-after").is_some(), "429 and 503 carry Retry-After: {self:?}");
        }
        code
    }
}

pub(crate) const BINARY: [(&str, &str); 5] = [
    ("content-type", "application/json"),
    ("ce-specversion", "1.0"),
    ("ce-id", "1"),
    ("ce-source", "/shop"),
    ("ce-type", "com.example.order"),
];

/// An event in structured mode.
pub(crate) fn structured(id: &str, kind: &str, subject: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/shop","type":"{kind}","subject":"{subject}","data":{{"n":1}}}}"#
    )
}
