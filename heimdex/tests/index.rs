//! Indexing real and broken files into a store: times, resume, cancel, batches.
#![cfg(all(feature = "media", feature = "sqlite", feature = "candle"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::case_sensitive_file_extension_comparisons,
    missing_docs
)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::StreamExt;
use heimdex::annotate::{Annotation, Annotator, SceneView, Tag, TagSettings, Vocabulary};
use heimdex::embed::{
    DualEncoder, EmbedSpec, ImageEmbedder, Pooling, Role, TextEmbedder, TextEncoder, Vector,
};
use heimdex::index::{IndexOutcome, Pipeline, PipelineSettings};
use heimdex::media::RgbPicture;
use heimdex::search::{Hit, SearchRequest};
use heimdex::store::{Filter, IndexedVideo, Page, SqliteStore, VectorOrigin, VideoState};
use heimdex::transcript::TranscriptSource;
use heimdex::{Cancel, ErrorKind, Heimdex, Stage, Timestamp};
use serde_json::Value;

/// The stages that run, in order.
const STAGES: [Stage; 9] = [
    Stage::Validate,
    Stage::Decode,
    Stage::Shots,
    Stage::Keyframes,
    Stage::Transcribe,
    Stage::Scenes,
    Stage::EmbedText,
    Stage::EmbedImages,
    Stage::Commit,
];

