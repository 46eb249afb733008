//! How many bytes of payloads may be in memory for open attempts, for replies, or for dead letters that are written.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// Most bytes of payloads that one subscription's open attempts have in memory at once, and its dead letters besides,
/// as the broker stores them, and its replies, as they come. As text in JSON an event takes up to three times that.
pub(crate) const BYTES_MAX: u32 = 32 * 1024 * 1024;

/// Room for so many bytes, given to whoever asked first. What is larger than all of it has it alone.
#[derive(Debug)]
pub(crate) struct Room {
    free: Semaphore,
    /// Counts the moments at which whoever waits is to give up.
    recalls: watch::Sender<u64>,
}

/// A place in time: later recalls concern whoever has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn(u64);

impl Room {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { free: Semaphore::new(BYTES_MAX as usize), recalls: watch::Sender::new(0) })
    }

    pub(crate) fn turn(&self) -> Turn {
        Turn(*self.recalls.borrow())
    }

    /// Waits for room for all these bytes at once; nobody who waits has any of them, so nobody waits for ever. `None`:
    /// recalled since that turn. Cancel-safe: who stops waiting loses the place in the queue and takes nothing along.
    pub(crate) async fn take(&self, bytes: u64, turn: Option<Turn>) -> Option<SemaphorePermit<'_>> {
        let bytes = u32::try_from(bytes).unwrap_or(BYTES_MAX).min(BYTES_MAX);
        let Some(Turn(turn)) = turn else {
            return self.free.acquire_many(bytes).await.ok();
        };
        if *self.recalls.borrow() == turn
            && let Ok(taken) = self.free.try_acquire_many(bytes)
        {
            return Some(taken);
        }
        let mut recalls = self.recalls.subscribe();
        tokio::select! {
            biased;
            _ = recalls.wait_for(|now| *now != turn) => None,
            taken = self.free.acquire_many(bytes) => taken.ok(),
        }
    }

    /// Ends the waiting of all who took their turn before.
    pub(crate) fn recall(&self) {
        self.recalls.send_modify(|recalls| *recalls += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[test]
    fn room_is_given_in_turn_and_all_at_once() {
        let room = Room::new();
        let all = u64::from(BYTES_MAX);
        let first = room.take(all - 10, None).now_or_never().flatten().expect("there is room");
        let mut large = Box::pin(room.take(all, Some(room.turn())));
        assert!(large.as_mut().now_or_never().is_none(), "10 bytes are left");
        let mut small = Box::pin(room.take(1, Some(room.turn())));
        assert!(
            small.as_mut().now_or_never().is_none(),
            "nobody overtakes, or a large one would wait for ever"
        );
        drop(first);
        let large = large.now_or_never().flatten().expect("all is free again");
        assert!(small.as_mut().now_or_never().is_none());
        drop(large);
        drop(small.now_or_never().flatten().expect("and again"));
        let beyond = room.take(10 * all, None).now_or_never().flatten();
        assert!(beyond.is_some(), "what is larger than the room has all of it");
    }

    #[test]
    fn who_waits_is_recalled_or_abandoned_without_a_trace() {
        let room = Room::new();
        let all = u64::from(BYTES_MAX);
        let first = room.take(all - 10, None).now_or_never().flatten().expect("there is room");
        let mut abandoned = Box::pin(room.take(all, Some(room.turn())));
        assert!(abandoned.as_mut().now_or_never().is_none());
        drop(abandoned);
        let before = room.turn();
        let mut recalled = Box::pin(room.take(11, Some(before)));
        assert!(recalled.as_mut().now_or_never().is_none());
        room.recall();
        assert!(recalled.now_or_never().expect("it is told").is_none());
        assert!(
            room.take(1, Some(before)).now_or_never().expect("at once").is_none(),
            "even where there is room"
        );
        assert!(room.take(10, Some(room.turn())).now_or_never().flatten().is_some(), "what is left is whole");
        drop(first);
        assert!(room.take(all, Some(room.turn())).now_or_never().flatten().is_some());
    }
}
