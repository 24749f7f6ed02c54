//! Jobs: videos that are asked for in one process and indexed in another.

use std::any::Any;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::index::{IndexReport, placeholder_of, to_path, to_text};
use crate::store::{Ended, Heard, Held, IndexTask, Job, PostgresStore, Recorded};
use crate::{Cancel, Error, Heimdex, Indexing, LibraryId, Progress, Result};

/// How long a worker may be silent before another takes its job.
const LEASE: Duration = Duration::from_mins(1);

/// Until a failed job is tried again; six times as long after the second failure.
const BACKOFF: Duration = Duration::from_secs(10);

/// How often an idle worker looks for a job, and how long it waits for a database that is away.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How often the progress of a job is told to those who ask the database.
const TELL_PROGRESS: Duration = Duration::from_millis(500);

/// A file that was brought to this machine.
pub struct Fetched {
    /// Where it is.
    pub path: PathBuf,
    /// Dropped when the work on it has ended: what deletes a file that is here only for that.
    pub keep: Box<dyn Any + Send>,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetched").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Brings the files of jobs to a worker, where their source is no path: from a bucket, for instance.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// The file of a job. Its time of change has to be the same each time, else all is done again.
    ///
    /// Dropped when the job is cancelled.
    ///
    /// # Errors
    /// Fails the attempt; kinds that no attempt can mend fail the job.
    async fn fetch(&self, library: LibraryId, task: &IndexTask) -> Result<Fetched>;
}

/// The pipeline of one library is that of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Own,
    Every,
}

impl Indexing {
    /// Asks for the work in place of doing it: a worker of the same library does, see
    /// [`Heimdex::work`]. The video is listed at once. Gives the number of the job.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the file's folder is not there;
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) when the database fails; nothing is listed then.
    pub async fn enqueue(self, queue: &PostgresStore) -> Result<i64> {
        let video = placeholder_of(&self.options)?;
        let absolute =
            |path| std::path::absolute(&path).map(|path| to_text(&path)).map_err(|e| Error::io(path, e));
        let mut task = IndexTask::default();
        task.source.clone_from(&video.source);
        task.title = self.options.title;
        task.description = self.options.description;
        task.subtitles = self.options.subtitles.map(absolute).transpose()?;
        task.force = self.options.force;
        queue.enqueue(self.inner.library(), &video, &task).await
    }
}

impl Heimdex {
    /// Takes jobs of this library from a queue and does them, when awaited, until it is cancelled. Any
    /// number of processes may do so at once: each job is held by one of them at a time. `queue` is the
    /// store that this library is in.
    ///
    /// A job that fails is tried twice more, later each time; then it is dead, and its video has
    /// failed. A worker that is killed or cut off loses its job to another after a minute of silence,
    /// who goes on from the last stage that was finished.
    pub fn work(&self, queue: &PostgresStore) -> Working {
        Working {
            library: self.clone(),
            queue: queue.clone(),
            name: format!("process {}", std::process::id()),
            at_once: 1,
            lease: LEASE,
            backoff: BACKOFF,
            until_empty: false,
            scope: Scope::Own,
            fetch: None,
            cancel: Cancel::new(),
            on_end: Box::new(|_, _| ()),
        }
    }
}

/// The compiler cannot tell that these may change threads when they are parts of a larger future.
fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(future)
}

type OnEnd = dyn Fn(&Job, &Result<IndexReport>) + Send + Sync;

/// A worker, begun when awaited.
#[must_use = "no job is done until this is awaited"]
pub struct Working {
    library: Heimdex,
    queue: PostgresStore,
    name: String,
    at_once: usize,
    lease: Duration,
    backoff: Duration,
    until_empty: bool,
    scope: Scope,
    fetch: Option<Arc<dyn Fetch>>,
    cancel: Cancel,
    on_end: Box<OnEnd>,
}

