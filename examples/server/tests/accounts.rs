//! Accounts: what signs in, what does not, and sessions that go on and end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Client, Place, Server, answer};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

async fn sign_in(client: &Client, path: &str, email: &str, password: &str) -> (StatusCode, Value) {
    client.post(path, &json!({"email": email, "password": password})).await
}

async fn refresh(client: &Client, token: &Value) -> (StatusCode, Value) {
    client.post("/auth/refresh", &json!({"refresh_token": token})).await
}

/// Two tabs that renew at once, and a page that is loaded again before the answer came, stay signed in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_may_come_again_for_some_seconds() {
    let Some(place) = Place::make().await else { return };
    let server = place.server(&[]).await;
    let nobody = server.nobody();
    let (_, first) = sign_in(&nobody, "/auth/register", "mina@example.org", "correct horse").await;
    let (a, b) =
        tokio::join!(refresh(&nobody, &first["refresh_token"]), refresh(&nobody, &first["refresh_token"]));
    assert_eq!((a.0, b.0), (StatusCode::OK, StatusCode::OK));
    assert_ne!(a.1["refresh_token"], b.1["refresh_token"]);
    let (status, next) = refresh(&nobody, &b.1["refresh_token"]).await;
    assert_eq!(status, StatusCode::OK);

    // Later the first of the two is used up, whichever it was, and whoever has it is found out.
    let pool = place.pool().await;
    sqlx::query("UPDATE server.refresh_tokens SET used_at = used_at - interval '1 minute'")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(refresh(&nobody, &a.1["refresh_token"]).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(refresh(&nobody, &next["refresh_token"]).await.0, StatusCode::UNAUTHORIZED);
    server.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_rotate_and_a_token_that_comes_twice_ends_them() {
    let Some(place) = Place::make().await else { return };
    let server = place.server(&[("refresh_grace_seconds", "0")]).await;
    let nobody = server.nobody();
    let (status, first) = sign_in(&nobody, "/auth/register", "Mina@Example.org", "correct horse").await;
    assert_eq!((status, &first["user"]["email"]), (StatusCode::CREATED, &json!("mina@example.org")));
    assert_eq!(first["expires_in"], 900);
    let (status, second) = refresh(&nobody, &first["refresh_token"]).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    // Another session of the same user goes on.
    let (_, other) = sign_in(&nobody, "/auth/login", "mina@example.org", "correct horse").await;
    let (status, problem) = refresh(&nobody, &first["refresh_token"]).await;
    assert_eq!((status, &problem["code"]), (StatusCode::UNAUTHORIZED, &json!("unauthorized")));
    let (status, _) = refresh(&nobody, &second["refresh_token"]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "the whole family is revoked");
    let (status, other) = refresh(&nobody, &other["refresh_token"]).await;
    assert_eq!(status, StatusCode::OK);
    // Of two that come at once, one is the second.
    let (a, b) =
        tokio::join!(refresh(&nobody, &other["refresh_token"]), refresh(&nobody, &other["refresh_token"]));
    let mut statuses = [a.0.as_u16(), b.0.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);

    let (_, last) = sign_in(&nobody, "/auth/login", "mina@example.org", "correct horse").await;
    let (_, elsewhere) = sign_in(&nobody, "/auth/login", "mina@example.org", "correct horse").await;
    let out = json!({"refresh_token": last["refresh_token"]});
    for _ in 0..2 {
        assert_eq!(nobody.post("/auth/logout", &out).await.0, StatusCode::NO_CONTENT);
    }
    assert_eq!(refresh(&nobody, &last["refresh_token"]).await.0, StatusCode::UNAUTHORIZED);
    let (status, elsewhere) = refresh(&nobody, &elsewhere["refresh_token"]).await;
    assert_eq!(status, StatusCode::OK);
    let (_, last) = sign_in(&nobody, "/auth/login", "mina@example.org", "correct horse").await;
    let out = json!({"refresh_token": last["refresh_token"], "everywhere": true});
    assert_eq!(nobody.post("/auth/logout", &out).await.0, StatusCode::NO_CONTENT);
    assert_eq!(refresh(&nobody, &elsewhere["refresh_token"]).await.0, StatusCode::UNAUTHORIZED);

    let pool = place.pool().await;
    let events: Vec<String> = sqlx::query_scalar("SELECT kind FROM server.events ORDER BY event_id")
        .fetch_all(&pool)
        .await
        .unwrap();
    let counted = events.iter().fold(BTreeMap::<&str, usize>::new(), |mut counted, kind| {
        *counted.entry(kind).or_default() += 1;
        counted
    });
    assert_eq!(
        (counted["registered"], counted["login"], counted["refresh-token-reused"], counted["logout"]),
        (1, 4, 2, 2)
    );
    // Nothing that signs anybody in is kept as it is.
    let (password, tokens): (String, Vec<Vec<u8>>) = (
        sqlx::query_scalar("SELECT password FROM server.users").fetch_one(&pool).await.unwrap(),
        sqlx::query_scalar("SELECT token_hash FROM server.refresh_tokens").fetch_all(&pool).await.unwrap(),
    );
    assert!(password.starts_with("$argon2id$"));
    assert!(tokens.iter().all(|hash| hash.len() == 32));
    server.end().await;
}

/// Signing in tells nothing about who has an account.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_address_and_a_wrong_password_are_answered_alike() {
    let Some(place) = Place::make().await else { return };
    let server = place.server(&[]).await;
    let nobody = server.nobody();
    sign_in(&nobody, "/auth/register", "mina@example.org", "correct horse").await;
    let strip = |mut problem: Value| {
        problem.as_object_mut().unwrap().remove("request_id");
        problem
    };
    let wrong = sign_in(&nobody, "/auth/login", "mina@example.org", "correct horsf").await;
    let unknown = sign_in(&nobody, "/auth/login", "nina@example.org", "correct horse").await;
    assert_eq!(wrong.0, StatusCode::UNAUTHORIZED);
    assert_eq!((wrong.0, strip(wrong.1)), (unknown.0, strip(unknown.1)));
    let (status, problem) = sign_in(&nobody, "/auth/register", "MINA@example.org", "another horse").await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("cannot-register")));
    server.end().await;
}

