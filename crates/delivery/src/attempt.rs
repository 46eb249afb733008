//! One attempt: wait for room, load, POST, judge, publish the reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use broker::{Body, BoxFuture, Key, Record};
use bytes::Bytes;
use engine::{Attempt, Outcome, Scope, Token};
use telemetry::{Telemetry, Trace};
use tokio::time::Instant;

use crate::Spec;
use crate::push::{self, Answering, HEAD_KEPT, Keep, Part, Pool, Push, Table, Template};
use crate::reply::{Cause, Replies, Unpublished};
use crate::room::{Room, Turn};
use crate::story::Story;

/// Everything that attempts of one subscription share, as its present configuration has it. Attempts hold on to the one
/// that they began with.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) name: Arc<str>,
    pub(crate) telemetry: Telemetry,
    pub(crate) pool: Pool,
    template: Template,
    table: Table,
    timeout: Duration,
    replies: Option<Replies>,
    /// Whether the app behind the webhook is expected to listen.
    app_up: Arc<AtomicBool>,
}

/// What an attempt is about.
pub(crate) struct Job {
    pub(crate) attempt: Attempt,
    pub(crate) probe: bool,
    pub(crate) parts: Vec<JobPart>,
    pub(crate) room: Arc<Room>,
    /// `None`: a recall does not concern it.
    pub(crate) turn: Option<Turn>,
}

pub(crate) struct JobPart {
    pub(crate) token: Token,
    /// Which POST of this delivery this is, from 1.
    pub(crate) number: u32,
    /// Size of its record on the broker.
    pub(crate) bytes: u32,
    pub(crate) record: Load,
}

/// A record, or the way to it.
pub(crate) enum Load {
    Here(Arc<Record>),
    Stored(BoxFuture<'static, Result<Record, broker::Error>>),
}

impl Load {
    pub(crate) async fn await_record(self) -> Result<Arc<Record>, broker::Error> {
        match self {
            Self::Here(record) => Ok(record),
            Self::Stored(loading) => match tokio::time::timeout(LOAD_TIMEOUT, loading).await {
                Ok(loaded) => loaded.map(Arc::new),
                Err(_) => {
                    let message = format!("the broker did not bring it within {LOAD_TIMEOUT:?}");
                    Err(broker::Error::new(broker::ErrorKind::Unavailable, message))
                }
            },
        }
    }
}

/// How an attempt ended, delivery by delivery.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The longest of its requests'.
    pub(crate) latency: Duration,
    pub(crate) ended: Vec<Ended>,
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) token: Token,
    pub(crate) outcome: Outcome,
    /// What is to be remembered of a delivery that is not done.
    pub(crate) last: Option<Box<Last>>,
    /// Its source knows the lease no more: it is dead, though that need not have been told.
    pub(crate) dead: bool,
}

/// The last attempt of a delivery that failed: for its dead letter, and for status.
#[derive(Clone, Debug)]
pub(crate) struct Last {
    pub(crate) key: Option<Key>,
    pub(crate) at_ms: u64,
    pub(crate) status: Option<u16>,
    /// Head of the answer, or why there was none.
    pub(crate) answer: Arc<str>,
    /// The record makes no event, and was not sent.
    pub(crate) foreign: bool,
}

/// What came of one POST.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) status: Option<u16>,
    pub(crate) answer: Arc<str>,
}

struct Loaded {
    token: Token,
    number: u32,
    record: Result<Arc<Record>, broker::Error>,
}

/// Longest time that a record takes from the broker's disk.
const LOAD_TIMEOUT: Duration = Duration::from_secs(30);

/// Most bytes of records in one request, unless a single one is larger. An attempt with more makes several requests, one
/// after another: several attempts are to have room beside each other, and few webhooks take a larger body.
const REQUEST_BYTES_MAX: u64 = 8 * 1024 * 1024;

const RETRY_EVENT: Outcome = Outcome::Retry { scope: Scope::Event, after: None };

pub(crate) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn trace_of(record: &Record) -> Option<Trace> {
    record.hop.traceparent.map(publish::trace)
}

