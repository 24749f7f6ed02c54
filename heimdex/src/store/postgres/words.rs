//! Search by word. Scores are those of FTS5, which the embedded store uses, to the last bit: the same
//! formula over the same counts, in the same order.
//!
//! Texts that hold a token are found by a GIN index. What the score needs is counted in the text
//! itself: Postgres keeps no more than 255 places of a lexeme and none past 16,383.

use std::collections::BTreeSet;

use sqlx::{PgPool, Postgres, QueryBuilder, Row};

use super::filter::{SceneFilter, allowed_videos};
use super::write::Tx;
use super::{failed, scene_number, storable};
use crate::store::{Filter, IndexedVideo, ScoredScene, TextQuery};
use crate::{LibraryId, Result, SceneId, VideoId};

/// The ordinal of a text that stands for a whole video.
const WHOLE_VIDEO: i32 = -1;

/// A text's lexemes end here: Postgres takes no more than a mebibyte of them. Words of its own that a
/// text has beyond are not found.
const MAX_LEXEME_BYTES: usize = 900_000;

/// Longest token that is looked up; tokens of our own analyzer are shorter.
const MAX_TOKEN_BYTES: usize = 1024;

/// Texts and tokens of a library, or of a video.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    texts: i64,
    tokens: i64,
}

impl std::ops::Sub for Count {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { texts: self.texts - other.texts, tokens: self.tokens - other.tokens }
    }
}

impl std::ops::Neg for Count {
    type Output = Self;

    fn neg(self) -> Self {
        Self::default() - self
    }
}

/// What a lexeme begins with. Scores of `speech` and `title` follow from their own texts, those of all
/// other channels from the texts of these together. Two libraries may share the letters: every look-up
/// compares the whole id too.
fn prefix(library: LibraryId, channel: &str) -> String {
    let kind = match channel {
        "speech" => 's',
        "title" => 't',
        _ => 'o',
    };
    let library = library.0.simple().to_string();
    format!("{}{kind}", &library[..8])
}

/// The texts and tokens that are stored of a video.
pub(super) async fn count(tx: &mut Tx<'_>, library: LibraryId, video: VideoId) -> Result<Count> {
    let (texts, tokens) = sqlx::query_as(
        "SELECT count(*), coalesce(sum(length), 0) FROM texts WHERE library_id = $1 AND video_id = $2",
    )
    .bind(library.0)
    .bind(video.0)
    .fetch_one(&mut **tx)
    .await
    .map_err(failed("counting words"))?;
    Ok(Count { texts, tokens })
}

/// Comes last in a transaction: all writers of a library wait for each other here.
pub(super) async fn add_count(tx: &mut Tx<'_>, library: LibraryId, count: Count) -> Result<()> {
    sqlx::query("UPDATE libraries SET texts = texts + $2, tokens = tokens + $3 WHERE library_id = $1")
        .bind(library.0)
        .bind(count.texts)
        .bind(count.tokens)
        .execute(&mut **tx)
        .await
        .map(|_| ())
        .map_err(failed("counting words"))
}

