//! Indexing: jobs of all users, with the models of this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use heimdex::store::IndexTask;
use heimdex::{Cancel, Error, Fetch, Fetched, LibraryId, VideoId};

use crate::app::App;
use crate::config::ConfigError;
use crate::storage::Storage;

/// Brings videos from the storage.
struct FromStorage {
    storage: Arc<dyn Storage>,
    most: u64,
}

#[async_trait]
impl Fetch for FromStorage {
    async fn fetch(&self, _: LibraryId, task: &IndexTask) -> heimdex::Result<Fetched> {
        self.storage.fetch(VideoId::of_source(task.source.as_bytes()).0, self.most).await
    }
}

/// Takes jobs until `cancel` is set; those in work are free for others then.
///
/// # Errors
/// What ends the work beside that.
pub async fn run(app: App, cancel: Cancel) -> heimdex::Result<()> {
    let fetch = FromStorage { storage: Arc::clone(&app.storage), most: app.config.max_upload_bytes };
    let work = app
        .heimdex
        .work(&app.store)
        .every_library()
        .fetch(Arc::new(fetch))
        .at_once(app.config.jobs)
        .lease(app.config.lease())
        .cancel(&cancel)
        .on_end(|job, result| match result {
            Ok(report) => {
                metrics::counter!("jobs_done_total").increment(1);
                metrics::histogram!("job_seconds").record(report.seconds);
                tracing::info!(job = job.id, video = %job.video, seconds = report.seconds, "indexed");
            }
            Err(Error::Cancelled) => tracing::info!(job = job.id, video = %job.video, "stopped"),
            Err(error) => {
                metrics::counter!("jobs_failed_total", "kind" => error.kind().as_str()).increment(1);
                tracing::warn!(job = job.id, video = %job.video, %error, "not indexed");
            }
        });
    match work.await {
        Err(Error::Cancelled) => Ok(()),
        result => result,
    }
}

/// A folder of this process below the one for work, held by a lock. What processes that are gone left
/// there is removed.
#[derive(Debug)]
pub struct WorkFolder {
    path: PathBuf,
    _lock: std::fs::File,
}

impl WorkFolder {
    /// Makes one.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn make(below: &Path) -> Result<Self, ConfigError> {
        let wrong = |e: std::io::Error| {
            ConfigError::of("HEIMDEX_SERVER_WORK_DIR", format!("{}: {e}", below.display()))
        };
        std::fs::create_dir_all(below).map_err(wrong)?;
        for entry in std::fs::read_dir(below).map_err(wrong)?.flatten() {
            let path = entry.path();
            let Ok(lock) = std::fs::File::open(path.join("lock")) else { continue };
            if lock.try_lock().is_ok() {
                // Another that starts may do the same.
                let _ = std::fs::remove_dir_all(&path);
            }
        }
        let path = below.join(uuid::Uuid::new_v4().to_string());
        std::fs::create_dir(&path).map_err(wrong)?;
        let lock = std::fs::File::create(path.join("lock")).map_err(wrong)?;
        lock.lock().map_err(wrong)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next process.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
