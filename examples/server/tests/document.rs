//! The OpenAPI document that is kept, and the shapes that it describes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::needless_pass_by_value,
    missing_docs
)]

use heimdex::search::SearchRequest;
use heimdex::store::testing;
use heimdex_server::wire;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// `examples/server/openapi.json` is what the code answers; `heimdex-server --openapi` writes it.
#[test]
fn the_document_is_the_codes() {
    let kept: Value = serde_json::from_str(include_str!("../openapi.json")).unwrap();
    let code = serde_json::to_value(heimdex_server::routes::document()).unwrap();
    assert!(kept == code, "write it anew: heimdex-server --openapi > examples/server/openapi.json");
}

/// What the core writes is what its shape reads, and the shape leaves nothing out.
fn fits<T: DeserializeOwned + Serialize>(value: Value) {
    let shape: T = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(shape).unwrap(), value, "{}", std::any::type_name::<T>());
}

#[test]
fn shapes_are_the_cores() {
    let mut video = testing::video("a", 2, &["a red car", "rain"]);
    let scene = &mut video.scenes[0];
    scene.tags = vec![heimdex::annotate::Tag { label: "car".into(), names: vec!["auto".into()], score: 0.5 }];
    fits::<wire::SceneShape>(serde_json::to_value(&scene.scene).unwrap());
    fits::<wire::TagShape>(serde_json::to_value(&scene.tags[0]).unwrap());
    for segment in &video.segments {
        fits::<wire::SegmentShape>(serde_json::to_value(segment).unwrap());
    }
    for state in ["uploading", "validating", "processing", "indexed", "failed", "deleted"] {
        serde_json::from_value::<heimdex::store::VideoState>(json!(state)).unwrap();
        fits::<wire::VideoStateShape>(json!(state));
    }
    for state in ["queued", "running", "done", "dead", "cancelled"] {
        serde_json::from_value::<heimdex::store::JobState>(json!(state)).unwrap();
        fits::<wire::JobStateShape>(json!(state));
    }
    for stage in heimdex::Stage::ALL {
        fits::<wire::ProgressShape>(
            serde_json::to_value(heimdex::Progress { stage, stage_fraction: 0.5, fraction: 0.25 }).unwrap(),
        );
    }
    for fusion in [heimdex::search::Fusion::default(), heimdex::search::Fusion::weighted()] {
        fits::<wire::FusionShape>(serde_json::to_value(fusion).unwrap());
    }
    // Every field of the request, filled.
    let mut request = SearchRequest::new("red");
    request.cursor = Some("x".into());
    request.per_video = Some(2);
    request.like = Some("00000000-0000-0000-0000-000000000001:3".parse().unwrap());
    request.filter.videos = vec![video.video.id];
    request.filter.within = Some(video.scenes[0].scene.span);
    request.filter.tags = vec!["car".into()];
    fits::<wire::SearchShape>(serde_json::to_value(&request).unwrap());
}

/// A whole hit, as the core finds it.
#[tokio::test]
async fn hits_are_the_cores() {
    let folder = tempfile::tempdir().unwrap();
    let store = heimdex::store::SqliteStore::open(folder.path().join("library.db")).await.unwrap();
    let hx = heimdex::Heimdex::builder().store(store).build().unwrap();
    hx.import(&testing::video("a", 2, &["a red car", "rain"])).await.unwrap();
    let page = hx.search("red car").explain(true).await.unwrap();
    fits::<wire::HitShape>(serde_json::to_value(&page.hits[0]).unwrap());
}
