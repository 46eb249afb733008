use super::*;

fn with(properties: &[(&str, &str)]) -> Settings {
    let properties =
        properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Settings { properties, ..Settings::new(vec!["127.0.0.1:9092".into()]) }
}

fn bad(properties: &[(&str, &str)]) -> Vec<(String, String)> {
    with(properties).check().map_or_else(|bad| bad.0, |()| Vec::new())
}

#[test]
fn the_drivers_own_make_clients() {
    assert_eq!(with(&[]).check(), Ok(()));
    assert_eq!(with(&[("group.protocol", "consumer")]).check(), Ok(()), "KIP-848");
    assert_eq!(with(&[("message.max.bytes", "10000000")]).check(), Ok(()), "larger records");
}

#[test]
fn what_would_break_a_promise_is_refused_by_name_and_all_at_once() {
    let found = bad(&[
        ("acks", "1"),
        ("enable.auto.commit", "true"),
        ("isolation.level", "read_uncommitted"),
        ("linger.ms", "5"),
        ("max.in.flight", "6"),
        ("rebalance_cb", "x"),
        ("test.mock.num.brokers", "3"),
    ]);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "acks",
        "enable.auto.commit",
        "isolation.level",
        "max.in.flight",
        "rebalance_cb",
        "test.mock.num.brokers",
    ];
    assert_eq!(names, expected);
    assert!(found.iter().all(|(_, why)| why.len() > 20), "each with its reason: {found:?}");
}

#[test]
fn unknown_names_and_bad_values_are_told_without_secrets() {
    let found = bad(&[("linger.ms", "soon"), ("lingerms", "5"), ("sasl.mechanisms", "PLAIN")]);
    assert!(found.iter().any(|(name, why)| name == "linger.ms" && !why.contains("buffering")), "{found:?}");
    assert!(found.iter().any(|(name, _)| name == "lingerms"), "{found:?}");
    let found = bad(&[("sasl.mechanisms", "PLAIN"), ("sasl.oauthbearer.method", "canary-4711")]);
    assert!(found.iter().any(|(name, _)| name == "sasl.oauthbearer.method"), "{found:?}");
    let found = bad(&[("ssl.key.pem", "canary-4711"), ("security.protocol", "ssl")]);
    assert!(!found.is_empty());
    assert!(!format!("{found:?}").contains("canary-4711"), "{found:?}");
    let settings = format!("{:?}", with(&[("sasl.password", "canary-4711")]));
    assert!(settings.contains("sasl.password") && !settings.contains("canary-4711"), "{settings}");
}

#[test]
fn what_only_shows_together_is_told() {
    let found = bad(&[("security.protocol", "ssl"), ("ssl.ca.location", "/nowhere/ca.pem")]);
    assert!(found.iter().any(|(name, _)| name == "ssl.ca.location"), "{found:?}");
    let found = bad(&[("linger.ms", "1"), ("queue.buffering.max.ms", "2")]);
    assert_eq!(found.len(), 1, "two names of one property: {found:?}");
}

#[test]
fn kip_848_leaves_to_the_broker_what_is_its_own() {
    let found = bad(&[("group.protocol", "consumer"), ("session.timeout.ms", "6000")]);
    assert!(
        found.iter().any(|(name, why)| name == "session.timeout.ms" && why.contains("KIP-848")),
        "{found:?}"
    );
    let config = with(&[("group.protocol", "consumer")]).consumer("g");
    assert_eq!((config.get("session.timeout.ms"), config.get("group.protocol")), (None, Some("consumer")));
    let config = with(&[("session.timeout.ms", "6000")]).consumer("g");
    assert_eq!(config.get("session.timeout.ms"), Some("6000"));
    assert_eq!(config.get("partition.assignment.strategy"), Some("cooperative-sticky"));
}

#[test]
fn properties_go_where_they_belong_and_stand_over_the_drivers() {
    let settings = with(&[
        ("queue.buffering.max.ms", "5"),
        ("fetch.min.bytes", "10"),
        ("group.instance.id", "a"),
        ("client.rack", "r"),
    ]);
    let (producer, consumer, reader) =
        (settings.producer(BATCH_BYTES), settings.consumer("g"), settings.reader());
    assert_eq!((producer.get("linger.ms"), producer.get("queue.buffering.max.ms")), (Some("5"), None));
    assert_eq!((producer.get("fetch.min.bytes"), consumer.get("fetch.min.bytes")), (None, Some("10")));
    assert_eq!((consumer.get("group.instance.id"), reader.get("group.instance.id")), (Some("a"), None));
    for config in [producer, consumer, reader, settings.admin()] {
        assert_eq!(config.get("client.rack"), Some("r"));
    }
}

#[test]
fn batches_stay_below_what_the_topic_takes() {
    let batch = |settings: Settings, bytes| settings.producer(bytes).get("batch.size").map(str::to_owned);
    assert_eq!(batch(with(&[]), BATCH_BYTES).as_deref(), Some("1000000"));
    assert_eq!(batch(with(&[]), 65_536).as_deref(), Some("65536"));
    assert_eq!(batch(with(&[("batch.size", "16384")]), 65_536).as_deref(), Some("16384"));
    assert_eq!(with(&[]).record_bytes_max(), 1_047_552);
    assert_eq!(with(&[("message.max.bytes", "10000000")]).record_bytes_max(), 9_998_964);
}
