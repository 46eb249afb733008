//! A broker outside of the sidecar, of a test's own, that can be away.

use brokers::kafka::{Kafka, Options};
use brokers::pubsub::Proxy;

use crate::{Backend, Setup};

/// What stands between a sidecar and its broker. Nothing that was accepted is lost while it is away.
#[derive(Debug)]
pub enum Remote {
    /// A cluster of one.
    Kafka(Kafka),
    /// A proxy of the test's own in front of the server that all share, which keeps everything in memory.
    Pubsub(Proxy),
}

impl Remote {
    /// Starts one and waits until it answers.
    ///
    /// # Panics
    /// For the embedded broker, which is never away without its sidecar.
    pub fn start(backend: Backend) -> Self {
        match backend {
            Backend::Embedded => panic!("the embedded broker is in the sidecar's own process"),
            Backend::Kafka => {
                Self::Kafka(Kafka::start(Options::default()).expect("a Kafka of the test's own"))
            }
            Backend::Pubsub => {
                let server = brokers::pubsub::shared().address();
                Self::Pubsub(Proxy::start(server).expect("a proxy of the test's own"))
            }
        }
    }

    /// As [`Setup::new`], but on this broker.
    pub fn setup(&self) -> Setup {
        match self {
            Self::Kafka(kafka) => Setup::on_kafka(kafka.bootstrap()),
            Self::Pubsub(proxy) => Setup::on_pubsub(proxy.address()),
        }
    }

    /// It keeps its connections and answers nobody, as behind a network that drops everything.
    pub fn pause(&self) {
        let paused = match self {
            Self::Kafka(kafka) => kafka.node(1).pause(),
            Self::Pubsub(proxy) => proxy.pause(),
        };
        paused.expect("a broker can be paused");
    }

    /// After [`Remote::pause`].
    pub fn resume(&self) {
        let resumed = match self {
            Self::Kafka(kafka) => kafka.node(1).resume(),
            Self::Pubsub(proxy) => proxy.resume(),
        };
        resumed.expect("a broker can be woken");
    }

    /// It is gone, and its connections are closed.
    pub fn kill(&self) {
        let killed = match self {
            Self::Kafka(kafka) => kafka.node(1).kill(),
            Self::Pubsub(proxy) => proxy.kill(),
        };
        killed.expect("a broker can be killed");
    }

    /// It is back where it was, after [`Remote::kill`].
    pub fn restart(&self) {
        let restarted = match self {
            Self::Kafka(kafka) => kafka.node(1).restart(),
            Self::Pubsub(proxy) => proxy.restart(),
        };
        restarted.expect("a broker can be started again");
    }
}
