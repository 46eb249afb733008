//! Promise 2. Every accepted event ends in a 2xx of its webhook or in the dead letters, with a reason.

use std::time::{Duration, Instant};

use http::Method;
use postrider_tests::checker::{self, Budget, assert_holds};
use postrider_tests::webhook::patience;
use postrider_tests::{
    Answer, Backend, Load, Plan, Postrider, Setup, Webhook, evidence, on_each_backend,
    on_each_backend_but_pubsub,
};
use serde_json::{Value, json};

on_each_backend!(
    a_422_is_dead_lettered_at_once_and_says_why,
    used_up_attempts_end_in_a_dead_letter_and_the_lane_goes_on,
    a_redrive_delivers_to_that_subscription_alone,
    the_longest_names_that_validate_work,
    purged_dead_letters_are_gone,
    under_every_kind_of_answer_and_a_kill_nothing_is_dropped,
);
on_each_backend_but_pubsub!(attempts_are_counted_across_restarts);

const BUDGET: Budget = Budget { in_flight: 16, unflushed: 1_000 };

/// The one dead letter of a subscription, once it is there.
async fn the_letter(sidecar: &Postrider, subscription: &str) -> Value {
    let one = |s: &Value| s["dead_lettered"] == json!(1);
    sidecar.until_subscription(subscription, "one dead letter", one).await;
    let letters = sidecar.dead_letters(subscription).await;
    assert_eq!(letters["total"], 1, "{letters:#}");
    letters["letters"][0].clone()
}

async fn a_422_is_dead_lettered_at_once_and_says_why(backend: Backend) {
    let webhook = Webhook::scripted(|_| Answer::status(422).body("no such customer")).await;
    let sidecar =
        Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), json!({}))).await;
    sidecar.publish_event("e-1", "customer-8").await;
    let letter = the_letter(&sidecar, "billing").await;
    assert_eq!(letter["id"], "e-1");
    assert_eq!(letter["source"], "/tests");
    assert_eq!(letter["key"], "customer-8");
    assert_eq!(letter["status"], 422);
    assert_eq!(letter["attempts"], 1);
    for field in ["reason", "first", "last", "position"] {
        assert!(letter[field].as_str().is_some_and(|text| !text.is_empty()), "{field} is told: {letter:#}");
    }
    let groups = sidecar.dead_letters("billing").await["groups"].clone();
    assert_eq!(groups[0]["status"], 422, "{groups:#}");
    assert_eq!(groups[0]["count"], 1, "{groups:#}");
    assert_eq!(webhook.attempts().len(), 1, "an event that is refused for good is not sent again");
}

async fn used_up_attempts_end_in_a_dead_letter_and_the_lane_goes_on(backend: Backend) {
    let webhook = Webhook::scripted(|seen| match seen.attempt.id.as_str() {
        "poison" => Answer::status(500),
        _ => Answer::status(204),
    })
    .await;
    let more = json!({ "retry": { "max_attempts": 3 } });
    let sidecar = Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), more)).await;
    for id in ["before", "poison", "after"] {
        sidecar.publish_event(id, "one-key").await;
    }
    let letter = the_letter(&sidecar, "billing").await;
    assert_eq!(
        (&letter["id"], &letter["status"], &letter["attempts"]),
        (&json!("poison"), &json!(500), &json!(3))
    );
    webhook
        .until("the event behind it", |attempts| attempts.iter().any(|a| a.id == "after" && a.succeeded()))
        .await;
    let order: Vec<String> = webhook.attempts().into_iter().map(|attempt| attempt.id).collect();
    assert_eq!(order, ["before", "poison", "poison", "poison", "after"]);
}

async fn attempts_are_counted_across_restarts(backend: Backend) {
    const ATTEMPTS: usize = 3;
    let webhook = Webhook::scripted(|_| Answer::status(500)).await;
    // So long apart that each start makes one.
    let more = json!({ "retry": { "max_attempts": ATTEMPTS, "initial": "1h", "max": "1h" } });
    let mut sidecar =
        Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), more)).await;
    sidecar.publish_event("poison", "k").await;
    for attempt in 1..ATTEMPTS {
        webhook.until("the next attempt", |attempts| attempts.len() >= attempt).await;
        webhook.until_quiet().await;
        sidecar.stop().await;
        sidecar.start_again().await;
    }
    webhook.until("the last attempt", |attempts| attempts.len() >= ATTEMPTS).await;
    webhook.until_quiet().await;
    let given_up = |s: &Value| s["dead_lettered"] == json!(1);
    sidecar
        .until_subscription("billing", "a letter, as attempts are counted across restarts", given_up)
        .await;
    let letter = the_letter(&sidecar, "billing").await;
    assert_eq!(letter["attempts"], json!(ATTEMPTS), "{letter:#}");
    assert_eq!(webhook.attempts().len(), ATTEMPTS, "no more are made");
}

async fn a_redrive_delivers_to_that_subscription_alone(backend: Backend) {
    let webhook = Webhook::scripted(|seen| match seen.attempt.path.as_str() {
        "/billing" => Answer::status(422),
        _ => Answer::status(204),
    })
    .await;
    let setup = Setup::on(backend).subscription("billing", &webhook.url("/billing"), json!({}));
    let setup = setup.subscription("audit", &webhook.url("/audit"), json!({}));
    let sidecar = Postrider::start(setup).await;
    sidecar.publish_event("e-1", "customer-8").await;
    the_letter(&sidecar, "billing").await;
    webhook
        .until("the other subscription's", |all| all.iter().any(|a| a.path == "/audit" && a.succeeded()))
        .await;

    webhook.answer(|_| Answer::status(204));
    sidecar.admin(Method::POST, "/v1/subscriptions/billing/dead-letters/redrive").await;
    webhook
        .until("the redriven event", |all| all.iter().any(|a| a.path == "/billing" && a.succeeded()))
        .await;
    until_no_letters(&sidecar, "billing").await;
    assert_eq!(webhook.attempts_at("/audit").len(), 1, "the other subscription does not process it again");
    let redriven = webhook.attempts_at("/billing").pop().expect("it came just now");
    assert_eq!(
        (redriven.id.as_str(), redriven.key.as_deref()),
        ("e-1", Some("customer-8")),
        "the event is untouched"
    );
}

