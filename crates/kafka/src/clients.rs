//! The clients that ask: one about topics and offsets, and while it is needed one that creates topics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::admin::AdminClient;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;

use crate::context::Context;
use crate::settings::Settings;

/// How long an unused administrator is kept: a start asks for one topic after another.
const IDLE: Duration = Duration::from_secs(10);

/// Letting go of them blocks: only the [monitor](crate::monitor)'s thread does.
pub(crate) struct Clients {
    pub(crate) reader: BaseConsumer<Context>,
    admin: Mutex<Option<(Arc<AdminClient<Context>>, Instant)>>,
}

impl Clients {
    pub(crate) fn new(settings: &Settings, context: Context) -> KafkaResult<Self> {
        let reader = settings.reader().create_with_context(context)?;
        Ok(Self { reader, admin: Mutex::default() })
    }

    /// The client that creates topics. Made where there is none, which may take some milliseconds.
    pub(crate) fn admin(
        &self,
        settings: &Settings,
        context: Context,
    ) -> KafkaResult<Arc<AdminClient<Context>>> {
        let mut admin = self.admin.lock();
        let client = match admin.take() {
            Some((client, _)) => client,
            None => Arc::new(settings.admin().create_with_context(context)?),
        };
        *admin = Some((Arc::clone(&client), Instant::now()));
        Ok(client)
    }

    /// Lets go of an administrator that nobody has asked for in a while. Nothing serves its log, which would pile up.
    pub(crate) fn rest(&self) {
        let idle = |(client, used): &mut (Arc<AdminClient<Context>>, Instant)| {
            used.elapsed() > IDLE && Arc::strong_count(client) == 1
        };
        let idle = self.admin.lock().take_if(idle);
        drop(idle);
    }
}
