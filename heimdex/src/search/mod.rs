//! Queries, channels, fusion and results.
//!
//! Every channel gives a ranking of scenes; fusion makes one of them; the page of it that was asked
//! for is filled in. A new signal is one more ranking, and nothing else changes.
//!
//! Uses [`crate::store`], [`crate::text`] and [`crate::embed`].

mod cursor;
mod fusion;
mod lexical;
mod query;
mod request;

#[cfg(all(test, feature = "sqlite"))]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use futures::channel::oneshot;

pub use query::Query;
pub use request::{ChannelScore, Fusion, Hit, HitVideo, SearchPage, SearchRequest};

use crate::embed::{Role, TextEmbedder, Vector};
use crate::store::{IndexStore, SceneRecord, ScoredScene};
use crate::{Error, LibraryId, Result, SceneId};
use cursor::Cursor;
use fusion::{Fused, Ranking, Scale, fuse};
use lexical::Lexical;

/// How many scenes a channel gives. Fixed, so that a later page sees the same ranking.
const DEPTH: usize = 500;

/// The same where hits of one video are capped, and many may be left out.
const CAPPED_DEPTH: usize = 4000;

/// The channel of vectors.
const MEANING: &str = "meaning";

/// Searches a library.
///
/// Without an embedder, and in a library without vectors, scenes are found by their words.
///
/// # Errors
/// [`ErrorKind::Query`](crate::ErrorKind::Query) and [`Invalid`](crate::ErrorKind::Invalid) when the
/// request cannot be read; [`Space`](crate::ErrorKind::Space) when the library's vectors are of
/// another model than the embedder's.
pub async fn search(
    store: &dyn IndexStore,
    library: LibraryId,
    embedder: Option<&Arc<dyn TextEmbedder>>,
    request: &SearchRequest,
) -> Result<SearchPage> {
    request.validate()?;
    let query = Query::parse(&request.query)?;
    if let Some(name) = query.people.first() {
        let message = format!("person:\"{name}\": no people are enrolled in this library");
        return Err(Error::Query(message));
    }
    let cursor = request.cursor.as_deref().map(|text| Cursor::read(text, request)).transpose()?;
    let lexical = Lexical::of(&query);
    let rankings = rankings(store, library, embedder, request, &query, &lexical).await?;

    let mut fused = fuse(&rankings, request.fusion);
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

/// One ranking for each channel that has a weight.
async fn rankings(
    store: &dyn IndexStore,
    library: LibraryId,
    embedder: Option<&Arc<dyn TextEmbedder>>,
    request: &SearchRequest,
    query: &Query,
    lexical: &Lexical,
) -> Result<Vec<Ranking>> {
    let depth = if request.per_video.is_some() { CAPPED_DEPTH } else { DEPTH };
    let weighed = request.weights.iter().filter(|(_, weight)| **weight > 0.0);
    let looked_up = weighed.map(|(channel, weight)| async move {
        let (scale, floor, scenes) = if channel == MEANING {
            let floor = request.min_similarity;
            (Scale::Cosine, floor, meaning(store, library, embedder, request, query, depth).await?)
        } else if lexical.is_empty() {
            (Scale::Bm25, 0.0, Vec::new())
        } else {
            let found = store.search_text(library, channel, &lexical.query, &request.filter, depth).await?;
            (Scale::Bm25, 0.0, found)
        };
        Ok::<_, Error>(Ranking { channel: channel.clone(), weight: *weight, scale, floor, scenes })
    });
    let mut rankings = futures::future::try_join_all(looked_up).await?;
    if !lexical.query.all.is_empty() {
        // A phrase must be said or named: other channels only order what words have found.
        let named: std::collections::HashSet<SceneId> = rankings
            .iter()
            .filter(|r| r.scale == Scale::Bm25)
            .flat_map(|r| &r.scenes)
            .map(|s| s.scene)
            .collect();
        for ranking in &mut rankings {
            ranking.scenes.retain(|s| named.contains(&s.scene));
        }
    }
    Ok(rankings)
}

/// Scenes whose text means the same, as far as the model can tell.
async fn meaning(
    store: &dyn IndexStore,
    library: LibraryId,
    embedder: Option<&Arc<dyn TextEmbedder>>,
    request: &SearchRequest,
    query: &Query,
    depth: usize,
) -> Result<Vec<ScoredScene>> {
    let sentence = query.sentence();
    let Some(embedder) = embedder.filter(|_| !sentence.is_empty()) else { return Ok(Vec::new()) };
    let spaces = store.spaces(library).await?;
    if spaces.is_empty() {
        return Ok(Vec::new());
    }
    let space = embedder.spec().space();
    if spaces.iter().all(|spec| spec.space() != space) {
        let held: Vec<String> =
            spaces.iter().map(|s| format!("{} ({} dimensions)", s.model, s.dim)).collect();
        return Err(Error::Space(format!(
            "the query was embedded by {} ({} dimensions), the library by {}; search with that model, or index again \
             with this one",
            embedder.spec().model,
            embedder.spec().dim,
            held.join(", "),
        )));
    }
    let vector = embed(Arc::clone(embedder), sentence).await?;
    let mut found = store.search_vectors(library, &space, &vector, &request.filter, depth).await?;
    found.retain(|scene| scene.score >= request.min_similarity);
    Ok(found)
}

/// Embeds on a thread of its own: models block, and the caller's runtime must not.
async fn embed(embedder: Arc<dyn TextEmbedder>, text: String) -> Result<Vector> {
    let (send, receive) = oneshot::channel();
    std::thread::Builder::new()
        .name("heimdex-query".into())
        .spawn(move || {
            let result = embedder.embed(&[text.as_str()], Role::Query);
            // A search that nobody waits for any more needs no vector.
            let _ = send.send(result);
        })
        .map_err(|e| Error::io("thread heimdex-query", e))?;
    let vectors = receive.await.map_err(|_| Error::model("query", "the model's thread panicked"))??;
    vectors.into_iter().next().ok_or_else(|| Error::model("query", "the model gave no vector"))
}

fn hit(fused: &Fused, record: SceneRecord, lexical: &Lexical, explain: bool) -> Hit {
    let SceneRecord { id, scene, video_title, video_source, video_duration, keyframes } = record;
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
        score: fused.score,
        channels: if explain { fused.channels.clone() } else { Vec::new() },
    }
}
