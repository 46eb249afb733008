//! Keys of which something was given back to the server: until it comes again, nothing later of the key is taken.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use broker::Position;

/// Most keys that are waited for. Beyond, the oldest wait ends.
const KEYS_MAX: usize = 10_000;

/// What was sent before the server learnt of the return would else overtake it. The wait ends by itself: the message may
/// have gone to another process, and all of its key with it.
#[derive(Debug)]
pub(super) struct Awaited {
    /// How long the server may take to hand a message out again.
    redelivery: Duration,
    keys: HashMap<u128, (Position, Instant)>,
}

impl Awaited {
    pub(super) fn new(redelivery: Duration) -> Self {
        Self { redelivery, keys: HashMap::new() }
    }

    /// The message at this position was given back, and everything of its key that is here.
    pub(super) fn expect(&mut self, key: u128, position: Position, now: Instant) {
        if self.keys.len() >= KEYS_MAX {
            self.keys.retain(|_, (_, until)| *until > now);
        }
        if self.keys.len() < KEYS_MAX {
            self.keys.insert(key, (position, now + self.redelivery));
        }
    }

    /// Whether a message of the key is to be taken now.
    pub(super) fn admits(&mut self, key: u128, position: &Position, now: Instant) -> bool {
        let Some((awaited, until)) = self.keys.get(&key) else { return true };
        let admits = awaited == position || now >= *until;
        if admits {
            self.keys.remove(&key);
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_later_waits_for_what_was_given_back_and_not_for_ever() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut awaited = Awaited::new(10 * second);
        awaited.expect(1, Position::Number(5), now);
        assert!(!awaited.admits(1, &Position::Number(6), now + second));
        assert!(awaited.admits(2, &Position::Number(6), now + second), "another key is not concerned");
        assert!(awaited.admits(1, &Position::Number(5), now + second));
        assert!(awaited.admits(1, &Position::Number(6), now + second));
        awaited.expect(1, Position::Number(5), now);
        assert!(awaited.admits(1, &Position::Number(6), now + 10 * second), "it went elsewhere");
    }
}
