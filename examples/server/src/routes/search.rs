//! Search: the core's request and the core's page, with addresses of what was found.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use heimdex::media::RgbPicture;
use heimdex::search::SearchRequest;
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::videos::{picture, play};
use crate::accounts::SignedIn;
use crate::app::App;
use crate::extract::{BODY_BYTES, parse, read, unfit};
use crate::problem::{Answer, Problem};
use crate::rows;
use crate::wire::{Moment, SearchAnswer, SearchHit, SearchShape};

/// Bytes of a picture to search with.
const PICTURE_BYTES: usize = 8 << 20;

/// Videos, tags and languages of a filter, and weights.
const MOST_VIDEOS: usize = 1000;
const MOST_NAMES: usize = 100;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(search))
}

/// Searches one's own videos.
#[utoipa::path(post, path = "/search", tag = "search", security(("bearer" = [])), request_body = SearchShape,
    responses((status = 200, body = SearchAnswer)))]
async fn search(State(app): State<App>, by: SignedIn, request: Request) -> Answer<axum::Json<SearchAnswer>> {
    let begun = Instant::now();
    let body = read(request, PICTURE_BYTES * 4 / 3 + BODY_BYTES).await?;
    let mut body: Value = parse(&body)?;
    let image = body.as_object_mut().and_then(|body| body.remove("image"));
    if let Some(body) = body.as_object_mut() {
        // Null means the core's default.
        body.retain(|name, value| name != "fusion" || !value.is_null());
    }
    let mut request: SearchRequest = serde_json::from_value(body).map_err(|error| unfit(&error))?;
    bounded(&request)?;
    request.image = match image {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(decoded(&app, text).await?),
        Some(_) => return Err(Problem::invalid("image", "is no text in base64")),
    };
    let page = app.library(by).search_with(&request).await?;
    let videos: Vec<_> = page.hits.iter().map(|hit| hit.scene.video.0).collect();
    let types = rows::types(&app.pool, by, &videos).await?;
    let mut hits = Vec::with_capacity(page.hits.len());
    for hit in page.hits {
        // One that was deleted a moment ago.
        let Some(kind) = types.get(&hit.scene.video.0) else { continue };
        let thumbnail_url = match &hit.thumbnail {
            Some(key) => Some(picture(&app, key).await?),
            None => None,
        };
        let place = play(&app, hit.scene.video.0, kind).await?;
        let playback = Moment {
            url: format!("{}#t={:.3}", place.url, hit.moment.as_seconds()),
            expires_at: place.expires_at,
            moment_us: hit.moment.as_micros(),
        };
        hits.push(SearchHit { hit, thumbnail_url, playback });
    }
    metrics::histogram!("search_seconds").record(begun.elapsed().as_secs_f64());
    Ok(axum::Json(SearchAnswer { hits, total: page.total, next: page.next }))
}

/// Limits that the core leaves to its callers.
fn bounded(request: &SearchRequest) -> Answer<()> {
    let filter = &request.filter;
    for (field, count, most) in [
        ("filter.videos", filter.videos.len(), MOST_VIDEOS),
        ("filter.tags", filter.tags.len(), MOST_NAMES),
        ("filter.languages", filter.languages.len(), MOST_NAMES),
        ("weights", request.weights.len(), MOST_NAMES),
    ] {
        if count > most {
            return Err(Problem::invalid(field, format!("has more than {most} entries")));
        }
    }
    let texts = filter.tags.iter().chain(&filter.languages).chain(request.weights.keys());
    let dates = filter.created_from.iter().chain(&filter.created_before);
    let longest = texts.chain(dates).map(String::len).max().unwrap_or(0);
    if longest > 200 {
        return Err(Problem::invalid("filter", "a name in it is longer than 200 bytes"));
    }
    if request.cursor.as_ref().is_some_and(|cursor| cursor.len() > 2000) {
        return Err(Problem::invalid("cursor", "is no `next` of an earlier page"));
    }
    Ok(())
}

async fn decoded(app: &App, text: String) -> Answer<Arc<RgbPicture>> {
    if text.len() > PICTURE_BYTES * 4 / 3 + 4 {
        return Err(Problem::invalid("image", format!("is larger than {PICTURE_BYTES} bytes")));
    }
    let _turn = app.pictures.acquire().await.map_err(Problem::internal)?;
    let picture = App::blocking(move || {
        let bytes = BASE64_STANDARD.decode(text.trim_end());
        let bytes = bytes.map_err(|e| Problem::invalid("image", format!("is no base64: {e}")))?;
        RgbPicture::decode(&bytes).map_err(|e| Problem::invalid("image", e.to_string()))
    });
    picture.await?.map(Arc::new)
}
