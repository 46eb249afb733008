//! The push client: how a delivery reaches its webhook, and what the answer means.

mod allow;
mod answer;
mod connection;
mod dial;
mod exchange;
mod request;

use std::sync::Arc;

pub use allow::Origin;
pub(crate) use answer::{Table, outcome_of};
pub(crate) use connection::Pool;
pub(crate) use exchange::{Answering, HEAD_KEPT, Keep, Received, Rest, exchange};
pub(crate) use request::{Part, Template};

use allow::Allow;
use dial::Dialler;

/// What all webhooks of this process have in common: which addresses they may have. Cheap to clone.
///
/// Loopback may always be dialled, any other address only where its origin is listed. The rule is applied after name
/// resolution, on every dial, and redirects are never followed, so that no answer and no resolver leads elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Push {
    allow: Arc<Allow>,
}

impl Push {
    /// A client that reaches loopback and these origins (`webhooks.allow`).
    pub fn new(allow: impl IntoIterator<Item = Origin>) -> Self {
        Self { allow: Arc::new(Allow::new(allow)) }
    }

    /// Connections to one webhook, of which at most `idle_max` are kept while idle.
    pub(crate) fn pool(&self, uri: &http::Uri, idle_max: usize) -> Result<Pool, String> {
        Ok(Pool::new(Dialler::new(Origin::of(uri)?, self.allow.clone()), idle_max))
    }
}