fn tiny(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// With a tiny model for what is said, and one for what is shown where `image` names it.
async fn library_with(folder: &Path, image: Option<&str>) -> Heimdex {
    let text = TextEncoder::open(tiny("tiny-bert")).unwrap();
    let mut pipeline = Pipeline::builder().thumbnails(folder.join("thumbnails")).text(Arc::new(text));
    if let Some(image) = image {
        pipeline = pipeline.image(Arc::new(DualEncoder::open(tiny(image)).unwrap()));
    }
    let store = SqliteStore::open(folder.join("library.db")).await.unwrap();
    Heimdex::builder().store(store).pipeline(pipeline.build().unwrap()).build().unwrap()
}

/// Without a model for what is shown: its random weights see anything in everything.
async fn library(folder: &Path) -> Heimdex {
    library_with(folder, None).await
}

/// With both, so that every stage runs.
async fn seeing(folder: &Path) -> Heimdex {
    library_with(folder, Some("tiny-siglip2")).await
}

fn clip(name: &str) -> PathBuf {
    common::fixtures().join(name)
}

/// The index as `export json` writes it.
fn exported(index: &IndexedVideo) -> String {
    serde_json::to_string_pretty(index).unwrap()
}

#[tokio::test]
async fn a_clip_becomes_shots_keyframes_scenes_and_words() {
    let folder = tempfile::tempdir().unwrap();
    let hx = library(folder.path()).await;
    let report = hx.index(clip("cut.mp4")).await.unwrap();
    assert_eq!((report.outcome, report.shots, report.segments), (IndexOutcome::Indexed, 2, None));
    let index = hx.indexed_video(report.id).await.unwrap();
    assert_eq!(index.shots[0].span.end, Timestamp::from_millis(1000), "the cut");
    for (shot, keyframes) in (0..).zip([&index.keyframes[..1], &index.keyframes[1..]]) {
        assert!(keyframes.iter().all(|k| k.shot == shot && index.shots[shot as usize].span.contains(k.time)));
    }
    for keyframe in &index.keyframes {
        let file = folder.path().join("thumbnails").join(keyframe.thumbnail.as_ref().unwrap());
        let bytes = std::fs::read(file).unwrap();
        assert_eq!((&bytes[..4], &bytes[8..12]), (&b"RIFF"[..], &b"WEBP"[..]));
    }
    let report = hx.index(clip("subtitles.mp4")).await.unwrap();
    assert_eq!(report.segments, Some(2));
    let page = hx.search("car").await.unwrap();
    assert_eq!(page.hits[0].text, "Hello there.\nA red car.");
    assert!(page.hits[0].moment >= Timestamp::from_millis(1000), "where the word is");
}

/// Every keyframe has a vector, in the scene that it lies in, at its own time; a picture finds itself.
#[tokio::test]
async fn keyframes_are_embedded_while_decoding() {
    let folder = tempfile::tempdir().unwrap();
    let hx = seeing(folder.path()).await;
    let report = hx.index(clip("cut.mp4")).await.unwrap();
    let index = hx.indexed_video(report.id).await.unwrap();
    assert_eq!(index.spaces.len(), 2);
    let mut seen = 0;
    for scene in &index.scenes {
        for row in &scene.vectors {
            let VectorOrigin::Keyframe { keyframe } = row.origin else { continue };
            assert_eq!(row.time, index.keyframes[keyframe as usize].time);
            assert!(scene.scene.span.contains(row.time));
            seen += 1;
        }
    }
    assert_eq!(seen, index.keyframes.len());

    let last = index.keyframes.last().unwrap();
    let file = folder.path().join("thumbnails").join(last.picture.as_ref().unwrap());
    let picture = RgbPicture::decode(&std::fs::read(file).unwrap()).unwrap();
    let hits = hx.search("").image(picture).explain(true).await.unwrap().hits;
    assert_eq!((hits[0].scene.ordinal, hits[0].moment), (1, last.time));
    assert!(hits[0].channels[0].score > 0.999);
    let like = hx.search("").like(hits[0].scene).await.unwrap().hits;
    assert!(like.iter().all(|hit| hit.scene != hits[0].scene));
}

/// A model that is added, changed or taken away: what is stored is looked at again, nothing is decoded,
/// and the vectors are those of a library that had the model from the beginning.
#[tokio::test]
async fn a_changed_image_model_needs_no_decoding() {
    let folder = tempfile::tempdir().unwrap();
    let video = clip("subtitles.mp4");
    let id = library(folder.path()).await.index(&video).await.unwrap().id;
    for (image, other) in [("tiny-siglip2", "tiny-clip"), ("tiny-clip", "tiny-siglip2")] {
        let hx = library_with(folder.path(), Some(image)).await;
        let report = hx.index(&video).await.unwrap();
        let ran: Vec<Stage> = report.stages.iter().filter(|s| !s.reused).map(|s| s.stage).collect();
        assert_eq!(ran, [Stage::EmbedImages, Stage::Commit], "{image}");
        let fresh = tempfile::tempdir().unwrap();
        let begun = library_with(fresh.path(), Some(image)).await;
        begun.index(&video).await.unwrap();
        let (switched, begun) = (hx.indexed_video(id).await.unwrap(), begun.indexed_video(id).await.unwrap());
        assert_eq!(exported(&switched), exported(&begun), "{image}");
        // Only the new space is searched: a query of the other model is refused.
        let wrong = library_with(folder.path(), Some(other)).await;
        assert_eq!(wrong.search("car").await.unwrap_err().kind(), ErrorKind::Space);
    }
    // Pictures that were deleted are made again, by decoding.
    std::fs::remove_dir_all(folder.path().join("thumbnails")).unwrap();
    let hx = seeing(folder.path()).await;
    hx.index(&video).await.unwrap();
    let index = hx.indexed_video(id).await.unwrap();
    for keyframe in &index.keyframes {
        assert!(folder.path().join("thumbnails").join(keyframe.picture.as_ref().unwrap()).is_file());
    }
}

/// Says how bright a scene is: in words, as a tag and as a vector.
/// With an image model, and tags where it can give them.
fn pipeline_with(folder: &Path, image: &str) -> Pipeline {
    let text = TextEncoder::open(tiny("tiny-bert")).unwrap();
    let encoder = DualEncoder::open(tiny(image)).unwrap();
    let tags = encoder.calibration().is_some();
    let pipeline = Pipeline::builder().thumbnails(folder.join("thumbnails")).text(Arc::new(text));
    let mut pipeline = pipeline.image(Arc::new(encoder));
    if tags {
        let vocabulary = Vocabulary::read("sea\t바다\nforest\t숲\n").unwrap();
        let mut settings = TagSettings::default();
        settings.floor = 0.0;
        pipeline = pipeline.tags(vocabulary, settings);
    }
    pipeline.build().unwrap()
}

/// A library of several videos changes its models without their files; searches find what the models
/// before made until all is done, and then only what the new ones did, which is what a library that had
/// them from the beginning holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_library_switches_its_models_at_once() {
    let (folder, clips) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files: Vec<PathBuf> = ["cut.mp4", "subtitles.mp4", "rotate90.mp4"]
        .iter()
        .map(|name| {
            let to = clips.path().join(name);
            std::fs::copy(clip(name), &to).unwrap();
            to
        })
        .collect();
    let opened = async |folder: &Path, image: &str| {
        let store = SqliteStore::open(folder.join("library.db")).await.unwrap();
        Heimdex::builder().store(store).pipeline(pipeline_with(folder, image)).build().unwrap()
    };
    let hx = opened(folder.path(), "tiny-siglip2").await;
    let mut ids = Vec::new();
    for file in &files {
        ids.push(hx.index(file).await.unwrap().id);
    }
    let fresh = tempfile::tempdir().unwrap();
    let begun = opened(fresh.path(), "tiny-clip").await;
    for file in &files {
        begun.index(file).await.unwrap();
    }
    let mut new = Vec::new();
    let mut old = Vec::new();
    for id in &ids {
        new.push(exported(&begun.indexed_video(*id).await.unwrap()));
        old.push(exported(&hx.indexed_video(*id).await.unwrap()));
    }
    // Another model for a second video is refused before anything is decoded; so it is for one of several.
    let single = tempfile::tempdir().unwrap();
    opened(single.path(), "tiny-siglip2").await.index(&files[0]).await.unwrap();
    let other = opened(single.path(), "tiny-clip").await;
    assert_eq!(other.index(&files[1]).await.unwrap_err().kind(), ErrorKind::Space);
    assert_eq!(other.videos(Page { limit: 9, after: None }).await.unwrap().1, 1);
    let other = opened(folder.path(), "tiny-clip").await;
    let error = other.index(&files[0]).force(true).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Space, "{error}");
    assert!(error.to_string().contains("switch"), "{error}");
    for file in &files {
        std::fs::remove_file(file).unwrap();
    }

    // Cancelled in the middle: as it was.
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let error = hx
        .switch_models(pipeline_with(folder.path(), "tiny-clip"))
        .cancel(&cancel)
        .on_progress(move |progress| {
            if progress.done == 1 {
                stop.cancel();
            }
        })
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let hits = hx.search("car").await.unwrap().hits;
    for (id, old) in ids.iter().zip(&old) {
        assert_eq!(&exported(&hx.indexed_video(*id).await.unwrap()), old);
    }

    // Searches go on all the time, in this process and with the models of before in another.
    let searching = hx.clone();
    let done = Cancel::new();
    let stop = done.clone();
    let searches = tokio::spawn(async move {
        let mut count = 0;
        while !stop.is_cancelled() || count == 0 {
            assert!(!searching.search("car").await.unwrap().hits.is_empty());
            count += 1;
        }
    });
    let fractions = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&fractions);
    let report = hx
        .switch_models(pipeline_with(folder.path(), "tiny-clip"))
        .on_progress(move |progress| {
            assert_eq!(progress.videos, 3);
            seen.lock().unwrap().push(progress.fraction);
        })
        .await
        .unwrap();
    let fractions = std::mem::take(&mut *fractions.lock().unwrap());
    assert!(fractions.is_sorted(), "{fractions:?}");
    assert_eq!(fractions.iter().filter(|f| **f >= 1.0).count(), 1, "once, at the end: {fractions:?}");
    done.cancel();
    searches.await.unwrap();
    assert_eq!((report.videos, report.kept), (2, 1), "one was done before the cancel");
    for (id, new) in ids.iter().zip(&new) {
        assert_eq!(&exported(&hx.indexed_video(*id).await.unwrap()), new);
    }
    assert_eq!(hx.search("car").await.unwrap().hits[0].scene, hits[0].scene);
    let before = opened(folder.path(), "tiny-siglip2").await;
    assert_eq!(before.search("car").await.unwrap_err().kind(), ErrorKind::Space);
}

