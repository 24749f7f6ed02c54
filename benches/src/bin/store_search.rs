//! Fills a library with many scenes and times what people wait for, with sqlite-vec beside it.
//!
//! `store_search --text FILE [--scenes N] [--dim N]…`
//!
//! FILE holds one real text a line, a scene each; `benches/texts.sh` makes one of 117,000
//! dictionary definitions. The vectors are synthetic.

#![allow(clippy::print_stdout, clippy::expect_used, clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use heimdex::embed::{EmbedSpec, Pooling, Vector};
use heimdex::media::MediaInfo;
use heimdex::scenes::Scene;
use heimdex::shots::Shot;
use heimdex::store::{
    Filter, IndexStore, IndexedScene, IndexedVideo, SqliteStore, TextQuery, VectorOrigin, VectorRow,
    VideoRecord, VideoState,
};
use heimdex::transcript::{TranscriptSource, Word};
use heimdex::{LibraryId, SceneId, Span, Timestamp, VideoId};

const SCENES_A_VIDEO: usize = 100;
const QUERIES: usize = 50;
const LIMIT: usize = 10;

/// A small generator, so that every run has the same data.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// A direction: the sum of a few uniform numbers is close to normal.
    fn vector(&mut self, dim: usize) -> Vector {
        let values = (0..dim).map(|_| (0..4).map(|_| self.unit()).sum::<f32>() - 2.0).collect();
        Vector::normalize(values).unwrap()
    }

    /// Three of the longer words of one text: what somebody remembers of it.
    fn asked(&mut self, texts: &[String]) -> Vec<String> {
        loop {
            let text = &texts[self.next() as usize % texts.len()];
            let words: Vec<String> =
                heimdex::text::analyze(text).into_iter().filter(|w| w.len() > 3).collect();
            if words.len() >= 3 {
                let first = self.next() as usize % (words.len() - 2);
                return words[first..first + 3].to_vec();
            }
        }
    }
}

fn video(number: usize, spec: &EmbedSpec, random: &mut Random, texts: &[String]) -> IndexedVideo {
    let source = format!("/videos/{number}.mp4");
    let at = |seconds: usize| Timestamp::from_millis(seconds as i64 * 1000);
    let space = spec.space();
    let scenes: Vec<IndexedScene> = (0..SCENES_A_VIDEO)
        .map(|i| {
            let said: Vec<&str> =
                texts[(number * SCENES_A_VIDEO + i) % texts.len()].split_whitespace().collect();
            let span = Span::new(at(i * 10), at(i * 10 + 10));
            IndexedScene {
                scene: Scene {
                    ordinal: i as u32,
                    span,
                    shot: i as u32,
                    speech: said.join(" "),
                    words: said
                        .iter()
                        .map(|w| Word { text: (*w).to_owned(), span, probability: None })
                        .collect(),
                },
                texts: BTreeMap::new(),
                tags: Vec::new(),
                vectors: vec![VectorRow {
                    space: space.clone(),
                    origin: VectorOrigin::Text { channel: "speech".into() },
                    time: at(i * 10),
                    vector: random.vector(spec.dim),
                }],
            }
        })
        .collect();
    IndexedVideo {
        video: VideoRecord {
            id: VideoId::of_source(source.as_bytes()),
            title: format!("video {number}"),
            source,
            description: String::new(),
            fingerprint: String::new(),
            duration: at(SCENES_A_VIDEO * 10),
            media: MediaInfo::default(),
            language: None,
            created_at: None,
            warnings: Vec::new(),
            settings: BTreeMap::new(),
            state: VideoState::Indexed,
        },
        shots: scenes.iter().map(|s| Shot { span: s.scene.span }).collect(),
        keyframes: Vec::new(),
        transcript: Some(TranscriptSource::File { name: "x.srt".into() }),
        segments: Vec::new(),
        scenes,
        spaces: vec![spec.clone()],
    }
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    format!("p50 {:.1} ms, p95 {:.1} ms", at(0.5), at(0.95))
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut scenes, mut dims, mut texts) = (100_000, Vec::new(), Vec::new());
    while let Some(argument) = arguments.next() {
        let value = arguments.next().expect("a value");
        match argument.as_str() {
            "--scenes" => scenes = value.parse().expect("a number"),
            "--dim" => dims.push(value.parse().expect("a number")),
            "--text" => {
                let text = std::fs::read_to_string(&value).expect("a text file");
                texts = text.lines().map(str::to_owned).collect();
            }
            other => panic!("no option {other}"),
        }
    }
    assert!(!texts.is_empty(), "give texts with --text FILE, one a line");
    if dims.is_empty() {
        dims = vec![384, 768];
    }
    for dim in dims {
        measure(scenes, dim, &texts).await;
    }
}