pub(super) async fn insert(tx: &mut Tx<'_>, library: LibraryId, video: &IndexedVideo) -> Result<Count> {
    let mut count = Count::default();
    let (mut ordinals, mut channels, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    let (mut texts, mut lexemes) = (Vec::new(), Vec::new());
    let mut add = |ordinal: i32, channel: &str, text: &str| {
        let tokens = crate::text::analyze(text);
        if tokens.is_empty() {
            return;
        }
        count.texts += 1;
        count.tokens += tokens.len() as i64;
        ordinals.push(ordinal);
        channels.push(storable(channel));
        lengths.push(tokens.len() as i32);
        texts.push(tokens.iter().map(|token| format!(" {token} ")).collect::<String>());
        lexemes.push(vector_text(&prefix(library, channel), &tokens));
    };
    add(WHOLE_VIDEO, "title", &format!("{}\n{}", video.video.title, video.video.description));
    for scene in &video.scenes {
        let ordinal = scene.scene.ordinal as i32;
        add(ordinal, "speech", &scene.scene.speech);
        for (channel, text) in &scene.texts {
            add(ordinal, channel, text);
        }
    }
    sqlx::query(
        "INSERT INTO texts (library_id, video_id, ordinal, channel, length, tokens, lexemes)
         SELECT $1, $2, ordinal, channel, length, tokens, lexemes::tsvector
         FROM unnest($3::integer[], $4::text[], $5::integer[], $6::text[], $7::text[])
              AS t (ordinal, channel, length, tokens, lexemes)",
    )
    .bind(library.0)
    .bind(video.video.id.0)
    .bind(ordinals)
    .bind(channels)
    .bind(lengths)
    .bind(texts)
    .bind(lexemes)
    .execute(&mut **tx)
    .await
    .map(|_| count)
    .map_err(failed("storing words"))
}

/// The different tokens as Postgres reads a tsvector.
fn vector_text(prefix: &str, tokens: &[String]) -> String {
    let mut text = String::new();
    let mut bytes = 0;
    for token in tokens.iter().collect::<BTreeSet<_>>() {
        bytes += prefix.len() + token.len() + 1;
        if bytes > MAX_LEXEME_BYTES {
            break;
        }
        text.push_str(&lexeme(prefix, token));
        text.push(' ');
    }
    text
}

fn lexeme(prefix: &str, token: &str) -> String {
    let mut text = format!("'{prefix}");
    for c in token.chars() {
        if matches!(c, '\'' | '\\') {
            text.push(c);
        }
        text.push(c);
    }
    text.push('\'');
    text
}

/// A run of tokens, or the beginning of one, to be counted.
struct Wanted {
    tokens: Vec<String>,
    prefix: bool,
}

impl Wanted {
    /// The condition for the index: every token is there.
    fn condition(&self, prefix: &str) -> String {
        let end = if self.prefix { ":*" } else { "" };
        let tokens: Vec<String> = self.tokens.iter().map(|t| format!("{}{end}", lexeme(prefix, t))).collect();
        format!("({})", tokens.join(" & "))
    }

    /// The expression for how often a text holds it.
    fn push_count(&self, sql: &mut QueryBuilder<Postgres>) {
        let [first, rest @ ..] = self.tokens.as_slice() else { return };
        let run: String = self.tokens.iter().map(|token| format!(" {token} ")).collect();
        if rest.is_empty() {
            // A token stands between spaces of its own, so that places never overlap.
            let sought = if self.prefix { format!(" {first}") } else { run };
            let bytes = sought.len() as i32;
            sql.push("(octet_length(t.tokens) - octet_length(replace(t.tokens, ").push_bind(sought);
            sql.push(", ''))) / ").push_bind(bytes);
        } else {
            // A run may begin inside itself: what follows its first token is only looked at.
            let behind: String = rest.iter().map(|token| format!(" {} ", escaped(token))).collect();
            sql.push("CASE WHEN strpos(t.tokens, ").push_bind(run);
            sql.push(") = 0 THEN 0 ELSE regexp_count(t.tokens, ");
            sql.push_bind(format!(" {} (?={behind})", escaped(first))).push(") END");
        }
    }
}

/// A token as a pattern: letters and digits stand for themselves.
fn escaped(token: &str) -> String {
    token.chars().flat_map(|c| (!c.is_alphanumeric()).then_some('\\').into_iter().chain([c])).collect()
}

/// What to count, and how many of it, from the first, a text must hold; those after need one. Nothing
/// is left of runs that no text can hold.
fn wanted(query: &TextQuery) -> (Vec<Wanted>, usize) {
    let run = |tokens: &Vec<String>| {
        let tokens = tokens.iter().map(|t| storable(t)).collect();
        Wanted { tokens, prefix: false }
    };
    let mut all: Vec<Wanted> = query.all.iter().filter(|run| !run.is_empty()).map(run).collect();
    let required = all.len();
    all.extend(query.any.iter().filter(|run| !run.is_empty()).map(run));
    all.extend(query.any_prefix.iter().map(|token| Wanted { tokens: vec![storable(token)], prefix: true }));
    (all, required)
}

pub(super) async fn search(
    pool: &PgPool,
    library: LibraryId,
    channel: &str,
    query: &TextQuery,
    filter: &Filter,
    limit: usize,
) -> Result<Vec<ScoredScene>> {
    let scenes = SceneFilter::of(filter)?;
    let allowed = allowed_videos(pool, library, filter).await?;
    let (wanted, required) = wanted(query);
    let readable = |w: &Wanted| w.tokens.iter().all(|t| !t.is_empty() && t.len() <= MAX_TOKEN_BYTES);
    if wanted[..required].iter().any(|w| !readable(w)) || limit == 0 {
        return Ok(Vec::new());
    }
    let wanted: Vec<Wanted> = wanted.into_iter().filter(readable).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let failed = failed("searching words");
    let mut sql = statement(library, channel, &wanted, required, &scenes, allowed);
    sql.push(" ORDER BY score DESC, video_id, ordinal LIMIT ")
        .push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = sql.build().fetch_all(pool).await.map_err(&failed)?;
    rows.iter()
        .map(|row| {
            let video = VideoId(row.try_get("video_id").map_err(&failed)?);
            let ordinal = scene_number(row.try_get("ordinal").map_err(&failed)?)?;
            let score = row.try_get("score").map_err(&failed)?;
            Ok(ScoredScene { scene: SceneId { video, ordinal }, score, time: None })
        })
        .collect()
}

/// Scenes and scores, unordered. Values never become part of the SQL.
///
/// `matched` holds every text of the kind of channel that may hold anything of the query, filtered or
/// not: how rare a run is does not depend on a filter.
fn statement(
    library: LibraryId,
    channel: &str,
    wanted: &[Wanted],
    required: usize,
    scenes: &SceneFilter,
    allowed: Option<Vec<uuid::Uuid>>,
) -> QueryBuilder<Postgres> {
    let prefix = prefix(library, channel);
    let condition: Vec<String> = wanted.iter().map(|w| w.condition(&prefix)).collect();
    let mut sql = QueryBuilder::<Postgres>::new(
        "WITH matched AS MATERIALIZED (SELECT t.video_id, t.ordinal, t.channel, t.length",
    );
    for (i, run) in wanted.iter().enumerate() {
        sql.push(", ");
        run.push_count(&mut sql);
        sql.push(format!(" AS f{i}"));
    }
    sql.push(" FROM texts t WHERE t.library_id = ").push_bind(library.0);
    sql.push(" AND t.lexemes @@ ").push_bind(condition.join(" | ")).push("::tsquery), ");

    // FTS5 counts the channel of a text as a token of it.
    sql.push(
        "library AS (SELECT texts::float8 AS n, (tokens + texts)::float8 / texts::float8 AS average
         FROM libraries WHERE texts > 0 AND library_id = ",
    );
    sql.push_bind(library.0).push("), found AS (SELECT ");
    for i in 0..wanted.len() {
        sql.push(format!("count(*) FILTER (WHERE f{i} > 0)::float8 AS h{i}, "));
    }
    sql.push("count(*) AS texts FROM matched), rarity AS (SELECT average");
    for i in 0..wanted.len() {
        let odds = format!("(n - h{i} + 0.5::float8) / (h{i} + 0.5::float8)");
        // A logarithm that is not above zero counts next to nothing.
        sql.push(format!(", CASE WHEN {odds} > 1 THEN ln({odds}) ELSE 1e-6::float8 END AS i{i}"));
    }
    sql.push(" FROM found, library) SELECT m.video_id, s.ordinal, (0::float8");
    // Runs that a text must hold stand twice in the query of FTS5 when others only help.
    let twice = if wanted.len() > required { required } else { 0 };
    for i in (0..twice).chain(0..wanted.len()) {
        sql.push(format!(
            " + i{i} * ((f{i}::float8 * (1.2::float8 + 1)) / (f{i}::float8 + 1.2::float8 *
              (0.25::float8 + 0.75::float8 * (m.length + 1)::float8 / average)))"
        ));
    }
    sql.push(")::real AS score FROM matched m CROSS JOIN rarity CROSS JOIN LATERAL (");
    if scenes.is_empty() && channel != "title" {
        sql.push("SELECT m.ordinal");
    } else {
        // The first scene that passes stands for a text of a whole video.
        sql.push("SELECT min(s.ordinal) AS ordinal FROM scenes s WHERE s.library_id = ").push_bind(library.0);
        sql.push(" AND s.video_id = m.video_id AND (m.ordinal < 0 OR s.ordinal = m.ordinal)");
        scenes.push(&mut sql);
    }
    sql.push(") s WHERE s.ordinal IS NOT NULL AND m.channel = ").push_bind(storable(channel));
    if let Some(allowed) = allowed {
        sql.push(" AND m.video_id = ANY(").push_bind(allowed).push(")");
    }
    let holds = |range: std::ops::Range<usize>| range.map(|i| format!("f{i} > 0")).collect::<Vec<_>>();
    if required > 0 {
        sql.push(format!(" AND {}", holds(0..required).join(" AND ")));
    } else {
        sql.push(format!(" AND ({})", holds(0..wanted.len()).join(" OR ")));
    }
    sql
}
