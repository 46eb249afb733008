//! TLS, SASL and ACLs on a real Kafka: what works, and what each failure is called, and that it passes without a restart.

#[path = "security/ground.rs"]
mod ground;
#[path = "security/tokens.rs"]
mod tokens;

use std::sync::Arc;

use broker::{Credit, Driver, ErrorKind, Input, Selection, Start, Subscription};
use brokers::kafka::Listener;
use ground::{allow, down, eventually, kafka, publish, refused, tool, unique};
use postrider_kafka::Kafka;
use tokens::Endpoint;

const CREDIT: Credit = Credit { events: 100, bytes: 1 << 20 };

fn subscription(topic: &str) -> Subscription {
    let name = unique("rider");
    Subscription {
        name,
        topic: topic.into(),
        start: Start::Earliest,
        ordered: true,
        until: None,
        keeps_unsettled: false,
    }
}

/// All that the driver does, once: every client of it connects.
async fn everything_works(driver: &Arc<Kafka>, topic: &str) {
    eventually("the topic is there", async || driver.ensure_topic(topic).await.map_err(|e| e.to_string()))
        .await;
    let subscription = subscription(topic);
    driver.ensure(&subscription).await.expect("a subscription can be made");
    publish(driver, topic).await.expect("it is acknowledged");
    assert!(driver.end(topic).await.expect("the end is told").is_some());
    let mut browse = driver.browse(topic, Selection::default()).await.expect("it can be browsed");
    assert!(!browse.next(10).await.expect("and read").is_empty());
    let mut source = driver.open(&subscription, CREDIT).await.expect("it can be read");
    let mut inputs = Vec::new();
    while !inputs.iter().any(|input| matches!(input, Input::Delivery(_))) {
        std::future::poll_fn(|cx| source.poll_next(cx, &mut inputs)).await.expect("it goes on");
    }
    source.close().await.expect("it is given back");
    assert!(driver.purge(&subscription.name, None).await.expect("the group can be moved") >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_the_authority_in_a_file_or_in_place() {
    let pem = std::fs::read_to_string(ground::ca()).expect("it is there");
    for property in [("ssl.ca.location", ground::ca()), ("ssl.ca.pem", pem.as_str())] {
        let driver = ground::driver(Listener::Tls, &[("security.protocol", "ssl"), property]);
        everything_works(&driver, &unique("tls")).await;
        driver.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_unknown_authority_is_told() {
    let driver = ground::driver(Listener::Tls, &[("security.protocol", "ssl")]);
    let reason = down(&driver).await;
    assert!(reason.contains("TLS failed") && reason.contains("certificate verify failed"), "{reason}");
    assert!(reason.contains("ssl.ca.location"), "it says what to look at: {reason}");
    let refusal = refused(&driver, "orders").await;
    assert_eq!(refusal.kind, broker::RefusalKind::Unavailable, "{}", refusal.message);
    assert_eq!(refusal.message, reason, "a publish is refused with the reason");
    let error = driver.ensure_topic("orders").await.expect_err("nobody can be asked");
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
    assert!(error.message.contains("certificate verify failed"), "the cause is told: {error}");
    driver.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_and_scram_over_tls() {
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let driver = ground::login(mechanism, "rider", "riders-secret");
        everything_works(&driver, &unique("rider")).await;
        driver.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_credentials_are_told_and_recover_when_they_are_put_right() {
    let plain = ground::login("PLAIN", "rider", "guessed");
    let reason = down(&plain).await;
    assert!(reason.contains("the credentials are refused"), "{reason}");
    assert!(reason.contains("Invalid username or password"), "the broker's own words: {reason}");
    plain.close().await;

    let (user, topic) = (unique("late"), unique("late"));
    let driver = ground::login("SCRAM-SHA-512", &user, "new-secret");
    let reason = down(&driver).await;
    assert!(reason.contains("the credentials are refused"), "{reason}");
    let error = driver.ensure_topic(&topic).await.expect_err("nobody answers");
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.message.contains("the credentials are refused"), "{error}");
    assert_eq!(refused(&driver, &topic).await.message, reason);
    let added = ["--alter", "--entity-type", "users", "--entity-name", &user, "--add-config"];
    tool(brokers::kafka::tool::CONFIGS, &[&added[..], &["SCRAM-SHA-512=[password=new-secret]"]].concat())
        .await;
    allow(&user, "topic", &topic).await;
    eventually("it is let in", async || driver.ensure_topic(&topic).await.map_err(|e| e.to_string())).await;
    // A producer that was let in before it was allowed to write anything is made anew first.
    eventually("it is acknowledged", async || publish(&driver, &topic).await.map_err(|r| r.message)).await;
    driver.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_allowed_is_told_and_recovers_when_it_is() {
    let topic = unique("secret");
    kafka().create_topic(&topic, 1, &[]).expect("a topic");
    let driver = ground::login("PLAIN", "rider", "riders-secret");
    let refusal = refused(&driver, &topic).await;
    assert_eq!(refusal.kind, broker::RefusalKind::Denied, "{}", refusal.message);
    assert!(refusal.message.contains(&topic) && refusal.message.contains("ACLs"), "{}", refusal.message);
    let error = driver.ensure_topic(&topic).await.expect_err("it may not be seen");
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    let error = driver.browse(&topic, Selection::default()).await.expect_err("it may not be read");
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    assert!(error.message.contains(&topic) && error.message.contains("ACLs"), "{error}");
    let missing = unique("secret");
    let error = driver.ensure_topic(&missing).await.expect_err("it may not be made");
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    allow("rider", "topic", &topic).await;
    eventually("it may be written", async || publish(&driver, &topic).await.map_err(|r| r.message)).await;
    everything_works(&driver, &topic).await;
    driver.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_is_not_allowed_is_told_and_recovers_when_it_is() {
    let topic = unique("rider");
    let driver = ground::login("PLAIN", "rider", "riders-secret");
    driver.ensure_topic(&topic).await.expect("the user's own");
    let subscription = Subscription { name: unique("secret"), ..subscription(&topic) };
    let error = driver.ensure(&subscription).await.expect_err("its group may not be used");
    assert_eq!(error.kind, ErrorKind::Denied, "{error}");
    let told = error.message.contains(&subscription.name) && error.message.contains("READ on this group");
    assert!(told, "{error}");
    let mut browse = driver.browse(&topic, Selection::default()).await.expect("that needs no group");
    assert!(browse.next(10).await.expect("nor does this").is_empty());
    allow("rider", "group", &subscription.name).await;
    let ensure = async || driver.ensure(&subscription).await.map_err(|e| e.to_string());
    eventually("its group may be used", ensure).await;
    driver.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_fetched_and_refreshed_by_every_client() {
    let endpoint = Endpoint::start(4);
    let url = endpoint.url();
    let driver = ground::tokens(&url);
    let topic = unique("rider");
    everything_works(&driver, &topic).await;
    let subscription = subscription(&topic);
    driver.ensure(&subscription).await.expect("a subscription can be made");
    let mut source = driver.open(&subscription, CREDIT).await.expect("it can be read");
    let mut browse = driver.browse(&topic, Selection::default()).await.expect("it can be browsed");
    // The broker ends a connection whose token has expired: what goes on after three lives has been refreshed.
    let lives = endpoint.asked() + 12;
    let mut published = 1;
    while endpoint.asked() < lives {
        publish(&driver, &topic).await.expect("it is acknowledged");
        published += 1;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    let (mut inputs, mut browsed) = (Vec::new(), 0);
    while inputs.iter().filter(|input| matches!(input, Input::Delivery(_))).count() < published.min(100) {
        std::future::poll_fn(|cx| source.poll_next(cx, &mut inputs)).await.expect("it goes on");
    }
    while browsed < published {
        let page = browse.next(100).await.expect("it goes on");
        assert!(!page.is_empty(), "{browsed} of {published} are there");
        browsed += page.len();
    }
    source.close().await.expect("it is given back");
    driver.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_without_tokens_is_told_and_recovers() {
    let endpoint = Endpoint::start(600);
    endpoint.refuse(true);
    let driver = ground::tokens(&endpoint.url());
    let reason = down(&driver).await;
    assert!(reason.contains("OAUTHBEARER token"), "{reason}");
    endpoint.refuse(false);
    let topic = unique("rider");
    eventually("tokens are had", async || driver.ensure_topic(&topic).await.map_err(|e| e.to_string())).await;
    driver.close().await;
}
