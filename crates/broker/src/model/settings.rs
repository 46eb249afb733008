use std::time::Duration;

use crate::Capabilities;

/// What a [`Model`](super::Model) is like, before it misbehaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub faults: Faults,
    pub capabilities: Capabilities,
    /// The wall clock at the model's time zero, in milliseconds since the Unix epoch.
    pub epoch_ms: u64,
    /// Records taken in and not yet answered; what exceeds it is refused as `Overloaded`.
    pub in_flight_max: usize,
    /// Unsettled records of a topic's slowest subscription; at it, publishing is refused as `Full`.
    pub backlog_max: usize,
    /// Whether `ensure` and `ensure_topic` may create what does not exist.
    pub create: bool,
    /// A deliberate breach of the contract, to show that a checker can fail.
    pub mutant: Option<Mutant>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            faults: Faults::calm(),
            capabilities: Capabilities {
                browse: true,
                purge: true,
                seek: true,
                list: true,
                exact_lag: true,
                caught_up: true,
                stored_payloads: false,
                durable_notes: true,
                record_bytes_max: 1 << 20,
            },
            epoch_ms: 1_700_000_000_000,
            in_flight_max: 10_000,
            backlog_max: 1_000_000,
            create: true,
            mutant: None,
        }
    }
}

/// How often, and how badly, the model misbehaves *within* the contract. Chances are per record, per hand-out or per
/// event, in [0, 1]; `*_every` is a mean time between two, `None` for never. Each field names the line of the contract
/// (see the [crate's documentation](crate)) that lets a real broker do the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// Longest time a record takes to the broker, and an acknowledgement back, on a good day. Line 1 sets no bound but
    /// the deadline.
    pub latency_max: Duration,
    /// Chance that a record lands late: its client tried again, idempotently (line 3), or a connection hung. Past the
    /// deadline its answer is `Unknown` and it lands all the same (line 1), after later records of other keys (line 2
    /// orders only within a key).
    pub late_landing: f64,
    pub late_landing_max: Duration,
    /// Chance that an acknowledgement comes late, if before the deadline at all. Line 1.
    pub late_ack: f64,
    pub late_ack_max: Duration,
    /// Chance that a landed record's acknowledgement never comes: `Unknown`, yet written. Line 1.
    pub lost_ack: f64,
    /// Chance that a record is lost on its way: `Unknown`, and never written. Line 1.
    pub lost_record: f64,
    /// Chance that a record is refused as `Overloaded`; the later ones of its key in that call are then refused as
    /// `AfterFailure`. Lines 1 and 2.
    pub overloaded: f64,
    /// Chance that a record which the dead process had sent lands after the crash, even after records of its successor:
    /// line 2 orders within one process only, and line 3 says that nothing is cancelled.
    pub zombie_write: f64,
    /// Hand-outs are picked at random among this many keys (and records without one) that have something to hand out;
    /// 1 hands out in append order. Line 2 and [`Source`](crate::Source) order within a key only.
    pub shuffle: usize,
    /// Chance, per hand-out, that a held position is handed out once more, superseding its lease (line 5). The held
    /// tail of its key is revoked and follows it. An eighth of it where the source has handed the position out before:
    /// else long tails, which come again, would bring about more and more of it without end.
    pub duplicate: f64,
    /// Chance, per poll, that fewer inputs come than could.
    pub short_poll: f64,
    /// Mean time between revocations of one source. Lines 6 and 9.
    pub revoke_every: Option<Duration>,
    /// Chance that a revocation takes everything; otherwise it takes some deliveries and the tails of their keys.
    pub revoke_all: f64,
    /// Chance that a revocation also rewinds: settles and notes not yet flushed are forgotten, and what was done comes
    /// again. Line 8: only what was flushed is safe.
    pub rewind: f64,
    /// Chance that a revocation is announced by a recall, and comes later for what has not been settled by then. Line 6.
    pub recall: f64,
    /// Longest time from a recall to the revocation of what is left.
    pub recall_max: Duration,
    /// Longest time until a released or revoked record is handed out again. Lines 6 and 7 set no bound.
    pub again_max: Duration,
    /// Mean time between outages. Nothing lands, is acknowledged, handed out or flushed meanwhile; calls answer
    /// `Unavailable`, polls once a temporary error, and what was never sent may be `Refused` at its deadline.
    pub outage_every: Option<Duration>,
    pub outage_max: Duration,
    /// Longest time until a settle is durable by itself. Line 8: at most 100 ms.
    pub flush_max: Duration,
    /// A crash keeps some of what was not flushed (a write was under way), rather than nothing. Line 8 promises neither.
    pub crash_keeps_some: bool,
}

