//! Pausing, replacing, draining, seeking; apps and brokers that come and go.

use std::time::{Duration, Instant};

use broker::Start;
use postrider_delivery::{Error, LetterFilter, Origin};

use crate::house::House;
use crate::webhook::{PATIENCE, Reply, Webhook, status};

#[tokio::test]
async fn a_pause_lasts_until_it_is_ended() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    house.add(house.spec("billing", hook.uri())).await;
    let state = || house.subscriptions.status("billing").unwrap().state;
    house.subscriptions.pause("billing").unwrap();
    assert_eq!(state(), "paused", "whoever asks after the word is told of it");
    house.told.wait("Paused", 1).await;
    assert_eq!(state(), "paused");
    house.publish("e1", None).await;
    house.status("billing", |status| status.lag == 1).await;
    assert!(hook.unseen().await.is_empty());
    house.subscriptions.resume("billing").unwrap();
    assert_eq!(state(), "running");
    assert_eq!(hook.next().await.id(), "e1");
    house.status("billing", |status| status.state == "running" && status.delivered == 1).await;
}

#[tokio::test]
async fn nothing_is_sent_before_the_app_is_up() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.app = Some("app".into());
    house.add(spec).await;
    house.publish("e1", None).await;
    let waiting =
        house.status("billing", |status| status.reason.is_some() && status.state == "running").await;
    assert!(waiting.reason.unwrap().contains("app"));
    house.subscriptions.set_app("another", true);
    assert!(hook.unseen().await.is_empty());
    house.subscriptions.set_app("app", true);
    assert_eq!(hook.next().await.attempt(), 1);
}

#[tokio::test]
async fn an_app_that_comes_up_during_a_replacement_stays_up() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.app = Some("app".into());
    house.add(spec.clone()).await;
    house.publish("e1", None).await;
    {
        let mut replaced = std::pin::pin!(house.subscriptions.replace(spec));
        assert!(futures::poll!(replaced.as_mut()).is_pending(), "the task has to take it up");
        house.subscriptions.set_app("app", true);
        replaced.await.unwrap();
    }
    assert_eq!(hook.next().await.id(), "e1");
    house.publish("e2", None).await;
    assert_eq!(hook.next().await.id(), "e2");
}

#[tokio::test]
async fn what_is_drained_while_it_is_replaced_is_not_opened_again() {
    let house = House::new();
    let (old, new) = (Webhook::start(|_| Reply::Hang).await, Webhook::start(|_| status(200)).await);
    let mut spec = house.spec("billing", old.uri());
    house.add(spec.clone()).await;
    house.publish("e1", None).await;
    old.next().await;
    // From now on replacements wait so long for open attempts; the one that is open has a longer timeout.
    spec.webhook.timeout = Duration::from_millis(20);
    house.subscriptions.replace(spec.clone()).await.unwrap();
    (spec.durable.name, spec.webhook.uri) = ("dev.shop.billing-2".into(), new.uri());
    let within = Instant::now() + Duration::from_millis(300);
    let both = tokio::join!(house.subscriptions.replace(spec), house.subscriptions.drain("billing", within));
    assert!(both.0.is_ok() && both.1.is_ok(), "{both:?}");
    assert_eq!(house.subscriptions.status("billing").unwrap().state, "drained");
    assert!(new.unseen().await.is_empty(), "nothing is delivered anew by what is to end");
}

