use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use broker::{
    BoxFuture, Credit, Delivery, Error, Gap, Input, Lag, Lease, Note, Opened, Payload, Position, Settle,
    Source,
};
use log::{Cursor, Item, Log, Moved, Record, SettleLog, Version};

use crate::codec;
use crate::driver::{sound, unreadable};
use crate::operate::{flush, lag, oldest_ms};
use crate::slots::{Held, Slots};
use crate::unreadable::Unreadable;

/// Deliveries hold their payloads while those are fewer bytes than this; beyond, they are read again when asked for.
const HERE_BYTES_MAX: u64 = 4 << 20;
/// Most inputs of one poll, so that a long backlog does not keep its task from settling.
const POLL_INPUTS_MAX: usize = 256;

/// An open cursor of a subscription.
#[derive(Debug)]
pub(crate) struct EmbeddedSource {
    log: Arc<Log>,
    settles: Arc<SettleLog>,
    opened: Opened,
    ordered: bool,
    /// Hand out nothing at or after this.
    until: u64,
    cursor: Cursor,
    slots: Slots,
    /// Released records, with their offsets: they come before what the cursor reads, in order.
    again: BTreeMap<u64, u32>,
    version: Version,
    credit: Credit,
    /// Bytes of the payloads that the caller has.
    here_bytes: u64,
    unreadable: Arc<Unreadable>,
    /// Said at the next poll.
    outbox: Vec<Input>,
    /// Where everything that was there at the opening has been handed out; `None` once that was said.
    caught_up_at: Option<u64>,
    stale: u64,
    /// Floor, and when the record there was taken in.
    oldest: Cell<Option<(u64, u64)>>,
}

impl EmbeddedSource {
    pub(crate) fn new(
        settles: Arc<SettleLog>,
        opened: Opened,
        ordered: bool,
        until: Option<u64>,
        credit: Credit,
    ) -> Self {
        let log = Arc::clone(settles.log());
        let version = settles.version();
        let until = until.unwrap_or(u64::MAX);
        Self {
            cursor: Cursor::new(Arc::clone(&log), settles.floor()),
            caught_up_at: Some(until.min(log.end())),
            log,
            settles,
            opened,
            ordered,
            until,
            slots: Slots::default(),
            again: BTreeMap::new(),
            version,
            credit,
            here_bytes: 0,
            unreadable: Arc::default(),
            outbox: Vec::new(),
            stale: 0,
            oldest: Cell::new(None),
        }
    }

    /// A disk that failed ends the source: what it handed out could not be settled durably, and all of it would come
    /// again after a restart.
    fn usable(&self) -> Result<(), Error> {
        self.opened.open().usable()?;
        sound(&self.settles)
    }

    /// Ends the leases that have become void.
    fn refresh(&mut self) {
        self.follow();
        for (lease, why) in self.unreadable.take() {
            while let Some(held) = self.slots.get(lease) {
                if self.lose(held.position, held.position + 1, &why).is_ok() {
                    self.end(lease);
                    self.outbox.push(Input::Revoked(lease));
                }
                self.follow();
            }
        }
    }

    /// Ends the leases that a purge or a seek from outside has made void.
    fn follow(&mut self) {
        loop {
            let version = self.settles.version();
            if version == self.version {
                return;
            }
            let moved = version.seeks != self.version.seeks;
            self.version = version;
            let (settles, outbox, here) = (&self.settles, &mut self.outbox, &mut self.here_bytes);
            let dead = |held: &Held| moved || settles.is_settled(held.position);
            self.slots.free_where(dead, |lease, held| {
                outbox.push(Input::Revoked(lease));
                *here -= if held.here { u64::from(held.bytes) } else { 0 };
            });
            if moved {
                self.again.clear();
                self.cursor.seek(self.settles.floor());
            }
        }
    }

    fn fill(&mut self, into: &mut Vec<Input>) -> Result<(), Error> {
        self.refresh();
        into.append(&mut self.outbox);
        let mut inputs = 0;
        while inputs < POLL_INPUTS_MAX && self.slots.live() < self.credit.events {
            let next = self.next_record();
            let delivery = next.and_then(|next| match next {
                Some((record, note)) => Ok(Some(self.hand_out(record, note)?)),
                None => Ok(None),
            });
            match delivery {
                Ok(Some(delivery)) => into.extend(delivery.map(Input::Delivery)),
                Ok(None) => break,
                // Revocations are to be said before anything else is handed out.
                Err(Stop::Moved) => return self.fill(into),
                Err(Stop::Failed(error)) => return Err(error),
            }
            into.append(&mut self.outbox);
            inputs += 1;
        }
        into.append(&mut self.outbox);
        self.say_caught_up(into);
        Ok(())
    }

