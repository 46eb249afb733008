/// What a broker can do beyond the contract that all of them keep. Asked before an operation is offered, and by the
/// conformance suite to know which of its chapters apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Records can be read without a subscription ([`Driver::browse`](crate::Driver::browse)).
    pub browse: bool,
    /// Unsettled records of a subscription can be removed ([`Driver::purge`](crate::Driver::purge)).
    pub purge: bool,
    /// A subscription's cursor can be moved ([`Driver::seek`](crate::Driver::seek)).
    pub seek: bool,
    /// Subscriptions can be listed and deleted.
    pub list: bool,
    /// [`Lag`](crate::Lag) counts exactly, and tells the age of the oldest unsettled record.
    pub exact_lag: bool,
    /// [`Input::CaughtUp`](crate::Input::CaughtUp) is reported.
    pub caught_up: bool,
    /// A delivery that waits holds no payload: it is read again with [`Source::load`](crate::Source::load). Such a
    /// source can be granted a far larger credit. It may still hand out payloads that are here, within the credit's bytes.
    pub stored_payloads: bool,
    /// Notes survive a restart of the process (false: attempt counts start anew).
    pub durable_notes: bool,
    /// Largest encoded record the broker takes, in bytes.
    pub record_bytes_max: usize,
}