impl Faults {
    /// A broker on its best day. Crashes and revocations then happen only when the caller asks for them.
    pub fn calm() -> Self {
        Self {
            latency_max: Duration::from_millis(1),
            late_landing: 0.0,
            late_landing_max: Duration::ZERO,
            late_ack: 0.0,
            late_ack_max: Duration::ZERO,
            lost_ack: 0.0,
            lost_record: 0.0,
            overloaded: 0.0,
            zombie_write: 0.0,
            shuffle: 1,
            duplicate: 0.0,
            short_poll: 0.0,
            revoke_every: None,
            revoke_all: 0.0,
            rewind: 0.0,
            recall: 0.0,
            recall_max: Duration::ZERO,
            again_max: Duration::ZERO,
            outage_every: None,
            outage_max: Duration::ZERO,
            flush_max: Duration::from_millis(100),
            crash_keeps_some: false,
        }
    }

    /// Every fault at once, often enough that a run of some hundred records meets each of them.
    pub fn nasty() -> Self {
        Self {
            latency_max: Duration::from_millis(20),
            late_landing: 0.05,
            late_landing_max: Duration::from_secs(5),
            late_ack: 0.05,
            late_ack_max: Duration::from_secs(2),
            lost_ack: 0.02,
            lost_record: 0.02,
            overloaded: 0.02,
            zombie_write: 0.5,
            shuffle: 16,
            duplicate: 0.02,
            short_poll: 0.2,
            revoke_every: Some(Duration::from_secs(20)),
            revoke_all: 0.5,
            rewind: 0.5,
            recall: 0.5,
            recall_max: Duration::from_secs(2),
            again_max: Duration::from_secs(1),
            outage_every: Some(Duration::from_secs(60)),
            outage_max: Duration::from_secs(5),
            flush_max: Duration::from_millis(100),
            crash_keeps_some: true,
        }
    }

    /// What misbehaves without ever losing an answer or taking the broker away: hand-outs come shuffled, in small
    /// portions and twice; acknowledgements take their time. A conformance suite must pass on it unchanged.
    pub fn restless() -> Self {
        Self {
            latency_max: Duration::from_millis(5),
            late_ack: 0.1,
            late_ack_max: Duration::from_millis(20),
            shuffle: 8,
            duplicate: 0.05,
            short_poll: 0.3,
            recall: 0.5,
            recall_max: Duration::from_millis(500),
            again_max: Duration::from_millis(20),
            crash_keeps_some: true,
            ..Self::calm()
        }
    }
}

/// A deliberate breach of the contract. A checker that catches none of them proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A settle is applied to whatever its slot holds now. Breaks line 6.
    WrongGeneration,
    /// A slot's next lease has the generation of the last. Breaks what [`Lease`](crate::Lease) says.
    SameGeneration,
    /// Releasing a delivery leaves the later leases of its key alive. Breaks line 7.
    ReleaseWithoutTail,
    /// A flushed `Done` is forgotten at the next crash. Breaks line 8.
    ForgetFlushed,
    /// One event more than the credit is handed out. Breaks line 9.
    CreditExceeded,
    /// The byte credit is not looked at. Breaks line 9.
    BytesIgnored,
    /// A key's second record is handed out before its first. Breaks line 2.
    OrderSwapped,
    /// `Durable` is answered at once and the record lands later. Breaks line 1.
    AckBeforeDurable,
    /// After a key's failure the later records of the call are reported as they are. Breaks line 2.
    DurableAfterFailure,
    /// Every seventh record is handed out to nobody. Breaks line 4.
    DropSome,
    /// A subscription starts anew where `ensure` names it again. Breaks [`Driver::ensure`](crate::Driver::ensure).
    EnsureRewinds,
    /// Notes are lost at a release. Breaks line 8.
    NotesForgotten,
    /// What was purged comes again. Breaks [`Driver::purge`](crate::Driver::purge).
    PurgeForgotten,
    /// `until` is not looked at. Breaks [`Subscription::until`](crate::Subscription::until).
    UntilIgnored,
    /// A record's hop headers are left behind. Breaks the record's round trip.
    HopDropped,
}