#[tokio::test]
async fn a_drain_lets_open_attempts_end_and_gives_the_rest_back() {
    let house = House::new();
    let slow = Webhook::start(|_| Reply::Hang).await;
    let mut spec = house.spec("billing", slow.uri());
    spec.policy.concurrency = 1;
    spec.policy.window.initial = 1;
    house.add(spec.clone()).await;
    house.publish("e1", Some("a")).await;
    house.publish("e2", Some("b")).await;
    slow.next().await;
    let within = Instant::now() + Duration::from_millis(100);
    house.subscriptions.drain("billing", within).await.unwrap();
    slow.over().await;
    assert!(slow.unseen().await.is_empty(), "nothing new begins while draining");
    let drained = house.subscriptions.status("billing").unwrap();
    assert_eq!((drained.state.as_str(), drained.held, drained.in_flight), ("drained", 0, 0));

    let hook = Webhook::start(|_| status(200)).await;
    spec.webhook.uri = hook.uri();
    house.add(spec).await;
    house.status("billing", |status| status.delivered == 2 && status.lag == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_the_answer_of_an_open_attempt() {
    let house = House::new();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let hook = Webhook::start(move |_| {
        tokio::task::block_in_place(|| gate.recv().unwrap());
        status(200)
    })
    .await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("e1", None).await;
    house.told.wait("AttemptBegun", 1).await;
    let subscriptions = house.subscriptions.clone();
    let drain = async { subscriptions.drain("billing", Instant::now() + Duration::from_secs(30)).await };
    let (drained, ()) = tokio::join!(drain, async {
        house.status("billing", |status| status.state == "draining").await;
        go.send(()).unwrap();
    });
    drained.unwrap();
    assert_eq!(house.told.count("Settled"), 1, "its answer was taken");
}

#[tokio::test]
async fn a_later_drain_does_not_prolong_an_earlier_one() {
    let house = House::new();
    let slow = Webhook::start(|_| Reply::Hang).await;
    house.add(house.spec("billing", slow.uri())).await;
    house.publish("e1", None).await;
    slow.next().await;
    let drain = |within| house.subscriptions.drain("billing", Instant::now() + within);
    let (soon, late) = (Duration::from_millis(100), Duration::from_secs(3600));
    let both = async { tokio::join!(drain(soon), drain(late)) };
    let ended = tokio::time::timeout(PATIENCE, both).await.expect("the first one's deadline holds");
    assert!(matches!(ended, (Ok(()), Ok(()))), "{ended:?}");
}

#[tokio::test]
async fn what_is_drained_stays_listed_until_it_is_added_again() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    for name in ["billing", "stock"] {
        house.add(house.spec(name, hook.uri())).await;
    }
    house.publish("e1", None).await;
    for name in ["billing", "stock"] {
        house.status(name, |status| status.delivered == 1).await;
    }
    house.drain().await;
    let states = |house: &House| -> Vec<String> {
        house
            .subscriptions
            .list()
            .into_iter()
            .map(|s| format!("{} {} {}", s.name, s.state, s.delivered))
            .collect()
    };
    assert_eq!(states(&house), ["billing drained 1", "stock drained 1"]);
    assert!(house.subscriptions.all_ensured(), "nobody waits for what has ended");
    house.subscriptions.drain("billing", Instant::now()).await.expect("it is drained already");

    let (subscriptions, all) = (&house.subscriptions, LetterFilter::default());
    for refused in [
        subscriptions.pause("billing"),
        subscriptions.resume("billing"),
        subscriptions.replace(house.spec("billing", hook.uri())).await,
        subscriptions.seek("billing", Start::Earliest).await,
        subscriptions.letters("billing", &all).await.map(drop),
        subscriptions.redrive("billing", &all).await.map(drop),
        subscriptions.purge("billing", &all).await.map(drop),
    ] {
        let says_why = |state: &str| state == "drained";
        assert!(matches!(&refused, Err(Error::NotRunning { state, .. }) if says_why(state)), "{refused:?}");
    }

    house.publish("e2", None).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.status("billing", |status| status.state == "running" && status.delivered == 1).await;
    assert_eq!(states(&house)[1], "stock drained 1");
    let again = house.subscriptions.add(house.spec("billing", hook.uri()));
    assert!(matches!(again, Err(Error::Duplicate(_))), "{again:?}");
}

#[tokio::test]
async fn a_replacement_takes_effect_without_losing_anything() {
    let house = House::new();
    let (old, new) = (Webhook::start(|_| status(500)).await, Webhook::start(|_| status(200)).await);
    let mut spec = house.spec("billing", old.uri());
    spec.policy.retry.max_attempts = 1000;
    house.add(spec.clone()).await;
    house.publish("e1", Some("k")).await;
    old.next().await;
    spec.webhook.uri = new.uri();
    house.subscriptions.replace(spec.clone()).await.unwrap();
    assert_eq!(new.next().await.id(), "e1");
    let delivered = house.status("billing", |status| status.delivered == 1).await;
    assert_eq!(delivered.to, new.uri().to_string());

    // Another durable name is another cursor: opened anew, from the beginning.
    spec.durable.name = "dev.shop.billing-2".into();
    house.subscriptions.replace(spec).await.unwrap();
    assert_eq!(new.next().await.id(), "e1");
    let status = house.status("billing", |status| status.delivered == 2).await;
    assert_eq!(status.durable_name, "dev.shop.billing-2");
}

#[tokio::test]
async fn an_unreachable_broker_is_pending_until_it_is_back() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    house.broker.with(|model, now| model.outage(now, Duration::from_secs(1)));
    house.subscriptions.add(house.spec("billing", hook.uri())).unwrap();
    assert!(!house.subscriptions.all_ensured());
    let status = house.status("billing", |status| status.reason.as_deref() != Some("starting")).await;
    assert_eq!(status.state, "pending");
    assert!(house.subscriptions.pending_brokers().contains_key("local"));
    tokio::time::timeout(crate::webhook::PATIENCE, house.subscriptions.ensured()).await.unwrap();
    assert!(house.subscriptions.pending_brokers().is_empty());
    house.publish("e1", None).await;
    assert_eq!(hook.next().await.id(), "e1");
}

