//! The threads that everything runs on.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};

/// Two runtimes: one for what comes in, one for what goes out.
///
/// Deliveries have a thread of their own, with sockets that nobody else waits for. On threads that share their sockets,
/// answers of webhooks wake the one that sleeps, which has nothing to do but to tell the one that works: a twelfth of
/// what a delivery takes.
#[derive(Debug)]
pub(crate) struct Runtimes {
    main: Runtime,
    deliveries: Runtime,
}

impl Runtimes {
    pub(crate) fn new() -> io::Result<Self> {
        // A sidecar shares its cores with the service: two workers carry more than a pod's traffic.
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(2);
        let runtime = |workers, name: &str| {
            Builder::new_multi_thread().worker_threads(workers).thread_name(name).enable_all().build()
        };
        Ok(Self { main: runtime(workers, "postrider")?, deliveries: runtime(1, "deliveries")? })
    }

    /// Runs `work`, which is given what deliveries run on, to its end. A disk or a resolver that hangs must not keep the
    /// process: what is under way then is left behind.
    pub(crate) fn run<F: Future>(self, work: impl FnOnce(Handle) -> F) -> F::Output {
        let output = self.main.block_on(work(self.deliveries.handle().clone()));
        self.deliveries.shutdown_background();
        self.main.shutdown_background();
        output
    }
}
