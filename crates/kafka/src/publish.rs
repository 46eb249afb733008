//! Publishing: from a batch to librdkafka's producers, and from its acknowledgements to outcomes.

use std::sync::Arc;

use broker::{Batch, Error, Outcome, Receipt, RefusalKind};

use crate::cluster::Cluster;

#[derive(Debug)]
pub(crate) struct Publishing {
    _cluster: Arc<Cluster>,
}

impl Publishing {
    pub(crate) fn new(cluster: Arc<Cluster>) -> Result<Self, Error> {
        Ok(Self { _cluster: cluster })
    }

    pub(crate) fn record_bytes_max(&self) -> usize {
        1_000_000
    }

    pub(crate) fn publish(&self, batch: Batch) -> Receipt {
        let refused = Outcome::refused(RefusalKind::Unavailable, "publishing is not possible yet");
        Receipt::ready(vec![refused; batch.records.len()])
    }

    /// Answers what was taken in and lets go of the cluster.
    pub(crate) async fn close(&self) {}
}
