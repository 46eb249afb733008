//! Everything around a subscription: the model broker, a publisher, telemetry.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::model::{Broker, Faults, Model, Settings};
use broker::{Body, Capabilities, Driver, Hop, Key, Record, Start, TraceParent};
use event::{Data, Event};
use parking_lot::Mutex;
use postrider_delivery::{Mode, Push, Spec, Status, Subscriptions, Webhook};
use publish::{Item, Limits, Publisher, Topic};
use telemetry::{Happened, Observer, Telemetry};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::webhook::PATIENCE;

pub(crate) const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

pub(crate) const LARGE: usize = 900 << 10;

pub(crate) struct House {
    pub(crate) broker: Broker,
    pub(crate) publisher: Publisher,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) told: Arc<Told>,
}

/// What telemetry was told, a line each.
#[derive(Debug, Default)]
pub(crate) struct Told {
    lines: Mutex<Vec<String>>,
    panic_at: Mutex<Option<&'static str>>,
    news: Notify,
}

#[derive(Debug)]
struct Recorder(Arc<Told>);

impl Observer for Recorder {
    fn observe(&self, happened: &Happened<'_>) {
        let mut line = String::new();
        write!(line, "{happened:?}").unwrap();
        let panics = self.0.panic_at.lock().take_if(|part| line.contains(*part)).is_some();
        assert!(!panics, "asked for");
        self.0.lines.lock().push(line);
        self.0.news.notify_waiters();
    }
}

impl Told {
    /// Lets the observer panic when it is told this.
    pub(crate) fn panic_once_at(&self, part: &'static str) {
        *self.panic_at.lock() = Some(part);
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        self.lines.lock().iter().filter(|line| line.contains(part)).count()
    }

    pub(crate) fn lines(&self, part: &str) -> Vec<String> {
        self.lines.lock().iter().filter(|line| line.contains(part)).cloned().collect()
    }

