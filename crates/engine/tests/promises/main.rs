//! The engine's promises, each by the name of what it keeps.

extern crate postrider_engine as engine;

mod batch;
mod breaker;
mod credit;
mod gate;
mod harness;
mod leases;
mod letters;
mod order;
mod recall;
mod retry;
mod soak;
