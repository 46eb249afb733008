//! What every client of the driver has behind it: librdkafka's logs go to `tracing`, its errors to the [`Pulse`].

use std::sync::Arc;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;

use crate::pulse::Pulse;

#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    pub(crate) pulse: Arc<Pulse>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel as L;
        match level {
            L::Emerg | L::Alert | L::Critical | L::Error => tracing::warn!(facility, "librdkafka: {message}"),
            L::Warning => tracing::info!(facility, "librdkafka: {message}"),
            L::Notice | L::Info | L::Debug => tracing::debug!(facility, "librdkafka: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.pulse.failed(&error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for Context {}
impl rdkafka::producer::ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::message::DeliveryResult<'_>, (): ()) {}
}