impl fmt::Debug for Working {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Working")
            .field("name", &self.name)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl Working {
    /// What the queue calls it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Jobs done at a time; 1 when not given.
    pub fn at_once(mut self, jobs: usize) -> Self {
        self.at_once = jobs.max(1);
        self
    }

    /// How long it may be silent before another takes its job; a minute when not given. It says a word
    /// three times as often.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease.max(Duration::from_millis(100));
        self
    }

    /// How long a job that failed waits; ten seconds when not given.
    pub fn backoff(mut self, backoff: Duration) -> Self {
        self.backoff = backoff;
        self
    }

    /// Ends when no job waits or runs, in place of waiting for more.
    pub fn until_empty(mut self, until_empty: bool) -> Self {
        self.until_empty = until_empty;
        self
    }

    /// Takes the jobs of all libraries of the database, and does them with the models and settings of
    /// this one.
    pub fn every_library(mut self) -> Self {
        self.scope = Scope::Every;
        self
    }

    /// How the files of jobs come here; without, their sources are paths.
    pub fn fetch(mut self, fetch: Arc<dyn Fetch>) -> Self {
        self.fetch = Some(fetch);
        self
    }

    /// Ends the work when `cancel` is set. Jobs in work are free for others at once.
    pub fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// Called when work on a job has ended.
    pub fn on_end(mut self, on_end: impl Fn(&Job, &Result<IndexReport>) + Send + Sync + 'static) -> Self {
        self.on_end = Box::new(on_end);
        self
    }

    /// One of the jobs at a time, until the end.
    async fn slot(&self, first: bool) -> Result<()> {
        let mut worked = true;
        let library = match self.scope {
            Scope::Own => Some(self.library.library()),
            Scope::Every => None,
        };
        while !self.cancel.is_cancelled() {
            match boxed(self.queue.take_job(library, &self.name, self.lease)).await {
                Ok(Some(held)) => {
                    worked = true;
                    boxed(self.job(&held)).await;
                    continue;
                }
                Ok(None) if self.until_empty => match boxed(self.queue.has_open_jobs(library)).await {
                    Ok(false) => break,
                    Ok(true) => {}
                    Err(error) => tracing::warn!(%error, "the queue does not answer"),
                },
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "the queue does not answer"),
            }
            if first && std::mem::take(&mut worked) {
                boxed(self.tidy()).await;
            }
            self.wait(LOOK_AGAIN).await;
        }
        if first {
            boxed(self.tidy()).await;
        }
        if self.cancel.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// What is worth doing when nothing else is to be done.
    async fn tidy(&self) {
        if self.cancel.is_cancelled() {
            return;
        }
        if let Err(error) = boxed(self.finish_deletions()).await {
            tracing::warn!(%error, "files of deleted videos could not be deleted");
        }
        if let Err(error) = boxed(self.queue.build_indexes()).await {
            tracing::warn!(%error, "vector indexes could not be made");
        }
    }

    async fn finish_deletions(&self) -> Result<()> {
        if self.scope == Scope::Own {
            return self.library.finish_deletions().await;
        }
        for library in self.queue.libraries_with_leftovers().await? {
            self.library.in_library(library).finish_deletions().await?;
        }
        Ok(())
    }

