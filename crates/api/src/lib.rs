//! The listeners: publish, admin, health.
//!
//! [`Listener::bind`] takes an address, [`serve`] answers on it with one of three faces: [`App`] takes events in,
//! [`Health`] tells probes and Prometheus, [`Admin`] tells and obeys operators. The connection loop, its limits and the
//! HTTP parser (hyper, and no other) are the same for all three.
//!
//! Every request carries a [`Caller`], and every endpoint asks [`may`] before it does anything.

mod admin;
mod app;
mod caller;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guard;
mod health;
mod limits;
mod listener;
mod openapi;
mod percent;
pub mod problem;
mod readiness;

pub use admin::{Admin, House};
pub use app::{App, Settings};
pub use caller::{Action, Caller, Denied, Face, Peer, Resource, may};
pub use health::Health;
pub use limits::Limits;
pub use listener::{BindError, BindErrorKind, Body, Handle, Listener, serve};
pub use openapi::openapi;
pub use readiness::Readiness;
