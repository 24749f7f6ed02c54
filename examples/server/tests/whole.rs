//! The way through: an account, a video, its index, a search, a moment to play; and what stands between
//! one user and another.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::time::{Duration, Instant};

use common::{Client, PATIENCE, Place, answer, clip};
use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

macro_rules! place {
    () => {
        match Place::make().await {
            Some(place) => place,
            None => return,
        }
    };
}

/// From nothing to a moment that plays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_video_becomes_searchable() {
    let place = place!();
    let server = place.server(&[]).await;
    let mina = server.somebody("mina").await;
    let (_, me) = mina.get("/auth/me").await;
    assert_eq!((&me["user"]["email"], &me["quota"]["videos"]), (&json!("mina@example.org"), &json!(0)));

    let id = mina.upload("holiday.mp4", &clip()).await;
    let video = mina.becomes(&id, "indexed").await;
    assert_eq!((&video["title"], &video["content_type"]), (&json!("holiday"), &json!("video/mp4")));
    assert_eq!((&video["searchable"], &video["error"]), (&json!(true), &Value::Null));
    let stages: Vec<&str> =
        video["stages"].as_array().unwrap().iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(stages.first(), Some(&"validate"));
    assert_eq!(stages.last(), Some(&"commit"));
    assert!(
        video["stages"].as_array().unwrap().iter().all(|s| s["state"] == "completed" && s["fraction"] == 1.0)
    );
    assert!(video["duration_us"].as_i64().unwrap() > 1_900_000);

    let (status, page) = mina.post("/search", &json!({"query": "red car", "explain": true})).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let hit = &page["hits"][0];
    assert_eq!((&hit["scene"]["video"], &page["total"]), (&json!(id), &json!(1)));
    assert!(hit["text"].as_str().unwrap().contains("A red car."));
    assert!(hit["channels"].as_array().unwrap().iter().any(|channel| channel["channel"] == "speech"));
    let moment = hit["playback"]["url"].as_str().unwrap();
    assert!(moment.contains("#t=1."), "{moment}");

    // The picture and the video are there for whoever has their address, and only at it.
    let picture = mina.request(Method::GET, hit["thumbnail_url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(picture.headers()["content-type"], "image/webp");
    assert!(picture.bytes().await.unwrap().starts_with(b"RIFF"));
    let (_, playback) = mina.get(&format!("/videos/{id}/playback")).await;
    let url = playback["url"].as_str().unwrap();
    let whole = server.nobody().request(Method::GET, url).send().await.unwrap();
    assert_eq!(
        (whole.status(), &whole.headers()["content-type"]),
        (StatusCode::OK, &"video/mp4".parse().unwrap())
    );
    assert_eq!(whole.bytes().await.unwrap(), clip());
    let bare = url.split_once('?').unwrap().0;
    let (status, _) = mina.get(bare).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    let (status, problem) = mina.get(&url.replace("signature=", "signature=x")).await;
    assert_eq!((status, &problem["code"]), (StatusCode::FORBIDDEN, &json!("signature")));

    let (_, scenes) = mina.get(&format!("/videos/{id}/scenes")).await;
    let scene = &scenes["scenes"][0];
    assert_eq!((&scene["ordinal"], &scenes["next"]), (&json!(0), &Value::Null));
    assert!(scene["words"].as_array().unwrap().len() >= 5);
    let (_, one) = mina.get(&format!("/scenes/{id}:0")).await;
    assert_eq!(&one["words"], &scene["words"]);
    let (_, preview) = mina.get(&format!("/scenes/{id}:0/preview")).await;
    assert!(preview["url"].as_str().unwrap().contains("#t=0.000,"), "{preview}");
    let picture = mina.request(Method::GET, &format!("/scenes/{id}:0/thumbnail")).send().await.unwrap();
    assert_eq!(
        (picture.status(), &picture.headers()["content-type"]),
        (StatusCode::OK, &"image/webp".parse().unwrap())
    );
    let (_, transcript) = mina.get(&format!("/videos/{id}/transcript")).await;
    assert_eq!(transcript["segments"][1]["text"], "A red car.");
    assert_eq!(transcript["source"]["kind"], "embedded");

    // Another title is found at once, and the old one is not.
    let change =
        mina.request(Method::PATCH, &format!("/videos/{id}")).json(&json!({"title": "Zebra crossing"}));
    let (status, video) = answer(change.send().await.unwrap()).await;
    assert_eq!((status, &video["title"]), (StatusCode::OK, &json!("Zebra crossing")));
    let (_, page) = mina.post("/search", &json!({"query": "zebra"})).await;
    assert_eq!(page["hits"][0]["video"]["title"], "Zebra crossing");
    let (_, page) = mina.post("/search", &json!({"query": "holiday", "weights": {"meaning": 0}})).await;
    assert_eq!(page["total"], 0);

    // By a picture: this server has no model for that, and says so.
    let png = std::fs::read(common::fixtures().join("tiny-siglip2/wide.png")).unwrap();
    let image = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, png);
    let (status, problem) = mina.post("/search", &json!({"image": image})).await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_IMPLEMENTED, &json!("model-missing")));

    let (status, _) = mina.delete(&format!("/videos/{id}")).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (_, page) = mina.post("/search", &json!({"query": "red car"})).await;
    assert_eq!(page["total"], 0);
    let (status, _) = mina.get(url).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "its file is gone");
    let (_, list) = mina.get("/videos").await;
    assert_eq!((&list["total"], &list["videos"]), (&json!(0), &json!([])));
    server.end().await;
}

