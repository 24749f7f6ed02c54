//! The contract of [`IndexStore`] as functions, one per promise. Every store runs all of them, each on
//! a store of its own: see [`store_tests!`](crate::store_tests).
//!
//! They panic where a promise is broken, as tests do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::missing_panics_doc)]

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;

use crate::annotate::Tag;
use crate::embed::{EmbedSpec, Pooling, Vector};
use crate::keyframes::Keyframe;
use crate::media::MediaInfo;
use crate::scenes::Scene;
use crate::shots::Shot;
use crate::store::{
    Filter, IndexStore, IndexedScene, IndexedVideo, Page, StageRecord, StageState, TextQuery, VectorOrigin,
    VectorRow, VideoRecord, VideoState, tag_key,
};
use crate::transcript::{Segment, TranscriptSource, Word};
use crate::{ErrorKind, LibraryId, SceneId, Span, Stage, Timestamp, VideoId};

/// A promise to be held against a store.
pub type StoreTest = for<'a> fn(&'a dyn IndexStore) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

/// Makes one test of each function of [`store::testing`](crate::store::testing). The expression
/// gives a future of an empty store; or `with` names a function that takes a [`StoreTest`] and gives
/// it one.
#[macro_export]
macro_rules! store_tests {
    (with $run:path) => {
        $crate::store_tests!(@ $run,
            replace_is_read_back, replace_is_idempotent, replace_removes_what_was_there, replace_is_atomic,
            wrong_dimension_is_refused, parts_that_do_not_belong_are_refused, filters_restrict,
            narrow_filters_keep_recall, vectors_are_ranked_exactly, words_are_ranked, phrases_and_prefixes,
            titles_find_the_first_scene, paging_visits_all_once, ordering_is_deterministic, libraries_are_separate,
            libraries_do_not_move_scores, delete_cascades, placeholders_are_never_found, a_state_keeps_the_index,
            concurrent_writers, checkpoints_are_keyed, stages_are_ordered, nothing_found_is_not_never_ran, queries_cannot_break_out,
            unknown_spaces_are_errors, vectors_of_a_scene, tags_are_found_and_restrict,
            spaces_are_never_mixed, a_switch_is_whole, only_what_models_make_is_staged,
            libraries_are_deleted_whole, leftovers_are_kept_until_deleted, writers_of_one_video_take_turns,
            any_text_is_kept, scenes_count_once_by_their_best_vector
        );
    };
    (@ $run:path, $($name:ident),+) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $run(|store| Box::pin($crate::store::testing::$name(store))).await;
        })+
    };
    ($open:expr) => {
        async fn opened(test: $crate::store::testing::StoreTest) {
            let store = $open.await;
            test(&store).await;
        }
        $crate::store_tests!(with opened);
    };
}

const DIM: usize = 8;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn library() -> LibraryId {
    LibraryId::default()
}

fn spec() -> EmbedSpec {
    EmbedSpec::new("test/model", "00", "11", DIM, Pooling::Mean, 16)
}

/// A unit vector that follows from `seed`.
fn vector(seed: u64) -> Vector {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let values = (0..DIM).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
    });
    Vector::normalize(values.collect()).unwrap()
}

/// A video of ten-second scenes that say these things; vectors follow from `seed`.
pub fn video(name: &str, seed: u64, says: &[&str]) -> IndexedVideo {
    let id = VideoId::of_source(name.as_bytes());
    let space = spec().space();
    let scenes = says.iter().enumerate().map(|(i, text)| {
        let start = i as i64 * 10_000;
        let words = text.split_whitespace().enumerate().map(|(w, word)| Word {
            text: word.to_owned(),
            span: Span::new(at(start + w as i64 * 500), at(start + w as i64 * 500 + 400)),
            probability: Some((0.1 + w as f32 / 100.0).min(1.0)),
        });
        IndexedScene {
            scene: Scene {
                ordinal: i as u32,
                span: Span::new(at(start), at(start + 10_000)),
                shot: i as u32,
                speech: (*text).to_owned(),
                words: words.collect(),
            },
            texts: BTreeMap::new(),
            tags: Vec::new(),
            vectors: vec![VectorRow {
                space: space.clone(),
                origin: VectorOrigin::Text { channel: "speech".into() },
                time: at(start + 1000),
                vector: vector(seed.wrapping_mul(1000) + i as u64),
            }],
        }
    });
    let scenes: Vec<IndexedScene> = scenes.collect();
    IndexedVideo {
        shots: scenes.iter().map(|s| Shot { span: s.scene.span }).collect(),
        keyframes: (0..scenes.len() as u32)
            .map(|i| Keyframe {
                time: at(i64::from(i) * 10_000 + 5000),
                shot: i,
                quality: 0.1 + i as f32 / 7.0,
                thumbnail: Some(format!("{id}/{i}.webp")),
                picture: Some(format!("{id}/{i}.picture.webp")),
            })
            .collect(),
        transcript: Some(TranscriptSource::File { name: format!("{name}.srt") }),
        segments: scenes
            .iter()
            .map(|s| Segment {
                span: s.scene.span,
                text: s.scene.speech.clone(),
                words: s.scene.words.clone(),
                speaker: Some("Mina".into()),
                language: None,
                no_speech_probability: Some(0.123_456_7),
            })
            .collect(),
        video: VideoRecord {
            id,
            source: name.to_owned(),
            title: name.to_owned(),
            description: String::new(),
            fingerprint: format!("{seed:x}"),
            duration: at(says.len() as i64 * 10_000),
            media: MediaInfo::default(),
            language: Some(if seed.is_multiple_of(2) { "en" } else { "ko" }.to_owned()),
            created_at: Some(format!("20{:02}-03-01T12:00:00Z", seed % 50)),
            warnings: vec!["a \"warning\"\n".to_owned()],
            settings: BTreeMap::from([("key".to_owned(), "value".to_owned())]),
            state: VideoState::Indexed,
        },
        scenes,
        spaces: vec![spec()],
    }
}

fn any(words: &[&str]) -> TextQuery {
    TextQuery { any: words.iter().map(|w| crate::text::analyze(w)).collect(), ..TextQuery::default() }
}