async fn measure(scenes: usize, dim: usize, texts: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("library.db");
    let library = LibraryId::default();
    let spec = EmbedSpec::new("bench/model", "00", "00", dim, Pooling::Mean, 256);
    let mut random = Random(0x1234_5678_9abc_def1);
    println!("{scenes} scenes of {} texts, {dim} dimensions", texts.len());

    let store = SqliteStore::open(&path).await.unwrap();
    let mut all: Vec<(SceneId, Vector)> = Vec::new();
    let mut spent = Duration::ZERO;
    for number in 0..scenes.div_ceil(SCENES_A_VIDEO) {
        let video = video(number, &spec, &mut random, texts);
        all.extend(video.scenes.iter().map(|s| {
            (SceneId { video: video.video.id, ordinal: s.scene.ordinal }, s.vectors[0].vector.clone())
        }));
        let begun = Instant::now();
        store.replace_video(library, &video).await.unwrap();
        spent += begun.elapsed();
    }
    println!("  insert          {:.0} scenes a second", all.len() as f64 / spent.as_secs_f64());
    store.close().await;

    let store = SqliteStore::open(&path).await.unwrap();
    let queries: Vec<Vector> = (0..QUERIES).map(|_| random.vector(dim)).collect();
    let space = spec.space();
    let search = async |query: &Vector, filter: &Filter| {
        let begun = Instant::now();
        let hits = store.search_vectors(library, &space, query, filter, LIMIT).await.unwrap();
        (begun.elapsed(), hits)
    };
    let (cold, _) = search(&queries[0], &Filter::default()).await;
    println!("  first query     {:.0} ms", cold.as_secs_f64() * 1e3);
    let mut times = Vec::new();
    let mut right = 0;
    for query in &queries {
        let (time, hits) = search(query, &Filter::default()).await;
        times.push(time);
        let truth = brute_force(&all, query, None);
        right += hits.iter().filter(|hit| truth.contains(&hit.scene)).count();
    }
    println!(
        "  vectors         {}, recall@{LIMIT} {:.4}",
        percentiles(times),
        right as f64 / (LIMIT * QUERIES) as f64
    );
    for share in [0.001, 0.01, 0.1, 0.5] {
        let chosen: Vec<VideoId> = all.iter().step_by(SCENES_A_VIDEO).map(|(id, _)| id.video).collect();
        let count = ((chosen.len() as f64 * share).ceil() as usize).max(1);
        let chosen: Vec<VideoId> =
            chosen.into_iter().step_by((all.len() / SCENES_A_VIDEO / count).max(1)).collect();
        let mut filter = Filter::default();
        filter.videos.clone_from(&chosen);
        let (mut times, mut right, mut wanted) = (Vec::new(), 0, 0);
        for query in &queries[..20] {
            let (time, hits) = search(query, &filter).await;
            times.push(time);
            let truth = brute_force(&all, query, Some(&chosen));
            right += hits.iter().filter(|hit| truth.contains(&hit.scene)).count();
            wanted += truth.len();
        }
        println!(
            "  filter {:>5.1} %  {}, recall {:.4}",
            share * 100.0,
            percentiles(times),
            right as f64 / f64::from(wanted as u32)
        );
    }
    let mut times = Vec::new();
    for _ in 0..QUERIES {
        let any = random.asked(texts).into_iter().map(|word| vec![word]).collect();
        let query = TextQuery { any, ..TextQuery::default() };
        let begun = Instant::now();
        store.search_text(library, "speech", &query, &Filter::default(), LIMIT).await.unwrap();
        times.push(begun.elapsed());
    }
    println!("  three words     {}", percentiles(times));
    both(&store, library, &spec, &queries, &mut random, texts).await;
    sqlite_vec(&all, &queries, dim).await;
}