impl Endpoint {
    pub(crate) fn new(
        spec: &Spec,
        push: &Push,
        telemetry: Telemetry,
        publisher: publish::Publisher,
        app_up: Arc<AtomicBool>,
    ) -> Result<Self, String> {
        let idle_max = usize::try_from(spec.policy.concurrency).unwrap_or(usize::MAX);
        Ok(Self {
            name: spec.name.as_str().into(),
            telemetry,
            pool: push.pool(&spec.webhook.uri, idle_max)?,
            template: Template::new(&spec.webhook, &spec.name, &spec.topic)?,
            table: Table::new(spec.webhook.answers.clone()),
            timeout: spec.webhook.timeout,
            replies: spec.reply_topic.as_deref().map(|topic| Replies::new(topic, publisher)),
            app_up,
        })
    }

    /// Makes the attempt. Dropping the future closes its connection.
    pub(crate) async fn deliver(&self, job: Job) -> Finished {
        let Job { probe, parts, room, turn, .. } = job;
        let mut finished = Finished { latency: Duration::ZERO, ended: Vec::with_capacity(parts.len()) };
        let mut parts = parts.into_iter();
        while !parts.as_slice().is_empty() {
            let (count, bytes) = next_request(parts.as_slice());
            // The records that are loaded live as long as this.
            let Some(_taken) = room.take(bytes, turn).await else { break };
            let loaded = load(&mut parts, count).await;
            if !self.request(&loaded, probe, &mut finished).await {
                break;
            }
        }
        // Nothing overtakes what failed.
        let unreached =
            |part: JobPart| Ended { token: part.token, outcome: Outcome::Unreached, last: None, dead: false };
        finished.ended.extend(parts.map(unreached));
        finished
    }

    /// Makes one request of the attempt. Whether the next may follow.
    async fn request(&self, parts: &[Loaded], probe: bool, finished: &mut Finished) -> bool {
        if let Some(error) = parts.iter().find_map(|part| part.record.as_ref().err()) {
            self.unloadable(parts, error, finished);
            return false;
        }
        let deliverable = |record: &Record| self.template.is_raw() || matches!(record.body, Body::Event(_));
        let sent: Vec<Part<'_>> = parts
            .iter()
            .filter_map(|part| Some(Part { record: part.record.as_deref().ok()?, number: part.number }))
            .filter(|part| deliverable(part.record))
            .collect();
        let verdict = match sent.as_slice() {
            [] => None,
            sent => {
                let (verdict, latency) = self.post(sent, probe).await;
                finished.latency = finished.latency.max(latency);
                Some(verdict)
            }
        };
        // A probe that asked nobody says nothing about the endpoint.
        let asked_nobody = probe && verdict.is_none();
        finished.ended.extend(parts.iter().filter_map(|part| {
            let record = part.record.as_deref().ok()?;
            Some(match (&record.body, &verdict) {
                (Body::Foreign { .. }, None) if asked_nobody => {
                    Ended { token: part.token, outcome: Outcome::Unreached, last: None, dead: false }
                }
                (Body::Foreign { reason, .. }, _) if !deliverable(record) => {
                    foreign(part.token, record, reason)
                }
                (_, Some(verdict)) => verdict.of(part.token, record),
                (_, None) => return None,
            })
        }));
        verdict.is_none_or(|verdict| verdict.outcome == Outcome::Done)
    }

    /// No POST is made where one of its records cannot be read, because the rest would overtake it. That spends nothing:
    /// either the lease has died, as a superseded one does without a word, or the broker is away.
    fn unloadable(&self, parts: &[Loaded], error: &broker::Error, finished: &mut Finished) {
        if error.kind != broker::ErrorKind::NotFound {
            tracing::warn!(subscription = %self.name, %error, "a delivery cannot be read from the broker");
        }
        let answer: Arc<str> = format!("cannot be read from the broker: {error}").into();
        finished.ended.extend(parts.iter().map(|part| {
            let key = part.record.as_ref().ok().and_then(|record| own_key(record));
            let last = Last { key, at_ms: wall_ms(), status: None, answer: answer.clone(), foreign: false };
            let gone = |error: &broker::Error| error.kind == broker::ErrorKind::NotFound;
            let dead = part.record.as_ref().is_err_and(gone);
            Ended { token: part.token, outcome: Outcome::Unreached, last: Some(Box::new(last)), dead }
        }));
    }

