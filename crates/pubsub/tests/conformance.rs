//! The broker contract on a Pub/Sub server, chapter by chapter.

mod common;

broker::conformance!(common::Project::new());
