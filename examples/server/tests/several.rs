//! Several processes as one: two that answer and two that index, on one database and one bucket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::{Duration, Instant};

use common::{Client, PATIENCE, Place, Server, answer, clip};
use futures::StreamExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use reqwest::{Method, StatusCode};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const KEY: &str = "AKIAEXAMPLEEXAMPLE00";
const SECRET: &str = "the secret key of the bucket";

/// A server that speaks S3, on a folder.
async fn bucket(folder: &std::path::Path) -> String {
    std::fs::create_dir_all(folder.join("videos")).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
    builder.set_auth(SimpleAuth::from_single(KEY, SECRET));
    let service = builder.build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service = service.clone();
            tokio::spawn(async move {
                // A client may hang up.
                let _ =
                    Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    format!("http://{address}")
}

async fn with_bucket(place: &Place, endpoint: &str, role: &str) -> Server {
    let settings = [
        ("ROLE", role),
        ("STORAGE", "s3://videos/here"),
        ("PART_BYTES", "5242880"),
        ("LEASE_SECONDS", "2"),
        ("AWS_ENDPOINT", endpoint),
        ("AWS_ALLOW_HTTP", "true"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", KEY),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
    ];
    place.server(&settings).await
}

/// Part of the bucket's files below a prefix.
fn objects(folder: &std::path::Path, prefix: &str) -> usize {
    walk(&folder.join("videos/here").join(prefix))
}

fn walk(folder: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { walk(&entry.path()) } else { 1 }).sum()
}

/// SPEC N7: no request has to go where the one before went.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_and_two_serve_one_session() {
    let Some(place) = Place::make().await else { return };
    let folder = place.folder.path().join("bucket");
    let endpoint = bucket(&folder).await;
    let apis = [with_bucket(&place, &endpoint, "api").await, with_bucket(&place, &endpoint, "api").await];
    let workers =
        [with_bucket(&place, &endpoint, "worker").await, with_bucket(&place, &endpoint, "worker").await];
    let first = apis[0].somebody("mina").await;
    let second = Client { url: apis[1].url.clone(), ..first.clone() };
    let turns = [&first, &second];

    // Begun at one, sent to the bucket, looked at through the other, completed at the first.
    let mut bytes = clip();
    let free = 11 * 1024 * 1024 - bytes.len();
    bytes.extend_from_slice(&u32::try_from(free).unwrap().to_be_bytes());
    bytes.extend_from_slice(b"free");
    bytes.resize(11 * 1024 * 1024, 0);
    let plan = first.init("long.mp4", bytes.len()).await;
    let id = plan["video_id"].as_str().unwrap();
    let parts = plan["parts"].as_array().unwrap();
    assert_eq!(parts.len(), 3);
    assert!(parts.iter().all(|part| part["url"].as_str().unwrap().starts_with(&endpoint)));
    let chunks: Vec<&[u8]> = bytes.chunks(plan["part_bytes"].as_u64().unwrap() as usize).collect();
    let mut events =
        second.request(Method::GET, &format!("/videos/{id}/events")).send().await.unwrap().bytes_stream();
    let etag = first.send(&parts[1], chunks[1]).await;
    let (_, there) = second.get(&format!("/videos/{id}/upload")).await;
    let done: Vec<bool> =
        there["parts"].as_array().unwrap().iter().map(|p| p["done"].as_bool().unwrap()).collect();
    assert_eq!(done, [false, true, false], "{there}");
    // This bucket lists no tags.
    assert_eq!(there["parts"][1]["etag"], "");
    first.send(&there["parts"][0]["request"], chunks[0]).await;
    let (status, problem) = second.post_nothing(&format!("/videos/{id}/upload/complete")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("part-missing")));
    first.send(&there["parts"][2]["request"], chunks[2]).await;
    let complete = format!("/videos/{id}/upload/complete");
    let sent = json!({"parts": [{"number": 2, "etag": etag}]});
    let (a, b) = tokio::join!(first.post(&complete, &sent), second.post_nothing(&complete));
    assert_eq!((a.0, b.0), (StatusCode::ACCEPTED, StatusCode::ACCEPTED), "{} {}", a.1, b.1);
    // What workers of other processes do is heard here.
    let mut heard = String::new();
    while !heard.contains("\"state\":\"indexed\"") {
        let chunk =
            tokio::time::timeout(PATIENCE, events.next()).await.expect("word of it").unwrap().unwrap();
        heard.push_str(std::str::from_utf8(&chunk).unwrap());
    }

    // Small ones, in one part, of which the address stays good for a while.
    let mut ids = vec![id.to_owned()];
    for n in 0..4 {
        let plan = turns[n % 2].init(&format!("small{n}.mp4"), clip().len()).await;
        let id = plan["video_id"].as_str().unwrap().to_owned();
        turns[n % 2].send(&plan["parts"][0], &clip()).await;
        let (status, _) = turns[(n + 1) % 2].post_nothing(&format!("/videos/{id}/upload/complete")).await;
        assert_eq!(status, StatusCode::ACCEPTED);
        if n == 0 {
            // What is written there now is no longer what is used.
            turns[0].send(&plan["parts"][0], b"<html>something else</html>").await;
        }
        ids.push(id);
    }
    for (n, id) in ids.iter().enumerate() {
        turns[n % 2].becomes(id, "indexed").await;
        let (_, playback) = turns[n % 2].get(&format!("/videos/{id}/playback")).await;
        let url = playback["url"].as_str().unwrap();
        let part = turns[0].request(Method::GET, url).header("range", "bytes=4-11").send().await.unwrap();
        assert_eq!(
            (part.status(), part.headers()["content-type"].to_str().unwrap()),
            (StatusCode::PARTIAL_CONTENT, "video/mp4")
        );
        assert_eq!(part.bytes().await.unwrap(), clip()[4..12]);
        let bare = turns[0].request(Method::GET, url.split_once('?').unwrap().0).send().await.unwrap();
        assert_eq!(bare.status(), StatusCode::FORBIDDEN);
    }
    let search = json!({"query": "red car"});
    let (one, other) = (first.post("/search", &search).await.1, second.post("/search", &search).await.1);
    assert_eq!(one["total"], 5);
    let found = |page: &Value| -> Vec<Value> {
        page["hits"].as_array().unwrap().iter().map(|hit| hit["scene"].clone()).collect()
    };
    assert_eq!(found(&one), found(&other));
    let picture = turns[0]
        .request(Method::GET, one["hits"][0]["thumbnail_url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(
        (picture.status(), &picture.headers()["content-type"]),
        (StatusCode::OK, &"image/webp".parse().unwrap())
    );
    assert!(objects(&folder, "thumbnails") >= 10 && objects(&folder, "videos") == 5);

    // A session that one began goes on at the other.
    let (_, session) =
        first.post("/auth/login", &json!({"email": "mina@example.org", "password": "correct horse"})).await;
    let (status, _) = second.post("/auth/refresh", &json!({"refresh_token": session["refresh_token"]})).await;
    assert_eq!(status, StatusCode::OK);

    for (n, id) in ids.iter().enumerate() {
        assert_eq!(turns[n % 2].delete(&format!("/videos/{id}")).await.0, StatusCode::NO_CONTENT);
    }
    assert_eq!(
        (objects(&folder, "videos"), objects(&folder, "thumbnails"), objects(&folder, "uploads")),
        (0, 0, 0)
    );
    for server in apis.into_iter().chain(workers) {
        server.end().await;
    }
    assert_eq!(walk(&place.folder.path().join("work")), 0, "workers leave nothing behind");
}

/// What is being sent when a server is told to stop arrives; what comes after is not taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_in_work_end_before_the_server_does() {
    let Some(place) = Place::make().await else { return };
    let server = place.server(&[]).await;
    let mina = server.somebody("mina").await;
    let bytes = clip();
    let plan = mina.init("late.mp4", bytes.len()).await;
    let (send, receive) = tokio::sync::mpsc::channel::<Result<Vec<u8>, std::io::Error>>(1);
    send.send(Ok(bytes[..100].to_vec())).await.unwrap();
    let body = reqwest::Body::wrap_stream(tokio_stream::wrappers::ReceiverStream::new(receive));
    let put = mina.request(Method::PUT, plan["parts"][0]["url"].as_str().unwrap()).body(body);
    let sending = tokio::spawn(put.send());
    // Its part file is there once the server is at it.
    let folder = place.folder.path().join("storage/uploads").join(plan["video_id"].as_str().unwrap());
    let until = Instant::now() + PATIENCE;
    while std::fs::read_dir(&folder).unwrap().count() == 0 {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop.cancel();
    while server.nobody().request(Method::GET, "/health").send().await.is_ok() {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    send.send(Ok(bytes[100..].to_vec())).await.unwrap();
    drop(send);
    let (status, _) = answer(sending.await.unwrap().unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    server.end().await;
    // And what was sent is there for the next one.
    let server = place.server(&[]).await;
    let mina = Client { url: server.url.clone(), ..mina };
    let id = plan["video_id"].as_str().unwrap();
    assert_eq!(mina.post_nothing(&format!("/videos/{id}/upload/complete")).await.0, StatusCode::ACCEPTED);
    mina.becomes(id, "indexed").await;
    server.end().await;
}
