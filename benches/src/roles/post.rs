//! POSTing as Postrider does: a connection that is driven by the request on it.

use std::net::SocketAddr;
use std::pin::Pin;

use anyhow::{Result, ensure};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rdkafka::message::Headers;
use tokio::net::TcpStream;

pub(super) type Post = Request<Full<Bytes>>;

/// What is POSTed.
pub(super) struct Parts<'a, H> {
    pub(super) payload: Bytes,
    pub(super) key: Option<&'a [u8]>,
    /// The event's attributes, as Kafka's binding has them.
    pub(super) headers: Option<&'a H>,
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
    pub(super) fn post<H: Headers>(&self, parts: Parts<'_, H>) -> Result<Post> {
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
        for found in parts.headers.into_iter().flat_map(Headers::iter) {
            let Some(value) = found.value else { continue };
            let value = HeaderValue::from_bytes(value)?;
            match found.key {
                "content-type" => headers.insert(header::CONTENT_TYPE, value),
                "traceparent" => headers.insert("traceparent", value),
                "ce_id" => {
                    headers.insert("webhook-id", value.clone());
                    headers.insert("ce-id", value)
                }
                "ce_specversion" => headers.insert("ce-specversion", value),
                "ce_source" => headers.insert("ce-source", value),
                "ce_type" => headers.insert("ce-type", value),
                "ce_time" => headers.insert("ce-time", value),
                "ce_benchns" => headers.insert(HeaderName::from_static("ce-benchns"), value),
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
