//! The contract's chapters on sources, with the group protocol of KIP-848 (`group.protocol=consumer`).

mod common;

broker::conformance_chapters! { common::Cluster::new(&[("group.protocol", "consumer")]);
    done_never_comes_again_after_a_flush
    a_settle_is_durable_by_itself
    unflushed_work_comes_again_after_a_kill
    a_dropped_source_loses_nothing
    notes_survive_a_restart
    what_is_appended_after_ensure_is_delivered
    ensure_is_idempotent
    two_subscriptions_are_independent
    settles_come_in_any_order
    a_release_brings_the_tail_of_its_key_again
    credit_in_events_is_never_exceeded
    nothing_comes_after_until
    caught_up_is_said_once
    lag_counts_what_is_unsettled
    a_closed_source_hands_over
    a_flush_of_nothing_returns
}
