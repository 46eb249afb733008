//! What the tests on a Pub/Sub server have in common.

use std::sync::Arc;
use std::time::Duration;

use broker::Driver;
use broker::conformance::Fixture;
use postrider_pubsub::{Pubsub, Settings};

/// What must come comes within this: a lease of a dropped process, and the server's ten milliseconds a message.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// What did not come within this is taken not to come.
pub(crate) const QUIET: Duration = Duration::from_millis(600);

/// The drivers of one test, on the server that all tests share.
pub(crate) struct Project {
    pub(crate) settings: Settings,
}

impl Project {
    pub(crate) fn new() -> Self {
        let mut settings = Settings::new(brokers::pubsub::PROJECT);
        settings.emulator = Some(brokers::pubsub::shared().address().to_owned());
        // The server hands out a message in ten milliseconds, on each stream.
        settings.streams = 8;
        Self { settings }
    }

    /// Another process, as far as the service can tell.
    pub(crate) async fn connect(&self) -> Arc<Pubsub> {
        Pubsub::new(self.settings.clone()).await.expect("the settings of the tests are sound")
    }
}

impl Fixture for Project {
    async fn driver(&self) -> Arc<dyn Driver> {
        self.connect().await
    }

    async fn restart(&self) -> Arc<dyn Driver> {
        self.connect().await
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }

    fn quiet(&self) -> Duration {
        QUIET
    }

    /// The server waits for a key's settle before it hands out the next.
    fn pipelines_keys(&self) -> bool {
        false
    }

    fn exact_events(&self) -> bool {
        false
    }

    fn keeps_history(&self) -> bool {
        false
    }
}
