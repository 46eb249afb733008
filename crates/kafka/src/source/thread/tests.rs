//! What happens to a member as it comes and goes, on librdkafka's mock of a cluster.

use std::sync::mpsc::channel;

use broker::{Credit, Driver, Input, Position, Start, Subscription};
use rdkafka::ClientConfig;
use rdkafka::consumer::CommitMode;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use super::*;
use crate::progress::Progress;
use crate::settings::Settings;

const AMPLE: Duration = Duration::from_secs(60);
const TOPIC: &str = "orders";

type Mock = MockCluster<'static, DefaultProducerContext>;

/// A member that has all partitions, and what its source shares with it.
fn reading() -> (Mock, Arc<Shared>, BaseConsumer<Member>) {
    let mock = MockCluster::new(1).expect("a mock cluster");
    mock.create_topic(TOPIC, 2, 1).expect("a topic");
    let cluster = Cluster::new(Settings::new(vec![mock.bootstrap_servers()])).expect("a client");
    let state = State::new(TOPIC, true, Credit { events: 1, bytes: 1 });
    let shared = Shared::new("readers", TOPIC, state);
    let member = super::super::join(&cluster, &shared, None).expect("a member");
    member.subscribe(&[TOPIC]).expect("it may join");
    poll_until(&shared, &member, |state| !state.partitions.is_empty());
    (mock, shared, member)
}

fn poll_until(shared: &Shared, member: &BaseConsumer<Member>, done: impl Fn(&State) -> bool) {
    let deadline = Instant::now() + AMPLE;
    while !done(&shared.state.lock()) {
        assert!(Instant::now() < deadline, "partitions neither came nor went");
        member.poll(POLL);
    }
}

#[test]
fn a_thread_that_panics_while_it_reads_gives_back_its_partitions_and_ends() {
    let (_mock, shared, member) = reading();
    *shared.member.lock() = Some(Arc::new(member));
    let ending = Ending(Arc::clone(&shared));
    let (tell, told) = channel();
    let thread = std::thread::Builder::new().spawn(move || {
        drop(ending);
        tell.send(()).expect("it is waited for");
    });
    thread.expect("a thread");
    told.recv_timeout(AMPLE).expect("the last owner of the member waits for itself");
    let state = shared.state.lock();
    assert!(state.phase == Phase::Ended && state.partitions.is_empty());
}

#[test]
fn a_partition_that_went_while_it_was_paused_is_read_when_it_comes_back() {
    let (mock, shared, member) = reading();
    let mut list = TopicPartitionList::new();
    list.add_partition_range(TOPIC, 0, 1);
    member.pause(&list).expect("it can be paused");
    member.unsubscribe();
    poll_until(&shared, &member, |state| state.partitions.is_empty());
    member.subscribe(&[TOPIC]).expect("it may join again");
    poll_until(&shared, &member, |state| state.partitions.len() == 2);
    let servers = mock.bootstrap_servers();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", servers).create().expect("a producer");
    let record = BaseRecord::<(), _>::to(TOPIC).partition(1).payload("data");
    producer.send(record).map_err(|(error, _)| error).expect("there is room");
    producer.flush(AMPLE).expect("the broker takes it");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !matches!(member.poll(POLL), Some(Ok(_))) {
        assert!(Instant::now() < deadline, "it is still paused, and nobody is going to resume it");
    }
}

/// Commits for a group that nobody reads that offset 0 is stuck and all up to `settled_to` behind it is settled.
fn commit_ahead(servers: &str, group: &str, settled_to: u64) {
    let mut progress = Progress::new(0);
    progress.receive(0);
    progress.settle_range(1, settled_to);
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", group)
        .create()
        .expect("a client of the group");
    let mut list = TopicPartitionList::new();
    let mut element = list.add_partition(TOPIC, 0);
    element.set_offset(rdkafka::Offset::Offset(0)).expect("an offset");
    element.set_metadata(progress.encode(crate::progress::METADATA_CHARS).text);
    client.commit(&list, CommitMode::Sync).expect("nobody reads the group");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_settled_of_a_longer_log_hides_nothing_of_one_that_nobody_led() {
    const RECORDS: u64 = 3;
    let mock: Mock = MockCluster::new(1).expect("a mock cluster");
    mock.create_topic(TOPIC, 1, 1).expect("a topic");
    let servers = mock.bootstrap_servers();
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &servers).create().expect("a producer");
    let publish = || {
        for _ in 0..RECORDS {
            let record = BaseRecord::<(), _>::to(TOPIC).partition(0).payload("data");
            producer.send(record).map_err(|(error, _)| error).expect("there is room");
        }
        producer.flush(AMPLE).expect("the broker takes them");
    };
    publish();
    commit_ahead(&servers, "readers", 100);
    mock.partition_leader(TOPIC, 0, None).expect("its leader goes");
    let kafka = crate::Kafka::new(Settings::new(vec![servers])).expect("a driver");
    let subscription = Subscription {
        name: "readers".into(),
        topic: TOPIC.into(),
        start: Start::Earliest,
        ordered: true,
        until: None,
        keeps_unsettled: false,
    };
    let credit = Credit { events: 1000, bytes: 1 << 20 };
    let mut source = kafka.open(&subscription, credit).await.expect("it can be opened");
    let deadline = tokio::time::Instant::now() + AMPLE;
    while source.parts().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "the partition is taken over though nobody leads it");
        tokio::time::sleep(POLL).await;
    }
    mock.partition_leader(TOPIC, 0, Some(1)).expect("it comes back");
    let (mut offsets, mut gaps) = (Vec::new(), Vec::new());
    while offsets.len() < RECORDS as usize {
        let mut inputs = Vec::new();
        let next = std::future::poll_fn(|cx| source.poll_next(cx, &mut inputs));
        let came = tokio::time::timeout_at(deadline, next).await;
        came.unwrap_or_else(|_| panic!("all of the log comes: {offsets:?}")).expect("the source goes on");
        for input in inputs {
            match input {
                Input::Delivery(delivery) => offsets.push(delivery.position),
                Input::Gap(gap) => gaps.push(gap),
                _ => {}
            }
        }
    }
    assert_eq!(offsets, (0..RECORDS).map(|offset| Position::Pair(0, offset)).collect::<Vec<_>>());
    assert_eq!(gaps.len(), 1, "that the longer one is gone is told: {gaps:?}");
    source.close().await.expect("it closes");
    kafka.close().await;
}
