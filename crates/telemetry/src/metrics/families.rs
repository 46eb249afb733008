use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::handles::{Subscription, Topic};
use crate::AttemptResult;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SentLabels {
    messaging_destination_name: String,
    postrider_broker: String,
    /// `broker`, as in the answer.
    postrider_accepted: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    messaging_operation_name: &'static str,
    messaging_destination_name: String,
    postrider_broker: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TopicLabels {
    topic: String,
    broker: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusedLabels {
    /// Empty where the refused name was not a configured topic.
    topic: String,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConsumedLabels {
    messaging_destination_subscription_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProcessLabels {
    messaging_destination_subscription_name: String,
    /// Empty for success, as OpenTelemetry has it.
    error_type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SubscriptionLabels {
    subscription: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LetterLabels {
    subscription: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BrokerLabels {
    broker: String,
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;
type Counters = Family<SubscriptionLabels, Counter>;
type Gauges = Family<SubscriptionLabels, Gauge>;

/// Every metric there is.
#[derive(Debug)]
pub(super) struct Families {
    sent: Family<SentLabels, Counter>,
    operation: Durations<OperationLabels>,
    consumed: Family<ConsumedLabels, Counter>,
    process: Durations<ProcessLabels>,
    sent_bytes: Family<TopicLabels, Counter>,
    unknown: Family<TopicLabels, Counter>,
    refused: Family<RefusedLabels, Counter>,
    letters: Family<LetterLabels, Counter>,
    letter_failures: Counters,
    dropped_replies: Counters,
    age: Durations<SubscriptionLabels>,
    breaker_open: Gauges,
    breaker_openings: Counters,
    holds: Counters,
    paused: Gauges,
    window: Gauges,
    stuck: Gauges,
    gaps: Counters,
    gap_events: Counters,
    in_flight: Gauges,
    held: Gauges,
    retrying: Gauges,
    lag: Gauges,
    oldest_age: Family<SubscriptionLabels, Gauge<f64, AtomicU64>>,
    broker_up: Family<BrokerLabels, Gauge>,
}

/// OpenTelemetry's boundaries for message durations, and three below: a local broker answers in under a millisecond.
fn durations() -> Histogram {
    Histogram::new([
        0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
        10.0,
    ])
}

/// From milliseconds to days: a delivery's age includes every outage that it waited for.
fn ages() -> Histogram {
    Histogram::new([
        0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 43_200.0, 172_800.0,
    ])
}

fn timed<L>(make: fn() -> Histogram) -> Durations<L>
where
    L: Clone + std::hash::Hash + Eq,
{
    Family::new_with_constructor(make)
}

impl Families {
    pub(super) fn register(registry: &mut Registry, version: &str) -> Self {
        let families = Self::new();
        families.register_messaging(registry);
        families.register_state(registry);
        let build = Info::new(vec![("version", version.to_owned())]);
        registry.register("postrider_build", "The version that runs", build);
        families
    }

    fn new() -> Self {
        Self {
            sent: Family::default(),
            operation: timed(durations),
            consumed: Family::default(),
            process: timed(durations),
            sent_bytes: Family::default(),
            unknown: Family::default(),
            refused: Family::default(),
            letters: Family::default(),
            letter_failures: Family::default(),
            dropped_replies: Family::default(),
            age: timed(ages),
            breaker_open: Family::default(),
            breaker_openings: Family::default(),
            holds: Family::default(),
            paused: Family::default(),
            window: Family::default(),
            stuck: Family::default(),
            gaps: Family::default(),
            gap_events: Family::default(),
            in_flight: Family::default(),
            held: Family::default(),
            retrying: Family::default(),
            lag: Family::default(),
            oldest_age: Family::default(),
            broker_up: Family::default(),
        }
    }

    fn register_messaging(&self, r: &mut Registry) {
        r.register("messaging_client_sent_messages", "Events made durable", self.sent.clone());
        let help = "From taking an event in to its being durable";
        r.register_with_unit(
            "messaging_client_operation_duration",
            help,
            Unit::Seconds,
            self.operation.clone(),
        );
        let help = "Events delivered and settled";
        r.register("messaging_client_consumed_messages", help, self.consumed.clone());
        let help = "Attempts: from the webhook's request to its answer";
        r.register_with_unit("messaging_process_duration", help, Unit::Seconds, self.process.clone());
        let help = "Bytes of events made durable";
        r.register("postrider_sent_bytes", help, self.sent_bytes.clone());
        let help = "Events of which it is not known whether they were written";
        r.register("postrider_unknown_events", help, self.unknown.clone());
        r.register("postrider_refused_events", "Events refused, never written", self.refused.clone());
        r.register("postrider_dead_letters", "Events dead-lettered", self.letters.clone());
        let help = "Dead letters that could not be written yet";
        r.register("postrider_dead_letter_failures", help, self.letter_failures.clone());
        let help = "Events in answers that were dropped: malformed, or refused by their topic for good";
        r.register("postrider_dropped_replies", help, self.dropped_replies.clone());
        let help = "From the broker's taking an event in to its delivery";
        r.register_with_unit("postrider_delivery_age", help, Unit::Seconds, self.age.clone());
    }

    fn register_state(&self, r: &mut Registry) {
        r.register("postrider_breaker_open", "1 while the breaker is open", self.breaker_open.clone());
        r.register("postrider_breaker_openings", "Times the breaker opened", self.breaker_openings.clone());
        r.register("postrider_holds", "Times a Retry-After held the subscription", self.holds.clone());
        r.register("postrider_paused", "1 while the subscription is paused", self.paused.clone());
        r.register("postrider_window", "Most attempts open at once, now", self.window.clone());
        let help = "Deliveries held while reading stands still behind one key; 0 while it goes on";
        r.register("postrider_stuck", help, self.stuck.clone());
        r.register("postrider_gaps", "Times a broker no longer had what was not settled", self.gaps.clone());
        let help = "Events that a broker no longer had, where it tells how many";
        r.register("postrider_gap_events", help, self.gap_events.clone());
        r.register("postrider_in_flight", "Attempts open now", self.in_flight.clone());
        r.register("postrider_held", "Deliveries held now", self.held.clone());
        r.register("postrider_retrying", "Deliveries that wait for a retry", self.retrying.clone());
        r.register("postrider_lag_events", "Events not settled", self.lag.clone());
        let help = "Age of the oldest event not settled";
        r.register_with_unit("postrider_oldest_age", help, Unit::Seconds, self.oldest_age.clone());
        r.register("postrider_broker_up", "1 while the broker can be reached", self.broker_up.clone());
    }

    pub(super) fn topic(&self, topic: &str, broker: &str) -> Topic {
        let labels = TopicLabels { topic: topic.to_owned(), broker: broker.to_owned() };
        Topic {
            sent: self.sent.get_or_create_owned(&SentLabels {
                messaging_destination_name: topic.to_owned(),
                postrider_broker: broker.to_owned(),
                postrider_accepted: "broker",
            }),
            sent_bytes: self.sent_bytes.get_or_create_owned(&labels),
            unknown: self.unknown.get_or_create_owned(&labels),
            send_duration: self.operation.get_or_create_owned(&OperationLabels {
                messaging_operation_name: "send",
                messaging_destination_name: topic.to_owned(),
                postrider_broker: broker.to_owned(),
            }),
        }
    }

    pub(super) fn subscription(&self, name: &str) -> Subscription {
        let labels = SubscriptionLabels { subscription: name.to_owned() };
        let process = |result| self.process.get_or_create_owned(&process_labels(name, result));
        let consumed = consumed_labels(name);
        Subscription {
            consumed: self.consumed.get_or_create_owned(&consumed),
            age: self.age.get_or_create_owned(&labels),
            done: process(AttemptResult::Done),
            retry: process(AttemptResult::Retry),
            dead_letter: process(AttemptResult::DeadLetter),
            pause: process(AttemptResult::Pause),
            abandoned: process(AttemptResult::Abandoned),
            dead_letter_failures: self.letter_failures.get_or_create_owned(&labels),
            dropped_replies: self.dropped_replies.get_or_create_owned(&labels),
            breaker_open: self.breaker_open.get_or_create_owned(&labels),
            breaker_openings: self.breaker_openings.get_or_create_owned(&labels),
            holds: self.holds.get_or_create_owned(&labels),
            paused: self.paused.get_or_create_owned(&labels),
            window: self.window.get_or_create_owned(&labels),
            stuck: self.stuck.get_or_create_owned(&labels),
            gaps: self.gaps.get_or_create_owned(&labels),
            gap_events: self.gap_events.get_or_create_owned(&labels),
            in_flight: self.in_flight.get_or_create_owned(&labels),
            held: self.held.get_or_create_owned(&labels),
            retrying: self.retrying.get_or_create_owned(&labels),
            lag: self.lag.get_or_create_owned(&labels),
            oldest_age: self.oldest_age.get_or_create_owned(&labels),
        }
    }

    pub(super) fn refused(&self, topic: &str, code: &'static str) -> Counter {
        self.refused.get_or_create_owned(&RefusedLabels { topic: topic.to_owned(), code })
    }

    pub(super) fn dead_lettered(&self, subscription: &str, reason: &'static str) -> Counter {
        self.letters.get_or_create_owned(&LetterLabels { subscription: subscription.to_owned(), reason })
    }

    pub(super) fn broker_up(&self, broker: &str) -> Gauge {
        self.broker_up.get_or_create_owned(&BrokerLabels { broker: broker.to_owned() })
    }

    /// Takes away what describes the present. Counters stay: Prometheus wants them monotonic, and a subscription that
    /// comes back goes on counting.
    pub(super) fn forget_subscription(&self, name: &str) {
        let labels = SubscriptionLabels { subscription: name.to_owned() };
        for gauges in [
            &self.breaker_open,
            &self.paused,
            &self.window,
            &self.stuck,
            &self.in_flight,
            &self.held,
            &self.retrying,
            &self.lag,
        ] {
            gauges.remove(&labels);
        }
        self.oldest_age.remove(&labels);
    }
}

fn consumed_labels(name: &str) -> ConsumedLabels {
    ConsumedLabels { messaging_destination_subscription_name: name.to_owned() }
}

fn process_labels(name: &str, result: AttemptResult) -> ProcessLabels {
    let error_type = match result {
        AttemptResult::Done => "",
        AttemptResult::Retry => "retry",
        AttemptResult::DeadLetter => "dead_letter",
        AttemptResult::Pause => "pause",
        AttemptResult::Abandoned => "abandoned",
    };
    ProcessLabels { messaging_destination_subscription_name: name.to_owned(), error_type }
}
