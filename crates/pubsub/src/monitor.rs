//! Looks after the [pulse](crate::pulse): asks the service where nothing was heard of it for a while.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::project::Project;

/// How often the pulse is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A request that is not answered for so long makes suspicious.
const SUSPICIOUS: Duration = Duration::from_secs(2);
/// After something was acknowledged, of which the client tells no answer, silence makes suspicious later: where little
/// comes, it follows each event.
const UNHEARD: Duration = Duration::from_secs(5);
/// Silence is normal where nothing is published and nothing comes; still it is looked into now and then.
const SILENCE: Duration = Duration::from_secs(15);

/// Watches until stopped.
pub(crate) async fn watch(project: Arc<Project>, stop: CancellationToken) {
    let watching = async {
        loop {
            tokio::time::sleep(EVERY).await;
            let pulse = &project.pulse;
            let patience = if pulse.is_waited_for() {
                SUSPICIOUS
            } else if pulse.is_unheard() {
                UNHEARD
            } else {
                SILENCE
            };
            if pulse.down().is_none() && pulse.silent_for() < patience {
                continue;
            }
            match project.clients.probe(&project.topic("postrider-probe")).await {
                None => pulse.beat(),
                Some(reason) => pulse.missed(reason),
            }
        }
    };
    tokio::select! {
        () = watching => {}
        () = stop.cancelled() => {}
    }
}
