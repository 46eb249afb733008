//! The durable log under torture: a worker that is killed at any point, and a judge who knows what it had acknowledged.
//!
//! ```text
//! parent ──starts, kills──▶ worker ──append, settle, rotate, compact──▶ directory
//!   ▲                         │ log A: told after the acknowledgement     │
//!   └── Promised ◀────────────┘                                           │
//!         └── judge: recovers the directory in another process ◀──────────┘
//! ```
//!
//! - [`kills`]: SIGKILL at random points, also of recoveries.
//! - [`steps`]: SIGKILL at every single system call of append, rotate, compact and recover; and each of them failing.
//! - [`power`]: what a power loss may leave of a traced run, any of it recovered and judged.
//! - [`trace`]: what a program did to its files and sockets, as strace saw it.

mod judge;
pub mod kills;
mod layout;
mod mix;
pub mod power;
mod records;
pub mod steps;
mod strace;
mod told;
pub mod trace;
pub mod worker;
mod workers;

use std::io::Write;

/// Prints a line to standard error, where standard output is for figures.
pub(crate) fn say_aside(line: &str) {
    // With standard error gone there is nobody left to tell.
    drop(writeln!(std::io::stderr(), "{line}"));
}
