//! Keys that are kept for what is known to come.

use crate::path::{Path, Step};

struct Reserved {
    /// The path of the map; `*` stands for any key.
    map: &'static [&'static str],
    key: &'static str,
    reason: &'static str,
}

const RESERVED: [Reserved; 6] = [
    Reserved { map: &["topics", "*"], key: "schema", reason: "this release validates no schemas" },
    Reserved { map: &["topics", "*"], key: "deliverat", reason: "this release delays no events" },
    Reserved { map: &["subscriptions", "*"], key: "filter", reason: "this release filters no events" },
    Reserved {
        map: &["subscriptions", "*"],
        key: "drain_from",
        reason: "this release switches no brokers while it runs",
    },
    Reserved {
        map: &["subscriptions", "*"],
        key: "drain_quiet",
        reason: "this release switches no brokers while it runs",
    },
    Reserved { map: &[], key: "spool", reason: "this release has no spool" },
];

/// Why a key is refused that means something to a later release.
pub(crate) fn reason(map: &Path, key: &str) -> Option<&'static str> {
    let here = |reserved: &&Reserved| {
        reserved.key == key
            && reserved.map.len() == map.steps().len()
            && reserved.map.iter().zip(map.steps()).all(|(pattern, step)| match step {
                Step::Key(key) => *pattern == "*" || pattern == key,
                Step::Index(_) => false,
            })
    };
    RESERVED.iter().find(here).map(|reserved| reserved.reason)
}
