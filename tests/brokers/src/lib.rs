//! Real brokers for tests and for development: from Docker where an engine runs, else from packages.
