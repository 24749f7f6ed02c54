//! The facade: a pipeline, a store and search put together.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};

use futures::{Stream, StreamExt};
use tokio::runtime::Handle;

use crate::index::{
    IndexOptions, IndexReport, Pipeline, SwitchProgress, SwitchReport, delete_leftovers, index_video,
    switch_models,
};
use crate::media::RgbPicture;
use crate::search::{SearchPage, SearchRequest};
use crate::store::{Filter, IndexStore, IndexedVideo, Page, StageRecord, VideoRecord};
use crate::{Cancel, Error, LibraryId, Progress, Result, SceneId, Span, Timestamp, VideoId};

/// A library of videos: index files into it, search it.
///
/// Clones share everything.
///
/// ```no_run
/// # async fn example() -> heimdex::Result<()> {
/// use heimdex::{Heimdex, store::SqliteStore};
///
/// let hx = Heimdex::builder().store(SqliteStore::open("library.db").await?).build()?;
/// let report = hx.index("talk.mp4").title("Opening talk").await?;
/// println!("{} scenes", report.scenes);
/// let page = hx.search("a red car in the rain").limit(10).await?;
/// for hit in &page.hits {
///     println!("{} {} {:.2}", hit.video.title, hit.moment, hit.score);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Heimdex {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    store: Arc<dyn IndexStore>,
    /// Another one after a switch of models.
    pipeline: RwLock<Pipeline>,
    /// Written to while the store and this change models.
    switching: tokio::sync::RwLock<()>,
    library: LibraryId,
}

impl Inner {
    #[cfg(feature = "postgres")]
    pub(crate) fn library(&self) -> LibraryId {
        self.library
    }

    fn pipeline(&self) -> Pipeline {
        self.pipeline.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Debug for Heimdex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heimdex")
            .field("library", &self.inner.library)
            .field("store", &self.inner.store)
            .finish_non_exhaustive()
    }
}

/// Builds a [`Heimdex`].
#[derive(Default)]
pub struct HeimdexBuilder {
    store: Option<Arc<dyn IndexStore>>,
    pipeline: Option<Pipeline>,
    library: LibraryId,
}

impl fmt::Debug for HeimdexBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeimdexBuilder").field("library", &self.library).finish_non_exhaustive()
    }
}

