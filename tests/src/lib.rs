//! The black-box harness: the built binary between publishers and webhooks, and the checker that judges what they saw.
//!
//! ```text
//! Load ──POST──▶ Postrider (a process) ──POST──▶ Webhook (scripted)
//!   └── log A ──────────▶ checker ◀────────── log D ──┘
//! ```
//!
//! One file in `tests/` holds one of the promises.

pub mod backend;
pub mod binary;
pub mod client;
mod hash;
pub mod load;
pub mod process;
mod random;
pub mod remote;
pub mod script;
pub mod setup;
pub mod strace;
mod verdict;
pub mod webhook;

pub use backend::Backend;
pub use hash::sha256_hex;
pub use load::{Load, LogA, Plan};
pub use process::{Ended, Postrider};
pub use random::random;
pub use remote::Remote;
pub use script::{Answer, Seen};
pub use setup::Setup;
pub use simulation::{checker, evidence};
pub use verdict::{evidence, evidence_of_owners, rounds, tell, tell_faults};
pub use webhook::Webhook;
