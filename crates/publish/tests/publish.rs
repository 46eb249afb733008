//! What the publisher promises, over a driver that the test answers for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::fake::Fake;
use broker::{Body, Key, Letter, Outcome, Position, Record, RefusalKind};
use event::{Event, Value};
use parking_lot::Mutex;
use postrider_publish::{Error, Item, KeyFrom, Limits, Publisher, Topic};
use telemetry::{Happened, Observer, Telemetry};

/// Remembers what was told, as words.
#[derive(Clone, Debug, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Observer for Told {
    fn observe(&self, happened: &Happened<'_>) {
        self.0.lock().push(match happened {
            Happened::Accepted { topic, events, .. } => format!("accepted {topic} {events}"),
            Happened::Refused { topic, code, events, .. } => format!("refused {topic} {code} {events}"),
            Happened::Unknown { topic, events, .. } => format!("unknown {topic} {events}"),
            other => format!("{other:?}"),
        });
    }
}

impl Told {
    fn all(&self) -> Vec<String> {
        self.0.lock().clone()
    }
}

fn topic(driver: &Arc<Fake>, key: Option<KeyFrom>) -> Topic {
    Topic {
        name: "orders".into(),
        broker: "local".into(),
        on_broker: "shop-orders".into(),
        driver: driver.clone(),
        key,
        event_bytes_max: 10_000,
        types: vec!["com.example.order".into()],
        open: true,
    }
}

fn publisher(driver: &Arc<Fake>, key: Option<KeyFrom>) -> (Publisher, Told) {
    limited(driver, key, Limits::default())
}

fn limited(driver: &Arc<Fake>, key: Option<KeyFrom>, limits: Limits) -> (Publisher, Told) {
    let told = Told::default();
    let publisher = Publisher::new(limits, Telemetry::new(vec![Box::new(told.clone())]));
    publisher.set_topics(vec![
        topic(driver, key),
        Topic { name: "orders.dead-letter".into(), open: false, types: vec![], ..topic(driver, None) },
    ]);
    (publisher, told)
}

fn event(id: &str) -> event::Builder {
    Event::builder().id(id).source("/shop").kind("com.example.order")
}

fn item(id: &str) -> Item {
    Item { event: event(id).build().expect("valid"), key: None, traceparent: None, tracestate: None }
}

