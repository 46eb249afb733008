//! The reference model keeps the contract: calm, and while it misbehaves as far as every chapter can bear. And where it
//! is made to break the contract, the suite says so.

mod mutants;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use postrider_broker::conformance::Fixture;
use postrider_broker::model::{Broker, Faults, Model, Mutant, Settings};
use postrider_broker::{Capabilities, Driver};

struct OnModel {
    settings: Settings,
    seed: u64,
    patience: Duration,
    broker: Mutex<Option<Broker>>,
}

impl OnModel {
    fn new(faults: Faults, seed: u64) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970");
        let settings = Settings { faults, epoch_ms: since.as_millis() as u64, ..Settings::default() };
        Self { settings, seed, patience: Duration::from_secs(20), broker: Mutex::new(None) }
    }

    fn able(mut self, change: impl FnOnce(&mut Capabilities)) -> Self {
        change(&mut self.settings.capabilities);
        self
    }

    /// With a breach of the contract. What never comes for it is not waited for as long.
    fn broken(mutant: Mutant) -> Self {
        let mut broken = Self::new(Faults::calm(), 5);
        broken.settings.mutant = Some(mutant);
        broken.patience = Duration::from_secs(1);
        broken
    }
}

impl Fixture for OnModel {
    async fn driver(&self) -> Arc<dyn Driver> {
        let model = Model::new(self.settings.clone(), fastrand::Rng::with_seed(self.seed));
        let broker = Broker::new(model);
        *self.broker.lock() = Some(broker.clone());
        Arc::new(broker)
    }

    async fn restart(&self) -> Arc<dyn Driver> {
        let mut broker = self.broker.lock();
        let next = broker.as_ref().expect("a driver is made before it is restarted").restart();
        *broker = Some(next.clone());
        Arc::new(next)
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}

mod calm {
    use super::*;
    postrider_broker::conformance!(OnModel::new(Faults::calm(), 1));
}

mod restless {
    use super::*;
    postrider_broker::conformance!(OnModel::new(Faults::restless(), 2));
}

mod with_stored_payloads {
    use super::*;
    postrider_broker::conformance!(OnModel::new(Faults::calm(), 3).able(|can| can.stored_payloads = true));
}

/// A broker that can do nothing beyond what all of them keep.
mod bare {
    use super::*;
    postrider_broker::conformance!(OnModel::new(Faults::calm(), 4).able(|can| {
        *can = Capabilities {
            browse: false,
            purge: false,
            seek: false,
            list: false,
            exact_lag: false,
            caught_up: false,
            durable_notes: false,
            ..*can
        };
    }));
}
