//! Publishing to a cluster that fails as it is told to: librdkafka's mock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Batch, Body, Driver, Health, Hop, Key, Outcome, Position, Record, RefusalKind};
use bytes::Bytes;
use event::{Data, Event};
use postrider_kafka::{Kafka, Settings};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

const TOPIC: &str = "orders";
const AMPLE: Duration = Duration::from_secs(30);

type Mock = MockCluster<'static, DefaultProducerContext>;

fn mock(brokers: i32) -> Mock {
    let mock = MockCluster::new(brokers).expect("a mock cluster");
    mock.create_topic(TOPIC, 1, brokers).expect("a topic");
    mock
}

fn kafka(mock: &Mock, properties: &[(&str, &str)]) -> Arc<Kafka> {
    let servers = mock.bootstrap_servers().split(',').map(str::to_owned).collect();
    let properties =
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let settings = Settings { properties, ..Settings::new(servers) };
    settings.check().expect("good settings");
    Kafka::new(settings).expect("a driver")
}

fn record(key: &str, number: u64) -> Record {
    let event = Event::builder()
        .id(number.to_string())
        .source("/tests")
        .kind("com.example.test")
        .data(Data::Binary(Bytes::from_static(b"data")))
        .build()
        .expect("a valid event");
    Record { key: Key::new(key.to_owned()), body: Body::Event(event), hop: Hop::default(), letter: None }
}

fn batch(keys: &[&str], within: Duration) -> Batch {
    let records = keys.iter().zip(1..).map(|(key, number)| record(key, number)).collect();
    Batch { topic: TOPIC.into(), records, deadline: Instant::now() + within }
}

fn at(offset: u64) -> Outcome {
    Outcome::Durable(Position::Pair(0, offset))
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(AMPLE, wait).await.unwrap_or_else(|_| panic!("never so: {what}"));
}

#[tokio::test]
async fn past_its_deadline_a_record_is_unknown_and_may_land() {
    let mock = mock(1);
    let kafka = kafka(&mock, &[]);
    assert_eq!(kafka.publish(batch(&["a"], AMPLE)).await, [at(0)]);
    mock.broker_round_trip_time(1, Duration::from_secs(2)).unwrap();
    let outcomes = kafka.publish(batch(&["a", "b"], Duration::from_millis(200))).await;
    for outcome in &outcomes {
        assert!(matches!(outcome, Outcome::Unknown(why) if why.contains("may yet land")), "{outcomes:?}");
    }
    mock.broker_round_trip_time(1, Duration::ZERO).unwrap();
    assert_eq!(
        kafka.publish(batch(&["a"], AMPLE)).await,
        [at(3)],
        "both landed, and the next stands after them"
    );
    kafka.close().await;
}

#[tokio::test]
async fn after_a_failure_no_later_record_of_the_key_is_durable() {
    let mock = mock(1);
    // Each record is a request of its own, so that one can fail alone.
    let kafka = kafka(&mock, &[("batch.num.messages", "1"), ("max.in.flight", "1")]);
    assert_eq!(kafka.publish(batch(&["a"], AMPLE)).await, [at(0)]);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    mock.request_errors(RDKafkaApiKey::Produce, &[denied]);
    let outcomes = kafka.publish(batch(&["a", "b", "a"], AMPLE)).await;
    assert!(matches!(&outcomes[0], Outcome::Refused(r) if r.kind == RefusalKind::Denied), "{outcomes:?}");
    assert!(!outcomes[2].is_durable(), "line 2: {outcomes:?}");
    kafka.close().await;
}

#[tokio::test]
async fn a_blip_is_ridden_out_in_order() {
    let mock = mock(3);
    // Unlike a broker, the mock takes a batch whose predecessor it does not have, from which librdkafka concludes that it
    // has both: so all goes in one.
    let kafka = kafka(&mock, &[("linger.ms", "100")]);
    mock.request_errors(
        RDKafkaApiKey::Produce,
        &[
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
            RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        ],
    );
    let call = kafka.publish(batch(&["a", "b"].repeat(20), AMPLE));
    mock.partition_leader(TOPIC, 0, Some(2)).unwrap();
    assert_eq!(call.await, (0..40).map(at).collect::<Vec<_>>());
    assert_eq!(kafka.publish(batch(&["a"], AMPLE)).await, [at(40)], "each was written once");
    kafka.close().await;
}

#[tokio::test]
async fn while_all_brokers_are_down_publishes_are_refused_at_once() {
    let mock = mock(1);
    let kafka = kafka(&mock, &[]);
    assert_eq!(kafka.publish(batch(&["a"], AMPLE)).await, [at(0)]);
    mock.broker_down(-1).unwrap();
    until("the outage is noticed", || matches!(kafka.health(), Health::Down { .. })).await;
    let outcomes = kafka.publish(batch(&["a"], AMPLE)).await;
    let Outcome::Refused(refusal) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!(refusal.kind, RefusalKind::Unavailable);
    assert!(refusal.retry_after.is_some() && refusal.message.contains("no broker"), "{refusal:?}");
    mock.broker_up(-1).unwrap();
    until("it is over", || kafka.health() == Health::Up).await;
    assert_eq!(kafka.publish(batch(&["a"], AMPLE)).await, [at(1)]);
    kafka.close().await;
}

#[tokio::test]
async fn a_producer_that_cannot_go_on_is_replaced() {
    let mock = mock(1);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    mock.request_errors(RDKafkaApiKey::InitProducerId, &[denied]);
    let kafka = kafka(&mock, &[]);
    let mut outcomes = kafka.publish(batch(&["a"], AMPLE)).await;
    assert!(!outcomes[0].is_durable(), "its producer had no id: {outcomes:?}");
    let retried = async {
        while !outcomes[0].is_durable() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            outcomes = kafka.publish(batch(&["a"], AMPLE)).await;
        }
    };
    tokio::time::timeout(AMPLE, retried).await.expect("another producer publishes");
    assert_eq!(outcomes, [at(0)], "nothing of before was written");
    kafka.close().await;
}

#[tokio::test]
async fn closing_is_bounded_and_answers_everything() {
    let mock = mock(1);
    let kafka = kafka(&mock, &[]);
    assert_eq!(kafka.publish(batch(&["a"], AMPLE)).await, [at(0)]);
    mock.broker_down(-1).unwrap();
    let taken = kafka.publish(batch(&["a"], Duration::from_secs(600)));
    kafka.close().await;
    let outcomes = taken.await;
    assert!(!outcomes[0].is_durable(), "{outcomes:?}");
}
