//! What reads the index back.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use sqlx::sqlite::SqliteRow;
use sqlx::{Connection, Row, SqliteConnection};

use super::{failed, library_bytes, unreadable, video_bytes, video_id};
use crate::embed::{EmbedSpec, Vector};
use crate::keyframes::Keyframe;
use crate::scenes::Scene;
use crate::shots::Shot;
use crate::store::parts::of_scene;
use crate::store::{IndexedScene, IndexedVideo, Page, SceneRecord, StageRecord, VectorRow, VideoRecord};
use crate::{Error, LibraryId, Result, SceneId, Span, Stage, Timestamp, VideoId};

const VIDEO_COLUMNS: &str = "video_id, source, title, description, fingerprint, duration_us, media, language,
    created_at, warnings, settings, state, transcript, spaces";

/// A column of a row that our own code wrote.
fn get<'r, T>(row: &'r SqliteRow, column: &'static str) -> Result<T>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(|e| Error::store(format!("column {column} of the index"), e))
}

fn parsed<T: DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Result<T> {
    serde_json::from_str(get::<&str>(row, column)?).map_err(unreadable(column))
}

/// A unit variant that was stored by its name.
fn named<T: DeserializeOwned>(name: &str, what: &'static str) -> Result<T> {
    serde_json::from_value(serde_json::Value::from(name)).map_err(unreadable(what))
}

fn time(row: &SqliteRow, column: &'static str) -> Result<Timestamp> {
    get(row, column).map(Timestamp::from_micros)
}

fn span(row: &SqliteRow) -> Result<Span> {
    Ok(Span::new(time(row, "start_us")?, time(row, "end_us")?))
}

fn number(row: &SqliteRow, column: &'static str) -> Result<u32> {
    let value: i64 = get(row, column)?;
    u32::try_from(value).map_err(|e| Error::store(format!("column {column} of the index"), e))
}

fn record(row: &SqliteRow) -> Result<VideoRecord> {
    Ok(VideoRecord {
        id: video_id(get(row, "video_id")?)?,
        source: get(row, "source")?,
        title: get(row, "title")?,
        description: get(row, "description")?,
        fingerprint: get(row, "fingerprint")?,
        duration: time(row, "duration_us")?,
        media: parsed(row, "media")?,
        language: get(row, "language")?,
        created_at: get(row, "created_at")?,
        warnings: parsed(row, "warnings")?,
        settings: parsed(row, "settings")?,
        state: named(get(row, "state")?, "state")?,
    })
}

pub(super) async fn video(
    reader: &mut SqliteConnection,
    library: LibraryId,
    video: VideoId,
) -> Result<Option<VideoRecord>> {
    let sql = format!("SELECT {VIDEO_COLUMNS} FROM videos WHERE library_id = ? AND video_id = ?");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(library_bytes(library))
        .bind(video_bytes(video))
        .fetch_optional(reader)
        .await
        .map_err(failed("reading a video"))?;
    row.as_ref().map(record).transpose()
}

