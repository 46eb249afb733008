//! The Kafka that benchmarks run against: their topics, and what is in them beforehand.

use anyhow::{Context, Result, bail};
use brokers::kafka::{Kafka, Options, Tuning};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::types::RDKafkaErrorCode;

use crate::amount::Amount;
use crate::roles::{Ask, Role, load::Done, producer};
use crate::worker::Worker;

/// A cluster of our own, or one that somebody else runs.
#[derive(Debug)]
pub(crate) struct Cluster {
    bootstrap: String,
    _own: Option<Kafka>,
}

impl Cluster {
    /// A cluster that runs already.
    pub(crate) fn at(bootstrap: String) -> Self {
        Self { bootstrap, _own: None }
    }

    /// One node of our own, gone with us.
    pub(crate) fn start(progress: fn(&str)) -> Result<Self> {
        let own = Kafka::start(Options { tuning: Tuning::Load, progress, ..Options::default() })
            .context("Kafka cannot be started; --kafka names another")?;
        Ok(Self { bootstrap: own.bootstrap().to_owned(), _own: Some(own) })
    }

    /// `HOST:PORT`, or several with commas between.
    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    pub(crate) fn create_topics(&self, names: &[String], partitions: u32) -> Result<()> {
        let partitions = i32::try_from(partitions)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let client: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.bootstrap).create()?;
        let topics: Vec<NewTopic<'_>> =
            names.iter().map(|name| NewTopic::new(name, partitions, TopicReplication::Fixed(-1))).collect();
        let options = AdminOptions::new().operation_timeout(Some(std::time::Duration::from_secs(60)));
        let created = runtime
            .block_on(client.create_topics(&topics, &options))
            .with_context(|| format!("Kafka at {} creates no topics", self.bootstrap))?;
        for result in created {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((name, code)) => bail!("Kafka does not create {name}: {code}"),
            }
        }
        Ok(())
    }

    /// Fills a topic with events.
    pub(crate) fn fill(&self, topic: &str, events: u64) -> Result<()> {
        let spec = producer::Spec {
            bootstrap: self.bootstrap.clone(),
            properties: [("linger.ms".into(), "5".into())].into(),
            topics: vec![topic.to_owned()],
            names_keys: false,
            in_flight: 20_000,
            amount: Amount::Items(events.saturating_sub(producer::WARM_UP)),
            rate: None,
        };
        let (mut producer, _) = Worker::start::<u64>(&Role::Producer(spec))?;
        producer.ask::<Done>(Ask::Go).map(|_| ())
    }
}