/// What a route asks for, and what it answers to nobody, to another user and to the owner.
struct Route {
    method: Method,
    path: &'static str,
    body: Option<Value>,
    other: u16,
    owner: u16,
}

fn route(method: Method, path: &'static str, other: u16, owner: u16) -> Route {
    Route { method, path, body: None, other, owner }
}

/// SPEC N4 and O24: every route as nobody, as another user and as the owner. The list is held to the
/// OpenAPI document: a new route has to be in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
// One table, gone through in one go.
#[allow(clippy::too_many_lines)]
async fn nobody_sees_anothers_data() {
    let place = place!();
    let server = place.server(&[]).await;
    let (mina, other) = (server.somebody("mina").await, server.somebody("other").await);
    let id = mina.indexed("mine.mp4").await;
    let on_the_way = mina.init("later.mp4", 100).await["video_id"].as_str().unwrap().to_owned();
    let get = Method::GET;
    let post = Method::POST;
    let with = |route: Route, body: Value| Route { body: Some(body), ..route };
    let search = json!({"query": "red car"});
    // `{id}` is an indexed video, `{way}` one on its way, `{scene}` a scene, all the owner's.
    let closed = [
        route(get.clone(), "/auth/me", 200, 200),
        route(get.clone(), "/videos", 200, 200),
        with(
            route(post.clone(), "/videos/upload/init", 201, 201),
            json!({"name": "a.mp4", "content_type": "video/mp4", "bytes": 10}),
        ),
        route(get.clone(), "/videos/{way}/upload", 404, 200),
        with(route(post.clone(), "/videos/{way}/upload/complete", 404, 409), json!({"parts": []})),
        route(get.clone(), "/videos/{id}", 404, 200),
        with(route(Method::PATCH, "/videos/{id}", 404, 200), json!({"title": "Mine"})),
        route(get.clone(), "/videos/{id}/status", 404, 200),
        route(get.clone(), "/videos/{id}/events", 404, 200),
        route(get.clone(), "/videos/{id}/playback", 404, 200),
        route(get.clone(), "/videos/{id}/scenes", 404, 200),
        route(get.clone(), "/videos/{id}/transcript", 404, 200),
        route(post.clone(), "/videos/{id}/cancel", 404, 409),
        route(post.clone(), "/videos/{id}/retry", 404, 409),
        route(get.clone(), "/events", 200, 200),
        route(get.clone(), "/scenes/{scene}", 404, 200),
        route(get.clone(), "/scenes/{scene}/preview", 404, 200),
        route(get.clone(), "/scenes/{scene}/thumbnail", 404, 200),
        with(route(post.clone(), "/search", 200, 200), search.clone()),
        route(get.clone(), "/people", 501, 501),
        route(post.clone(), "/people", 501, 501),
        route(post.clone(), "/people/{id}/photos", 501, 501),
        route(Method::DELETE, "/people/{id}", 501, 501),
        // Last: it takes away what the others are about.
        route(Method::DELETE, "/videos/{id}", 404, 204),
    ];
    let open = [
        "GET /auth/config",
        "POST /auth/register",
        "POST /auth/login",
        "POST /auth/refresh",
        "POST /auth/logout",
        "GET /health",
        "GET /ready",
        "GET /models",
        "GET /metrics",
    ];
    let (_, document) = server.nobody().get("/openapi.json").await;
    let mut described: Vec<String> = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let name = format!("{} {path}", method.to_uppercase());
            let secured = operation["security"] == json!([{"bearer": []}]);
            assert_eq!(secured, !open.contains(&name.as_str()), "{name}");
            described.push(name);
        }
    }
    let general = |path: &str| path.replace("{way}", "{id}").replace("{scene}", "{id}");
    let mut tested: Vec<String> =
        closed.iter().map(|r| format!("{} {}", r.method, general(r.path))).collect();
    tested.extend(open.map(str::to_owned));
    described.sort();
    tested.sort();
    assert_eq!(described, tested);

    for route in &closed {
        let path = route
            .path
            .replace("{id}", &id)
            .replace("{way}", &on_the_way)
            .replace("{scene}", &format!("{id}:0"));
        let ask = async |client: &Client| {
            let mut request = client.request(route.method.clone(), &path);
            if let Some(body) = &route.body {
                request = request.json(body);
            }
            request.send().await.unwrap()
        };
        let said = format!("{} {path}", route.method);
        let nobody = ask(&server.nobody()).await;
        assert_eq!(nobody.headers()["www-authenticate"], "Bearer", "{said}");
        assert_eq!(answer(nobody).await.0, 401, "{said} by nobody");
        let mut forged = server.nobody();
        forged.token = Some(format!("{}x", mina.token.as_ref().unwrap()));
        assert_eq!(answer(ask(&forged).await).await.0, 401, "{said} with a forged token");
        for (client, expected) in [(&other, route.other), (&mina, route.owner)] {
            let response = ask(client).await;
            assert_eq!(response.status().as_u16(), expected, "{said}");
            let stream =
                response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
            if stream {
                continue;
            }
            let text = response.text().await.unwrap();
            let is_other = client.token == other.token;
            assert!(!(is_other && text.contains(&id)), "{said} shows another's video: {text}");
        }
    }
    // A filter cannot reach into another library either.
    let id = mina.indexed("again.mp4").await;
    for body in [json!({"query": "red car", "filter": {"videos": [id]}}), json!({"query": "red car"})] {
        let (status, page) = other.post("/search", &body).await;
        assert_eq!((status, &page["total"]), (StatusCode::OK, &json!(0)));
    }
    let (status, _) = other.post("/search", &json!({"like": {"video": id, "ordinal": 0}})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    server.end().await;
}