/// Guessing is slowed down for all processes together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_are_counted_over_all_processes() {
    let Some(place) = Place::make().await else { return };
    let few = [("LOGINS_PER_MINUTE", "3"), ("REQUESTS_PER_SECOND", "2"), ("ROLE", "api")];
    let servers = [place.server(&few).await, place.server(&few).await];
    let mut statuses = Vec::new();
    for n in 0..5 {
        let (status, _) =
            sign_in(&servers[n % 2].nobody(), "/auth/login", "mina@example.org", "guess number 1").await;
        statuses.push(status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    // And requests of one address by each process: a burst passes, then no more.
    let nobody = servers[0].nobody();
    let mut refused = None;
    for _ in 0..200 {
        let response = nobody.request(Method::GET, "/auth/config").send().await.unwrap();
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            refused = Some(response);
            break;
        }
    }
    let refused = refused.expect("a limit");
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(answer(refused).await.1["code"], "too-many-requests");
    for server in servers {
        server.end().await;
    }
}

#[derive(serde::Serialize)]
struct Claims {
    sub: &'static str,
    aud: &'static str,
    iss: &'static str,
    exp: i64,
}

const SECRET: &str = "a secret of the outside issuer, shared";

/// Accounts may be kept elsewhere: by a shared secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_of_an_outside_issuer_are_taken() {
    let Some(place) = Place::make().await else { return };
    let outside = [
        ("JWT_SECRET", SECRET),
        ("JWT_AUDIENCE", "videos"),
        ("JWT_ISSUER", "https://issuer"),
        ("ROLE", "api"),
    ];
    let server: Server = place.server(&outside).await;
    let nobody = server.nobody();
    assert_eq!(nobody.get("/auth/config").await.1["mode"], "external");
    let (status, problem) = sign_in(&nobody, "/auth/register", "mina@example.org", "correct horse").await;
    assert_eq!((status, &problem["code"]), (StatusCode::NOT_IMPLEMENTED, &json!("accounts-elsewhere")));
    let soon = chrono::Utc::now().timestamp() + 60;
    let good = Claims { sub: "mina", aud: "videos", iss: "https://issuer", exp: soon };
    let sign = |claims: &Claims, algorithm, secret: &str| {
        encode(&Header::new(algorithm), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    let with = |token: String| Client { token: Some(token), ..nobody.clone() };
    let mina = with(sign(&good, Algorithm::HS256, SECRET));
    let (status, me) = mina.get("/auth/me").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        mina.get("/auth/me").await.1["user"]["id"],
        me["user"]["id"],
        "one account, whenever they come"
    );
    let other = with(sign(&Claims { sub: "other", ..good }, Algorithm::HS256, SECRET));
    assert_ne!(other.get("/auth/me").await.1["user"]["id"], me["user"]["id"]);
    let good = || Claims { sub: "mina", aud: "videos", iss: "https://issuer", exp: soon };
    for token in [
        sign(&good(), Algorithm::HS256, "another secret"),
        sign(&good(), Algorithm::HS384, SECRET),
        sign(&Claims { aud: "music", ..good() }, Algorithm::HS256, SECRET),
        sign(&Claims { iss: "https://other", ..good() }, Algorithm::HS256, SECRET),
        sign(&Claims { exp: soon - 3600, ..good() }, Algorithm::HS256, SECRET),
        sign(&Claims { sub: "", ..good() }, Algorithm::HS256, SECRET),
    ] {
        assert_eq!(with(token).get("/auth/me").await.0, StatusCode::UNAUTHORIZED);
    }
    server.end().await;
}

