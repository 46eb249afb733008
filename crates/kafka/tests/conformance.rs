//! The broker contract on a real Kafka, chapter by chapter, with the classic group protocol.

mod common;

broker::conformance!(common::Cluster::new(&[]));