async fn found(store: &dyn IndexStore, query: &TextQuery, filter: &Filter) -> Vec<SceneId> {
    let found = store.search_text(library(), "speech", query, filter, 100).await.unwrap();
    found.into_iter().map(|s| s.scene).collect()
}

fn id(name: &str, ordinal: u32) -> SceneId {
    SceneId { video: VideoId::of_source(name.as_bytes()), ordinal }
}

/// What was stored is what is read, to the last bit.
pub async fn replace_is_read_back(store: &dyn IndexStore) {
    let mut stored = video("한글 \"title\" \\ 'x'", 4, &["안녕 세상", "red car", ""]);
    stored.scenes[1].texts.insert("ocr".into(), "STOP sign".into());
    store.replace_video(library(), &stored).await.unwrap();
    let read = store.indexed_video(library(), stored.video.id).await.unwrap().unwrap();
    assert_eq!(read, stored);
    assert_eq!(store.video(library(), stored.video.id).await.unwrap().unwrap(), stored.video);
    let stop = store.search_text(library(), "ocr", &any(&["stop"]), &Filter::default(), 5).await.unwrap();
    assert_eq!(stop.len(), 1, "a channel of one's own is searched by its name");
    assert!(found(store, &any(&["stop"]), &Filter::default()).await.is_empty());
    let records = store.scenes(library(), &[id(&stored.video.source, 1), id("none", 0)]).await.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].scene, stored.scenes[1].scene);
    assert_eq!(records[0].keyframes, [stored.keyframes[1].clone()]);
}

/// SPEC O11: storing again doubles nothing.
pub async fn replace_is_idempotent(store: &dyn IndexStore) {
    let stored = video("a", 1, &["red car", "blue bus"]);
    for _ in 0..3 {
        store.replace_video(library(), &stored).await.unwrap();
    }
    assert_eq!(found(store, &any(&["red"]), &Filter::default()).await, [id("a", 0)]);
    assert_eq!(store.videos(library(), Page { limit: 10, after: None }).await.unwrap().1, 1);
    let hits =
        store.search_vectors(library(), &spec().space(), &vector(1), &Filter::default(), 10).await.unwrap();
    assert_eq!(hits.len(), 2);
}

/// SPEC O22: nothing of what was there before is found.
pub async fn replace_removes_what_was_there(store: &dyn IndexStore) {
    store.replace_video(library(), &video("a", 1, &["red car", "blue bus", "green tram"])).await.unwrap();
    // The vectors are in memory now, and must not be found after this.
    store.search_vectors(library(), &spec().space(), &vector(1), &Filter::default(), 10).await.unwrap();
    store.replace_video(library(), &video("a", 2, &["yellow taxi"])).await.unwrap();
    for gone in ["red", "bus", "tram"] {
        assert!(found(store, &any(&[gone]), &Filter::default()).await.is_empty(), "{gone}");
    }
    let hits =
        store.search_vectors(library(), &spec().space(), &vector(1), &Filter::default(), 10).await.unwrap();
    assert_eq!(hits.iter().map(|h| h.scene).collect::<Vec<_>>(), [id("a", 0)]);
}

/// What is refused changes nothing.
pub async fn replace_is_atomic(store: &dyn IndexStore) {
    let good = video("a", 1, &["red car"]);
    store.replace_video(library(), &good).await.unwrap();
    let mut bad = video("a", 2, &["yellow taxi", "green tram"]);
    bad.scenes[1].scene.ordinal = 7;
    store.replace_video(library(), &bad).await.unwrap_err();
    assert_eq!(store.indexed_video(library(), good.video.id).await.unwrap(), Some(good));
}

/// SPEC O1: by name, before anything is written.
pub async fn wrong_dimension_is_refused(store: &dyn IndexStore) {
    let mut wrong = video("a", 1, &["red car"]);
    wrong.scenes[0].vectors[0].vector = Vector::normalize(vec![1.0; DIM + 1]).unwrap();
    let error = store.replace_video(library(), &wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Space, "{error}");
    assert!(error.to_string().contains(&spec().space()), "{error}");
    store.replace_video(library(), &video("a", 1, &["red car"])).await.unwrap();
    let query = Vector::normalize(vec![1.0; DIM + 1]).unwrap();
    let error =
        store.search_vectors(library(), &spec().space(), &query, &Filter::default(), 5).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Space, "{error}");
}

/// SPEC O12: rows that point at nothing are refused.
pub async fn parts_that_do_not_belong_are_refused(store: &dyn IndexStore) {
    let wrong: [fn(&mut IndexedVideo); 13] = [
        |v| v.keyframes[0].shot = 9,
        |v| v.scenes[0].scene.shot = 9,
        |v| v.scenes[0].vectors[0].space = "another".into(),
        |v| v.scenes[0].vectors[0].origin = VectorOrigin::Keyframe { keyframe: 9 },
        |v| v.scenes[0].vectors[0].time = at(10_001),
        |v| v.scenes[0].scene.span = Span { start: at(2), end: at(1) },
        |v| v.scenes[0].scene.words[0].span = Span { start: at(2), end: at(1) },
        |v| v.segments[0].span = Span { start: at(2), end: at(1) },
        |v| v.segments[0].words[0].probability = Some(f32::NAN),
        |v| v.keyframes[0].quality = f32::NAN,
        |v| v.spaces.push(v.spaces[0].clone()),
        |v| drop(v.scenes[0].texts.insert("speech".into(), "a text".into())),
        |v| drop(v.scenes[0].texts.insert("title".into(), "a text".into())),
    ];
    for change in wrong {
        let mut video = video("a", 1, &["red car"]);
        change(&mut video);
        store.replace_video(library(), &video).await.unwrap_err();
    }
    assert_eq!(store.videos(library(), Page { limit: 10, after: None }).await.unwrap().1, 0);
}

type Case<'a> = (fn(&mut Filter), &'a [SceneId]);

