//! Google's publishers of one topic.
//!
//! A publisher keeps a task and its queues for each ordering key that it has ever seen. So after a number of keys another
//! one takes its place; a key of which something is under way stays with the publisher that has it, so that its order
//! holds, and a publisher that no key needs any more goes, and its tasks with it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use broker::{Outcome, Record, RefusalKind};
use google_cloud_pubsub::client::{BasePublisher, Publisher};
use google_cloud_pubsub::publisher::PublishFuture;
use parking_lot::Mutex;

use crate::record;

/// Keys that a publisher is given before another takes its place: 9.6 KB each, measured.
const KEYS_MAX: usize = 1000;
/// What travels in a request at the most. The service takes 1,000 messages and 10 MB.
const REQUEST_MESSAGES: u32 = 1000;
const REQUEST_BYTES: u32 = 4 << 20;

#[derive(Debug)]
pub(super) struct Topic {
    /// `projects/P/topics/T`.
    pub(super) name: String,
    base: BasePublisher,
    linger: Duration,
    /// Held while a call's records are handed over, so that nothing comes between them: neither another call's, nor the
    /// resumption of a key.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Of records without a key. It never ends.
    plain: Publisher,
    keyed: Arc<Publisher>,
    /// The keys that `keyed` has seen, by their digests.
    seen: HashSet<u128>,
    /// The keys of which something is under way.
    under_way: HashMap<u128, UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    publisher: Arc<Publisher>,
    count: usize,
}

/// A record that was handed over, or was not.
pub(super) enum Handed {
    Sent(Sent),
    Not(Outcome),
}

pub(super) struct Sent {
    pub(super) future: PublishFuture,
    pub(super) key: Option<Key>,
}

/// The key of a record that is under way, and who has it.
pub(super) struct Key {
    digest: u128,
    text: String,
    publisher: Arc<Publisher>,
}

impl Topic {
    pub(super) fn new(name: String, base: BasePublisher, linger: Duration) -> Self {
        let state = State {
            plain: publisher(&base, &name, linger),
            keyed: Arc::new(publisher(&base, &name, linger)),
            seen: HashSet::new(),
            under_way: HashMap::new(),
        };
        Self { name, base, linger, state: Mutex::new(state) }
    }

    /// Hands the records over in their order. After a key's refusal its later records are refused, too.
    pub(super) fn hand_over(&self, records: Vec<Record>, structured: bool) -> Vec<Handed> {
        let mut refused = HashSet::new();
        let encoded: Vec<_> = records
            .into_iter()
            .map(|record| {
                let digest = record.key.as_ref().map(broker::Key::digest);
                if digest.is_some_and(|digest| refused.contains(&digest)) {
                    let message = "an earlier record of its key in this call was refused";
                    return Err(Outcome::refused(RefusalKind::AfterFailure, message));
                }
                let encoded = record::encode(record, structured).map(|message| (digest, message));
                if let (Err(_), Some(digest)) = (&encoded, digest) {
                    refused.insert(digest);
                }
                encoded.map_err(Outcome::Refused)
            })
            .collect();
        let mut state = self.state.lock();
        let hand_over = |encoded| match encoded {
            Err(outcome) => Handed::Not(outcome),
            Ok((None, message)) => Handed::Sent(Sent { future: state.plain.publish(message), key: None }),
            Ok((Some(digest), message)) => {
                let text = message.ordering_key.clone();
                let publisher = state.publisher_of(digest, || publisher(&self.base, &self.name, self.linger));
                let future = publisher.publish(message);
                Handed::Sent(Sent { future, key: Some(Key { digest, text, publisher }) })
            }
        };
        encoded.into_iter().map(hand_over).collect()
    }

    /// A record of the key was answered. After a failure the publisher has paused the key, and refused what it had of it:
    /// what comes from now on is taken again.
    pub(super) fn answered(&self, key: &Key, failed: bool) {
        let mut state = self.state.lock();
        if failed {
            key.publisher.resume_publish(key.text.as_str());
        }
        if let Some(under_way) = state.under_way.get_mut(&key.digest) {
            under_way.count -= 1;
            if under_way.count == 0 {
                state.under_way.remove(&key.digest);
            }
        }
    }
}

impl State {
    fn publisher_of(&mut self, digest: u128, another: impl FnOnce() -> Publisher) -> Arc<Publisher> {
        if let Some(under_way) = self.under_way.get_mut(&digest) {
            under_way.count += 1;
            return Arc::clone(&under_way.publisher);
        }
        if !self.seen.contains(&digest) && self.seen.len() >= KEYS_MAX {
            self.keyed = Arc::new(another());
            self.seen.clear();
        }
        self.seen.insert(digest);
        self.under_way.insert(digest, UnderWay { publisher: Arc::clone(&self.keyed), count: 1 });
        Arc::clone(&self.keyed)
    }
}

fn publisher(base: &BasePublisher, topic: &str, linger: Duration) -> Publisher {
    base.publisher(topic)
        .set_message_count_threshold(REQUEST_MESSAGES)
        .set_byte_threshold(REQUEST_BYTES)
        .set_delay_threshold(linger)
        .build()
}

#[cfg(test)]
mod tests {
    use google_cloud_auth::credentials::anonymous;

    use super::*;

    /// Google's publisher keeps a task for each key that it has seen, for ever.
    #[tokio::test]
    async fn publishers_go_with_their_keys_and_a_key_that_is_under_way_stays() {
        drop(rustls::crypto::ring::default_provider().install_default());
        let credentials = anonymous::Builder::new().build();
        let base = BasePublisher::builder()
            .with_credentials(credentials)
            .build()
            .await
            .expect("nothing is asked yet");
        let topic = Topic::new("projects/p/topics/t".into(), base, Duration::ZERO);
        let another = || publisher(&topic.base, &topic.name, topic.linger);
        let key = |digest, publisher| Key { digest, text: digest.to_string(), publisher };
        let under_way = topic.state.lock().publisher_of(0, another);
        let first = Arc::downgrade(&under_way);
        let mut publishers = HashSet::new();
        for digest in 1..=10 * KEYS_MAX as u128 {
            let publisher = topic.state.lock().publisher_of(digest, another);
            publishers.insert(Arc::as_ptr(&publisher));
            topic.answered(&key(digest, publisher), false);
        }
        assert!(publishers.len() > 5, "publishers are replaced: {}", publishers.len());
        assert_eq!(topic.state.lock().under_way.len(), 1, "only what is under way is remembered");
        assert!(topic.state.lock().seen.len() <= KEYS_MAX);
        let again = topic.state.lock().publisher_of(0, another);
        assert!(Arc::ptr_eq(&again, &under_way), "a key that is under way stays where it is");
        topic.answered(&key(0, again), false);
        topic.answered(&key(0, under_way), true);
        assert!(first.upgrade().is_none(), "a publisher that no key needs goes");
        assert!(topic.state.lock().under_way.is_empty());
    }
}
