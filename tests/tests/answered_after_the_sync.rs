//! Promise 1 as the kernel sees it: no 2xx leaves before the `fdatasync` that covers its event has returned.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use postrider_tests::{Postrider, Setup, strace, tell};
use serde_json::json;
use tokio::task::JoinSet;
use torture::trace::Call;

const CONNECTIONS: usize = 8;
const EVENTS: usize = 40;

fn id(connection: usize, event: usize) -> String {
    format!("event-{connection:03}-{event:03}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_2xx_leaves_before_the_covering_sync_returned() {
    if !strace::is_possible() {
        return;
    }
    // The smallest topic there is has segments of 128 KiB: it rotates on the way.
    let small = json!({ "local": { "embedded": { "max_bytes_per_topic": "1MiB", "reserve": "1MiB" } } });
    let sidecar = Postrider::start(Setup::new().with("/brokers", small)).await;
    let seen = tempfile::NamedTempFile::new().expect("the temporary directory can be written to");
    let calls = "pwrite64,pwritev,write,writev,sendto,sendmsg,fdatasync,fsync";
    let Some(attached) = strace::watch(&sidecar, calls, seen.path()) else { return };
    publish(&sidecar).await;
    drop(attached);

    let calls = strace::read(seen.path());
    let segments: BTreeSet<PathBuf> = calls.iter().filter_map(segment).collect();
    assert!(segments.len() > 1, "the log rotated: {segments:?}");
    assert_eq!(early(&calls), Vec::<String>::new());
    let events = CONNECTIONS * EVENTS;
    let syncs = calls.iter().filter(|call| is_sync(call)).count();
    tell(&format!("{events} answers, each after its sync; {syncs} syncs"));

    // A program that does not sync, or that answers first, would be found out.
    let without: Vec<Call> = calls.iter().filter(|call| !is_sync(call)).cloned().collect();
    assert_eq!(early(&without).len(), events, "no sync, and nobody noticed");
    let mut hasty = calls.clone();
    let first = calls.iter().find(|call| is_sync(call)).expect("something was synced").began;
    hasty.iter_mut().filter(|call| is_answer(&text_of(call))).for_each(|call| call.began = first);
    assert_eq!(early(&hasty).len(), events, "answered first, and nobody noticed");
}

/// Every connection sends its events one after another, so that a commit gathers some of each.
async fn publish(sidecar: &Postrider) {
    let mut publishers = JoinSet::new();
    let app = sidecar.app();
    for connection in 0..CONNECTIONS {
        publishers.spawn(async move {
            let mut open =
                postrider_tests::client::Connection::open(app).await.expect("the app listener is there");
            for event in 0..EVENTS {
                let id = id(connection, event);
                let headers = [
                    ("ce-specversion", "1.0"),
                    ("ce-id", id.as_str()),
                    ("ce-source", "/tests"),
                    ("ce-type", "t"),
                    ("content-type", "application/json"),
                ];
                let body = format!("{:?}", "x".repeat(700));
                let request = postrider_tests::client::request(
                    http::Method::POST,
                    "/v1/topics/orders/events",
                    &headers,
                    body,
                );
                let answer = open.send(request).await.expect("it answers");
                assert_eq!(answer.status, 200, "{}", answer.text());
            }
        });
    }
    while let Some(ended) = publishers.join_next().await {
        ended.expect("every event is accepted");
    }
}

/// Events whose answers came too early, each with the reason.
fn early(calls: &[Call]) -> Vec<String> {
    // By event: the write to a segment, and the answer.
    let mut writes: HashMap<String, &Call> = HashMap::new();
    let mut answers: HashMap<String, &Call> = HashMap::new();
    for call in calls.iter().filter(|call| !is_sync(call)) {
        let text = text_of(call);
        let of = match is_answer(&text) {
            true => &mut answers,
            false if segment(call).is_some() => &mut writes,
            false => continue,
        };
        for id in ids_in(&text) {
            of.entry(id).or_insert(call);
        }
    }
    let syncs: Vec<&Call> = calls.iter().filter(|call| is_sync(call) && call.result() == Some(0)).collect();
    let verdict = |id: String| {
        let Some(answer) = answers.get(&id) else { return Some(format!("{id}: its answer was not seen")) };
        let Some(write) = writes.get(&id) else { return Some(format!("{id}: it was never written")) };
        let covered = syncs.iter().any(|sync| covers(sync, write, answer));
        (!covered).then(|| format!("{id}: answered on line {} before a sync covered it", answer.began))
    };
    let all = (0..CONNECTIONS).flat_map(|connection| (0..EVENTS).map(move |event| id(connection, event)));
    all.filter_map(verdict).collect()
}

/// Whether a sync began after the write was over, and was over before the answer began.
fn covers(sync: &Call, write: &Call, answer: &Call) -> bool {
    segment(sync) == segment(write)
        && write.ended.is_some_and(|written| written < sync.began)
        && sync.ended.is_some_and(|synced| synced < answer.began)
}

fn is_answer(text: &[u8]) -> bool {
    text.starts_with(b"HTTP/1.1 2")
}

/// The ids of events that stand in a text.
fn ids_in(text: &[u8]) -> impl Iterator<Item = String> {
    let found = text.windows(id(0, 0).len()).filter(|window| window.starts_with(b"event-"));
    found.map(|id| String::from_utf8_lossy(id).into_owned())
}

fn is_sync(call: &Call) -> bool {
    matches!(call.name.as_str(), "fdatasync" | "fsync")
}

fn segment(call: &Call) -> Option<PathBuf> {
    call.file().filter(|path| path.extension().is_some_and(|e| e == "segment"))
}

fn text_of(call: &Call) -> Vec<u8> {
    call.texts().concat()
}