struct Light(EmbedSpec);

impl Light {
    fn vector(light: bool) -> Vector {
        Vector::normalize(if light { vec![1.0, 0.0] } else { vec![0.0, 1.0] }).unwrap()
    }
}

impl Annotator for Light {
    fn channel(&self) -> &'static str {
        "light"
    }

    fn spec(&self) -> Option<&EmbedSpec> {
        Some(&self.0)
    }

    fn annotate(&self, scene: &SceneView<'_>) -> heimdex::Result<Annotation> {
        let picture = &scene.keyframes[0].picture;
        assert_eq!(picture.data.len(), picture.width as usize * picture.height as usize * 3);
        let first = scene.scene.ordinal == 0;
        let text = if first { "glaring sunshine" } else { "gloomy twilight" };
        let tag = Tag { label: "brightness".into(), names: vec!["밝기".into()], score: 0.7 };
        Ok(Annotation {
            text: text.to_owned(),
            tags: if first { vec![tag] } else { Vec::new() },
            vectors: vec![(scene.scene.span.end, Self::vector(first))],
        })
    }

    fn embed_query(&self, query: &str) -> heimdex::Result<Option<Vector>> {
        Ok(Some(Self::vector(query.contains("lamp"))))
    }
}

/// An annotator's words, tags and vectors are channels that search uses at once; without it the index
/// is what it was.
#[tokio::test]
async fn an_annotator_of_ones_own_is_searched_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let id = library(folder.path()).await.index(clip("cut.mp4")).await.unwrap().id;
    let light = || Arc::new(Light(EmbedSpec::new("org/light", "0", "0", 2, Pooling::Head, 1)));
    let builder = || Pipeline::builder().thumbnails(folder.path().join("thumbnails"));
    let pipeline = builder().annotate(light()).build().unwrap();
    let store = SqliteStore::open(folder.path().join("library.db")).await.unwrap();
    let hx = Heimdex::builder().store(store).pipeline(pipeline).build().unwrap();
    let report = hx.index(clip("cut.mp4")).await.unwrap();
    let ran: Vec<Stage> = report.stages.iter().filter(|s| !s.reused).map(|s| s.stage).collect();
    assert_eq!(ran, [Stage::Tags, Stage::Commit], "nothing is decoded for it");

    let hits = hx.search("twilight").explain(true).await.unwrap().hits;
    assert_eq!(hits[0].scene.ordinal, 1);
    assert!(hits[0].channels.iter().any(|c| c.channel == "light"));
    let hits = hx.search("brightness").await.unwrap().hits;
    assert!(hits.iter().any(|hit| hit.scene.ordinal == 0 && hit.tags[0].label == "brightness"));
    let hits = hx.search("lamp").await.unwrap().hits;
    assert_eq!((hits.len(), hits[0].scene.ordinal), (1, 0), "by its vectors");
    let index = hx.indexed_video(id).await.unwrap();
    assert_eq!(index.scenes[1].texts["light"], "gloomy twilight");
    let mut filter = Filter::default();
    filter.tags = vec!["밝기".into()];
    let hits = hx.search("twilight sunshine").filter(filter).await.unwrap().hits;
    assert_eq!((hits.len(), hits[0].scene.ordinal), (1, 0));

    // Channels that cannot be are refused before anything runs.
    let twice = builder().annotate(light()).annotate(light()).build().unwrap_err();
    assert!(twice.to_string().contains("light"), "{twice}");
    let nowhere = Pipeline::builder().annotate(light()).build().unwrap_err();
    assert!(nowhere.to_string().contains("thumbnails"), "{nowhere}");
    let untagged = builder().tags(Vocabulary::everyday(), TagSettings::default()).build().unwrap_err();
    assert!(untagged.to_string().contains("image model"), "{untagged}");
}

