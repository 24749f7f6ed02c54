//! Look-ups in one channel.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, Row, SqlitePool};

use super::cache::CodeCache;
use super::codes::{CodeRow, Codes, QueryCodes};
use super::write::{COLUMNS, channel_token};
use super::{failed, library_bytes, video_id};
use crate::embed::Vector;
use crate::store::{Filter, ScoredScene, TextQuery};
use crate::{Error, LibraryId, Result, SceneId, Span, Timestamp, VideoId};

/// The videos that pass a filter's conditions on videos; `None` when there are no conditions.
async fn allowed_videos(
    pool: &SqlitePool,
    library: LibraryId,
    filter: &Filter,
) -> Result<Option<BTreeSet<VideoId>>> {
    let Filter { videos, within: _, min_duration, max_duration, created_from, created_before, languages } =
        filter;
    let mut sql = String::from("SELECT video_id FROM videos WHERE library_id = ? AND searchable");
    let conditions = sql.len();
    let mut values = SqliteArguments::default();
    values.add(library_bytes(library)).map_err(|e| Error::store("a filter", e))?;
    let mut add = |condition: &str, value: String| {
        sql.push_str(condition);
        values.add(value).map_err(|e| Error::store("a filter", e))
    };
    if let Some(least) = min_duration {
        add(" AND duration_us >= CAST(? AS INTEGER)", least.as_micros().to_string())?;
    }
    if let Some(most) = max_duration {
        add(" AND duration_us <= CAST(? AS INTEGER)", most.as_micros().to_string())?;
    }
    if let Some(from) = created_from {
        add(" AND julianday(created_at) >= julianday(?)", date("created_from", from)?)?;
    }
    if let Some(before) = created_before {
        add(" AND julianday(created_at) < julianday(?)", date("created_before", before)?)?;
    }
    if !languages.is_empty() {
        add(" AND language IN (SELECT value FROM json_each(?))", super::json(languages)?)?;
    }
    let given = (!videos.is_empty()).then(|| videos.iter().copied().collect::<BTreeSet<_>>());
    if sql.len() == conditions {
        return Ok(given);
    }
    let ids: Vec<Vec<u8>> = sqlx::query_scalar_with(sqlx::AssertSqlSafe(sql), values)
        .fetch_all(pool)
        .await
        .map_err(failed("filtering videos"))?;
    let ids = ids.iter().map(|id| video_id(id)).collect::<Result<BTreeSet<_>>>()?;
    Ok(Some(match given {
        Some(given) => ids.intersection(&given).copied().collect(),
        None => ids,
    }))
}

/// A date or time that SQLite understands too; nonsense would match nothing in silence.
fn date(field: &'static str, text: &str) -> Result<String> {
    let number = |range: std::ops::Range<usize>, allowed: std::ops::RangeInclusive<u32>| {
        let digits = text.get(range).filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
        digits.and_then(|part| part.parse().ok()).is_some_and(|n| allowed.contains(&n))
    };
    let dashes = [4, 7].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
    if dashes && number(0..4, 0..=9999) && number(5..7, 1..=12) && number(8..10, 1..=31) {
        Ok(text.to_owned())
    } else {
        Err(Error::invalid(field, format!("`{text}` is no RFC 3339 date")))
    }
}

/// The query in the language of FTS5; every token is quoted. `None` when nothing is asked for.
fn match_expression(channel: &str, query: &TextQuery) -> Option<String> {
    let quoted = |run: &[String]| format!("\"{}\"", run.join(" ").replace(['"', '\0'], " "));
    let runs = |runs: &[Vec<String>]| -> Vec<String> {
        runs.iter().filter(|run| !run.is_empty()).map(|run| quoted(run)).collect()
    };
    let mut any = runs(&query.any);
    any.extend(query.any_prefix.iter().map(|token| format!("{} *", quoted(std::slice::from_ref(token)))));
    let all = runs(&query.all).join(" AND ");
    let any = any.join(" OR ");
    let asked = match (all.is_empty(), any.is_empty()) {
        (true, true) => return None,
        (true, false) => any,
        (false, true) => all,
        // The second half holds wherever the first does: it only adds to the score.
        (false, false) => format!("({all}) AND (({all}) OR {any})"),
    };
    Some(match COLUMNS.iter().find(|column| **column == channel) {
        Some(column) => format!("{column} : ({asked})"),
        None => format!("channel : \"{}\" AND other : ({asked})", channel_token(channel)),
    })
}

