//! Queries, channels, fusion and results.
//!
//! Every channel gives a ranking of scenes; fusion makes one of them; the page of it that was asked
//! for is filled in. A new signal is one more ranking, and nothing else changes.
//!
//! Uses [`crate::store`], [`crate::text`] and [`crate::embed`].

mod channels;
mod cursor;
mod fusion;
mod lexical;
mod models;
mod query;
mod request;

#[cfg(all(test, feature = "sqlite"))]
mod tests;

use std::collections::HashMap;

pub use models::Models;
pub use query::Query;
pub use request::{ChannelScore, Fusion, Hit, HitVideo, SearchPage, SearchRequest};

use crate::store::{IndexStore, SceneRecord};
use crate::{Error, LibraryId, Result, SceneId};
use channels::Channels;
use cursor::Cursor;
use fusion::{Fused, fuse};
use lexical::Lexical;

/// Searches a library.
///
/// Without models, and in a library without vectors, scenes are found by their words. Awaited inside a tokio
/// runtime, on whose threads for blocking work models are asked.
///
/// # Errors
/// [`ErrorKind::Query`](crate::ErrorKind::Query) and [`Invalid`](crate::ErrorKind::Invalid) when the
/// request cannot be read; [`Space`](crate::ErrorKind::Space) when the library's vectors are of
/// another model than the one given; [`ModelMissing`](crate::ErrorKind::ModelMissing) when a picture
/// is given and no model looks at pictures; [`NotFound`](crate::ErrorKind::NotFound) when the scene to
/// be like has no vectors.
pub async fn search(
    store: &dyn IndexStore,
    library: LibraryId,
    models: &Models,
    request: &SearchRequest,
) -> Result<SearchPage> {
    request.validate()?;
    let by_example = request.like.is_some() || request.image.is_some();
    let query = match request.query.trim() {
        "" if by_example => Query::default(),
        text => Query::parse(text)?,
    };
    if let Some(name) = query.people.first() {
        let message = format!("person:\"{name}\": no people are enrolled in this library");
        return Err(Error::Query(message));
    }
    let cursor = request.cursor.as_deref().map(|text| Cursor::read(text, request)).transpose()?;
    let lexical = Lexical::of(&query);
    let channels = Channels { store, library, models, request, query: &query, lexical: &lexical };
    let rankings = channels.rankings().await?;

    let mut fused = fuse(&rankings, request.fusion);
    fused.retain(|hit| Some(hit.scene) != request.like);
    if let Some(cap) = request.per_video {
        let mut seen: HashMap<_, usize> = HashMap::new();
        fused.retain(|hit| {
            let count = seen.entry(hit.scene.video).or_default();
            *count += 1;
            *count <= cap
        });
    }
    let total = fused.len();
    let from = cursor.map_or(0, |cursor| fused.partition_point(|hit| !cursor.is_before(hit)));
    let page = &fused[from..total.min(from + request.limit)];
    let next = (from + page.len() < total).then(|| page.last()).flatten();
    let next = next.map(|last| Cursor::after(last).to_text(request));

    let ids: Vec<SceneId> = page.iter().map(|hit| hit.scene).collect();
    let records = store.scenes(library, &ids).await?;
    let mut records: HashMap<SceneId, SceneRecord> = records.into_iter().map(|r| (r.id, r)).collect();
    let hits = page
        .iter()
        .filter_map(|fused| {
            records.remove(&fused.scene).map(|record| hit(fused, record, &lexical, request.explain))
        })
        .collect();
    Ok(SearchPage { hits, total, next })
}

fn hit(fused: &Fused, record: SceneRecord, lexical: &Lexical, explain: bool) -> Hit {
    let SceneRecord { id, scene, tags, video_title, video_source, video_duration, keyframes } = record;
    let matched_words = lexical.matched_words(&scene);
    let first_word = matched_words.first().map(|word| word.span.start.max(scene.span.start));
    let moment = first_word.or(fused.time).unwrap_or(scene.span.start);
    let thumbnail = keyframes.iter().min_by_key(|k| k.time.micros_since(moment).abs());
    Hit {
        scene: id,
        video: HitVideo { title: video_title, source: video_source, duration: video_duration },
        span: scene.span,
        moment,
        thumbnail: thumbnail.and_then(|k| k.thumbnail.clone()),
        text: scene.speech,
        matched_words,
        tags,
        score: fused.score,
        channels: if explain { fused.channels.clone() } else { Vec::new() },
    }
}
