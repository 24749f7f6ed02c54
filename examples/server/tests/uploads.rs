//! Videos on their way: small, in parts, interrupted, wrong, too many, abandoned.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::path::Path;

use common::{Place, answer, clip};
use reqwest::{Method, StatusCode};
use serde_json::json;

/// A clip with so much behind it that it has several parts.
fn long_clip(bytes: usize) -> Vec<u8> {
    let mut clip = clip();
    // A box that players skip.
    let free = bytes - clip.len();
    clip.extend_from_slice(&u32::try_from(free).unwrap().to_be_bytes());
    clip.extend_from_slice(b"free");
    clip.resize(bytes, 0);
    clip
}

fn files_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_are_sent_in_any_order_and_again_after_an_interruption() {
    let Some(place) = Place::make().await else { return };
    let server = place.server(&[("PART_BYTES", "65536")]).await;
    let mina = server.somebody("mina").await;
    let bytes = long_clip(200_000);
    let plan = mina.init("long.mp4", bytes.len()).await;
    let parts = plan["parts"].as_array().unwrap();
    assert_eq!((parts.len(), &parts[3]["bytes"]), (4, &json!(200_000 - 3 * 65536)));
    let id = plan["video_id"].as_str().unwrap();
    let chunks: Vec<&[u8]> = bytes.chunks(65536).collect();
    let complete = format!("/videos/{id}/upload/complete");
    let state = format!("/videos/{id}/upload");

    let (status, problem) = mina.post_nothing(&complete).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("part-missing")));
    mina.send(&parts[2], chunks[2]).await;
    let etag = mina.send(&parts[0], chunks[0]).await;
    // A part of another size is refused, and whoever hangs up in the middle leaves nothing.
    for wrong in [&chunks[1][..100], &[chunks[1], b"more"].concat()] {
        let put = mina.request(Method::PUT, parts[1]["url"].as_str().unwrap()).body(wrong.to_vec());
        let (status, problem) = answer(put.send().await.unwrap()).await;
        assert_eq!((status, &problem["code"]), (StatusCode::BAD_REQUEST, &json!("part-size")));
    }
    let half = futures::stream::iter([Ok(chunks[1][..1000].to_vec()), Err(std::io::Error::other("gone"))]);
    let put = mina.request(Method::PUT, parts[1]["url"].as_str().unwrap());
    put.body(reqwest::Body::wrap_stream(half)).send().await.unwrap_err();
    // Somewhere else, later: what is there, and addresses for the rest.
    let (_, there) = mina.get(&state).await;
    let done: Vec<bool> =
        there["parts"].as_array().unwrap().iter().map(|p| p["done"].as_bool().unwrap()).collect();
    assert_eq!(done, [true, false, true, false], "{there}");
    assert_eq!(format!("\"{}\"", there["parts"][0]["etag"].as_str().unwrap()), etag);
    assert!(there["parts"][0].get("request").is_none());
    for n in [3, 1] {
        mina.send(&there["parts"][n]["request"], chunks[n]).await;
    }
    // The last one that is sent of a part counts.
    let again = mina.send(&parts[0], &vec![7; 65536]).await;
    assert_ne!(again, etag);
    let (status, problem) = mina.post(&complete, &json!({"parts": [{"number": 1, "etag": etag}]})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("part-changed")));
    mina.send(&parts[0], chunks[0]).await;
    let (status, video) = mina.post(&complete, &json!({"parts": [{"number": 1, "etag": etag}]})).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{video}");
    // Asked again, it is accepted once.
    assert_eq!(mina.post_nothing(&complete).await.0, StatusCode::ACCEPTED);
    mina.becomes(id, "indexed").await;
    assert_eq!(mina.get(&state).await.1["completed"], true);
    // An address that is still good writes to nothing any more.
    let late = mina.request(Method::PUT, parts[0]["url"].as_str().unwrap()).body(vec![7; 65536]);
    let (status, problem) = answer(late.send().await.unwrap()).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("upload-over")));
    let (_, playback) = mina.get(&format!("/videos/{id}/playback")).await;
    let whole = mina.request(Method::GET, playback["url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(whole.bytes().await.unwrap(), bytes);
    let storage = place.folder.path().join("storage");
    assert!(files_below(&storage.join("uploads")).is_empty());
    mina.delete(&format!("/videos/{id}")).await;
    assert!(files_below(&storage).is_empty(), "{:?}", files_below(&storage));
    server.end().await;
}

/// What is no video is refused before it is queued, and what only looks like one fails by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_content_is_refused() {
    let Some(place) = Place::make().await else { return };
    let server = place.server(&[]).await;
    let mina = server.somebody("mina").await;
    for bytes in [
        &b"#EXTM3U\nfile:///etc/passwd\n"[..],
        b"ffconcat version 1.0",
        b"<html>hello</html>",
        b"\x89PNG\r\n\x1a\n....",
    ] {
        let plan = mina.init("evil.mp4", bytes.len()).await;
        mina.send(&plan["parts"][0], bytes).await;
        let id = plan["video_id"].as_str().unwrap();
        let (status, problem) = mina.post_nothing(&format!("/videos/{id}/upload/complete")).await;
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!("not-a-media-file"))
        );
        assert_eq!(mina.get(&format!("/videos/{id}")).await.0, StatusCode::NOT_FOUND);
    }
    assert_eq!(mina.get("/auth/me").await.1["quota"]["videos"], 0);
    // Cut off in the middle: accepted, and found out where it is safe.
    let half = &clip()[..clip().len() / 2];
    let id = mina.upload("half.mp4", half).await;
    let until = std::time::Instant::now() + common::PATIENCE;
    let video = loop {
        let (_, video) = mina.get(&format!("/videos/{id}")).await;
        if video["error"] != json!(null) {
            break video;
        }
        assert!(std::time::Instant::now() < until, "{video}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let message = video["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("half.mp4: "), "{message}");
    let folder = place.folder.path().display().to_string();
    assert!(!video.to_string().contains(&folder), "{video}");
    // Nothing is changed by trying again, but it may be tried.
    assert_eq!(video["state"], "failed");
    let (status, _) = mina.post_nothing(&format!("/videos/{id}/retry")).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    server.end().await;
}

