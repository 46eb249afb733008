//! The engine's shell: a subscription's sources, its push client, its timers and its dead letters.
//!
//! [`Subscriptions`] holds what this process delivers. Start-up, reload and shutdown are the same three steps: add,
//! replace, drain.
//!
//! Each subscription is one task that nobody else shares anything with: it gathers what is ready (deliveries, answers,
//! operators' words, its timer), lets the engine decide in one step, and carries out what that says. Its attempts are
//! polled by that same task and own their connections, so that ending an attempt closes its connection at once.

mod actor;
mod attempt;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod held;
mod letters;
mod life;
mod push;
mod reply;
mod room;
mod shared;
mod spec;
mod status;
mod story;
mod subscriptions;
mod waits;

pub use error::Error;
pub use letters::{LetterFilter, LetterGroup, LetterView, Letters};
pub use push::{Origin, Push};
pub use spec::{Answer, Mode, Spec, Webhook};
pub use status::{Part, Status, StuckKey};
pub use subscriptions::Subscriptions;
pub use waits::{Waits, answered};
