//! Vectors: kept whole and as codes, found by scanning the codes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};
use sqlx::{Row, SqliteConnection};

use super::cache::CodeCache;
use super::codes::{CodeRow, Codes, QueryCodes};
use super::filter::{allowed_videos, tagged_scenes};
use super::write::{Tx, last_id};
use super::{failed, json as text, library_bytes, unreadable, video_bytes};
use crate::embed::{EmbedSpec, Vector};
use crate::store::parts::best_first;
use crate::store::{Filter, IndexedVideo, ScoredScene, check_space};
use crate::{Error, LibraryId, Result, SceneId, Span, Timestamp, VideoId};

/// Stores the vectors of a video, whose rows are gone, in spaces that are searched.
pub(super) async fn insert(tx: &mut Tx<'_>, library: LibraryId, video: &IndexedVideo) -> Result<()> {
    forget_empty_spaces(tx, library).await?;
    for spec in &video.spaces {
        check_beside(tx, library, spec).await?;
        insert_space(tx, library, video, spec, true).await?;
    }
    Ok(())
}

/// Spaces whose last vectors are gone.
pub(super) async fn forget_empty_spaces(tx: &mut Tx<'_>, library: LibraryId) -> Result<()> {
    sqlx::query(
        "DELETE FROM spaces AS s WHERE library_id = ?
         AND NOT EXISTS (SELECT 1 FROM codes c WHERE c.library_id = s.library_id AND c.space_id = s.space_id)",
    )
    .bind(library_bytes(library))
    .execute(&mut **tx)
    .await
    .map(|_| ())
    .map_err(failed("removing empty spaces"))
}

/// Refuses a space beside another of its modality, and one that is being filled.
async fn check_beside(tx: &mut Tx<'_>, library: LibraryId, spec: &EmbedSpec) -> Result<()> {
    let held: Vec<(String, bool)> = sqlx::query_as("SELECT spec, active FROM spaces WHERE library_id = ?")
        .bind(library_bytes(library))
        .fetch_all(&mut **tx)
        .await
        .map_err(failed("reading embedding spaces"))?;
    for (held, active) in held {
        let held = serde_json::from_str(&held).map_err(unreadable("spec"))?;
        check_space(spec, &held, active)?;
    }
    Ok(())
}

/// The vectors of a video in one space.
pub(super) async fn insert_space(
    tx: &mut Tx<'_>,
    library: LibraryId,
    video: &IndexedVideo,
    spec: &EmbedSpec,
    active: bool,
) -> Result<()> {
    let failed = failed("storing vectors");
    let space = spec.space();
    let space_id: i64 = sqlx::query_scalar(
        "INSERT INTO spaces (library_id, space, spec, dim, active) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (library_id, space) DO UPDATE SET spec = excluded.spec RETURNING space_id",
    )
    .bind(library_bytes(library))
    .bind(&space)
    .bind(text(spec)?)
    .bind(spec.dim as i64)
    .bind(active)
    .fetch_one(&mut **tx)
    .await
    .map_err(&failed)?;
    let mut vector_id = last_id(tx, "vectors").await?;
    let mut rows = Vec::new();
    let mut floats: Vec<u8> = Vec::new();
    let mut codes = Codes::new(spec.dim);
    for scene in &video.scenes {
        let span = scene.scene.span;
        for row in scene.vectors.iter().filter(|row| row.space == space) {
            vector_id += 1;
            rows.push(json!([vector_id, scene.scene.ordinal, row.origin, row.time, floats.len() + 1]));
            floats.extend(row.vector.as_slice().iter().flat_map(|v| v.to_le_bytes()));
            let span_us = (span.start.as_micros(), span.end.as_micros());
            codes.push(vector_id, scene.scene.ordinal, row.time.as_micros(), span_us, row.vector.as_slice());
        }
    }
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO vectors (vector_id, library_id, video_id, ordinal, space_id, origin, time_us, vector)
         SELECT value ->> 0, ?1, ?2, value ->> 1, ?4, value -> 2, value ->> 3, substr(?5, value ->> 4, ?6)
         FROM json_each(?3)",
    )
    .bind(library_bytes(library))
    .bind(video_bytes(video.video.id))
    .bind(Value::Array(rows).to_string())
    .bind(space_id)
    .bind(floats)
    .bind(spec.dim as i64 * 4)
    .execute(&mut **tx)
    .await
    .map_err(&failed)?;
    sqlx::query("INSERT INTO codes (library_id, video_id, space_id, codes) VALUES (?, ?, ?, ?)")
        .bind(library_bytes(library))
        .bind(video_bytes(video.video.id))
        .bind(space_id)
        .bind(codes.to_bytes())
        .execute(&mut **tx)
        .await
        .map_err(&failed)?;
    Ok(())
}