/// Every field of a filter, in both kinds of look-up.
pub async fn filters_restrict(store: &dyn IndexStore) {
    store.replace_video(library(), &video("a", 10, &["car one", "car two", "car three"])).await.unwrap();
    store.replace_video(library(), &video("b", 21, &["car four"])).await.unwrap();
    let all: [Case<'_>; 10] = [
        (|_| (), &[id("a", 0), id("a", 1), id("a", 2), id("b", 0)]),
        (|f| f.videos = vec![id("b", 0).video], &[id("b", 0)]),
        (|f| f.within = Some(Span::new(at(10_000), at(10_001))), &[id("a", 1)]),
        (|f| f.min_duration = Some(at(20_000)), &[id("a", 0), id("a", 1), id("a", 2)]),
        (|f| f.max_duration = Some(at(10_000)), &[id("b", 0)]),
        (|f| f.created_from = Some("2015-01-01".into()), &[id("b", 0)]),
        (|f| f.created_before = Some("2015-01-01T00:00:00Z".into()), &[id("a", 0), id("a", 1), id("a", 2)]),
        (|f| f.languages = vec!["ko".into()], &[id("b", 0)]),
        (|f| f.languages = vec!["KO-kr".into()], &[id("b", 0)]),
        (|f| f.languages = vec!["kor".into()], &[id("b", 0)]),
    ];
    for (change, expected) in all {
        let mut filter = Filter::default();
        change(&mut filter);
        let expected: BTreeSet<SceneId> = expected.iter().copied().collect();
        let words: BTreeSet<SceneId> = found(store, &any(&["car"]), &filter).await.into_iter().collect();
        assert_eq!(words, expected, "{filter:?}");
        let vectors =
            store.search_vectors(library(), &spec().space(), &vector(3), &filter, 100).await.unwrap();
        assert_eq!(vectors.iter().map(|s| s.scene).collect::<BTreeSet<_>>(), expected, "{filter:?}");
    }
    for nonsense in ["yesterday", "2024-13-45", "20240301"] {
        let wrong = Filter { created_from: Some(nonsense.into()), ..Filter::default() };
        let error = store.search_text(library(), "speech", &any(&["car"]), &wrong, 5).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{nonsense}");
    }
    let wrong = Filter { languages: vec!["Klingon".into()], ..Filter::default() };
    let error = store.search_text(library(), "speech", &any(&["car"]), &wrong, 5).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

/// 300 videos of 8 scenes.
async fn many(store: &dyn IndexStore) -> Vec<IndexedVideo> {
    let says = ["one", "two", "three", "four", "five", "six", "seven", "eight"];
    let mut all = Vec::new();
    for n in 0..300 {
        let video = video(&format!("video {n}"), n, &says);
        store.replace_video(library(), &video).await.unwrap();
        all.push(video);
    }
    all
}

/// The best by plain multiplication.
fn brute_force(videos: &[IndexedVideo], query: &Vector, limit: usize) -> Vec<(SceneId, f32)> {
    let mut all: Vec<(SceneId, f32)> = videos
        .iter()
        .flat_map(|v| v.scenes.iter().map(move |s| (v.video.id, s)))
        .map(|(video, s)| {
            let pairs = query.as_slice().iter().zip(s.vectors[0].vector.as_slice());
            let cosine: f64 = pairs.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            (SceneId { video, ordinal: s.scene.ordinal }, cosine as f32)
        })
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(limit);
    all
}

/// The ranking of vectors is that of brute force.
pub async fn vectors_are_ranked_exactly(store: &dyn IndexStore) {
    let videos = many(store).await;
    for seed in 0..20 {
        let query = vector(seed * 7 + 100_000);
        let hits =
            store.search_vectors(library(), &spec().space(), &query, &Filter::default(), 10).await.unwrap();
        let hits: Vec<(SceneId, f32)> = hits.into_iter().map(|h| (h.scene, h.score)).collect();
        assert_eq!(hits, brute_force(&videos, &query, 10));
    }
}

/// A filter of any width takes nothing away that passes it.
pub async fn narrow_filters_keep_recall(store: &dyn IndexStore) {
    let videos = many(store).await;
    for share in [1, 3, 30, 150] {
        let chosen: Vec<IndexedVideo> = videos.iter().step_by(300 / share).cloned().collect();
        let filter = Filter { videos: chosen.iter().map(|v| v.video.id).collect(), ..Filter::default() };
        let query = vector(42);
        let hits = store.search_vectors(library(), &spec().space(), &query, &filter, 10).await.unwrap();
        let hits: Vec<(SceneId, f32)> = hits.into_iter().map(|h| (h.scene, h.score)).collect();
        assert_eq!(hits, brute_force(&chosen, &query, 10));
        let words = found(store, &any(&["four"]), &filter).await;
        assert_eq!(words.len(), chosen.len().min(100));
    }
}

/// Rarer words and more of them come first; scores are positive.
pub async fn words_are_ranked(store: &dyn IndexStore) {
    let says = ["red car", "red bus", "a crossing zebra", "red zebra", "x", "y", "z", "x y", "y z"];
    store.replace_video(library(), &video("a", 1, &says)).await.unwrap();
    let hits = store
        .search_text(library(), "speech", &any(&["red", "zebra"]), &Filter::default(), 10)
        .await
        .unwrap();
    assert_eq!(hits[0].scene, id("a", 3), "both words");
    assert_eq!(hits[1].scene, id("a", 2), "the rarer word");
    assert_eq!(hits.len(), 4);
    assert!(hits.iter().all(|h| h.score > 0.0) && hits.windows(2).all(|w| w[0].score >= w[1].score));
}

/// Runs side by side, beginnings, and both with words that only help.
pub async fn phrases_and_prefixes(store: &dyn IndexStore) {
    let says = ["the red car", "car red", "미나가 왔다", "red carpet", "red car and rain"];
    store.replace_video(library(), &video("a", 1, &says)).await.unwrap();
    let tokens = crate::text::analyze("red car");
    let phrase = TextQuery { all: vec![tokens.clone()], ..TextQuery::default() };
    let both: BTreeSet<SceneId> = found(store, &phrase, &Filter::default()).await.into_iter().collect();
    assert_eq!(both, [id("a", 0), id("a", 4)].into());
    let helped = TextQuery { all: vec![tokens], any: vec![vec!["rain".into()]], ..TextQuery::default() };
    assert_eq!(found(store, &helped, &Filter::default()).await[..], [id("a", 4), id("a", 0)]);
    let prefix = TextQuery { any_prefix: vec!["carp".into()], ..TextQuery::default() };
    assert_eq!(found(store, &prefix, &Filter::default()).await, [id("a", 3)]);
    assert_eq!(found(store, &any(&["미나"]), &Filter::default()).await, [id("a", 2)]);
    assert!(found(store, &TextQuery::default(), &Filter::default()).await.is_empty());
}

/// A title stands for its video: the first scene that passes the filter.
pub async fn titles_find_the_first_scene(store: &dyn IndexStore) {
    let mut titled = video("Holiday in Seoul", 1, &["one", "two", "three"]);
    titled.video.description = "with grandmother".into();
    store.replace_video(library(), &titled).await.unwrap();
    let search = async |word: &str, filter: &Filter| {
        let hits = store.search_text(library(), "title", &any(&[word]), filter, 10).await.unwrap();
        hits.into_iter().map(|h| h.scene.ordinal).collect::<Vec<_>>()
    };
    assert_eq!(search("seoul", &Filter::default()).await, [0]);
    assert_eq!(search("grandmother", &Filter::default()).await, [0]);
    let late = Filter { within: Some(Span::new(at(15_000), at(25_000))), ..Filter::default() };
    assert_eq!(search("seoul", &late).await, [1]);
}

/// Every video on exactly one page, whatever its size.
pub async fn paging_visits_all_once(store: &dyn IndexStore) {
    for n in 0..23 {
        store.replace_video(library(), &video(&format!("v{n}"), n, &["x"])).await.unwrap();
    }
    for limit in [1, 4, 23, 100] {
        let mut seen = Vec::new();
        let mut page = Page { limit, after: None };
        loop {
            let (videos, total) = store.videos(library(), page).await.unwrap();
            assert_eq!(total, 23);
            let Some(last) = videos.last() else { break };
            assert!(videos.len() <= limit as usize);
            page.after = Some(last.id);
            seen.extend(videos.iter().map(|v| v.id));
        }
        assert_eq!(seen.len(), 23);
        assert!(seen.windows(2).all(|w| w[0] < w[1]));
    }
}

/// Equal scores are ordered by scene, however many there are and in whatever order they came.
pub async fn ordering_is_deterministic(store: &dyn IndexStore) {
    let says = vec!["same words"; 120];
    for name in ["c", "a", "b"] {
        store.replace_video(library(), &video(name, 1, &says)).await.unwrap();
    }
    let search = async |limit| {
        let hits =
            store.search_text(library(), "speech", &any(&["same"]), &Filter::default(), limit).await.unwrap();
        hits.into_iter().map(|h| h.scene).collect::<Vec<_>>()
    };
    let all = search(1000).await;
    assert_eq!(all.len(), 360);
    assert!(all.windows(2).all(|w| w[0] < w[1]));
    assert_eq!(search(7).await, all[..7]);
}

/// SPEC O24: nothing of one library is seen from another.
pub async fn libraries_are_separate(store: &dyn IndexStore) {
    let other = LibraryId::named("other");
    let stored = video("a", 1, &["red car"]);
    store.replace_video(library(), &stored).await.unwrap();
    store.save_checkpoint(library(), stored.video.id, Stage::Decode, "k", b"x").await.unwrap();
    assert_eq!(store.video(other, stored.video.id).await.unwrap(), None);
    assert_eq!(store.indexed_video(other, stored.video.id).await.unwrap(), None);
    assert_eq!(store.checkpoint(other, stored.video.id, Stage::Decode, "k").await.unwrap(), None);
    assert!(store.scenes(other, &[id("a", 0)]).await.unwrap().is_empty());
    assert!(store.spaces(other).await.unwrap().is_empty());
    let hits = store.search_text(other, "speech", &any(&["red"]), &Filter::default(), 5).await.unwrap();
    assert!(hits.is_empty());
    assert_eq!(store.delete_video(other, stored.video.id).await.unwrap(), None);
    store.replace_video(other, &video("a", 2, &["blue bus"])).await.unwrap();
    assert_eq!(store.indexed_video(library(), stored.video.id).await.unwrap(), Some(stored));
}

/// Scores follow from a library's own texts: what another holds of the same words moves none.
pub async fn libraries_do_not_move_scores(store: &dyn IndexStore) {
    let score = async |query: &TextQuery| {
        store.search_text(library(), "speech", query, &Filter::default(), 5).await.unwrap()
    };
    store.replace_video(library(), &video("a", 1, &["red car", "blue car bus", "green bike"])).await.unwrap();
    let before = score(&any(&["car"])).await;
    for n in 0..20 {
        let other = video(&format!("other {n}"), n, &["car car car and a car", "a bus"]);
        store.replace_video(LibraryId::named("other"), &other).await.unwrap();
    }
    assert_eq!(score(&any(&["car"])).await, before);
}

/// Deleting leaves nothing, and tells which files to delete.
pub async fn delete_cascades(store: &dyn IndexStore) {
    let stored = video("a", 1, &["red car", "blue bus"]);
    let video_id = stored.video.id;
    store.replace_video(library(), &stored).await.unwrap();
    store.search_vectors(library(), &spec().space(), &vector(1), &Filter::default(), 5).await.unwrap();
    store.save_checkpoint(library(), video_id, Stage::Decode, "k", b"x").await.unwrap();
    let files = store.delete_video(library(), video_id).await.unwrap().unwrap();
    let kept = |i: u32| [format!("{video_id}/{i}.picture.webp"), format!("{video_id}/{i}.webp")];
    assert_eq!(files, [kept(0), kept(1)].concat());
    assert_eq!(store.delete_video(library(), video_id).await.unwrap(), None);
    assert_eq!(store.video(library(), video_id).await.unwrap(), None);
    assert_eq!(store.checkpoint(library(), video_id, Stage::Decode, "k").await.unwrap(), None);
    assert!(store.stages(library(), video_id).await.unwrap().is_empty());
    assert!(store.scenes(library(), &[id("a", 0)]).await.unwrap().is_empty());
    assert!(found(store, &any(&["red"]), &Filter::default()).await.is_empty());
    assert!(store.spaces(library()).await.unwrap().is_empty(), "a space without vectors is none");
    let hits =
        store.search_vectors(library(), &spec().space(), &vector(1), &Filter::default(), 5).await.unwrap();
    assert!(hits.is_empty());
}

/// A video that is in work is listed and never found.
pub async fn placeholders_are_never_found(store: &dyn IndexStore) {
    let mut stored = video("red car", 1, &["red car"]);
    stored.video.state = VideoState::Processing;
    store.set_state(library(), &stored.video).await.unwrap();
    assert_eq!(
        store.videos(library(), Page { limit: 5, after: None }).await.unwrap().0,
        [stored.video.clone()]
    );
    assert_eq!(store.indexed_video(library(), stored.video.id).await.unwrap(), None);
    let hits = store.search_text(library(), "title", &any(&["red"]), &Filter::default(), 5).await.unwrap();
    assert!(hits.is_empty());
    stored.video.state = VideoState::Failed;
    stored.video.warnings = vec!["why".into()];
    store.set_state(library(), &stored.video).await.unwrap();
    assert_eq!(store.video(library(), stored.video.id).await.unwrap(), Some(stored.video));
}

/// The state of an indexed video changes, and nothing else of it.
pub async fn a_state_keeps_the_index(store: &dyn IndexStore) {
    let stored = video("a", 1, &["red car"]);
    store.replace_video(library(), &stored).await.unwrap();
    let mut changed = stored.video.clone();
    changed.state = VideoState::Failed;
    changed.title = "not taken".into();
    store.set_state(library(), &changed).await.unwrap();
    let read = store.indexed_video(library(), stored.video.id).await.unwrap().unwrap();
    assert_eq!(read.video.state, VideoState::Failed);
    assert_eq!(read.video.title, "a");
    assert_eq!(found(store, &any(&["red"]), &Filter::default()).await, [id("a", 0)]);
}

/// Many at once: each is there afterwards, readers see whole videos only.
pub async fn concurrent_writers(store: &dyn IndexStore) {
    let writes = (0..24).map(|n| async move {
        for round in 0..3 {
            let says: Vec<String> = (0..10).map(|i| format!("word{round} scene{i}")).collect();
            let says: Vec<&str> = says.iter().map(String::as_str).collect();
            store.replace_video(library(), &video(&format!("v{n}"), n + round, &says)).await.unwrap();
        }
    });
    let reads = async {
        for _ in 0..30 {
            for n in 0..24 {
                let name = format!("v{n}");
                if let Some(v) = store.indexed_video(library(), id(&name, 0).video).await.unwrap() {
                    let rounds: BTreeSet<&str> =
                        v.scenes.iter().filter_map(|s| s.scene.speech.split(' ').next()).collect();
                    assert_eq!((v.scenes.len(), rounds.len()), (10, 1));
                }
            }
        }
    };
    futures::future::join(futures::future::join_all(writes), reads).await;
    let hits =
        store.search_text(library(), "speech", &any(&["word2"]), &Filter::default(), 1000).await.unwrap();
    assert_eq!(hits.len(), 240);
    assert!(found(store, &any(&["word0", "word1"]), &Filter::default()).await.is_empty());
}

/// An output counts only under its key; one per stage is kept.
pub async fn checkpoints_are_keyed(store: &dyn IndexStore) {
    let video_id = VideoId::of_source(b"a");
    let kept = async |stage, key: &str| store.checkpoint(library(), video_id, stage, key).await.unwrap();
    store.save_checkpoint(library(), video_id, Stage::Decode, "one", b"1").await.unwrap();
    store.save_checkpoint(library(), video_id, Stage::EmbedText, "e", b"v").await.unwrap();
    assert_eq!(kept(Stage::Decode, "one").await.as_deref(), Some(&b"1"[..]));
    assert_eq!(kept(Stage::Decode, "two").await, None);
    assert_eq!(kept(Stage::Shots, "one").await, None);
    store.save_checkpoint(library(), video_id, Stage::Decode, "two", b"2").await.unwrap();
    assert_eq!(kept(Stage::Decode, "one").await, None);
    store.replace_video(library(), &video("a", 1, &["x"])).await.unwrap();
    assert_eq!(
        kept(Stage::Decode, "two").await.as_deref(),
        Some(&b"2"[..]),
        "for the next change of settings"
    );
    assert_eq!(kept(Stage::EmbedText, "e").await, None, "the index holds it now");
}

/// Records come in the order of the stages, the last of each.
pub async fn stages_are_ordered(store: &dyn IndexStore) {
    let video_id = VideoId::of_source(b"a");
    let mut record = StageRecord {
        stage: Stage::Commit,
        state: StageState::Failed,
        started_us: Some(5),
        ended_us: None,
        reused: true,
        error_kind: Some(ErrorKind::Truncated),
        error: Some("why".into()),
    };
    store.record_stage(library(), video_id, &record).await.unwrap();
    record.stage = Stage::Decode;
    store.record_stage(library(), video_id, &record).await.unwrap();
    record.state = StageState::Completed;
    store.record_stage(library(), video_id, &record).await.unwrap();
    let stages = store.stages(library(), video_id).await.unwrap();
    assert_eq!(stages.iter().map(|s| s.stage).collect::<Vec<_>>(), [Stage::Decode, Stage::Commit]);
    assert_eq!(stages[0], record);
}

/// SPEC O16: an empty transcript is another thing than none.
pub async fn nothing_found_is_not_never_ran(store: &dyn IndexStore) {
    let mut silent = video("silent", 1, &[""]);
    silent.segments.clear();
    let mut unheard = video("unheard", 2, &[""]);
    unheard.segments.clear();
    unheard.transcript = None;
    for video in [&silent, &unheard] {
        store.replace_video(library(), video).await.unwrap();
        let read = store.indexed_video(library(), video.video.id).await.unwrap().unwrap();
        assert_eq!(read.transcript.is_some(), video.transcript.is_some());
    }
}

/// A tag is found by any of its names, the surer the better; and restricts every other look-up.
pub async fn tags_are_found_and_restrict(store: &dyn IndexStore) {
    let tag = |label: &str, name: &str, score: f32| Tag {
        label: label.to_owned(),
        names: vec![name.to_owned()],
        score,
    };
    let mut one = video("a", 10, &["car one", "car two", "car three"]);
    one.scenes[0].tags = vec![tag("beach", "해변", 0.5), tag("red car", "빨간 자동차", 0.25)];
    one.scenes[1].tags = vec![tag("beach", "beach", 0.75)];
    store.replace_video(library(), &one).await.unwrap();
    let mut two = video("b", 21, &["car four"]);
    two.scenes[0].tags = vec![tag("red car", "빨간 자동차", 0.9)];
    store.replace_video(library(), &two).await.unwrap();
    assert_eq!(store.indexed_video(library(), one.video.id).await.unwrap().as_ref(), Some(&one));
    assert_eq!(store.scenes(library(), &[id("a", 0)]).await.unwrap()[0].tags, one.scenes[0].tags);

    let found = async |names: &[&str], filter: &Filter| -> Vec<(SceneId, f32)> {
        let keys: Vec<String> = names.iter().map(|name| tag_key(name)).collect();
        let found = store.search_tags(library(), &keys, filter, 10).await.unwrap();
        found.iter().map(|s| (s.scene, s.score)).collect()
    };
    let all = Filter::default();
    assert_eq!(found(&["Beach"], &all).await, [(id("a", 1), 0.75), (id("a", 0), 0.5)]);
    assert_eq!(found(&["해변"], &all).await, [(id("a", 0), 0.5)]);
    // Both names of one tag are one tag; several tags add up.
    let both = found(&["빨간 자동차", "red car", "beach"], &all).await;
    let scenes: Vec<SceneId> = both.iter().map(|(scene, _)| *scene).collect();
    assert_eq!(scenes, [id("b", 0), id("a", 0), id("a", 1)]);
    assert!((both[1].1 - 0.75).abs() < 1e-6);
    assert!(found(&["car"], &all).await.is_empty(), "a part of a name is another name");
    let within = Filter { within: Some(Span::new(at(10_000), at(10_001))), ..Filter::default() };
    assert_eq!(found(&["beach"], &within).await, [(id("a", 1), 0.75)]);
    let of_b = Filter { videos: vec![id("b", 0).video], ..Filter::default() };
    assert!(found(&["beach"], &of_b).await.is_empty());

    let tagged = Filter { tags: vec!["BEACH".into(), "빨간 자동차".into()], ..Filter::default() };
    assert_eq!(found(&["beach"], &tagged).await, [(id("a", 0), 0.5)]);
    let by_word = store.search_text(library(), "speech", &any(&["car"]), &tagged, 10).await.unwrap();
    assert_eq!(by_word.iter().map(|s| s.scene).collect::<Vec<_>>(), [id("a", 0)]);
    let by_vector = store.search_vectors(library(), &spec().space(), &vector(3), &tagged, 10).await.unwrap();
    assert_eq!(by_vector.iter().map(|s| s.scene).collect::<Vec<_>>(), [id("a", 0)]);
    let nonsense = Filter { tags: vec!["!!".into()], ..Filter::default() };
    let error = store.search_text(library(), "speech", &any(&["car"]), &nonsense, 10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);

    store.replace_video(library(), &video("a", 10, &["car one"])).await.unwrap();
    assert!(found(&["beach"], &all).await.is_empty(), "tags go with the scenes that had them");
}

/// What is like a scene is looked for with the scene's own vectors.
pub async fn vectors_of_a_scene(store: &dyn IndexStore) {
    let stored = video("a", 1, &["red car", "blue bus"]);
    store.replace_video(library(), &stored).await.unwrap();
    let rows = store.scene_vectors(library(), id("a", 1)).await.unwrap();
    assert_eq!(rows, stored.scenes[1].vectors);
    assert!(store.scene_vectors(library(), id("a", 2)).await.unwrap().is_empty());
    assert!(store.scene_vectors(LibraryId::named("other"), id("a", 1)).await.unwrap().is_empty());
}

/// Nothing that people type reaches the query languages below.
pub async fn queries_cannot_break_out(store: &dyn IndexStore) {
    store.replace_video(library(), &video("a", 1, &["red car"])).await.unwrap();
    for text in
        ["\" OR scope : x", "red*", "tokens : red", "NEAR(a b)", "'; DROP TABLE videos; --", "(", "\0", "{"]
    {
        let query =
            TextQuery { any: vec![vec![text.to_owned()]], all: vec![], any_prefix: vec![text.to_owned()] };
        let result = store.search_text(library(), text, &query, &Filter::default(), 5).await;
        assert!(result.is_ok_and(|hits| hits.is_empty()), "{text:?}");
        let result = store.search_text(library(), "speech", &query, &Filter::default(), 5).await;
        assert!(result.is_ok(), "{text:?} {result:?}");
    }
    assert_eq!(found(store, &any(&["red"]), &Filter::default()).await, [id("a", 0)]);
}

/// SPEC O1: a space that is not there is an error, never an empty result.
pub async fn unknown_spaces_are_errors(store: &dyn IndexStore) {
    store.replace_video(library(), &video("a", 1, &["red car"])).await.unwrap();
    let error =
        store.search_vectors(library(), "another", &vector(1), &Filter::default(), 5).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Space);
    assert_eq!(store.spaces(library()).await.unwrap(), [spec()]);
}