impl HeimdexBuilder {
    /// Where the index is kept. Required.
    #[must_use]
    pub fn store(mut self, store: impl IndexStore + 'static) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    #[cfg(all(any(feature = "sqlite", feature = "postgres"), any(feature = "candle", feature = "onnx")))]
    pub(crate) fn shared_store(mut self, store: Arc<dyn IndexStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Which of the store's libraries to use; `default` when not given.
    #[must_use]
    pub fn library(mut self, name: &str) -> Self {
        self.library = LibraryId::named(name);
        self
    }

    /// How videos are indexed; a [`Pipeline`] with its defaults and no model when not given.
    #[must_use]
    pub fn pipeline(mut self, pipeline: Pipeline) -> Self {
        self.pipeline = Some(pipeline);
        self
    }

    /// Puts the parts together.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when there is no store or a setting cannot be used.
    pub fn build(self) -> Result<Heimdex> {
        let store = self.store.ok_or_else(|| Error::invalid("store", "a library needs a store"))?;
        let pipeline = match self.pipeline {
            Some(pipeline) => pipeline,
            None => Pipeline::builder().build()?,
        };
        let (pipeline, switching) = (RwLock::new(pipeline), tokio::sync::RwLock::default());
        Ok(Heimdex { inner: Arc::new(Inner { store, pipeline, switching, library: self.library }) })
    }
}

impl Heimdex {
    /// Starts a builder.
    pub fn builder() -> HeimdexBuilder {
        HeimdexBuilder::default()
    }

    /// The store that holds the index.
    pub fn store(&self) -> &dyn IndexStore {
        &*self.inner.store
    }

    /// How videos are indexed, and the models that they are searched with.
    pub fn pipeline(&self) -> Pipeline {
        self.inner.pipeline()
    }

    /// The library that is indexed into and searched.
    pub fn library(&self) -> LibraryId {
        self.inner.library
    }

    /// Another library of the same store, with the same models. Costs nothing, so a program with many
    /// users may ask for it with every request.
    #[must_use]
    pub fn in_library(&self, library: LibraryId) -> Self {
        let (store, pipeline) = (Arc::clone(&self.inner.store), RwLock::new(self.inner.pipeline()));
        let switching = tokio::sync::RwLock::default();
        Self { inner: Arc::new(Inner { store, pipeline, switching, library }) }
    }

    /// Indexes one file when awaited. What an earlier run of the same file finished is not done
    /// again; nothing is done when the index is up to date.
    ///
    /// # Errors
    /// The media kinds when the file cannot be used; the index of other videos, and an earlier
    /// index of this one, stay as they are.
    ///
    /// # Cancellation
    /// By [`Indexing::cancel`], or by dropping the future. Stops within two seconds.
    pub fn index(&self, path: impl AsRef<Path>) -> Indexing {
        self.index_with(IndexOptions { path: path.as_ref().to_owned(), ..IndexOptions::default() })
    }

    /// [`index`](Self::index) with options that are already made.
    pub fn index_with(&self, options: IndexOptions) -> Indexing {
        Indexing {
            inner: Arc::clone(&self.inner),
            options,
            cancel: Cancel::new(),
            on_progress: Box::new(|_| ()),
        }
    }

    /// Does work made by [`index`](Self::index) on `at_once` files at a time, and gives each
    /// result as it comes. A file that fails does not stop the others.
    pub fn index_many(
        work: impl IntoIterator<Item = Indexing>,
        at_once: usize,
    ) -> impl Stream<Item = (PathBuf, Result<IndexReport>)> {
        let work = work.into_iter().map(|work| {
            let path = work.options.path.clone();
            async move { (path, work.await) }
        });
        futures::stream::iter(work).buffer_unordered(at_once.max(1))
    }

    /// Checks that the library's vectors are of the models that this indexes and searches with. A library
    /// of one video passes: indexing that one again changes its models.
    ///
    /// # Errors
    /// [`ErrorKind::Space`](crate::ErrorKind::Space) when they are of others: indexing a file would
    /// fail in the same way.
    pub async fn check_models(&self) -> Result<()> {
        crate::index::check_models(&self.inner.pipeline(), &*self.inner.store, self.inner.library, None).await
    }

    /// Changes the library to the models of `pipeline` when awaited. They look at the scenes and the
    /// pictures that are kept; nothing is decoded, and the files are not needed. Until all videos are
    /// done, searches find what the models before made; then, at once, only what the new ones did. This
    /// and its clones use `pipeline` from then on.
    ///
    /// An interrupted switch goes on when begun again. Tags and what annotators find come from
    /// `pipeline` too.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when the picture of a keyframe is not kept,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when annotators give other texts than before:
    /// such a video has to be indexed again. The library stays as it was.
    ///
    /// # Cancellation
    /// By [`SwitchingModels::cancel`], or by dropping the future. Stops within two seconds.
    pub fn switch_models(&self, pipeline: Pipeline) -> SwitchingModels {
        SwitchingModels {
            inner: Arc::clone(&self.inner),
            pipeline,
            cancel: Cancel::new(),
            on_progress: Box::new(|_| ()),
        }
    }

    /// Searches when awaited.
    ///
    /// # Errors
    /// [`ErrorKind::Query`](crate::ErrorKind::Query) when the query cannot be read;
    /// [`ErrorKind::Space`](crate::ErrorKind::Space) when the library's vectors are of another model
    /// than the pipeline's.
    pub fn search(&self, query: impl Into<String>) -> Searching {
        Searching { inner: Arc::clone(&self.inner), request: SearchRequest::new(query) }
    }

    /// Searches with a request that is already made.
    ///
    /// # Errors
    /// As [`search`](Self::search).
    pub async fn search_with(&self, request: &SearchRequest) -> Result<SearchPage> {
        let Inner { store, library, .. } = &*self.inner;
        let models = self.inner.pipeline().models();
        let page = crate::search::search(&**store, *library, &models, request).await;
        match page {
            // The library may have switched to other models since they were taken.
            Err(Error::Space(_)) => {
                drop(self.inner.switching.read().await);
                let models = self.inner.pipeline().models();
                crate::search::search(&**store, *library, &models, request).await
            }
            page => page,
        }
    }

    /// Videos in order of id, and how many there are in all.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store).
    pub async fn videos(&self, page: Page) -> Result<(Vec<VideoRecord>, u64)> {
        self.inner.store.videos(self.inner.library, page).await
    }

    /// The one video that `name` means: its id, the beginning of its id, its path, or its title.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none;
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when there are several.
    pub async fn find_video(&self, name: &str) -> Result<VideoRecord> {
        let Inner { store, library, .. } = &*self.inner;
        let by_path = crate::index::video_id(Path::new(name)).ok();
        for id in [name.parse().ok(), by_path].into_iter().flatten() {
            if let Some(video) = store.video(*library, id).await? {
                return Ok(video);
            }
        }
        let mut found: Vec<VideoRecord> = Vec::new();
        let mut page = Page { limit: 500, after: None };
        loop {
            let (videos, _) = store.videos(*library, page).await?;
            let Some(last) = videos.last() else { break };
            page.after = Some(last.id);
            let by_id = |v: &VideoRecord| name.len() >= 4 && v.id.to_string().starts_with(name);
            let by_name = |v: &VideoRecord| v.title == name || crate::index::file_name(&v.source) == name;
            found.extend(videos.into_iter().filter(|v| by_id(v) || by_name(v)));
        }
        match found.len() {
            0 => Err(Error::not_found("video", name)),
            1 => Ok(found.remove(0)),
            n => Err(Error::invalid("video", format!("`{name}` means {n} videos; give the id of one"))),
        }
    }

    /// Everything the index holds of a video: what `export json` writes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when it is not indexed.
    pub async fn indexed_video(&self, id: VideoId) -> Result<IndexedVideo> {
        let Inner { store, library, .. } = &*self.inner;
        store
            .indexed_video(*library, id)
            .await?
            .ok_or_else(|| Error::not_found("indexed video", id.to_string()))
    }

    /// A thumbnail, as WebP, by the key that hits and keyframes give.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no such picture, or this library
    /// was opened without a folder for them.
    pub async fn thumbnail(&self, key: &str) -> Result<Vec<u8>> {
        match self.inner.pipeline().thumbnails() {
            Some(kept) => kept.get(key).await,
            None => Err(Error::not_found("thumbnail", key)),
        }
    }

    /// Gives an indexed video another title and description. Nothing is decoded and no model runs.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when it is not indexed.
    pub async fn describe(&self, id: VideoId, title: &str, description: &str) -> Result<()> {
        let mut index = self.indexed_video(id).await?;
        self.inner.pipeline().describe(&mut index.video, title, description);
        self.inner.store.replace_video(self.inner.library, &index).await
    }

    /// How the stages of a video's last run stand.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store).
    pub async fn stages(&self, id: VideoId) -> Result<Vec<StageRecord>> {
        self.inner.store.stages(self.inner.library, id).await
    }

    /// Takes a video out of the library, with its thumbnails. The file itself is not touched.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no such video.
    pub async fn remove(&self, id: VideoId) -> Result<()> {
        let Inner { store, library, .. } = &*self.inner;
        store.delete_video(*library, id).await?.ok_or_else(|| Error::not_found("video", id.to_string()))?;
        self.finish_deletions().await?;
        // And what a run that failed wrote before there was an index.
        match self.inner.pipeline().thumbnails() {
            Some(thumbnails) => thumbnails.clear(id).await,
            None => Ok(()),
        }
    }

    /// Takes the whole library out of its store, with all thumbnails. The files themselves are not
    /// touched.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store).
    pub async fn remove_all(&self) -> Result<()> {
        self.inner.store.delete_library(self.inner.library).await?;
        self.finish_deletions().await
    }

    /// Deletes the thumbnails of videos that are gone: those of a deletion that was interrupted.
    /// [`remove`](Self::remove) does so too.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) when one cannot be deleted.
    pub async fn finish_deletions(&self) -> Result<()> {
        let Inner { store, library, .. } = &*self.inner;
        delete_leftovers(&self.inner.pipeline(), &**store, *library, None).await
    }

    /// Puts an index into the library that [`indexed_video`](Self::indexed_video) gave, of this library
    /// or another, in place of what it holds of the video. Nothing is decoded.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when its parts do not belong together;
    /// [`ErrorKind::Space`](crate::ErrorKind::Space) when its vectors are of other models than the
    /// library's.
    pub async fn import(&self, video: &IndexedVideo) -> Result<()> {
        self.inner.store.replace_video(self.inner.library, video).await
    }
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Work on one file, begun when awaited.
#[must_use = "nothing is indexed until this is awaited"]
pub struct Indexing {
    pub(crate) inner: Arc<Inner>,
    pub(crate) options: IndexOptions,
    cancel: Cancel,
    on_progress: Box<dyn FnMut(Progress) + Send>,
}

impl fmt::Debug for Indexing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Indexing").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Indexing {
    /// The title people see; the file's name when not given.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.options.title = Some(title.into());
        self
    }

    /// Free text that is searched with the title.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.options.description = Some(description.into());
        self
    }

