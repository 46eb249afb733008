//! What a publish costs in CPU, beside librdkafka's bare producer with the same headers in the same run.
//!
//! `COST_TOPICS=1,50,500` and `COST_PROPERTIES=linger.ms=0.5,…` (ours alone) narrow and vary it.
//!
//! `cargo test --release -p postrider-kafka --test publish_cost -- --ignored --nocapture`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use broker::{Batch, Body, Driver, Hop, Key, Origin, Record, TraceParent};
use bytes::Bytes;
use event::{Data, Event};
use parking_lot::{Condvar, Mutex};
use postrider_kafka::{Kafka, Settings};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use rdkafka::{ClientConfig, ClientContext};

const DATA_BYTES: usize = 1024;
const KEYS: u64 = 1000;

#[test]
#[ignore = "measures; run it alone and in release"]
fn cpu_per_record() {
    let counts = std::env::var("COST_TOPICS").unwrap_or_else(|_| "1,50,500".into());
    let counts: Vec<usize> = counts.split(',').map(|count| count.parse().expect("a number")).collect();
    let topics: Vec<Arc<str>> = (0..counts.iter().copied().max().unwrap_or(1)).map(|_| topic()).collect();
    println!("| topics | in flight | records | raw µs | ours µs | ratio | raw /s | ours /s |");
    println!("|---|---|---|---|---|---|---|---|");
    for count in counts {
        let topics = &topics[..count];
        for (batch, calls, total) in [(1, 64, 100_000), (1, 256, 200_000), (100, 16, 400_000)] {
            let raw = raw(topics, batch * calls, total);
            let ours = ours(topics, batch, calls, total);
            let ratio = ours.cpu / raw.cpu;
            println!(
                "| {count} | {calls} × {batch} | {total} | {:.2} | {:.2} | {ratio:.2} | {:.0} | {:.0} |",
                raw.cpu, ours.cpu, raw.rate, ours.rate
            );
        }
    }
}

fn topic() -> Arc<str> {
    let name = format!("cost-{}", uuid::Uuid::now_v7().simple());
    brokers::shared().create_topic(&name, 1, &[("retention.bytes", "10000000")]).expect("a topic");
    name.into()
}

/// Microseconds of this process's CPU a record, and records a second.
struct Cost {
    cpu: f64,
    rate: f64,
}

fn measured(total: usize, run: impl FnOnce()) -> Cost {
    let (begun, cpu) = (Instant::now(), process_cpu());
    run();
    let (lasted, spent) = (begun.elapsed(), process_cpu() - cpu);
    Cost { cpu: spent.as_secs_f64() * 1e6 / total as f64, rate: total as f64 / lasted.as_secs_f64() }
}

/// User and system time of all threads, in ticks of 10 ms.
fn process_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

fn bootstrap() -> String {
    brokers::shared().bootstrap().to_owned()
}

fn ours(topics: &[Arc<str>], batch: usize, calls: usize, total: usize) -> Cost {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let varied = std::env::var("COST_PROPERTIES").unwrap_or_default();
    let properties = varied.split(',').filter_map(|property| property.split_once('='));
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let kafka = Kafka::new(Settings { properties, ..Settings::new(vec![bootstrap()]) }).expect("a driver");
    let event = event();
    let next = Arc::new(AtomicU64::new(0));
    let run = |total: usize| {
        runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..calls {
                let (kafka, event, next, topics) =
                    (Arc::clone(&kafka), event.clone(), Arc::clone(&next), topics.to_vec());
                let calls = total / batch / calls;
                tasks.spawn(async move {
                    for _ in 0..calls {
                        let first = next.fetch_add(batch as u64, Ordering::Relaxed);
                        let records = (first..first + batch as u64).map(|n| record(&event, n)).collect();
                        let topic = Arc::clone(&topics[(first as usize / batch) % topics.len()]);
                        let deadline = Instant::now() + Duration::from_secs(30);
                        let outcomes = kafka.publish(Batch { topic, records, deadline }).await;
                        assert!(outcomes.iter().all(broker::Outcome::is_durable), "{:?}", outcomes[0]);
                    }
                });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.expect("no call fails");
            }
        });
    };
    run(topics.len().max(calls) * batch);
    let cost = measured(total, || run(total));
    runtime.block_on(kafka.close());
    cost
}

fn event() -> Event {
    Event::builder()
        .id("0199b0f2-7b1c-7d3c-8d8e-3a0f5f1c2d3e")
        .source("/orders")
        .kind("com.example.order.created")
        .time("2026-11-23T17:29:27.123Z")
        .data_content_type("application/json")
        .data(Data::Binary(Bytes::from(vec![b'x'; DATA_BYTES])))
        .build()
        .expect("a valid event")
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn record(event: &Event, number: u64) -> Record {
    let hop = Hop {
        traceparent: TraceParent::parse(TRACEPARENT.as_bytes()),
        origin: Some(Origin(7)),
        sequence: number + 1,
        ..Hop::default()
    };
    let key = Key::new(format!("key-{}", number % KEYS));
    Record { key, body: Body::Event(event.clone()), hop, letter: None }
}

/// Counts what is in flight.
#[derive(Default)]
struct Window {
    free: Mutex<usize>,
    changed: Condvar,
}

struct Reports(Arc<Window>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, _: usize) {
        assert!(result.is_ok(), "a record failed");
        *self.0.free.lock() += 1;
        self.0.changed.notify_one();
    }
}

/// librdkafka's producer as it is, with so many records in flight, each with the headers that ours have.
fn raw(topics: &[Arc<str>], in_flight: usize, total: usize) -> Cost {
    let window = Arc::new(Window { free: Mutex::new(in_flight), changed: Condvar::new() });
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap())
        .set("enable.idempotence", "true")
        .set("linger.ms", "0")
        .set("partitioner", "murmur2_random");
    let producer: ThreadedProducer<Reports> =
        config.create_with_context(Reports(Arc::clone(&window))).expect("a producer");
    let data = vec![b'x'; DATA_BYTES];
    let take = |count: usize| {
        let mut free = window.free.lock();
        while *free < count {
            window.changed.wait(&mut free);
        }
        *free -= count;
    };
    let run = |total: usize| {
        for number in 0..total {
            take(1);
            let (key, sequence) = (format!("key-{}", number as u64 % KEYS), (number + 1).to_string());
            let record = BaseRecord::with_opaque_to(&topics[number % topics.len()], number)
                .key(&key)
                .payload(&data)
                .headers(headers(&sequence));
            producer.send(record).map_err(|(error, _)| error).expect("there is room");
        }
        take(in_flight);
        *window.free.lock() += in_flight;
    };
    run(topics.len().max(in_flight));
    measured(total, || run(total))
}

fn headers(sequence: &str) -> OwnedHeaders {
    [
        ("content-type", "application/json"),
        ("ce_specversion", "1.0"),
        ("ce_id", "0199b0f2-7b1c-7d3c-8d8e-3a0f5f1c2d3e"),
        ("ce_source", "/orders"),
        ("ce_type", "com.example.order.created"),
        ("ce_time", "2026-11-23T17:29:27.123Z"),
        ("traceparent", TRACEPARENT),
        ("postrider-origin", "00000000000000000000000000000007"),
        ("postrider-sequence", sequence),
    ]
    .into_iter()
    .fold(OwnedHeaders::new_with_capacity(9), |list, (key, value)| {
        list.insert(Header { key, value: Some(value) })
    })
}
