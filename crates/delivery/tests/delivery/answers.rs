//! What each answer leads to.

use std::time::Duration;

use http_body_util::{BodyExt, StreamBody};
use postrider_delivery::Answer;
use tokio::net::TcpListener;

use crate::house::House;
use crate::webhook::{Reply, Seen, Webhook, answer, bytes, status};

/// Answers a first attempt so, and later ones with 204.
fn first(reply: impl Fn() -> Reply + Send + 'static) -> impl FnMut(&Seen) -> Reply + Send {
    move |seen| if seen.attempt() == 1 { reply() } else { status(204) }
}

#[tokio::test]
async fn a_2xx_settles_the_delivery() {
    let house = House::new();
    let hook = Webhook::start(|_| status(202)).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("e1", Some("k")).await;
    assert_eq!(hook.next().await.id(), "e1");
    let status = house.status("billing", |status| status.delivered == 1 && status.lag == 0).await;
    assert_eq!((status.state.as_str(), status.dead_lettered), ("running", 0));
    assert_eq!(house.told.count("Settled"), 1);
    house.drain().await;
    assert!(hook.unseen().await.is_empty(), "what is settled never comes again");
}

#[tokio::test]
async fn what_may_succeed_later_is_sent_again_and_counted() {
    for code in [302, 401, 403, 404, 408, 409, 425, 429, 500, 502, 503, 504, 507] {
        let house = House::new();
        let hook =
            Webhook::start(first(move || answer(code, &[("location", "/elsewhere")], "not now"))).await;
        house.add(house.spec("billing", hook.uri())).await;
        house.publish("e1", None).await;
        let (first, second) = (hook.next().await, hook.next().await);
        assert_eq!((first.attempt(), second.attempt()), (1, 2), "{code}");
        assert_eq!(second.path, "/hook?x=1", "{code}: a redirect is not followed");
        house.status("billing", |status| status.delivered == 1).await;
    }
}

#[tokio::test]
async fn other_4xx_are_dead_lettered_at_once() {
    for code in [400, 405, 415, 422] {
        let house = House::new();
        let hook = Webhook::start(move |_| answer(code, &[], "no such order\nhere")).await;
        house.add(house.spec("billing", hook.uri())).await;
        house.publish("e1", Some("k")).await;
        house.status("billing", |status| status.dead_lettered == 1 && status.lag == 0).await;
        let letters = house.log("b-billing.dead");
        let letter = letters[0].letter.as_ref().unwrap();
        assert_eq!((letter.reason.as_str(), letter.status), ("answered_dead_letter", Some(code)));
        assert_eq!(letter.answer, "no such order here", "the head of the answer, on one line");
        assert_eq!((letter.attempts, hook.unseen().await.len()), (1, 1));
    }
}

#[tokio::test]
async fn a_410_pauses_until_somebody_resumes() {
    let house = House::new();
    let hook = Webhook::start(first(|| status(410))).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("e1", None).await;
    let paused = house.status("billing", |status| status.state == "paused").await;
    assert!(paused.reason.unwrap().contains("410"));
    assert_eq!(paused.lag, 1, "nothing is lost");
    house.subscriptions.resume("billing").unwrap();
    house.status("billing", |status| status.delivered == 1 && status.state == "running").await;
}

#[tokio::test]
async fn retry_after_holds_the_whole_subscription() {
    for code in [429, 503] {
        let house = House::new();
        let hook = Webhook::start(first(move || answer(code, &[("retry-after", "3600")], ""))).await;
        house.add(house.spec("billing", hook.uri())).await;
        house.publish("e1", None).await;
        house.told.wait("Held", 1).await;
        // The policy of these tests caps it at 50 ms.
        house.status("billing", |status| status.delivered == 1).await;
    }
}

#[tokio::test]
async fn overrides_win() {
    let house = House::new();
    let hook = Webhook::start(|seen| status(if seen.id() == "e1" { 404 } else { 418 })).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.webhook.answers = vec![(404, Answer::DeadLetter), (418, Answer::Done)];
    house.add(spec).await;
    house.publish("e1", None).await;
    house.publish("e2", None).await;
    house.status("billing", |status| status.dead_lettered == 1 && status.delivered == 1).await;
}