    /// Waits until `times` lines contain this.
    pub(crate) async fn wait(&self, part: &str, times: usize) {
        let wait = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                news.as_mut().enable();
                if self.count(part) >= times {
                    return;
                }
                news.await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("{times} times {part:?} is not among {:#?}", self.lines.lock());
        }
    }
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    /// Whose broker hands out positions, as the embedded one does.
    pub(crate) fn stored() -> Self {
        let defaults = Settings::default();
        let capabilities = Capabilities { stored_payloads: true, ..defaults.capabilities };
        Self::with(Settings { capabilities, ..defaults })
    }

    /// One that stores payloads and hands out what is held once more, often under another slot.
    pub(crate) fn repeating() -> Self {
        let defaults = Settings::default();
        let capabilities = Capabilities { stored_payloads: true, ..defaults.capabilities };
        let faults = Faults { duplicate: 1.0, ..defaults.faults.clone() };
        Self::with(Settings { capabilities, faults, ..defaults })
    }

    pub(crate) fn restless() -> Self {
        Self::with(Settings { faults: Faults::restless(), ..Settings::default() })
    }

    /// Whose broker waits for days between a recall and the revocation.
    pub(crate) fn patient() -> Self {
        let faults = Faults { recall_max: Duration::from_secs(360_000), ..Faults::calm() };
        Self::with(Settings { faults, ..Settings::default() })
    }

    fn with(settings: Settings) -> Self {
        let broker = Broker::new(Model::new(settings, fastrand::Rng::with_seed(7)));
        let told = Arc::<Told>::default();
        let telemetry = Telemetry::new(vec![Box::new(Recorder(told.clone()))]);
        let publisher = Publisher::new(Limits::default(), telemetry.clone());
        let subscriptions =
            Subscriptions::new(publisher.clone(), telemetry, Push::new([]), Handle::current());
        let house = Self { broker, publisher, subscriptions, told };
        house.publisher.set_topics(vec![house.topic("orders", true), house.topic("replies", true)]);
        house
    }

    pub(crate) fn topic(&self, name: &str, open: bool) -> Topic {
        Topic {
            name: name.into(),
            broker: "local".into(),
            on_broker: format!("b-{name}").into(),
            driver: Arc::new(self.broker.clone()),
            key: None,
            event_bytes_max: 1 << 20,
            types: Vec::new(),
            open,
        }
    }

    pub(crate) fn spec(&self, name: &str, uri: http::Uri) -> Spec {
        Spec {
            name: name.into(),
            durable: broker::Subscription {
                name: format!("dev.shop.{name}"),
                topic: "b-orders".into(),
                start: Start::Earliest,
                ordered: true,
                until: None,
                keeps_unsettled: false,
            },
            topic: "orders".into(),
            broker: "local".into(),
            driver: Arc::new(self.broker.clone()),
            webhook: Webhook {
                uri,
                mode: Mode::Binary,
                encoding: event::http::Encoding::Percent,
                timeout: Duration::from_secs(20),
                answers: Vec::new(),
            },
            policy: policy(),
            dead_letter: self.topic(&format!("{name}.dead"), false),
            redrive_name: format!("dev.shop.{name}.redrive"),
            reply_topic: None,
            app: None,
        }
    }

    pub(crate) async fn add(&self, spec: Spec) {
        self.subscriptions.add(spec).unwrap();
        tokio::time::timeout(PATIENCE, self.subscriptions.ensured()).await.unwrap();
    }

    /// Publishes an event with this id, under this key, durably.
    pub(crate) async fn publish(&self, id: &str, key: Option<&str>) {
        let key = key.map(|key| Key::new(key.to_owned()).unwrap());
        let traceparent = TraceParent::parse(TRACE.as_bytes());
        let item = Item { event: event(id), key, traceparent, tracestate: Some("a=b".into()) };
        self.publish_item(item).await;
    }

    /// Publishes an event of [`LARGE`] bytes and a few.
    pub(crate) async fn publish_large(&self, id: &str, key: Option<&str>) {
        let data = Data::Binary(format!("\"{}\"", "x".repeat(LARGE)).into());
        let builder = Event::builder().id(id).source("/shop").kind("t").data_content_type("application/json");
        let event = builder.data(data).build().unwrap();
        let key = key.map(|key| Key::new(key.to_owned()).unwrap());
        self.publish_item(Item { event, key, traceparent: None, tracestate: None }).await;
    }

    pub(crate) async fn publish_item(&self, item: Item) {
        let deadline = Instant::now() + PATIENCE;
        let outcomes = self.publisher.publish("orders", vec![item], deadline).unwrap().await;
        assert!(outcomes[0].is_durable(), "{outcomes:?}");
    }

    /// What a foreign producer wrote.
    pub(crate) async fn publish_foreign(&self, bytes: &'static [u8]) {
        let body = Body::Foreign { bytes: bytes.into(), reason: "it has no id".into() };
        let record = Record { key: None, body, hop: Hop::default(), letter: None };
        let topic = "b-orders".into();
        let deadline = Instant::now() + PATIENCE;
        let outcomes = self.broker.publish(broker::Batch { topic, records: vec![record], deadline }).await;
        assert!(outcomes[0].is_durable(), "{outcomes:?}");
    }

    pub(crate) async fn drain(&self) {
        let within = Instant::now() + Duration::from_secs(5);
        tokio::time::timeout(PATIENCE, self.subscriptions.drain_all(within)).await.expect("a drain ends");
    }

    /// Waits until the subscription's status is as wanted.
    pub(crate) async fn status(&self, name: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        let begun = Instant::now();
        loop {
            let status = self.subscriptions.status(name).unwrap();
            if wanted(&status) {
                return status;
            }
            assert!(begun.elapsed() < PATIENCE, "{status:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The records of a topic of the broker.
    pub(crate) fn log(&self, topic: &str) -> Vec<Record> {
        self.broker.with(|model, _| model.log(topic).map(|(_, record)| record.clone()).collect())
    }
}

pub(crate) fn event(id: &str) -> Event {
    Event::builder()
        .id(id)
        .source("/shop")
        .kind("order.created")
        .data_content_type("application/json")
        .data(Data::Binary(format!("{{\"order\":\"{id}\"}}").into()))
        .build()
        .unwrap()
}

/// Quick to try again, slow to give up.
pub(crate) fn policy() -> engine::Policy {
    engine::Policy {
        ordering: engine::Ordering::Key,
        concurrency: 16,
        mode: engine::Mode::Single,
        retry: engine::Retry {
            initial: Duration::from_millis(1),
            max: Duration::from_millis(10),
            max_attempts: 5,
            max_age: Duration::from_secs(3600),
            retry_after_max: Duration::from_millis(50),
            budget_floor_per_second: 10_000,
            budget_ratio: 1.0,
        },
        breaker: engine::Breaker {
            consecutive: 5,
            success_ratio: 0.0,
            over: Duration::from_secs(10),
            open: Duration::from_millis(10),
            open_max: Duration::from_millis(20),
            pause_probe: Duration::from_secs(300),
        },
        window: engine::Window { initial: 4 },
        dead_letter: engine::DeadLetter { max_per_minute: 1000, after: engine::AfterDeadLetter::Continue },
        buffer: 1000,
    }
}
