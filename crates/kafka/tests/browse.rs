//! Reading a topic without a group, on a real Kafka: the order across partitions, where it begins and ends.

#[path = "browse/ground.rs"]
mod ground;
#[path = "browse/topics.rs"]
mod topics;

use std::time::{Duration, UNIX_EPOCH};

use broker::{Browse, Driver, ErrorKind, Position, Selection};
use ground::Ground;

async fn rest(browse: &mut dyn Browse, portion: usize) -> Vec<Position> {
    let mut found = Vec::new();
    loop {
        let page = browse.next(portion).await.expect("a topic that is well can be read");
        if page.is_empty() {
            return found;
        }
        found.extend(page.into_iter().map(|(position, _, _)| position));
    }
}

async fn from(ground: &Ground, topic: &str, from: Option<Position>) -> Vec<Position> {
    let what = Selection { from, ..Selection::default() };
    rest(&mut *ground.driver.browse(topic, what).await.expect("a topic can be browsed"), 7).await
}

fn pair(partition: u32, offset: u64) -> Position {
    Position::Pair(partition, offset)
}

/// Three partitions whose records interleave, some of the same millisecond.
async fn interleaved(ground: &Ground) -> (String, Vec<Position>) {
    let topic = ground.topic(3).await;
    let (mut offsets, mut all) = ([0; 3], Vec::new());
    for (order, ms) in (0..60).map(|n: u64| 1_000_000 + n / 2 * 10).enumerate() {
        let partition = (order * 7 % 3) as u32;
        ground.write(&topic, partition, ms, b"x");
        all.push((ms, partition, offsets[partition as usize]));
        offsets[partition as usize] += 1;
    }
    ground.flush();
    all.sort_unstable();
    (topic, all.into_iter().map(|(_, partition, offset)| pair(partition, offset)).collect())
}

#[tokio::test]
async fn partitions_are_merged_by_time() {
    let ground = Ground::new().await;
    let (topic, all) = interleaved(&ground).await;
    assert_eq!(from(&ground, &topic, None).await, all, "the oldest first, whatever partition it stands in");
    let since = Some(UNIX_EPOCH + Duration::from_millis(1_000_100));
    let what = Selection { since, ..Selection::default() };
    let mut browse = ground.driver.browse(&topic, what).await.unwrap();
    assert_eq!(rest(&mut *browse, 100).await, all[20..], "from a time on");
}

#[tokio::test]
async fn a_listing_goes_on_from_any_of_its_records() {
    let ground = Ground::new().await;
    let (topic, all) = interleaved(&ground).await;
    for at in [0, 1, 2, 3, 29, 30, 58, 59] {
        let found = from(&ground, &topic, Some(all[at].clone())).await;
        assert_eq!(found, all[at..], "what follows record {at}, without a gap and without a double");
    }
}

#[tokio::test]
async fn a_clock_that_goes_back_breaks_no_order_and_loses_nothing() {
    let ground = Ground::new().await;
    let topic = ground.topic(2).await;
    for (partition, ms) in [(0, 5000), (0, 1000), (0, 6000), (1, 2000), (1, 5500), (1, 100)] {
        ground.write(&topic, partition, ms, b"x");
    }
    ground.flush();
    let all = [pair(1, 0), pair(0, 0), pair(0, 1), pair(1, 1), pair(1, 2), pair(0, 2)];
    assert_eq!(from(&ground, &topic, None).await, all, "a record is no older than what stands before it");
    for at in 0..all.len() {
        let found = from(&ground, &topic, Some(all[at].clone())).await;
        let missing: Vec<_> = all[at..].iter().filter(|position| !found.contains(position)).collect();
        assert!(missing.is_empty(), "from record {at}, {missing:?} are missing: {found:?}");
    }
}

