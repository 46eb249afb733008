//! What the embedded broker promises beyond the contract's conformance suite.

mod disk;

use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use broker::{
    Batch, Body, Credit, Driver, ErrorKind, Input, Key, Outcome, Payload, Position, Record, RefusalKind,
    Settle, Source, Start, Subscription,
};
use bytes::Bytes;

use crate::{Config, Damage, Embedded, OpenError};

const AMPLE: Credit = Credit { events: 100_000, bytes: 64 << 20 };

fn config(path: &Path) -> Config {
    Config { reserve: 0, segment_bytes: 4096, ..Config::new(path) }
}

fn open(path: &Path) -> Arc<Embedded> {
    Embedded::open(config(path)).unwrap()
}

fn record(key: Option<&str>, bytes: &[u8]) -> Record {
    Record {
        key: key.map(|key| Key::new(key.to_owned()).unwrap()),
        body: Body::Foreign { bytes: Bytes::copy_from_slice(bytes), reason: String::new() },
        hop: broker::Hop::default(),
        letter: None,
    }
}

fn data(record: &Record) -> &Bytes {
    match &record.body {
        Body::Foreign { bytes, .. } => bytes,
        Body::Event(event) => panic!("not what was published: {event:?}"),
    }
}

async fn publish(broker: &Embedded, topic: &str, records: Vec<Record>) -> Vec<Outcome> {
    let deadline = Instant::now() + Duration::from_secs(60);
    broker.publish(Batch { topic: topic.into(), records, deadline }).await
}

async fn publish_one(broker: &Embedded, topic: &str, bytes: &[u8]) -> Outcome {
    publish(broker, topic, vec![record(Some("k"), bytes)]).await.remove(0)
}

fn subscription(name: &str) -> Subscription {
    Subscription {
        name: name.to_owned(),
        topic: "t".to_owned(),
        start: Start::Earliest,
        ordered: true,
        until: None,
        keeps_unsettled: false,
    }
}

async fn subscribe(broker: &Embedded, name: &str, credit: Credit) -> Box<dyn Source> {
    broker.ensure(&subscription(name)).await.unwrap();
    broker.open(&subscription(name), credit).await.unwrap()
}

/// Polls until so many inputs came.
async fn inputs(source: &mut Box<dyn Source>, count: usize) -> Vec<Input> {
    let mut found = Vec::new();
    while found.len() < count {
        poll_fn(|cx| source.poll_next(cx, &mut found)).await.unwrap();
    }
    found.retain(|input| !matches!(input, Input::CaughtUp));
    found
}

fn delivered(inputs: &[Input]) -> Vec<u64> {
    let position = |input: &Input| match input {
        Input::Delivery(delivery) => match delivery.position {
            Position::Number(number) => Some(number),
            _ => None,
        },
        _ => None,
    };
    inputs.iter().filter_map(position).collect()
}

fn files(path: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_waiting_source_is_woken_by_a_commit() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(directory.path());
    let mut source = subscribe(&broker, "s", AMPLE).await;
    let mut found = Vec::new();
    poll_fn(|cx| source.poll_next(cx, &mut found)).await.unwrap();
    assert!(matches!(found[..], [Input::CaughtUp]), "{found:?}");
    // The source is polled first, and finds nothing.
    let (found, _) = tokio::join!(inputs(&mut source, 1), publish_one(&broker, "t", b"x"));
    assert_eq!(delivered(&found), [1]);
}

#[tokio::test]
async fn a_topic_at_its_bound_is_full_alone_and_names_the_subscription() {
    let directory = tempfile::tempdir().unwrap();
    let broker = Embedded::open(Config { max_bytes_per_topic: 50_000, ..config(directory.path()) }).unwrap();
    let mut quick = subscribe(&broker, "quick", AMPLE).await;
    broker.ensure(&subscription("dev.slow")).await.unwrap();
    broker.ensure_topic("other").await.unwrap();
    let refusal = loop {
        match publish_one(&broker, "t", &[0; 2000]).await {
            Outcome::Durable(_) => {}
            Outcome::Refused(refusal) => break refusal,
            Outcome::Unknown(why) => panic!("{why}"),
        }
        for input in inputs(&mut quick, 1).await {
            let Input::Delivery(delivery) = input else { panic!("{input:?}") };
            quick.settle(delivery.lease, Settle::Done);
        }
    };
    quick.flush().await.unwrap();
    assert_eq!(refusal.kind, RefusalKind::Full);
    assert!(refusal.message.contains("dev.slow") && refusal.retry_after.is_some(), "{refusal:?}");
    assert!(publish_one(&broker, "other", b"x").await.is_durable(), "that topic alone");
    assert!(broker.purge("dev.slow", None).await.unwrap() > 10);
    assert!(publish_one(&broker, "t", b"x").await.is_durable(), "it drained");
}

