//! A small HTTP client for a sidecar's own listeners: one connection a request, over TCP or a Unix socket.

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http::header::{HeaderMap, ToStrError};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;

/// Where a listener is.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    address: String,
}

/// An answer whose body is still to come, and the task that drives its connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Incoming,
    _connection: JoinSet<()>,
}

pub(crate) type Body = UnsyncBoxBody<Bytes, anyhow::Error>;

impl Client {
    /// `HOST:PORT`, `http://HOST:PORT` or `unix:PATH`.
    pub(crate) fn new(address: &str) -> Self {
        Self { address: address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/').to_owned() }
    }

    /// Sends a request; only a transport error is an error.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Answer> {
        let unix = self.address.strip_prefix("unix:");
        let host = if unix.is_some() { "localhost" } else { &self.address };
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body)?;
        let unreachable =
            || format!("no sidecar answers at {}; is it running, and is this its address?", self.address);
        match unix {
            Some(path) => exchange(UnixStream::connect(path).await.with_context(unreachable)?, request).await,
            None => {
                exchange(TcpStream::connect(&self.address).await.with_context(unreachable)?, request).await
            }
        }
        .with_context(|| format!("talking to {}", self.address))
    }

    /// Sends a request without a body and reads the JSON answer; a problem becomes an error that shows its detail.
    pub(crate) async fn json(&self, method: Method, path: &str) -> Result<Value> {
        let answer = self.send(method, path, &[], empty()).await?;
        answer.json().await
    }
}

impl Answer {
    /// Reads the whole body, at most 64 MiB of it.
    pub(crate) async fn bytes(self) -> Result<(StatusCode, Bytes)> {
        const BODY_BYTES_MAX: usize = 64 << 20;
        let body = http_body_util::Limited::new(self.body, BODY_BYTES_MAX);
        let bytes = body.collect().await.map_err(|e| anyhow!("reading the answer: {e}"))?.to_bytes();
        Ok((self.status, bytes))
    }

    /// The body as JSON where the status is a success, else its problem as an error.
    pub(crate) async fn json(self) -> Result<Value> {
        let (status, bytes) = self.bytes().await?;
        if !status.is_success() {
            return Err(problem(status, &bytes));
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).context("the answer is no JSON; is this a Postrider listener?")
    }
}

/// A problem document, or whatever came in its place, as one sentence.
pub(crate) fn problem(status: StatusCode, body: &[u8]) -> anyhow::Error {
    let Ok(problem) = serde_json::from_slice::<Value>(body) else {
        return anyhow!("answered {status}");
    };
    let text = |name: &str| problem.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (code, detail) = (text("code"), text("detail"));
    let detail = if detail.is_empty() { text("title") } else { detail };
    anyhow!("{detail} ({} {code}; `postrider explain {code}` tells more)", status.as_u16())
}

async fn exchange<S>(stream: S, request: Request<Body>) -> Result<Answer>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        // An error of the connection shows in the response or its body.
        drop(connection.await);
    });
    let response = sender.send_request(request).await?;
    Ok(Answer { status: response.status(), body: response.into_body(), _connection: tasks })
}

/// Headers as [`Client::send`] takes them.
pub(crate) fn pairs(headers: &HeaderMap) -> Result<Vec<(&str, &str)>> {
    let pairs = headers.iter().map(|(name, value)| Ok((name.as_str(), value.to_str()?)));
    pairs.collect::<Result<_, ToStrError>>().context("a header of the event is not printable")
}

/// Adds the key that order follows, as deliveries carry it.
pub(crate) fn put_key(headers: &mut HeaderMap, key: &str) {
    headers.insert("postrider-key", event::http::value(key.to_owned().into()));
}

pub(crate) fn empty() -> Body {
    full(Bytes::new())
}

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// Percent-encodes one segment of a path or one value of a query (RFC 3986 §2.1: everything but unreserved).
pub(crate) fn escape(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
        out
    })
}
