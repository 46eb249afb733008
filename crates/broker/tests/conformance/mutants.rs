//! A suite that cannot fail proves nothing: each breach of the contract is caught by the chapter that names its line.

use postrider_broker::conformance;
use postrider_broker::model::Mutant;
use tokio::task::JoinSet;

use super::OnModel;

/// How the chapter ended: `None` where it passed, else what it said.
async fn verdict(chapter: impl Future<Output = ()> + Send + 'static) -> Option<String> {
    let mut tasks = JoinSet::new();
    tasks.spawn(chapter);
    let ended = tasks.join_next().await.expect("the chapter was spawned");
    let panic = ended.err()?.try_into_panic().expect("nobody aborts the chapter");
    let text = panic.downcast_ref::<String>().cloned();
    Some(text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default())
}

macro_rules! caught {
    ($($test:ident: $mutant:ident by $chapter:ident, saying $words:literal;)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                let said = verdict(conformance::$chapter(OnModel::broken(Mutant::$mutant))).await;
                let said = said.expect("the chapter passed on a broker that breaks the contract");
                assert!(said.contains($words), "the chapter failed for another reason than the breach: {said}");
            }
        )*
    };
}

caught! {
    a_settle_for_the_wrong_generation:
        WrongGeneration by a_stale_settle_is_never_applied_to_another_lease, saying "line 6";
    a_generation_that_stays:
        SameGeneration by slots_are_dense_and_generations_differ, saying "another generation";
    a_release_without_the_tail:
        ReleaseWithoutTail by a_release_brings_the_tail_of_its_key_again, saying "line 7";
    done_forgotten_after_a_flush:
        ForgetFlushed by done_never_comes_again_after_a_flush, saying "line 8";
    credit_exceeded:
        CreditExceeded by credit_in_events_is_never_exceeded, saying "line 9";
    bytes_ignored:
        BytesIgnored by credit_in_bytes_is_never_exceeded, saying "line 9";
    order_swapped:
        OrderSwapped by each_record_has_one_outcome_in_order, saying "line 2";
    acknowledged_before_durable:
        AckBeforeDurable by what_is_durable_survives_a_kill, saying "line 4";
    durable_after_a_failure:
        DurableAfterFailure by an_oversized_record_is_refused_and_its_key_with_it, saying "line 2";
    some_dropped:
        DropSome by what_is_appended_after_ensure_is_delivered, saying "line 4";
    ensure_rewinds:
        EnsureRewinds by ensure_is_idempotent, saying "ensure leaves";
    notes_forgotten:
        NotesForgotten by notes_survive_a_release, saying "line 8";
    purge_forgotten:
        PurgeForgotten by purge_settles_positions, saying "purge";
    until_ignored:
        UntilIgnored by nothing_comes_after_until, saying "came besides";
    hop_headers_dropped:
        HopDropped by hop_headers_travel_beside_the_event, saying "hop headers";
}