    fn say_caught_up(&mut self, into: &mut Vec<Input>) {
        if let Some(at) = self.caught_up_at
            && self.again.range(..at).next().is_none()
            && self
                .settles
                .next_unsettled(self.cursor.position(), self.version)
                .is_ok_and(|(next, _)| next >= at)
        {
            self.caught_up_at = None;
            into.push(Input::CaughtUp);
        }
    }

    /// The next record to hand out, with its note.
    fn next_record(&mut self) -> Result<Option<(Record, log::Note)>, Stop> {
        while let Some((&sequence, &offset)) = self.again.first_key_value() {
            // It is taken out only when it is known what becomes of it: a purge may come in between.
            let (next, note) = self.settles.next_unsettled(sequence, self.version)?;
            if next == sequence {
                match self.log.read(sequence, offset).map_err(|error| unreadable(&self.log, &error))? {
                    Some(record) => {
                        self.again.remove(&sequence);
                        return Ok(Some((record, note)));
                    }
                    None => self.gap(sequence, sequence + 1)?,
                }
            }
            self.again.remove(&sequence);
        }
        loop {
            let (next, note) = self.settles.next_unsettled(self.cursor.position(), self.version)?;
            if next >= self.until.min(self.log.end()) {
                return Ok(None);
            }
            self.cursor.seek(next);
            match self.cursor.next().map_err(|error| unreadable(&self.log, &error))? {
                None => return Ok(None),
                Some(Item::Record(record)) => return Ok(Some((record, note))),
                Some(Item::Hole { from, to }) => {
                    if let Err(moved) = self.gap(from, to.min(self.until)) {
                        self.cursor.seek(from);
                        return Err(moved.into());
                    }
                }
            }
        }
    }

    /// The log has a hole.
    fn gap(&mut self, from: u64, to: u64) -> Result<(), Moved> {
        let removed = to <= self.log.first();
        self.lose(from, to, if removed { "removed by retention" } else { "damaged on disk" })
    }

    /// Records are lost: that is told, and they count as settled, so that the floor passes them.
    fn lose(&mut self, from: u64, to: u64, why: &str) -> Result<(), Moved> {
        let lost = self.settles.settle(from, to, self.version)?;
        if lost > 0 {
            let (topic, last) = (self.log.name(), to - 1);
            let message =
                format!("records {from} to {last} of topic {topic} are lost to this subscription: {why}");
            self.outbox.push(Input::Gap(Gap { records: Some(lost), message }));
        }
        Ok(())
    }

    /// `None`: the record is of no use, and that is told.
    fn hand_out(&mut self, record: Record, note: log::Note) -> Result<Option<Delivery>, Moved> {
        // A record is smaller than 2³¹ bytes, or it would not have been taken in.
        let bytes = u32::try_from(record.bytes.len()).unwrap_or(u32::MAX >> 1);
        let here = self.here_bytes + u64::from(bytes) <= self.credit.bytes.min(HERE_BYTES_MAX);
        let (key, payload) = if here {
            match codec::decode(codec::owned(record.bytes)) {
                Ok(whole) => {
                    self.here_bytes += u64::from(bytes);
                    (whole.key.clone().filter(|_| self.ordered), Payload::Here(Arc::new(whole)))
                }
                Err(why) => {
                    // Should the cursor be moved right now, it comes again.
                    self.again.insert(record.sequence, record.offset);
                    self.lose(record.sequence, record.sequence + 1, &why)?;
                    self.again.remove(&record.sequence);
                    self.log.set_aside(record.sequence);
                    return Ok(None);
                }
            }
        } else {
            (if self.ordered { codec::key(&record.bytes) } else { None }, Payload::Stored)
        };
        let held = Held {
            position: record.sequence,
            offset: record.offset,
            bytes,
            here,
            // Both halves of the digest are as good as each other.
            key: key.as_ref().map(|key| key.digest() as u64),
        };
        let note = Note { attempts: note.attempts, first_ms: note.first_ms };
        Ok(Some(Delivery {
            lease: self.slots.take(held),
            position: Position::Number(record.sequence),
            key,
            note,
            published_ms: record.time_ms,
            bytes,
            payload,
        }))
    }