    /// A subtitle file to use in place of those beside or inside the video.
    pub fn subtitles(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.subtitles = Some(path.into());
        self
    }

    /// What the video is known by in place of its path: its id follows from this, so the file may lie
    /// anywhere. Give it the same name when it is indexed again.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.options.source = Some(source.into());
        self
    }

    /// Does all stages again, even where the index is up to date.
    pub fn force(mut self, force: bool) -> Self {
        self.options.force = force;
        self
    }

    /// Called as the work goes on, from the thread that indexes.
    pub fn on_progress(mut self, on_progress: impl FnMut(Progress) + Send + 'static) -> Self {
        self.on_progress = Box::new(on_progress);
        self
    }

    /// Stops the work when `cancel` is set.
    pub fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }
}

/// Stops the work of a future that nobody waits for any more.
struct StopOnDrop {
    dropped: Cancel,
    done: bool,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if !self.done {
            self.dropped.cancel();
        }
    }
}

impl IntoFuture for Indexing {
    type Output = Result<IndexReport>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { inner, options, cancel, mut on_progress } = self;
            cancel.check()?;
            on_a_thread("heimdex-index", &cancel, move |runtime, cancel| {
                let Inner { store, library, .. } = &*inner;
                index_video(&inner.pipeline(), store, *library, &options, runtime, cancel, &mut *on_progress)
            })
            .await
        })
    }
}

