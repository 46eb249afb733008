//! Topics that are full of events, for subscriptions that begin with the first of them.

use std::path::Path;
use std::rc::Rc;

use anyhow::Result;
use tempfile::TempDir;

use crate::amount::Amount;
use crate::emulator::Emulator;
use crate::roles::load::{self, Done};
use crate::roles::{Ask, Role, publisher};
use crate::samples::Form;
use crate::sidecar::{Broker, On, Setup};
use crate::stage::Stage;
use crate::worker::Worker;

/// The topic, where a broker is nobody else's.
const ORDERS: &str = "orders";
/// Most events on Pub/Sub, whose server looks at all of them each ten milliseconds.
const PUBSUB_EVENTS_MAX: u64 = 20_000;

/// So many events, that as many subscriptions read as like to.
#[derive(Clone)]
pub(super) struct Full {
    events: u64,
    topic: Topic,
}

#[derive(Clone)]
enum Topic {
    /// What has been read stays.
    Kept { on: On, name: String },
    /// The same in a directory that goes with the last who uses it.
    Embedded(Rc<TempDir>),
    /// What has been settled is gone, and a subscription has nothing of before it was there: each gets a server of its own.
    Anew,
}

impl Full {
    /// On Pub/Sub there are fewer events.
    pub(super) fn new(
        stage: &Stage,
        broker: Broker,
        what: &str,
        partitions: u32,
        events: u64,
    ) -> Result<Self> {
        let topic = match broker {
            Broker::Embedded => {
                let data = TempDir::with_prefix("postrider-bench-data-")?;
                fill_embedded(stage, data.path(), events)?;
                Topic::Embedded(Rc::new(data))
            }
            Broker::Kafka => {
                let on = stage.on(broker)?;
                let name = stage.topic(&on, what, partitions)?;
                if events > 0 {
                    stage.cluster()?.fill(&name, events)?;
                }
                Topic::Kept { on, name }
            }
            Broker::Pubsub => Topic::Anew,
        };
        let events = match broker {
            Broker::Pubsub if events > 0 => events.clamp(publisher::WARM_UP, PUBSUB_EVENTS_MAX),
            _ => events,
        };
        Ok(Self { events, topic })
    }

    pub(super) fn events(&self) -> u64 {
        self.events
    }

    /// The broker and the topic's name, for a subscription that has never been there.
    pub(super) fn for_new(&self, subscription: &str) -> Result<(On, String)> {
        Ok(match &self.topic {
            Topic::Kept { on, name } => (on.clone(), name.clone()),
            Topic::Embedded(data) => (On::embedded_at(data.path()), ORDERS.to_owned()),
            Topic::Anew => {
                let emulator = Emulator::start()?;
                emulator.create_topic(ORDERS)?;
                emulator.create_subscription(subscription, ORDERS)?;
                if self.events > 0 {
                    emulator.fill(ORDERS, self.events)?;
                }
                (On::Pubsub(Rc::new(emulator)), ORDERS.to_owned())
            }
        })
    }
}

/// Fills the topic `orders` of an embedded broker, through a sidecar that ends then.
pub(super) fn fill_embedded(stage: &Stage, data: &Path, events: u64) -> Result<()> {
    if events == 0 {
        return Ok(());
    }
    let topics = vec![ORDERS.to_owned()];
    let on = On::embedded_at(data);
    let setup = Setup { on, service: "fill".into(), topics: topics.clone(), subscription: None };
    let sidecar = stage.start(&setup)?;
    let spec = load::Spec {
        to: sidecar.app(),
        connections: 8,
        form: Form::Batch { events: 100, minimal: true },
        keyed: true,
        topics,
        warm_ms: 0,
        amount: Amount::Items(events.div_ceil(100)),
        rate: None,
    };
    let (mut load, ()) = Worker::start(&Role::Load(spec))?;
    load.ask::<Done>(Ask::Go).map(drop)
}
