//! Redrives: the dead-letter topic as the subscription's second source, up to where it ended when asked.

use broker::{Credit, Selection, Start, Subscription};
use engine::Input;

use super::run::{LETTERS, SUBSCRIPTION, Simulation};
use super::shell::REDRIVE_SOURCE;

impl Simulation {
    fn redriving(&self) -> Subscription {
        Subscription {
            name: format!("{SUBSCRIPTION}.redrive"),
            topic: LETTERS.into(),
            start: Start::Earliest,
            ordered: self.policy.ordering == engine::Ordering::Key,
            until: self.redrive.clone(),
            keeps_unsettled: true,
        }
    }

    /// The operator asks for a redrive. During an outage it is refused.
    pub(super) fn ask_redrive(&mut self) {
        if self.redrive.is_none() && self.life.as_ref().is_some_and(|life| !life.draining) {
            self.redrive = self.model.end(self.now, LETTERS).unwrap_or_default();
            self.open_redrive();
        }
    }

    /// Opens the second source, where a redrive is under way.
    pub(super) fn open_redrive(&mut self) {
        if self.redrive.is_none() {
            return;
        }
        let subscription = self.redriving();
        let opened = self
            .model
            .ensure(self.now, &subscription)
            .and_then(|()| self.model.open(self.now, &subscription, Credit::NONE));
        let (Ok(source), Some(life)) = (opened, self.life.as_mut()) else {
            // Asked for again, should the operator like to.
            self.redrive = None;
            return;
        };
        life.sources[usize::from(REDRIVE_SOURCE.0)] = Some(source);
        self.report.redrives += 1;
        self.redrive_moved = true;
        self.trace.tell(self.now, format_args!("! redrive up to {:?}", subscription.until));
        self.step(&[Input::SourceOpened(REDRIVE_SOURCE)]);
    }

    /// Closes the second source once all that it was to bring is settled.
    pub(super) fn follow_redrive(&mut self) {
        if !self.redrive_moved || self.life.is_none() {
            return;
        }
        let Some(broker::Position::Number(until)) = self.redrive else { return };
        self.model_next_at = None;
        let what = Selection { unsettled_of: Some(self.redriving().name), ..Selection::default() };
        let Ok((left, _)) = self.model.browse(self.now, LETTERS, &what, 0, 1) else { return };
        self.redrive_moved = false;
        let goes_on =
            left.first().is_some_and(|(at, ..)| matches!(at, broker::Position::Number(at) if *at <= until));
        if !goes_on {
            self.redrive = None;
            let source = self.life.as_mut().and_then(|life| life.close(REDRIVE_SOURCE));
            if let Some(source) = source {
                // During an outage the flush fails, and what was not flushed comes again with the next redrive.
                drop(self.model.close(self.now, source));
            }
            self.trace.tell(self.now, format_args!("! redrive ends"));
            self.step(&[Input::SourceClosed(REDRIVE_SOURCE)]);
        }
    }
}
