//! How many files this process may have open: a connection is one, and so is a segment of the embedded broker's log.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Listeners whose connections are bounded each for itself.
const LISTENERS: u64 = 3;
/// What is open besides: files, brokers, webhooks.
const BESIDES: u64 = 256;

/// Raises the limit to what the system allows this process: what it begins with, often 1,024, is meant for programs that
/// wait with `select`. Warns where the listeners alone may come to need more than there is.
pub(crate) fn allow_all(connections: u32) {
    let given = getrlimit(Resource::Nofile);
    let all = Rlimit { current: given.maximum, ..given };
    let current = match setrlimit(Resource::Nofile, all) {
        Ok(()) => all.current,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            given.current
        }
    };
    let wanted = LISTENERS * u64::from(connections) + BESIDES;
    if let Some(most) = current.filter(|most| *most < wanted) {
        tracing::warn!(
            "at most {most} files may be open, and limits.connections ({connections}, on each of {LISTENERS} listeners) may take \
             {wanted}: raise the limit (`ulimit -Hn`, LimitNOFILE in a systemd unit), or lower limits.connections"
        );
    }
}
