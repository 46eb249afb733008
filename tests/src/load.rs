//! Publishers, one task a key, each sequential: the next event of a key is sent after the last one's answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::Backend;
use crate::client::{self, Answer, Connection};
use crate::evidence::{Published, Refusal};
use crate::hash::sha256_hex;

/// Between two tries of an event whose fate is unknown or that was refused for now.
const PAUSE: Duration = Duration::from_millis(10);

/// What is published.
#[derive(Clone, Debug)]
pub struct Plan {
    pub topic: String,
    /// Publishers: each has a key of its own.
    pub keys: u64,
    /// Events of each key. `None`: until stopped.
    pub events_per_key: Option<u64>,
    /// Bytes of data of each event.
    pub bytes: usize,
    /// Waited between two events of a key.
    pub pace: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self { topic: "orders".into(), keys: 8, events_per_key: None, bytes: 256, pace: Duration::ZERO }
    }
}

impl Plan {
    /// Steady publishers beside faults: enough to have something under way at each of them, and not so many that the test is
    /// about load.
    pub fn steady(backend: Backend) -> Self {
        let pace = match backend {
            Backend::Embedded | Backend::Kafka => Duration::from_millis(20),
            // Of a key the server hands out one message at a time, and settles travel every 100 ms.
            Backend::Pubsub => Duration::from_millis(200),
        };
        Self { keys: 32, bytes: 200, pace, ..Self::default() }
    }
}

/// Publishers at work. Dropping it stops them where they are.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    accepted: AtomicUsize,
    changed: Notify,
    published: Mutex<Vec<Published>>,
    refusals: Mutex<Vec<Refusal>>,
}

/// Log A, once the publishers have stopped.
#[derive(Clone, Debug, Default)]
pub struct LogA {
    pub published: Vec<Published>,
    pub refusals: Vec<Refusal>,
}

impl LogA {
    pub fn accepted(&self) -> usize {
        self.published.iter().filter(|event| event.accepted).count()
    }
}

impl Load {
    /// Starts publishing to a sidecar's app listener.
    pub fn start(app: SocketAddr, plan: &Plan) -> Self {
        let shared = Arc::new(Shared::default());
        let mut tasks = JoinSet::new();
        for key in 0..plan.keys {
            tasks.spawn(publish_key(app, plan.clone(), format!("key-{key}"), Arc::clone(&shared)));
        }
        Self { shared, tasks }
    }

    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Acquire)
    }

    /// Waits until so many events in all were accepted.
    pub async fn until_accepted(&self, events: usize) {
        let waiting = async {
            loop {
                let mut changed = std::pin::pin!(self.shared.changed.notified());
                changed.as_mut().enable();
                if self.accepted() >= events {
                    return;
                }
                changed.await;
            }
        };
        let waited = tokio::time::timeout(crate::webhook::patience(), waiting).await;
        assert!(waited.is_ok(), "only {} of {events} events were accepted in time", self.accepted());
    }

    /// Lets each publisher bring its present event to an end, and returns log A.
    pub async fn stop(self) -> LogA {
        self.shared.stop.store(true, Ordering::Release);
        self.finish().await
    }

    /// Waits until every publisher has published its `events_per_key`, and returns log A.
    pub async fn finish(mut self) -> LogA {
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a publisher does not panic");
        }
        LogA {
            published: std::mem::take(&mut *self.shared.published.lock()),
            refusals: std::mem::take(&mut *self.shared.refusals.lock()),
        }
    }
}

async fn publish_key(app: SocketAddr, plan: Plan, key: String, shared: Arc<Shared>) {
    let mut connection = None;
    let mut seq = 0;
    while plan.events_per_key.is_none_or(|max| seq < max) && !shared.stop.load(Ordering::Acquire) {
        let outgoing = Outgoing::new(&plan, &key, seq);
        let sends = outgoing.until_accepted(app, &mut connection, &shared).await;
        let accepted = sends.accepted;
        shared.published.lock().push(outgoing.published(sends));
        if accepted {
            shared.accepted.fetch_add(1, Ordering::AcqRel);
            shared.changed.notify_waiters();
        }
        seq += 1;
        if !plan.pace.is_zero() {
            tokio::time::sleep(plan.pace).await;
        }
    }
}

/// One event on its way.
struct Outgoing {
    topic: String,
    key: String,
    seq: u64,
    id: String,
    trace: String,
    body: Bytes,
}

#[derive(Clone, Copy)]
struct Sends {
    accepted: bool,
    sends: u32,
}

impl Outgoing {
    fn new(plan: &Plan, key: &str, seq: u64) -> Self {
        let trace = format!("{:032x}", fastrand::u128(1..));
        let id = format!("{key}/{seq}/{}", &trace[..8]);
        let head = format!(r#"{{"seq":{seq},"pad":""#);
        let pad = plan.bytes.saturating_sub(head.len() + 2);
        let body = format!("{head}{}\"}}", "x".repeat(pad)).into();
        Self { topic: plan.topic.clone(), key: key.into(), seq, id, trace, body }
    }

    /// Sends the event until it is accepted: again with the same id where its fate is unknown. Publishers that were
    /// told to stop give an event up only when it has been tried for as long as a test waits.
    async fn until_accepted(
        &self,
        app: SocketAddr,
        connection: &mut Option<Connection>,
        shared: &Shared,
    ) -> Sends {
        let mut sends = Sends { accepted: false, sends: 0 };
        let give_up = tokio::time::Instant::now() + crate::webhook::patience();
        while tokio::time::Instant::now() < give_up {
            let Ok(answer) = self.send(app, connection).await else {
                // A refused connection took nothing, but nobody can tell it from a reset one: count it as sent.
                sends.sends += 1;
                *connection = None;
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let status = answer.status.as_u16();
            if answer.status.is_success() {
                return Sends { accepted: true, sends: sends.sends + 1 };
            }
            if status == 504 {
                sends.sends += 1;
            } else {
                let retry_after = answer.header("retry-after").is_some();
                shared.refusals.lock().push(Refusal { status, code: answer.code(), retry_after });
                if !matches!(status, 429 | 503 | 507) {
                    return sends;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        sends
    }

    async fn send(&self, app: SocketAddr, connection: &mut Option<Connection>) -> anyhow::Result<Answer> {
        if connection.is_none() {
            *connection = Some(Connection::open(app).await?);
        }
        let open = connection.as_mut().expect("opened just now");
        open.send(self.request()).await
    }

    fn request(&self) -> Request<Full<Bytes>> {
        let traceparent = format!("00-{}-00f067aa0ba902b7-01", self.trace);
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-id", &self.id),
            ("ce-source", "/tests/load"),
            ("ce-type", "com.example.order.created"),
            ("ce-seq", &self.seq.to_string()),
            ("content-type", "application/json"),
            ("postrider-key", &self.key),
            ("traceparent", &traceparent),
        ];
        client::request(
            Method::POST,
            &format!("/v1/topics/{}/events", self.topic),
            &headers,
            self.body.clone(),
        )
    }

    fn published(self, sends: Sends) -> Published {
        Published {
            sha256: sha256_hex(&self.body),
            id: self.id,
            key: Some(self.key),
            seq: self.seq,
            trace: Some(self.trace),
            accepted: sends.accepted,
            sends: sends.sends,
        }
    }
}
