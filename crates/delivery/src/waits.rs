//! How long a broker is waited for: for an answer, and before it is asked anew. Whatever is asked of a broker until it
//! is there (a topic, a subscription) is waited for like this; no restart is needed, ever.

use std::time::Duration;

use broker::{Backoff, Error, ErrorKind};
use tokio::time::timeout;

/// First and longest wait before another try while the broker cannot be reached.
const UNREACHABLE: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(10)];
/// The same where the broker said no: only an operator's change can help, and with a random part of as much again the
/// longest is how late it is noticed at worst.
const REFUSED: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];
/// When it is told that a broker takes long to answer, and when what was asked of it is asked anew.
const SLOW: Duration = Duration::from_secs(5);
const UNANSWERED: Duration = Duration::from_secs(60);

/// The waits between tries, by what went wrong: they grow from try to try, and no two processes try in step.
#[derive(Debug)]
pub struct Waits {
    unreachable: Backoff,
    refused: Backoff,
}

impl Default for Waits {
    fn default() -> Self {
        Self { unreachable: Backoff::between(UNREACHABLE), refused: Backoff::between(REFUSED) }
    }
}

impl Waits {
    /// How long to wait before the next try, after one that failed: of itself it may succeed, or only by an operator.
    pub fn wait(&mut self, temporary: bool) -> Duration {
        if temporary { self.unreachable.wait() } else { self.refused.wait() }
    }
}

/// The broker's answer about something. Says when it takes long, and gives up when there seems never to be one: what is
/// asked anew may succeed. Then it is `Unavailable`.
pub async fn answered<T>(
    about: &str,
    asked: impl Future<Output = Result<T, Error>>,
    tell: impl FnOnce(String),
) -> Result<T, Error> {
    let mut asked = std::pin::pin!(asked);
    if let Ok(answer) = timeout(SLOW, &mut asked).await {
        return answer;
    }
    let none = |for_how_long: Duration| {
        format!("the broker has not answered about {about} for {} s", for_how_long.as_secs())
    };
    tell(none(SLOW));
    let answer = timeout(UNANSWERED - SLOW, asked).await;
    answer.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, none(UNANSWERED))))
}
