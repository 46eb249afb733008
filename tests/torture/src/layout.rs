//! What every worker makes of a directory, and every judge expects in it.

use std::time::Duration;

use log::Options;

/// Subscriptions of each topic. A topic without any is kept by its size alone.
pub(crate) const SUBSCRIPTIONS: [u8; 3] = [2, 1, 0];

/// Small segments and little kept, so that rotation and retention are always at work.
pub(crate) fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        reserve_bytes: 1 << 20,
        retention_age: Duration::from_secs(3600),
        retention_bytes: 256 << 10,
        settle_delay: Duration::from_millis(2),
        ..Options::default()
    }
}

pub(crate) fn log_name(topic: u8) -> String {
    format!("topic.{topic}")
}

pub(crate) fn settle_name(topic: u8, subscription: u8) -> String {
    format!("{}.{subscription}", log_name(topic))
}
