//! POSTing as Postrider does: connections that are driven by the requests on them.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, mpsc};

use super::note;

pub(super) type Post = Request<Full<Bytes>>;

/// What is POSTed.
pub(super) struct Parts<'a, H> {
    pub(super) payload: Bytes,
    pub(super) key: Option<&'a [u8]>,
    /// Names and values of the event's attributes, as Kafka's binding or Pub/Sub's has them.
    pub(super) attributes: H,
    /// In seconds since the Unix epoch.
    pub(super) timestamp: i64,
}

/// Who is delivered to, and of which topic.
pub(super) struct Target {
    host: HeaderValue,
    topic: HeaderValue,
}

impl Target {
    pub(super) fn new(to: SocketAddr, topic: &str) -> Result<Self> {
        Ok(Self { host: HeaderValue::from_str(&to.to_string())?, topic: HeaderValue::from_str(topic)? })
    }

    /// The delivery of a record in binary mode, with the headers that Postrider sends.
    pub(super) fn post<'a>(
        &self,
        parts: Parts<'a, impl Iterator<Item = (&'a str, &'a [u8])>>,
    ) -> Result<Post> {
        let mut request = Request::new(Full::new(parts.payload));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from_static("/events");
        let headers = request.headers_mut();
        headers.reserve(24);
        headers.insert(header::HOST, self.host.clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static("postrider/0.1.0"));
        headers.insert("postrider-subscription", HeaderValue::from_static("sink"));
        headers.insert("postrider-topic", self.topic.clone());
        headers.insert("postrider-attempt", HeaderValue::from_static("1"));
        headers.insert("webhook-timestamp", HeaderValue::from(parts.timestamp));
        if let Some(key) = parts.key {
            headers.insert("postrider-key", HeaderValue::from_bytes(key)?);
        }
        for (name, value) in parts.attributes {
            let value = HeaderValue::from_bytes(value)?;
            match name {
                "content-type" => headers.insert(header::CONTENT_TYPE, value),
                "traceparent" => headers.insert("traceparent", value),
                "ce_id" | "ce-id" => {
                    headers.insert("webhook-id", value.clone());
                    headers.insert("ce-id", value)
                }
                "ce_specversion" | "ce-specversion" => headers.insert("ce-specversion", value),
                "ce_source" | "ce-source" => headers.insert("ce-source", value),
                "ce_type" | "ce-type" => headers.insert("ce-type", value),
                "ce_time" | "ce-time" => headers.insert("ce-time", value),
                "ce_benchns" | "ce-benchns" => headers.insert(HeaderName::from_static("ce-benchns"), value),
                _ => None,
            };
        }
        Ok(request)
    }
}

/// One connection, with one request at a time.
pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>,
    ended: bool,
}

impl Connection {
    pub(super) async fn to(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Box::pin(driver), ended: false })
    }

    /// Sends it and reads the answer, which is to be a success.
    pub(super) async fn send(&mut self, request: Post) -> Result<()> {
        let Self { sender, driver, ended } = self;
        let exchange = async {
            sender.ready().await?;
            let mut response = sender.send_request(request).await?;
            while response.frame().await.transpose()?.is_some() {}
            ensure!(response.status().is_success(), "answered {}", response.status());
            Ok(())
        };
        let mut exchange = std::pin::pin!(exchange);
        // The connection moves with its request, as Postrider's do.
        std::future::poll_fn(|cx| {
            *ended = *ended || driver.as_mut().poll(cx).is_ready();
            exchange.as_mut().poll(cx)
        })
        .await
    }
}

/// Starts connections that POST what they are handed, each one at a time. `answered` is told of each with what came with it.
/// They end with the runtime, or with the sender.
pub(super) fn connections<T: Send + 'static>(
    runtime: &Runtime,
    to: SocketAddr,
    number: usize,
    answered: fn(T),
) -> mpsc::Sender<(Post, T)> {
    let (requests, taken) = mpsc::channel(number);
    let taken = Arc::new(Mutex::new(taken));
    for _ in 0..number {
        let posting = post_all(to, Arc::clone(&taken), answered);
        runtime.spawn(async move { posting.await.inspect_err(|error| note(&format!("POSTing: {error:#}"))) });
    }
    requests
}

async fn post_all<T>(
    to: SocketAddr,
    taken: Arc<Mutex<mpsc::Receiver<(Post, T)>>>,
    answered: fn(T),
) -> Result<()> {
    let mut connection = Connection::to(to).await?;
    loop {
        // The lock is let go of before the request is sent.
        let Some((request, with)) = taken.lock().await.recv().await else { return Ok(()) };
        connection.send(request).await?;
        answered(with);
    }
}
