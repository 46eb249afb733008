//! When calls are handed to librdkafka: group commit.
//!
//! What comes while a burst is under way waits here, and goes together when that one has been acknowledged: the busier a
//! producer is, the more records share a request and a turn of librdkafka's threads, without a timer in the way of a lone
//! one. librdkafka would take them at once, but not send them: with five records of a partition under way its idempotent
//! producer holds the rest back, and once their linger is over its broker thread asks the kernel without a pause until the
//! acknowledgement comes.
//!
//! A burst holds others up for [`HOLD`], or until its producer's thread looks after that where nothing else comes, so that a
//! partition whose leader is away stops nothing else. Nor does it again: what comes of a topic that a burst has waited for
//! in vain goes along, but is not waited for. Calls go in the order in which they came, one burst after the other.

use std::mem;
use std::time::{Duration, Instant};

/// How long a burst under way holds up what came after it.
pub(super) const HOLD: Duration = Duration::from_millis(50);

/// A call, as far as the gate is concerned.
pub(super) trait Waits {
    /// A burst has waited in vain for something of its topic.
    fn is_behind(&self) -> bool;

    /// It goes, and is waited for as a part of this burst; 0: it is not waited for.
    fn goes(&mut self, burst: u64);
}

#[derive(Debug)]
pub(super) struct Gate<T> {
    waiting: Vec<T>,
    /// The last burst that was let through, and when. The first is 1.
    burst: u64,
    since: Instant,
    /// Its calls that are waited for and are not reported whole.
    awaited: usize,
    /// It is just being handed over: what waits must not overtake it.
    is_handing_over: bool,
}

impl<T: Waits> Gate<T> {
    pub(super) fn new() -> Self {
        Self { waiting: Vec::new(), burst: 0, since: Instant::now(), awaited: 0, is_handing_over: false }
    }

    /// A call comes. [`next`](Self::next) says whether it goes at once.
    pub(super) fn push(&mut self, call: T) {
        self.waiting.push(call);
    }

    /// What is to be handed over now, all of it, before [`handed_over`](Self::handed_over) is told.
    pub(super) fn next(&mut self, now: Instant) -> Option<Vec<T>> {
        let is_held = self.awaited > 0 && now.saturating_duration_since(self.since) < HOLD;
        if self.waiting.is_empty() || self.is_handing_over || is_held {
            return None;
        }
        self.is_handing_over = true;
        self.since = now;
        self.burst += 1;
        self.awaited = 0;
        let mut calls = mem::take(&mut self.waiting);
        for call in &mut calls {
            let is_awaited = !call.is_behind();
            self.awaited += usize::from(is_awaited);
            call.goes(if is_awaited { self.burst } else { 0 });
        }
        Some(calls)
    }

    /// Waits for nothing that is under way.
    pub(super) fn open(&mut self) {
        self.burst += 1;
        self.awaited = 0;
    }

    /// What was let through has been handed over. What came meanwhile may be due: ask [`next`](Self::next).
    pub(super) fn handed_over(&mut self) {
        self.is_handing_over = false;
    }

    /// A call of this burst has been reported whole. Ask [`next`](Self::next).
    pub(super) fn reported(&mut self, burst: u64) {
        if burst == self.burst {
            self.awaited -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Call {
        number: u32,
        is_behind: bool,
        burst: u64,
    }

    impl Waits for Call {
        fn is_behind(&self) -> bool {
            self.is_behind
        }

        fn goes(&mut self, burst: u64) {
            self.burst = burst;
        }
    }

    fn call(number: u32) -> Call {
        Call { number, is_behind: false, burst: 0 }
    }

    /// What goes now: the numbers of calls, and the burst of each.
    fn goes(gate: &mut Gate<Call>, now: Instant) -> Vec<(u32, u64)> {
        let calls = gate.next(now).unwrap_or_default();
        calls.iter().map(|call| (call.number, call.burst)).collect()
    }

    fn gate() -> (Gate<Call>, Instant) {
        (Gate::new(), Instant::now())
    }

    #[test]
    fn a_lone_call_goes_at_once_and_those_that_come_meanwhile_go_together() {
        let (mut gate, now) = gate();
        gate.push(call(1));
        assert_eq!(goes(&mut gate, now), [(1, 1)]);
        gate.handed_over();
        for number in [2, 3, 4] {
            gate.push(call(number));
            assert_eq!(goes(&mut gate, now), [], "a burst is under way");
        }
        gate.reported(1);
        assert_eq!(goes(&mut gate, now), [(2, 2), (3, 2), (4, 2)]);
        gate.handed_over();
        for _ in 0..2 {
            gate.reported(2);
            gate.push(call(5));
            assert_eq!(goes(&mut gate, now), [], "it is not whole");
        }
        gate.reported(2);
        assert_eq!(goes(&mut gate, now), [(5, 3), (5, 3)]);
    }

    #[test]
    fn a_burst_that_is_not_acknowledged_holds_others_up_once_and_not_for_long() {
        let (mut gate, now) = gate();
        gate.push(call(1));
        assert_eq!(goes(&mut gate, now), [(1, 1)]);
        gate.handed_over();
        gate.push(call(2));
        assert_eq!(goes(&mut gate, now + HOLD / 2), []);
        let now = now + HOLD;
        gate.push(Call { is_behind: true, ..call(3) });
        assert_eq!(goes(&mut gate, now), [(2, 2), (3, 0)], "3 is of the topic that is behind");
        gate.handed_over();
        gate.reported(2);
        gate.push(call(4));
        assert_eq!(goes(&mut gate, now), [(4, 3)], "3 is not waited for");
        gate.handed_over();
        gate.reported(1);
        gate.reported(0);
        gate.push(call(5));
        assert_eq!(goes(&mut gate, now), [], "4 is");
        gate.reported(3);
        assert_eq!(goes(&mut gate, now), [(5, 4)]);
    }

    #[test]
    fn nothing_overtakes_a_burst_that_is_being_handed_over() {
        let (mut gate, now) = gate();
        gate.push(call(1));
        assert_eq!(goes(&mut gate, now), [(1, 1)]);
        gate.push(call(2));
        assert_eq!(goes(&mut gate, now + HOLD * 2), [], "the first is not with librdkafka yet");
        gate.reported(1);
        assert_eq!(goes(&mut gate, now + HOLD * 2), [], "nor when it was refused at once");
        gate.handed_over();
        assert_eq!(goes(&mut gate, now + HOLD * 2), [(2, 2)]);
    }
}