#[tokio::test]
async fn an_outage_while_running_loses_nothing() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("e1", None).await;
    hook.next().await;
    house.broker.with(|model, now| model.outage(now, Duration::from_millis(300)));
    house.publish("e2", None).await;
    assert_eq!(hook.next().await.id(), "e2");
    house.status("billing", |status| status.delivered == 2 && status.lag == 0).await;
}

#[tokio::test]
async fn a_seek_delivers_again() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("e1", None).await;
    house.status("billing", |status| status.delivered == 1 && status.lag == 0).await;
    house.subscriptions.seek("billing", Start::Earliest).await.unwrap();
    house.status("billing", |status| status.delivered == 2).await;
}

#[tokio::test]
async fn a_gap_is_counted_and_told() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.subscriptions.pause("billing").unwrap();
    house.status("billing", |status| status.state == "paused").await;
    for id in ["e1", "e2"] {
        house.publish(id, None).await;
    }
    house.drain().await;
    house.broker.with(|model, now| model.expire(now, "b-orders", 2));
    house.add(house.spec("billing", hook.uri())).await;
    house.told.wait("Gap", 1).await;
    house.status("billing", |status| status.gaps == 2).await;
}

#[tokio::test]
async fn dropping_the_last_handle_ends_everything() {
    let house = House::new();
    let hook = Webhook::start(|_| Reply::Hang).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("e1", None).await;
    hook.next().await;
    let House { subscriptions, .. } = house;
    let another = subscriptions.clone();
    drop(subscriptions);
    assert_eq!(another.status("billing").unwrap().name, "billing", "a clone keeps all alive");
    drop(another);
    hook.over().await;
}

#[tokio::test]
async fn wrong_names_and_webhooks_are_told() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    house.add(house.spec("billing", hook.uri())).await;
    let again = house.subscriptions.add(house.spec("billing", hook.uri()));
    assert!(matches!(again, Err(Error::Duplicate(_))), "{again:?}");
    assert!(matches!(house.subscriptions.pause("nobody"), Err(Error::Unknown(_))));
    let tls = house.subscriptions.add(house.spec("tls", "https://localhost/".parse().unwrap()));
    assert!(matches!(tls, Err(Error::Webhook { .. })), "{tls:?}");
    assert!(Origin::parse("http://payments:8080").is_ok());
}
