//! Load, side by side with yardsticks.
//!
//! A benchmark is a list of *sides*: Postrider, and the least that could do the same work (a bare axum server, a bare
//! client of the broker's that publishes, one that reads and POSTs). Their rounds alternate, so that whatever else the machine does
//! falls on all of them, and what is told is the median of the rounds and the *ratio* of sides. CPU per event comes
//! first: it is what a sidecar takes from the service beside it, and it holds on a busy machine where rates do not.
//!
//! - `benchmarks`: one file a benchmark, all of one shape.
//! - `roles`: what runs in a process of its own (the load, the webhook, the yardsticks), so that the CPU of one is
//!   never counted as another's. They are this same program, started again; `worker` is the parent's end of them.
//! - `instructions`: what an event takes under callgrind, against a budget that is checked in. Such a figure repeats.
//! - `rounds`, `measure`, `report`: rounds and medians, what `/proc` tells, tables and JSON.
//!
//! Nothing here asserts a time: machines differ and are shared. `docs/benchmarks.md` tells what the numbers mean.

mod amount;
mod benchmarks;
mod cli;
mod cluster;
mod emulator;
mod histogram;
mod instructions;
mod machine;
mod measure;
mod report;
mod roles;
mod rounds;
mod samples;
mod sidecar;
mod stage;
mod worker;

pub use cli::main;
