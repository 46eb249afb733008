//! What a source does on a real Kafka beyond the contract's chapters.

#[path = "../common/mod.rs"]
mod common;
mod held_back;
mod logs;
mod reader;
mod rebalance;
