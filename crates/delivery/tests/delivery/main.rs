//! Subscriptions end to end: the model broker, a real webhook on loopback.

mod answers;
mod house;
mod letters;
mod modes;
mod operate;
mod order;
mod replies;
mod webhook;