pub(super) async fn text(
    pool: &SqlitePool,
    library: LibraryId,
    channel: &str,
    query: &TextQuery,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<ScoredScene>> {
    let Some(expression) = match_expression(channel, query) else { return Ok(Vec::new()) };
    if limit == 0 {
        return Ok(Vec::new());
    }
    let videos = allowed_videos(pool, library, filter).await?;
    let alone: bool = sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT 1 FROM videos WHERE library_id < ?1)
             AND NOT EXISTS (SELECT 1 FROM videos WHERE library_id > ?1)",
    )
    .bind(library_bytes(library))
    .fetch_one(pool)
    .await
    .map_err(failed("counting libraries"))?;
    let from = From { library, alone, videos, within: filter.within };
    // Equal scores are ordered by scene, so a group of them must not be cut in the middle.
    let mut depth = limit + 64;
    loop {
        let mut found = ranked(pool, &expression, &from, depth).await?;
        let full = found.len() >= depth;
        found.sort_by(best_first);
        let cut_in_a_tie = full && found[limit - 1].score <= found[found.len() - 1].score;
        if !cut_in_a_tie {
            found.truncate(limit);
            return Ok(found);
        }
        depth *= 4;
    }
}

/// The scene of a text; the first one that passes stands for a text of a whole video.
const SCENE: &str = "(SELECT min(s.ordinal) FROM scenes s
    WHERE s.library_id = t.library_id AND s.video_id = t.video_id AND s.ordinal = coalesce(t.ordinal, s.ordinal)
    AND s.end_us > ?2 AND s.start_us < ?3)";

/// Which texts may be found.
struct From {
    library: LibraryId,
    /// The file holds no other library.
    alone: bool,
    videos: Option<BTreeSet<VideoId>>,
    within: Option<Span>,
}

/// The `depth` best rows. Values never become part of the SQL.
async fn ranked(pool: &SqlitePool, expression: &str, from: &From, depth: usize) -> Result<Vec<ScoredScene>> {
    let From { library, alone, videos, within } = from;
    let (start, end) = within.map_or((i64::MIN, i64::MAX), |w| (w.start.as_micros(), w.end.as_micros()));
    let ids: Option<Vec<String>> =
        videos.as_ref().map(|v| v.iter().map(|v| v.0.simple().to_string()).collect());
    let sql = if *alone && ids.is_none() && within.is_none() {
        format!(
            "SELECT t.video_id, coalesce(t.ordinal, {SCENE}) AS scene, f.rank
             FROM (SELECT rowid, rank FROM text_index
                   WHERE text_index MATCH ?1 AND rank MATCH 'bm25(0.0, 1.0, 1.0, 1.0)' ORDER BY rank LIMIT ?4) f
             JOIN texts t ON t.text_id = f.rowid AND t.library_id = ?6 WHERE ?5 IS NULL"
        )
    } else {
        format!(
            "SELECT t.video_id, {SCENE} AS scene, text_index.rank FROM text_index
             JOIN texts t ON t.text_id = text_index.rowid AND t.library_id = ?6
             WHERE text_index MATCH ?1 AND text_index.rank MATCH 'bm25(0.0, 1.0, 1.0, 1.0)' AND {SCENE} IS NOT NULL
             AND (?5 IS NULL OR t.video_id IN (SELECT unhex(value) FROM json_each(?5)))
             ORDER BY text_index.rank LIMIT ?4"
        )
    };
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(expression)
        .bind(start)
        .bind(end)
        .bind(i64::try_from(depth).unwrap_or(i64::MAX))
        .bind(ids.as_ref().map(super::json).transpose()?)
        .bind(library_bytes(*library))
        .fetch_all(pool)
        .await
        .map_err(failed("searching words"))?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let failed = failed("reading what matched");
        let Some(ordinal) = row.try_get::<Option<i64>, _>("scene").map_err(&failed)? else { continue };
        let rank: f64 = row.try_get("rank").map_err(&failed)?;
        let video = video_id(row.try_get("video_id").map_err(&failed)?)?;
        let ordinal = u32::try_from(ordinal).map_err(|e| Error::store("a scene's number", e))?;
        found.push(ScoredScene { scene: SceneId { video, ordinal }, score: -rank as f32, time: None });
    }
    Ok(found)
}

