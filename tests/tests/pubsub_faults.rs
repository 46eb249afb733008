//! What Pub/Sub's clients go through in production, under load, by a proxy of the test's own: outages of every kind, and
//! the small failures of every day. The checker says what held; the figures are printed.

use std::time::{Duration, Instant};

use brokers::pubsub::{Code, Fault, Proxy};
use postrider_tests::checker::{Budget, assert_holds};
use postrider_tests::evidence::Evidence;
use postrider_tests::webhook::patience;
use postrider_tests::{Backend, Load, Plan, Postrider, Setup, Webhook, evidence, rounds, tell, tell_faults};
use serde_json::json;

const CONCURRENCY: usize = 16;
const BUDGET: Budget = Budget { in_flight: CONCURRENCY, unflushed: 1_000 };

/// A sidecar whose way to the service can fail, its webhook, and publishers at work.
struct Stand {
    proxy: Proxy,
    webhook: Webhook,
    sidecar: Postrider,
    load: Load,
}

impl Stand {
    async fn new() -> Self {
        let server = brokers::pubsub::shared().address();
        let proxy = Proxy::start(server).expect("a proxy of the test's own");
        let webhook = Webhook::start().await;
        // An attempt that was spent on an outage would soon show.
        let more = json!({ "concurrency": CONCURRENCY, "retry": { "max_attempts": 3 } });
        // Longer than it takes to look through the dead letters.
        let setup = Setup::on_pubsub(proxy.address()).with("/limits/request_timeout", json!("8s"));
        let sidecar = Postrider::start(setup.subscription("billing", &webhook.url("/"), more)).await;
        let load = Load::start(sidecar.app(), &Plan::steady(Backend::Pubsub));
        Self { proxy, webhook, sidecar, load }
    }

    fn set(&self, fault: Fault) {
        self.proxy.set(fault).expect("a fault can be set");
    }

    fn reset(&self) {
        self.proxy.reset().expect("faults can be taken away");
    }

    /// Publishes go through, and what is published arrives.
    async fn until_well(&self) {
        self.load.until_accepted(self.load.accepted() + 100).await;
        self.webhook.until_delivered(self.load.accepted()).await;
    }

    /// Waits until publishers are told to come again later, which they are at once then.
    async fn until_refused(&self, outage: &str) {
        let began = Instant::now();
        loop {
            let headers = [("content-type", "application/json"), ("idempotency-key", "probe")];
            let answer = self.sidecar.publish("/v1/topics/orders/events", &headers, "{}").await;
            assert!(!answer.status.is_success(), "{outage}: nothing can be durable: {}", answer.text());
            if answer.status == 503 {
                let code = answer.code();
                assert_eq!(code.as_deref(), Some("broker_unavailable"), "{outage}: {}", answer.text());
                assert!(answer.header("retry-after").is_some(), "{outage}: it says when: {}", answer.text());
                tell(&format!("{outage}: refused at once after {:.1?}", began.elapsed()));
                return;
            }
            assert!(began.elapsed() < patience(), "{outage} is never told: {}", answer.text());
        }
    }

    /// What all of it came to, once everything has arrived. The dead letters are empty.
    async fn evidence(self, what: &str, faults: usize) -> Evidence {
        let log_a = self.load.stop().await;
        let mut evidence = evidence(&self.sidecar, "billing", &self.webhook, log_a, faults).await;
        // The probes' own event has no key and is nobody's to judge.
        evidence.attempts.retain(|attempt| attempt.id != "probe");
        tell_faults(what, &evidence);
        assert_eq!(evidence.dead, Vec::<String>::new(), "{what} is no failure of an event");
        evidence
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_of_pubsub_lose_nothing_and_publishers_are_told() {
    // The last one is longer than a lease.
    const OUTAGES: [(&str, Duration); 4] = [
        ("a service that answers UNAVAILABLE", Duration::ZERO),
        ("a service that nobody finds", Duration::ZERO),
        ("a service that answers nothing", Duration::ZERO),
        ("a long outage", Duration::from_secs(15)),
    ];
    let stand = Stand::new().await;
    let mut slowest = Duration::ZERO;
    for (round, (outage, longer)) in OUTAGES.into_iter().enumerate() {
        stand.until_well().await;
        match round {
            1 => stand.proxy.kill().expect("a proxy can be killed"),
            2 => stand.proxy.pause().expect("a proxy can be paused"),
            _ => {
                stand.set(Fault::refuse("*", Code::Unavailable));
                stand.set(Fault::end_streams(Code::Unavailable));
            }
        }
        stand.until_refused(outage).await;
        tokio::time::sleep(longer).await;
        match round {
            1 => stand.proxy.restart().expect("a proxy can be started again"),
            2 => stand.proxy.resume().expect("a proxy can be woken"),
            _ => stand.reset(),
        }
        let ended = Instant::now();
        stand.until_well().await;
        slowest = slowest.max(ended.elapsed());
    }
    tell(&format!(
        "all that was accepted had arrived {slowest:.1?} after the end of an outage, at the latest"
    ));
    let evidence = stand.evidence("outages", OUTAGES.len()).await;
    assert!(!evidence.refusals.is_empty(), "publishers were told");
    assert_holds(&evidence, BUDGET);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_failures_of_every_day_on_pubsub_lose_nothing() {
    let stand = Stand::new().await;
    let faults = [
        Fault::end_streams(Code::Unavailable).times(8),
        Fault::cut("StreamingPull").times(1),
        Fault::apply_and_refuse("Publish", Code::Unavailable).times(3),
        Fault::refuse("Publish", Code::ResourceExhausted).times(5),
        Fault::lose_answer("Publish").times(3),
        Fault::drop("Acknowledge").times(3),
        Fault::redeliver().times(20),
        Fault::cut("Publish").times(1),
        Fault::refuse("ModifyAckDeadline", Code::Internal).times(10),
        Fault::delay("*", Duration::from_millis(300)).times(50),
        Fault::refuse("StreamingPull", Code::ResourceExhausted).times(8),
        Fault::drop("StreamingPull").times(2),
    ];
    let times = rounds(1);
    for _ in 0..times {
        for fault in &faults {
            stand.set(fault.clone());
            stand.load.until_accepted(stand.load.accepted() + 150).await;
        }
    }
    let happened = stand.proxy.happened().expect("the proxy tells");
    stand.reset();
    let evidence = stand.evidence("the failures of every day", times * faults.len()).await;
    tell(&format!("{happened} calls and streams failed"));
    assert!(happened as usize >= faults.len(), "the failures did happen: {happened}");
    assert_holds(&evidence, BUDGET);
}