/// Words and meaning, fused, with all that a hit shows.
async fn both(
    store: &SqliteStore,
    library: LibraryId,
    spec: &EmbedSpec,
    queries: &[Vector],
    random: &mut Random,
    texts: &[String],
) {
    struct Fixed(EmbedSpec, Vector);
    impl heimdex::embed::TextEmbedder for Fixed {
        fn spec(&self) -> &EmbedSpec {
            &self.0
        }
        fn embed(&self, texts: &[&str], _: heimdex::embed::Role) -> heimdex::Result<Vec<Vector>> {
            Ok(vec![self.1.clone(); texts.len()])
        }
    }
    let mut times = Vec::new();
    for query in queries {
        let text_model = std::sync::Arc::new(Fixed(spec.clone(), query.clone()));
        let models = heimdex::search::Models { text: Some(text_model), ..Default::default() };
        let text = random.asked(texts).join(" ");
        let mut request = heimdex::search::SearchRequest::new(text);
        request.min_similarity = -1.0;
        let begun = Instant::now();
        heimdex::search::search(store, library, &models, &request).await.unwrap();
        times.push(begun.elapsed());
    }
    println!("  whole search    {}", percentiles(times));
}

fn brute_force(all: &[(SceneId, Vector)], query: &Vector, videos: Option<&[VideoId]>) -> Vec<SceneId> {
    let mut scored: Vec<(f64, SceneId)> = all
        .iter()
        .filter(|(id, _)| videos.is_none_or(|videos| videos.contains(&id.video)))
        .map(|(id, vector)| {
            let pairs = vector.as_slice().iter().zip(query.as_slice());
            (pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum(), *id)
        })
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    scored.into_iter().take(LIMIT).map(|(_, id)| id).collect()
}

/// The same vectors in sqlite-vec, in one table of its own.
async fn sqlite_vec(all: &[(SceneId, Vector)], queries: &[Vector], dim: usize) {
    type Declared = unsafe extern "C" fn();
    type Real = unsafe extern "C" fn(
        *mut libsqlite3_sys::sqlite3,
        *mut *mut std::ffi::c_char,
        *const libsqlite3_sys::sqlite3_api_routines,
    ) -> std::ffi::c_int;
    // SAFETY: SQLite calls the function with the signature of an extension's entry point, which is
    // the one that sqlite-vec has; the crate declares it without arguments.
    unsafe {
        libsqlite3_sys::sqlite3_auto_extension(Some(std::mem::transmute::<Declared, Real>(
            sqlite_vec::sqlite3_vec_init,
        )));
    }
    let folder = tempfile::tempdir().unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(folder.path().join("vec.db"))
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    let pool = sqlx::sqlite::SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    let bytes = |v: &Vector| -> Vec<u8> { v.as_slice().iter().flat_map(|x| x.to_le_bytes()).collect() };
    let sql = format!("CREATE VIRTUAL TABLE v USING vec0(embedding float[{dim}] distance_metric=cosine)");
    sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&pool).await.unwrap();
    let begun = Instant::now();
    let mut tx = pool.begin().await.unwrap();
    for (i, (_, vector)) in all.iter().enumerate() {
        sqlx::query("INSERT INTO v (rowid, embedding) VALUES (?, ?)")
            .bind(i as i64)
            .bind(bytes(vector))
            .execute(&mut *tx)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let rate = all.len() as f64 / begun.elapsed().as_secs_f64();
    let mut times = Vec::new();
    for query in queries {
        let begun = Instant::now();
        let rows = sqlx::query("SELECT rowid, distance FROM v WHERE embedding MATCH ? AND k = 10")
            .bind(bytes(query))
            .fetch_all(&pool)
            .await
            .unwrap();
        assert_eq!(rows.len(), LIMIT);
        times.push(begun.elapsed());
    }
    println!("  sqlite-vec      {}; vectors alone, {rate:.0} inserted a second", percentiles(times));
}