/// Does long work on a thread of its own. When the future is dropped, the work is cancelled.
async fn on_a_thread<T: Send + 'static>(
    name: &'static str,
    cancel: &Cancel,
    work: impl FnOnce(&Handle, &Cancel) -> Result<T> + Send + 'static,
) -> Result<T> {
    // The caller's switch may be shared with other work, so a dropped future stops its own.
    let own = cancel.child();
    let mut guard = StopOnDrop { dropped: own.clone(), done: false };
    let runtime = Handle::try_current()
        .map_err(|e| Error::invalid("runtime", format!("this is awaited inside a tokio runtime ({e})")))?;
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(name.into())
        .spawn(move || {
            // Object stores that speak to the network look for the runtime where they are asked.
            let _inside = runtime.enter();
            // A receiver that is gone no longer wants the result.
            let _ = send.send(work(&runtime, &own));
        })
        .map_err(|e| Error::io(format!("thread {name}"), e))?;
    let result = receive
        .await
        .unwrap_or_else(|_| Err(Error::store("the work ended without a result", "its thread panicked")));
    guard.done = true;
    result
}

/// A change of models, begun when awaited.
#[must_use = "nothing is changed until this is awaited"]
pub struct SwitchingModels {
    inner: Arc<Inner>,
    pipeline: Pipeline,
    cancel: Cancel,
    on_progress: Box<dyn FnMut(SwitchProgress<'_>) + Send>,
}

impl fmt::Debug for SwitchingModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SwitchingModels").field("pipeline", &self.pipeline).finish_non_exhaustive()
    }
}