pub(super) async fn videos(
    reader: &mut SqliteConnection,
    library: LibraryId,
    page: Page,
) -> Result<(Vec<VideoRecord>, u64)> {
    let failed = failed("listing videos");
    let mut tx = reader.begin().await.map_err(&failed)?;
    let total: i64 = sqlx::query_scalar("SELECT count(*) FROM videos WHERE library_id = ?")
        .bind(library_bytes(library))
        .fetch_one(&mut *tx)
        .await
        .map_err(&failed)?;
    let sql = format!(
        "SELECT {VIDEO_COLUMNS} FROM videos WHERE library_id = ? AND video_id > ? ORDER BY video_id LIMIT ?"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(library_bytes(library))
        .bind(page.after.map(video_bytes).unwrap_or_default())
        .bind(page.limit)
        .fetch_all(&mut *tx)
        .await
        .map_err(&failed)?;
    let videos = rows.iter().map(record).collect::<Result<_>>()?;
    Ok((videos, total.unsigned_abs()))
}

pub(super) async fn indexed_video(
    reader: &mut SqliteConnection,
    library: LibraryId,
    video: VideoId,
) -> Result<Option<IndexedVideo>> {
    // One snapshot: parts of two indexes are never mixed.
    let mut tx = reader.begin().await.map_err(failed("reading a video's index"))?;
    index_in(&mut tx, library, video).await
}

/// As [`indexed_video`], inside a transaction.
pub(super) async fn index_in(
    tx: &mut SqliteConnection,
    library: LibraryId,
    video: VideoId,
) -> Result<Option<IndexedVideo>> {
    let failed = failed("reading a video's index");
    let sql =
        format!("SELECT {VIDEO_COLUMNS} FROM videos WHERE library_id = ? AND video_id = ? AND searchable");
    let mut all = Vec::new();
    for sql in [
        sql.as_str(),
        "SELECT start_us, end_us FROM shots WHERE library_id = ? AND video_id = ? ORDER BY ordinal",
        "SELECT time_us, shot, quality, thumbnail, picture FROM keyframes WHERE library_id = ? AND video_id = ? ORDER BY ordinal",
        "SELECT segment FROM segments WHERE library_id = ? AND video_id = ? ORDER BY ordinal",
        "SELECT ordinal, start_us, end_us, shot, speech, words, texts, tags FROM scenes
         WHERE library_id = ? AND video_id = ? ORDER BY ordinal",
        "SELECT v.ordinal, s.space, v.origin, v.time_us, v.vector FROM vectors v JOIN spaces s USING (space_id)
         WHERE v.library_id = ? AND v.video_id = ? AND s.active ORDER BY v.vector_id",
    ] {
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(library_bytes(library))
            .bind(video_bytes(video))
            .fetch_all(&mut *tx)
            .await
            .map_err(&failed)?;
        all.push(rows);
    }
    let [videos, shots, keyframes, segments, scenes, vectors] = all.as_slice() else { return Ok(None) };
    let Some(row) = videos.first() else { return Ok(None) };
    let transcript: Option<&str> = get(row, "transcript")?;
    let mut scenes = scenes
        .iter()
        .map(|row| {
            let texts: BTreeMap<String, String> = parsed(row, "texts")?;
            Ok(IndexedScene { scene: scene(row)?, texts, tags: parsed(row, "tags")?, vectors: Vec::new() })
        })
        .collect::<Result<Vec<_>>>()?;
    for row in vectors {
        let ordinal = number(row, "ordinal")?;
        if let Some(scene) = scenes.get_mut(ordinal as usize) {
            scene.vectors.push(vector(row)?);
        }
    }
    let spaces: Vec<EmbedSpec> = parsed(row, "spaces")?;
    let order: Vec<String> = spaces.iter().map(EmbedSpec::space).collect();
    for scene in &mut scenes {
        scene.vectors.sort_by_key(|row| order.iter().position(|space| *space == row.space));
    }
    Ok(Some(IndexedVideo {
        video: record(row)?,
        shots: shots.iter().map(|row| Ok(Shot { span: span(row)? })).collect::<Result<_>>()?,
        keyframes: keyframes.iter().map(keyframe).collect::<Result<_>>()?,
        transcript: transcript.map(serde_json::from_str).transpose().map_err(unreadable("transcript"))?,
        segments: segments.iter().map(|row| parsed(row, "segment")).collect::<Result<_>>()?,
        scenes,
        spaces,
    }))
}

fn vector(row: &SqliteRow) -> Result<VectorRow> {
    Ok(VectorRow {
        space: get(row, "space")?,
        origin: parsed(row, "origin")?,
        time: time(row, "time_us")?,
        vector: Vector::try_from(floats(get(row, "vector")?))?,
    })
}

pub(super) async fn scene_vectors(
    reader: &mut SqliteConnection,
    library: LibraryId,
    scene: SceneId,
) -> Result<Vec<VectorRow>> {
    let rows = sqlx::query(
        "SELECT s.space, v.origin, v.time_us, v.vector FROM vectors v JOIN spaces s USING (space_id)
         WHERE v.library_id = ? AND v.video_id = ? AND v.ordinal = ? AND s.active ORDER BY v.vector_id",
    )
    .bind(library_bytes(library))
    .bind(video_bytes(scene.video))
    .bind(scene.ordinal)
    .fetch_all(reader)
    .await
    .map_err(failed("reading vectors"))?;
    rows.iter().map(vector).collect()
}

fn scene(row: &SqliteRow) -> Result<Scene> {
    Ok(Scene {
        ordinal: number(row, "ordinal")?,
        span: span(row)?,
        shot: number(row, "shot")?,
        speech: get(row, "speech")?,
        words: parsed(row, "words")?,
    })
}

fn keyframe(row: &SqliteRow) -> Result<Keyframe> {
    Ok(Keyframe {
        time: time(row, "time_us")?,
        shot: number(row, "shot")?,
        quality: get::<f64>(row, "quality")? as f32,
        thumbnail: get(row, "thumbnail")?,
        picture: get(row, "picture")?,
    })
}

pub(super) fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

pub(super) async fn scenes(
    reader: &mut SqliteConnection,
    library: LibraryId,
    ids: &[SceneId],
) -> Result<Vec<SceneRecord>> {
    let failed = failed("reading scenes");
    let asked: Vec<(String, u32)> =
        ids.iter().map(|id| (id.video.0.simple().to_string(), id.ordinal)).collect();
    let asked = super::json(&asked)?;
    // One snapshot: a scene of one index is never given with keyframes of another.
    let mut tx = reader.begin().await.map_err(&failed)?;
    let mut all = Vec::new();
    for sql in [
        "SELECT asked.key AS place, s.ordinal, s.start_us, s.end_us, s.shot, s.speech, s.words, s.tags, v.title,
                v.source, v.duration_us
         FROM json_each(?2) asked
         JOIN scenes s ON s.library_id = ?1 AND s.video_id = unhex(asked.value ->> 0)
                      AND s.ordinal = asked.value ->> 1
         JOIN videos v ON v.library_id = ?1 AND v.video_id = s.video_id
         ORDER BY place",
        "SELECT asked.key AS place, k.time_us, k.shot, k.quality, k.thumbnail, k.picture
         FROM json_each(?2) asked
         JOIN scenes s ON s.library_id = ?1 AND s.video_id = unhex(asked.value ->> 0)
                      AND s.ordinal = asked.value ->> 1
         JOIN keyframes k ON k.library_id = ?1 AND k.video_id = s.video_id AND k.shot = s.shot
         ORDER BY place, k.ordinal",
    ] {
        let rows = sqlx::query(sql).bind(library_bytes(library)).bind(&asked).fetch_all(&mut *tx).await;
        all.push(rows.map_err(&failed)?);
    }
    let [scenes, keyframes] = all.as_slice() else { return Ok(Vec::new()) };
    let mut of_place: BTreeMap<i64, Vec<Keyframe>> = BTreeMap::new();
    for row in keyframes {
        of_place.entry(get(row, "place")?).or_default().push(keyframe(row)?);
    }
    scenes
        .iter()
        .map(|row| {
            let place: i64 = get(row, "place")?;
            let id = usize::try_from(place).ok().and_then(|place| ids.get(place));
            let scene = scene(row)?;
            Ok(SceneRecord {
                id: *id.ok_or_else(|| Error::store("reading scenes", "a row that was not asked for"))?,
                keyframes: of_scene(of_place.remove(&place).unwrap_or_default(), scene.span),
                scene,
                tags: parsed(row, "tags")?,
                video_title: get(row, "title")?,
                video_source: get(row, "source")?,
                video_duration: time(row, "duration_us")?,
            })
        })
        .collect()
}

/// Files that no index names any more: of one video, or of all that are gone.
pub(super) async fn leftovers(
    reader: &mut SqliteConnection,
    library: LibraryId,
    video: Option<VideoId>,
) -> Result<Vec<String>> {
    sqlx::query_scalar(
        "SELECT file FROM leftovers l WHERE library_id = ?1 AND (video_id = ?2 OR ?2 IS NULL AND NOT EXISTS
             (SELECT 1 FROM videos v WHERE v.library_id = l.library_id AND v.video_id = l.video_id))
         ORDER BY file",
    )
    .bind(library_bytes(library))
    .bind(video.map(video_bytes))
    .fetch_all(reader)
    .await
    .map_err(failed("reading files to delete"))
}

