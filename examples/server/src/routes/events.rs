//! What changes, as it changes: server-sent events.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use heimdex::VideoId;
use heimdex::store::VideoState;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::videos::status_of;
use crate::accounts::SignedIn;
use crate::app::App;
use crate::changes::Heard;
use crate::extract::Video;
use crate::problem::Answer;
use crate::rows::{self, VideoRow};
use crate::wire::VideoStatus;

/// Changes that come together are told together.
const TOGETHER: Duration = Duration::from_millis(150);

/// Until a client that was cut off asks again.
const RETRY: Duration = Duration::from_secs(2);

/// A word to those who hear nothing, so that whoever is between them does not hang up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Videos that a watcher of everything is told about at first.
const FIRST: u32 = 100;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(one))
}

/// Every change of one's videos: first those in work, then each as it changes, as `event: video` with a
/// `VideoStatus`. Ends when the access token does.
#[utoipa::path(get, path = "/events", tag = "videos", security(("bearer" = [])),
    responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn all(
    State(app): State<App>,
    by: SignedIn,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let watch = app.hub.watch();
    let (rows, _) = rows::videos(&app.pool, by, FIRST, None).await?;
    Ok(stream(Watcher { app, by, only: None, watch }, rows))
}

/// Every change of a video: how it stands, then each change, as `event: video` with a `VideoStatus`.
#[utoipa::path(get, path = "/videos/{id}/events", tag = "videos", security(("bearer" = [])),
    params(("id" = Uuid, Path)), responses((status = 200, body = String, content_type = "text/event-stream")))]
async fn one(
    State(app): State<App>,
    by: SignedIn,
    video: Video,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let watch = app.hub.watch();
    let row = rows::video(&app.pool, by, video.0).await?;
    Ok(stream(Watcher { app, by, only: Some(video.0), watch }, vec![row]))
}

struct Watcher {
    app: App,
    by: SignedIn,
    only: Option<Uuid>,
    watch: Receiver<Heard>,
}

fn stream(watcher: Watcher, first: Vec<VideoRow>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (send, receive) = mpsc::channel(16);
    tokio::spawn(async move {
        metrics::gauge!("watchers").increment(1);
        let until = watcher.by.until - chrono::Utc::now();
        let until = until.to_std().unwrap_or_default();
        let stopping = watcher.app.stopping.clone();
        tokio::select! {
            () = watcher.tell(first, send) => {}
            () = tokio::time::sleep(until) => {}
            () = stopping.cancelled() => {}
        }
        metrics::gauge!("watchers").decrement(1);
    });
    Sse::new(ReceiverStream::new(receive)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

type Send = mpsc::Sender<Result<Event, Infallible>>;

impl Watcher {
    /// Tells how everything stands and then what changes, until nobody listens any more.
    async fn tell(mut self, mut rows: Vec<VideoRow>, send: Send) {
        let hello = Event::default().retry(RETRY).comment("watching");
        if send.send(Ok(hello)).await.is_err() {
            return;
        }
        loop {
            let at_first = self.only.is_none();
            if self.say(rows, at_first, &send).await.is_none() {
                return;
            }
            loop {
                let Some(changed) = self.changes(&send).await else { return };
                let Some(changed) = changed else { break };
                if self.tell_of(changed, &send).await.is_none() {
                    return;
                }
            }
            // Something was missed: everything again.
            rows = match self.rows().await {
                Ok(rows) => rows,
                Err(problem) => {
                    tracing::debug!(?problem, "a watcher is sent away");
                    return;
                }
            };
        }
    }

    async fn rows(&self) -> Answer<Vec<VideoRow>> {
        match self.only {
            Some(video) => Ok(vec![rows::video(&self.app.pool, self.by, video).await?]),
            None => Ok(rows::videos(&self.app.pool, self.by, FIRST, None).await?.0),
        }
    }

    /// What changed of what is watched; `Some(None)` when something was missed, `None` when nobody listens.
    async fn changes(&mut self, send: &Send) -> Option<Option<HashSet<Uuid>>> {
        let mut changed = HashSet::new();
        loop {
            let heard = tokio::select! {
                heard = self.watch.recv() => heard,
                () = send.closed() => return None,
            };
            match heard {
                Ok(heard) => {
                    if !self.note(heard, &mut changed) {
                        return Some(None);
                    }
                }
                Err(RecvError::Lagged(_)) => return Some(None),
                Err(RecvError::Closed) => return None,
            }
            if changed.is_empty() {
                continue;
            }
            tokio::time::sleep(TOGETHER).await;
            loop {
                match self.watch.try_recv() {
                    Ok(heard) => {
                        if !self.note(heard, &mut changed) {
                            return Some(None);
                        }
                    }
                    Err(TryRecvError::Lagged(_)) => return Some(None),
                    Err(_) => return Some(Some(changed)),
                }
            }
        }
    }

    /// False when something was missed.
    fn note(&self, heard: Heard, changed: &mut HashSet<Uuid>) -> bool {
        let Heard::Change(change) = heard else { return false };
        let watched =
            change.library == self.by.library() && self.only.is_none_or(|only| only == change.video.0);
        if watched {
            changed.insert(change.video.0);
        }
        true
    }

    async fn tell_of(&self, changed: HashSet<Uuid>, send: &Send) -> Option<()> {
        let mut rows = Vec::new();
        for video in changed {
            match rows::video(&self.app.pool, self.by, video).await {
                Ok(row) => rows.push(row),
                Err(problem) if problem.status() == axum::http::StatusCode::NOT_FOUND => {
                    send.send(Ok(event(&gone(video)))).await.ok()?;
                    if self.only.is_some() {
                        return None;
                    }
                }
                Err(problem) => {
                    tracing::debug!(?problem, "a watcher is sent away");
                    return None;
                }
            }
        }
        self.say(rows, false, send).await
    }

    /// Tells how these stand; of many only those that are in work.
    async fn say(&self, rows: Vec<VideoRow>, in_work: bool, send: &Send) -> Option<()> {
        let ids: Vec<VideoId> = rows.iter().map(|row| VideoId(row.video_id)).collect();
        let standing = match self.app.store.standing(self.by.library(), &ids).await {
            Ok(standing) => standing,
            Err(error) => {
                tracing::debug!(%error, "a watcher is sent away");
                return None;
            }
        };
        for row in rows {
            let status = status_of(&row, standing.iter().find(|s| s.video.id.0 == row.video_id));
            let still =
                matches!(status.state, VideoState::Indexed | VideoState::Failed | VideoState::Uploading);
            if !(in_work && still) {
                send.send(Ok(event(&status))).await.ok()?;
            }
        }
        Some(())
    }
}

fn gone(id: Uuid) -> VideoStatus {
    VideoStatus {
        id,
        state: VideoState::Deleted,
        searchable: false,
        progress: None,
        stages: Vec::new(),
        job: None,
        error: None,
    }
}

fn event(status: &VideoStatus) -> Event {
    let event = Event::default().event("video");
    event.json_data(status).unwrap_or_else(|error| {
        tracing::error!(%error, "an event could not be written");
        Event::default().comment("an event could not be written")
    })
}
