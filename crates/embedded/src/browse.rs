use std::sync::Arc;

use broker::{Body, BoxFuture, Browse, Browsed, Error, Hop, Position, Record, Selection};
use bytes::Bytes;
use log::{Cursor, Item, SettleLog};

use crate::codec;
use crate::driver::{Embedded, millis, number, unreadable};

/// A page of browsed records ends when it has grown to this, whatever number was asked for.
const PAGE_BYTES: usize = 4 << 20;

/// Reads a topic without a subscription.
#[derive(Debug)]
struct Browser {
    log: Arc<log::Log>,
    cursor: Cursor,
    unsettled_of: Option<Arc<SettleLog>>,
}

impl Embedded {
    pub(crate) fn browse_topic(&self, topic: &str, what: &Selection) -> Result<Box<dyn Browse>, Error> {
        let log = self.topic(topic)?;
        let mut from = log.first();
        if let Some(position) = &what.from {
            from = from.max(number(position)?);
        }
        if let Some(since) = what.since {
            from = from.max(log.first_at(millis(since)).map_err(|error| unreadable(&log, &error))?);
        }
        let unsettled_of = what.unsettled_of.as_deref().map(|name| self.subscription(name)).transpose()?;
        let cursor = Cursor::new(Arc::clone(&log), from);
        Ok(Box::new(Browser { log, cursor, unsettled_of }))
    }
}

impl Browser {
    fn page(&mut self, max: usize) -> Result<Vec<Browsed>, Error> {
        let mut page = Vec::new();
        let mut bytes = 0;
        while page.len() < max && bytes < PAGE_BYTES {
            if let Some(settles) = &self.unsettled_of
                && let Ok((next, _)) = settles.next_unsettled(self.cursor.position(), settles.version())
            {
                if next >= self.log.end() {
                    break;
                }
                self.cursor.seek(next);
            }
            match self.cursor.next().map_err(|error| unreadable(&self.log, &error))? {
                None => break,
                Some(Item::Hole { .. }) => {}
                Some(Item::Record(record)) => {
                    bytes += record.bytes.len();
                    let position = Position::Number(record.sequence);
                    page.push((position, record.time_ms, shown(codec::owned(record.bytes))));
                }
            }
        }
        Ok(page)
    }
}

/// What cannot be read is shown as what it is, with the reason: nothing is delivered from here.
fn shown(bytes: Bytes) -> Record {
    codec::decode(bytes.clone()).unwrap_or_else(|reason| {
        let body = Body::Foreign { bytes, reason };
        Record { key: None, body, hop: Hop::default(), letter: None }
    })
}

impl Browse for Browser {
    fn next(&mut self, max: usize) -> BoxFuture<'_, Result<Vec<Browsed>, Error>> {
        Box::pin(async move { self.page(max) })
    }
}
