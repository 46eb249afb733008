//! A subscription: what is delivered where, how, and what happens when it fails.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Value, json};

use crate::address::To;
use crate::decode::{Context, Decode};
use crate::error::Code;
use crate::node::{Kind, Node, excerpt};
use crate::schema::{REFERENCE, constant};
use crate::text::{Text, text_value};
use crate::tree::App;
use crate::units::{Duration, Rate};

table! {
    /// A durable cursor over a topic, and the webhook that it is delivered to.
    pub struct Subscription {
        /// The topic, by its logical name.
        pub topic: String,
        /// Where events are sent: a path below the app's URL, or a whole URL.
        pub to: To,
        /// The service in the durable name, where it is not the process's (a gateway serves several).
        pub service: Option<String> = None,
        /// The application behind this webhook, where it is not the process's.
        pub app: Option<App> = None,
        /// The form of a delivery: `binary`, `structured`, `raw` or `batch: { max: 100 }`.
        pub mode: Mode = Mode::Binary,
        /// How attributes become headers.
        pub encoding: Encoding = Encoding::Percent,
        /// Where a new subscription begins. An existing one goes on where it stands.
        pub start: Start = Start::Earliest,
        /// What order deliveries keep.
        pub ordering: Ordering = Ordering::Key,
        /// Most attempts open at once.
        pub concurrency: u32 = 64 => 1..=10_000,
        /// Of one attempt.
        pub timeout: Duration = Duration::from_secs(30) => Duration::from_millis(1)..=Duration::from_secs(3_600),
        /// What is held of the topic's backlog at once, waiting deliveries included.
        pub buffer: Buffer = Buffer::default(),
        /// When a failed delivery is tried again.
        pub retry: Retry = Retry::default(),
        /// When the webhook counts as down.
        pub breaker: Breaker = Breaker::default(),
        /// How many attempts are open at once: it adapts, up to `concurrency`.
        pub window: Window = Window::default(),
        /// What another answer than usual means, by its status: `404: dead_letter`.
        pub answers: BTreeMap<u16, Answer> = BTreeMap::new(),
        /// Where an event in the webhook's answer is published.
        pub reply_topic: Option<String> = None,
        /// What cannot be delivered.
        pub dead_letter: DeadLetter = DeadLetter::default(),
        /// How a key goes on when one of its events has been dead-lettered.
        pub after_dead_letter: AfterDeadLetter = AfterDeadLetter::Continue,
    }
}

choice! {
    /// How an attribute's value becomes a header's.
    pub enum Encoding {
        /// Percent-encoded, as the CloudEvents specification has it.
        Percent = "percent",
        /// As it is, for applications whose SDK does not decode.
        Raw = "raw",
    }
}

choice! {
    /// What order deliveries keep.
    pub enum Ordering {
        /// A key's events arrive one after another.
        Key = "key",
        /// None.
        None = "none",
    }
}

choice! {
    /// What an answer means.
    pub enum Answer {
        /// Delivered.
        Done = "done",
        /// The endpoint fails: try again, and count it for the breaker.
        Retry = "retry",
        /// This event fails: try again.
        RetryEvent = "retry_event",
        /// Dead-letter at once.
        DeadLetter = "dead_letter",
        /// Pause the subscription.
        Pause = "pause",
    }
}

choice! {
    /// How a key goes on when one of its events has been dead-lettered.
    pub enum AfterDeadLetter {
        /// With its next event.
        Continue = "continue",
        /// Not until an operator resumes the subscription.
        Pause = "pause",
    }
}

table! {
    /// What is held of the topic's backlog at once; reading stops beyond it.
    pub struct Buffer: Default {
        /// Events, 1 to 1,000,000. By default 10,000; 1,000,000 on a broker that keeps waiting events on its own disk (embedded).
        pub events: Option<u32> = None,
    }
}

table! {
    /// When a failed delivery is tried again: exponential backoff with full jitter.
    pub struct Retry: Default {
        /// Longest wait before the second attempt; it doubles from there.
        pub initial: Duration = Duration::from_millis(200) => Duration::from_millis(1)..=Duration::from_secs(86_400),
        /// Longest wait between two attempts.
        pub max: Duration = Duration::from_secs(300) => Duration::from_millis(1)..=Duration::from_secs(86_400),
        /// Spent attempts, the first included, before an event is dead-lettered. Attempts while the webhook is down spend nothing.
        pub max_attempts: u32 = 30 => 1..=65_535,
        /// Age, since the first spent attempt, at which an event is dead-lettered.
        pub max_age: Duration = Duration::from_secs(86_400) => Duration::from_millis(1)..=Duration::from_secs(3_650 * 86_400),
        /// Longest wait that a `Retry-After` may ask for.
        pub retry_after_max: Duration = Duration::from_secs(300) => Duration::from_millis(0)..=Duration::from_secs(86_400),
    }
}

table! {
    /// When the webhook counts as down. While the breaker is open, only single probes are sent, and no attempt is spent.
    pub struct Breaker: Default {
        /// Failures of the endpoint in a row that open it.
        pub consecutive: u32 = 5 => 1..=10_000,
        /// Share of successes below which it opens, once five deliveries or more were tried.
        pub success_ratio: f64 = 0.2 => 0.0..=1.0,
        /// What that share is taken over.
        pub over: Duration = Duration::from_secs(10) => Duration::from_millis(100)..=Duration::from_secs(3_600),
        /// How long it is open before the first probe; it doubles from there.
        pub open: Duration = Duration::from_secs(1) => Duration::from_millis(1)..=Duration::from_secs(86_400),
        /// Longest wait between two probes.
        pub open_max: Duration = Duration::from_secs(60) => Duration::from_millis(1)..=Duration::from_secs(86_400),
    }
}

