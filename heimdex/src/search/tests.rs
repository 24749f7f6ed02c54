use proptest::prelude::*;

use std::sync::Arc;

use super::*;
use crate::embed::{Calibration, EmbedSpec, ImageEmbedder, Pooling, Role, TextEmbedder, Vector};
use crate::media::RgbPicture;
use crate::store::testing::video;
use crate::store::{Filter, IndexedVideo, SqliteStore, VectorOrigin, VectorRow};
use crate::{ErrorKind, Span, Timestamp, VideoId};

async fn store(videos: &[IndexedVideo]) -> SqliteStore {
    let folder = tempfile::tempdir().unwrap().keep();
    let store = SqliteStore::open(folder.join("library.db")).await.unwrap();
    for video in videos {
        store.replace_video(LibraryId::default(), video).await.unwrap();
    }
    store
}

async fn find(store: &SqliteStore, request: &SearchRequest) -> Result<SearchPage> {
    search(store, LibraryId::default(), &Models::default(), request).await
}

fn named(page: &SearchPage) -> Vec<String> {
    page.hits.iter().map(|h| format!("{} {}", h.video.title, h.scene.ordinal)).collect()
}

/// Puts every text at the vector of scene 0 of video `a` in the test videos.
struct Pointing {
    spec: EmbedSpec,
    vector: Vector,
}

impl Pointing {
    fn at(video: &IndexedVideo) -> Models {
        let vector = video.scenes[0].vectors[0].vector.clone();
        Models { text: Some(Arc::new(Self { spec: video.spaces[0].clone(), vector })), ..Models::default() }
    }
}

impl TextEmbedder for Pointing {
    fn spec(&self) -> &EmbedSpec {
        &self.spec
    }

    fn embed(&self, texts: &[&str], role: Role) -> Result<Vec<Vector>> {
        assert_eq!(role, Role::Query);
        Ok(texts.iter().map(|_| self.vector.clone()).collect())
    }
}

#[tokio::test]
async fn a_hit_tells_where_to_look() {
    let store = store(&[video("a", 1, &["one two", "the red car in the rain", "three"])]).await;
    let mut request = SearchRequest::new("cars Car rain");
    request.explain = true;
    let page = find(&store, &request).await.unwrap();
    assert_eq!(named(&page), ["a 1"]);
    let hit = &page.hits[0];
    let matched: Vec<&str> = hit.matched_words.iter().map(|w| w.text.as_str()).collect();
    assert_eq!(matched, ["car", "rain"]);
    assert_eq!(hit.moment, Timestamp::from_millis(11_000), "where `car` is said");
    assert_eq!(hit.thumbnail.as_deref(), Some(format!("{}/1.webp", VideoId::of_source(b"a")).as_str()));
    assert_eq!((hit.channels[0].channel.as_str(), hit.channels[0].rank), ("speech", 1));
}

#[tokio::test]
async fn no_match_is_an_empty_list() {
    let store = store(&[video("a", 1, &["the red car", "수리부엉이"])]).await;
    for query in ["quantum", "the weather in the city", "자전거수리", "person"] {
        let page = find(&store, &SearchRequest::new(query)).await.unwrap();
        assert_eq!((page.hits.len(), page.total, page.next), (0, 0, None), "{query}");
    }
}

#[tokio::test]
async fn a_phrase_is_a_must_in_every_channel() {
    let a = video("a", 1, &["car red", "a red car", "red bus"]);
    let store = store(std::slice::from_ref(&a)).await;
    let mut request = SearchRequest::new("\"red car\"");
    request.min_similarity = -1.0;
    let page = search(&store, LibraryId::default(), &Pointing::at(&a), &request).await.unwrap();
    assert_eq!(named(&page), ["a 1"]);
}

/// SPEC O20, through a store.
#[tokio::test]
async fn a_word_written_once_is_found_first() {
    let mut says = vec!["something else is said here"; 200];
    says[150] = "there was a zebra";
    let a = video("a", 1, &says);
    let store = store(std::slice::from_ref(&a)).await;
    let mut request = SearchRequest::new("zebra");
    request.min_similarity = -1.0;
    let page = search(&store, LibraryId::default(), &Pointing::at(&a), &request).await.unwrap();
    assert_eq!(page.hits[0].scene.ordinal, 150);
    assert_eq!(page.total, 200);
}

#[tokio::test]
async fn meaning_alone_gives_its_own_moment() {
    let a = video("a", 1, &["one", "two"]);
    let store = store(std::slice::from_ref(&a)).await;
    let page = search(&store, LibraryId::default(), &Pointing::at(&a), &SearchRequest::new("elephant"))
        .await
        .unwrap();
    assert_eq!(page.hits[0].scene.ordinal, 0);
    assert_eq!(page.hits[0].moment, Timestamp::from_millis(1000));
    assert!(page.hits[0].matched_words.is_empty());
}

