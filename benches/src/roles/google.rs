//! What the bare clients of Pub/Sub have in common.

use std::io;

use tokio::runtime::{Builder, Runtime};

/// What they run on: one thread, so that nothing wakes another.
pub(super) fn runtime() -> io::Result<Runtime> {
    // Whoever installed one before has decided.
    drop(rustls::crypto::ring::default_provider().install_default());
    Builder::new_multi_thread().worker_threads(1).enable_all().build()
}
