//! One broker for all tests of a run.

use std::sync::OnceLock;

use anyhow::{Context, Result};

use crate::kafka::{Kafka, Options, wire};

/// The variable that names a Kafka to use, as `host:port`. `cargo xtask test` sets it.
pub const SHARED_KAFKA: &str = "POSTRIDER_KAFKA";

/// A Kafka that other tests use too: names on it are the test's own.
#[derive(Debug)]
pub struct Shared {
    bootstrap: String,
    /// Held while this process lives, where nobody else holds one for us.
    _own: Option<Kafka>,
}

/// The Kafka that `POSTRIDER_KAFKA` names, else one that is started now, lives as long as this process and goes with it.
///
/// # Panics
/// Where none can be had, with the reason: a test that needs Kafka cannot say more.
pub fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| match find() {
        Ok(shared) => shared,
        Err(error) => panic!("no Kafka for this test: {error:#}"),
    })
}

fn find() -> Result<Shared> {
    match std::env::var(SHARED_KAFKA) {
        Ok(bootstrap) if !bootstrap.is_empty() => {
            wire::brokers(&bootstrap).with_context(|| {
                format!("{SHARED_KAFKA} names {bootstrap}, and no Kafka answers there; unset it to have one started")
            })?;
            Ok(Shared { bootstrap, _own: None })
        }
        _ => {
            let own = Kafka::start(Options::default())?;
            Ok(Shared { bootstrap: own.bootstrap().to_owned(), _own: Some(own) })
        }
    }
}

impl Shared {
    /// `host:port`, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Creates a topic, at the broker's default replication, and returns when it can be written to.
    pub fn create_topic(&self, name: &str, partitions: u32, configs: &[(&str, &str)]) -> Result<()> {
        wire::create_topic(&self.bootstrap, name, partitions, configs)
    }
}
