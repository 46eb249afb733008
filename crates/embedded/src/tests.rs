//! What the embedded broker promises beyond the contract's conformance suite.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant, SystemTime};

use broker::{
    Batch, Body, Credit, Driver, ErrorKind, Health, Input, Key, Outcome, Payload, Position, Record,
    RefusalKind, Settle, Source, Start, Subscription,
};
use bytes::Bytes;
use futures::FutureExt;
use log::{Disk, Faults, Operation, Options};
use parking_lot::Mutex;

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
                *record
            }
            Payload::Stored => source.load(delivery.lease).await.unwrap(),
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

#[derive(Debug, Default)]
struct Broken(AtomicBool);

impl Faults for Broken {
    fn before(&self, operation: Operation, _: &Path) -> Result<(), (usize, io::Error)> {
        let fails = operation == Operation::Sync && self.0.load(Ordering::Relaxed);
        if fails { Err((0, io::Error::from_raw_os_error(5))) } else { Ok(()) }
    }
}

fn open_on(path: &Path, faults: Arc<dyn Faults>) -> Arc<Embedded> {
    let options = Options { disk: Disk::with_faults(faults), reserve_bytes: 0, ..Options::default() };
    Embedded::open_with(path, options).unwrap()
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_durable_and_health_tells_why() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Arc::new(Broken::default());
    let broker = open_on(directory.path(), Arc::clone(&faults) as Arc<dyn Faults>);
    broker.ensure(&subscription("s")).await.unwrap();
    publish_one(&broker, "t", b"good").await;
    faults.0.store(true, Ordering::Relaxed);
    assert!(matches!(publish_one(&broker, "t", b"bad").await, Outcome::Unknown(_)));
    faults.0.store(false, Ordering::Relaxed);
    let Outcome::Refused(refusal) = publish_one(&broker, "t", b"later").await else {
        panic!("it refuses from then on")
    };
    assert_eq!(refusal.kind, RefusalKind::Unavailable);
    let Health::Down { reason, .. } = broker.health() else { panic!("it is down") };
    assert!(reason.contains("sync"), "{reason}");
    let error = broker.open(&subscription("s"), AMPLE).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Corrupt, "what cannot be settled is not handed out");
}

#[tokio::test]
async fn after_a_settle_that_failed_on_disk_no_backlog_is_handed_out() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Arc::new(Broken::default());
    let broker = open_on(directory.path(), Arc::clone(&faults) as Arc<dyn Faults>);
    let mut source = subscribe(&broker, "s", Credit { events: 5, bytes: 0 }).await;
    for n in 0..100 {
        publish_one(&broker, "t", &[n]).await;
    }
    let found = inputs(&mut source, 5).await;
    faults.0.store(true, Ordering::Relaxed);
    let leases = found.iter().filter_map(|input| match input {
        Input::Delivery(delivery) => Some(delivery.lease),
        _ => None,
    });
    let leases: Vec<_> = leases.collect();
    source.settle(leases[0], Settle::Done);
    assert_eq!(source.flush().await.unwrap_err().kind, ErrorKind::Corrupt, "it cannot be made durable");
    let mut more = Vec::new();
    let error = poll_fn(|cx| source.poll_next(cx, &mut more)).await.unwrap_err();
    assert_eq!((error.kind, more.len()), (ErrorKind::Corrupt, 0), "each would come again after a restart");
    assert!(error.message.contains("progress"), "the reason is told: {error}");
    let error = source.load(leases[1]).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Corrupt, "nor is what waits");
}

#[tokio::test]
async fn a_waiting_source_hears_of_a_failed_disk() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Arc::new(Broken::default());
    let broker = open_on(directory.path(), Arc::clone(&faults) as Arc<dyn Faults>);
    broker.ensure_topic("other").await.unwrap();
    let mut source = subscribe(&broker, "s", AMPLE).await;
    // It says `CaughtUp`, and has nothing more to say.
    poll_fn(|cx| source.poll_next(cx, &mut Vec::new())).await.unwrap();
    faults.0.store(true, Ordering::Relaxed);
    let (error, outcome) = tokio::join!(
        async { poll_fn(|cx| source.poll_next(cx, &mut Vec::new())).await.unwrap_err() },
        publish_one(&broker, "other", b"bad")
    );
    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert!(matches!(outcome, Outcome::Unknown(_)));
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

/// Opens a subscription while its file is being removed.
#[derive(Debug, Default)]
struct OpensMeanwhile {
    broker: OnceLock<Weak<Embedded>>,
    opened: Mutex<Option<Result<(), ErrorKind>>>,
}

impl Faults for OpensMeanwhile {
    fn before(&self, operation: Operation, path: &Path) -> Result<(), (usize, io::Error)> {
        if operation == Operation::Unlink
            && path.extension().is_some_and(|e| e == "settle")
            && let Some(broker) = self.broker.get().and_then(Weak::upgrade)
        {
            let opened = broker.open(&subscription("s"), AMPLE).now_or_never().unwrap();
            *self.opened.lock() = Some(opened.map(drop).map_err(|error| error.kind));
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_subscription_that_is_being_deleted_cannot_be_opened() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Arc::new(OpensMeanwhile::default());
    let broker = open_on(directory.path(), Arc::clone(&faults) as Arc<dyn Faults>);
    faults.broker.set(Arc::downgrade(&broker)).unwrap();
    broker.ensure(&subscription("s")).await.unwrap();
    broker.delete("s").await.unwrap();
    assert_eq!(*faults.opened.lock(), Some(Err(ErrorKind::Conflict)));
    broker.ensure(&subscription("s")).await.unwrap();
    broker.open(&subscription("s"), AMPLE).await.unwrap();
}

/// The disk answers when it is told to.
#[derive(Debug, Default)]
struct Slow(Mutex<Option<std::sync::mpsc::Receiver<()>>>);

impl Faults for Slow {
    fn before(&self, operation: Operation, _: &Path) -> Result<(), (usize, io::Error)> {
        if operation == Operation::Sync
            && let Some(go_on) = self.0.lock().take()
        {
            go_on.recv().unwrap();
        }
        Ok(())
    }
}

#[tokio::test]
async fn closing_waits_for_the_disk_without_holding_up_the_runtime() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Arc::new(Slow::default());
    let broker = open_on(directory.path(), Arc::clone(&faults) as Arc<dyn Faults>);
    broker.ensure_topic("t").await.unwrap();
    let (go_on, waits) = std::sync::mpsc::channel();
    *faults.0.lock() = Some(waits);
    let published = broker.publish(Batch {
        topic: "t".into(),
        records: vec![record(None, b"x")],
        deadline: Instant::now() + Duration::from_secs(60),
    });
    // On one thread: were it held up, nobody would let the disk go on.
    let ((), outcomes, ()) = tokio::join!(broker.close(), published, async { go_on.send(()).unwrap() });
    assert!(outcomes[0].is_durable(), "what was taken in is answered: {outcomes:?}");
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
