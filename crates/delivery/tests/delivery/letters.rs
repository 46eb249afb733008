//! Dead letters: what they say, how they are listed, purged and delivered again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use broker::Body;
use broker::model::{Broker, Model, Settings};
use postrider_delivery::{Error, LetterFilter};

use crate::house::{House, TRACE};
use crate::webhook::{PATIENCE, Reply, Webhook, answer, status};

/// A webhook that condemns events until it is mended.
async fn moody() -> (Webhook, Arc<AtomicBool>) {
    let mended = Arc::new(AtomicBool::new(false));
    let seen_mended = mended.clone();
    let hook = Webhook::start(move |seen| match (seen_mended.load(Ordering::SeqCst), seen.id()) {
        (true, _) => status(200),
        (false, "odd") => answer(422, &[], "odd"),
        (false, _) => answer(400, &[], "bad"),
    })
    .await;
    (hook, mended)
}

/// A subscription with the letters a, b, odd.
async fn with_letters() -> (House, Webhook, Arc<AtomicBool>) {
    let (hook, mended) = moody().await;
    let house = House::stored();
    house.add(house.spec("billing", hook.uri())).await;
    for id in ["a", "b", "odd"] {
        house.publish(id, Some(&format!("key {id}"))).await;
    }
    house.status("billing", |status| status.dead_lettered == 3 && status.lag == 0).await;
    hook.unseen().await;
    (house, hook, mended)
}

fn by_id(id: &str) -> LetterFilter {
    LetterFilter { id: Some(id.into()), ..LetterFilter::default() }
}

async fn total(house: &House) -> u64 {
    house.subscriptions.letters("billing", &LetterFilter::default()).await.unwrap().total
}

