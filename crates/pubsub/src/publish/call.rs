//! One publish call, from its hand-over to its answer and beyond.

use std::sync::Arc;
use std::time::Instant;

use broker::{Admission, Outcome, Permit, Promise};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use google_cloud_pubsub::error::PublishError;
use tokio_util::sync::CancellationToken;

use super::outcome;
use super::topic::{Handed, Key, Sent, Topic};
use crate::project::Project;

pub(super) struct Call {
    pub(super) project: Arc<Project>,
    pub(super) topic: Arc<Topic>,
    pub(super) admission: Arc<Admission>,
    pub(super) permit: Permit,
    pub(super) give_up: CancellationToken,
}

type Answer = (usize, Option<Key>, Result<String, PublishError>);

impl Call {
    /// Answers the promise when all records are answered, or at the deadline. What is under way then stays counted until
    /// it is answered, too.
    pub(super) async fn run(self, handed: Vec<Handed>, deadline: Instant, promise: Promise) {
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(handed.len());
        let mut waiting = FuturesUnordered::new();
        for (index, handed) in handed.into_iter().enumerate() {
            match handed {
                Handed::Not(outcome) => outcomes.push(Some(outcome)),
                Handed::Sent(Sent { future, key }) => {
                    outcomes.push(None);
                    waiting.push(async move { (index, key, future.await) });
                }
            }
        }
        let sent = waiting.len();
        self.project.pulse.wait(sent);
        let answers = async {
            while let Some(answer) = waiting.next().await {
                let index = answer.0;
                outcomes[index] = Some(self.answered(answer));
            }
        };
        tokio::select! {
            biased;
            () = answers => {}
            () = tokio::time::sleep_until(deadline.into()) => {}
            () = self.give_up.cancelled() => {}
        }
        let late = || Outcome::Unknown("Pub/Sub has not acknowledged it yet: it may yet land".into());
        promise.answer(outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(late)).collect());
        let rest = async {
            while let Some(answer) = waiting.next().await {
                self.answered(answer);
            }
        };
        tokio::select! {
            () = rest => {}
            () = self.give_up.cancelled() => {}
        }
        self.project.pulse.waited(sent);
        self.admission.release(self.permit);
    }

    fn answered(&self, (_, key, answer): Answer) -> Outcome {
        if let Some(key) = &key {
            self.topic.answered(key, matches!(answer, Err(PublishError::Rpc(_))));
        }
        match &answer {
            Ok(_) => self.project.pulse.beat(),
            Err(PublishError::Rpc(error)) if crate::errors::is_answer(error) => self.project.pulse.beat(),
            Err(_) => {}
        }
        outcome::of(answer, &self.topic.name)
    }
}