/// A row that may be among the best.
struct Contender {
    video: VideoId,
    row: CodeRow,
}

pub(super) async fn vectors(
    pool: &SqlitePool,
    cache: &CodeCache,
    library: LibraryId,
    space: &str,
    query: &Vector,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<ScoredScene>> {
    let allowed = allowed_videos(pool, library, filter).await?;
    // A video replaced between the scan and the reading of its vectors would be missed.
    let mut attempts = 3;
    loop {
        attempts -= 1;
        let codes = cache.current(pool, library, space).await?;
        if codes.dim != query.dim() {
            let message =
                format!("the query has {} dimensions, space {space} has {}", query.dim(), codes.dim);
            return Err(Error::Space(message));
        }
        let (within, values, allowed) = (filter.within, query.as_slice().to_vec(), allowed.clone());
        let contenders = tokio::task::spawn_blocking(move || {
            let videos: Vec<(VideoId, Arc<Codes>)> = codes
                .videos
                .iter()
                .filter(|(video, _)| allowed.as_ref().is_none_or(|allowed| allowed.contains(video)))
                .map(|(video, codes)| (*video, Arc::clone(codes)))
                .collect();
            contenders(&videos, &QueryCodes::of(&values), within, limit)
        })
        .await
        .map_err(|e| Error::store("scanning vectors", e))?;
        let (found, whole) = rank(pool, query.as_slice(), contenders, limit).await?;
        if whole || attempts == 0 {
            return Ok(found);
        }
    }
}

/// Rows that may be among the `limit` best scenes: those whose highest possible cosine is not below
/// the lowest possible one of the scene in place `limit`.
fn contenders(
    videos: &[(VideoId, Arc<Codes>)],
    query: &QueryCodes,
    within: Option<Span>,
    limit: usize,
) -> Vec<Contender> {
    let rows: usize = videos.iter().map(|(_, codes)| codes.rows.len()).sum();
    if limit == 0 || rows == 0 {
        return Vec::new();
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(rows.div_ceil(4096));
    let parts = videos.chunks(videos.len().div_ceil(threads));
    let scanned: Vec<Scan> = std::thread::scope(|scope| {
        let others: Vec<_> =
            parts.clone().skip(1).map(|part| scope.spawn(move || Scan::of(part, query, within))).collect();
        let first = parts.clone().next().map(|part| Scan::of(part, query, within));
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
    fn of(videos: &[(VideoId, Arc<Codes>)], query: &QueryCodes, within: Option<Span>) -> Self {
        let mut scan = Self { scenes: Vec::new(), rows: Vec::new() };
        let mut bounds = Vec::new();
        for (video, codes) in videos {
            codes.bounds(query, &mut bounds);
            let mut last = None;
            for (row, (low, high)) in codes.rows.iter().zip(&bounds) {
                if within
                    .is_some_and(|w| row.end_us <= w.start.as_micros() || row.start_us >= w.end.as_micros())
                {
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
    pool: &SqlitePool,
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
        .fetch_all(pool)
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

fn best_first(a: &ScoredScene, b: &ScoredScene) -> std::cmp::Ordering {
    b.score.total_cmp(&a.score).then(a.scene.cmp(&b.scene))
}
