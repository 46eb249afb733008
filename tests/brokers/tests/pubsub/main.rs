//! The Pub/Sub server at hand, and the proxy that fails calls to it.

mod engine;
mod faults;
mod grpc;
mod server;
mod streams;
