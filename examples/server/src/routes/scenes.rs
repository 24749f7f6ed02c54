//! Scenes, transcripts and pictures.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use heimdex::SceneId;
use heimdex::store::SceneRecord;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::videos::{self, picture, play};
use crate::accounts::SignedIn;
use crate::app::App;
use crate::extract::{Params, Scene, Video};
use crate::problem::{Answer, Problem};
use crate::rows;
use crate::wire::{KeyframeView, Preview, SceneList, SceneView, ScenesQuery, TranscriptView};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(transcript))
        .routes(routes!(get))
        .routes(routes!(preview))
        .routes(routes!(thumbnail))
}

async fn view(app: &App, record: SceneRecord) -> Answer<SceneView> {
    let best = videos::best(&record.keyframes);
    let (mut keyframes, mut thumbnail_url) = (Vec::new(), None);
    for keyframe in &record.keyframes {
        let url = match &keyframe.thumbnail {
            Some(key) => Some(picture(app, key).await?),
            None => None,
        };
        if best.is_some() && keyframe.thumbnail.as_deref() == best {
            thumbnail_url.clone_from(&url);
        }
        keyframes.push(KeyframeView { time_us: keyframe.time.as_micros(), thumbnail_url: url });
    }
    Ok(SceneView { id: record.id, scene: record.scene, tags: record.tags, keyframes, thumbnail_url })
}

/// A scene of somebody's library.
async fn record(app: &App, by: SignedIn, scene: SceneId) -> Answer<SceneRecord> {
    let found = app.library(by).store().scenes(by.library(), &[scene]).await?;
    found.into_iter().next().ok_or_else(|| Problem::not_found("scene"))
}

/// The scenes of a video, in order; none before it is indexed.
#[utoipa::path(get, path = "/videos/{id}/scenes", tag = "scenes", security(("bearer" = [])),
    params(("id" = Uuid, Path), ScenesQuery), responses((status = 200, body = SceneList)))]
async fn list(
    State(app): State<App>,
    by: SignedIn,
    video: Video,
    Params(query): Params<ScenesQuery>,
) -> Answer<axum::Json<SceneList>> {
    if !(1..=500).contains(&query.limit) {
        return Err(Problem::invalid("limit", "must be 1 to 500"));
    }
    rows::video(&app.pool, by, video.0).await?;
    // Scenes are numbered without a gap.
    let first = query.after.map_or(Some(0), |after| after.checked_add(1));
    let last = first.and_then(|first| first.checked_add(query.limit));
    let range = match (first, last) {
        (Some(first), Some(last)) if i32::try_from(last).is_ok() => first..last,
        _ => 0..0,
    };
    let ids: Vec<SceneId> = range.map(|ordinal| SceneId { video: video.id(), ordinal }).collect();
    let found = app.library(by).store().scenes(by.library(), &ids).await?;
    let next = found.last().filter(|_| found.len() == query.limit as usize).map(|scene| scene.id.ordinal);
    let mut scenes = Vec::new();
    for record in found {
        scenes.push(view(&app, record).await?);
    }
    Ok(axum::Json(SceneList { scenes, next }))
}

/// What is said in a video; nothing before it is indexed.
#[utoipa::path(get, path = "/videos/{id}/transcript", tag = "scenes", security(("bearer" = [])),
    params(("id" = Uuid, Path)), responses((status = 200, body = TranscriptView)))]
async fn transcript(
    State(app): State<App>,
    by: SignedIn,
    video: Video,
) -> Answer<axum::Json<TranscriptView>> {
    rows::video(&app.pool, by, video.0).await?;
    let found = app.store.transcript(by.library(), video.id()).await?;
    let view = match found {
        Some(transcript) => TranscriptView {
            source: Some(transcript.source),
            language: transcript.language,
            segments: transcript.segments,
        },
        None => TranscriptView { source: None, language: None, segments: Vec::new() },
    };
    Ok(axum::Json(view))
}

/// A scene.
#[utoipa::path(get, path = "/scenes/{id}", tag = "scenes", security(("bearer" = [])),
    params(("id" = String, Path, description = "`VIDEO:ORDINAL`", max_length = 50)),
    responses((status = 200, body = SceneView)))]
async fn get(State(app): State<App>, by: SignedIn, scene: Scene) -> Answer<axum::Json<SceneView>> {
    let record = record(&app, by, scene.0).await?;
    view(&app, record).await.map(axum::Json)
}

/// Where a scene can be played.
#[utoipa::path(get, path = "/scenes/{id}/preview", tag = "scenes", security(("bearer" = [])),
    params(("id" = String, Path, description = "`VIDEO:ORDINAL`", max_length = 50)),
    responses((status = 200, body = Preview)))]
async fn preview(State(app): State<App>, by: SignedIn, scene: Scene) -> Answer<axum::Json<Preview>> {
    let record = record(&app, by, scene.0).await?;
    let row = rows::video(&app.pool, by, scene.0.video.0).await?;
    let place = play(&app, row.video_id, &row.content_type).await?;
    let span = record.scene.span;
    let url = format!("{}#t={:.3},{:.3}", place.url, span.start.as_seconds(), span.end.as_seconds());
    let (start_us, end_us) = (span.start.as_micros(), span.end.as_micros());
    Ok(axum::Json(Preview { url, expires_at: place.expires_at, start_us, end_us }))
}

/// The best picture of a scene.
#[utoipa::path(get, path = "/scenes/{id}/thumbnail", tag = "scenes", security(("bearer" = [])),
    params(("id" = String, Path, description = "`VIDEO:ORDINAL`", max_length = 50)),
    responses((status = 200, body = [u8], content_type = "image/webp")))]
async fn thumbnail(State(app): State<App>, by: SignedIn, scene: Scene) -> Answer<Response> {
    let record = record(&app, by, scene.0).await?;
    let key = videos::best(&record.keyframes).ok_or_else(|| Problem::not_found("picture"))?;
    let picture = app.library(by).thumbnail(key).await?;
    let mut response = picture.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("image/webp"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=300"));
    Ok(response)
}
