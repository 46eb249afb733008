//! A disk that fails under the running sidecar: an error of a sync, no room, a flipped bit. What was answered with 2xx is
//! delivered in the end, and what goes wrong is said.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use postrider_tests::client::Answer as Response;
use postrider_tests::{Answer, Postrider, Setup, Webhook, strace, tell};
use serde_json::json;

const TOPIC: &str = "/v1/topics/orders/events";

/// Small, so that segments of 128 KiB and a full disk are near.
fn setup(webhook: &Webhook) -> Setup {
    let small = json!({ "local": { "embedded": {
        "max_bytes_per_topic": "1MiB", "reserve": "1MiB", "retention": { "size": "0B" },
    } } });
    Setup::new().with("/brokers", small).subscription("billing", &webhook.url("/"), json!({}))
}

async fn publish(sidecar: &Postrider, id: &str, bytes: usize) -> Response {
    let headers = [
        ("ce-specversion", "1.0"),
        ("ce-id", id),
        ("ce-source", "/tests"),
        ("ce-type", "t"),
        ("content-type", "application/json"),
    ];
    sidecar.publish(TOPIC, &headers, &format!("{:?}", "x".repeat(bytes))).await
}

/// Waits until all of these were delivered.
async fn until_delivered(webhook: &Webhook, ids: &[String]) {
    webhook
        .until("every event that was accepted", |attempts| {
            ids.iter().all(|id| attempts.iter().any(|attempt| attempt.id == *id && attempt.succeeded()))
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_sync_nothing_is_accepted_until_a_restart_which_recovers() {
    if !strace::is_possible() {
        return;
    }
    let webhook = Webhook::start().await;
    let mut sidecar = Postrider::start(setup(&webhook)).await;
    let mut accepted = Vec::new();
    for n in 0..20 {
        let id = format!("before-{n}");
        assert_eq!(publish(&sidecar, &id, 100).await.status, 200);
        accepted.push(id);
    }
    sidecar.until_settled("billing").await;
    let Some(attached) = strace::inject(&sidecar, "fdatasync", "error=EIO") else { return };
    let failing: Vec<String> = (0..8).map(|n| format!("failing-{n}")).collect();
    let answers = futures(failing.iter().map(|id| publish(&sidecar, id, 100))).await;
    for answer in &answers {
        assert!(
            answer.status == 504 && answer.code().as_deref() == Some("outcome_unknown")
                || answer.status == 503,
            "the batch whose sync failed may have landed, and what came later is refused: {} {}",
            answer.status,
            answer.text()
        );
    }
    assert!(answers.iter().any(|answer| answer.status == 504), "the first of them was written");
    // The disk is well again, and nobody can know what it kept: a sync that succeeds now would say nothing.
    drop(attached);
    for n in 0..5 {
        let answer = publish(&sidecar, &format!("after-{n}"), 100).await;
        assert_eq!(answer.status, 503, "the log refuses from then on: {}", answer.text());
        assert!(answer.header("retry-after").is_some());
        assert!(answer.text().contains("check the disk"), "it says what to do: {}", answer.text());
    }
    sidecar.kill();
    sidecar.start_again().await;
    assert_eq!(publish(&sidecar, "restarted", 100).await.status, 200);
    accepted.push("restarted".into());
    until_delivered(&webhook, &accepted).await;
    let refused = |id: &str| id.starts_with("after-");
    assert!(
        !webhook.attempts().iter().any(|attempt| refused(&attempt.id)),
        "what was refused is not delivered"
    );
}

/// Awaits all of them at once, in one task.
async fn futures<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in all.iter_mut().filter(|(_, done)| done.is_none()) {
            if let std::task::Poll::Ready(output) = future.as_mut().poll(context) {
                *done = Some(output);
            }
        }
        if all.iter().all(|(_, done)| done.is_some()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    all.into_iter().filter_map(|(_, done)| done).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_with_507_and_drains_and_takes_events_again() {
    let webhook = Webhook::scripted(|_| Answer::status(503)).await;
    let roomy = json!({ "local": { "embedded": { "max_bytes_per_topic": "100MiB" } } });
    let mut sidecar = Postrider::prepare(setup(&webhook).with("/brokers", roomy));
    let Some(_disk) = SmallDisk::mount(&sidecar.directory().join("data")) else { return };
    sidecar.start_again().await;
    let mut accepted = Vec::new();
    let full = loop {
        let id = format!("event-{}", accepted.len());
        let answer = publish(&sidecar, &id, 20_000).await;
        if answer.status != 200 {
            break answer;
        }
        accepted.push(id);
        assert!(accepted.len() < 2_000, "the disk has 16 MiB, and never fills");
    };
    assert_eq!((full.status.as_u16(), full.code().as_deref()), (507, Some("log_full")), "{}", full.text());
    assert!(accepted.len() > 100, "it took what there was room for: {}", accepted.len());
    // A restart on a full disk recovers, and drains all the same.
    sidecar.kill();
    sidecar.start_again().await;
    assert_eq!(publish(&sidecar, "still-full", 20_000).await.status, 507);
    webhook.answer(|_| Answer::status(204));
    until_delivered(&webhook, &accepted).await;
    sidecar.until_settled("billing").await;
    let took = until_accepted(&sidecar, "room-again").await;
    tell(&format!("{} events filled the disk; drained, it took one again after {took:?}", accepted.len()));
    until_delivered(&webhook, &["room-again".into()]).await;
    assert!(!webhook.attempts().iter().any(|attempt| attempt.id == "still-full"), "it was refused");
    sidecar.stop().await;
    sidecar.start_again().await;
    assert!(!sidecar.output().contains("damaged"), "a full disk leaves no damage:\n{}", sidecar.output());
}

async fn until_accepted(sidecar: &Postrider, id: &str) -> Duration {
    let began = std::time::Instant::now();
    loop {
        let answer = publish(sidecar, id, 20_000).await;
        if answer.status == 200 {
            return began.elapsed();
        }
        assert_eq!(answer.status, 507, "{}", answer.text());
        assert!(began.elapsed() < Duration::from_secs(60), "drained, and still full: {}", answer.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A file system of 16 MiB, where this user may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).expect("a directory of our own");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m", "tmpfs"]).arg(at).output();
        if !mount.is_ok_and(|mount| mount.status.success()) {
            tell("LEFT OUT: a small disk can be mounted by root only");
            return None;
        }
        Some(Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the sidecar is still there. What it has open goes when it does.
        drop(Command::new("umount").arg("--lazy").arg(&self.0).status());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_bit_costs_its_event_alone_is_loud_and_its_segment_is_kept() {
    let webhook = Webhook::scripted(|_| Answer::status(503)).await;
    let mut sidecar = Postrider::start(setup(&webhook)).await;
    let mut ids: Vec<String> = (0..20).map(|n| format!("event-{n:02}")).collect();
    for id in &ids {
        assert_eq!(publish(&sidecar, id, 300).await.status, 200);
    }
    sidecar.stop().await;
    let flipped = flip(&sidecar.directory().join("data"), b"event-07");
    webhook.answer(|_| Answer::status(204));
    sidecar.start_again().await;
    let damaged = ids.remove(7);
    until_delivered(&webhook, &ids).await;
    sidecar.until_settled("billing").await;
    assert!(
        !webhook.attempts().iter().any(|attempt| attempt.id == damaged && attempt.succeeded()),
        "what is damaged is not delivered as something else"
    );
    let said = sidecar.output();
    assert!(said.contains("damaged and lost"), "it is said at the start:\n{said}");

    // When its segment's time has come it is kept aside, for an operator, instead of being removed.
    let aside = flipped.with_extension("quarantined");
    for n in 0..2_000 {
        if aside.exists() {
            return;
        }
        assert_eq!(publish(&sidecar, &format!("more-{n}"), 20_000).await.status, 200);
        sidecar.until_settled("billing").await;
    }
    panic!("{} never came", aside.display());
}

/// Flips a bit of the text, in the segment where it stands.
fn flip(data: &Path, text: &[u8]) -> PathBuf {
    let mut found = None;
    let mut todo = vec![data.to_owned()];
    while let Some(directory) = todo.pop() {
        for entry in fs::read_dir(directory).expect("the data is where the configuration has it").flatten() {
            let path = entry.path();
            if path.is_dir() {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "segment") {
                let bytes = fs::read(&path).expect("a segment can be read");
                let at = bytes.windows(text.len()).position(|window| window == text);
                found = found.or(at.map(|at| (path, at, bytes[at])));
            }
        }
    }
    let (path, at, byte) = found.expect("the text stands in a segment");
    let file = fs::File::options().write(true).open(&path).expect("a segment can be written");
    file.write_all_at(&[byte ^ 0x10], at as u64).expect("a segment can be written");
    path
}