/// One that takes its time is not waited for after a cancel, and one that panics fails its video alone.
#[tokio::test]
async fn an_annotator_holds_up_nothing() {
    struct Slow(std::sync::mpsc::Sender<()>);
    impl Annotator for Slow {
        fn channel(&self) -> &'static str {
            "slow"
        }
        fn annotate(&self, _: &SceneView<'_>) -> heimdex::Result<Annotation> {
            self.0.send(()).unwrap();
            std::thread::sleep(Duration::from_secs(20));
            Ok(Annotation::default())
        }
    }
    struct Broken;
    impl Annotator for Broken {
        fn channel(&self) -> &'static str {
            "broken"
        }
        fn annotate(&self, _: &SceneView<'_>) -> heimdex::Result<Annotation> {
            panic!("a mistake in it")
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let with = async |annotator: Arc<dyn Annotator>| {
        let pipeline = Pipeline::builder().thumbnails(folder.path().join("thumbnails")).annotate(annotator);
        let store = SqliteStore::open(folder.path().join("library.db")).await.unwrap();
        Heimdex::builder().store(store).pipeline(pipeline.build().unwrap()).build().unwrap()
    };
    let (send, begun) = std::sync::mpsc::channel();
    let hx = with(Arc::new(Slow(send))).await;
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let stopper = std::thread::spawn(move || {
        begun.recv().unwrap();
        stop.cancel();
        Instant::now()
    });
    let error = hx.index(clip("cut.mp4")).cancel(&cancel).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(stopper.join().unwrap().elapsed() < Duration::from_secs(2));
    let error = with(Arc::new(Broken)).await.index(clip("cut.mp4")).await.unwrap_err();
    assert!(error.to_string().contains("panicked"), "{error}");
    library(folder.path()).await.index(clip("cut.mp4")).await.unwrap();
}

/// Tags come from the keyframes' vectors, are found by name in both languages, and cost no decoding.
#[tokio::test]
async fn scenes_are_tagged_with_what_they_show() {
    let folder = tempfile::tempdir().unwrap();
    seeing(folder.path()).await.index(clip("cut.mp4")).await.unwrap();
    let mut settings = TagSettings::default();
    // Random weights are sure of little; the surest of three is enough.
    (settings.floor, settings.top) = (0.0, 1);
    let vocabulary = Vocabulary::read("sea\t바다\nforest\t숲\ncity\t도시\n").unwrap();
    let image = Arc::new(DualEncoder::open(tiny("tiny-siglip2")).unwrap());
    let pipeline = Pipeline::builder()
        .thumbnails(folder.path().join("thumbnails"))
        .text(Arc::new(TextEncoder::open(tiny("tiny-bert")).unwrap()))
        .image(image.clone())
        .tags(vocabulary, settings);
    let store = SqliteStore::open(folder.path().join("library.db")).await.unwrap();
    let hx = Heimdex::builder().store(store).pipeline(pipeline.build().unwrap()).build().unwrap();
    let report = hx.index(clip("cut.mp4")).await.unwrap();
    let ran: Vec<Stage> = report.stages.iter().filter(|s| !s.reused).map(|s| s.stage).collect();
    assert_eq!(ran, [Stage::Tags, Stage::Commit]);
    let index = hx.indexed_video(report.id).await.unwrap();
    for scene in &index.scenes {
        let [tag] = &scene.tags[..] else { panic!("one tag, not {:?}", scene.tags) };
        // The label whose text lies nearest to the scene's best keyframe.
        let texts = ["sea", "forest", "city"].map(|label| format!("This is a photo of {label}."));
        let labels = image.embed(&texts.each_ref().map(String::as_str), Role::Query).unwrap();
        let looks = scene.vectors.iter().filter(|r| matches!(r.origin, VectorOrigin::Keyframe { .. }));
        let best = |label: &Vector| looks.clone().map(|row| row.vector.dot(label)).fold(-1.0, f32::max);
        let cosines: Vec<f32> = labels.iter().map(best).collect();
        let surest = (0..3).max_by(|a, b| cosines[*a].total_cmp(&cosines[*b])).unwrap();
        assert_eq!(tag.label, ["sea", "forest", "city"][surest]);
        let mut request = SearchRequest::new(tag.names[0].clone());
        request.weights.retain(|channel, _| channel == "tags");
        let hits = hx.search_with(&request).await.unwrap().hits;
        assert!(hits.iter().any(|hit| hit.scene.ordinal == scene.scene.ordinal), "{}", tag.names[0]);
    }
}

