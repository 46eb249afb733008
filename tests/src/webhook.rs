//! A webhook that does what a test tells it, and keeps log D.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::{Mutex, RwLock};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::evidence::Attempt;
use crate::hash::sha256_hex;
use crate::script::{Answer, Body, Misbehaving, Seen};

/// How long a test waits for something that must happen, before it fails: a minute, or as many seconds as
/// `POSTRIDER_PATIENCE` says, where it is known that it will not happen.
pub fn patience() -> Duration {
    static PATIENCE: LazyLock<Duration> = LazyLock::new(|| {
        let asked = std::env::var("POSTRIDER_PATIENCE").ok().and_then(|seconds| seconds.parse().ok());
        Duration::from_secs(asked.unwrap_or(60))
    });
    *PATIENCE
}

type Script = Arc<dyn Fn(&Seen) -> Answer + Send + Sync>;

/// A server on loopback, on the runtime that starts it; it stops when it is dropped.
#[derive(Debug)]
pub struct Webhook {
    address: SocketAddr,
    log: Arc<Log>,
    tasks: JoinSet<()>,
}

struct Log {
    began: Instant,
    script: RwLock<Script>,
    requests: AtomicU64,
    attempts: Mutex<Vec<Attempt>>,
    changed: Notify,
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("attempts", &self.attempts.lock().len()).finish_non_exhaustive()
    }
}

impl Webhook {
    /// A webhook that answers everything with 204.
    pub async fn start() -> Self {
        Self::scripted(|_| Answer::status(204)).await
    }

    pub async fn scripted(script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        Self::on(listener, Arc::new(script))
    }

    /// A webhook that answers everything with 204, where another one was before it stopped.
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("the address is free again");
        Self::on(listener, Arc::new(|_| Answer::status(204)))
    }

    fn on(listener: TcpListener, script: Script) -> Self {
        let address = listener.local_addr().expect("a bound socket has an address");
        let log = Arc::new(Log {
            began: Instant::now(),
            script: RwLock::new(script),
            requests: AtomicU64::new(0),
            attempts: Mutex::new(Vec::new()),
            changed: Notify::new(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, Arc::clone(&log)));
        Self { address, log, tasks }
    }

    /// Closes the listener and every connection.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }

    /// Replaces the script; requests that are open end as they began.
    pub fn answer(&self, script: impl Fn(&Seen) -> Answer + Send + Sync + 'static) {
        *self.log.script.write() = Arc::new(script);
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Log D so far, in the order in which the attempts began.
    pub fn attempts(&self) -> Vec<Attempt> {
        self.log.attempts.lock().clone()
    }

    /// Log D of one path, for a webhook that serves several subscriptions.
    pub fn attempts_at(&self, path: &str) -> Vec<Attempt> {
        self.log.attempts.lock().iter().filter(|attempt| attempt.path == path).cloned().collect()
    }

    /// Waits until log D is as it should be; panics, and says what was missing, when that takes too long.
    pub async fn until(&self, what: &str, mut is_so: impl FnMut(&[Attempt]) -> bool) {
        let waiting = async {
            loop {
                let mut changed = std::pin::pin!(self.log.changed.notified());
                changed.as_mut().enable();
                if is_so(&self.log.attempts.lock()) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(patience(), waiting).await.is_err() {
            let attempts = self.attempts();
            let last: Vec<&Attempt> = attempts.iter().rev().take(5).collect();
            panic!("never came: {what}. {} attempts, the last of them {last:#?}", attempts.len());
        }
    }

    /// Waits until so many different events have succeeded.
    pub async fn until_delivered(&self, events: usize) {
        // Counted as the log grows: a scan of the whole log at every change would be quadratic.
        let mut delivered = std::collections::HashSet::new();
        let mut open: Vec<usize> = Vec::new();
        let mut looked_at = 0;
        self.until(&format!("{events} delivered events"), |attempts| {
            open.extend(looked_at..attempts.len());
            looked_at = attempts.len();
            open.retain(|i| {
                let attempt = &attempts[*i];
                if attempt.succeeded() {
                    delivered.insert(attempt.id.clone());
                }
                attempt.end.is_none()
            });
            delivered.len() >= events
        })
        .await;
    }

    /// Waits until no request is open. After the sender was killed, its connections take a moment to be seen closed.
    pub async fn until_quiet(&self) {
        self.until("no open request", |attempts| attempts.iter().all(|attempt| attempt.end.is_some())).await;
    }
}

impl Log {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

async fn serve(listener: TcpListener, log: Arc<Log>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        drop(stream.set_nodelay(true));
        let log = Arc::clone(&log);
        connections.spawn(async move {
            let stream = Misbehaving::new(stream);
            let fault = stream.fault();
            let service = service_fn(move |request| {
                let (log, fault) = (Arc::clone(&log), fault.clone());
                async move { Ok::<_, Infallible>(log.take(request, &fault).await) }
            });
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

impl Log {
    async fn take(
        self: Arc<Self>,
        request: Request<Incoming>,
        fault: &crate::script::Fault,
    ) -> Response<Body> {
        let start = self.now();
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let attempt = self.attempt(&head.headers, head.uri.path(), &body, start);
        let mut seen = Seen { attempt, headers: head.headers, body, earlier: 0 };
        let place = {
            let mut attempts = self.attempts.lock();
            let same = |a: &&Attempt| a.id == seen.attempt.id && a.path == seen.attempt.path;
            // Only a script that counts pays for the scan: `postrider-attempt` says it for free where it is above 1.
            seen.earlier = if seen.attempt.attempt > 1 { attempts.iter().filter(same).count() } else { 0 };
            attempts.push(seen.attempt.clone());
            attempts.len() - 1
        };
        self.changed.notify_waiters();
        // Ends the attempt also when the connection closes first: then this future is dropped where it waits.
        let mut open = Open { log: &self, place, status: None };
        let script = Arc::clone(&self.script.read());
        let answer = script(&seen);
        tokio::time::sleep(answer.delay).await;
        if answer.hangs() {
            std::future::pending::<()>().await;
        }
        answer.set(fault);
        open.status = answer.reaches_the_sender().then_some(answer.status);
        drop(open);
        answer.into_response()
    }

    fn attempt(&self, headers: &HeaderMap, path: &str, body: &Bytes, start: u64) -> Attempt {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        Attempt {
            request: self.requests.fetch_add(1, Ordering::Relaxed),
            // An event without data comes in structured mode, and other modes have no `ce-` headers at all.
            id: text("ce-id").or_else(|| text("webhook-id")).unwrap_or_default(),
            key: text("postrider-key"),
            seq: text("ce-seq").and_then(|seq| seq.parse().ok()),
            sha256: sha256_hex(body),
            trace: text("traceparent").and_then(|t| t.split('-').nth(1).map(str::to_owned)),
            subscription: text("postrider-subscription").unwrap_or_default(),
            path: path.to_owned(),
            attempt: text("postrider-attempt").and_then(|n| n.parse().ok()).unwrap_or(0),
            start,
            end: None,
            status: None,
        }
    }
}

/// An attempt that has not ended.
struct Open<'a> {
    log: &'a Log,
    place: usize,
    status: Option<u16>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let now = self.log.now();
        let mut attempts = self.log.attempts.lock();
        attempts[self.place].end = Some(now);
        attempts[self.place].status = self.status;
        drop(attempts);
        self.log.changed.notify_waiters();
    }
}