/// SPEC O1.
#[tokio::test]
async fn another_model_is_an_error_that_names_both() {
    let a = video("a", 1, &["one"]);
    let store = store(std::slice::from_ref(&a)).await;
    let spec = EmbedSpec::new("org/another", "ff", "11", 8, Pooling::Mean, 16);
    let vector = a.scenes[0].vectors[0].vector.clone();
    let other = Models { text: Some(Arc::new(Pointing { spec, vector })), ..Models::default() };
    let error = search(&store, LibraryId::default(), &other, &SearchRequest::new("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Space);
    assert!(error.to_string().contains("org/another") && error.to_string().contains("test/model"), "{error}");
}

type Wrong = (fn(&mut SearchRequest), ErrorKind);

#[tokio::test]
async fn wrong_requests_say_what_is_wrong() {
    let store = store(&[]).await;
    let wrong: [Wrong; 6] = [
        (|r| r.query = " ".into(), ErrorKind::Query),
        (|r| r.query = "person:Mina".into(), ErrorKind::Query),
        (|r| r.limit = 0, ErrorKind::Invalid),
        (|r| r.per_video = Some(0), ErrorKind::Invalid),
        (|r| r.cursor = Some("nonsense".into()), ErrorKind::Invalid),
        (|r| r.weights.extend([("speech".to_owned(), f32::NAN)]), ErrorKind::Invalid),
    ];
    for (change, kind) in wrong {
        let mut request = SearchRequest::new("x");
        change(&mut request);
        assert_eq!(find(&store, &request).await.unwrap_err().kind(), kind, "{request:?}");
    }
}

#[tokio::test]
async fn a_cursor_belongs_to_its_search() {
    let store = store(&[video("a", 1, &["car"; 5])]).await;
    let mut request = SearchRequest::new("car");
    request.limit = 2;
    let page = find(&store, &request).await.unwrap();
    request.cursor = page.next;
    request.query = "bus".into();
    assert_eq!(find(&store, &request).await.unwrap_err().kind(), ErrorKind::Invalid);
}

/// SPEC O19: the count is that of the rows, under filters and caps too.
#[tokio::test]
async fn the_count_is_that_of_the_rows() {
    let store = store(&[video("a", 1, &["car"; 30]), video("b", 2, &["car"; 7])]).await;
    let filters = [
        Filter::default(),
        Filter { videos: vec![VideoId::of_source(b"b")], ..Filter::default() },
        Filter {
            within: Some(Span::new(Timestamp::ZERO, Timestamp::from_millis(35_000))),
            ..Filter::default()
        },
    ];
    for filter in filters {
        for per_video in [None, Some(1), Some(3)] {
            let mut request = SearchRequest::new("car");
            (request.filter, request.per_video, request.limit) = (filter.clone(), per_video, 200);
            let page = find(&store, &request).await.unwrap();
            assert_eq!(page.total, page.hits.len(), "{request:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn pages_show_every_hit_once(limit in 1usize..9, per_video in proptest::option::of(1usize..6)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = store(&[video("a", 1, &["car"; 9]), video("b", 2, &["car bus", "car", "bus car car"])]).await;
            let mut request = SearchRequest::new("car bus");
            request.per_video = per_video;
            request.limit = 200;
            let all = named(&find(&store, &request).await.unwrap());
            request.limit = limit;
            let mut paged = Vec::new();
            loop {
                let page = find(&store, &request).await.unwrap();
                paged.extend(named(&page));
                assert!(page.hits.len() <= limit);
                match page.next {
                    Some(next) => request.cursor = Some(next),
                    None => break,
                }
            }
            assert_eq!(paged, all);
        });
    }
}

/// Sees the first byte of a picture, and reads the first word of a text, as an angle.
struct Angles(EmbedSpec);

impl Angles {
    fn vector(degrees: f32) -> Vector {
        let radians = degrees.to_radians();
        Vector::normalize(vec![radians.cos(), radians.sin(), 0.0]).unwrap()
    }

    fn models() -> Models {
        let spec = EmbedSpec::new("org/angles", "00", "11", 3, Pooling::Head, 16).of_images();
        Models { image: Some(Arc::new(Self(spec))), ..Models::default() }
    }
}

impl TextEmbedder for Angles {
    fn spec(&self) -> &EmbedSpec {
        &self.0
    }

    fn embed(&self, texts: &[&str], _: Role) -> Result<Vec<Vector>> {
        Ok(texts.iter().map(|t| Self::vector(t.parse().unwrap_or(180.0))).collect())
    }
}

impl ImageEmbedder for Angles {
    fn spec(&self) -> &EmbedSpec {
        &self.0
    }

    fn embed_images(&self, pictures: &[&RgbPicture]) -> Result<Vec<Vector>> {
        Ok(pictures.iter().map(|p| Self::vector(f32::from(p.data[0]))).collect())
    }

    fn text(&self) -> Option<&dyn TextEmbedder> {
        Some(self)
    }

    fn calibration(&self) -> Option<Calibration> {
        Some(Calibration { scale: 20.0, bias: -18.0 })
    }
}

/// Two videos of two scenes; each scene has keyframes at these angles, one a second.
async fn seen(angles: [[&[f32]; 2]; 2]) -> SqliteStore {
    let models = Angles::models();
    let spec = models.image.unwrap().spec().clone();
    let mut videos = Vec::new();
    for (name, scenes) in ["a", "b"].into_iter().zip(angles) {
        let mut video = video(name, 1, &["one", "two"]);
        let mut keyframe = 0;
        let mut template = video.keyframes[0].clone();
        video.keyframes.clear();
        for (scene, angles) in video.scenes.iter_mut().zip(scenes) {
            for (i, angle) in angles.iter().enumerate() {
                let time = scene.scene.span.start.plus_micros(1_000_000 * (i as i64 + 1));
                scene.vectors.push(VectorRow {
                    space: spec.space(),
                    origin: VectorOrigin::Keyframe { keyframe },
                    time,
                    vector: Angles::vector(*angle),
                });
                (template.time, template.shot) = (time, scene.scene.shot);
                video.keyframes.push(template.clone());
                keyframe += 1;
            }
        }
        video.spaces.push(spec.clone());
        videos.push(video);
    }
    store(&videos).await
}

fn angle(degrees: u8) -> RgbPicture {
    RgbPicture { width: 1, height: 1, data: vec![degrees, 0, 0] }
}

async fn look(store: &SqliteStore, request: &SearchRequest) -> SearchPage {
    search(store, LibraryId::default(), &Angles::models(), request).await.unwrap()
}

/// A scene is as good as its best keyframe, and that is the moment; what is improbable is not found.
#[tokio::test]
async fn words_find_what_is_shown() {
    let store = seen([[&[0.0, 40.0], &[120.0]], [&[33.0], &[170.0]]]).await;
    let page = look(&store, &SearchRequest::new("38")).await;
    assert_eq!(named(&page), ["a 0", "b 0"]);
    assert_eq!(page.hits[0].moment, Timestamp::from_millis(2000));
    let mut strict = SearchRequest::new("38");
    strict.min_probability = 0.875;
    assert_eq!(named(&look(&store, &strict).await), ["a 0"]);
    assert!(look(&store, &SearchRequest::new("250")).await.hits.is_empty());
}

#[tokio::test]
async fn a_picture_finds_what_looks_like_it() {
    let store = seen([[&[0.0], &[90.0]], [&[35.0], &[170.0]]]).await;
    let mut request = SearchRequest { image: Some(Arc::new(angle(80))), ..SearchRequest::default() };
    assert_eq!(named(&look(&store, &request).await), ["a 1", "b 0"]);
    request.min_likeness = 0.9;
    request.explain = true;
    let page = look(&store, &request).await;
    assert_eq!(named(&page), ["a 1"]);
    assert_eq!(page.hits[0].channels[0].channel, "likeness");
    // Without a model that looks at pictures it cannot be answered.
    let error = find(&store, &request).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelMissing);
}

#[tokio::test]
async fn a_scene_finds_its_like_and_not_itself() {
    let store = seen([[&[0.0], &[90.0]], [&[10.0], &[170.0]]]).await;
    let scene = |name: &str, ordinal| SceneId { video: VideoId::of_source(name.as_bytes()), ordinal };
    let mut request = SearchRequest { like: Some(scene("a", 0)), ..SearchRequest::default() };
    request.weights.remove("meaning");
    assert_eq!(named(&look(&store, &request).await), ["b 0"]);
    // By what is said too, without any model: the vectors are there.
    request.weights.insert("meaning".into(), 1.0);
    request.min_similarity = -1.0;
    assert_eq!(find(&store, &request).await.unwrap().hits.len(), 3);
    request.like = Some(scene("a", 9));
    assert_eq!(find(&store, &request).await.unwrap_err().kind(), ErrorKind::NotFound);
}

/// SPEC O1: a query of another image model is refused, by name.
#[tokio::test]
async fn another_image_model_is_an_error() {
    let store = seen([[&[0.0], &[90.0]], [&[10.0], &[170.0]]]).await;
    let spec = EmbedSpec::new("org/other-angles", "22", "11", 3, Pooling::Head, 16).of_images();
    let models = Models { image: Some(Arc::new(Angles(spec))), ..Models::default() };
    for request in [
        SearchRequest::new("10"),
        SearchRequest { image: Some(Arc::new(angle(1))), ..SearchRequest::default() },
    ] {
        let error = search(&store, LibraryId::default(), &models, &request).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Space);
        assert!(
            error.to_string().contains("org/other-angles") && error.to_string().contains("org/angles"),
            "{error}"
        );
    }
}