/// The first pictures are with the model before the last frame is decoded: memory does not grow with the
/// number of keyframes.
#[tokio::test]
async fn pictures_do_not_wait_for_the_end_of_decoding() {
    struct Watching(EmbedSpec, Arc<AtomicBool>, Arc<AtomicBool>);
    impl ImageEmbedder for Watching {
        fn spec(&self) -> &EmbedSpec {
            &self.0
        }
        fn embed_images(&self, pictures: &[&RgbPicture]) -> heimdex::Result<Vec<Vector>> {
            let Self(_, decoded, early) = self;
            early.fetch_or(!decoded.load(Ordering::SeqCst), Ordering::SeqCst);
            pictures.iter().map(|_| Vector::normalize(vec![1.0, 2.0, 3.0])).collect()
        }
    }
    let (decoded, early) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let spec = EmbedSpec::new("org/watching", "0", "0", 3, Pooling::Head, 1).of_images();
    let mut settings = PipelineSettings::default();
    settings.keyframes.window = Duration::from_millis(100);
    settings.keyframes.min_difference = 0.0;
    let folder = tempfile::tempdir().unwrap();
    let pipeline = Pipeline::builder()
        .settings(settings)
        .thumbnails(folder.path().join("thumbnails"))
        .image(Arc::new(Watching(spec, decoded.clone(), early.clone())))
        .build()
        .unwrap();
    let index = tokio::task::spawn_blocking(move || {
        pipeline.run(clip("vfr.mkv"), &Cancel::new(), |progress| {
            let done = progress.stage != Stage::Validate
                && (progress.stage != Stage::Decode || progress.stage_fraction >= 1.0);
            decoded.fetch_or(done, Ordering::SeqCst);
        })
    });
    let index = index.await.unwrap().unwrap();
    assert!(index.keyframes.len() > 13, "more than may wait: {}", index.keyframes.len());
    assert!(early.load(Ordering::SeqCst));
}

/// A model that fails, or gives what it was not to give, fails the video and says so.
#[tokio::test]
async fn a_failing_image_model_fails_the_video_by_name() {
    struct Broken(EmbedSpec, bool);
    impl ImageEmbedder for Broken {
        fn spec(&self) -> &EmbedSpec {
            &self.0
        }
        fn embed_images(&self, pictures: &[&RgbPicture]) -> heimdex::Result<Vec<Vector>> {
            assert!(!pictures.is_empty());
            if self.1 { Ok(Vec::new()) } else { Err(heimdex::Error::model("org/broken", "out of memory")) }
        }
    }
    for silent in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let spec = EmbedSpec::new("org/broken", "0", "0", 3, Pooling::Head, 1).of_images();
        let pipeline = Pipeline::builder().image(Arc::new(Broken(spec, silent))).build().unwrap();
        let store = SqliteStore::open(folder.path().join("library.db")).await.unwrap();
        let hx = Heimdex::builder().store(store).pipeline(pipeline).build().unwrap();
        let error = hx.index(clip("cut.mp4")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model);
        assert!(error.to_string().contains("org/broken"), "{error}");
    }
}

#[tokio::test]
async fn what_is_up_to_date_is_not_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("v.mp4");
    std::fs::copy(clip("cut.mp4"), &video).unwrap();
    let hx = library(folder.path()).await;
    let first = hx.index(&video).await.unwrap();
    let second = hx.index(&video).await.unwrap();
    assert_eq!(second.outcome, IndexOutcome::UpToDate);
    // New subtitles beside it: only what follows from them is done.
    std::fs::write(folder.path().join("v.srt"), "1\n00:00:00,100 --> 00:00:00,900\nHello zebra\n").unwrap();
    let third = hx.index(&video).await.unwrap();
    let ran: Vec<Stage> = third.stages.iter().filter(|s| !s.reused).map(|s| s.stage).collect();
    assert_eq!(ran, [Stage::Transcribe, Stage::Scenes, Stage::EmbedText, Stage::Commit]);
    assert_eq!(hx.search("zebra").await.unwrap().hits.len(), 1);
    // Another title: only the commit.
    let fourth = hx.index(&video).title("Renamed").await.unwrap();
    let ran: Vec<Stage> = fourth.stages.iter().filter(|s| !s.reused).map(|s| s.stage).collect();
    assert_eq!(ran, [Stage::Commit]);
    assert_eq!(hx.search("renamed").await.unwrap().hits.len(), 1);
    // Another content under the same name: everything, and nothing of before is left.
    std::fs::copy(clip("vfr.mkv"), &video).unwrap();
    std::fs::remove_file(folder.path().join("v.srt")).unwrap();
    let fifth = hx.index(&video).await.unwrap();
    assert_eq!(fifth.id, first.id);
    assert!(fifth.stages.iter().all(|s| !s.reused));
    assert!(hx.search("zebra").await.unwrap().hits.is_empty());
    let index = hx.indexed_video(fifth.id).await.unwrap();
    let kept =
        std::fs::read_dir(folder.path().join("thumbnails").join(fifth.id.to_string())).unwrap().count();
    assert_eq!(kept, 2 * index.keyframes.len(), "thumbnails and pictures of the index before are gone");
    hx.remove(fifth.id).await.unwrap();
    let kept = std::fs::read_dir(folder.path().join("thumbnails").join(fifth.id.to_string()));
    assert_eq!(kept.map_or(0, Iterator::count), 0);
}