/// Nothing of a deleted library is left but the names of its files; another keeps its own.
pub async fn libraries_are_deleted_whole(store: &dyn IndexStore) {
    let other = LibraryId::named("other");
    let stored = video("a", 1, &["red car", "blue bus"]);
    for library in [library(), other] {
        store.replace_video(library, &stored).await.unwrap();
        store.save_checkpoint(library, stored.video.id, Stage::Decode, "k", b"x").await.unwrap();
    }
    store.search_vectors(library(), &spec().space(), &vector(1), &Filter::default(), 5).await.unwrap();
    store.delete_library(library()).await.unwrap();
    assert_eq!(store.videos(library(), Page { limit: 5, after: None }).await.unwrap(), (Vec::new(), 0));
    assert_eq!(store.indexed_video(library(), stored.video.id).await.unwrap(), None);
    assert_eq!(store.checkpoint(library(), stored.video.id, Stage::Decode, "k").await.unwrap(), None);
    assert!(store.spaces(library()).await.unwrap().is_empty());
    assert!(found(store, &any(&["red"]), &Filter::default()).await.is_empty());
    assert_eq!(store.leftovers(library(), None).await.unwrap().len(), 4);
    assert_eq!(store.indexed_video(other, stored.video.id).await.unwrap().as_ref(), Some(&stored));
    assert!(store.leftovers(other, None).await.unwrap().is_empty());

    // And it can be filled again, in the process that knew it.
    store.replace_video(library(), &video("b", 2, &["red car"])).await.unwrap();
    assert_eq!(found(store, &any(&["red"]), &Filter::default()).await, [id("b", 0)]);
    let hits =
        store.search_vectors(library(), &spec().space(), &vector(2), &Filter::default(), 5).await.unwrap();
    assert_eq!(hits.iter().map(|h| h.scene).collect::<Vec<_>>(), [id("b", 0)]);
    store.delete_library(LibraryId::named("never there")).await.unwrap();
}