/// What is watched is told as it happens, progress never goes backwards, and others hear nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn progress_is_told_live() {
    let place = place!();
    let server = place.server(&[]).await;
    let (mina, other) = (server.somebody("mina").await, server.somebody("other").await);
    let mut events = mina.request(Method::GET, "/events").send().await.unwrap().bytes_stream();
    let mut others = other.request(Method::GET, "/events").send().await.unwrap().bytes_stream();
    let id = mina.upload("live.mp4", &clip()).await;
    let mut text = String::new();
    let mut states: Vec<String> = Vec::new();
    let mut fraction = 0.0;
    let until = Instant::now() + PATIENCE;
    while states.last().is_none_or(|state| state != "indexed") {
        assert!(Instant::now() < until, "{text}");
        let chunk = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap();
        text.push_str(std::str::from_utf8(&chunk).unwrap());
        while let Some((event, rest)) = text.split_once("\n\n") {
            if event.contains("event: video") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
                let status: Value = serde_json::from_str(data).unwrap();
                assert_eq!(status["id"], id.as_str());
                states.push(status["state"].as_str().unwrap().to_owned());
                let now = status["progress"]["fraction"].as_f64().unwrap_or(0.0);
                assert!(now >= fraction, "{now} after {fraction}");
                fraction = now;
            } else {
                assert!(event.contains("retry: 2000") || event.starts_with(':'), "{event}");
            }
            text = rest.to_owned();
        }
    }
    assert!((fraction - 1.0).abs() < 1e-6);
    mina.delete(&format!("/videos/{id}")).await;
    loop {
        let chunk = tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap().unwrap();
        if std::str::from_utf8(&chunk).unwrap().contains("\"deleted\"") {
            break;
        }
    }
    let heard = tokio::time::timeout(Duration::from_millis(500), others.next()).await;
    let heard = heard.ok().flatten().map(|chunk| String::from_utf8(chunk.unwrap().to_vec()).unwrap());
    assert!(heard.is_none_or(|heard| !heard.contains(&id)));
    // Watchers are sent away, so that the server can end.
    server.end().await;
}

