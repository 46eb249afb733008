//! What a source, its reader's thread and the driver's watch have in common.

use std::fmt;
use std::sync::Arc;

use futures::task::AtomicWaker;
use parking_lot::{Condvar, Mutex};
use rdkafka::consumer::BaseConsumer;

use super::rebalance::Member;
use super::state::State;

/// An open subscription.
pub(crate) struct Shared {
    /// The subscription's durable name, which is the group's.
    pub(crate) name: String,
    /// Its topic's name on the broker.
    pub(crate) topic: String,
    pub(super) state: Mutex<State>,
    /// Told when the reader may have something to do.
    pub(super) changed: Condvar,
    /// Told when there is something to commit, or it is in a hurry.
    pub(super) dirty: Condvar,
    /// Woken when the source may have something to say.
    pub(super) waker: AtomicWaker,
    /// The member of the group, for whoever commits. It is only ever used under this lock, so that its last owner, who
    /// waits for its end, is its thread. To be locked before `state`, never after it.
    pub(super) member: Mutex<Option<Arc<BaseConsumer<Member>>>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(name: &str, topic: &str, state: State) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            topic: topic.to_owned(),
            state: Mutex::new(state),
            changed: Condvar::new(),
            dirty: Condvar::new(),
            waker: AtomicWaker::new(),
            member: Mutex::new(None),
        })
    }

    /// Lets the source's task look again.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }
}
