//! Search by word. Each library has a full-text table of its own, so that what one holds moves no score
//! of another.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::{Row, Sqlite, SqliteConnection, SqliteExecutor};

use super::filter::{allowed_videos, bounds, listed};
use super::write::{Tx, insert_rows, last_id};
use super::{failed, library_bytes, scene_id, tags, video_bytes};
use crate::store::parts::best_first;
use crate::store::{Filter, IndexedVideo, ScoredScene, TextQuery};
use crate::{LibraryId, Result, Span, VideoId};

/// The columns of a full-text table for the channels that every video has; all others share one.
const COLUMNS: [&str; 2] = ["speech", "title"];

/// A channel as one token, whatever it is called.
fn channel_token(channel: &str) -> String {
    channel.bytes().fold(String::from("c"), |token, byte| format!("{token}{byte:02x}"))
}

/// The full-text table of a library; `None` while it holds no text.
async fn table(from: impl SqliteExecutor<'_>, library: LibraryId) -> Result<Option<String>> {
    let number: Option<i64> = sqlx::query_scalar("SELECT number FROM libraries WHERE library_id = ?")
        .bind(library_bytes(library))
        .fetch_optional(from)
        .await
        .map_err(failed("looking up a library"))?;
    Ok(number.map(|number| format!("text_index_{number}")))
}

/// As [`table`], made where there is none: `text_index` of the schema is the pattern.
async fn ensure_table(tx: &mut Tx<'_>, library: LibraryId) -> Result<String> {
    if let Some(table) = table(&mut **tx, library).await? {
        return Ok(table);
    }
    let failed = failed("making the word index of a library");
    let number: i64 = sqlx::query_scalar("INSERT INTO libraries (library_id) VALUES (?) RETURNING number")
        .bind(library_bytes(library))
        .fetch_one(&mut **tx)
        .await
        .map_err(&failed)?;
    let pattern: String = sqlx::query_scalar("SELECT sql FROM sqlite_schema WHERE name = 'text_index'")
        .fetch_one(&mut **tx)
        .await
        .map_err(&failed)?;
    let table = format!("text_index_{number}");
    let sql = pattern.replacen("text_index", &table, 1);
    sqlx::query::<Sqlite>(sqlx::AssertSqlSafe(sql)).execute(&mut **tx).await.map_err(&failed)?;
    Ok(table)
}

