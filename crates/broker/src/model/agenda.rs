use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

/// What will happen, by time, and at the same time in the order in which it was decided.
#[derive(Debug)]
pub struct Agenda<T> {
    items: BinaryHeap<Due<T>>,
    next: u64,
}

/// One thing that will happen.
#[derive(Debug)]
pub struct Due<T> {
    pub at: Duration,
    /// Its number in the order of decisions.
    pub order: u64,
    pub what: T,
}

impl<T> Default for Agenda<T> {
    fn default() -> Self {
        Self { items: BinaryHeap::new(), next: 0 }
    }
}

impl<T> Agenda<T> {
    pub fn push(&mut self, at: Duration, what: T) {
        let order = self.next;
        self.next += 1;
        self.items.push(Due { at, order, what });
    }

    /// Takes what was due back in, to happen at another time. It keeps its place in the order of decisions.
    pub fn put_off(&mut self, item: Due<T>) {
        self.items.push(item);
    }

    pub fn next_at(&self) -> Option<Duration> {
        self.items.peek().map(|item| item.at)
    }

    /// Takes out what happens next, if that is due by `now`.
    pub fn pop_due(&mut self, now: Duration) -> Option<Due<T>> {
        if self.next_at()? > now {
            return None;
        }
        self.items.pop()
    }

    pub fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.items.retain(|item| keep(&item.what));
    }
}

/// The one that happens first is the greatest, which a heap has on top.
impl<T> Ord for Due<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<T> PartialOrd for Due<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Due<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T> Eq for Due<T> {}
