use proptest::prelude::*;

use super::*;
use crate::embed::{EmbedSpec, Pooling};
use crate::store::testing::video;
use crate::store::{Filter, IndexedVideo, SqliteStore};
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
    search(store, LibraryId::default(), None, request).await
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
    fn at(video: &IndexedVideo) -> Arc<dyn TextEmbedder> {
        Arc::new(Self { spec: video.spaces[0].clone(), vector: video.scenes[0].vectors[0].vector.clone() })
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
    let page = search(&store, LibraryId::default(), Some(&Pointing::at(&a)), &request).await.unwrap();
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
    let page = search(&store, LibraryId::default(), Some(&Pointing::at(&a)), &request).await.unwrap();
    assert_eq!(page.hits[0].scene.ordinal, 150);
    assert_eq!(page.total, 200);
}

#[tokio::test]
async fn meaning_alone_gives_its_own_moment() {
    let a = video("a", 1, &["one", "two"]);
    let store = store(std::slice::from_ref(&a)).await;
    let page = search(&store, LibraryId::default(), Some(&Pointing::at(&a)), &SearchRequest::new("elephant"))
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
    let other: Arc<dyn TextEmbedder> =
        Arc::new(Pointing { spec, vector: a.scenes[0].vectors[0].vector.clone() });
    let error =
        search(&store, LibraryId::default(), Some(&other), &SearchRequest::new("x")).await.unwrap_err();
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