impl SwitchingModels {
    /// Called as the work goes on, from the thread that does it.
    pub fn on_progress(mut self, on_progress: impl FnMut(SwitchProgress<'_>) + Send + 'static) -> Self {
        self.on_progress = Box::new(on_progress);
        self
    }

    /// Stops the work when `cancel` is set.
    pub fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }
}

impl IntoFuture for SwitchingModels {
    type Output = Result<SwitchReport>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { inner, pipeline, cancel, mut on_progress } = self;
            cancel.check()?;
            on_a_thread("heimdex-switch", &cancel, move |runtime, cancel| {
                let Inner { store, library, .. } = &*inner;
                let switch = || {
                    let _searches_wait = runtime.block_on(inner.switching.write());
                    let missing = runtime.block_on(store.switch_staged(*library))?;
                    if missing == 0 {
                        *inner.pipeline.write().unwrap_or_else(PoisonError::into_inner) = pipeline.clone();
                    }
                    Ok(missing)
                };
                switch_models(&pipeline, store, *library, runtime, cancel, &mut *on_progress, switch)
            })
            .await
        })
    }
}

/// A search, begun when awaited.
#[must_use = "nothing is searched until this is awaited"]
#[derive(Debug)]
pub struct Searching {
    inner: Arc<Inner>,
    request: SearchRequest,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("library", &self.library).finish_non_exhaustive()
    }
}

impl Searching {
    /// At most this many hits on a page.
    pub fn limit(mut self, limit: usize) -> Self {
        self.request.limit = limit;
        self
    }

    /// Only these videos.
    pub fn videos(mut self, videos: impl IntoIterator<Item = VideoId>) -> Self {
        self.request.filter.videos = videos.into_iter().collect();
        self
    }

    /// Only scenes that overlap this part of their video.
    pub fn within(mut self, start: Timestamp, end: Timestamp) -> Self {
        self.request.filter.within = Some(Span::new(start, end));
        self
    }

    /// All filters at once.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.request.filter = filter;
        self
    }

    /// At most this many hits of one video.
    pub fn per_video(mut self, hits: usize) -> Self {
        self.request.per_video = Some(hits);
        self
    }

    /// The page after the one that gave this cursor.
    pub fn after(mut self, cursor: impl Into<String>) -> Self {
        self.request.cursor = Some(cursor.into());
        self
    }

    /// Scenes like this one, by its pictures and by what is said in it.
    pub fn like(mut self, scene: SceneId) -> Self {
        self.request.like = Some(scene);
        self
    }

    /// Scenes that look like this picture.
    pub fn image(mut self, picture: RgbPicture) -> Self {
        self.request.image = Some(Arc::new(picture));
        self
    }

    /// Adds rank and score by channel to every hit.
    pub fn explain(mut self, explain: bool) -> Self {
        self.request.explain = explain;
        self
    }
}

impl IntoFuture for Searching {
    type Output = Result<SearchPage>;
    type IntoFuture = BoxFuture<Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let Self { inner, request } = self;
            Heimdex { inner }.search_with(&request).await
        })
    }
}
