//! For how long Google's publisher tries, and what it tries again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::Code;
use google_cloud_gax::retry_policy::RetryPolicy;
use google_cloud_gax::retry_result::RetryResult;
use google_cloud_gax::retry_state::RetryState;
use google_cloud_pubsub::retry_policy::RetryableErrors;

use crate::errors;

/// As long as the longest that any caller has waited so far: callers' deadlines all come from one configured time, and a
/// request carries records of several calls.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    longest_ms: AtomicU64,
}

impl Patience {
    /// A caller waits for so long.
    pub(super) fn lasts(&self, wait: Duration) {
        self.longest_ms.fetch_max(wait.as_millis() as u64, Ordering::Relaxed);
    }

    fn longest(&self) -> Duration {
        Duration::from_millis(self.longest_ms.load(Ordering::Relaxed))
    }
}

impl RetryPolicy for Patience {
    fn on_error(&self, state: &RetryState, error: Error) -> RetryResult {
        // Quota that is used up is told at once, for the caller to slow down, and so is that there are no credentials:
        // nothing was written.
        let told_at_once = errors::code(&error) == Some(Code::ResourceExhausted) || error.is_authentication();
        if state.attempt_count <= 1 && told_at_once {
            return RetryResult::Permanent(error);
        }
        match RetryableErrors.on_error(state, error) {
            RetryResult::Continue(error) if state.start.elapsed() >= self.longest() => {
                // An attempt before may have been the one that landed.
                RetryResult::Exhausted(Error::exhausted(error))
            }
            RetryResult::Permanent(error) if state.attempt_count > 1 => {
                RetryResult::Exhausted(Error::exhausted(error))
            }
            other => other,
        }
    }

    fn remaining_time(&self, state: &RetryState) -> Option<Duration> {
        Some(self.longest().saturating_sub(state.start.elapsed()))
    }
}

#[cfg(test)]
mod tests {
    use google_cloud_gax::error::rpc::Status;

    use super::*;

    fn answer(code: Code) -> Error {
        Error::service(Status::default().set_code(code).set_message("why"))
    }

    #[test]
    fn what_may_have_landed_is_never_told_as_refused() {
        let patience = Patience::default();
        patience.lasts(Duration::from_secs(30));
        let at = |attempt: u32| RetryState::new(true).set_attempt_count(attempt);
        assert!(matches!(patience.on_error(&at(1), answer(Code::Unavailable)), RetryResult::Continue(_)));
        assert!(matches!(
            patience.on_error(&at(1), answer(Code::ResourceExhausted)),
            RetryResult::Permanent(_)
        ));
        assert!(matches!(
            patience.on_error(&at(2), answer(Code::ResourceExhausted)),
            RetryResult::Continue(_)
        ));
        assert!(matches!(patience.on_error(&at(1), answer(Code::NotFound)), RetryResult::Permanent(_)));
        let RetryResult::Exhausted(error) = patience.on_error(&at(2), answer(Code::NotFound)) else {
            panic!("an attempt before this one may have landed")
        };
        assert!(error.is_exhausted());
    }

    #[test]
    fn it_ends_with_the_longest_wait_of_any_caller() {
        let patience = Patience::default();
        patience.lasts(Duration::from_millis(1));
        let state = RetryState::new(true).set_attempt_count(1_u32);
        std::thread::sleep(Duration::from_millis(5));
        assert!(matches!(patience.on_error(&state, answer(Code::Unavailable)), RetryResult::Exhausted(_)));
        assert_eq!(patience.remaining_time(&state), Some(Duration::ZERO));
    }
}
