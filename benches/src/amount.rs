//! How much work a round is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Amount {
    Milliseconds(u64),
    /// Requests of a load, records of a producer.
    Items(u64),
}

/// Hands out an amount's items, to several takers at once.
#[derive(Debug)]
pub(crate) struct Share {
    end: Option<Instant>,
    items_max: u64,
    taken: AtomicU64,
}

impl Share {
    /// From now on.
    pub(crate) fn begin(amount: Amount) -> Self {
        let (end, items_max) = match amount {
            Amount::Milliseconds(ms) => (Some(Instant::now() + Duration::from_millis(ms)), u64::MAX),
            Amount::Items(items) => (None, items),
        };
        Self { end, items_max, taken: AtomicU64::new(0) }
    }

    /// The next item's number, from 0; `None` when there is none left or the time is over.
    pub(crate) fn take(&self) -> Option<u64> {
        if self.end.is_some_and(|end| Instant::now() >= end) {
            return None;
        }
        let number = self.taken.fetch_add(1, Ordering::Relaxed);
        (number < self.items_max).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_ends_after_its_items_or_when_its_time_is_over() {
        let share = Share::begin(Amount::Items(2));
        assert_eq!([share.take(), share.take(), share.take()], [Some(0), Some(1), None]);
        assert_eq!(Share::begin(Amount::Milliseconds(0)).take(), None);
    }
}
