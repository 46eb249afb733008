use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::SystemTime;

use broker::{Outcome, RefusalKind};
use parking_lot::Mutex;

/// A topic that refuses events because it, or the disk below it, is full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullTopic {
    /// The logical name.
    pub name: Arc<str>,
    /// The name of its broker in the configuration.
    pub broker: Arc<str>,
    /// The driver's words: what is full, and whose backlog fills it.
    pub reason: String,
    /// The first refusal since an event was last durable there.
    pub since: SystemTime,
    /// The latest refusal.
    pub last: SystemTime,
}

/// Remembers of each topic whether the last thing that it said of an event was "full".
#[derive(Debug, Default)]
pub(crate) struct Full {
    /// One bit a full topic, by its name's hash; two topics may share one. Zero in the steady state, where a durable
    /// event costs one load here; the lock is for topics that are, or were until now, full.
    bits: AtomicU64,
    topics: Mutex<BTreeMap<Arc<str>, FullTopic>>,
}

impl Full {
    /// Takes note of what a driver answered for records of one topic, in order.
    pub(crate) fn note(&self, name: &Arc<str>, broker: &Arc<str>, outcomes: &[Outcome]) {
        let telling = outcomes.iter().rev().find_map(|outcome| match outcome {
            Outcome::Durable(_) => Some(None),
            Outcome::Refused(refusal) if refusal.kind == RefusalKind::Full => Some(Some(&refusal.message)),
            _ => None,
        });
        match telling {
            Some(Some(reason)) => self.refused(name, broker, reason),
            Some(None) if self.bits.load(Relaxed) & bit(name) != 0 => {
                let mut topics = self.topics.lock();
                topics.remove(name);
                self.mark(&topics);
            }
            _ => {}
        }
    }

    #[cold]
    fn refused(&self, name: &Arc<str>, broker: &Arc<str>, reason: &str) {
        let now = SystemTime::now();
        let mut topics = self.topics.lock();
        let topic = topics.entry(name.clone()).or_insert_with(|| FullTopic {
            name: name.clone(),
            broker: broker.clone(),
            reason: String::new(),
            since: now,
            last: now,
        });
        topic.last = now;
        reason.clone_into(&mut topic.reason);
        self.mark(&topics);
    }

    /// Under the lock, so that the bits are always those of the topics.
    fn mark(&self, topics: &BTreeMap<Arc<str>, FullTopic>) {
        self.bits.store(topics.keys().fold(0, |bits, name| bits | bit(name)), Relaxed);
    }

    /// Sorted by name.
    pub(crate) fn list(&self) -> Vec<FullTopic> {
        self.topics.lock().values().cloned().collect()
    }

    /// Topics may have gone with the routes; one that is full still will say so again.
    pub(crate) fn clear(&self) {
        let mut topics = self.topics.lock();
        topics.clear();
        self.mark(&topics);
    }
}

fn bit(name: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    1 << (hasher.finish() % 64)
}

#[cfg(test)]
mod tests {
    use broker::Position;

    use super::*;

    fn full(reason: &str) -> Outcome {
        Outcome::refused(RefusalKind::Full, reason)
    }

    fn durable() -> Outcome {
        Outcome::Durable(Position::Number(1))
    }

    fn reasons(full: &Full) -> Vec<(String, String)> {
        full.list().into_iter().map(|topic| (topic.name.to_string(), topic.reason)).collect()
    }

    fn told(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, reason)| (name.to_string(), reason.to_string())).collect()
    }

    #[test]
    fn a_topic_is_full_from_its_refusal_to_its_next_durable_event() {
        let state = Full::default();
        let broker: Arc<str> = "local".into();
        let note = |name: &str, outcomes: &[Outcome]| state.note(&name.into(), &broker, outcomes);
        note("a", &[durable()]);
        assert_eq!(reasons(&state), told(&[]));
        note("a", &[durable(), full("x holds it"), Outcome::Unknown("late".into())]);
        note("b", &[full("y holds it")]);
        assert_eq!(reasons(&state), told(&[("a", "x holds it"), ("b", "y holds it")]));
        let since = state.list()[0].since;
        note("a", &[full("z holds it")]);
        note("a", &[Outcome::Unknown("late".into()), Outcome::refused(RefusalKind::Overloaded, "busy")]);
        note("c", &[durable()]);
        assert_eq!(reasons(&state), told(&[("a", "z holds it"), ("b", "y holds it")]), "the latest words");
        assert_eq!(state.list()[0].since, since, "it has been full since the first refusal");
        note("a", &[full("z holds it"), durable()]);
        assert_eq!(reasons(&state), told(&[("b", "y holds it")]), "the other one stays");
        note("b", &[durable()]);
        assert_eq!(
            (state.list(), state.bits.load(Relaxed)),
            (vec![], 0),
            "a durable event takes no lock again"
        );
    }

    #[test]
    fn topics_of_one_bit_are_told_apart() {
        let state = Full::default();
        let broker: Arc<str> = "local".into();
        let names: Vec<Arc<str>> = (0..200).map(|n| format!("t{n}").into()).collect();
        for name in &names {
            state.note(name, &broker, &[full("x")]);
        }
        for (n, name) in names.iter().enumerate() {
            assert_eq!(state.list().len(), names.len() - n);
            state.note(name, &broker, &[durable()]);
        }
        assert_eq!(state.list(), vec![]);
    }
}
