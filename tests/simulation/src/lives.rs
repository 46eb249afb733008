//! Processes, one after another: how they start, drain and die.

use std::time::Duration;

use broker::{Credit, Start, Subscription};
use engine::{App, Input};

use super::events::Event;
use super::path::Path;
use super::run::{LETTERS, SUBSCRIPTION, Simulation, TOPIC};
use super::shell::{Life, TOPIC_SOURCE};

impl Simulation {
    /// The process dies, and another starts after a while.
    pub(super) fn crash(&mut self) {
        self.report.crashes += 1;
        self.model.crash(self.now);
        self.cut_requests();
        let ran = self.life.take().is_some() || self.path.as_ref().is_some_and(Path::is_closing);
        self.end_process();
        if ran {
            let pause = Duration::from_millis(self.rng.u64(..2000));
            self.queue.push(self.now + pause, Event::Start);
        }
    }

    pub(super) fn drain(&mut self) {
        let Some(life) = self.life.as_mut().filter(|life| !life.draining) else { return };
        life.draining = true;
        let id = life.id;
        self.report.restarts += 1;
        self.queue.push(self.now + Duration::from_secs(8), Event::DrainDeadline { life: id });
        self.step(&[Input::Drain]);
    }

    /// A process that has drained (or cannot wait any longer) ends once its publisher has, and its successor starts.
    pub(super) fn end_life(&mut self, drained: bool) {
        self.cut_requests();
        let Some(life) = self.life.take() else { return };
        for source in life.sources.into_iter().flatten() {
            if drained {
                // During an outage the flush fails, and what was not flushed comes again.
                drop(self.model.close(self.now, source));
            } else {
                self.model.abandon(self.now, source);
            }
        }
        self.close_path();
    }

    /// A process starts. Its publisher's gate opens once the subscription exists.
    pub(super) fn start(&mut self) {
        if self.life.is_some() || self.path.as_ref().is_some_and(Path::is_closing) {
            return;
        }
        if self.path.is_none() {
            self.process += 1;
            self.path = Some(Path::new(self.now, self.plan.limits));
        }
        let subscription = Subscription {
            name: SUBSCRIPTION.into(),
            topic: TOPIC.into(),
            start: Start::Earliest,
            ordered: self.policy.ordering == engine::Ordering::Key,
            until: None,
            keeps_unsettled: false,
        };
        let opened = self
            .model
            .ensure_topic(self.now, LETTERS)
            .and_then(|()| self.model.ensure(self.now, &subscription))
            .and_then(|()| self.model.open(self.now, &subscription, Credit::NONE));
        let (Ok(source), Some(path)) = (opened, &self.path) else {
            self.queue.push(self.now + Duration::from_millis(100), Event::Start);
            return;
        };
        path.open_gate();
        self.lives += 1;
        self.trace.tell(self.now, format_args!("! process {} starts", self.lives));
        let mut life = Life::new(self.lives, &self.policy, self.report.seed);
        life.sources[usize::from(TOPIC_SOURCE.0)] = Some(source);
        self.life = Some(Box::new(life));
        let app = if self.app_up { App::Up } else { App::Down };
        self.step(&[Input::SourceOpened(TOPIC_SOURCE), Input::App(app)]);
        if self.paused {
            self.step(&[Input::Pause]);
        }
        self.open_redrive();
    }
}
