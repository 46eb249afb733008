//! Order per key, speed across keys, one sick webhook beside a healthy one.

use std::collections::{HashMap, HashSet};

use crate::house::House;
use crate::webhook::{Reply, Webhook, status};

/// Publishes events `k0-0 …` of several keys, every other delivery failing once, and checks order and overlap per key.
async fn ordered(house: House) {
    let mut failed = HashSet::new();
    let hook = Webhook::start(move |seen| {
        let id = seen.id().to_owned();
        let number: u32 = id.split_once('-').unwrap().1.parse().unwrap();
        match number % 3 {
            1 if failed.insert(id.clone()) => status(500),
            2 if failed.insert(id) => Reply::Close,
            _ => status(200),
        }
    })
    .await;
    house.add(house.spec("billing", hook.uri())).await;
    for number in 0..20 {
        for key in 0..5 {
            house.publish(&format!("k{key}-{number}"), Some(&format!("k{key}"))).await;
        }
    }
    house.status("billing", |status| status.delivered >= 100 && status.lag == 0).await;
    let mut next: HashMap<String, u32> = HashMap::new();
    for seen in hook.unseen().await {
        let (key, number) = seen.id().split_once('-').unwrap();
        let number: u32 = number.parse().unwrap();
        let next = next.entry(key.to_owned()).or_default();
        // An event may come again; none may come before its predecessor has come.
        assert!(number <= *next, "{} came while {key}-{next} was due", seen.id());
        *next = (*next).max(number + 1);
    }
    assert!(next.len() == 5 && next.values().all(|next| *next == 20), "all have come: {next:?}");
    house.drain().await;
}

#[tokio::test]
async fn keys_keep_their_order_where_leases_are_superseded() {
    ordered(House::repeating()).await;
}

#[tokio::test]
async fn keys_keep_their_order_under_failures() {
    ordered(House::new()).await;
}

#[tokio::test]
async fn keys_keep_their_order_where_payloads_stay_on_the_broker() {
    ordered(House::stored()).await;
}

#[tokio::test]
async fn keys_keep_their_order_over_a_restless_broker() {
    ordered(House::restless()).await;
}

#[tokio::test]
async fn a_stuck_key_keeps_no_other_waiting() {
    let house = House::new();
    let hook = Webhook::start(|seen| if seen.id() == "bad" { Reply::Hang } else { status(200) }).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("bad", Some("k0")).await;
    for number in 0..50 {
        house.publish(&format!("k{number}"), Some(&format!("k{number}"))).await;
    }
    let status = house.status("billing", |status| status.delivered == 49).await;
    assert_eq!(status.lag, 2, "the stuck one, and its successor");
}

#[tokio::test]
async fn one_sick_webhook_does_not_disturb_another() {
    let house = House::new();
    let sick = Webhook::start(|_| Reply::Hang).await;
    let well = Webhook::start(|_| status(200)).await;
    house.add(house.spec("sick", sick.uri())).await;
    house.add(house.spec("well", well.uri())).await;
    for number in 0..100 {
        house.publish(&format!("e{number}"), None).await;
    }
    house.status("well", |status| status.delivered == 100 && status.lag == 0).await;
    assert_eq!(house.subscriptions.status("sick").unwrap().delivered, 0);
}