/// Rows that are worth a thread: some tenths of a millisecond.
const ROWS_A_THREAD: usize = 4096;

/// A row that may be among the best.
struct Contender {
    video: VideoId,
    row: CodeRow,
}

pub(super) async fn search(
    reader: &mut SqliteConnection,
    cache: &CodeCache,
    library: LibraryId,
    space: &str,
    query: &Vector,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<ScoredScene>> {
    let allowed = allowed_videos(reader, library, filter).await?;
    let tagged = tagged_scenes(reader, library, filter).await?.map(Arc::new);
    // A video replaced between the scan and the reading of its vectors would be missed.
    let mut attempts = 3;
    loop {
        attempts -= 1;
        let codes = cache.current(reader, library, space).await?;
        if codes.dim != query.dim() {
            let message =
                format!("the query has {} dimensions, space {space} has {}", query.dim(), codes.dim);
            return Err(Error::Space(message));
        }
        let (within, values) = (filter.within, query.as_slice().to_vec());
        let (allowed, tagged) = (allowed.clone(), tagged.clone());
        let few = codes.rows() <= ROWS_A_THREAD;
        let scan = move || {
            let videos: Vec<(VideoId, Arc<Codes>)> = codes
                .videos
                .iter()
                .filter(|(video, _)| allowed.as_ref().is_none_or(|allowed| allowed.contains(video)))
                .map(|(video, codes)| (*video, Arc::clone(codes)))
                .collect();
            contenders(&videos, &QueryCodes::of(&values), Which { within, tagged: tagged.as_deref() }, limit)
        };
        let contenders = if few {
            // Done before another thread has woken up.
            scan()
        } else {
            let scanned = tokio::task::spawn_blocking(scan).await;
            scanned.map_err(|e| Error::store("scanning vectors", e))?
        };
        let (found, whole) = rank(reader, query.as_slice(), contenders, limit).await?;
        if whole || attempts == 0 {
            return Ok(found);
        }
    }
}

/// Which rows of the videos may be found.
#[derive(Clone, Copy)]
struct Which<'a> {
    within: Option<Span>,
    tagged: Option<&'a HashSet<SceneId>>,
}

impl Which<'_> {
    fn holds(self, video: VideoId, row: &CodeRow) -> bool {
        let overlaps = |w: Span| row.end_us > w.start.as_micros() && row.start_us < w.end.as_micros();
        self.within.is_none_or(overlaps)
            && self.tagged.is_none_or(|scenes| scenes.contains(&SceneId { video, ordinal: row.ordinal }))
    }
}

