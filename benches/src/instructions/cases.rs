//! What is counted. The difference between a sidecar that was given many events and one that was given few is what the
//! events between took: starting, warming up and ending cancel out.

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::callgrind::Callgrind;
use crate::amount::Amount;
use crate::roles::load::{self, Done};
use crate::roles::webhook::{self, Seen};
use crate::roles::{Ask, At, Role};
use crate::samples::Form;
use crate::sidecar::{On, Setup, Sidecar, Subscription};
use crate::worker::Worker;

/// Events of the two runs of each case.
const FEW: u64 = 500;
const MANY: u64 = 4500;

/// What else the machine does splits work into smaller bunches, which only ever adds: the least of so many totals counts.
const TIMES: usize = 2;

/// Requests of a delivery that are open at once.
const CONCURRENCY: u64 = 64;

#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    name: &'static str,
    about: &'static str,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Publish(Form),
    Deliver,
}

pub(super) fn all() -> [Case; 3] {
    [
        Case {
            name: "publish-single",
            about: "1 KiB in binary mode, one a request, one after another on one connection",
            what: What::Publish(Form::Single { stamped: false }),
        },
        Case {
            name: "publish-batch",
            about: "1 KiB in batches of 100, one after another on one connection",
            what: What::Publish(Form::Batch { events: 100, minimal: false }),
        },
        Case {
            name: "deliver",
            about: "1 KiB with one of 1,000 keys, from a full topic to a webhook that answers 204",
            what: What::Deliver,
        },
    ]
}

impl Case {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn about(&self) -> &'static str {
        self.about
    }

    /// Instructions per event.
    pub(super) fn count(&self, callgrind: &Callgrind) -> Result<u64> {
        let [few, many] = match self.what {
            What::Publish(form) => self.published(callgrind, form)?,
            What::Deliver => self.delivered(callgrind)?,
        };
        callgrind.keep(self.name)?;
        ensure!(many > few, "{}: {MANY} events took no more instructions than {FEW}", self.name);
        Ok((many - few) / (MANY - FEW))
    }

    /// The totals of few events and of many, in this order: the last profile is the one that is kept.
    fn published(&self, callgrind: &Callgrind, form: Form) -> Result<[u64; 2]> {
        let total = |events| {
            let setup = setup(On::embedded(), "publishing", None);
            callgrind.total(self.name, &setup, |sidecar| publish(sidecar, FULL, form, events))
        };
        Ok([least(|_| total(FEW))?, least(|_| total(MANY))?])
    }

    fn delivered(&self, callgrind: &Callgrind) -> Result<[u64; 2]> {
        let data = TempDir::with_prefix("postrider-bench-data-")?;
        let on = On::embedded_at(data.path());
        // Both topics are there in both runs, so that what it takes to open them cancels out too.
        let filling = Sidecar::start(&callgrind.postrider, &setup(on.clone(), "publishing", None))?;
        let form = Form::Batch { events: 100, minimal: true };
        publish(&filling, SPARSE, form, FEW)?;
        publish(&filling, FULL, form, MANY)?;
        filling.end()?;
        let total = |topic: &str, events, time| {
            let (mut webhook, At { address }) = Worker::start(&Role::Webhook(webhook::Spec::default()))?;
            let subscription =
                Subscription { topic: topic.to_owned(), to: address, concurrency: CONCURRENCY };
            // A subscription of its own, from the topic's beginning.
            let setup = setup(on.clone(), &format!("{topic}-{time}"), Some(subscription));
            callgrind.total(self.name, &setup, |_| {
                let seen: Seen = webhook.ask(Ask::Until(events))?;
                ensure!(seen.events == events, "{} of {events} events came", seen.events);
                Ok(())
            })
        };
        Ok([least(|time| total(SPARSE, FEW, time))?, least(|time| total(FULL, MANY, time))?])
    }
}

/// The topics of every sidecar: with few events, and with many.
const SPARSE: &str = "sparse";
const FULL: &str = "full";

fn setup(on: On, service: &str, subscription: Option<Subscription>) -> Setup {
    let topics = [SPARSE, FULL].map(str::to_owned).into();
    Setup { on, service: service.to_owned(), topics, subscription }
}

/// The least of the totals of some runs, which are numbered.
fn least(mut total: impl FnMut(usize) -> Result<u64>) -> Result<u64> {
    let mut least = u64::MAX;
    for time in 0..TIMES {
        least = least.min(total(time)?);
    }
    Ok(least)
}

/// Publishes events, one request after another.
fn publish(sidecar: &Sidecar, topic: &str, form: Form, events: u64) -> Result<()> {
    let spec = load::Spec {
        to: sidecar.app(),
        connections: 1,
        form,
        keyed: true,
        topics: vec![topic.to_owned()],
        warm_ms: 0,
        amount: Amount::Items(events / form.events()),
        rate: None,
    };
    let (mut load, ()) = Worker::start(&Role::Load(spec))?;
    let done: Done = load.ask(Ask::Go)?;
    ensure!(done.events == events, "{} of {events} events were published", done.events);
    Ok(())
}
