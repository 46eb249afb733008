//! One Kafka with TLS, SASL and ACLs for all tests of the run, drivers on it, and what they are asked.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use broker::{Batch, Body, Driver, Health, Hop, Key, Outcome, Record, Refusal};
use brokers::kafka::{Kafka as Broker, Listener, Options, User, tool as tools};
use bytes::Bytes;
use event::{Data, Event};
use postrider_kafka::{Kafka, Settings};

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn kafka() -> &'static Broker {
    static KAFKA: OnceLock<Broker> = OnceLock::new();
    KAFKA.get_or_init(|| {
        let broker = Broker::start(Options {
            listeners: vec![Listener::Tls, Listener::SaslTls, Listener::OauthBearer],
            users: vec![User::new("rider", "riders-secret")],
            acls: true,
            // Whoever has shown a token has to show a new one before it expires.
            settings: vec![(
                "listener.name.oauth.oauthbearer.connections.max.reauth.ms".into(),
                "3600000".into(),
            )],
            ..Options::default()
        })
        .expect("a Kafka of its own");
        for kind in ["topic", "group"] {
            grant(&broker, "rider", kind, "rider-", "prefixed");
        }
        broker
    })
}

fn grant(broker: &Broker, user: &str, kind: &str, name: &str, pattern: &str) {
    let (principal, kind) = (format!("User:{user}"), format!("--{kind}"));
    let what = ["--add", "--allow-principal", &principal, "--operation", "All", &kind, name];
    let what = [&what[..], &["--resource-pattern-type", pattern]].concat();
    broker.run_tool(tools::ACLS, &what).expect("an ACL");
}

/// Lets a user do all with a topic or a group.
pub(crate) async fn allow(user: &str, kind: &'static str, name: &str) {
    let (user, name) = (user.to_owned(), name.to_owned());
    let done = tokio::task::spawn_blocking(move || grant(kafka(), &user, kind, &name, "literal"));
    done.await.expect("it does not panic");
}

pub(crate) async fn tool(class: &'static str, arguments: &[&str]) {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let run = move || kafka().run_tool(class, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.expect("it does not panic").expect("the tool succeeds");
}

pub(crate) fn ca() -> &'static str {
    kafka().ca().and_then(std::path::Path::to_str).expect("a listener speaks TLS")
}

pub(crate) fn unique(name: &str) -> String {
    format!("{name}-{}", uuid::Uuid::now_v7().simple())
}

pub(crate) fn driver(listener: Listener, properties: &[(&str, &str)]) -> Arc<Kafka> {
    let bootstrap = kafka().bootstrap_of(listener).expect("it was started with it");
    let mut settings = Settings::new(vec![bootstrap]);
    settings.properties.extend(properties.iter().map(|(name, value)| (name.to_string(), value.to_string())));
    settings.check().expect("good settings");
    Kafka::new(settings).expect("a driver")
}

pub(crate) fn login(mechanism: &str, user: &str, password: &str) -> Arc<Kafka> {
    let tls = [("security.protocol", "sasl_ssl"), ("ssl.ca.location", ca())];
    let login = [("sasl.mechanism", mechanism), ("sasl.username", user), ("sasl.password", password)];
    driver(Listener::SaslTls, &[&tls[..], &login].concat())
}

/// With tokens of this endpoint.
pub(crate) fn tokens(url: &str) -> Arc<Kafka> {
    let protocol = [("security.protocol", "sasl_plaintext"), ("sasl.mechanism", "OAUTHBEARER")];
    let client = [("sasl.oauthbearer.client.id", "rider"), ("sasl.oauthbearer.client.secret", "s")];
    let endpoint = [("sasl.oauthbearer.method", "oidc"), ("sasl.oauthbearer.token.endpoint.url", url)];
    driver(Listener::OauthBearer, &[&protocol[..], &client, &endpoint].concat())
}

/// Waits until the driver says that the cluster cannot be reached; why.
pub(crate) async fn down(driver: &Kafka) -> String {
    let begun = Instant::now();
    loop {
        // The first reason may be of an attempt that was not over yet.
        if let Health::Down { reason, .. } = driver.health()
            && reason.contains(": ")
            && !reason.starts_with("no broker answers")
        {
            return reason;
        }
        assert!(begun.elapsed() < PATIENCE, "it is noticed: {:?}", driver.health());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Tries again until it succeeds.
pub(crate) async fn eventually(what: &str, attempt: impl AsyncFn() -> Result<(), String>) {
    let begun = Instant::now();
    while let Err(error) = attempt().await {
        assert!(begun.elapsed() < PATIENCE, "{what}: {error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// One record, until it is durable or refused.
pub(crate) async fn publish(driver: &Kafka, topic: &str) -> Result<(), Refusal> {
    let event = Event::builder().id("1").source("/tests").kind("com.example.test");
    let event =
        event.data_content_type("application/octet-stream").data(Data::Binary(Bytes::from_static(b"x")));
    let body = Body::Event(event.build().expect("a valid event"));
    let record = Record { key: Key::new("k"), body, hop: Hop::default(), letter: None };
    let batch = Batch { topic: topic.into(), records: vec![record], deadline: Instant::now() + PATIENCE };
    match driver.publish(batch).await.remove(0) {
        Outcome::Durable(_) => Ok(()),
        Outcome::Refused(refusal) => Err(refusal),
        unknown => panic!("{unknown:?}"),
    }
}

pub(crate) async fn refused(driver: &Kafka, topic: &str) -> Refusal {
    publish(driver, topic).await.expect_err("it is refused")
}
