use super::*;

#[test]
fn topics_are_looked_at_in_turn() {
    let topics = Topics::default();
    assert!(topics.some(3, 8).is_empty());
    for name in ["a", "b", "c"] {
        topics.facts(name);
    }
    let two: Vec<_> = [topics.some(0, 2), topics.some(2, 2), topics.some(4, 2)].concat();
    for name in ["a", "b", "c"] {
        assert_eq!(two.iter().filter(|found| ***found == *name).count(), 2, "{name} in {two:?}");
    }
    assert_eq!(topics.some(7, 8).len(), 3);
}

mod on_a_real_kafka {
    use std::fmt::Debug;
    use std::sync::Arc;

    use parking_lot::Mutex;
    use rdkafka::admin::{AdminOptions, ResourceSpecifier};
    use tracing::field::{Field, Visit};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::super::{Retention, ensure};
    use crate::cluster::Cluster;
    use crate::settings::Settings;

    /// What this thread is warned of.
    #[derive(Clone, Default)]
    struct Warnings(Arc<Mutex<Vec<String>>>);

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::WARN
        }

        fn event(&self, event: &Event<'_>) {
            event.record(&mut &*self);
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    impl Visit for &Warnings {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            if field.name() == "message" {
                self.0.lock().push(format!("{value:?}"));
            }
        }
    }

    async fn cluster() -> Arc<Cluster> {
        let shared = tokio::task::spawn_blocking(brokers::shared).await.expect("a Kafka can be had");
        Cluster::new(Settings::new(vec![shared.bootstrap().to_owned()])).expect("the settings are sound")
    }

    fn unique() -> String {
        format!("kept-{}", uuid::Uuid::now_v7().simple())
    }

    async fn value(cluster: &Arc<Cluster>, topic: &str, name: &str) -> String {
        let admin = cluster.admin().expect("a client can be made");
        let asked = admin.describe_configs([&ResourceSpecifier::Topic(topic)], &AdminOptions::new()).await;
        let config = asked.expect("topics can be described").remove(0).expect("it is there");
        config.get(name).and_then(|entry| entry.value.clone()).expect("each topic has it")
    }

    #[tokio::test]
    async fn dead_letters_are_kept_for_ever_where_the_topic_is_created_here() {
        let (cluster, warnings) = (cluster().await, Warnings::default());
        let _collect = tracing::subscriber::set_default(warnings.clone());
        let (letters, other) = (unique(), unique());
        ensure(&cluster, &letters, Retention::Endless).await.expect("it can be created");
        ensure(&cluster, &letters, Retention::Endless).await.expect("it is there");
        ensure(&cluster, &other, Retention::Default).await.expect("it can be created");
        assert_eq!(value(&cluster, &letters, "retention.ms").await, "-1");
        assert_eq!(value(&cluster, &letters, "retention.bytes").await, "-1");
        assert_eq!(value(&cluster, &letters, "cleanup.policy").await, "delete");
        assert_ne!(value(&cluster, &other, "retention.ms").await, "-1", "others are left to the cluster");
        assert!(warnings.0.lock().is_empty(), "there is nothing to warn of: {:?}", warnings.0.lock());
    }

    #[tokio::test]
    async fn a_dead_letter_topic_that_forgets_is_warned_of_once() {
        let (cluster, warnings) = (cluster().await, Warnings::default());
        let _collect = tracing::subscriber::set_default(warnings.clone());
        let topic = unique();
        ensure(&cluster, &topic, Retention::Default).await.expect("it can be created");
        assert!(warnings.0.lock().is_empty(), "of a topic without dead letters nothing is told");
        for _ in 0..2 {
            ensure(&cluster, &topic, Retention::Endless).await.expect("it is there");
        }
        let told = warnings.0.lock().clone();
        assert_eq!(told.len(), 1, "{told:?}");
        for part in [topic.as_str(), "7 days (retention.ms)", "--add-config"] {
            assert!(told[0].contains(part), "{part} is not in {}", told[0]);
        }
        assert_eq!(value(&cluster, &topic, "retention.ms").await, "604800000", "it is its owner's");
    }
}