    fn end(&mut self, lease: Lease) {
        if let Some(held) = self.slots.free(lease).filter(|held| held.here) {
            self.here_bytes -= u64::from(held.bytes);
        }
    }

    fn done(&mut self, lease: Lease) -> Result<(), Moved> {
        let Some(held) = self.slots.get(lease) else {
            self.stale += 1;
            return Ok(());
        };
        self.settles.settle(held.position, held.position + 1, self.version)?;
        self.end(lease);
        Ok(())
    }

    fn release(&mut self, lease: Lease) {
        if self.slots.get(lease).is_none() {
            self.stale += 1;
        }
        let (again, here_bytes) = (&mut self.again, &mut self.here_bytes);
        self.slots.free_with_tail(lease, |held| {
            again.insert(held.position, held.offset);
            *here_bytes -= if held.here { u64::from(held.bytes) } else { 0 };
        });
    }

    fn remember(&mut self, lease: Lease, note: Note) -> Result<(), Moved> {
        let Some(held) = self.slots.get(lease) else {
            self.stale += 1;
            return Ok(());
        };
        let note = log::Note { attempts: note.attempts, first_ms: note.first_ms };
        self.settles.note(held.position, note, self.version)
    }
}

/// Why there is no next record.
enum Stop {
    /// The cursor was moved or purged meanwhile.
    Moved,
    Failed(Error),
}

impl From<Moved> for Stop {
    fn from(_: Moved) -> Self {
        Self::Moved
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Source for EmbeddedSource {
    fn poll_next(&mut self, cx: &mut Context<'_>, into: &mut Vec<Input>) -> Poll<Result<(), Error>> {
        let before = into.len();
        for registered in [false, true] {
            if let Err(error) = self.usable() {
                return Poll::Ready(Err(error));
            }
            match self.fill(into) {
                // What was said before the failure is heard first; the failure comes again at the next poll.
                Err(error) if into.len() == before => return Poll::Ready(Err(error)),
                Ok(()) if into.len() == before => {}
                Ok(()) | Err(_) => return Poll::Ready(Ok(())),
            }
            if !registered {
                // Whatever comes between the look above and this is seen by the look below.
                self.log.register(cx.waker());
                self.settles.register(cx.waker());
            }
        }
        Poll::Pending
    }

    fn load(&mut self, lease: Lease) -> BoxFuture<'static, Result<broker::Record, Error>> {
        self.refresh();
        if let Err(error) = self.usable() {
            return Box::pin(std::future::ready(Err(error)));
        }
        let held = self.slots.get(lease);
        Box::pin(Arc::clone(&self.unreadable).load(Arc::clone(&self.log), lease, held))
    }

    fn settle(&mut self, lease: Lease, settle: Settle) {
        self.refresh();
        match settle {
            Settle::Release => self.release(lease),
            // Between the refresh and the settle a seek may come; each turn sees a later one.
            Settle::Done => {
                while self.done(lease).is_err() {
                    self.refresh();
                }
            }
        }
    }

    fn note(&mut self, lease: Lease, note: Note) {
        self.refresh();
        while self.remember(lease, note).is_err() {
            self.refresh();
        }
    }

    fn set_credit(&mut self, credit: Credit) {
        self.credit = credit;
    }

    fn flush(&mut self) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(flush(&self.settles))
    }

    fn lag(&self) -> Lag {
        lag(&self.settles, Some(self.until), |settles, floor| {
            let known = self.oldest.get().filter(|(of, _)| *of == floor);
            let (_, taken_in) = known.or_else(|| oldest_ms(settles, floor).map(|found| (floor, found)))?;
            self.oldest.set(Some((floor, taken_in)));
            Some(taken_in)
        })
    }

    fn stale_settles(&self) -> u64 {
        self.stale
    }

    fn close(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        let Self { settles, opened, .. } = *self;
        let flushed = flush(&settles);
        Box::pin(async move {
            let flushed = flushed.await;
            // Only now may another open it.
            drop(opened);
            flushed
        })
    }
}
