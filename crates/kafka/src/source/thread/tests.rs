//! What happens to a member as it comes and goes, on librdkafka's mock of a cluster.

use std::sync::mpsc::channel;

use broker::Credit;
use rdkafka::ClientConfig;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer};

use super::*;
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
