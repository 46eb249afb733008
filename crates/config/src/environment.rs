//! The one setting that the process's environment gives without being asked for by a reference: everybody who works with
//! Pub/Sub knows the variable.

use std::collections::BTreeMap;

use crate::broker::Broker;
use crate::interpolate::Env;
use crate::path::Path;
use crate::tree::Config;

/// What Google's clients and tools read, too.
pub(crate) const EMULATOR: &str = "PUBSUB_EMULATOR_HOST";

/// Where the files say nothing of an emulator, the environment does; an empty variable says nothing either. Gives the
/// paths that were set so, and by which variable.
pub(crate) fn complete(config: &mut Config, env: Env<'_>) -> BTreeMap<Path, &'static str> {
    let mut set = BTreeMap::new();
    let Some(emulator) = env(EMULATOR).filter(|emulator| !emulator.is_empty()) else { return set };
    for (name, broker) in &mut config.brokers {
        if let Broker::Pubsub(pubsub) = broker
            && pubsub.emulator.is_none()
        {
            pubsub.emulator = Some(emulator.clone());
            set.insert(Path::of(&["brokers", name, "pubsub", "emulator"]), EMULATOR);
        }
    }
    set
}
