//! Publishing: from a batch to Google's publishers, and from their answers to outcomes.

mod call;
mod outcome;
mod patience;
mod topic;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Admission, Batch, Receipt};
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::project::Project;
use call::Call;
use topic::Topic;

pub(crate) use patience::Patience;

/// How long what was taken in may take to be answered once the driver is being closed.
const CLOSE: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Publishing {
    project: Arc<Project>,
    admission: Arc<Admission>,
    /// No more of them than the configuration names.
    topics: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
    calls: TaskTracker,
    /// Nobody waits for answers any more.
    give_up: CancellationToken,
}

impl Publishing {
    pub(crate) fn new(project: Arc<Project>) -> Self {
        Self {
            project,
            admission: Arc::default(),
            topics: RwLock::default(),
            calls: TaskTracker::new(),
            give_up: CancellationToken::new(),
        }
    }

    pub(crate) fn publish(&self, batch: Batch) -> Receipt {
        let permit = match self.admission.open(&batch, || self.project.pulse.down()) {
            Ok(permit) => permit,
            Err(answered) => return answered,
        };
        let Batch { topic, records, deadline } = batch;
        self.project.patience.lasts(deadline.saturating_duration_since(Instant::now()));
        let (promise, receipt) = Receipt::new(records.len());
        let topic = self.topic(&topic);
        let handed = topic.hand_over(records, self.project.settings.structured);
        let call = Call {
            project: Arc::clone(&self.project),
            topic,
            admission: Arc::clone(&self.admission),
            permit,
            give_up: self.give_up.clone(),
        };
        self.calls.spawn(call.run(handed, deadline, promise));
        receipt
    }

    fn topic(&self, name: &Arc<str>) -> Arc<Topic> {
        if let Some(topic) = self.topics.read().get(name) {
            return Arc::clone(topic);
        }
        let make = || {
            let full = self.project.topic(name);
            Arc::new(Topic::new(full, self.project.clients.publisher.clone(), self.project.settings.linger))
        };
        Arc::clone(self.topics.write().entry(Arc::clone(name)).or_insert_with(make))
    }

    /// Answers what was taken in: what is not acknowledged within [`CLOSE`] is answered `Unknown`. May be called again,
    /// and then waits for the same.
    pub(crate) async fn close(&self) {
        self.calls.close();
        if tokio::time::timeout(CLOSE, self.calls.wait()).await.is_err() {
            self.give_up.cancel();
            self.calls.wait().await;
        }
        self.topics.write().clear();
    }
}

/// Nobody is answered any more, and Google's publishers end with what they have.
impl Drop for Publishing {
    fn drop(&mut self) {
        self.calls.close();
    }
}
