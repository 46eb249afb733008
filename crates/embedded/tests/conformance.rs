//! The broker contract, chapter by chapter.

use std::path::Path;
use std::sync::Arc;

use broker::Driver;
use broker::conformance::Fixture;
use postrider_embedded::{Config, Embedded};

/// A data directory, which outlives the driver that is dropped without a close.
struct Directory(tempfile::TempDir);

impl Directory {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory can be made"))
    }

    fn open(path: &Path) -> Arc<dyn Driver> {
        // Small segments, so that the chapters cross their borders.
        let config = Config { reserve: 1 << 20, segment_bytes: 4096, ..Config::new(path) };
        Embedded::open(config).expect("a data directory that nobody uses can be opened")
    }
}

impl Fixture for Directory {
    async fn driver(&self) -> Arc<dyn Driver> {
        Self::open(self.0.path())
    }

    async fn restart(&self) -> Arc<dyn Driver> {
        Self::open(self.0.path())
    }
}

broker::conformance!(Directory::new());