#[tokio::test]
async fn payloads_beyond_four_mebibytes_are_stored_and_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(directory.path());
    let mut source = subscribe(&broker, "s", AMPLE).await;
    for n in 0..8u8 {
        publish_one(&broker, "t", &vec![n; 1 << 20]).await;
    }
    let found = inputs(&mut source, 8).await;
    let mut here = 0;
    for (n, input) in found.into_iter().enumerate() {
        let Input::Delivery(delivery) = input else { panic!("{input:?}") };
        let record = match delivery.payload {
            Payload::Here(record) => {
                here += 1;
                record
            }
            Payload::Stored => Arc::new(source.load(delivery.lease).await.unwrap()),
        };
        assert_eq!(data(&record)[..], vec![n as u8; 1 << 20]);
        source.settle(delivery.lease, Settle::Done);
        let error = source.load(delivery.lease).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::NotFound);
    }
    assert_eq!(here, 3, "of 1 MiB and a bit each, three are below 4 MiB");
    publish_one(&broker, "t", b"small").await;
    let found = inputs(&mut source, 1).await;
    assert!(
        matches!(&found[0], Input::Delivery(d) if matches!(d.payload, Payload::Here(_))),
        "settling makes room"
    );
}

#[tokio::test]
async fn a_damaged_record_is_a_gap_and_the_rest_is_delivered() {
    let directory = tempfile::tempdir().unwrap();
    {
        let broker = open(directory.path());
        broker.ensure(&subscription("s")).await.unwrap();
        for n in 0..20 {
            publish_one(&broker, "t", format!("record {n}").as_bytes()).await;
        }
    }
    let segment = files(directory.path(), "segment").remove(0);
    let at = std::fs::read(&segment).unwrap().windows(8).position(|w| w == b"record 7").unwrap();
    flip(&segment, at);
    let broker = open(directory.path());
    assert!(matches!(broker.damage(), [Damage::Records { from: 8, to: 9, .. }]), "{:?}", broker.damage());
    let mut source = subscribe(&broker, "s", AMPLE).await;
    let found = inputs(&mut source, 20).await;
    assert_eq!(delivered(&found), (1..=20).filter(|n| *n != 8).collect::<Vec<_>>());
    let gaps: Vec<_> = found.iter().filter(|input| matches!(input, Input::Gap(_))).collect();
    let [Input::Gap(gap)] = gaps[..] else { panic!("{gaps:?}") };
    assert_eq!(gap.records, Some(1));
    assert!(gap.message.contains("damaged"), "{}", gap.message);
    assert_eq!(source.lag().records, 19, "what is lost is not waited for");
}

#[tokio::test]
async fn a_record_that_is_damaged_while_it_waits_is_a_gap_and_never_delivered_as_something_else() {
    let directory = tempfile::tempdir().unwrap();
    {
        let broker = open(directory.path());
        let mut source = subscribe(&broker, "s", Credit { bytes: 0, ..AMPLE }).await;
        for text in ["record 1", "record 2"] {
            publish_one(&broker, "t", text.as_bytes()).await;
        }
        let found = inputs(&mut source, 3).await;
        let [Input::Delivery(first), Input::Delivery(second)] = &found[..] else { panic!("{found:?}") };
        let segment = files(directory.path(), "segment").remove(0);
        let at = std::fs::read(&segment).unwrap().windows(8).position(|w| w == b"record 1").unwrap();
        flip(&segment, at);
        // The source waits meanwhile, and hears of it.
        let (loaded, told) = tokio::join!(source.load(first.lease), inputs(&mut source, 2));
        assert_eq!(loaded.unwrap_err().kind, ErrorKind::NotFound, "there is no record to deliver");
        let [Input::Gap(gap), Input::Revoked(lease)] = &told[..] else { panic!("{told:?}") };
        assert_eq!((gap.records, *lease), (Some(1), first.lease));
        assert!(gap.message.contains("1 to 1") && gap.message.contains("damaged"), "{}", gap.message);
        source.settle(first.lease, Settle::Done);
        assert_eq!(source.stale_settles(), 1, "the lease is dead");
        assert_eq!(data(&source.load(second.lease).await.unwrap())[..], b"record 2"[..]);
        assert_eq!(source.lag().records, 1, "what is lost is not waited for");
        source.flush().await.unwrap();
    }
    let broker = open(directory.path());
    let mut source = subscribe(&broker, "s", AMPLE).await;
    assert_eq!(delivered(&inputs(&mut source, 2).await), [2], "the loss is told once");
}

