//! The thread that reads a subscription: it makes the member of the group, polls it, and ends it.
//!
//! It is the only one that waits for librdkafka. It looks at what is to be done, does it, and polls, in turn; while there
//! is no room for more it waits instead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker::{Backoff, Error, ErrorKind};
use futures::channel::oneshot;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};

use super::rebalance::Member;
use super::shared::Shared;
use super::slots::Received;
use super::state::{Phase, State};
use crate::cluster::Cluster;
use crate::subscriptions::Opened;
use crate::{errors, record};

/// The longest that a poll waits: what is to be done meanwhile waits as long.
const POLL: Duration = Duration::from_millis(50);
/// Most messages of one round.
const ROUND: usize = 128;
/// How long room is waited for before reading is paused. Pausing throws away what librdkafka has fetched.
const ROOM: Duration = Duration::from_millis(500);
/// A reader that gets nothing for so long, though there is more, is made anew.
const SILENCE: Duration = Duration::from_secs(30);
/// How long nothing has to come before librdkafka is asked how far it has got without bringing anything.
const IDLE: Duration = Duration::from_millis(200);
/// How long what is known of the logs' ends is taken for the present.
const ENDS: Duration = Duration::from_secs(5);
/// First and longest wait before a member that failed is made anew.
const ANEW: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(15)];

pub(super) struct Reader {
    pub(super) cluster: Arc<Cluster>,
    pub(super) shared: Arc<Shared>,
    /// Makes a member of the group.
    pub(super) join: Box<dyn Fn() -> Result<BaseConsumer<Member>, Error> + Send>,
    /// Until it is dropped, nobody else in this process may open the subscription.
    pub(super) opened: Opened,
    /// Told when the thread has ended.
    pub(super) ended: oneshot::Sender<Result<(), Error>>,
}

/// Why a member was given up.
enum End {
    Closed,
    Failed(String),
}

impl Reader {
    /// Reads until the source is closed or dropped. A member that fails is made anew, for ever.
    pub(super) fn run(self, first: BaseConsumer<Member>) {
        let _ending = Ending(Arc::clone(&self.shared));
        let mut next: Result<BaseConsumer<Member>, Error> = Ok(first);
        let mut backoff = Backoff::between(ANEW);
        loop {
            let began = Instant::now();
            let end = match next {
                Ok(consumer) => self.member(consumer),
                Err(error) => End::Failed(error.to_string()),
            };
            let End::Failed(reason) = end else { break };
            tracing::error!(
                group = self.shared.name,
                topic = self.shared.topic,
                "the reader is made anew: {reason}"
            );
            if began.elapsed() > ANEW[1] * 4 {
                backoff.reset();
            }
            if !self.rest(&reason, backoff.wait()) {
                break;
            }
            next = (self.join)();
        }
        self.end();
    }