/// What replacing and deleting leave behind is known until somebody has deleted it, and no file that
/// an index names is among it.
pub async fn leftovers_are_kept_until_deleted(store: &dyn IndexStore) {
    let stored = video("a", 1, &["red car", "blue bus"]);
    let video_id = stored.video.id;
    let of_video = async || store.leftovers(library(), Some(video_id)).await.unwrap();
    let of_gone = async || store.leftovers(library(), None).await.unwrap();
    store.replace_video(library(), &stored).await.unwrap();
    store.replace_video(library(), &stored).await.unwrap();
    assert!(of_video().await.is_empty());
    store.replace_video(library(), &video("a", 1, &["red car"])).await.unwrap();
    let second = [format!("{video_id}/1.picture.webp"), format!("{video_id}/1.webp")];
    assert_eq!(of_video().await, second);
    assert!(of_gone().await.is_empty(), "its video is there and may be in work");
    store.replace_video(library(), &stored).await.unwrap();
    assert!(of_video().await.is_empty(), "the new index names them");

    store.delete_video(library(), video_id).await.unwrap();
    let all = of_gone().await;
    assert_eq!(all.len(), 4);
    store.forget_leftovers(library(), &all[..3]).await.unwrap();
    assert_eq!(of_gone().await, all[3..]);
    store.forget_leftovers(LibraryId::named("other"), &all).await.unwrap();
    assert_eq!(of_gone().await, all[3..]);
}