/// A video that is known by an address is the same wherever its file lies, and pictures may be kept in
/// any object store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_may_lie_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = Arc::new(object_store::memory::InMemory::new());
    let pipeline = Pipeline::builder().thumbnails_in(pictures.clone()).build().unwrap();
    let store = SqliteStore::open(folder.path().join("library.db")).await.unwrap();
    let hx = Heimdex::builder().store(store).pipeline(pipeline).build().unwrap();
    let elsewhere = folder.path().join("elsewhere");
    std::fs::copy(clip("subtitles.mp4"), &elsewhere).unwrap();
    let first = hx.index(&elsewhere).source("upload:1").title("One").await.unwrap();
    assert_eq!(first.id, heimdex::VideoId::of_source(b"upload:1"));
    let moved = folder.path().join("moved");
    std::fs::rename(&elsewhere, &moved).unwrap();
    let again = hx.index(&moved).source("upload:1").title("One").await.unwrap();
    assert_eq!((again.id, again.outcome), (first.id, IndexOutcome::UpToDate));
    let index = hx.indexed_video(first.id).await.unwrap();
    assert_eq!(index.video.source, "upload:1");
    let key = index.keyframes[0].thumbnail.as_ref().unwrap();
    assert!(hx.thumbnail(key).await.unwrap().starts_with(b"RIFF"));
    assert_eq!(hx.index(&moved).source("").await.unwrap_err().kind(), ErrorKind::Invalid);

    // Another library of the same store knows nothing of it.
    let other = hx.in_library(heimdex::LibraryId::named("other"));
    assert_eq!(other.videos(Page { limit: 1, after: None }).await.unwrap().1, 0);
    assert_eq!(other.search("red car").await.unwrap().total, 0);
    assert_eq!(other.remove(first.id).await.unwrap_err().kind(), ErrorKind::NotFound);
    hx.remove(first.id).await.unwrap();
    assert_eq!(object_store::ObjectStore::list(&*pictures, None).count().await, 0);
}

/// Another title costs no run: the index is that of a video which had it from the beginning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_video_is_described_anew() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let (hx, other) = (library(folders[0].path()).await, library(folders[1].path()).await);
    let path = clip("subtitles.mp4");
    let id = hx.index(&path).title("Holiday").await.unwrap().id;
    hx.describe(id, "Zebra", "crossing").await.unwrap();
    other.index(&path).title("Zebra").description("crossing").await.unwrap();
    let (a, b) = (hx.indexed_video(id).await.unwrap(), other.indexed_video(id).await.unwrap());
    assert_eq!(exported(&a), exported(&b));
    for (query, found) in [("zebra", 1), ("holiday", 0)] {
        let mut request = SearchRequest::new(query);
        request.weights.insert("meaning".to_owned(), 0.0);
        assert_eq!(hx.search_with(&request).await.unwrap().total, found, "{query}");
    }
    let again = hx.index(&path).title("Zebra").description("crossing").await.unwrap();
    assert_eq!(again.outcome, IndexOutcome::UpToDate);
    let missing = hx.describe(heimdex::VideoId::of_source(b"none"), "a", "b").await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
}

/// Every clip of the shared set: indexed, its boundaries and keyframes at times of real frames, cues
/// where ffmpeg has them.
#[tokio::test]
async fn every_clip_is_indexed_at_exact_times() {
    let Some(shared) = common::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let hx = library(folder.path()).await;
    let mut clips = 0;
    for (path, golden) in common::goldens(&shared) {
        let name = path.display();
        let report = hx.index(&path).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        let index = hx.indexed_video(report.id).await.unwrap();
        let start = index.video.media.start.as_micros();
        clips += 1;
        assert!(!index.scenes.is_empty() && !index.shots.is_empty(), "{name}");
        for (i, shot) in index.shots.iter().enumerate() {
            let next = index.shots.get(i + 1).map_or(index.video.duration, |s| s.span.start);
            assert_eq!(shot.span.end, next, "{name}: shots tile");
        }
        let frames: Vec<i64> =
            golden["video"]["pts_us"].as_array().into_iter().flatten().filter_map(Value::as_i64).collect();
        if frames.is_empty() {
            continue;
        }
        let is_frame = |time: Timestamp| frames.iter().any(|f| (f - start - time.as_micros()).abs() <= 1);
        for shot in &index.shots[1..] {
            assert!(is_frame(shot.span.start), "{name}: cut at {}", shot.span.start);
        }
        for keyframe in &index.keyframes {
            assert!(is_frame(keyframe.time), "{name}: keyframe at {}", keyframe.time);
            assert!(index.shots[keyframe.shot as usize].span.contains(keyframe.time), "{name}");
        }
        for (shot, _) in index.shots.iter().enumerate() {
            assert!(
                index.keyframes.iter().any(|k| k.shot as usize == shot),
                "{name}: shot {shot} has a keyframe"
            );
        }
        if let Some(TranscriptSource::Embedded { stream }) = index.transcript {
            let tracks = golden["subtitles"].as_array().unwrap();
            let track = tracks.iter().find(|t| t["stream_index"] == stream as u64).unwrap();
            let cues = track["cues_by_ffmpeg"].as_array().unwrap();
            assert_eq!(index.segments.len(), cues.len(), "{name}");
            for (segment, cue) in index.segments.iter().zip(cues) {
                let off = segment.span.start.as_micros() + start - cue["start_us"].as_i64().unwrap();
                assert!(off.abs() <= 40_000, "{name}: cue off by {off}");
            }
        }
    }
    assert!(clips > 65, "{clips}");
}

