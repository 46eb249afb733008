//! Dead letters as operators see them: list, purge, and what a redrive is to deliver.

mod types;

use std::collections::{BTreeMap, HashSet};

use broker::{Body, Position, Record, Selection};

pub use types::{LetterFilter, LetterGroup, LetterView, Letters};

use crate::{Error, Spec};

/// Letters of a page, unless the filter says otherwise.
const PAGE: usize = 100;
/// Most letters of a page.
const PAGE_MAX: usize = 1000;
/// Records that are read at once.
const READ: usize = 256;
/// Most letters that one purge or filtered redrive is about; what is beyond is left for the next.
const CHOSEN_MAX: usize = 1_000_000;
/// Positions that are purged at once.
const PURGE: usize = 1000;

/// What a redrive is to deliver.
#[derive(Debug)]
pub(crate) struct Choice {
    /// The end of the dead-letter topic when the redrive was asked for.
    pub(crate) until: Option<Position>,
    /// The letters that the filter chose; `None` for all.
    pub(crate) positions: Option<HashSet<Position>>,
}

impl LetterFilter {
    fn is_empty(&self) -> bool {
        let Self { id, key, reason, status, from, limit } = self;
        id.is_none()
            && key.is_none()
            && reason.is_none()
            && status.is_none()
            && from.is_none()
            && limit.is_none()
    }

    /// Whether this letter of that subscription is meant.
    fn matches(&self, subscription: &str, record: &Record) -> bool {
        let letter = record.letter.as_deref();
        if !is_of(subscription, record) {
            return false;
        }
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        let id = match &record.body {
            Body::Event(event) => Some(event.id()),
            Body::Foreign { .. } => None,
        };
        is(&self.id, id)
            && is(&self.reason, Some(reason(record)))
            && self.status.is_none_or(|status| letter.and_then(|letter| letter.status) == Some(status))
            && self
                .key
                .as_deref()
                .is_none_or(|key| record.key.as_ref().is_some_and(|found| found.as_bytes() == key.as_bytes()))
    }
}

/// The letters that stand, counted and grouped over all of them, and a page from `filter.from` on.
pub(crate) async fn list(spec: &Spec, filter: &LetterFilter) -> Result<Letters, Error> {
    let limit = filter.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let mut groups: BTreeMap<(String, Option<u16>), u64> = BTreeMap::new();
    let mut total = 0;
    let mut page = Page { letters: Vec::new(), next: None, limit };
    let paged_apart = filter.from.is_some();
    read(spec, None, |position, _, record| {
        if filter.matches(&spec.durable.name, record) {
            total += 1;
            let status = record.letter.as_ref().and_then(|letter| letter.status);
            *groups.entry((reason(record).to_owned(), status)).or_default() += 1;
            if !paged_apart {
                page.take(position, record);
            }
        }
        true
    })
    .await?;
    if let Some(from) = &filter.from {
        read(spec, Some(Position::parse(from)), |position, _, record| {
            if filter.matches(&spec.durable.name, record) {
                page.take(position, record);
            }
            page.next.is_none()
        })
        .await?;
    }
    let groups = groups.into_iter().map(|((reason, status), count)| LetterGroup { reason, status, count });
    Ok(Letters { total, groups: groups.collect(), letters: page.letters, next: page.next })
}

/// Settles letters without delivering them; returns how many.
pub(crate) async fn purge(spec: &Spec, filter: &LetterFilter) -> Result<u64, Error> {
    let driver = &spec.dead_letter.driver;
    let subscription = spec.redrive(None).name;
    if filter.is_empty() {
        return Ok(driver.purge(&subscription, None).await?);
    }
    let chosen = chosen(spec, filter).await?;
    let mut purged = 0;
    for positions in chosen.chunks(PURGE) {
        purged += driver.purge(&subscription, Some(positions)).await?;
    }
    Ok(purged)
}

