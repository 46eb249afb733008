//! What becomes of a call's outcomes before they are answered.

use std::collections::HashSet;

use broker::{Key, Outcome, Promise};

/// A call's answer on its way, to be given when no lock is held.
#[derive(Debug)]
pub(super) struct Answer {
    promise: Promise,
    outcomes: Vec<Outcome>,
}

/// Stands for an outcome that is not known yet. No answer is ever this: an `Unknown` says what happened.
pub(super) const PENDING: Outcome = Outcome::Unknown(String::new());

pub(super) fn is_pending(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Unknown(text) if text.is_empty())
}

impl Answer {
    /// `keys` are those of the records, or none where order among them does not matter.
    pub(super) fn new(promise: Promise, mut outcomes: Vec<Outcome>, keys: &[Option<Key>]) -> Self {
        keep_order(&mut outcomes, keys);
        Self { promise, outcomes }
    }

    pub(super) fn give(self) {
        self.promise.answer(self.outcomes);
    }
}

/// After a key's first failure no later record of it is durable: one that was written is told as unknown.
fn keep_order(outcomes: &mut [Outcome], keys: &[Option<Key>]) {
    if outcomes.iter().all(Outcome::is_durable) {
        return;
    }
    let mut failed = HashSet::new();
    for (outcome, key) in outcomes.iter_mut().zip(keys) {
        let Some(key) = key else { continue };
        if !outcome.is_durable() {
            failed.insert(key);
        } else if failed.contains(key) {
            *outcome = Outcome::Unknown(
                "it was written, but an earlier record of its key in this call may not have been: send both again with \
                 the same ids"
                    .into(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use broker::{Position, RefusalKind};

    use super::*;

    #[test]
    fn after_a_key_s_failure_it_is_never_durable() {
        let durable = |offset| Outcome::Durable(Position::Pair(0, offset));
        let refused = Outcome::refused(RefusalKind::TooLarge, "too large");
        let mut outcomes = vec![durable(0), refused.clone(), durable(1), durable(2), durable(3)];
        let keys = ["a", "b", "a", "b", ""].map(Key::new);
        keep_order(&mut outcomes, &keys);
        assert_eq!(outcomes[..3], [durable(0), refused, durable(1)]);
        assert!(matches!(outcomes[3], Outcome::Unknown(_)), "{:?}", outcomes[3]);
        assert_eq!(outcomes[4], durable(3), "records without a key have no order");
    }

    #[test]
    fn an_answer_that_is_pending_is_told_from_every_other() {
        assert!(is_pending(&PENDING));
        assert!(!is_pending(&Outcome::Unknown("timed out".into())));
    }
}