table! {
    /// The adaptive number of attempts open at once.
    pub struct Window: Default {
        /// To begin with.
        pub initial: u32 = 4 => 1..=10_000,
    }
}

table! {
    /// What cannot be delivered.
    pub struct DeadLetter: Default {
        /// Where it goes: a configured topic, or a name on the subscription's broker. Without it `{prefix}{service}.{subscription}.dead-letter`.
        pub topic: Option<String> = None,
        /// Most letters that answers of the webhook may cause before the subscription pauses.
        pub max_rate: Rate = Rate::a_minute(100),
    }
}

/// The form of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Attributes are headers, the data is the body.
    Binary,
    /// The whole event as JSON.
    Structured,
    /// The data alone, with its content type and Postrider's own headers.
    Raw,
    /// Several events at once, as a JSON array.
    Batch(Batch),
}

table! {
    /// Several events in one delivery.
    pub struct Batch {
        /// Most events in it. More than 8 MiB of them are sent in several requests, one after another.
        pub max: u32 = 100 => 1..=10_000,
    }
}

impl Copy for Batch {}
impl Eq for Batch {}

/// The words of [`Mode`], with what they mean.
const MODES: [(&str, &str, Mode); 4] = [
    ("binary", "Attributes are headers, the data is the body.", Mode::Binary),
    ("structured", "The whole event as JSON.", Mode::Structured),
    ("raw", "The data alone, with its content type and Postrider's own headers.", Mode::Raw),
    ("batch", "Up to 100 events at once, as a JSON array.", Mode::Batch(Batch { max: 100 })),
];

/// A word of [`MODES`] while it is decoded.
#[derive(Clone, Copy)]
struct ModeWord(usize);

impl fmt::Display for ModeWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MODES[self.0].0)
    }
}

impl Decode for Mode {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        if let Kind::Map(_) = node.kind {
            let Some(map) = cx.table(node, &["batch"]) else { return Self::placeholder() };
            return Self::Batch(cx.required(map, "batch"));
        }
        let words: [ModeWord; MODES.len()] = std::array::from_fn(ModeWord);
        crate::text::word(node, cx, &words).map_or(Self::Binary, |ModeWord(index)| MODES[index].2)
    }

    fn placeholder() -> Self {
        Self::Binary
    }
}

impl JsonSchema for Mode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Mode".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut any: Vec<Value> = MODES.iter().map(|(word, doc, _)| constant(word, &[doc])).collect();
        any.push(json!({ "type": "string", "pattern": REFERENCE }));
        any.push(json!({
            "type": "object",
            "properties": { "batch": generator.subschema_for::<Batch>() },
            "required": ["batch"],
            "patternProperties": { "^x-": true },
            "additionalProperties": false,
        }));
        json_schema!({ "description": "The form of a delivery.", "anyOf": any })
    }
}

/// Where a new subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With all that the broker still has.
    Earliest,
    /// With what is published from then on.
    Latest,
    /// With the first event taken in at this time or later.
    At(Timestamp),
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::At(time) => write!(f, "{time}"),
        }
    }
}

impl Text for Start {
    const NOUN: &'static str = "a place to start";
    const HINT: &'static str = "Write `earliest`, `latest`, or a time: `2026-03-01T00:00:00Z`.";
    const PATTERN: &'static str =
        r"earliest|latest|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:.]+(?:[Zz]|[+-][0-9:]+)";
    const EXAMPLES: &'static [&'static str] = &["earliest", "latest", "2026-03-01T00:00:00Z"];

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "earliest" => Ok(Self::Earliest),
            "latest" => Ok(Self::Latest),
            _ => text.parse().map(Self::At).map_err(|_| "it is no RFC 3339 time with its offset".to_owned()),
        }
    }

    fn placeholder() -> Self {
        Self::Earliest
    }
}

text_value!(Start);

/// Statuses that an answer can have: an informational one is none.
const STATUSES: std::ops::RangeInclusive<u16> = 200..=599;

impl Decode for BTreeMap<u16, Answer> {
    fn decode(node: &Node, cx: &mut Context) -> Self {
        if !matches!(node.kind, Kind::Map(_)) {
            cx.wrong_type(node, "a map", Some("Write `404: dead_letter`.".to_owned()));
            return Self::new();
        }
        let mut answers = Self::new();
        for entry in node.entries() {
            let answer = cx.entry(entry);
            match entry.key.parse() {
                Ok(status) if STATUSES.contains(&status) && entry.key.len() == 3 => {
                    answers.insert(status, answer);
                }
                _ => {
                    let message = format!("`{}` is no status of an answer", excerpt(&entry.key));
                    let hint = Some("A status is a number from 200 to 599.".to_owned());
                    cx.error_below(Some(&entry.key), Code::BadValue, entry.key_at, message, hint);
                }
            }
        }
        answers
    }

    fn placeholder() -> Self {
        Self::new()
    }
}