/// Made once with another implementation (`PyJWT` 2): a public key, a token signed with its private half, and
/// one signed with the same that names another key. Their time is over in 2100.
const PUBLISHED: &str = r#"{"kty": "EC", "crv": "P-256", "kid": "one", "alg": "ES256", "use": "sig", "x": "o9CD-2AMInhM-jsTqjT_JNbiGh0pQaNvQyF9mkZlxpc", "y": "ZptAChEEklaryaTCg2nAbqhArSCWakRXHZ7ROKGJpcQ"}"#;
const SIGNED: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6Im9uZSIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJtaW5hIiwiYXVkIjoidmlkZW9zIiwiaXNzIjoiaHR0cHM6Ly9pc3N1ZXIiLCJleHAiOjQxMDI0NDQ4MDAsImVtYWlsIjoibWluYUBleGFtcGxlLm9yZyIsImVtYWlsX3ZlcmlmaWVkIjp0cnVlfQ.VolbB6O79efjtVFhKqHU3TkAJvSfrStAExgXlMGqoDNK9JOW2FZDnyAZ-INKGRBCkRpVBajBJVjib8be34guMg";
const SIGNED_BY_ANOTHER: &str = "eyJhbGciOiJFUzI1NiIsImtpZCI6InR3byIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJtaW5hIiwiYXVkIjoidmlkZW9zIiwiaXNzIjoiaHR0cHM6Ly9pc3N1ZXIiLCJleHAiOjQxMDI0NDQ4MDAsImVtYWlsIjoibWluYUBleGFtcGxlLm9yZyIsImVtYWlsX3ZlcmlmaWVkIjp0cnVlfQ.R51u17RTYb5LWy2Gh4uHuRUgNf1_21UwCP0yZdC8pmLp74eDJrbdxojjJ_V7iKKA3RHUymahE342etMUESsbAA";

/// Or by keys that the issuer publishes, which are asked for once, however many tokens name unknown ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_keys_of_an_outside_issuer_are_taken() {
    let Some(place) = Place::make().await else { return };
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let keys = axum::Router::new().route(
        "/keys",
        axum::routing::get(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            async { format!(r#"{{"keys": [{PUBLISHED}]}}"#) }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, keys).await.unwrap() });
    let outside =
        [("JWKS_URL", &*url), ("JWT_AUDIENCE", "videos"), ("JWT_ISSUER", "https://issuer"), ("ROLE", "api")];
    let server = place.server(&outside).await;
    let with = |token: &str| Client { token: Some(token.to_owned()), ..server.nobody() };
    let (status, me) = with(SIGNED).get("/auth/me").await;
    assert_eq!((status, &me["user"]["email"]), (StatusCode::OK, &json!("mina@example.org")));
    // A published key is no shared secret, whatever a token says of itself.
    let claims = Claims { sub: "mina", aud: "videos", iss: "https://issuer", exp: 4_102_444_800 };
    let header = Header { kid: Some("one".into()), ..Header::new(Algorithm::HS256) };
    let confused = encode(&header, &claims, &EncodingKey::from_secret(PUBLISHED.as_bytes())).unwrap();
    let changed = format!("{}A{}", &SIGNED[..100], &SIGNED[101..]);
    for token in [SIGNED_BY_ANOTHER, &confused, &changed, SIGNED_BY_ANOTHER] {
        assert_eq!(with(token).get("/auth/me").await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    server.end().await;
}