fn keyed(id: &str, key: &str) -> Item {
    Item { key: Key::new(key.to_owned()), ..item(id) }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn refused(kind: RefusalKind) -> Outcome {
    Outcome::refused(kind, "no")
}

#[tokio::test]
async fn an_event_becomes_durable_on_the_topics_broker() {
    let driver = Fake::new();
    let (publisher, told) = publisher(&driver, None);
    let outcomes = publisher.publish("orders", vec![item("1"), item("2")], soon()).unwrap().await;
    assert_eq!(outcomes, [0, 1].map(|n| Outcome::Durable(Position::Number(n))));
    let taken = driver.taken();
    assert_eq!(taken.len(), 2);
    assert!(taken[0].hop.origin.is_some() && taken[0].hop.origin == taken[1].hop.origin);
    assert!(taken[0].hop.sequence < taken[1].hop.sequence, "the sequence rises in call order");
    assert_eq!(told.all(), ["accepted orders 2"]);
}

#[tokio::test]
async fn the_key_is_the_publishers_then_partitionkey_then_what_the_topic_names() {
    let driver = Fake::new();
    let (publisher, _) = publisher(&driver, Some(KeyFrom::Subject));
    let with_all = event("1").subject("s").extension("partitionkey", Value::String("p"));
    let with_two = event("2").subject("s").extension("partitionkey", Value::String("p"));
    let items = vec![
        Item { key: Key::new("given"), event: with_all.build().unwrap(), ..item("1") },
        Item { event: with_two.build().unwrap(), ..item("2") },
        Item { event: event("3").subject("s").build().unwrap(), ..item("3") },
        item("4"),
    ];
    publisher.publish("orders", items, soon()).unwrap().await;
    let keys: Vec<_> = driver.taken().iter().map(|r| r.key.as_ref().map(Key::to_string)).collect();
    assert_eq!(keys, [Some("given".into()), Some("p".into()), Some("s".into()), None]);
}

#[tokio::test]
async fn a_topics_key_may_name_any_attribute() {
    for (from, expected) in [
        (KeyFrom::Source, "/shop"),
        (KeyFrom::Type, "com.example.order"),
        (KeyFrom::Id, "1"),
        (KeyFrom::Extension("tenant".into()), "7"),
    ] {
        let driver = Fake::new();
        let (publisher, _) = publisher(&driver, Some(from));
        let event = event("1").extension("tenant", Value::Integer(7)).build().unwrap();
        publisher.publish("orders", vec![Item { event, ..item("1") }], soon()).unwrap().await;
        assert_eq!(driver.taken()[0].key.as_ref().unwrap().to_string(), expected);
    }
}

#[tokio::test]
async fn what_is_refused_is_never_handed_to_the_driver() {
    let driver = Fake::new();
    let (publisher, told) = publisher(&driver, Some(KeyFrom::Subject));
    let long = Item { event: event("2").subject("k".repeat(1025)).build().unwrap(), ..item("2") };
    let large = Item { event: event("3").subject("k".repeat(20_000)).build().unwrap(), ..item("3") };
    let error = |topic: &str, item: Item| publisher.prepare(topic, vec![self::item("1"), item]).unwrap_err();
    assert_eq!(error("nowhere", item("2")), Error::UnknownTopic("nowhere".into()));
    assert_eq!(error("orders.dead-letter", item("2")), Error::UnknownTopic("orders.dead-letter".into()));
    assert_eq!(error("orders", long), Error::KeyTooLong { index: 1, bytes: 1025 });
    assert!(matches!(error("orders", large), Error::EventTooLarge { index: 1, max: 10_000, .. }));
    assert!(driver.taken().is_empty(), "nothing of a refused call is written");
    assert_eq!(
        told.all(),
        [
            "refused  unknown_topic 2",
            "refused  unknown_topic 2",
            "refused orders key_too_long 2",
            "refused orders event_too_large 2"
        ]
    );
}

#[tokio::test]
async fn a_pending_broker_is_refused_until_its_gate_opens() {
    let driver = Fake::new();
    let (publisher, _) = publisher(&driver, None);
    publisher.set_pending("local", Some("subscription billing is not ensured".into()));
    let error = publisher.prepare("orders", vec![item("1")]).unwrap_err();
    assert!(matches!(&error, Error::Pending { broker, .. } if broker == "local"), "{error}");
    assert!(error.retry_after().is_some());
    publisher.set_pending("local", None);
    assert!(publisher.publish("orders", vec![item("1")], soon()).unwrap().await[0].is_durable());
}

#[tokio::test]
async fn outcomes_are_told_apart() {
    let driver = Fake::new();
    driver.will([
        Outcome::Durable(Position::Number(0)),
        refused(RefusalKind::Full),
        Outcome::Unknown("who knows".into()),
        refused(RefusalKind::AfterFailure),
        refused(RefusalKind::Full),
    ]);
    let (publisher, told) = publisher(&driver, None);
    let items = (0..5).map(|n| item(&n.to_string())).collect();
    publisher.publish("orders", items, soon()).unwrap().await;
    assert_eq!(
        told.all(),
        [
            "accepted orders 1",
            "unknown orders 1",
            "refused orders log_full 2",
            "refused orders after_failure 1"
        ]
    );
}

#[tokio::test]
async fn a_topic_that_is_full_is_listed_until_an_event_is_durable_there() {
    let driver = Fake::new();
    let full = |reason: &str| Outcome::refused(RefusalKind::Full, reason);
    driver.will([full("billing holds 3 events"), full("no space left")]);
    let (publisher, _) = publisher(&driver, None);
    publisher.publish("orders", vec![item("1")], soon()).unwrap().await;
    let letters = publisher.topic("orders.dead-letter").unwrap();
    publisher.forward(&letters, record("1"), None, soon()).unwrap().await;
    let listed =
        || publisher.full_topics().into_iter().map(|t| (t.name.to_string(), t.reason)).collect::<Vec<_>>();
    let (orders, dead) = (
        ("orders".into(), "billing holds 3 events".into()),
        ("orders.dead-letter".into(), "no space left".into()),
    );
    assert_eq!(listed(), [orders, dead.clone()], "internal topics, too");
    publisher.publish("orders", vec![item("2")], soon()).unwrap().await;
    assert_eq!(listed(), [dead]);
    publisher.forward(&letters, record("2"), None, soon()).unwrap().await;
    assert_eq!(listed(), []);
}

#[tokio::test(start_paused = true)]
async fn past_the_deadline_the_answer_is_unknown_and_the_records_stay_under_way() {
    let driver = Fake::holding();
    let limits = Limits { events_max: 1, ..Limits::default() };
    let (publisher, told) = limited(&driver, None, limits);
    let deadline = Instant::now() + Duration::from_secs(5);
    let outcomes = publisher.publish("orders", vec![item("1")], deadline).unwrap().await;
    assert!(matches!(outcomes[..], [Outcome::Unknown(_)]));
    assert!(
        matches!(publisher.prepare("orders", vec![item("2")]), Err(Error::Overloaded { .. })),
        "the driver still holds the first"
    );
    driver.held().await.answer(vec![Outcome::Durable(Position::Number(0))]);
    publisher.close(Instant::now() + Duration::from_secs(60)).await;
    assert_eq!(told.all(), ["unknown orders 1", "refused orders overloaded 1"], "an outcome is told once");
}

#[tokio::test]
async fn a_publisher_that_goes_away_cancels_nothing_and_the_outcome_is_still_told() {
    let driver = Fake::holding();
    let (publisher, told) = publisher(&driver, None);
    drop(publisher.publish("orders", vec![item("1")], soon()).unwrap());
    assert_eq!(driver.taken().len(), 1, "the record is on its way");
    driver.held().await.answer(vec![Outcome::Durable(Position::Number(0))]);
    publisher.close(soon()).await;
    assert_eq!(told.all(), ["accepted orders 1"]);
}

#[tokio::test]
async fn a_closed_publisher_refuses_all() {
    let driver = Fake::new();
    let (publisher, _) = publisher(&driver, None);
    publisher.close(soon()).await;
    assert_eq!(publisher.prepare("orders", vec![item("1")]).unwrap_err(), Error::Closing);
    let letters = publisher.topic("orders.dead-letter").unwrap();
    assert!(publisher.forward(&letters, record("1"), None, soon()).is_err());
}

fn record(id: &str) -> Record {
    let hop = broker::Hop { sequence: 77, ..broker::Hop::default() };
    Record { key: Key::new("k"), body: Body::Event(event(id).build().expect("valid")), hop, letter: None }
}

#[tokio::test]
async fn a_dead_letter_is_forwarded_as_it_is() {
    let driver = Fake::new();
    let (publisher, told) = publisher(&driver, None);
    publisher.set_pending("local", Some("still starting".into()));
    let letters = publisher.topic("orders.dead-letter").unwrap();
    let letter = Letter {
        topic: "orders".into(),
        position: "5".into(),
        subscription: "shop.billing".into(),
        reason: "too_old".into(),
        attempts: 3,
        first_ms: 1,
        last_ms: 2,
        status: Some(500),
        answer: "oops".into(),
    };
    let outcome = publisher.forward(&letters, record("1"), Some(letter.clone()), soon()).unwrap().await;
    assert!(outcome.is_durable());
    let taken = driver.taken().remove(0);
    assert_eq!(
        (taken.hop.sequence, taken.letter.as_deref()),
        (77, Some(&letter)),
        "neither stamped nor keyed anew"
    );
    assert_eq!(taken.key, Key::new("k"));
    assert!(told.all().is_empty(), "delivery tells of dead letters");
}

/// Many threads publish batches over the same few keys: whichever call reaches the driver first must carry the lower
/// numbers, for each key.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn within_a_key_the_sequence_rises_in_the_order_that_the_driver_sees() {
    let driver = Fake::new();
    let (publisher, _) = publisher(&driver, None);
    let mut threads = tokio::task::JoinSet::new();
    for thread in 0..4 {
        let publisher = publisher.clone();
        threads.spawn(async move {
            for n in 0..200 {
                let keys = [n % 3, (n + thread) % 5, 9].map(|key| keyed("x", &key.to_string()));
                let items = if n % 2 == 0 { keys.to_vec() } else { keys[..1].to_vec() };
                publisher.publish("orders", items, soon()).unwrap().await;
            }
        });
    }
    threads.join_all().await;
    let mut last = HashMap::new();
    for record in driver.taken() {
        let before = last.insert(record.key.clone(), record.hop.sequence);
        assert!(before < Some(record.hop.sequence), "key {:?} fell back", record.key);
    }
}

#[tokio::test]
async fn routes_are_found_by_type_and_replaced_at_once() {
    let driver = Fake::new();
    let (publisher, _) = publisher(&driver, None);
    assert_eq!(&*publisher.topic_of_type("com.example.order").unwrap().name, "orders");
    assert!(publisher.topic_of_type("com.example.other").is_none());
    let names = |p: &Publisher| p.topics().iter().map(|t| t.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&publisher), ["orders"], "internal topics are not shown");
    publisher.set_topics(vec![
        Topic { name: "b".into(), ..topic(&driver, None) },
        Topic { name: "a".into(), ..topic(&driver, None) },
    ]);
    assert_eq!(names(&publisher), ["a", "b"]);
    assert!(publisher.topic("orders").is_none());
}
