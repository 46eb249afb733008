//! What all parts of a driver share.

use std::sync::Arc;

use broker::Error;

use crate::clients::Clients;
use crate::names;
use crate::publish::Patience;
use crate::pulse::Pulse;
use crate::settings::Settings;

#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) settings: Settings,
    pub(crate) clients: Clients,
    pub(crate) pulse: Pulse,
    /// How long publishes are tried.
    pub(crate) patience: Arc<Patience>,
}

impl Project {
    pub(crate) async fn new(settings: Settings) -> Result<Arc<Self>, Error> {
        let patience = Arc::<Patience>::default();
        let clients = Clients::new(&settings, &patience).await?;
        let pulse = Pulse::new(settings.lease);
        Ok(Arc::new(Self { settings, clients, pulse, patience }))
    }

    /// A topic's full name.
    pub(crate) fn topic(&self, name: &str) -> String {
        names::topic(&self.settings.project, name)
    }

    /// A subscription's full name.
    pub(crate) fn subscription(&self, name: &str) -> String {
        names::subscription(&self.settings.project, name)
    }
}