    /// Makes one POST; what came of it, and how long that took.
    async fn post(&self, parts: &[Part<'_>], probe: bool) -> (Verdict, Duration) {
        let begun = Instant::now();
        let story = Story::begin(&self.telemetry, &self.name, parts, probe, begun);
        let request = self.template.request(parts, wall_ms());
        let verdict = match push::exchange(&self.pool, request, begun, self.timeout).await {
            Ok(answering) => self.judge(answering, parts).await,
            Err(failure) => {
                let outcome = push::outcome_of(&failure, self.app_up.load(Ordering::Relaxed));
                Verdict { outcome, status: None, answer: failure.to_string().into() }
            }
        };
        let latency = story.end(&verdict);
        (verdict, latency)
    }

    async fn judge(&self, answering: Answering<'_>, parts: &[Part<'_>]) -> Verdict {
        let outcome = match self.table.outcome(answering.status, &answering.headers, SystemTime::now) {
            // One bad event must not condemn the others of its batch: each is sent alone next, and judged alone.
            Outcome::DeadLetter if parts.len() > 1 => RETRY_EVENT,
            outcome => outcome,
        };
        let may_reply = outcome == Outcome::Done && answering.status.is_success();
        let replies = self.replies.as_ref().filter(|_| may_reply);
        let keep = replies.map_or(Keep::Head, |replies| replies.keep(&answering.headers));
        // A reply has its room until it is durable.
        let (received, _taken) = answering.read(keep).await;
        let status = Some(received.status.as_u16());
        if let Some(replies) = replies {
            let cause = Cause { telemetry: &self.telemetry, subscription: &self.name, parts };
            return match replies.publish(received, &cause).await {
                Ok(()) => Verdict { outcome, status, answer: Arc::default() },
                Err(Unpublished(why)) => Verdict { outcome: RETRY_EVENT, status, answer: why.into() },
            };
        }
        let answer = if outcome == Outcome::Done { Arc::default() } else { head(&received.body).into() };
        Verdict { outcome, status, answer }
    }
}

impl Verdict {
    fn of(&self, token: Token, record: &Record) -> Ended {
        let last = (self.outcome != Outcome::Done).then(|| {
            Box::new(Last {
                key: own_key(record),
                at_ms: wall_ms(),
                status: self.status,
                answer: self.answer.clone(),
                foreign: false,
            })
        });
        Ended { token, outcome: self.outcome, last, dead: false }
    }
}

/// What is no event cannot be delivered as one, now or ever: it is a dead letter without having been sent.
fn foreign(token: Token, record: &Record, reason: &str) -> Ended {
    let last =
        Last { key: own_key(record), at_ms: wall_ms(), status: None, answer: reason.into(), foreign: true };
    Ended { token, outcome: Outcome::DeadLetter, last: Some(Box::new(last)), dead: false }
}

/// How many of the parts go into the next request, one at least, and their bytes.
fn next_request(parts: &[JobPart]) -> (usize, u64) {
    let (mut count, mut bytes) = (0, 0);
    for part in parts {
        let with = bytes + u64::from(part.bytes);
        if count > 0 && with > REQUEST_BYTES_MAX {
            break;
        }
        (count, bytes) = (count + 1, with);
    }
    (count, bytes)
}

/// The records of the next so many parts.
async fn load(parts: &mut std::vec::IntoIter<JobPart>, count: usize) -> Vec<Loaded> {
    if parts.as_slice()[..count].iter().all(|part| matches!(part.record, Load::Here(_))) {
        let loaded = |part: JobPart| match part.record {
            Load::Here(record) => Some(Loaded { token: part.token, number: part.number, record: Ok(record) }),
            Load::Stored(_) => None,
        };
        return parts.take(count).filter_map(loaded).collect();
    }
    let loading = parts.take(count).map(|part| async move {
        Loaded { token: part.token, number: part.number, record: part.record.await_record().await }
    });
    Box::pin(futures::future::join_all(loading)).await
}

/// The key in memory of its own: as a slice of its record it would hold on to all of that.
fn own_key(record: &Record) -> Option<Key> {
    record.key.as_ref().and_then(|key| Key::new(Bytes::copy_from_slice(key.as_bytes())))
}

/// The first KiB of an answer as text. Control characters, which could forge lines of a log, become spaces.
fn head(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(HEAD_KEPT)]);
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_answer_is_one_short_line() {
        assert_eq!(head(b"no\r\nsuch \x1b[31morder\n"), "no  such  [31morder");
        assert_eq!(head(&[b'x'; 5000]).len(), HEAD_KEPT);
        assert!(head(&[0xff; 10]).chars().all(|c| c == char::REPLACEMENT_CHARACTER));
    }
}
