//! Ports of loopback that are free.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// Below those that systems give to outgoing connections, so that none of these takes a port while its owner restarts.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// So many different ports that nobody listens on now. Somebody else may take one before it is used: whoever finds it
/// taken asks again.
pub(crate) fn free(count: usize) -> Result<Vec<u16>> {
    let mut found: Vec<u16> = Vec::with_capacity(count);
    for _ in 0..10_000 {
        if found.len() == count {
            return Ok(found);
        }
        let port = fastrand::u16(RANGE);
        if !found.contains(&port) && is_free(port) {
            found.push(port);
        }
    }
    bail!("no {count} ports of 127.0.0.1 are free between {} and {}", RANGE.start, RANGE.end)
}

pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