/// What waits is called off at once, and begun anew when asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_called_off_and_begun_anew() {
    let Some(place) = Place::make().await else { return };
    let api = place.server(&[("ROLE", "api")]).await;
    let mina = api.somebody("mina").await;
    let id = mina.upload("a.mp4", &clip()).await;
    let (status, video) = mina.post_nothing(&format!("/videos/{id}/cancel")).await;
    assert_eq!((status, &video["state"]), (StatusCode::ACCEPTED, &json!("failed")), "{video}");
    assert_eq!(video["error"]["kind"], "cancelled");
    assert_eq!(mina.post_nothing(&format!("/videos/{id}/cancel")).await.0, StatusCode::CONFLICT);
    let (status, video) = mina.post_nothing(&format!("/videos/{id}/retry")).await;
    assert_eq!((status, &video["state"]), (StatusCode::ACCEPTED, &json!("validating")), "{video}");
    let worker = place.server(&[("ROLE", "worker")]).await;
    mina.becomes(&id, "indexed").await;
    worker.end().await;
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_is_refused_by_name() {
    let Some(place) = Place::make().await else { return };
    let few = [("ROLE", "api"), ("MAX_UPLOAD_BYTES", "1000"), ("MAX_BYTES", "2500"), ("MAX_VIDEOS", "4")];
    let server = place.server(&few).await;
    let (mina, other) = (server.somebody("mina").await, server.somebody("other").await);
    let init = async |client: &common::Client, name: &str, kind: &str, bytes: i64| {
        client.post("/videos/upload/init", &json!({"name": name, "content_type": kind, "bytes": bytes})).await
    };
    for (name, kind, bytes, status, code) in [
        ("a.mp4", "video/mp4", 1001, 413, "too-large"),
        ("a.mp4", "video/mp4", 0, 422, "invalid"),
        ("a.mp4", "video/mp4", -1, 422, "invalid"),
        ("", "video/mp4", 10, 422, "invalid"),
        ("a\nb", "video/mp4", 10, 422, "invalid"),
        ("a.html", "text/html", 10, 415, "unsupported-type"),
        ("a.mp4", "video/mp4\r\nx: y", 10, 415, "unsupported-type"),
    ] {
        let (found, problem) = init(&mina, name, kind, bytes).await;
        assert_eq!((found.as_u16(), &problem["code"]), (status, &json!(code)), "{name} {kind} {bytes}");
    }
    // However many begin at once, no more pass than may.
    let at_once = futures::future::join_all((0..5).map(|_| init(&mina, "a.mp4", "video/mp4", 1000))).await;
    assert_eq!(at_once.iter().filter(|(status, _)| *status == StatusCode::CREATED).count(), 2);
    let (_, refused) = at_once.iter().find(|(status, _)| *status == StatusCode::FORBIDDEN).unwrap();
    assert!(
        refused["code"] == "quota" && refused["detail"].as_str().unwrap().contains("2000 of 2500 bytes"),
        "{refused}"
    );
    for expected in [201, 201, 403] {
        assert_eq!(init(&mina, "a.mp4", "video/mp4", 10).await.0, expected, "four videos");
    }
    assert_eq!(
        init(&other, "a.mp4", "video/mp4", 1000).await.0,
        StatusCode::CREATED,
        "each has room of their own"
    );
    server.end().await;
}

/// SPEC N2: what nobody completes within a day is removed, by whichever process looks first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_uploads_are_removed() {
    let Some(place) = Place::make().await else { return };
    let api = place.server(&[("ROLE", "api")]).await;
    let mina = api.somebody("mina").await;
    let (old, new) = (mina.init("old.mp4", 10).await, mina.init("new.mp4", 10).await);
    mina.send(&old["parts"][0], &[1; 10]).await;
    mina.send(&new["parts"][0], &[1; 10]).await;
    let pool = place.pool().await;
    sqlx::query("UPDATE server.videos SET created_at = now() - interval '25 hours' WHERE name = 'old.mp4'")
        .execute(&pool)
        .await
        .unwrap();
    // It looks as soon as it starts.
    let worker = place.server(&[("ROLE", "worker")]).await;
    let until = std::time::Instant::now() + common::PATIENCE;
    let uploads = place.folder.path().join("storage/uploads");
    while files_below(&uploads).len() > 1 {
        assert!(std::time::Instant::now() < until);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (_, list) = mina.get("/videos").await;
    assert_eq!((&list["total"], &list["videos"][0]["name"]), (&json!(1), &json!("new.mp4")));
    let kinds: Vec<String> =
        sqlx::query_scalar("SELECT kind FROM server.events").fetch_all(&pool).await.unwrap();
    assert!(kinds.iter().any(|kind| kind == "upload-abandoned"));
    worker.end().await;
    api.end().await;
}