async fn until_no_letters(sidecar: &Postrider, subscription: &str) {
    for _ in 0..500 {
        if sidecar.dead_letters(subscription).await["total"] == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("dead letters are left: {:#}", sidecar.dead_letters(subscription).await);
}

/// The durable name has its 235 bytes. With what dead letters and redrives add to it, names on brokers are longer yet.
async fn the_longest_names_that_validate_work(backend: Backend) {
    let billing = "b".repeat(100);
    let prefix = format!("p{:016x}{}", fastrand::u64(..), "p".repeat(17));
    let webhook =
        Webhook::scripted(|seen| Answer::status(if seen.attempt.attempt == 1 { 422 } else { 204 })).await;
    let setup = Setup::on(backend)
        .with("/service", json!("s".repeat(100)))
        .with("/names", json!({ "prefix": prefix }))
        .subscription(&billing, &webhook.url("/"), json!({}));
    let mut sidecar = Postrider::start(setup).await;
    sidecar.publish_event("e-1", "customer-8").await;
    assert_eq!(the_letter(&sidecar, &billing).await["id"], "e-1");
    // Files are found again by their names.
    sidecar.stop().await;
    sidecar.start_again().await;
    webhook.answer(|_| Answer::status(204));
    sidecar.admin(Method::POST, &format!("/v1/subscriptions/{billing}/dead-letters/redrive")).await;
    webhook.until_delivered(1).await;
}

async fn purged_dead_letters_are_gone(backend: Backend) {
    let webhook = Webhook::scripted(|_| Answer::status(422)).await;
    let sidecar =
        Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), json!({}))).await;
    sidecar.publish_event("e-1", "k").await;
    the_letter(&sidecar, "billing").await;
    sidecar.admin(Method::DELETE, "/v1/subscriptions/billing/dead-letters").await;
    until_no_letters(&sidecar, "billing").await;
}

async fn under_every_kind_of_answer_and_a_kill_nothing_is_dropped(backend: Backend) {
    let answers = |roll: u8| match roll {
        0..=9 => Answer::status(500),
        10..=14 => Answer::status(422),
        15..=17 => Answer::reset(),
        18..=19 => Answer::garbage(),
        20..=22 => Answer::status(409),
        _ => Answer::status(204),
    };
    let webhook = Webhook::scripted(move |_| answers(fastrand::u8(..100))).await;
    let more = json!({ "concurrency": 16, "retry": { "max_attempts": 3 }, "dead_letter": { "max_rate": "100000/m" } });
    let mut sidecar =
        Postrider::start(Setup::on(backend).subscription("billing", &webhook.url("/"), more)).await;
    let load = Load::start(sidecar.app(), &Plan { keys: 16, events_per_key: Some(30), ..Plan::default() });
    load.until_accepted(200).await;
    sidecar.kill();
    webhook.until_quiet().await;
    sidecar.start_again().await;
    let log_a = load.finish().await;
    let evidence = evidence(&sidecar, "billing", &webhook, log_a, 1).await;
    assert!(!evidence.dead.is_empty(), "such answers do end in dead letters");
    assert_holds(&evidence, BUDGET);
}

/// On the embedded broker alone: there a topic of dead letters has a bound that a test can reach.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_dead_letter_finds_no_room_is_kept_until_it_does() {
    let small = json!({ "local": { "embedded": {
        "max_bytes_per_topic": "1MiB", "reserve": "1MiB", "retention": { "size": "0B" },
    } } });
    let webhook = Webhook::scripted(|_| Answer::status(422)).await;
    let quick = json!({ "dead_letter": { "max_rate": "100000/m" }, "retry": { "max": "1s" } });
    let setup = Setup::new().with("/brokers", small).subscription("billing", &webhook.url("/"), quick);
    let sidecar = Postrider::start(setup).await;
    // Half as much again as the letters' topic takes; what does not fit waits in the events' own. Of few keys, so that
    // those of which letters are redriven have something that waits, too.
    let plan = Plan { keys: 4, events_per_key: Some(20), bytes: 20_000, ..Plan::default() };
    let log_a = Load::start(sidecar.app(), &plan).finish().await;
    let began = Instant::now();
    while !sidecar.output().contains("a dead letter could not be written") {
        assert!(began.elapsed() < patience(), "the dead letters never fill:\n{}", sidecar.output());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What is redriven now makes room for those that wait.
    webhook.answer(|_| Answer::status(204));
    sidecar.admin(Method::POST, "/v1/subscriptions/billing/dead-letters/redrive").await;
    let mut evidence = evidence(&sidecar, "billing", &webhook, log_a, 0).await;
    // Those whose letters had to wait are letters now, beyond where the redrive ended.
    let lost: Vec<String> = checker::nothing_lost(&evidence).iter().map(ToString::to_string).collect();
    assert!(lost.is_empty(), "{}", lost.join("\n"));
    // A redrive does not restore order, and is not judged by it.
    let redriven = evidence.attempts.iter().filter(|attempt| attempt.status == Some(422));
    evidence.dead.extend(redriven.map(|attempt| attempt.id.clone()));
    assert_holds(&evidence, Budget { in_flight: 0, unflushed: 0 });
}