    /// Waits before the next member is made. False: the source is to be closed.
    fn rest(&self, reason: &str, wait: Duration) -> bool {
        let deadline = Instant::now() + wait;
        let mut state = self.shared.state.lock();
        state.trouble = Some(reason.to_owned());
        while state.phase == Phase::Open {
            if self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                return true;
            }
        }
        false
    }

    fn end(self) {
        let lost = self.shared.end();
        // Whoever waits may open it again at once.
        drop(self.opened);
        let result = lost.map_or(Ok(()), |why| Err(Error::new(ErrorKind::Unavailable, why)));
        let _gone = self.ended.send(result);
    }

    /// A member's life.
    fn member(&self, consumer: BaseConsumer<Member>) -> End {
        let consumer = Arc::new(consumer);
        let end = match consumer.subscribe(&[&self.shared.topic]) {
            Ok(()) => {
                *self.shared.member.lock() = Some(Arc::clone(&consumer));
                self.read(&consumer)
            }
            Err(error) => End::Failed(errors::error("the topic cannot be subscribed to", &error).to_string()),
        };
        *self.shared.member.lock() = None;
        // The last owner: it leaves the group, and on the way gives back its partitions.
        drop(consumer);
        let mut state = self.shared.state.lock();
        state.remove_all();
        state.commands.clear();
        state.answer_flushes();
        drop(state);
        self.shared.wake();
        end
    }

    fn read(&self, consumer: &BaseConsumer<Member>) -> End {
        let mut round = Vec::with_capacity(ROUND);
        let mut stalled = false;
        let mut checked = Instant::now();
        loop {
            let now = Instant::now();
            let commands = {
                let mut state = self.shared.state.lock();
                if state.phase != Phase::Open {
                    return End::Closed;
                }
                if let Some(reason) = state.restart.take() {
                    return End::Failed(reason);
                }
                if stalled && state.is_queue_half_empty() {
                    stalled = false;
                }
                std::mem::take(&mut state.commands)
            };
            for command in commands {
                self.obey(consumer, command);
            }
            if checked.elapsed() >= IDLE {
                checked = now;
                self.judge_rewinds(consumer);
                if let Some(end) = self.check(consumer) {
                    return end;
                }
            }
            if self.shared.state.lock().restart.is_some() {
                // Where librdkafka could not be moved, what it brings is from elsewhere than where the progress stands.
                continue;
            }
            self.pause_and_resume(consumer, stalled);
            if !stalled && !self.has_room() {
                stalled = true;
                continue;
            }
            if let Some(end) = self.round(consumer, &mut round) {
                return end;
            }
        }
    }

    /// Waits for room. False: there is none yet, and reading is to be paused, so that the member goes on being polled.
    fn has_room(&self) -> bool {
        let mut state = self.shared.state.lock();
        if !state.is_queue_full() {
            return true;
        }
        let deadline = Instant::now() + ROOM;
        state.reader_waits = true;
        while state.is_queue_full() && state.phase == Phase::Open {
            if self.shared.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.reader_waits = false;
        !state.is_queue_full()
    }

    /// Polls what is there, and takes it in.
    fn round(&self, consumer: &BaseConsumer<Member>, round: &mut Vec<(u32, Received)>) -> Option<End> {
        let mut wait = POLL;
        while round.len() < ROUND {
            match consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => round.push(received(&message)),
                Some(Err(error)) => {
                    if let Some(end) = self.failed(&error) {
                        return Some(end);
                    }
                    break;
                }
            }
            wait = Duration::ZERO;
        }
        if round.is_empty() {
            return None;
        }
        let rewound = {
            let mut state = self.shared.state.lock();
            state.trouble = None;
            for (number, received) in round.drain(..) {
                state.receive(number, received);
            }
            state.has_rewound()
        };
        self.shared.wake();
        if rewound {
            self.judge_rewinds(consumer);
        }
        None
    }

    /// An error came instead of a message.
    fn failed(&self, error: &KafkaError) -> Option<End> {
        use RDKafkaErrorCode as C;
        let what = format!("topic {} cannot be read", self.shared.topic);
        let told = errors::error(&what, error);
        if let KafkaError::MessageConsumptionFatal(_) = error {
            return Some(End::Failed(told.to_string()));
        }
        match error.rdkafka_error_code() {
            // Brokers come and go: the pulse tells of that.
            Some(C::BrokerTransportFailure | C::AllBrokersDown | C::OperationTimedOut | C::Resolve) => {}
            Some(C::PollExceeded) => {
                tracing::warn!(
                    group = self.shared.name,
                    "this process was away for too long and joins the group again"
                );
            }
            _ => {
                let mut state = self.shared.state.lock();
                let text = told.to_string();
                if state.trouble.as_ref() != Some(&text) {
                    tracing::warn!(group = self.shared.name, "{text}");
                    state.trouble = Some(text);
                }
            }
        }
        None
    }

    /// Looks after partitions from which nothing comes, though there is more.
    fn check(&self, consumer: &BaseConsumer<Member>) -> Option<End> {
        let now = Instant::now();
        let (idle, silent) = {
            let mut state = self.shared.state.lock();
            if state.restart.is_some() {
                return None;
            }
            state.judge_fullness();
            state.mark_behind(now);
            let idle = state.partitions.values().any(|partition| partition.is_behind(now, IDLE));
            // An error explains a silence, but it may be long past.
            let patience = if state.trouble.is_some() { SILENCE * 10 } else { SILENCE };
            // A partition without a leader is no fault of the member's; its end cannot be learnt then.
            let known = |partition: &super::partition::Partition| now - partition.ends_at < ENDS;
            let mut all = state.partitions.values();
            let silent = all.find(|partition| partition.is_behind(now, patience) && known(partition));
            (idle, silent.map(|partition| partition.number))
        };
        if !idle {
            return None;
        }
        // Markers of transactions are passed without a word.
        if let Ok(positions) = consumer.position() {
            let mut state = self.shared.state.lock();
            for element in positions.elements() {
                if let rdkafka::Offset::Offset(offset) = element.offset()
                    && let Some(partition) = state.partitions.get_mut(&element.partition().cast_unsigned())
                    && partition.is_behind(now, IDLE)
                {
                    partition.pass_silently(offset.cast_unsigned());
                }
            }
            drop(state);
            self.shared.wake();
        }
        let number = silent?;
        let well = self.cluster.pulse.health() == broker::Health::Up;
        well.then(|| {
            End::Failed(format!("nothing came of partition {number} for {SILENCE:?}, though there is more"))
        })
    }

    /// Tells librdkafka which partitions to read at present.
    fn pause_and_resume(&self, consumer: &BaseConsumer<Member>, stalled: bool) {
        let (mut pause, mut resume) = (TopicPartitionList::new(), TopicPartitionList::new());
        {
            let mut state = self.shared.state.lock();
            let metadata_max = state.commits.metadata_max();
            for partition in state.partitions.values_mut() {
                if partition.is_full {
                    partition.judge_fullness(metadata_max);
                }
                let paused = stalled || !partition.wants_reading();
                if paused != partition.is_paused {
                    partition.is_paused = paused;
                    let list = if paused { &mut pause } else { &mut resume };
                    list.add_partition(&self.shared.topic, partition.number.cast_signed());
                }
            }
        }
        let paused = if pause.count() > 0 { consumer.pause(&pause) } else { Ok(()) };
        let resumed = if resume.count() > 0 { consumer.resume(&resume) } else { Ok(()) };
        if let Err(error) = paused.and(resumed) {
            tracing::warn!(group = self.shared.name, %error, "reading cannot be paused or resumed");
        }
    }
}

