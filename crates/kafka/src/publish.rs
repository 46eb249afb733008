//! Publishing: from a batch to librdkafka's producers, and from its acknowledgements to outcomes.

mod answer;
mod calls;
mod gate;
mod hand_over;
mod outcome;
mod producer;
mod routes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Admission, Batch, Error, Outcome, Receipt, Refusal, RefusalKind};
use tokio::sync::watch;

use crate::cluster::Cluster;
use routes::Routes;

/// When a refused publish may be tried again: the pulse is taken once a second, and a queue drains within one.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why what has waited for too long is refused.
const LATE: &str = "its deadline had passed before it was handed to the broker";

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
        let Batch { topic, records, deadline } = batch;
        let count = records.len();
        if count == 0 {
            return Receipt::ready(Vec::new());
        }
        let refuse = |refusal: Refusal| Receipt::ready(vec![Outcome::Refused(refusal); count]);
        if Instant::now() >= deadline {
            return refuse(unavailable(LATE.into()));
        }
        // What is in librdkafka's queue goes on. What is not would wait there only to be told that it may yet land.
        if let Some((_, reason)) = self.cluster.pulse.down() {
            return refuse(unavailable(reason));
        }
        let Some(permit) = self.admission.admit(&records) else {
            return refuse(Refusal {
                kind: RefusalKind::Overloaded,
                message: format!(
                    "more is being published than the broker acknowledges: {} are under way",
                    self.admission.under_way()
                ),
                retry_after: Some(RETRY_AFTER),
            });
        };
        match self.routes.route(&topic) {
            Ok(route) => route.send(records, deadline, permit, self.cluster.settings.structured),
            Err(error) => {
                self.admission.release(permit);
                refuse(unavailable(error.message))
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

fn unavailable(message: String) -> Refusal {
    Refusal { kind: RefusalKind::Unavailable, message, retry_after: Some(RETRY_AFTER) }
}
