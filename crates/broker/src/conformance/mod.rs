//! The conformance suite: holds a driver to the [contract](crate), chapter by chapter.
//!
//! A driver's crate implements [`Fixture`] and writes one line in a test file:
//!
//! ```ignore
//! broker::conformance!(MyFixture::new().await);
//! ```
//!
//! It expands to one `#[tokio::test]` a chapter, so that a failure names what is broken; the expression is evaluated anew
//! for each. Chapters that need a [capability](crate::Capabilities) which the driver does not declare check that the
//! operation answers `Unsupported` instead. What the suite sees of a source, it also watches without being asked: key
//! order, slots, generations, credit, gaps that nothing caused.
//!
//! Nothing is synchronised by sleeping: the suite waits for what must come, [`Fixture::patience`] at most. That something
//! does *not* come it takes as shown after [`Fixture::quiet`]; a slow driver then passes too easily, and never fails
//! wrongly.

mod bench;
mod credit;
mod durability;
mod lease;
mod lifecycle;
mod operate;
mod payload;
mod publish;
mod samples;
mod subscribe;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use crate::Driver;

pub use credit::*;
pub use durability::*;
pub use lease::*;
pub use lifecycle::*;
pub use operate::*;
pub use payload::*;
pub use publish::*;
pub use subscribe::*;

/// What the suite needs to know of a driver, and how it gets one.
pub trait Fixture: Send + Sync + 'static {
    /// A driver on a broker of the fixture's; asked once a chapter.
    fn driver(&self) -> impl Future<Output = Arc<dyn Driver>> + Send;

    /// The driver anew, after its process died without a goodbye, or as near to that as a test can come: on the same
    /// data, and with nothing of the old driver's memory. The suite has dropped its own handles of the old driver and of
    /// its sources, none of them closed.
    fn restart(&self) -> impl Future<Output = Arc<dyn Driver>> + Send;

    /// A name that no other chapter uses on the broker, from letters, digits, `-` and `.`.
    fn unique(&self, name: &str) -> String {
        format!("{name}-{}", uuid::Uuid::now_v7().simple())
    }

    /// How long the suite waits for what must come. Longer than the broker needs to notice a dead client.
    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }

    /// How long nothing must have come for the suite to believe that nothing comes.
    fn quiet(&self) -> Duration {
        Duration::from_millis(100)
    }

    /// Whether a key's next record is handed out while its last one is held. (Some servers wait for the settle.)
    fn pipelines_keys(&self) -> bool {
        true
    }

    /// Whether events come back equal in every respect. False for bindings of which the specification says that
    /// attributes travel as text, that JSON data without a content type gets one, and that data which is empty is as
    /// good as none: then the suite compares attributes by their text, and data by its bytes.
    fn exact_events(&self) -> bool {
        true
    }

    /// Whether what stood before a subscription was made can be handed out to it ([`Start::Earliest`](crate::Start)).
    fn keeps_history(&self) -> bool {
        true
    }
}

/// Runs the [conformance suite](mod@crate::conformance) on the fixture that the expression makes: one test a chapter.
#[macro_export]
macro_rules! conformance {
    ($fixture:expr) => {
        $crate::conformance_chapters! { $fixture;
            each_record_has_one_outcome_in_order
            an_empty_batch_has_no_outcomes
            a_key_keeps_its_order_over_concurrent_calls
            a_dropped_receipt_cancels_nothing
            a_deadline_in_the_past_is_never_a_lie
            an_oversized_record_is_refused_and_its_key_with_it
            an_unknown_topic_is_refused_or_created
            what_is_durable_survives_a_kill
            done_never_comes_again_after_a_flush
            a_settle_is_durable_by_itself
            unflushed_work_comes_again_after_a_kill
            a_dropped_source_loses_nothing
            notes_survive_a_restart
            what_is_appended_after_ensure_is_delivered
            ensure_is_idempotent
            start_earliest_hands_out_all_that_stands
            start_latest_hands_out_only_what_comes
            start_at_a_time_hands_out_from_there
            two_subscriptions_are_independent
            an_unordered_subscription_hands_out_everything
            a_subscription_is_open_once_in_a_process
            what_does_not_exist_is_not_found
            settles_come_in_any_order
            a_release_brings_the_tail_of_its_key_again
            a_release_of_one_key_leaves_the_others_alone
            stale_settles_are_ignored_and_counted
            a_stale_settle_is_never_applied_to_another_lease
            slots_are_dense_and_generations_differ
            notes_survive_a_release
            credit_in_events_is_never_exceeded
            credit_in_bytes_is_never_exceeded
            one_delivery_is_allowed_however_large
            zero_credit_hands_out_nothing
            lowered_credit_revokes_nothing
            events_travel_untouched
            large_events_travel_untouched
            keys_travel_untouched
            foreign_bodies_travel_untouched
            letters_travel_beside_the_event
            hop_headers_travel_beside_the_event
            payloads_are_here_or_can_be_loaded
            deliveries_tell_time_and_size
            browse_reads_without_a_subscription
            browse_selects
            purge_settles_positions
            purge_settles_all_that_stands
            seek_moves_the_cursor
            subscriptions_are_listed_and_deleted
            nothing_comes_after_until
            caught_up_is_said_once
            lag_counts_what_is_unsettled
            a_reachable_broker_is_healthy
            close_answers_what_was_taken_in
            a_closed_driver_answers_closed
            a_closed_source_hands_over
            a_flush_of_nothing_returns
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! conformance_chapters {
    ($fixture:expr; $($chapter:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $chapter() {
                $crate::conformance::$chapter($fixture).await;
            }
        )*
    };
}