/// A batch of everything: bad files fail alone, with their class, and the good ones are indexed.
#[tokio::test]
async fn bad_files_fail_alone() {
    let Some(shared) = common::shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let hx = library(folder.path()).await;
    let golden: Value =
        serde_json::from_slice(&std::fs::read(shared.join("media/golden/bad.json")).unwrap()).unwrap();
    let mut expected: BTreeMap<PathBuf, &Value> = BTreeMap::new();
    for entry in golden["files"].as_array().unwrap() {
        expected.insert(shared.join("media").join(entry["file"].as_str().unwrap()), entry);
    }
    let good = [clip("cut.mp4"), clip("vfr.mkv"), clip("subtitles.mp4")];
    let work: Vec<_> = expected.keys().chain(&good).map(|path| hx.index(path)).collect();
    let begun = Instant::now();
    let mut results = std::pin::pin!(Heimdex::index_many(work, 2));
    while let Some((path, result)) = results.next().await {
        let Some(entry) = expected.get(&path) else {
            result.unwrap();
            continue;
        };
        let mut allowed: Vec<&str> =
            entry["also_acceptable"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        allowed.extend(entry["expected_error"].as_str());
        match result {
            Err(error) => assert!(allowed.contains(&error.kind().as_str()), "{}: {error}", path.display()),
            Ok(report) => assert!(
                entry["expected_error"].is_null() || !report.warnings.is_empty(),
                "{}: indexed as whole",
                path.display()
            ),
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(5) * u32::try_from(expected.len()).unwrap());
    for path in good {
        assert_eq!(hx.find_video(path.to_str().unwrap()).await.unwrap().state, VideoState::Indexed);
    }
}

/// A failure leaves an earlier index of the same file in place.
#[tokio::test]
async fn a_failed_run_keeps_the_index_before() {
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("v.mp4");
    std::fs::copy(clip("subtitles.mp4"), &video).unwrap();
    let hx = library(folder.path()).await;
    let report = hx.index(&video).await.unwrap();
    std::fs::write(&video, "not a video any more").unwrap();
    let error = hx.index(&video).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAMediaFile);
    assert_eq!(hx.search("red car").await.unwrap().hits.len(), 1);
    let stages = hx.stages(report.id).await.unwrap();
    assert_eq!(stages[0].error_kind, Some(ErrorKind::NotAMediaFile), "and the record says why");
    let missing = hx.index(folder.path().join("missing.mp4")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
}

#[tokio::test]
async fn cancel_ends_within_two_seconds_and_is_resumed() {
    let Some(shared) = common::shared() else { return };
    let path = shared.join("media/real/testvideo.mp4");
    let folder = tempfile::tempdir().unwrap();
    let hx = library(folder.path()).await;
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let (send, receive) = std::sync::mpsc::channel();
    let work = hx.index(&path).cancel(&cancel).on_progress(move |p| {
        if p.stage == Stage::Decode && p.stage_fraction > 0.1 && !stop.is_cancelled() {
            stop.cancel();
            send.send(Instant::now()).unwrap();
        }
    });
    let error = work.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(receive.recv().unwrap().elapsed() < Duration::from_secs(2));
    let report = hx.index(&path).await.unwrap();
    assert!(report.stages.iter().any(|s| s.stage == Stage::Validate && s.reused));
}

/// What search by word alone finds.
async fn by_word(hx: &Heimdex, query: &str) -> Vec<Hit> {
    let mut request = SearchRequest::new(query);
    request.weights.retain(|channel, _| channel == "speech");
    hx.search_with(&request).await.unwrap().hits
}

/// Cancelled as a stage begins, nothing is searchable; only the commit is not taken back.
#[tokio::test]
async fn every_stage_heeds_cancel() {
    for stage in STAGES {
        let folder = tempfile::tempdir().unwrap();
        let hx = seeing(folder.path()).await;
        let cancel = Cancel::new();
        let stop = cancel.clone();
        let begun = Instant::now();
        let result = hx
            .index(clip("subtitles.mp4"))
            .cancel(&cancel)
            .on_progress(move |p| {
                if p.stage == stage {
                    stop.cancel();
                }
            })
            .await;
        assert!(begun.elapsed() < Duration::from_secs(2), "{stage}");
        if stage == Stage::Commit {
            result.unwrap();
            continue;
        }
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled, "{stage}");
        assert!(by_word(&hx, "car").await.is_empty(), "{stage}");
        hx.index(clip("subtitles.mp4")).await.unwrap();
        assert_eq!(by_word(&hx, "car").await.len(), 1, "{stage}: and it goes on from there");
    }
}

/// Progress never goes backwards and ends at 1.
#[tokio::test]
async fn progress_only_rises() {
    let folder = tempfile::tempdir().unwrap();
    let hx = library(folder.path()).await;
    let (send, receive) = std::sync::mpsc::channel();
    hx.index(clip("cut.mp4")).on_progress(move |p| send.send(p).unwrap()).await.unwrap();
    let all: Vec<_> = receive.iter().collect();
    assert!(all.windows(2).all(|w| w[0].fraction <= w[1].fraction && w[0].stage <= w[1].stage));
    assert_eq!(all.last().map(|p| (p.stage, p.fraction)), Some((Stage::Commit, 1.0)));
}

/// Killed at each stage boundary, the same command gives the index of an undisturbed run.
#[cfg(unix)]
#[tokio::test]
async fn a_killed_run_continues_to_the_same_index() {
    const VARIABLE: &str = "HEIMDEX_TEST_KILL";
    let video = clip("subtitles.mp4");
    if let Some(setting) = std::env::var_os(VARIABLE) {
        let setting = setting.into_string().unwrap();
        let (stage, folder) = setting.split_once(' ').unwrap();
        let stage = stage.to_owned();
        let work = seeing(Path::new(folder)).await.index(&video).on_progress(move |p| {
            if p.stage.as_str() == stage && p.stage_fraction >= 1.0 {
                let me = std::process::id().to_string();
                std::process::Command::new("kill").args(["-9", &me]).status().unwrap();
            }
        });
        work.await.unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let undisturbed = seeing(folder.path()).await;
    let report = undisturbed.index(&video).await.unwrap();
    let expected = exported(&undisturbed.indexed_video(report.id).await.unwrap());
    let stages: Vec<Stage> = report.stages.iter().map(|s| s.stage).collect();
    assert_eq!(stages, STAGES);
    for stage in stages {
        let folder = tempfile::tempdir().unwrap();
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_killed_run_continues_to_the_same_index", "--nocapture"])
            .env(VARIABLE, format!("{stage} {}", folder.path().display()))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(std::os::unix::process::ExitStatusExt::signal(&status) == Some(9), "killed after {stage}");
        let hx = seeing(folder.path()).await;
        let resumed = hx.index(&video).await.unwrap();
        let index = exported(&hx.indexed_video(report.id).await.unwrap());
        assert_eq!(index, expected, "killed after {stage}");
        let again: Vec<Stage> =
            resumed.stages.iter().filter(|s| !s.reused && s.stage <= stage).map(|s| s.stage).collect();
        if stage != Stage::Decode && stage != Stage::Shots {
            assert!(again.is_empty(), "killed after {stage}, done again: {again:?}");
        }
    }
}

/// Awkward names are indexed under exactly themselves.
#[cfg(unix)]
#[tokio::test]
async fn hostile_names_are_only_names() {
    use std::os::unix::ffi::OsStrExt;
    let names: Vec<Vec<u8>> = [
        &b"pipe:0"[..],
        b"file:x.mp4",
        b"http:x.mp4",
        b"concat:a.mp4|b.mp4",
        b"%03d.mp4",
        b"-",
        b"--json",
        b" .mp4",
        b"quote\"'`$(x);<b>.mp4",
        b"new\nline.mp4",
        b"not-utf8-\xff\xfe.mp4",
        b"video.mp4.txt",
        b"no extension",
        b".hidden",
        "한글.mp4".as_bytes(),
        "\u{1112}\u{1161}\u{11ab}글.mp4".as_bytes(),
        "a\u{202e}b.mp4".as_bytes(),
    ]
    .iter()
    .map(|n| n.to_vec())
    .collect();
    let folder = tempfile::tempdir().unwrap();
    let videos = folder.path().join("videos");
    std::fs::create_dir(&videos).unwrap();
    let hx = library(folder.path()).await;
    let mut sources = std::collections::BTreeSet::new();
    for name in &names {
        let path = videos.join(std::ffi::OsStr::from_bytes(name));
        std::fs::copy(clip("cut.mp4"), &path).unwrap();
        let report = hx.index(&path).await.unwrap();
        let video = hx.store().video(hx.library(), report.id).await.unwrap().unwrap();
        if let Some(text) = path.to_str() {
            assert!(video.source.ends_with(path.file_name().unwrap().to_str().unwrap()), "{text}");
        } else {
            assert!(
                video.source.starts_with("file://") && video.source.contains("%FF%FE"),
                "{}",
                video.source
            );
        }
        sources.insert(video.source);
    }
    assert_eq!(sources.len(), names.len(), "each is a video of its own");
}
