//! What holds when the disk fails or takes its time.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{OnceLock, Weak};

use broker::Health;
use futures::FutureExt;
use log::{Disk, Faults, Operation, Options};
use parking_lot::Mutex;

use super::*;
use crate::driver::unreadable;

const EIO: i32 = 5;
const EMFILE: i32 = 24;

/// A disk of which one operation fails with an error number, while that is asked for.
#[derive(Debug)]
struct Failing {
    what: Operation,
    errno: i32,
    now: AtomicBool,
}

impl Failing {
    fn new(what: Operation, errno: i32) -> Arc<Self> {
        Arc::new(Self { what, errno, now: AtomicBool::new(false) })
    }

    /// Whether it fails from now on.
    fn set(&self, now: bool) {
        self.now.store(now, Ordering::Relaxed);
    }
}

impl Faults for Failing {
    fn before(&self, operation: Operation, _: &Path) -> Result<(), (usize, io::Error)> {
        let fails = operation == self.what && self.now.load(Ordering::Relaxed);
        if fails { Err((0, io::Error::from_raw_os_error(self.errno))) } else { Ok(()) }
    }
}

fn open_on(path: &Path, faults: Arc<dyn Faults>) -> Arc<Embedded> {
    let options = Options { disk: Disk::with_faults(faults), reserve_bytes: 0, ..Options::default() };
    Embedded::open_with(path, options).unwrap()
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_durable_and_health_tells_why() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Failing::new(Operation::Sync, EIO);
    let broker = open_on(directory.path(), Arc::clone(&faults) as Arc<dyn Faults>);
    broker.ensure(&subscription("s")).await.unwrap();
    publish_one(&broker, "t", b"good").await;
    faults.set(true);
    assert!(matches!(publish_one(&broker, "t", b"bad").await, Outcome::Unknown(_)));
    faults.set(false);
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
    let faults = Failing::new(Operation::Sync, EIO);
    let broker = open_on(directory.path(), Arc::clone(&faults) as Arc<dyn Faults>);
    let mut source = subscribe(&broker, "s", Credit { events: 5, bytes: 0 }).await;
    for n in 0..100 {
        publish_one(&broker, "t", &[n]).await;
    }
    let found = inputs(&mut source, 5).await;
    faults.set(true);
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
    let faults = Failing::new(Operation::Sync, EIO);
    let broker = open_on(directory.path(), Arc::clone(&faults) as Arc<dyn Faults>);
    broker.ensure_topic("other").await.unwrap();
    let mut source = subscribe(&broker, "s", AMPLE).await;
    // It says `CaughtUp`, and has nothing more to say.
    poll_fn(|cx| source.poll_next(cx, &mut Vec::new())).await.unwrap();
    faults.set(true);
    let (error, outcome) = tokio::join!(
        async { poll_fn(|cx| source.poll_next(cx, &mut Vec::new())).await.unwrap_err() },
        publish_one(&broker, "other", b"bad")
    );
    assert_eq!(error.kind, ErrorKind::Corrupt);
    assert!(matches!(outcome, Outcome::Unknown(_)));
}

#[tokio::test]
async fn without_file_descriptors_publishers_are_to_come_again_and_the_broker_is_up() {
    let directory = tempfile::tempdir().unwrap();
    let faults = Failing::new(Operation::OpenDirectory, EMFILE);
    let disk = Disk::with_faults(Arc::clone(&faults) as Arc<dyn Faults>);
    let options = Options { disk, reserve_bytes: 0, segment_bytes: 1000, ..Options::default() };
    let broker = Embedded::open_with(directory.path(), options).unwrap();
    broker.ensure_topic("t").await.unwrap();
    assert!(publish_one(&broker, "t", &[0; 2000]).await.is_durable());
    faults.set(true);
    let Outcome::Refused(refusal) = publish_one(&broker, "t", b"x").await else {
        panic!("its segment could not be created")
    };
    assert_eq!(refusal.kind, RefusalKind::Unavailable);
    assert!(refusal.retry_after.is_some(), "{refusal:?}");
    assert!(refusal.message.contains("limits.connections"), "{refusal:?}");
    let error = broker.ensure_topic("other").await.unwrap_err();
    assert!(error.is_temporary() && error.message.contains("limits.connections"), "{error}");
    let error = unreadable(&broker.topic("t").unwrap(), &io::Error::from_raw_os_error(EMFILE));
    assert!(error.is_temporary() && error.message.contains("limits.connections"), "{error}");
    assert!(matches!(broker.health(), Health::Up));
    faults.set(false);
    assert!(publish_one(&broker, "t", b"x").await.is_durable());
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
