//! Delivery decisions, without I/O: [`Engine::step`] takes what happened and says what to do.
//!
//! One engine a subscription. It spawns nothing, reads no clock, does no I/O and knows no HTTP: the shell (`delivery`)
//! turns an answer into an [`Outcome`], loads payloads, writes dead letters, arms one timer. It holds no payloads, no
//! strings and no keys (a key is its 128-bit digest), allocates nothing per event in the steady state, and iterates
//! over no hash map, so that the same seed and the same inputs give the same actions byte for byte.

mod answer;
mod arrive;
mod attempts;
mod breaker;
mod budget;
mod credit;
mod deliveries;
mod dispatch;
mod engine;
mod gate;
mod input;
mod lanes;
mod letter;
mod list;
mod pass;
mod policy;
mod recall;
mod status;
#[cfg(test)]
mod steady;
mod table;
mod timers;
mod wake;
mod window;

pub use engine::Engine;
pub use input::{
    Action, Actions, App, Attempt, Input, Now, Outcome, Reason, Scope, SourceId, Token, Transition,
};
pub use policy::{AfterDeadLetter, Breaker, DeadLetter, Mode, Ordering, Policy, Retry, Window};
pub use status::{BreakerState, PausedBy, Status, Stuck};