    /// Waits, or less when the work is cancelled.
    async fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.cancel.is_cancelled() {
            tokio::time::sleep(Duration::from_millis(50).min(time)).await;
        }
    }

    /// The library of a job.
    fn library_of(&self, held: &Held) -> Heimdex {
        match self.scope {
            Scope::Own => self.library.clone(),
            Scope::Every => self.library.in_library(held.library),
        }
    }

    async fn job(&self, held: &Held) {
        let (result, heard) = boxed(self.held(held)).await;
        (self.on_end)(&held.job, &result);
        let ended = match &result {
            Ok(_) => Ended::Done,
            Err(Error::Cancelled) if heard == Heard::Cancelled => Ended::Cancelled,
            Err(Error::Cancelled) => Ended::Released,
            Err(error) => Ended::Failed(error),
        };
        // A database that is away for a moment must not cost a job that is done.
        let until = Instant::now() + self.lease;
        let recorded = loop {
            match boxed(self.queue.end_job(held, &ended, self.backoff)).await {
                Ok(recorded) => break recorded,
                Err(error) if Instant::now() < until => {
                    tracing::warn!(%error, job = held.job.id, "the end of a job could not be recorded yet");
                    tokio::time::sleep(LOOK_AGAIN.min(self.lease)).await;
                }
                Err(error) => {
                    tracing::warn!(%error, job = held.job.id, "the end of a job could not be recorded");
                    return;
                }
            }
        };
        // Its video was deleted while this worked on it, and is now there again.
        if recorded == Recorded::Gone
            && result.is_ok()
            && let Err(error) = self.library_of(held).remove(held.job.video).await
        {
            tracing::warn!(%error, job = held.job.id, "a video that was deleted could not be deleted again");
        }
    }

    /// Does a job, and says so to the queue as long as it goes on.
    async fn held(&self, held: &Held) -> (Result<IndexReport>, Heard) {
        let cancel = self.cancel.child();
        let at: Arc<Mutex<Option<Progress>>> = Arc::default();
        let mut work = boxed(self.index(held, &cancel, &at));
        let mut beat = tokio::time::interval(self.lease / 3);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        beat.tick().await;
        let mut tell = tokio::time::interval(TELL_PROGRESS);
        tell.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut heard, mut last_word) = (Heard::Kept, Instant::now());
        loop {
            tokio::select! {
                result = &mut work => return (result, heard),
                _ = tell.tick() => {
                    let new = at.lock().unwrap_or_else(PoisonError::into_inner).take();
                    // For people alone; the next one makes good for it.
                    if let Some(new) = new && let Err(error) = boxed(self.queue.record_progress(held, new)).await {
                        tracing::debug!(%error, job = held.job.id, "progress could not be recorded");
                    }
                }
                _ = beat.tick() => match boxed(self.queue.keep_job(held, self.lease)).await {
                    Ok(Heard::Kept) => last_word = Instant::now(),
                    Ok(other) => {
                        heard = other;
                        cancel.cancel();
                    }
                    Err(error) => {
                        tracing::warn!(%error, job = held.job.id, "the queue does not answer");
                        if last_word.elapsed() > self.lease {
                            // Another may have it by now.
                            heard = Heard::Lost;
                            cancel.cancel();
                        }
                    }
                },
            }
        }
    }

    /// Indexes a job's video.
    async fn index(
        &self,
        held: &Held,
        cancel: &Cancel,
        at: &Arc<Mutex<Option<Progress>>>,
    ) -> Result<IndexReport> {
        let task = &held.job.task;
        let library = self.library_of(held);
        let (mut work, _keep) = match &self.fetch {
            None => (library.index(to_path(&task.source)), None),
            Some(fetch) => {
                let Fetched { path, keep } = self.fetched(&**fetch, held, cancel).await?;
                (library.index(path).source(&task.source), Some(keep))
            }
        };
        let at = Arc::clone(at);
        work = work.force(task.force).cancel(cancel).on_progress(move |progress| {
            *at.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
        });
        if let Some(title) = &task.title {
            work = work.title(title);
        }
        if let Some(description) = &task.description {
            work = work.description(description);
        }
        if let Some(subtitles) = &task.subtitles {
            work = work.subtitles(to_path(subtitles));
        }
        work.await
    }

    /// Fetches a job's file, unless it is cancelled first.
    async fn fetched(&self, fetch: &dyn Fetch, held: &Held, cancel: &Cancel) -> Result<Fetched> {
        let mut fetching = fetch.fetch(held.library, &held.job.task);
        loop {
            tokio::select! {
                fetched = &mut fetching => return fetched,
                () = tokio::time::sleep(Duration::from_millis(100)) => cancel.check()?,
            }
        }
    }
}

impl IntoFuture for Working {
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let slots = (0..self.at_once).map(|n| boxed(self.slot(n == 0)));
            futures::future::join_all(slots).await.into_iter().collect()
        })
    }
}
