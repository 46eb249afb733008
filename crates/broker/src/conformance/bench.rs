use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Fixture;
use super::watch::Watched;
use crate::{
    Batch, Capabilities, Credit, Driver, Error, ErrorKind, Outcome, Position, Record, Start, Subscription,
};

/// A driver on the bench, with what every chapter does to it.
pub(super) struct Bench<F> {
    pub(super) fixture: F,
    driver: Option<Arc<dyn Driver>>,
    pub(super) can: Capabilities,
}

/// Room for all that a chapter publishes.
pub(super) const AMPLE: Credit = Credit { events: 1000, bytes: 64 << 20 };

impl<F: Fixture> Bench<F> {
    pub(super) async fn new(fixture: F) -> Self {
        let driver = fixture.driver().await;
        let can = driver.capabilities();
        Self { fixture, driver: Some(driver), can }
    }

    /// How most chapters begin: records stand in a topic of their own, behind a subscription that is open.
    pub(super) async fn open_with(
        fixture: F,
        records: Vec<Record>,
        credit: Credit,
    ) -> (Self, Subscription, Watched) {
        let bench = Self::new(fixture).await;
        let topic = bench.topic().await;
        let subscription = bench.subscription(&topic).await;
        bench.publish(&topic, records).await;
        let source = bench.open(&subscription, credit).await;
        (bench, subscription, source)
    }

    pub(super) fn driver(&self) -> &dyn Driver {
        self.driver.as_deref().expect("the driver is away only while it restarts")
    }

    /// Kills the driver's process. Sources are to be dropped before.
    pub(super) async fn restart(&mut self) {
        drop(self.driver.take());
        self.driver = Some(self.fixture.restart().await);
    }

    /// A topic of the chapter's own, which exists.
    pub(super) async fn topic(&self) -> String {
        let topic = self.fixture.unique("topic");
        self.driver().ensure_topic(&topic).await.expect("a topic can be made sure of");
        topic
    }

    /// An ordered subscription of the chapter's own, from the earliest, which does not exist yet.
    pub(super) fn unmade(&self, topic: &str) -> Subscription {
        Subscription {
            name: self.fixture.unique("service.subscription"),
            topic: topic.to_owned(),
            start: Start::Earliest,
            ordered: true,
            until: None,
            keeps_unsettled: false,
        }
    }

    pub(super) async fn ensure(&self, subscription: &Subscription) {
        self.driver().ensure(subscription).await.expect("a subscription can be made sure of");
    }

    /// A subscription of the chapter's own, which exists.
    pub(super) async fn subscription(&self, topic: &str) -> Subscription {
        let subscription = self.unmade(topic);
        self.ensure(&subscription).await;
        subscription
    }

    pub(super) fn batch(&self, topic: &str, records: Vec<Record>) -> Batch {
        Batch { topic: topic.into(), records, deadline: Instant::now() + self.fixture.patience() }
    }

    /// Publishes and waits for the outcomes, of which there must be one a record.
    pub(super) async fn outcomes(&self, batch: Batch) -> Vec<Outcome> {
        let count = batch.records.len();
        let receipt = self.driver().publish(batch);
        let outcomes = self.within("line 1: a publish is answered by its deadline", receipt).await;
        assert_eq!(outcomes.len(), count, "line 1: there is one outcome a record");
        outcomes
    }

    /// Publishes what must become durable on a broker that is well.
    pub(super) async fn publish(&self, topic: &str, records: Vec<Record>) -> Vec<Position> {
        durable(self.outcomes(self.batch(topic, records)).await)
    }

    /// Opens a subscription, waiting for an earlier opening of it to be over.
    pub(super) async fn open(&self, subscription: &Subscription, credit: Credit) -> Watched {
        let opened = self.within("line 6: a subscription that nobody holds can be opened", async {
            loop {
                match self.driver().open(subscription, credit).await {
                    Ok(source) => break source,
                    Err(error) if error.is_temporary() || error.kind == ErrorKind::Conflict => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    Err(error) => panic!("a subscription that exists can be opened: {error}"),
                }
            }
        });
        let source = opened.await;
        Watched::new(
            source,
            credit,
            self.can,
            subscription.ordered,
            [self.fixture.patience(), self.fixture.quiet()],
        )
    }

    /// Waits for what must come.
    pub(super) async fn within<T>(&self, promise: &str, what: impl Future<Output = T>) -> T {
        // The deadline itself may be the patience, so that an answer at the deadline is still in time.
        match tokio::time::timeout(self.fixture.patience() * 2, what).await {
            Ok(value) => value,
            Err(_) => panic!("{promise}: it did not within {:?}", self.fixture.patience() * 2),
        }
    }
}

/// The positions of records that must all be durable.
pub(super) fn durable(outcomes: Vec<Outcome>) -> Vec<Position> {
    let position = |outcome| match outcome {
        Outcome::Durable(position) => position,
        other => panic!("line 1: a broker that is well makes every record durable, not {other:?}"),
    };
    outcomes.into_iter().map(position).collect()
}

/// What a driver without the capability answers.
pub(super) fn unsupported<T>(what: &str, result: Result<T, Error>) {
    match result {
        Err(error) => {
            let kind = error.kind;
            assert_eq!(kind, ErrorKind::Unsupported, "line 10: {what} is not among the capabilities");
        }
        Ok(_) => panic!("line 10: {what} is not among the capabilities, and yet it was done"),
    }
}
