//! What was settled here lately, for when it comes again: an acknowledgement that was lost in an outage is given anew,
//! instead of the event to its webhook.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use broker::Position;

/// How long it is remembered that something was settled, at least, while all is well: what an outage takes to be
/// noticed, and what may have been lost before it. While there is doubt, it is not forgotten at all.
const KEPT: Duration = Duration::from_secs(30);
/// How much is remembered in each of two generations. Beyond, the older one is forgotten early, which costs duplicates.
/// While nothing comes, no more is settled than what was held, 10,000 by default.
const RECORDS_MAX: usize = 28_000;

#[derive(Debug, Default)]
pub(super) struct Settled {
    young: HashMap<Position, Done>,
    old: HashMap<Position, Done>,
    /// When the younger generation began; `None` before the first.
    since: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Done {
    /// A server that begins anew may give an id again, but not at the same time.
    published_ms: u64,
    at: Instant,
}

impl Settled {
    pub(super) fn remember(&mut self, position: Position, published_ms: u64, now: Instant) {
        self.since.get_or_insert(now);
        if self.young.len() >= RECORDS_MAX {
            self.begin_anew(now);
        }
        self.young.insert(position, Done { published_ms, at: now });
    }

    /// Whether this message was settled at that time or later.
    pub(super) fn knows(&self, position: &Position, published_ms: u64, since: Instant) -> bool {
        let done = self.young.get(position).or_else(|| self.old.get(position));
        done.is_some_and(|done| done.published_ms == published_ms && done.at >= since)
    }

    /// It is here again to be delivered.
    pub(super) fn forget(&mut self, position: &Position) {
        self.young.remove(position);
        self.old.remove(position);
    }

    /// Nothing is in doubt: forgets what is old.
    pub(super) fn age(&mut self, now: Instant) {
        if self.since.is_some_and(|since| now.duration_since(since) >= KEPT) {
            self.begin_anew(now);
        }
    }

    fn begin_anew(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.since = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_was_settled_is_known_by_its_id_and_time_and_from_when_on() {
        let now = Instant::now();
        let mut settled = Settled::default();
        let one = Position::Number(1);
        settled.remember(one.clone(), 7, now + SECOND);
        assert!(settled.knows(&one, 7, now) && settled.knows(&one, 7, now + SECOND));
        assert!(!settled.knows(&one, 7, now + 2 * SECOND), "it was settled before");
        assert!(!settled.knows(&one, 8, now), "a server that began anew gave its id to another");
        assert!(!settled.knows(&Position::Number(2), 7, now));
        settled.forget(&one);
        assert!(!settled.knows(&one, 7, now));
    }

    #[test]
    fn what_is_old_is_forgotten_and_what_is_too_much() {
        let now = Instant::now();
        let mut settled = Settled::default();
        let known = |settled: &Settled, number| settled.knows(&Position::Number(number), 0, now);
        settled.remember(Position::Number(1), 0, now);
        for seconds in 1..60 {
            settled.age(now + seconds * SECOND);
            assert!(known(&settled, 1), "after {seconds} s");
        }
        settled.age(now + 60 * SECOND);
        assert!(!known(&settled, 1));
        let most = 2 * RECORDS_MAX as u64;
        (1..=most).for_each(|number| settled.remember(Position::Number(number), 0, now));
        assert!(known(&settled, 1) && known(&settled, most));
        settled.remember(Position::Number(0), 0, now);
        assert!(!known(&settled, 1) && known(&settled, most) && known(&settled, 0), "the older half goes");
        settled.forget(&Position::Number(most));
        assert!(!known(&settled, most), "of either generation");
    }
}
