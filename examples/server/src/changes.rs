//! What changes, heard once by the process and told to all who watch.

use std::time::Duration;

use heimdex::store::Change;
use tokio::sync::broadcast;

use crate::app::App;

/// Changes that a slow watcher may be behind; one that is further behind looks at everything again.
const BEHIND: usize = 1024;

/// How long to wait for a database that is away.
const AGAIN: Duration = Duration::from_secs(1);

/// What a watcher hears.
#[derive(Debug, Clone, Copy)]
pub enum Heard {
    /// Something changed.
    Change(Change),
    /// Anything may have changed.
    Lost,
}

/// Where watchers listen.
#[derive(Debug, Clone)]
pub struct Hub {
    sender: broadcast::Sender<Heard>,
}

impl Hub {
    /// With nobody watching.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { sender: broadcast::channel(BEHIND).0 }
    }

    /// What changes from now on.
    pub fn watch(&self) -> broadcast::Receiver<Heard> {
        self.sender.subscribe()
    }

    /// Tells all watchers.
    pub fn tell(&self, heard: Heard) {
        // Nobody may be watching.
        let _ = self.sender.send(heard);
    }
}

/// Listens to the database for as long as the process lives.
pub async fn listen(app: App) {
    loop {
        match app.store.changes().await {
            Ok(mut changes) => {
                app.hub.tell(Heard::Lost);
                loop {
                    match changes.next().await {
                        Ok(Some(change)) => app.hub.tell(Heard::Change(change)),
                        Ok(None) => app.hub.tell(Heard::Lost),
                        Err(error) => {
                            tracing::warn!(%error, "changes cannot be heard");
                            break;
                        }
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "changes cannot be heard"),
        }
        tokio::time::sleep(AGAIN).await;
    }
}
