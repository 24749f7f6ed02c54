//! Recall and speed of vector search in Postgres, filtered and not, beside multiplying everything.
//!
//! `postgres_search --database-url URL [--scenes 100000] [--dim 768] [--seconds 10] [--keep]`
//!
//! The database is emptied of the library `bench` before, and after unless `--keep` is given, with which
//! the next run does not load again.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use heimdex::embed::{EmbedSpec, Pooling, Vector};
use heimdex::media::MediaInfo;
use heimdex::scenes::Scene;
use heimdex::shots::Shot;
use heimdex::store::{
    Filter, IndexStore, IndexedScene, IndexedVideo, PostgresStore, VectorOrigin, VectorRow, VideoRecord,
    VideoState,
};
use heimdex::{LibraryId, SceneId, Span, Timestamp, VideoId};
use sqlx::{Connection, PgConnection};

const SCENES_A_VIDEO: usize = 100;
const QUERIES: usize = 100;
const LIMIT: usize = 10;
const CLIENTS: usize = 8;
const LOADERS: usize = 4;

/// Vectors lie around so many centres, as those of texts do.
const CLUSTERS: usize = 1000;

/// How far a vector is from its centre, whose length is 1.
const SPREAD: f32 = 0.7;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// About normal: the sum of four even ones.
    fn normal(&mut self) -> f32 {
        (0..4).map(|_| self.uniform()).sum::<f32>() * 1.732 - 3.464
    }

    fn around(&mut self, centre: &[f32], spread: f32) -> Vec<f32> {
        let scale = spread / (centre.len() as f32).sqrt();
        let vector: Vec<f32> = centre.iter().map(|c| c + self.normal() * scale).collect();
        let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
        vector.into_iter().map(|v| v / length).collect()
    }
}

struct Vectors {
    dim: usize,
    all: Vec<f32>,
    queries: Vec<Vec<f32>>,
}

impl Vectors {
    fn make(count: usize, dim: usize) -> Self {
        let mut random = Random(0x1234_5678_9abc_def1);
        let zero = vec![0.0; dim];
        let centres: Vec<Vec<f32>> = (0..CLUSTERS).map(|_| random.around(&zero, 1.0)).collect();
        let mut all = Vec::with_capacity(count * dim);
        for _ in 0..count {
            let centre = random.next() as usize % CLUSTERS;
            all.extend(random.around(&centres[centre], SPREAD));
        }
        let queries = (0..QUERIES)
            .map(|_| {
                let centre = random.next() as usize % CLUSTERS;
                random.around(&centres[centre], SPREAD)
            })
            .collect();
        Self { dim, all, queries }
    }

    fn of(&self, n: usize) -> &[f32] {
        &self.all[n * self.dim..][..self.dim]
    }

    fn count(&self) -> usize {
        self.all.len() / self.dim
    }