#[tokio::test]
async fn what_was_stored_but_is_no_record_is_a_gap_too() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(directory.path());
    let mut source = subscribe(&broker, "s", AMPLE).await;
    let store = |bytes: &'static [u8]| {
        let mut batch = log::Batch::default();
        batch.push(|into| into.extend_from_slice(bytes));
        let (done, answer) = tokio::sync::oneshot::channel();
        let topic = broker.store.log("t").unwrap();
        broker.store.append(&topic, batch, None, move |answer| done.send(answer).unwrap());
        answer
    };
    store(b"\x01\x00?").await.unwrap().unwrap();
    publish_one(&broker, "t", b"whole").await;
    let found = inputs(&mut source, 2).await;
    let [Input::Gap(gap), Input::Delivery(_)] = &found[..] else { panic!("{found:?}") };
    assert!(gap.message.contains("cut short"), "{}", gap.message);
    store(b"\x09newer").await.unwrap().unwrap();
    source.set_credit(Credit { bytes: 0, ..AMPLE });
    let found = inputs(&mut source, 1).await;
    let [Input::Delivery(delivery)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(source.load(delivery.lease).await.unwrap_err().kind, ErrorKind::NotFound);
    let found = inputs(&mut source, 2).await;
    let [Input::Gap(gap), Input::Revoked(_)] = &found[..] else { panic!("{found:?}") };
    assert!(gap.message.contains("newer version"), "{}", gap.message);
    let mut browse = broker.browse("t", broker::Selection::default()).await.unwrap();
    let page = browse.next(10).await.unwrap();
    assert!(
        matches!(&page[0].2.body, Body::Foreign { reason, .. } if reason.contains("cut short")),
        "an operator sees it as what it is: {:?}",
        page[0]
    );
}

#[tokio::test]
async fn a_subscription_whose_settle_log_is_unreadable_begins_anew_and_nothing_is_removed_before() {
    let directory = tempfile::tempdir().unwrap();
    let config = || Config { retention_age: Duration::ZERO, ..config(directory.path()) };
    {
        let broker = Embedded::open(config()).unwrap();
        broker.ensure(&subscription("s")).await.unwrap();
        publish_one(&broker, "t", b"x").await;
    }
    flip(&files(directory.path(), "settle")[0], 40);
    let broker = Embedded::open(config()).unwrap();
    assert!(matches!(broker.damage(), [Damage::Subscription { .. }]), "{:?}", broker.damage());
    for _ in 0..50 {
        publish_one(&broker, "t", &[0; 500]).await;
    }
    let latest = Subscription { start: Start::Latest, ..subscription("s") };
    broker.ensure(&latest).await.unwrap();
    let mut source = broker.open(&latest, AMPLE).await.unwrap();
    assert_eq!(delivered(&inputs(&mut source, 51).await), (1..=51).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_unreadable_subscription_that_is_deleted_holds_nothing_back() {
    let directory = tempfile::tempdir().unwrap();
    let config = || Config { retention_age: Duration::ZERO, ..config(directory.path()) };
    {
        let broker = Embedded::open(config()).unwrap();
        broker.ensure(&subscription("s")).await.unwrap();
    }
    flip(&files(directory.path(), "settle")[0], 40);
    let broker = Embedded::open(config()).unwrap();
    broker.delete("s").await.unwrap();
    assert_eq!(broker.delete("s").await.unwrap_err().kind, ErrorKind::NotFound);
    for _ in 0..50 {
        publish_one(&broker, "t", &[0; 500]).await;
    }
    assert!(broker.topic("t").unwrap().first() > 1, "retention goes on");
}

#[tokio::test]
async fn opening_tells_what_is_wrong_where_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(directory.path());
    let error = Embedded::open(config(directory.path())).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }));
    let text = error.to_string();
    assert!(text.contains(&std::process::id().to_string()) && text.contains("in use"), "{text}");
    broker.close().await;
    drop(open(directory.path()));
    let file = directory.path().join("FORMAT");
    std::fs::write(&file, "postrider-log 99\n").unwrap();
    let text = Embedded::open(config(directory.path())).unwrap_err().to_string();
    assert!(text.contains("format 99") && text.contains("newer version"), "{text}");
    let text = Embedded::open(config(&file)).unwrap_err().to_string();
    assert!(text.contains("FORMAT") && text.contains("check that"), "{text}");
}

#[tokio::test]
async fn what_a_purge_or_seek_takes_is_revoked_before_anything_else_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(directory.path());
    let mut source = subscribe(&broker, "s", Credit { events: 5, ..AMPLE }).await;
    for n in 0..10 {
        publish_one(&broker, "t", &[n]).await;
    }
    let held = inputs(&mut source, 5).await;
    broker.seek("s", Start::At(SystemTime::UNIX_EPOCH)).await.unwrap();
    let Input::Delivery(first) = &held[0] else { panic!() };
    source.settle(first.lease, Settle::Done);
    assert_eq!(source.stale_settles(), 1, "a lease from before the seek is dead");
    let found = inputs(&mut source, 10).await;
    assert!(found[..5].iter().all(|input| matches!(input, Input::Revoked(_))), "{found:?}");
    assert_eq!(delivered(&found), [1, 2, 3, 4, 5], "the settle did not count");
    assert_eq!(source.lag().records, 10);
}

#[tokio::test]
async fn a_closed_broker_ends_its_sources() {
    let directory = tempfile::tempdir().unwrap();
    let broker = open(directory.path());
    let mut source = subscribe(&broker, "s", AMPLE).await;
    // It says `CaughtUp`, and has nothing more to say.
    poll_fn(|cx| source.poll_next(cx, &mut Vec::new())).await.unwrap();
    let (error, ()) = tokio::join!(
        async { poll_fn(|cx| source.poll_next(cx, &mut Vec::new())).await.unwrap_err() },
        broker.close()
    );
    assert_eq!(error.kind, ErrorKind::Closed);
}