/// Rows that may be among the `limit` best scenes: those whose highest possible cosine is not below
/// the lowest possible one of the scene in place `limit`.
fn contenders(
    videos: &[(VideoId, Arc<Codes>)],
    query: &QueryCodes,
    which: Which<'_>,
    limit: usize,
) -> Vec<Contender> {
    let rows: usize = videos.iter().map(|(_, codes)| codes.rows.len()).sum();
    if limit == 0 || rows == 0 {
        return Vec::new();
    }
    let threads = match rows.div_ceil(ROWS_A_THREAD) {
        1 => 1,
        // Asking costs the reading of files.
        most => std::thread::available_parallelism().map_or(1, usize::from).min(most),
    };
    let parts = videos.chunks(videos.len().div_ceil(threads));
    let scanned: Vec<Scan> = std::thread::scope(|scope| {
        let others: Vec<_> =
            parts.clone().skip(1).map(|part| scope.spawn(move || Scan::of(part, query, which))).collect();
        let first = parts.clone().next().map(|part| Scan::of(part, query, which));
        let others = others.into_iter().filter_map(|thread| thread.join().ok());
        first.into_iter().chain(others).collect()
    });
    let mut lowest: Vec<f32> = scanned.iter().flat_map(|scan| &scan.scenes).copied().collect();
    let bar = if lowest.len() > limit {
        *lowest.select_nth_unstable_by(limit - 1, |a, b| b.total_cmp(a)).1
    } else {
        f32::NEG_INFINITY
    };
    scanned
        .into_iter()
        .flat_map(|scan| scan.rows)
        .filter(|(_, highest)| *highest >= bar)
        .map(|(contender, _)| contender)
        .collect()
}

/// What a thread finds in its videos.
struct Scan {
    /// Lowest possible cosine of each scene: that of its best row.
    scenes: Vec<f32>,
    rows: Vec<(Contender, f32)>,
}

impl Scan {
    fn of(videos: &[(VideoId, Arc<Codes>)], query: &QueryCodes, which: Which<'_>) -> Self {
        let mut scan = Self { scenes: Vec::new(), rows: Vec::new() };
        let mut bounds = Vec::new();
        for (video, codes) in videos {
            codes.bounds(query, &mut bounds);
            let mut last = None;
            for (row, (low, high)) in codes.rows.iter().zip(&bounds) {
                if !which.holds(*video, row) {
                    continue;
                }
                match scan.scenes.last_mut() {
                    Some(best) if last == Some(row.ordinal) => *best = best.max(*low),
                    _ => scan.scenes.push(*low),
                }
                last = Some(row.ordinal);
                scan.rows.push((Contender { video: *video, row: *row }, *high));
            }
        }
        scan
    }
}

/// Scores contenders in full precision, each scene by its best row; and whether all were still there.
async fn rank(
    reader: &mut SqliteConnection,
    query: &[f32],
    contenders: Vec<Contender>,
    limit: usize,
) -> Result<(Vec<ScoredScene>, bool)> {
    let failed = failed("reading vectors");
    let mut best: BTreeMap<SceneId, ScoredScene> = BTreeMap::new();
    let mut whole = true;
    for part in contenders.chunks(4096) {
        let ids: Vec<i64> = part.iter().map(|c| c.row.vector_id).collect();
        let rows = sqlx::query(
            "SELECT vector_id, vector FROM vectors WHERE vector_id IN (SELECT value FROM json_each(?))",
        )
        .bind(super::json(&ids)?)
        .fetch_all(&mut *reader)
        .await
        .map_err(&failed)?;
        let mut scores: HashMap<i64, f32> = HashMap::with_capacity(rows.len());
        for row in rows {
            let bytes: &[u8] = row.try_get(1).map_err(&failed)?;
            let values = bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
            let score: f64 = query.iter().zip(values).map(|(q, v)| f64::from(*q) * f64::from(v)).sum();
            scores.insert(row.try_get(0).map_err(&failed)?, score as f32);
        }
        for contender in part {
            // A vector that was deleted since the scan belongs to a scene that is gone.
            let Some(score) = scores.get(&contender.row.vector_id).copied() else {
                whole = false;
                continue;
            };
            let scene = SceneId { video: contender.video, ordinal: contender.row.ordinal };
            let time = Some(Timestamp::from_micros(contender.row.time_us));
            let entry = best.entry(scene).or_insert(ScoredScene { scene, score, time });
            if score > entry.score {
                *entry = ScoredScene { scene, score, time };
            }
        }
    }
    let mut found: Vec<ScoredScene> = best.into_values().collect();
    found.sort_by(best_first);
    found.truncate(limit);
    Ok((found, whole))
}
