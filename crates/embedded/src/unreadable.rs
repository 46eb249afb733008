use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use broker::{Error, ErrorKind, Lease, Record};
use log::Log;
use parking_lot::Mutex;

use crate::codec;
use crate::driver::unreadable;
use crate::slots::Held;

/// Leases whose records turned out to be unreadable when they were loaded, with the reason. Loading happens away from
/// the source, which takes them from here, tells the gap and ends the leases.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    any: AtomicBool,
    leases: Mutex<Vec<(Lease, String)>>,
}

impl Unreadable {
    pub(crate) fn take(&self) -> Vec<(Lease, String)> {
        // Asked at every settle, and there is hardly ever one.
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut leases = self.leases.lock();
        self.any.store(false, Ordering::Release);
        std::mem::take(&mut leases)
    }

    fn tell(&self, lease: Lease, why: String) {
        let mut leases = self.leases.lock();
        leases.push((lease, why));
        self.any.store(true, Ordering::Release);
    }

    /// Reads the record of a lease. What cannot be read must not be delivered in its place, whatever a webhook takes.
    pub(crate) async fn load(
        self: Arc<Self>,
        log: Arc<Log>,
        lease: Lease,
        held: Option<Held>,
    ) -> Result<Record, Error> {
        let Some(held) = held else { return Err(dead()) };
        let read = log.read(held.position, held.offset).map_err(|error| unreadable(&log, &error))?;
        let why = match read.map(|record| codec::decode(record.bytes)) {
            Some(Ok(record)) => return Ok(record),
            Some(Err(why)) => {
                log.set_aside(held.position);
                why
            }
            None => "it is damaged on disk".to_owned(),
        };
        self.tell(lease, why);
        log.wake();
        Err(dead())
    }
}

fn dead() -> Error {
    Error::new(ErrorKind::NotFound, "the lease is dead: its record is handed out again, or told to be lost")
}
