//! A broker that asks for its leases before it takes them.

use broker::Settle;
use broker::model::{Happened, SourceId};
use tokio::sync::oneshot;

use crate::house::House;
use crate::webhook::{Reply, Webhook, status};

/// How the leases of the topic ended, by position.
fn settled(house: &House) -> Vec<(u64, Settle)> {
    let ended = |what: &Happened| match what {
        Happened::Settled { position, settle, .. } => Some((*position, *settle)),
        _ => None,
    };
    house
        .broker
        .with(|model, _| model.history().moments.iter().filter_map(|moment| ended(&moment.what)).collect())
}

#[tokio::test]
async fn what_is_under_way_ends_and_what_waits_goes_back_unsent() {
    let house = House::patient();
    let (answer, told) = oneshot::channel();
    let mut told = Some(told);
    let hook = Webhook::start(move |_| told.take().map_or_else(|| status(200), Reply::Held)).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("e1", Some("k")).await;
    hook.next().await;
    house.publish("e2", Some("k")).await;
    house.publish("e3", Some("k")).await;
    house.status("billing", |status| status.held == 3).await;

    house.broker.with(|model, now| model.recall(now, SourceId(1), true, false));
    house.status("billing", |status| status.held == 1).await;
    assert_eq!(settled(&house), [(2, Settle::Release), (1, Settle::Release)], "the last first");
    answer.send(()).unwrap();
    house.status("billing", |status| status.delivered == 1 && status.held == 0).await;
    assert_eq!(settled(&house)[2..], [(0, Settle::Done)], "the attempt that was under way counts");
    assert!(hook.unseen().await.is_empty(), "nothing was begun after the recall");
    house.told.wait("AttemptEnded", 1).await;
}
