//! What a store promises, on a disk that fails and loses power.

#![expect(clippy::unwrap_used, reason = "what fails in a test is to fail the test")]

mod common;
mod descriptors;
mod faults;
mod log;
mod model;
mod retention;
mod settles;
