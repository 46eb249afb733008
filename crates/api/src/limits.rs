use std::time::Duration;

/// Bounds on what a listener takes from its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Largest request head, in bytes (at least 8 KiB; more is answered 431).
    pub header_bytes: usize,
    /// Largest body, in bytes; of an NDJSON stream, the largest line.
    pub body_bytes: usize,
    /// From a request's head to its answer. Of an NDJSON stream: the longest pause between two pieces of it, and the
    /// longest wait for the broker.
    pub request_timeout: Duration,
    /// Most connections open at once on a listener; more wait to be accepted.
    pub connections: usize,
    /// How long a connection may take to send a request's head, or stay idle between two requests.
    pub idle_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_bytes: 64 << 10,
            body_bytes: 10 << 20,
            request_timeout: Duration::from_secs(30),
            connections: 4096,
            idle_timeout: Duration::from_secs(60),
        }
    }
}