/// What a redrive with this filter delivers, and how many letters that are.
pub(crate) async fn choose(spec: &Spec, filter: &LetterFilter) -> Result<(Choice, u64), Error> {
    let until = spec.dead_letter.driver.end(&spec.dead_letter.on_broker).await?;
    if until.is_none() {
        return Ok((Choice { until, positions: None }, 0));
    }
    if filter.is_empty() {
        // Where all that stands there is meant, the letters need not be told apart.
        let (mut count, mut others) = (0, false);
        read(spec, None, |_, _, record| {
            count += 1;
            others |= !is_of(&spec.durable.name, record);
            !others
        })
        .await?;
        if !others {
            return Ok((Choice { until, positions: None }, count));
        }
    }
    let chosen = chosen(spec, filter).await?;
    let count = chosen.len() as u64;
    Ok((Choice { until, positions: Some(chosen.into_iter().collect()) }, count))
}

/// Whether a letter is this subscription's. Another's may stand in the same topic, where another process's configuration
/// names it too (one configuration may not name it twice); a record without a letter was put there by hand, for whoever
/// reads it.
fn is_of(subscription: &str, record: &Record) -> bool {
    record.letter.as_ref().is_none_or(|letter| letter.subscription == subscription)
}

/// The letters that a filter chooses, at most so many that their positions fit into memory.
async fn chosen(spec: &Spec, filter: &LetterFilter) -> Result<Vec<Position>, Error> {
    let mut chosen = Vec::new();
    let limit = filter.limit.unwrap_or(CHOSEN_MAX).min(CHOSEN_MAX);
    read(spec, filter.from.as_deref().map(Position::parse), |position, _, record| {
        if filter.matches(&spec.durable.name, record) && chosen.len() < limit {
            chosen.push(position.clone());
        }
        chosen.len() < limit
    })
    .await?;
    Ok(chosen)
}

/// Reads the letters that stand, from a position on, as long as `see` wants more.
async fn read(
    spec: &Spec,
    from: Option<Position>,
    mut see: impl FnMut(&Position, u64, &Record) -> bool + Send,
) -> Result<(), Error> {
    let what = Selection { from, since: None, unsettled_of: Some(spec.redrive(None).name) };
    let letters = &spec.dead_letter;
    let mut browse = letters.driver.browse(&letters.on_broker, what).await?;
    loop {
        let records = browse.next(READ).await?;
        if records.is_empty() {
            return Ok(());
        }
        for (position, taken_ms, record) in &records {
            if !see(position, *taken_ms, record) {
                return Ok(());
            }
        }
        // A broker on this disk never has to be waited for, and there may be gigabytes: others have their turn, and the
        // caller's timeout its chance.
        tokio::task::yield_now().await;
    }
}

struct Page {
    letters: Vec<LetterView>,
    next: Option<String>,
    limit: usize,
}

impl Page {
    fn take(&mut self, position: &Position, record: &Record) {
        if self.letters.len() < self.limit {
            self.letters.push(view(position, record));
        } else if self.next.is_none() {
            self.next = Some(position.to_string());
        }
    }
}

fn view(position: &Position, record: &Record) -> LetterView {
    let letter = record.letter.as_deref();
    let (id, source) = match &record.body {
        Body::Event(event) => (event.id().to_owned(), event.source().to_owned()),
        Body::Foreign { .. } => (String::new(), String::new()),
    };
    LetterView {
        id,
        source,
        key: record.key.as_ref().map(ToString::to_string),
        reason: reason(record).to_owned(),
        status: letter.and_then(|letter| letter.status),
        attempts: letter.map_or(0, |letter| letter.attempts),
        first: timestamp(letter.map_or(0, |letter| letter.first_ms)),
        last: timestamp(letter.map_or(0, |letter| letter.last_ms)),
        answer: letter.map(|letter| letter.answer.clone()).unwrap_or_default(),
        position: position.to_string(),
    }
}

/// Why a letter is one; a record that somebody else put into the topic does not say.
fn reason(record: &Record) -> &str {
    record.letter.as_ref().map_or("unknown", |letter| letter.reason.as_str())
}

/// RFC 3339, in milliseconds.
fn timestamp(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(String::new, |time| time.to_string())
}
