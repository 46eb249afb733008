//! Redrives: the dead-letter topic as a second source, up to where it ended when asked.

use std::task::Context;
use std::time::Duration;

use broker::{BoxFuture, Credit, Source};
use engine::Input;
use tokio::sync::oneshot;

use super::feed::{Feed, LEFT_OUT_MAX};
use super::{Actor, LETTERS};
use crate::Error;
use crate::letters::Choice;

/// After so long without a letter a redrive is over, where the broker cannot tell that it has handed out all of them.
const QUIET: Duration = Duration::from_secs(30);

/// A source on its way to being open.
pub(super) struct Opening {
    source: BoxFuture<'static, Result<Box<dyn Source>, broker::Error>>,
    choice: Choice,
    done: oneshot::Sender<Result<(), Error>>,
}

impl Actor<'_> {
    pub(super) fn begin_redrive(&mut self, choice: Choice, done: oneshot::Sender<Result<(), Error>>) {
        let under_way =
            self.feeds[usize::from(LETTERS.0)].is_some() || self.opening.is_some() || self.closing.is_some();
        if under_way {
            drop(done.send(Err(Error::RedriveUnderWay(self.life.spec.name.clone()))));
            return;
        }
        if self.life.drain.is_some() {
            let (name, state) = (self.life.spec.name.clone(), "draining".to_owned());
            drop(done.send(Err(Error::NotRunning { name, state })));
            return;
        }
        let driver = self.life.spec.dead_letter.driver.clone();
        let subscription = self.life.spec.redrive(choice.until.clone());
        let source = Box::pin(async move { driver.open(&subscription, Credit::NONE).await });
        self.opening = Some(Opening { source, choice, done });
    }

    pub(super) fn poll_redrive(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(opening) = &mut self.opening
            && let std::task::Poll::Ready(opened) = opening.source.as_mut().poll(cx)
        {
            self.take_opened(opened);
            return true;
        }
        if let Some(closing) = &mut self.closing
            && let std::task::Poll::Ready(closed) = closing.as_mut().poll(cx)
        {
            self.closing = None;
            if let Err(error) = closed {
                tracing::warn!(subscription = %self.endpoint.name, %error, "a redrive's last letters may come again");
            }
            return true;
        }
        false
    }

    fn take_opened(&mut self, opened: Result<Box<dyn Source>, broker::Error>) {
        let Some(Opening { choice, done, .. }) = self.opening.take() else { return };
        let answer = opened.map_err(Error::from).map(|source| {
            self.feeds[usize::from(LETTERS.0)] = Some(Feed::new(LETTERS, source, choice.positions));
            self.inputs.push(Input::SourceOpened(LETTERS));
        });
        self.report_now();
        // Whoever asked may have stopped waiting; the redrive goes on.
        drop(done.send(answer));
    }

    /// Ends a redrive whose letters are all handled. Those that its filter left out are given back by the closing.
    pub(super) fn tend_redrive(&mut self) {
        let Some(feed) = &self.feeds[usize::from(LETTERS.0)] else { return };
        if feed.held.len() > 0 {
            return;
        }
        let chosen_done = feed.chosen.as_ref().is_some_and(std::collections::HashSet::is_empty);
        let full = feed.held.left_out() >= LEFT_OUT_MAX;
        let tells_its_end = self.life.spec.dead_letter.driver.capabilities().caught_up;
        let quiet = !tells_its_end && feed.may_read() && feed.last_input.elapsed() > QUIET;
        if !(feed.caught_up || chosen_done || full || quiet) {
            return;
        }
        if full && !chosen_done {
            tracing::warn!(
                subscription = %self.endpoint.name,
                "a redrive ends early: its filter left out too many letters; redrive again from a later position"
            );
        }
        if let Some(feed) = self.feeds[usize::from(LETTERS.0)].take() {
            self.inputs.push(Input::SourceClosed(LETTERS));
            self.closing = Some(feed.source.close());
        }
    }
}
