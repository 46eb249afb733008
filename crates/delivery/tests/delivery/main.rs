//! Subscriptions end to end: the model broker, a real webhook on loopback.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod answers;
mod house;
mod letters;
mod mischief;
mod modes;
mod operate;
mod order;
mod persistence;
mod recall;
mod replies;
mod trouble;
mod webhook;