#[tokio::test]
async fn used_up_attempts_are_dead_lettered_with_their_times() {
    let house = House::stored();
    let hook = Webhook::start(|_| answer(500, &[], "boom")).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("e1", Some("k")).await;
    house.status("billing", |status| status.dead_lettered == 1 && status.lag == 0).await;
    let letters = house.log("b-billing.dead");
    let letter = letters[0].letter.as_ref().unwrap();
    assert_eq!((letter.reason.as_str(), letter.attempts), ("attempts_used_up", 5));
    assert!(letter.first_ms > 0 && letter.first_ms <= letter.last_ms);
    let numbers: Vec<u32> = hook.unseen().await.iter().map(Seen::attempt).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_timeout_closes_the_connection_before_the_next_attempt() {
    let house = House::new();
    let hook = Webhook::start(first(|| Reply::Hang)).await;
    let mut spec = house.spec("billing", hook.uri());
    spec.webhook.timeout = Duration::from_millis(50);
    house.add(spec).await;
    house.publish("e1", Some("k")).await;
    assert_eq!(hook.next().await.attempt(), 1);
    hook.over().await;
    let second = hook.next().await;
    assert_eq!((second.attempt(), second.open), (2, 1), "at no time two requests of one key");
    house.status("billing", |status| status.delivered == 1).await;
}

#[tokio::test]
async fn a_connection_that_breaks_or_talks_garbage_is_a_failure_of_the_endpoint() {
    let house = House::new();
    let hook = Webhook::start(first(|| Reply::Close)).await;
    house.add(house.spec("resets", hook.uri())).await;
    let garbage = ["\0\x01 what is this?\r\n\r\n", "HTTP/1.1 204 fine\r\n\r\n"];
    let (uri, _tasks) = bytes(garbage.map(str::to_owned).to_vec()).await;
    house.add(house.spec("garbles", uri)).await;
    house.publish("e1", None).await;
    house.status("resets", |status| status.delivered == 1).await;
    house.status("garbles", |status| status.delivered == 1).await;
}

/// A body without an end.
fn flood(code: u16) -> Reply {
    let frame = || Ok(http_body::Frame::data(bytes::Bytes::from_static(&[b'x'; 16 * 1024])));
    let body = StreamBody::new(futures::stream::repeat_with(frame));
    Reply::Answer(http::Response::builder().status(code).body(body.boxed()).unwrap())
}

#[tokio::test]
async fn an_answer_without_an_end_is_cut_off() {
    let house = House::new();
    let hook = Webhook::start(|seen| flood(if seen.id() == "e1" { 400 } else { 200 })).await;
    house.add(house.spec("billing", hook.uri())).await;
    house.publish("e1", None).await;
    house.publish("e2", None).await;
    house.status("billing", |status| status.dead_lettered == 1 && status.delivered == 1).await;
    let letters = house.log("b-billing.dead");
    assert_eq!(letters[0].letter.as_ref().unwrap().answer.len(), 1024);
}

#[tokio::test]
async fn a_2xx_counts_even_where_its_body_breaks_off() {
    let house = House::new();
    let broken = "HTTP/1.1 200 fine\r\ncontent-length: 100\r\n\r\nhalf of".to_owned();
    let (uri, _tasks) = bytes(vec![broken]).await;
    house.add(house.spec("billing", uri)).await;
    house.publish("e1", None).await;
    house.status("billing", |status| status.delivered == 1).await;
    assert_eq!(house.told.count("AttemptBegun"), 1);
}

#[tokio::test]
async fn refused_connections_open_the_breaker_and_lose_nothing() {
    let house = House::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    house.add(house.spec("billing", format!("http://{address}/hook?x=1").parse().unwrap())).await;
    for id in ["e1", "e2", "e3"] {
        house.publish(id, Some(id)).await;
    }
    house.told.wait("BreakerOpened", 3).await;
    assert_eq!(house.told.count("DeadLettered"), 0, "an outage floods no dead letters");
    let hook = Webhook::on(TcpListener::bind(address).await.unwrap(), |_| status(200));
    let status = house.status("billing", |status| status.delivered == 3).await;
    assert_eq!(status.dead_lettered, 0);
    drop(hook);
}

#[tokio::test]
async fn an_address_that_is_not_listed_is_never_dialled() {
    let house = House::new();
    house.add(house.spec("billing", "http://192.0.2.1:80/".parse().unwrap())).await;
    house.publish("e1", Some("k")).await;
    let status = house.status("billing", |status| !status.stuck_keys.is_empty()).await;
    assert_eq!(status.stuck_keys[0].key, "k");
    let last = &status.stuck_keys[0].last;
    assert!(last.contains("webhooks.allow") && last.contains("192.0.2.1:80"), "{last}");
}