/// Ends the source also where the thread panics: nobody is to wait for it for ever.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        // Nobody is waited for any more while the member gives back its partitions.
        self.0.end();
        // The guard is let go of first: the member's own callbacks lock it again while it ends.
        let last = self.0.member.lock().take();
        drop(last);
    }
}

impl Shared {
    /// Nothing comes any more, nor is committed. Returns why the last settles were not.
    fn end(&self) -> Option<String> {
        let lost = {
            let mut state = self.state.lock();
            state.phase = Phase::Ended;
            state.refuse_flushes();
            state.commits.lost.take().map(|lost| lost.why)
        };
        self.dirty.notify_all();
        self.wake();
        lost
    }
}

impl State {
    fn judge_fullness(&mut self) {
        let max = self.commits.metadata_max();
        for partition in self.partitions.values_mut() {
            partition.judge_fullness(max);
        }
    }
}

fn received(message: &BorrowedMessage<'_>) -> (u32, Received) {
    let (record, size) = record::of_message(message);
    let received = Received {
        offset: message.offset().cast_unsigned(),
        published_ms: record::taken_in_ms(message),
        bytes: u32::try_from(size).unwrap_or(u32::MAX),
        record: Arc::new(record),
    };
    (message.partition().cast_unsigned(), received)
}

#[cfg(test)]
mod tests;