/// Ranges, conditions and heads of files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_answer_ranges_and_conditions() {
    let place = place!();
    let server = place.server(&[]).await;
    let mina = server.somebody("mina").await;
    let id = mina.upload("a.mp4", &clip()).await;
    let (_, playback) = mina.get(&format!("/videos/{id}/playback")).await;
    let url = playback["url"].as_str().unwrap();
    let size = clip().len();
    let ask = async |headers: &[(&str, &str)]| {
        let mut request = mina.request(Method::GET, url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    };
    let whole = ask(&[]).await;
    let (etag, modified) = (whole.headers()["etag"].clone(), whole.headers()["last-modified"].clone());
    let (etag, modified) = (etag.to_str().unwrap(), modified.to_str().unwrap());
    assert_eq!(whole.headers()["accept-ranges"], "bytes");
    for (range, start, end) in
        [("bytes=0-99", 0, 100), ("bytes=-10", size - 10, size), ("bytes=100-", 100, size)]
    {
        let part = ask(&[("range", range)]).await;
        assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(part.headers()["content-range"], format!("bytes {start}-{}/{size}", end - 1).as_str());
        assert_eq!(part.bytes().await.unwrap(), clip()[start..end]);
    }
    let beyond = ask(&[("range", "bytes=99999999-")]).await;
    assert_eq!(beyond.headers()["content-range"], format!("bytes */{size}").as_str());
    assert_eq!(answer(beyond).await.0, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(ask(&[("if-none-match", etag)]).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(ask(&[("if-none-match", "\"other\"")]).await.status(), StatusCode::OK);
    assert_eq!(ask(&[("if-modified-since", modified)]).await.status(), StatusCode::NOT_MODIFIED);
    let part = [("range", "bytes=0-0")];
    assert_eq!(ask(&[part[0], ("if-range", etag)]).await.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(ask(&[part[0], ("if-range", "\"other\"")]).await.status(), StatusCode::OK);
    let head = mina.request(Method::HEAD, url).send().await.unwrap();
    assert_eq!(
        (head.status(), head.headers()["content-length"].to_str().unwrap()),
        (StatusCode::OK, size.to_string().as_str())
    );
    server.end().await;
}

/// Whatever is wrong is answered as a problem with a name and an id, and never in the database's words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn problems_are_told_in_one_way() {
    let place = place!();
    let server = place.server(&[]).await;
    let mina = server.somebody("mina").await;
    let post = |path: &str, kind: &str, body: &str| {
        mina.request(Method::POST, path).header("content-type", kind).body(body.to_owned())
    };
    let json = "application/json";
    for (request, status, code, field) in [
        (mina.request(Method::GET, "/nothing/here"), 404, "not-found", None),
        (mina.request(Method::PUT, "/videos"), 405, "method-not-allowed", None),
        (post("/search", "text/plain", "{}"), 415, "unsupported-media-type", None),
        (post("/search", json, "{"), 400, "bad-json", None),
        (post("/search", json, "{}"), 422, "query", Some("query")),
        (post("/search", json, r#"{"qurey": "a"}"#), 422, "invalid", Some("qurey")),
        (post("/search", json, r#"{"query": "a", "limit": 0}"#), 422, "invalid", Some("limit")),
        (post("/search", json, r#"{"query": "a", "image": "%%"}"#), 422, "invalid", Some("image")),
        (post("/search", json, r#"{"query": "a", "image": "aGVsbG8="}"#), 422, "invalid", Some("image")),
        (mina.request(Method::GET, "/videos?limit=0"), 422, "invalid", Some("limit")),
        (mina.request(Method::GET, "/videos?after=x"), 422, "invalid", Some("after")),
        (mina.request(Method::GET, "/videos?nothing=1"), 422, "invalid", None),
        (mina.request(Method::GET, "/videos/x"), 404, "not-found", None),
        (mina.request(Method::GET, "/scenes/x:1"), 404, "not-found", None),
        (
            post("/auth/register", json, r#"{"email": "mina", "password": "long enough"}"#),
            422,
            "invalid",
            Some("email"),
        ),
        (
            post("/auth/register", json, r#"{"email": "a@b", "password": "short"}"#),
            422,
            "invalid",
            Some("password"),
        ),
        (post("/auth/register", json, r#"{"email": "a@b"}"#), 422, "invalid", Some("password")),
        (
            post("/auth/login", json, r#"{"email": "a\u0000@b", "password": "long enough"}"#),
            401,
            "unauthorized",
            None,
        ),
        (post("/auth/register", json, &format!("\"{}\"", "x".repeat(300_000))), 413, "too-large", None),
    ] {
        let said = format!("{request:?}");
        let (found, problem) = answer(request.send().await.unwrap()).await;
        assert_eq!((found.as_u16(), problem["code"].as_str().unwrap()), (status, code), "{said}: {problem}");
        assert_eq!(problem["status"], status);
        assert!(uuid::Uuid::parse_str(problem["request_id"].as_str().unwrap()).is_ok());
        if let Some(field) = field {
            assert_eq!(problem["field"], field, "{said}: {problem}");
        }
    }
    // The database is broken under it: nothing of its words comes out.
    let pool = place.pool().await;
    sqlx::query("ALTER TABLE server.videos RENAME TO elsewhere").execute(&pool).await.unwrap();
    let (status, problem) = mina.get("/videos").await;
    assert_eq!((status, &problem["code"]), (StatusCode::INTERNAL_SERVER_ERROR, &json!("internal")));
    let text = problem.to_string();
    assert!(
        !text.contains("relation") && !text.contains("server.videos") && !text.contains("SELECT"),
        "{text}"
    );
    server.end().await;
}

/// The page's own rules, and those of everything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_carry_their_headers() {
    let place = place!();
    let server = place.server(&[]).await;
    let nobody = server.nobody();
    let docs = nobody.request(Method::GET, "/docs").send().await.unwrap();
    let policy = docs.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    let text = docs.text().await.unwrap();
    assert!(
        !text.contains("http://") && !text.contains("https://") && !text.contains("//cdn"),
        "asks nobody else"
    );
    let health = nobody.request(Method::GET, "/health").send().await.unwrap();
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(health.headers()[name], value);
    }
    assert!(!health.headers().contains_key("set-cookie"));
    let (_, health) = answer(health).await;
    assert_eq!(
        (&health["status"], &health["database"]["ok"], &health["storage"]["kind"]),
        (&json!("ok"), &json!(true), &json!("folder"))
    );
    let (status, ready) = nobody.get("/ready").await;
    assert_eq!((status, &ready["ready"]), (StatusCode::OK, &json!(true)));
    let (_, models) = nobody.get("/models").await;
    assert_eq!(
        (&models["models"][0]["role"], models["notes"].as_array().unwrap().len()),
        (&json!("text"), 2)
    );
    assert!(models["memory_bytes"].as_u64().unwrap() > 1 << 20);
    let (_, metrics) = nobody.get("/metrics").await;
    let metrics = metrics.as_str().unwrap();
    for name in
        ["http_requests_total{", "http_request_seconds_bucket{", "jobs{state=\"queued\"}", "uptime_seconds"]
    {
        assert!(metrics.contains(name), "{name} in {metrics}");
    }
    server.end().await;
}