pub(super) async fn spaces(reader: &mut SqliteConnection, library: LibraryId) -> Result<Vec<EmbedSpec>> {
    let rows = sqlx::query(
        "SELECT spec FROM spaces s WHERE library_id = ? AND active
         AND EXISTS (SELECT 1 FROM codes c WHERE c.library_id = s.library_id AND c.space_id = s.space_id)
         ORDER BY space",
    )
    .bind(library_bytes(library))
    .fetch_all(reader)
    .await
    .map_err(failed("reading embedding spaces"))?;
    rows.iter().map(|row| parsed(row, "spec")).collect()
}

pub(super) async fn checkpoint(
    reader: &mut SqliteConnection,
    library: LibraryId,
    video: VideoId,
    stage: Stage,
    key: &str,
) -> Result<Option<Vec<u8>>> {
    sqlx::query_scalar(
        "SELECT output FROM checkpoints WHERE library_id = ? AND video_id = ? AND stage = ? AND key = ?",
    )
    .bind(library_bytes(library))
    .bind(video_bytes(video))
    .bind(stage.as_str())
    .bind(key)
    .fetch_optional(reader)
    .await
    .map_err(failed("reading a stage's output"))
}

pub(super) async fn stages(
    reader: &mut SqliteConnection,
    library: LibraryId,
    video: VideoId,
) -> Result<Vec<StageRecord>> {
    let rows = sqlx::query(
        "SELECT stage, state, started_us, ended_us, reused, error_kind, error FROM stages
         WHERE library_id = ? AND video_id = ? ORDER BY position",
    )
    .bind(library_bytes(library))
    .bind(video_bytes(video))
    .fetch_all(reader)
    .await
    .map_err(failed("reading stages"))?;
    rows.iter()
        .map(|row| {
            let kind: Option<&str> = get(row, "error_kind")?;
            Ok(StageRecord {
                stage: named(get(row, "stage")?, "stage")?,
                state: named(get(row, "state")?, "state")?,
                started_us: get(row, "started_us")?,
                ended_us: get(row, "ended_us")?,
                reused: get(row, "reused")?,
                error_kind: kind.map(|kind| named(kind, "error_kind")).transpose()?,
                error: get(row, "error")?,
            })
        })
        .collect()
}
