//! The configured topics on their brokers: ensured for each broker apart, for ever where need be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use broker::Error;
use delivery::Waits;
use tokio::sync::watch;

/// The brokers whose topics do not all exist yet, by name, and why.
#[derive(Clone, Debug)]
pub(super) struct Topics(watch::Sender<BTreeMap<String, String>>);

/// The topics that dead letters go to, each by its broker and by its name there.
///
/// They are left to the subscriptions, which have them made so that they keep what they hold; made here they would keep it
/// for as long as the broker has any topic. The broker's gate waits for its subscriptions too, so that nothing is published to a topic
/// that does not exist yet. Of a subscription on another broker that is not so: its dead-letter topic is ensured here as well.
#[derive(Clone, Debug, Default)]
pub(super) struct Letters(BTreeSet<(Arc<str>, Arc<str>)>);

impl Letters {
    /// Each subscription's broker, the broker of its dead letters, and their topic there.
    pub(super) fn of<'a>(subscriptions: impl Iterator<Item = (&'a str, &'a Arc<str>, &'a Arc<str>)>) -> Self {
        let here = subscriptions.filter(|(broker, of_letters, _)| *broker == &***of_letters);
        Self(here.map(|(_, broker, topic)| (broker.clone(), topic.clone())).collect())
    }

    pub(super) fn has(&self, broker: &Arc<str>, topic: &Arc<str>) -> bool {
        self.0.contains(&(broker.clone(), topic.clone()))
    }
}

impl Topics {
    pub(super) fn of<'a>(brokers: impl Iterator<Item = &'a String>) -> Self {
        let pending = brokers.map(|name| (name.clone(), "its topics are being ensured".to_owned()));
        Self(watch::Sender::new(pending.collect()))
    }

    pub(super) fn watch(&self) -> watch::Receiver<BTreeMap<String, String>> {
        self.0.subscribe()
    }

    /// Returns when all of a broker's topics exist; until then it tells why they do not, and tries again.
    pub(super) async fn ensure<F>(
        self,
        broker: String,
        topics: impl Fn() -> Vec<Arc<str>>,
        ensure: impl Fn(Arc<str>) -> F,
    ) where
        F: Future<Output = Result<(), Error>>,
    {
        let mut waits = Waits::default();
        loop {
            let failures = self.try_all(&broker, topics(), &ensure).await;
            let Some(first) = failures.first() else { break };
            let wait = waits.wait(failures.iter().all(Error::is_temporary));
            let why = match failures.len() - 1 {
                0 => first.to_string(),
                1 => format!("{first} (and one more topic cannot be ensured)"),
                more => format!("{first} (and {more} more topics cannot be ensured)"),
            };
            tracing::warn!(broker, why, retry_in = ?wait, "topics cannot be ensured");
            self.tell(&broker, why);
            tokio::time::sleep(wait).await;
        }
        self.0.send_modify(|missing| drop(missing.remove(&broker)));
    }

    /// Tries all topics: one that the broker refuses does not keep the others from being created. One that it does not
    /// answer about does, for it is away then.
    async fn try_all<F>(
        &self,
        broker: &str,
        topics: Vec<Arc<str>>,
        ensure: impl Fn(Arc<str>) -> F,
    ) -> Vec<Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let mut failures = Vec::new();
        for topic in topics {
            let slow = |slow| self.tell(broker, slow);
            let asked = ensure(topic.clone());
            let Err(error) = delivery::answered(&format!("topic {topic}"), asked, slow).await else {
                continue;
            };
            let away = error.is_temporary();
            failures.push(error);
            if away {
                break;
            }
        }
        failures
    }

    fn tell(&self, broker: &str, why: String) {
        self.0.send_modify(|missing| drop(missing.insert(broker.to_owned(), why)));
    }
}

#[cfg(test)]
mod tests {
    use broker::ErrorKind;
    use tokio::task::JoinSet;
    use tokio::time::Instant;

    use super::*;

    type Reasons = BTreeMap<String, String>;

    fn names() -> Vec<Arc<str>> {
        vec!["orders".into(), "payments".into()]
    }

    fn refused(topic: &str) -> Error {
        Error::new(ErrorKind::NotFound, format!("there is no topic {topic}"))
    }

    async fn until(seen: &mut watch::Receiver<Reasons>, wanted: impl FnMut(&Reasons) -> bool) {
        seen.wait_for(wanted).await.expect("it goes on until all topics exist");
    }

    #[test]
    fn dead_letter_topics_are_left_to_the_subscriptions_whose_gate_waits_for_them() {
        let [main, other, rejected]: [Arc<str>; 3] = ["main".into(), "other".into(), "rejected".into()];
        let letters = Letters::of([("main", &main, &rejected)].into_iter());
        assert!(letters.has(&main, &rejected), "its subscription has it made so that it keeps its letters");
        assert!(!letters.has(&main, &"orders".into()), "topics of publishers are made here");
        assert!(!letters.has(&other, &rejected), "another broker's topic of that name is another topic");
        let across = Letters::of([("main", &other, &rejected)].into_iter());
        assert!(
            !across.has(&other, &rejected),
            "the gate before its broker waits for no subscription on main"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_hangs_holds_no_other_up_and_is_told() {
        let topics = Topics::of(["well".to_owned(), "hangs".to_owned()].iter());
        let mut seen = topics.watch();
        let mut tasks = JoinSet::new();
        tasks.spawn(topics.clone().ensure("well".into(), names, |_| async { Ok(()) }));
        tasks.spawn(topics.clone().ensure("hangs".into(), names, |_| std::future::pending()));
        until(&mut seen, |missing| missing.keys().eq(["hangs"])).await;
        until(&mut seen, |missing| missing["hangs"].contains("not answered about topic orders for 5 s"))
            .await;
        until(&mut seen, |missing| missing["hangs"].contains("for 60 s")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_topic_is_named_the_others_are_created_and_an_operators_change_is_noticed() {
        let topics = Topics::of(["kafka".to_owned()].iter());
        let mut seen = topics.watch();
        let asked = watch::Sender::new(Vec::<(Instant, String)>::new());
        let log = asked.clone();
        let ensure = move |topic: Arc<str>| {
            log.send_modify(|asked| asked.push((Instant::now(), topic.to_string())));
            let tries = log.borrow().iter().filter(|(_, it)| *it == *topic).count();
            async move { if &*topic == "orders" && tries < 12 { Err(refused(&topic)) } else { Ok(()) } }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(topics.ensure("kafka".into(), names, ensure));
        until(&mut seen, |missing| missing["kafka"] == "there is no topic orders").await;
        assert!(asked.borrow().iter().any(|(_, topic)| topic == "payments"), "the others are created");
        until(&mut seen, Reasons::is_empty).await;
        let tries: Vec<Instant> =
            asked.borrow().iter().filter(|(_, topic)| topic == "orders").map(|(at, _)| *at).collect();
        let waits: Vec<u64> = tries.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
        assert_eq!(waits.len(), 11);
        assert!((5..=10).contains(&waits[0]) && (30..=60).contains(&waits[10]), "{waits:?}");
    }
}
