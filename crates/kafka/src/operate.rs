//! What operators ask of a subscription: purge and seek, open here or not.
//!
//! Where a subscription is open in this process, its reader does it. Where nobody reads it, its group's commits are
//! rewritten by a client that is no member, which the broker takes only while the group has none. What another process
//! reads cannot be changed from here, for a partition's commits are taken from the member that reads it and from nobody
//! else: then nothing is done at all, and the answer says who reads it.

mod idle;
mod keep;

use std::collections::BTreeMap;
use std::sync::Arc;

use broker::{Error, ErrorKind, Position, Start};

use crate::cluster::{Cluster, Place};
use crate::group::{self, Group, blocking};
use crate::source::Shared;
use crate::subscriptions::Subscriptions;

pub(crate) use keep::Keeper;

/// Settles these records of a subscription, or all that stand before now, and returns how many were unsettled. Offsets at
/// which there is no record count where nobody has read them yet.
pub(crate) async fn purge(
    cluster: &Arc<Cluster>,
    known: &Arc<Subscriptions>,
    name: &str,
    positions: Option<&[Position]>,
) -> Result<u64, Error> {
    let topic = known.topic(name)?;
    let chosen = positions.map(offsets);
    let reader = known.open.reader(name).filter(|reader| reader.is_open());
    let (cluster, name) = (Arc::clone(cluster), name.to_owned());
    let Some(reader) = reader else {
        let known = Arc::clone(known);
        return blocking(move || {
            let _alone = known.idle.lock();
            match &chosen {
                Some(chosen) => idle::purge(&cluster, &name, &topic, chosen),
                None => idle::purge_all(&cluster, &name, &topic),
            }
        })
        .await;
    };
    let asked = Arc::clone(&reader);
    let (chosen, ends) = blocking(move || {
        let partitions = cluster.partitions(&topic)?;
        // What is in no partition of the topic is no record.
        let chosen: Option<Vec<_>> = chosen
            .map(|chosen| chosen.into_iter().filter(|(partition, _)| *partition < partitions).collect());
        let wanted: Vec<u32> = match &chosen {
            Some(chosen) => chosen.iter().map(|(partition, _)| *partition).collect(),
            None => (0..partitions).collect(),
        };
        all_read_here(&cluster, &asked, &wanted)?;
        let ends: BTreeMap<u32, u64> = match &chosen {
            Some(_) => BTreeMap::new(),
            None => cluster.offsets(&topic, wanted, Place::High)?.into_iter().collect(),
        };
        Ok((chosen, ends))
    })
    .await?;
    match &chosen {
        Some(chosen) => reader.purge(chosen).await,
        None => reader.purge_below(&ends).await,
    }
}

/// Moves a subscription's cursor in every partition: what stands before is settled, what stands at or after it is not.
pub(crate) async fn seek(
    cluster: &Arc<Cluster>,
    known: &Arc<Subscriptions>,
    name: &str,
    to: Start,
) -> Result<(), Error> {
    let topic = known.topic(name)?;
    let reader = known.open.reader(name).filter(|reader| reader.is_open());
    let (cluster, name) = (Arc::clone(cluster), name.to_owned());
    let Some(reader) = reader else {
        let known = Arc::clone(known);
        return blocking(move || {
            let _alone = known.idle.lock();
            idle::seek(&cluster, &name, &topic, to)
        })
        .await;
    };
    let asked = Arc::clone(&reader);
    let targets = blocking(move || {
        let partitions: Vec<u32> = (0..cluster.partitions(&topic)?).collect();
        all_read_here(&cluster, &asked, &partitions)?;
        Ok(cluster.offsets(&topic, partitions, group::place(to))?.into_iter().collect())
    })
    .await?;
    reader.seek(targets).await
}

/// The offsets that positions name. What is no record's position on Kafka names none.
fn offsets(positions: &[Position]) -> Vec<(u32, u64)> {
    let pair = |position: &Position| match position {
        Position::Pair(partition, offset) => Some((*partition, *offset)),
        Position::Number(_) | Position::Text(_) => None,
    };
    positions.iter().filter_map(pair).collect()
}

/// Whether all these partitions are read in this process. Blocks where they are not, to find out who does.
fn all_read_here(cluster: &Cluster, reader: &Shared, wanted: &[u32]) -> Result<(), Error> {
    let here = reader.partitions();
    let Some(elsewhere) = wanted.iter().find(|partition| !here.contains(partition)) else { return Ok(()) };
    let name = &reader.name;
    let members = Group::new(cluster, name)?.members();
    if members.len() > 1 {
        let message = format!(
            "partition {elsewhere} of subscription {name} is read by another process (its group has the members {}): \
             nothing was changed; leave one of them running and ask that one, or stop them all",
            members.join(", ")
        );
        return Err(Error::new(ErrorKind::Conflict, message));
    }
    let message = format!(
        "partition {elsewhere} of subscription {name} is read by nobody at this moment, or by another process: nothing \
         was changed; ask again when the group has settled"
    );
    Err(Error::new(ErrorKind::Unavailable, message))
}