#[tokio::test]
async fn ends_and_positions_that_are_none() {
    let ground = Ground::new().await;
    let topic = ground.topic(3).await;
    assert_eq!(ground.driver.end(&topic).await.unwrap(), None, "an empty topic has no end");
    for _ in 0..4 {
        ground.write(&topic, 1, 1000, b"x");
    }
    ground.flush();
    let end = ground.driver.end(&topic).await.unwrap();
    assert_eq!(end, Some(Position::Text("0:0,1:4,2:0".into())), "one past the last, all partitions");
    let mut browse =
        ground.driver.browse(&topic, Selection { from: end, ..Selection::default() }).await.unwrap();
    assert_eq!(rest(&mut *browse, 10).await, [], "nothing stands at the end");
    ground.write(&topic, 0, 500, b"x");
    ground.flush();
    assert_eq!(rest(&mut *browse, 10).await, [pair(0, 0)], "what comes after it, however old");
    let beyond = from(&ground, &topic, Some(pair(1, 9))).await;
    assert_eq!(beyond, [], "beyond the end there is nothing, and nothing older either");
    for none in [Position::Number(3), Position::Text("nowhere".into()), pair(3, 0)] {
        let what = Selection { from: Some(none.clone()), ..Selection::default() };
        let error = ground.driver.browse(&topic, what).await.expect_err("no such position");
        assert_eq!(error.kind, ErrorKind::NotFound, "{none}: {error}");
    }
    let missing = ground.unique("nowhere");
    let error = ground.driver.browse(&missing, Selection::default()).await.expect_err("no such topic");
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
    let error = ground.driver.end(&missing).await.expect_err("no such topic");
    assert_eq!(error.kind, ErrorKind::NotFound, "{error}");
}

#[tokio::test]
async fn the_end_is_found_behind_the_markers_of_transactions() {
    let ground = Ground::new().await;
    let topic = ground.topic(2).await;
    ground.transaction(&topic, 0, 3, true);
    ground.transaction(&topic, 0, 3, false);
    let mut browse = ground.driver.browse(&topic, Selection::default()).await.unwrap();
    assert_eq!(rest(&mut *browse, 10).await, [pair(0, 0), pair(0, 1), pair(0, 2)], "what was committed");
    ground.transaction(&topic, 1, 2, false);
    ground.transaction(&topic, 1, 1, true);
    assert_eq!(rest(&mut *browse, 10).await, [pair(1, 3)], "an end that was told before is no end now");
    for n in 0..5 {
        ground.write(&topic, 0, 1000, b"x");
        ground.flush();
        assert_eq!(rest(&mut *browse, 10).await, [pair(0, 8 + n)], "each as soon as it is there");
    }
}

#[tokio::test]
async fn a_partition_that_is_added_is_read_from_its_beginning() {
    let mut ground = Ground::new().await;
    let topic = ground.topic(1).await;
    ground.write(&topic, 0, 1000, b"x");
    ground.flush();
    let mut browse = ground.driver.browse(&topic, Selection::default()).await.unwrap();
    assert_eq!(rest(&mut *browse, 10).await, [pair(0, 0)]);
    ground.grow(&topic, 3).await;
    ground.write(&topic, 2, 1000, b"x");
    ground.flush();
    assert_eq!(rest(&mut *browse, 10).await, [pair(2, 0)], "partitions come to a topic while it is followed");
}

#[tokio::test]
async fn partitions_of_different_ages_are_read_within_bounds() {
    const EACH: u64 = 24;
    let ground = Ground::new().await;
    let topic = ground.topic(3).await;
    let large = vec![b'x'; 700_000];
    for partition in [2, 0, 1] {
        for n in 0..EACH {
            ground.write(&topic, partition, 1_000_000 * u64::from(partition + 1) + n, &large);
        }
    }
    ground.flush();
    let all: Vec<_> = (0..3).flat_map(|partition| (0..EACH).map(move |n| pair(partition, n))).collect();
    assert_eq!(
        from(&ground, &topic, None).await,
        all,
        "one partition after the other, though all are read at once"
    );
}

#[tokio::test]
async fn a_read_that_was_given_up_loses_nothing() {
    let ground = Ground::new().await;
    let (topic, all) = interleaved(&ground).await;
    let mut browse = ground.driver.browse(&topic, Selection::default()).await.unwrap();
    let given_up = tokio::time::timeout(Duration::ZERO, browse.next(50)).await;
    let mut found: Vec<_> =
        given_up.map_or_else(|_| Vec::new(), |page| page.unwrap().into_iter().map(|(p, _, _)| p).collect());
    found.extend(rest(&mut *browse, 4).await);
    assert_eq!(found, all);
}
