//! What a source holds: the contents of its [slots](broker::Slots).

use std::sync::Arc;

use broker::Record;

/// A record that was received and waits to be handed out, or to be settled.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) offset: u64,
    /// When the broker took it in, in milliseconds since the Unix epoch.
    pub(super) published_ms: u64,
    /// Size of the record as it came: its key, its value and its headers.
    pub(super) bytes: u32,
    /// A clone of it copies no payload.
    pub(super) record: Arc<Record>,
}

/// What a lease is on.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) partition: u32,
    /// It has been asked back.
    pub(super) recalled: bool,
    pub(super) received: Received,
}