/// Two that store one video at once leave one of the two, whole.
pub async fn writers_of_one_video_take_turns(store: &dyn IndexStore) {
    let writes = (0..8_u64).map(|n| async move {
        let says = vec!["some words"; 1 + n as usize];
        store.replace_video(library(), &video("a", n, &says)).await.unwrap();
    });
    futures::future::join_all(writes).await;
    let read = store.indexed_video(library(), id("a", 0).video).await.unwrap().unwrap();
    assert_eq!(read.scenes.len(), read.shots.len());
    assert_eq!(read, video("a", read.scenes.len() as u64 - 1, &vec!["some words"; read.scenes.len()]));
    assert_eq!(found(store, &any(&["words"]), &Filter::default()).await.len(), read.scenes.len());
}

/// Text of any size and kind is stored and found; runs are counted wherever they begin.
pub async fn any_text_is_kept(store: &dyn IndexStore) {
    let long: String = (0..40_000).map(|n| format!("word{n} ")).collect();
    let many = "again ".repeat(1000) + "and again";
    let says = ["\u{0}", long.trim(), &many, "ㅋㅋㅋㅋㅋ", "it's a \\ 'quoted' text", "𠀀𠀁 🎉"];
    store.replace_video(library(), &video("a", 1, &says)).await.unwrap();
    let first = async |words: &str| found(store, &any(&[words]), &Filter::default()).await;
    assert_eq!(first("word39999").await, [id("a", 1)]);
    assert_eq!(first("word39998 word39999").await, [id("a", 1)]);
    assert!(first("word39999 word39998").await.is_empty());
    assert_eq!(first("again again").await, [id("a", 2)]);
    assert_eq!(first("ㅋㅋㅋ").await, [id("a", 3)]);
    assert_eq!(first("quoted").await, [id("a", 4)]);
    assert_eq!(first("𠀀𠀁").await, [id("a", 5)]);
}