/// Waits until so many letters stand.
async fn settled(house: &House, letters: u64) {
    let begun = std::time::Instant::now();
    while total(house).await != letters {
        assert!(begun.elapsed() < PATIENCE, "{} letters stand", total(house).await);
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// Redrives as soon as no other redrive is under way.
async fn redrive(house: &House, filter: &LetterFilter) -> u64 {
    let begun = std::time::Instant::now();
    loop {
        match house.subscriptions.redrive("billing", filter).await {
            Ok(count) => return count,
            Err(Error::RedriveUnderWay(_)) => assert!(begun.elapsed() < PATIENCE, "a redrive ends"),
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_letter_is_the_record_untouched_and_says_why() {
    let (house, _hook, _) = with_letters().await;
    let published = house.log("b-orders");
    let letters = house.log("b-billing.dead");
    let find = |records: &[broker::Record], id: &str| {
        let is = |record: &&broker::Record| matches!(&record.body, Body::Event(event) if event.id() == id);
        records.iter().find(is).unwrap().clone()
    };
    let (original, dead) = (find(&published, "odd"), find(&letters, "odd"));
    let (Body::Event(before), Body::Event(after)) = (&original.body, &dead.body) else { panic!() };
    assert_eq!((before, &original.key, &original.hop), (after, &dead.key, &dead.hop));
    assert_eq!(dead.hop.traceparent.unwrap().to_string(), TRACE);
    let letter = dead.letter.unwrap();
    assert_eq!(letter.topic, "orders");
    assert_eq!(letter.position, "2");
    assert_eq!(letter.subscription, "dev.shop.billing");
    assert_eq!((letter.status, letter.answer.as_str(), letter.attempts), (Some(422), "odd", 1));
    assert_eq!(house.told.count("DeadLettered"), 3);
}

#[tokio::test]
async fn letters_are_grouped_filtered_and_paged() {
    let (house, ..) = with_letters().await;
    let all = house.subscriptions.letters("billing", &LetterFilter::default()).await.unwrap();
    assert_eq!((all.total, all.letters.len(), all.next), (3, 3, None));
    let groups: Vec<_> = all.groups.iter().map(|g| (g.reason.as_str(), g.status, g.count)).collect();
    assert_eq!(groups, [("answered_dead_letter", Some(400), 2), ("answered_dead_letter", Some(422), 1)]);
    assert!(all.letters[0].first.contains('T') && all.letters[0].first.ends_with('Z'), "RFC 3339");
    for filter in [
        by_id("odd"),
        LetterFilter { key: Some("key odd".into()), ..LetterFilter::default() },
        LetterFilter {
            status: Some(422),
            reason: Some("answered_dead_letter".into()),
            ..LetterFilter::default()
        },
    ] {
        let found = house.subscriptions.letters("billing", &filter).await.unwrap();
        let ids: Vec<_> = found.letters.iter().map(|letter| letter.id.as_str()).collect();
        assert_eq!((found.total, ids), (1, vec!["odd"]), "{filter:?}");
    }
    let mut page = LetterFilter { limit: Some(2), ..LetterFilter::default() };
    let first = house.subscriptions.letters("billing", &page).await.unwrap();
    assert_eq!((first.total, first.letters.len()), (3, 2));
    page.from = first.next;
    let second = house.subscriptions.letters("billing", &page).await.unwrap();
    assert_eq!((second.total, second.letters.len(), second.next), (3, 1, None));
}

#[tokio::test]
async fn letters_are_purged_by_filter_or_all() {
    let (house, hook, _) = with_letters().await;
    assert_eq!(house.subscriptions.purge("billing", &by_id("a")).await.unwrap(), 1);
    assert_eq!(total(&house).await, 2);
    assert_eq!(house.subscriptions.purge("billing", &LetterFilter::default()).await.unwrap(), 2);
    assert_eq!(total(&house).await, 0);
    assert_eq!(house.subscriptions.redrive("billing", &LetterFilter::default()).await.unwrap(), 0);
    assert!(hook.unseen().await.is_empty());
}

#[tokio::test]
async fn a_redrive_delivers_all_letters_to_this_subscription_alone() {
    let (house, hook, mended) = with_letters().await;
    let other = Webhook::start(|_| status(200)).await;
    house.add(house.spec("other", other.uri())).await;
    house.status("other", |status| status.delivered == 3).await;
    mended.store(true, Ordering::SeqCst);
    assert_eq!(house.subscriptions.redrive("billing", &LetterFilter::default()).await.unwrap(), 3);
    house.status("billing", |status| status.delivered == 3).await;
    settled(&house, 0).await;
    let mut ids = Vec::new();
    for seen in hook.unseen().await {
        assert_eq!((seen.header("postrider-topic"), seen.attempt()), ("orders", 1));
        assert_eq!(seen.header("traceparent"), TRACE);
        ids.push(seen.id().to_owned());
    }
    ids.sort();
    assert_eq!(ids, ["a", "b", "odd"]);
    assert_eq!(house.subscriptions.status("other").unwrap().delivered, 3);
}

#[tokio::test]
async fn a_redrive_leaves_what_its_filter_leaves_out() {
    let (house, hook, mended) = with_letters().await;
    mended.store(true, Ordering::SeqCst);
    assert_eq!(house.subscriptions.redrive("billing", &by_id("b")).await.unwrap(), 1);
    settled(&house, 2).await;
    let ids: Vec<_> = hook.unseen().await.iter().map(|seen| seen.id().to_owned()).collect();
    assert_eq!(ids, ["b"]);
    let canary = LetterFilter { limit: Some(1), ..LetterFilter::default() };
    assert_eq!(redrive(&house, &canary).await, 1, "a canary");
    settled(&house, 1).await;
}

#[tokio::test]
async fn a_letter_that_fails_again_is_a_new_letter_of_the_old_origin() {
    let (house, hook, _) = with_letters().await;
    assert_eq!(house.subscriptions.redrive("billing", &by_id("odd")).await.unwrap(), 1);
    house.status("billing", |status| status.dead_lettered == 4).await;
    settled(&house, 3).await;
    assert_eq!(hook.unseen().await.len(), 1, "once, and not round and round");
    let letters = house.log("b-billing.dead");
    let letter = letters.last().unwrap().letter.as_ref().unwrap();
    assert_eq!((letter.topic.as_str(), letter.position.as_str(), letters.len()), ("orders", "2", 4));
}

#[tokio::test]
async fn subscriptions_that_share_a_dead_letter_topic_keep_their_letters_apart() {
    let house = House::new();
    let mended = Arc::new(AtomicBool::new(false));
    let seen_mended = mended.clone();
    let bad =
        move |_: &crate::webhook::Seen| status(if seen_mended.load(Ordering::SeqCst) { 200 } else { 400 });
    let (one, two) = (Webhook::start(bad.clone()).await, Webhook::start(bad).await);
    for (name, hook) in [("billing", &one), ("stock", &two)] {
        let mut spec = house.spec(name, hook.uri());
        spec.dead_letter = house.topic("dead", false);
        house.add(spec).await;
    }
    house.publish("a", None).await;
    house.status("billing", |status| status.dead_lettered == 1).await;
    house.status("stock", |status| status.dead_lettered == 1).await;
    assert_eq!((total(&house).await, house.log("b-dead").len()), (1, 2));
    one.unseen().await;
    mended.store(true, Ordering::SeqCst);
    assert_eq!(redrive(&house, &LetterFilter::default()).await, 1);
    settled(&house, 0).await;
    assert_eq!(one.unseen().await.len(), 1, "its own letter alone");
}

#[tokio::test]
async fn where_a_letter_cannot_be_written_its_delivery_waits() {
    let house = House::new();
    let settings = Settings { backlog_max: 1, ..Settings::default() };
    let full = Broker::new(Model::new(settings, fastrand::Rng::with_seed(1)));
    let hook = Webhook::start(|_| status(400)).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.dead_letter.driver = Arc::new(full.clone());
    house.add(spec).await;
    house.publish("a", Some("k")).await;
    house.status("billing", |status| status.dead_lettered == 1).await;
    house.publish("b", Some("k")).await;
    house.publish("c", Some("k")).await;
    house.told.wait("DeadLetterFailed", 3).await;
    let waiting = house.status("billing", |status| !status.stuck_keys.is_empty()).await;
    assert_eq!((waiting.lag, waiting.dead_lettered, waiting.stuck_keys[0].key.as_str()), (2, 1, "k"));
    assert_eq!(hook.unseen().await.len(), 2, "the webhook is asked once, and the key's next one waits");
    let begun = std::time::Instant::now();
    while house.status("billing", |_| true).await.dead_lettered < 3 {
        assert!(begun.elapsed() < PATIENCE, "with room again, the letters are written");
        house.subscriptions.purge("billing", &LetterFilter::default()).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let letters = full.with(|model, _| model.log("b-billing.dead").count());
    assert_eq!((letters, hook.unseen().await.len()), (3, 1));
}

#[tokio::test]
async fn one_redrive_at_a_time() {
    let hang = Arc::new(AtomicBool::new(false));
    let hanging = hang.clone();
    let hook =
        Webhook::start(move |_| if hanging.load(Ordering::SeqCst) { Reply::Hang } else { status(400) }).await;
    let house = House::new();
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("a", None).await;
    house.status("billing", |status| status.dead_lettered == 1 && status.lag == 0).await;
    hang.store(true, Ordering::SeqCst);
    assert_eq!(house.subscriptions.redrive("billing", &LetterFilter::default()).await.unwrap(), 1);
    let again = house.subscriptions.redrive("billing", &LetterFilter::default()).await;
    assert!(matches!(again, Err(Error::RedriveUnderWay(_))), "{again:?}");
}

#[tokio::test]
async fn foreign_bytes_are_dead_lettered_without_an_attempt() {
    let house = House::new();
    let hook = Webhook::start(|_| status(200)).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish_foreign(b"hello").await;
    house.publish("e1", None).await;
    house.status("billing", |status| status.dead_lettered == 1 && status.delivered == 1).await;
    assert_eq!(hook.unseen().await.len(), 1);
    let letters = house.log("b-billing.dead");
    let letter = letters[0].letter.as_ref().unwrap();
    assert_eq!((letter.reason.as_str(), letter.attempts, letter.status), ("foreign", 0, None));
    assert_eq!(letter.answer, "it has no id");
    assert!(matches!(&letters[0].body, Body::Foreign { bytes, .. } if bytes == "hello"));
    let list = house.subscriptions.letters("billing", &LetterFilter::default()).await.unwrap();
    assert_eq!(list.letters[0].reason, "foreign");
}
