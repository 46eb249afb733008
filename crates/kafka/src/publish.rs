//! Publishing: from a batch to librdkafka's producers, and from its acknowledgements to outcomes.

mod answer;
mod calls;
mod gate;
mod hand_over;
mod outcome;
mod producer;
mod routes;

use std::sync::Arc;

use broker::{Admission, Batch, Error, Outcome, Receipt, RefusalKind};
use tokio::sync::watch;

use crate::cluster::Cluster;
use routes::Routes;

#[derive(Debug)]
pub(crate) struct Publishing {
    cluster: Arc<Cluster>,
    admission: Arc<Admission>,
    routes: Routes,
    /// How many producers' threads run.
    running: watch::Sender<usize>,
}

impl Publishing {
    /// Makes the first producer, so that settings that make none are told here.
    pub(crate) fn new(cluster: Arc<Cluster>) -> Result<Self, Error> {
        let admission = Arc::<Admission>::default();
        let running = watch::Sender::new(0);
        let routes = Routes::new(Arc::clone(&cluster), Arc::clone(&admission), running.clone())?;
        Ok(Self { cluster, admission, routes, running })
    }

    pub(crate) fn record_bytes_max(&self) -> usize {
        self.cluster.settings.record_bytes_max()
    }

    pub(crate) fn publish(&self, batch: Batch) -> Receipt {
        let down = || self.cluster.pulse.down().map(|(_, reason)| reason);
        let permit = match self.admission.open(&batch, down) {
            Ok(permit) => permit,
            Err(answered) => return answered,
        };
        let Batch { topic, records, deadline } = batch;
        match self.routes.route(&topic) {
            Ok(route) => route.send(records, deadline, permit, self.cluster.settings.structured),
            Err(error) => {
                self.admission.release(permit);
                let refused = Outcome::refused_for_now(RefusalKind::Unavailable, error.message);
                Receipt::alike(records.len(), refused)
            }
        }
    }

    /// Answers what was taken in and lets go of the cluster: what is not acknowledged within [`producer::CLOSE`] is
    /// answered `Unknown`. May be called again, and then waits for the same.
    pub(crate) async fn close(&self) {
        self.routes.close();
        // It ends only with the last of the senders, one of which is here.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
    }
}

impl Drop for Publishing {
    /// The producers' threads end by themselves; they let go of the clients, which blocks.
    fn drop(&mut self) {
        self.routes.close();
    }
}