/// A scene with several vectors is one scene, and others are not pushed out by them.
pub async fn scenes_count_once_by_their_best_vector(store: &dyn IndexStore) {
    let mut stored = video("a", 1, &["x", "y", "z"]);
    for i in 0..200 {
        let mut row = stored.scenes[0].vectors[0].clone();
        row.vector = vector(50_000 + i);
        row.time = at(i64::try_from(i).unwrap() * 10);
        stored.scenes[0].vectors.push(row);
    }
    store.replace_video(library(), &stored).await.unwrap();
    let query = stored.scenes[0].vectors[7].vector.clone();
    let hits = store.search_vectors(library(), &spec().space(), &query, &Filter::default(), 3).await.unwrap();
    assert_eq!(hits.len(), 3);
    assert_eq!((hits[0].scene, hits[0].time), (id("a", 0), Some(at(60))));
    assert!((hits[0].score - 1.0).abs() < 1e-6);
    assert_eq!(hits.iter().map(|h| h.scene).collect::<BTreeSet<_>>().len(), 3);
}

/// What another model makes of a video: other vectors in a space of `dim`, another tag, other settings.
fn remade(video: &IndexedVideo, dim: usize) -> IndexedVideo {
    let mut remade = video.clone();
    let spec = EmbedSpec::new("test/other", "22", "11", dim, Pooling::Mean, 16);
    for (scene, n) in remade.scenes.iter_mut().zip(1_u64..) {
        for row in &mut scene.vectors {
            row.space = spec.space();
            row.vector =
                Vector::normalize((0..dim).map(|d| (d as u64 * n % 7) as f32 - 2.5).collect()).unwrap();
        }
        scene.tags = vec![Tag { label: format!("other {n}"), names: Vec::new(), score: 0.5 }];
    }
    remade.spaces = vec![spec];
    remade.video.settings.insert("key".into(), "other".into());
    remade
}