/// Takes a video's texts out of the full-text table. Its rows of `texts` go with the video.
pub(super) async fn forget(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<()> {
    let Some(table) = table(&mut **tx, library).await? else { return Ok(()) };
    let sql = format!(
        "DELETE FROM {table} WHERE rowid IN (SELECT text_id FROM texts WHERE library_id = ? AND video_id = ?)"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(library_bytes(library))
        .bind(video_bytes(video))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(failed("removing a video's words"))
}

/// Drops the full-text table of a library.
pub(super) async fn forget_library(tx: &mut Tx<'_>, library: LibraryId) -> Result<()> {
    let failed = failed("removing the word index of a library");
    let Some(table) = table(&mut **tx, library).await? else { return Ok(()) };
    let drop = sqlx::AssertSqlSafe(format!("DROP TABLE {table}"));
    sqlx::query(drop).execute(&mut **tx).await.map_err(&failed)?;
    sqlx::query("DELETE FROM libraries WHERE library_id = ?")
        .bind(library_bytes(library))
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(&failed)
}

pub(super) async fn insert(tx: &mut Tx<'_>, library: LibraryId, video: &IndexedVideo) -> Result<()> {
    let mut text_id = last_id(tx, "texts").await?;
    let mut rows = Vec::new();
    let mut add = |ordinal: Option<u32>, channel: &str, text: &str| {
        let tokens = crate::text::analyze(text).join(" ");
        if !tokens.is_empty() {
            text_id += 1;
            let mut columns = [None, None, None];
            columns[COLUMNS.iter().position(|c| *c == channel).unwrap_or(COLUMNS.len())] = Some(&tokens);
            rows.push(json!([text_id, ordinal, channel, channel_token(channel), columns]));
        }
    };
    add(None, "title", &format!("{}\n{}", video.video.title, video.video.description));
    for scene in &video.scenes {
        let ordinal = Some(scene.scene.ordinal);
        add(ordinal, "speech", &scene.scene.speech);
        for (channel, text) in &scene.texts {
            add(ordinal, channel, text);
        }
    }
    let sql = "INSERT INTO texts (library_id, video_id, text_id, ordinal, channel)
               SELECT ?1, ?2, value ->> 0, value ->> 1, value ->> 2 FROM json_each(?3)";
    insert_rows(tx, library, video.video.id, sql, rows.clone()).await?;
    let table = ensure_table(tx, library).await?;
    let sql = format!(
        "INSERT INTO {table} (rowid, channel, speech, title, other)
         SELECT value ->> 0, value ->> 3, value ->> '$[4][0]', value ->> '$[4][1]', value ->> '$[4][2]'
         FROM json_each(?3)"
    );
    insert_rows(tx, library, video.video.id, &sql, rows).await
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

pub(super) async fn search(
    reader: &mut SqliteConnection,
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
    let videos = allowed_videos(reader, library, filter).await?;
    let Some(table) = table(&mut *reader, library).await? else { return Ok(Vec::new()) };
    let tags = (!filter.tags.is_empty()).then(|| tags::wanted(filter)).transpose()?;
    let from = From { table, library, videos, within: filter.within, tags };
    // Equal scores are ordered by scene, so a group of them must not be cut in the middle.
    let mut depth = limit + 64;
    loop {
        let mut found = ranked(reader, &expression, &from, depth).await?;
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
fn scene_of(tagged: bool) -> String {
    let tags = if tagged { tags::has_tags("s", "?7") } else { "?7 IS NULL".to_owned() };
    format!(
        "(SELECT min(s.ordinal) FROM scenes s
         WHERE s.library_id = t.library_id AND s.video_id = t.video_id AND s.ordinal = coalesce(t.ordinal, s.ordinal)
         AND s.end_us > ?2 AND s.start_us < ?3 AND {tags})"
    )
}

/// Which texts may be found.
struct From {
    table: String,
    library: LibraryId,
    videos: Option<BTreeSet<VideoId>>,
    within: Option<Span>,
    /// Keys of tags that a scene must have, as JSON.
    tags: Option<String>,
}

/// The `depth` best rows. Values never become part of the SQL.
async fn ranked(
    reader: &mut SqliteConnection,
    expression: &str,
    from: &From,
    depth: usize,
) -> Result<Vec<ScoredScene>> {
    let From { table, library, videos, within, tags } = from;
    let scene = scene_of(tags.is_some());
    let (start, end) = bounds(*within);
    let sql = if videos.is_none() && within.is_none() && tags.is_none() {
        format!(
            "SELECT t.video_id, coalesce(t.ordinal, {scene}) AS scene, f.rank
             FROM (SELECT rowid, rank FROM {table}
                   WHERE {table} MATCH ?1 AND rank MATCH 'bm25(0.0, 1.0, 1.0, 1.0)' ORDER BY rank LIMIT ?4) f
             JOIN texts t ON t.text_id = f.rowid AND t.library_id = ?6 WHERE ?5 IS NULL"
        )
    } else {
        format!(
            "SELECT t.video_id, {scene} AS scene, {table}.rank FROM {table}
             JOIN texts t ON t.text_id = {table}.rowid AND t.library_id = ?6
             WHERE {table} MATCH ?1 AND {table}.rank MATCH 'bm25(0.0, 1.0, 1.0, 1.0)' AND {scene} IS NOT NULL
             AND (?5 IS NULL OR t.video_id IN (SELECT unhex(value) FROM json_each(?5)))
             ORDER BY {table}.rank LIMIT ?4"
        )
    };
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(expression)
        .bind(start)
        .bind(end)
        .bind(i64::try_from(depth).unwrap_or(i64::MAX))
        .bind(listed(videos.as_ref())?)
        .bind(library_bytes(*library))
        .bind(tags)
        .fetch_all(reader)
        .await
        .map_err(failed("searching words"))?;
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let failed = failed("reading what matched");
        let Some(ordinal) = row.try_get::<Option<i64>, _>("scene").map_err(&failed)? else { continue };
        let rank: f64 = row.try_get("rank").map_err(&failed)?;
        let scene = scene_id(row.try_get("video_id").map_err(&failed)?, ordinal)?;
        found.push(ScoredScene { scene, score: -rank as f32, time: None });
    }
    Ok(found)
}
