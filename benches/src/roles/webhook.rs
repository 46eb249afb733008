//! What deliveries are sent to: a hyper server on one thread that answers 204, at once or after a while, and counts.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::{Ask, At, asked, say};
use crate::histogram::{Histogram, Latency};
use crate::measure::monotonic_nanoseconds;

/// Between two looks at the count. Rates are of the events' own times.
const LOOK: Duration = Duration::from_millis(1);
/// How long nothing has to come for a wait to end early.
const QUIET: Duration = Duration::from_secs(30);

const STAMP: HeaderName = HeaderName::from_static("ce-benchns");

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Before each answer.
    pub(crate) delay_ms: u64,
}

/// What has come since the start or the last reset.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) events: u64,
    /// From the first event to the last.
    pub(crate) seconds: f64,
    /// From when an event was due to be published until it came, of those that are stamped.
    pub(crate) latency: Option<Latency>,
}

pub(super) fn play(spec: &Spec) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))))?;
    let at = At { address: listener.local_addr()? };
    let shared = Arc::new(Shared::new(Duration::from_millis(spec.delay_ms)));
    runtime.spawn(serve(listener, Arc::clone(&shared)));
    say(&at)?;
    while let Some(ask) = asked()? {
        match ask {
            Ask::Reset => {
                shared.reset();
                say(&())?;
            }
            Ask::Seen | Ask::Go => say(&shared.seen())?,
            Ask::Until(events) => {
                shared.wait_for(events);
                say(&shared.seen())?;
            }
        }
    }
    runtime.shutdown_background();
    Ok(())
}

struct Shared {
    delay: Duration,
    events: AtomicU64,
    /// On the monotonic clock; 0: none.
    first: AtomicU64,
    last: AtomicU64,
    latency: Mutex<Histogram>,
}

impl Shared {
    fn new(delay: Duration) -> Self {
        let latency = Mutex::new(Histogram::new());
        Self { delay, events: AtomicU64::new(0), first: AtomicU64::new(0), last: AtomicU64::new(0), latency }
    }

    fn reset(&self) {
        for count in [&self.events, &self.first, &self.last] {
            count.store(0, Ordering::Relaxed);
        }
        *self.latency.lock() = Histogram::new();
    }

    fn seen(&self) -> Seen {
        let (first, last) = (self.first.load(Ordering::Relaxed), self.last.load(Ordering::Relaxed));
        Seen {
            events: self.events.load(Ordering::Relaxed),
            seconds: last.saturating_sub(first) as f64 / 1e9,
            latency: self.latency.lock().latency(),
        }
    }

    fn wait_for(&self, events: u64) {
        let asked = monotonic_nanoseconds();
        while self.events.load(Ordering::Relaxed) < events {
            let last = self.last.load(Ordering::Relaxed).max(asked);
            if monotonic_nanoseconds().saturating_sub(last) > QUIET.as_nanos() as u64 {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    async fn take(&self, request: Request<Incoming>) -> Response<Empty<Bytes>> {
        let now = monotonic_nanoseconds();
        let (head, mut body) = request.into_parts();
        // A body that breaks off is the sender's end, and its answer goes nowhere.
        while body.frame().await.is_some_and(|frame| frame.is_ok()) {}
        let stamp = head.headers.get(STAMP).and_then(|stamp| stamp.to_str().ok()?.parse::<u64>().ok());
        if let Some(stamp) = stamp.filter(|stamp| *stamp > 0) {
            self.latency.lock().record(now.saturating_sub(stamp));
        }
        if self.events.fetch_add(1, Ordering::Relaxed) == 0 {
            self.first.store(now, Ordering::Relaxed);
        }
        self.last.fetch_max(now, Ordering::Relaxed);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let mut response = Response::new(Empty::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        drop(stream.set_nodelay(true));
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(shared.take(request).await) }
            });
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}
