//! One server for all tests of a run.

use std::sync::OnceLock;

use anyhow::{Context, Result};

use super::{Options, PROJECT, Pubsub, rest};

/// The variable that names a server to use, as `host:port`.
pub const SHARED_PUBSUB: &str = "POSTRIDER_PUBSUB";

/// A server that other tests use too: names on it are the test's own.
#[derive(Debug)]
pub struct Shared {
    address: String,
    /// Held while this process lives, where nobody else holds one for us.
    _own: Option<Pubsub>,
}

/// The server that `POSTRIDER_PUBSUB` names, else one that is started now, lives as long as this process and goes with it.
///
/// # Panics
/// Where none can be had, with the reason: a test that needs Pub/Sub cannot say more.
pub fn shared() -> &'static Shared {
    static SHARED: OnceLock<Shared> = OnceLock::new();
    SHARED.get_or_init(|| match find() {
        Ok(shared) => shared,
        Err(error) => panic!("no Pub/Sub server for this test: {error:#}"),
    })
}

fn find() -> Result<Shared> {
    match std::env::var(SHARED_PUBSUB) {
        Ok(address) if !address.is_empty() => {
            rest::call(&address, "GET", &format!("/v1/projects/{PROJECT}/topics"), "").with_context(|| {
                format!("{SHARED_PUBSUB} names {address}, and no Pub/Sub answers there; unset it to have one started")
            })?;
            Ok(Shared { address, _own: None })
        }
        _ => {
            let own = Pubsub::start(Options::default())?;
            Ok(Shared { address: own.address().to_owned(), _own: Some(own) })
        }
    }
}

impl Shared {
    /// `host:port`, for both gRPC and HTTP/JSON, neither of them with TLS.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// `http://host:port`, as Google's clients want it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Creates a topic of [`PROJECT`].
    pub fn create_topic(&self, name: &str) -> Result<()> {
        rest::create_topic(&self.address, PROJECT, name)
    }

    /// Creates a subscription of [`PROJECT`]; `settings` as [`rest::create_subscription`] has them.
    pub fn create_subscription(&self, name: &str, topic: &str, settings: &str) -> Result<()> {
        rest::create_subscription(&self.address, PROJECT, name, topic, settings)
    }
}
