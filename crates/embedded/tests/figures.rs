//! What the broker costs: `cargo test --release -p postrider-embedded --test figures -- --ignored --nocapture`.
//! `FIGURES` names the directory to measure in; the default is the system's temporary one.

use std::fs::File;
use std::future::poll_fn;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Batch, Body, Credit, Driver, Hop, Input, Key, Record, Settle, Start, Subscription};
use bytes::Bytes;
use event::{Data, Event};
use futures::stream::{FuturesUnordered, StreamExt};
use postrider_embedded::{Config, Embedded};

const RUN: Duration = Duration::from_secs(3);

fn directory() -> tempfile::TempDir {
    let parent = std::env::var_os("FIGURES").unwrap_or_else(|| std::env::temp_dir().into_os_string());
    tempfile::tempdir_in(parent).expect("a directory can be made to measure in")
}

fn records(data: &Bytes, from: u64, count: u64) -> Vec<Record> {
    let record = |n: u64| {
        let event = Event::builder().id(n.to_string()).source("/figures").kind("com.example.measured");
        Record {
            key: Key::new(format!("key-{}", n % 1000)),
            body: Body::Event(event.data(Data::Binary(data.clone())).build().expect("a valid event")),
            hop: Hop { sequence: n, ..Hop::default() },
            letter: None,
        }
    };
    (from..from + count).map(record).collect()
}

fn status(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.trim_start_matches(':').split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// CPU time of the process, in microseconds.
fn cpu_us() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    (ticks(11) + ticks(12)) * 10_000
}

fn raw(path: &Path, batch: usize) -> f64 {
    let mut file = File::create(path.join("raw")).expect("a file can be made");
    let bytes = vec![7; 1100 * batch];
    let (begun, mut events) = (Instant::now(), 0);
    while begun.elapsed() < RUN {
        file.write_all(&bytes).expect("it can be written");
        file.sync_data().expect("it can be synced");
        events += batch;
    }
    events as f64 / begun.elapsed().as_secs_f64()
}

async fn embedded(broker: &Arc<Embedded>, batch: u64, publishers: usize, data: &Bytes) -> (f64, f64) {
    let deadline = Instant::now() + 10 * RUN;
    let (begun, cpu, mut events) = (Instant::now(), cpu_us(), 0);
    let publish =
        |from| broker.publish(Batch { topic: "t".into(), records: records(data, from, batch), deadline });
    let mut open: FuturesUnordered<_> = (0..publishers).map(|_| publish(events)).collect();
    while let Some(outcomes) = open.next().await {
        assert!(outcomes.iter().all(broker::Outcome::is_durable), "{:?}", outcomes[0]);
        events += batch;
        if begun.elapsed() < RUN {
            open.push(publish(events));
        }
    }
    (events as f64 / begun.elapsed().as_secs_f64(), (cpu_us() - cpu) as f64 / events as f64)
}

#[tokio::test]
#[ignore = "measures for half a minute"]
async fn appends() {
    let data = Bytes::from(vec![b'x'; 1000]);
    for (batch, publishers) in [(1, 1), (1, 64), (64, 1), (64, 4), (256, 1), (256, 4)] {
        let directory = directory();
        let raw = raw(directory.path(), batch as usize * publishers);
        let broker = Embedded::open(Config::new(directory.path().join("data"))).expect("it opens");
        broker.ensure_topic("t").await.expect("a topic can be made");
        let (rate, cpu) = embedded(&broker, batch, publishers, &data).await;
        eprintln!(
            "batch {batch:3} × {publishers:2} publishers: {rate:8.0}/s, {cpu:5.1} µs CPU an event; raw {raw:8.0}/s"
        );
    }
}

#[tokio::test]
#[ignore = "writes a gigabyte"]
async fn a_million() {
    const EVENTS: u64 = 1_000_000;
    let directory = directory();
    let config = || Config::new(directory.path().join("data"));
    let data = Bytes::from(vec![b'x'; 1000]);
    let subscription = Subscription {
        name: "s".into(),
        topic: "t".into(),
        start: Start::Earliest,
        ordered: true,
        until: None,
        keeps_unsettled: false,
    };
    {
        let broker = Embedded::open(config()).expect("it opens");
        broker.ensure(&subscription).await.expect("a subscription can be made");
        for from in (0..EVENTS).step_by(500) {
            let deadline = Instant::now() + 10 * RUN;
            broker.publish(Batch { topic: "t".into(), records: records(&data, from, 500), deadline }).await;
        }
    }
    let before = status("VmRSS");
    let begun = Instant::now();
    let broker = Embedded::open(config()).expect("it opens again");
    eprintln!(
        "start with a million events: {:?}, {} kB more memory",
        begun.elapsed(),
        status("VmRSS") - before
    );

    let before = status("VmRSS");
    let credit = Credit { events: EVENTS as u32, bytes: 64 << 20 };
    let mut source = broker.open(&subscription, credit).await.expect("it opens");
    let (begun, mut leases, mut found) = (Instant::now(), Vec::with_capacity(EVENTS as usize), Vec::new());
    while leases.len() < EVENTS as usize {
        poll_fn(|cx| source.poll_next(cx, &mut found)).await.expect("there is more");
        leases.extend(found.drain(..).filter_map(|input| match input {
            Input::Delivery(delivery) => Some(delivery.lease),
            _ => None,
        }));
    }
    let own = leases.capacity() * size_of::<broker::Lease>() / 1024;
    let grown = (status("VmRSS") - before).saturating_sub(own as u64);
    eprintln!("a million handed out in {:?}, outstanding in {grown} kB", begun.elapsed());

    let begun = Instant::now();
    for lease in leases.iter().step_by(1000) {
        source.load(*lease).await.expect("it loads");
    }
    eprintln!("a load: {:?}", begun.elapsed() / 1000);
    let begun = Instant::now();
    for lease in leases.iter().rev() {
        source.settle(*lease, Settle::Done);
    }
    eprintln!("a million settled, last first, in {:?}", begun.elapsed());
    let begun = Instant::now();
    source.flush().await.expect("it flushes");
    eprintln!("flushed in {:?}; {} kB at the most", begun.elapsed(), status("VmHWM"));
}
