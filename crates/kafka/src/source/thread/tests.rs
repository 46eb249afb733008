//! What happens to a member when its thread ends.

use std::sync::mpsc::channel;

use broker::Credit;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use super::*;
use crate::settings::Settings;

#[test]
fn a_thread_that_panics_while_it_reads_gives_back_its_partitions_and_ends() {
    const AMPLE: Duration = Duration::from_secs(60);
    let mock: MockCluster<'_, DefaultProducerContext> = MockCluster::new(1).expect("a mock cluster");
    mock.create_topic("orders", 2, 1).expect("a topic");
    let settings = Settings::new(vec![mock.bootstrap_servers()]);
    let cluster = Cluster::new(settings).expect("a client");
    let state = State::new("orders", true, Credit { events: 1, bytes: 1 });
    let shared = Shared::new("readers", "orders", state);
    let member = Arc::new(super::super::join(&cluster, &shared, None).expect("a member"));
    member.subscribe(&["orders"]).expect("it may join");
    let deadline = Instant::now() + AMPLE;
    while shared.state.lock().partitions.is_empty() {
        assert!(Instant::now() < deadline, "no partition came");
        member.poll(POLL);
    }
    *shared.member.lock() = Some(Arc::clone(&member));
    drop(member);
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