    /// The numbers of the best vectors of these videos, by plain multiplication.
    fn best(&self, query: &[f32], videos: Option<&BTreeSet<usize>>) -> Vec<usize> {
        let parts: Vec<Vec<(f32, usize)>> = std::thread::scope(|scope| {
            let half = self.count().div_ceil(2);
            let threads: Vec<_> = [0..half, half..self.count()]
                .into_iter()
                .map(|range| {
                    scope.spawn(move || {
                        let mut scored: Vec<(f32, usize)> = range
                            .filter(|n| videos.is_none_or(|videos| videos.contains(&(n / SCENES_A_VIDEO))))
                            .map(|n| (self.of(n).iter().zip(query).map(|(a, b)| a * b).sum(), n))
                            .collect();
                        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
                        scored.truncate(LIMIT);
                        scored
                    })
                })
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        let mut all = parts.concat();
        all.sort_by(|a, b| b.0.total_cmp(&a.0));
        all.into_iter().take(LIMIT).map(|(_, n)| n).collect()
    }
}

fn video_id(number: usize) -> VideoId {
    VideoId::of_source(format!("/videos/{number}.mp4").as_bytes())
}

fn video(number: usize, spec: &EmbedSpec, vectors: &Vectors) -> IndexedVideo {
    let at = |seconds: usize| Timestamp::from_millis(seconds as i64 * 1000);
    let first = number * SCENES_A_VIDEO;
    let count = SCENES_A_VIDEO.min(vectors.count() - first);
    let scenes: Vec<IndexedScene> = (0..count)
        .map(|i| IndexedScene {
            scene: Scene {
                ordinal: i as u32,
                span: Span::new(at(i * 10), at(i * 10 + 10)),
                shot: i as u32,
                speech: String::new(),
                words: Vec::new(),
            },
            texts: BTreeMap::new(),
            tags: Vec::new(),
            vectors: vec![VectorRow {
                space: spec.space(),
                origin: VectorOrigin::Text { channel: "speech".into() },
                time: at(i * 10),
                vector: Vector::normalize(vectors.of(first + i).to_vec()).unwrap(),
            }],
        })
        .collect();
    IndexedVideo {
        video: VideoRecord {
            id: video_id(number),
            title: format!("video {number}"),
            source: format!("/videos/{number}.mp4"),
            description: String::new(),
            fingerprint: String::new(),
            duration: at(count * 10),
            media: MediaInfo::default(),
            language: None,
            created_at: None,
            warnings: Vec::new(),
            settings: BTreeMap::new(),
            state: VideoState::Indexed,
        },
        shots: scenes.iter().map(|s| Shot { span: s.scene.span }).collect(),
        keyframes: Vec::new(),
        transcript: None,
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
    let (mut url, mut scenes, mut dim, mut seconds, mut keep) = (String::new(), 100_000, 768, 10, false);
    while let Some(argument) = arguments.next() {
        if argument == "--keep" {
            keep = true;
            continue;
        }
        let value = arguments.next().expect("a value");
        match argument.as_str() {
            "--database-url" => url = value,
            "--scenes" => scenes = value.parse().expect("a number"),
            "--dim" => dim = value.parse().expect("a number"),
            "--seconds" => seconds = value.parse().expect("a number"),
            other => panic!("no option {other}"),
        }
    }
    assert!(!url.is_empty(), "name a database with --database-url");
    let library = LibraryId::named("bench");
    let spec = EmbedSpec::new("bench/model", "00", "00", dim, Pooling::Mean, 256);
    println!("{scenes} vectors of {dim} dimensions in {CLUSTERS} clusters");
    let vectors = Vectors::make(scenes, dim);
    let store = PostgresStore::connect(&url).await.unwrap();
    load(&store, &url, library, &spec, &vectors).await;

    let queries: Vec<Vector> =
        vectors.queries.iter().map(|q| Vector::normalize(q.clone()).unwrap()).collect();
    let space = spec.space();
    let videos = scenes.div_ceil(SCENES_A_VIDEO);
    let numbers: BTreeMap<VideoId, usize> = (0..videos).map(|n| (video_id(n), n)).collect();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    for share in [0.001, 0.01, 0.1, 0.5, 1.0] {
        let mut filter = Filter::default();
        let mut chosen: BTreeSet<usize> = BTreeSet::new();
        if share < 1.0 {
            while chosen.len() < ((videos as f64 * share).ceil() as usize).max(1) {
                chosen.insert(random.next() as usize % videos);
            }
            filter.videos = chosen.iter().map(|n| video_id(*n)).collect();
        }
        let chosen = (share < 1.0).then_some(&chosen);
        let (mut times, mut right, mut wanted, mut fewest) = (Vec::new(), 0, 0, usize::MAX);
        // The first few fill the caches of the connection.
        for query in &queries[..5] {
            store.search_vectors(library, &space, query, &filter, LIMIT).await.unwrap();
        }
        for query in &queries {
            let begun = Instant::now();
            let hits = store.search_vectors(library, &space, query, &filter, LIMIT).await.unwrap();
            times.push(begun.elapsed());
            let found: BTreeSet<usize> = hits.iter().map(|hit| number(&numbers, hit.scene)).collect();
            let truth = vectors.best(query.as_slice(), chosen);
            right += truth.iter().filter(|n| found.contains(n)).count();
            wanted += truth.len();
            fewest = fewest.min(hits.len());
        }
        println!(
            "  filter {:>5.1} %  {}, recall@{LIMIT} {:.4}, at least {fewest} hits",
            share * 100.0,
            percentiles(times),
            right as f64 / wanted as f64
        );
    }
    let mut times = Vec::new();
    for query in &queries[..20] {
        let begun = Instant::now();
        store.search_vectors(library, &space, query, &Filter::default(), 500).await.unwrap();
        times.push(begun.elapsed());
    }
    println!("  500 hits        {}", percentiles(times));

    let until = Instant::now() + Duration::from_secs(seconds);
    let clients = (0..CLIENTS).map(|client| {
        let (store, queries, space) = (store.clone(), queries.clone(), space.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while Instant::now() < until {
                let query = &queries[(client * 13 + times.len()) % queries.len()];
                let begun = Instant::now();
                store.search_vectors(library, &space, query, &Filter::default(), LIMIT).await.unwrap();
                times.push(begun.elapsed());
            }
            times
        })
    });
    let times: Vec<Duration> =
        futures::future::join_all(clients).await.into_iter().flat_map(Result::unwrap).collect();
    println!(
        "  {CLIENTS} clients       {:.0} queries a second, {}",
        times.len() as f64 / seconds as f64,
        percentiles(times)
    );
    if !keep {
        store.delete_library(library).await.unwrap();
        store.build_indexes().await.unwrap();
    }
    store.close().await;
}

fn number(numbers: &BTreeMap<VideoId, usize>, scene: SceneId) -> usize {
    numbers[&scene.video] * SCENES_A_VIDEO + scene.ordinal as usize
}

/// Loads and indexes, unless an earlier run with `--keep` has.
async fn load(store: &PostgresStore, url: &str, library: LibraryId, spec: &EmbedSpec, vectors: &Vectors) {
    let videos = vectors.count().div_ceil(SCENES_A_VIDEO);
    let last = store.indexed_video(library, video_id(videos - 1)).await.unwrap();
    if last.as_ref() != Some(&video(videos - 1, spec, vectors)) {
        store.delete_library(library).await.unwrap();
        let begun = Instant::now();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let loaders = (0..LOADERS).map(|_| async {
            loop {
                let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if number >= videos {
                    break;
                }
                store.replace_video(library, &video(number, spec, vectors)).await.unwrap();
            }
        });
        futures::future::join_all(loaders).await;
        let spent = begun.elapsed().as_secs_f64();
        println!("  load            {spent:.0} s, {:.0} scenes a second", vectors.count() as f64 / spent);
        let begun = Instant::now();
        let made = store.build_indexes().await.unwrap();
        println!("  index build     {:.0} s, {made:?}", begun.elapsed().as_secs_f64());
    }
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::query("VACUUM ANALYZE heimdex.vectors").execute(&mut connection).await.unwrap();
    let (table, index): (i64, i64) = sqlx::query_as(
        "SELECT pg_table_size('heimdex.vectors'), (SELECT sum(pg_relation_size(indexrelid))::bigint FROM pg_index
             JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 'heimdex.vectors'::regclass
             AND c.relname ~ '^vectors_[0-9]+$')",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    println!("  size            vectors {} MB, index {} MB", table >> 20, index >> 20);
    connection.close().await.unwrap();
}
