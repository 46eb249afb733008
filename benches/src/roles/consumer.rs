//! The yardstick of delivery: a librdkafka consumer on a thread of its own hands each record, as a request with the
//! headers that Postrider sends, to connections that POST it, each one at a time. Offsets are committed by librdkafka.
//! No order, no retries, no progress beyond the order of reading: the least that could be called delivery.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};

use super::properties::{Properties, config};
use super::{asked, note, say};

/// Longest wait for a record before a look at whether it is over.
const POLL: Duration = Duration::from_millis(100);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) bootstrap: String,
    /// Beyond where to begin (at the earliest record) and how often to commit (every 100 ms).
    pub(crate) properties: Properties,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) to: SocketAddr,
    /// Most requests open at once.
    pub(crate) concurrency: usize,
}

type Requests = mpsc::Sender<Request<Full<Bytes>>>;

pub(super) fn play(spec: &Spec) -> Result<()> {
    let consumer: BaseConsumer = config(&spec.bootstrap, &spec.properties)
        .set("group.id", &spec.group)
        .set("auto.offset.reset", "earliest")
        .set("auto.commit.interval.ms", "100")
        .create()?;
    consumer.subscribe(&[&spec.topic])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (requests, taken) = mpsc::channel(spec.concurrency);
    let taken = Arc::new(Mutex::new(taken));
    for _ in 0..spec.concurrency {
        let posting = post_all(spec.to, Arc::clone(&taken));
        runtime.spawn(async move {
            posting.await.inspect_err(|error| note(&format!("bare consumer: {error:#}")))
        });
    }
    let reading = read_all(consumer, spec, requests)?;
    say(&())?;
    while asked()?.is_some() {}
    // Those that post end with the runtime, and with them the channel, which ends the thread that reads.
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(taken);
    reading.join().map_err(|_| anyhow::anyhow!("the thread that reads panicked"))?
}

fn read_all(consumer: BaseConsumer, spec: &Spec, requests: Requests) -> Result<JoinHandle<Result<()>>> {
    let host = HeaderValue::from_str(&spec.to.to_string())?;
    let topic = HeaderValue::from_str(&spec.topic)?;
    let read = move || {
        while !requests.is_closed() {
            let Some(message) = consumer.poll(POLL) else { continue };
            let request = request(&message?, &host, &topic)?;
            if requests.blocking_send(request).is_err() {
                break;
            }
        }
        Ok(())
    };
    std::thread::Builder::new().name("reading".into()).spawn(read).context("a thread starts")
}

/// The delivery of a record in binary mode.
fn request(
    message: &BorrowedMessage<'_>,
    host: &HeaderValue,
    topic: &HeaderValue,
) -> Result<Request<Full<Bytes>>> {
    let body = Bytes::copy_from_slice(message.payload().unwrap_or_default());
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static("/events");
    let headers = request.headers_mut();
    headers.reserve(24);
    headers.insert(header::HOST, host.clone());
    headers.insert(header::USER_AGENT, HeaderValue::from_static("postrider/0.1.0"));
    headers.insert("postrider-subscription", HeaderValue::from_static("sink"));
    headers.insert("postrider-topic", topic.clone());
    headers.insert("postrider-attempt", HeaderValue::from_static("1"));
    headers
        .insert("webhook-timestamp", HeaderValue::from(message.timestamp().to_millis().unwrap_or(0) / 1000));
    if let Some(key) = message.key() {
        headers.insert("postrider-key", HeaderValue::from_bytes(key)?);
    }
    for found in message.headers().into_iter().flat_map(Headers::iter) {
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

async fn post_all(to: SocketAddr, taken: Arc<Mutex<mpsc::Receiver<Request<Full<Bytes>>>>>) -> Result<()> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = pin!(connection);
    let mut ended = false;
    loop {
        // The lock is let go of before the request is sent.
        let Some(request) = taken.lock().await.recv().await else { return Ok(()) };
        let exchange = async {
            sender.ready().await?;
            let mut response = sender.send_request(request).await?;
            while response.frame().await.transpose()?.is_some() {}
            ensure!(response.status().is_success(), "answered {}", response.status());
            Ok(())
        };
        let mut exchange = pin!(exchange);
        // The connection moves with its request, as Postrider's do.
        std::future::poll_fn(|cx| {
            ended = ended || connection.as_mut().poll(cx).is_ready();
            exchange.as_mut().poll(cx)
        })
        .await?;
    }
}
