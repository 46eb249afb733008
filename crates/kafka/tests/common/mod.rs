//! What the tests on a real Kafka have in common.

use std::sync::Arc;
use std::time::Duration;

use broker::Driver;
use broker::conformance::Fixture;
use postrider_kafka::{CreateTopics, Kafka, Settings};

/// What must come comes within this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// What did not come within this is taken not to come.
pub(crate) const QUIET: Duration = Duration::from_millis(400);

/// The drivers of one test, on the Kafka that all tests share.
pub(crate) struct Cluster {
    settings: Settings,
}

impl Cluster {
    pub(crate) fn new(properties: &[(&str, &str)]) -> Self {
        let mut settings = Settings::new(vec![brokers::shared().bootstrap().to_owned()]);
        settings.create_topics = Some(CreateTopics { partitions: Some(4), replication_factor: Some(1) });
        for (name, value) in properties {
            settings.properties.insert((*name).to_owned(), (*value).to_owned());
        }
        Self { settings }
    }

    /// Another process, as far as the broker can tell.
    pub(crate) fn connect(&self) -> Arc<Kafka> {
        Kafka::new(self.settings.clone()).expect("the settings of the tests are sound")
    }
}

impl Fixture for Cluster {
    async fn driver(&self) -> Arc<dyn Driver> {
        self.connect()
    }

    async fn restart(&self) -> Arc<dyn Driver> {
        self.connect()
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn quiet(&self) -> Duration {
        QUIET
    }

    fn exact_events(&self) -> bool {
        false
    }
}