/// SPEC O1: a library has one space for texts, and one for pictures.
pub async fn spaces_are_never_mixed(store: &dyn IndexStore) {
    let (a, b) = (video("a", 1, &["red car"]), video("b", 2, &["blue bus"]));
    store.replace_video(library(), &a).await.unwrap();
    let other = remade(&b, DIM + 1);
    let error = store.replace_video(library(), &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Space);
    assert!(error.to_string().contains("test/model") && error.to_string().contains("test/other"), "{error}");
    assert_eq!(store.video(library(), b.video.id).await.unwrap(), None);
    store.replace_video(LibraryId::named("other"), &other).await.unwrap();
    // The only video may change its models: nothing of the others is left.
    let mut again = remade(&a, DIM + 1);
    let picture = EmbedSpec::new("test/picture", "33", "11", DIM, Pooling::Head, 16).of_images();
    again.spaces.push(picture);
    store.replace_video(library(), &again).await.unwrap();
    assert_eq!(store.indexed_video(library(), a.video.id).await.unwrap(), Some(again));
}

/// Until all videos are staged nothing changes; then all of them do, and nothing of before is left.
pub async fn a_switch_is_whole(store: &dyn IndexStore) {
    let videos = [video("a", 1, &["red car", "blue bus"]), video("b", 2, &["green tram"])];
    for video in &videos {
        store.replace_video(library(), video).await.unwrap();
    }
    let other = video("a", 1, &["red car", "blue bus"]);
    store.replace_video(LibraryId::named("other"), &other).await.unwrap();
    // Of a video that is only listed there is nothing to switch.
    let mut listed = video("c", 3, &[]).video;
    listed.state = VideoState::Failed;
    store.set_state(library(), &listed).await.unwrap();
    let new: Vec<IndexedVideo> = videos.iter().map(|v| remade(v, DIM + 1)).collect();
    let (old_space, new_space) = (spec().space(), new[0].spaces[0].space());
    let query = Vector::normalize(vec![1.0; DIM + 1]).unwrap();
    let before = async || {
        for video in &videos {
            assert_eq!(store.indexed_video(library(), video.video.id).await.unwrap().as_ref(), Some(video));
        }
        let hits = store.search_vectors(library(), &old_space, &vector(1), &Filter::default(), 9).await;
        assert_eq!(hits.unwrap().len(), 3);
        let hits = store.search_vectors(library(), &new_space, &query, &Filter::default(), 9).await;
        assert_eq!(hits.unwrap_err().kind(), ErrorKind::Space);
        assert_eq!(store.spaces(library()).await.unwrap(), [spec()]);
        assert_eq!(store.scene_vectors(library(), id("a", 0)).await.unwrap(), videos[0].scenes[0].vectors);
        let tags = store.search_tags(library(), &[tag_key("other 1")], &Filter::default(), 9).await.unwrap();
        assert!(tags.is_empty());
    };
    assert_eq!(store.switch_staged(library()).await.unwrap(), 2);
    // What was staged before, for yet another model, is replaced.
    store.stage_video(library(), &remade(&videos[0], DIM + 2)).await.unwrap();
    store.stage_video(library(), &new[0]).await.unwrap();
    before().await;
    assert_eq!(store.staged_settings(library(), id("b", 0).video).await.unwrap(), None);
    let settings = store.staged_settings(library(), id("a", 0).video).await.unwrap();
    assert_eq!(settings.as_ref(), Some(&new[0].video.settings));
    assert_eq!(store.switch_staged(library()).await.unwrap(), 1);
    before().await;
    // A video that is indexed again by the models of before is missing again.
    store.stage_video(library(), &new[1]).await.unwrap();
    store.replace_video(library(), &videos[0]).await.unwrap();
    assert_eq!(store.switch_staged(library()).await.unwrap(), 1);
    before().await;
    store.stage_video(library(), &new[0]).await.unwrap();
    before().await;

    assert_eq!(store.switch_staged(library()).await.unwrap(), 0);
    for video in &new {
        assert_eq!(store.indexed_video(library(), video.video.id).await.unwrap().as_ref(), Some(video));
    }
    assert_eq!(store.spaces(library()).await.unwrap(), new[0].spaces);
    let hits = store.search_vectors(library(), &new_space, &query, &Filter::default(), 9).await.unwrap();
    assert_eq!(hits.len(), 3);
    let gone = store.search_vectors(library(), &old_space, &vector(1), &Filter::default(), 9).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::Space);
    let tags = store.search_tags(library(), &[tag_key("other 1")], &Filter::default(), 9).await.unwrap();
    assert_eq!(tags.iter().map(|s| s.scene).collect::<BTreeSet<_>>(), [id("a", 0), id("b", 0)].into());
    assert_eq!(store.staged_settings(library(), id("a", 0).video).await.unwrap(), None);
    assert_eq!(found(store, &any(&["red"]), &Filter::default()).await, [id("a", 0)]);
    let untouched = store.indexed_video(LibraryId::named("other"), other.video.id).await.unwrap();
    assert_eq!(untouched, Some(other));
}

/// Other scenes, words or texts are no work of other models.
pub async fn only_what_models_make_is_staged(store: &dyn IndexStore) {
    let stored = video("a", 1, &["red car"]);
    let error = store.stage_video(library(), &remade(&stored, DIM + 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    store.replace_video(library(), &stored).await.unwrap();
    let wrong: [fn(&mut IndexedVideo); 8] = [
        |v| v.video.title.push('x'),
        |v| v.shots[0].span.end = at(9_000),
        |v| v.keyframes[0].quality = 0.5,
        |v| v.transcript = None,
        |v| v.segments.clear(),
        |v| v.scenes[0].scene.speech.push('x'),
        |v| drop(v.scenes[0].texts.insert("ocr".into(), "stop".into())),
        |v| v.scenes[0].vectors[0].vector = Vector::normalize(vec![1.0; DIM + 2]).unwrap(),
    ];
    for change in wrong {
        let mut video = remade(&stored, DIM + 1);
        change(&mut video);
        store.stage_video(library(), &video).await.unwrap_err();
    }
    let mut moved = stored.clone();
    moved.scenes[0].vectors[0].vector = vector(77);
    let error = store.stage_video(library(), &moved).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "vectors of a space that the video has");
    assert_eq!(store.switch_staged(library()).await.unwrap(), 1);
    assert_eq!(store.indexed_video(library(), stored.video.id).await.unwrap(), Some(stored));
}
