//! The two stores give the same answers.
#![cfg(all(feature = "media", feature = "sqlite", feature = "postgres", feature = "candle"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;
#[path = "common/database.rs"]
#[allow(unreachable_pub)]
mod database;

use std::path::Path;
use std::sync::Arc;

use heimdex::embed::{DualEncoder, TextEncoder};
use heimdex::index::Pipeline;
use heimdex::media::RgbPicture;
use heimdex::search::{Fusion, SearchRequest};
use heimdex::store::{IndexStore, PostgresStore, SqliteStore, read_sidecar, write_sidecar};
use heimdex::{Heimdex, Span, Timestamp};

use database::Database;

fn pipeline(folder: &Path) -> Pipeline {
    let tiny = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    Pipeline::builder()
        .thumbnails(folder.join("thumbnails"))
        .sidecars(folder.join("sidecars"))
        .text(Arc::new(TextEncoder::open(tiny("tiny-bert")).unwrap()))
        .image(Arc::new(DualEncoder::open(tiny("tiny-siglip2")).unwrap()))
        .build()
        .unwrap()
}

fn open(store: impl IndexStore + 'static, folder: &Path) -> Heimdex {
    Heimdex::builder().store(store).pipeline(pipeline(folder)).build().unwrap()
}

/// Videos with subtitles in several languages, some twice, so that scores tie.
fn videos(folder: &Path) -> Vec<std::path::PathBuf> {
    let says = [
        ["a red car", "the red car in the rain", "rain"],
        ["a red car", "the red car in the rain", "rain"],
        ["미나가 왔다", "빨간 자동차", "ㅋㅋㅋㅋㅋ"],
        ["東京タワー", "我喜欢红色的车", "red red red"],
        ["and a car, a car and a carpet", "red carpet", "nothing"],
    ];
    let mut paths = Vec::new();
    for (n, lines) in says.iter().enumerate() {
        let path = folder.join(format!("video {n} car.mp4"));
        std::fs::copy(common::fixtures().join("cut.mp4"), &path).unwrap();
        let mut subtitles = String::new();
        for (i, line) in lines.iter().enumerate() {
            subtitles += &format!("{}\n00:00:00,{}00 --> 00:00:00,{}90\n{line}\n\n", i + 1, i * 3, i * 3 + 2);
        }
        std::fs::write(path.with_extension("srt"), subtitles).unwrap();
        paths.push(path);
    }
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_stores_find_the_same() {
    let Some(database) = Database::make().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let paths = videos(folder.path());
    let one =
        open(SqliteStore::open(folder.path().join("library.db")).await.unwrap(), &folder.path().join("a"));
    let two = open(PostgresStore::connect(&database.url).await.unwrap(), &folder.path().join("b"));
    let mut scenes = Vec::new();
    for path in &paths {
        let report = one.index(path).await.unwrap();
        two.index(path).await.unwrap();
        let (a, b) =
            (one.indexed_video(report.id).await.unwrap(), two.indexed_video(report.id).await.unwrap());
        assert_eq!(a, b);
        scenes
            .extend(a.scenes.iter().map(|s| heimdex::SceneId { video: report.id, ordinal: s.scene.ordinal }));
    }
    let mut compared = 0;
    let texts = [
        "red car",
        "car",
        "the",
        "rain",
        "\"red car\"",
        "\"red car\" rain",
        "미나",
        "자동차",
        "ㅋㅋㅋ",
        "ㅋ",
        "東京",
        "红色",
        "red carpet nothing",
        "video",
        "xyzzy",
        "a red car in the rain",
        "12",
    ];
    let mut requests: Vec<SearchRequest> = texts.iter().map(|text| SearchRequest::new(*text)).collect();
    for scene in &scenes[..4] {
        let mut request = SearchRequest::new("");
        request.like = Some(*scene);
        requests.push(request);
    }
    let mut picture = SearchRequest::new("");
    picture.image = Some(Arc::new(RgbPicture { width: 8, height: 8, data: vec![200; 192] }));
    requests.push(picture);
    for mut request in requests {
        request.explain = true;
        request.min_similarity = -1.0;
        for change in 0..6 {
            let mut request = request.clone();
            match change {
                1 => request.fusion = Fusion::weighted(),
                2 => request.filter.videos = vec![scenes[0].video, scenes[scenes.len() - 1].video],
                3 => request.filter.within = Some(Span::new(Timestamp::from_millis(1100), Timestamp::MAX)),
                4 => request.per_video = Some(1),
                5 => request.limit = 2,
                _ => {}
            }
            loop {
                let (a, b) =
                    (one.search_with(&request).await.unwrap(), two.search_with(&request).await.unwrap());
                assert_eq!(
                    serde_json::to_string(&a).unwrap(),
                    serde_json::to_string(&b).unwrap(),
                    "{request:?}"
                );
                compared += a.hits.len();
                let Some(next) = a.next else { break };
                request.cursor = Some(next);
            }
        }
    }
    assert!(compared > 500, "{compared}");
}

/// SPEC J4: what the sidecar stage writes is the index, in both stores, without decoding.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sidecar_rebuilds_the_index() {
    let Some(database) = Database::make().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = &videos(folder.path())[1];
    let one =
        open(SqliteStore::open(folder.path().join("library.db")).await.unwrap(), &folder.path().join("a"));
    let report = one.index(path).await.unwrap();
    assert!(report.stages.iter().any(|s| s.stage == heimdex::Stage::Sidecar));
    let index = one.indexed_video(report.id).await.unwrap();
    let file = folder.path().join("a/sidecars").join(format!("{}.json", report.id));
    let written = std::fs::read(&file).unwrap();
    assert_eq!(read_sidecar(&written).unwrap(), index);
    assert_eq!(std::fs::read_dir(folder.path().join("a/sidecars")).unwrap().count(), 1);

    std::fs::remove_file(path).unwrap();
    let other = SqliteStore::open(folder.path().join("other.db")).await.unwrap();
    let stores = [
        open(other, &folder.path().join("c")),
        open(PostgresStore::connect(&database.url).await.unwrap(), &folder.path().join("b")),
    ];
    for library in stores {
        library.import(&read_sidecar(&written).unwrap()).await.unwrap();
        assert_eq!(library.indexed_video(report.id).await.unwrap(), index);
        assert!(!library.search("\"red car\"").await.unwrap().hits.is_empty());
    }

    for (wrong, why) in [
        (write_sidecar(&index, false).unwrap(), "vectors"),
        (String::from_utf8(written.clone()).unwrap().replace("heimdex/1", "heimdex/2"), "heimdex/2"),
        ("{}".to_owned(), "not written by Heimdex"),
        ("no".to_owned(), "no JSON"),
    ] {
        let error = read_sidecar(wrong.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
