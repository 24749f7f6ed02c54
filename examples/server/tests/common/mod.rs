//! A server for a test: a database and a folder of its own, in this process.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub
)]

#[path = "../../../../heimdex/tests/common/database.rs"]
pub mod database;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use database::Database;
use heimdex_server::app::Fatal;
use heimdex_server::config::Config;
use metrics_exporter_prometheus::PrometheusHandle;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_mins(2);

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../heimdex/tests/fixtures")
}

/// A clip with subtitles: "a red car in the rain" and more.
pub fn clip() -> Vec<u8> {
    std::fs::read(fixtures().join("media/subtitles.mp4")).unwrap()
}

fn metrics() -> PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    let metrics = METRICS.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        heimdex_server::measure().unwrap()
    });
    metrics.clone()
}

/// What several servers of one test share.
pub struct Place {
    pub database: Database,
    pub folder: TempDir,
}

impl Place {
    pub async fn make() -> Option<Self> {
        let database = Database::make().await?;
        Some(Self { database, folder: tempfile::tempdir().unwrap() })
    }

    pub fn settings(&self, more: &[(&str, &str)]) -> Vec<(String, String)> {
        let folder = self.folder.path();
        let mut all = vec![
            ("DATABASE_URL".to_owned(), self.database.url.clone()),
            ("HEIMDEX_SERVER_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("HEIMDEX_SERVER_STORAGE".to_owned(), folder.join("storage").display().to_string()),
            ("HEIMDEX_SERVER_WORK_DIR".to_owned(), folder.join("work").display().to_string()),
            ("HEIMDEX_SERVER_TEXT_MODEL".to_owned(), fixtures().join("tiny-bert").display().to_string()),
            ("HEIMDEX_SERVER_REGISTRATIONS_PER_HOUR".to_owned(), "10000".to_owned()),
            ("HEIMDEX_SERVER_LOGINS_PER_MINUTE".to_owned(), "10000".to_owned()),
            ("HEIMDEX_SERVER_REQUESTS_PER_SECOND".to_owned(), "10000".to_owned()),
            ("HEIMDEX_SERVER_SHUTDOWN_SECONDS".to_owned(), "10".to_owned()),
        ];
        all.extend(more.iter().map(|(name, value)| {
            let name =
                if name.starts_with("AWS") { (*name).to_owned() } else { format!("HEIMDEX_SERVER_{name}") };
            (name, (*value).to_owned())
        }));
        all
    }

    pub async fn server(&self, more: &[(&str, &str)]) -> Server {
        Server::start(Config::read(None, self.settings(more)).unwrap()).await
    }

    pub async fn pool(&self) -> sqlx::PgPool {
        sqlx::PgPool::connect(&self.database.url).await.unwrap()
    }
}

pub struct Server {
    pub url: String,
    pub stop: CancellationToken,
    running: Option<JoinHandle<Result<(), Fatal>>>,
}

impl Server {
    pub async fn start(config: Config) -> Self {
        let (send, receive) = tokio::sync::oneshot::channel::<SocketAddr>();
        let stop = CancellationToken::new();
        let running = tokio::spawn(heimdex_server::run(config, metrics(), stop.clone(), |address| {
            send.send(address).unwrap();
        }));
        let Ok(address) = receive.await else { panic!("{}", running.await.unwrap().unwrap_err()) };
        Self { url: format!("http://{address}"), stop, running: Some(running) }
    }

    pub async fn end(mut self) {
        self.stop.cancel();
        self.running.take().unwrap().await.unwrap().unwrap();
    }

    pub fn nobody(&self) -> Client {
        Client { url: self.url.clone(), token: None, http: reqwest::Client::new() }
    }

    /// Somebody new.
    pub async fn somebody(&self, name: &str) -> Client {
        let mut client = self.nobody();
        let credentials = json!({"email": format!("{name}@example.org"), "password": "correct horse"});
        let (status, session) = client.post("/auth/register", &credentials).await;
        assert_eq!(status, StatusCode::CREATED, "{session}");
        client.token = Some(session["access_token"].as_str().unwrap().to_owned());
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Clone)]
pub struct Client {
    pub url: String,
    pub token: Option<String>,
    pub http: reqwest::Client,
}

impl Client {
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let address = if path.starts_with('/') { format!("{}{path}", self.url) } else { path.to_owned() };
        let request = self.http.request(method, address).timeout(PATIENCE);
        match &self.token {
            Some(token) if path.starts_with('/') && !path.starts_with("/files/") => {
                request.bearer_auth(token)
            }
            _ => request,
        }
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).json(body).send().await.unwrap()).await
    }

    pub async fn post_nothing(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).send().await.unwrap()).await
    }

    pub async fn delete(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::DELETE, path).send().await.unwrap()).await
    }

    pub async fn init(&self, name: &str, bytes: usize) -> Value {
        let body = json!({"name": name, "content_type": "video/mp4", "bytes": bytes});
        let (status, plan) = self.post("/videos/upload/init", &body).await;
        assert_eq!(status, StatusCode::CREATED, "{plan}");
        plan
    }

    /// Sends a part of a plan, and gives its `ETag`.
    pub async fn send(&self, part: &Value, bytes: &[u8]) -> String {
        let url = part["url"].as_str().unwrap();
        let response = self.request(Method::PUT, url).body(bytes.to_vec()).send().await.unwrap();
        let (status, etag) = (response.status(), response.headers().get("etag").cloned());
        assert!(status.is_success(), "{status} {}", response.text().await.unwrap());
        etag.unwrap().to_str().unwrap().to_owned()
    }

    /// Sends a video, and gives its id once it is accepted.
    pub async fn upload(&self, name: &str, bytes: &[u8]) -> String {
        let plan = self.init(name, bytes.len()).await;
        let size = plan["part_bytes"].as_u64().unwrap() as usize;
        for (part, bytes) in plan["parts"].as_array().unwrap().iter().zip(bytes.chunks(size)) {
            self.send(part, bytes).await;
        }
        let id = plan["video_id"].as_str().unwrap().to_owned();
        let (status, video) = self.post_nothing(&format!("/videos/{id}/upload/complete")).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{video}");
        assert_eq!(video["id"], id.as_str());
        id
    }

    /// Waits until a video is in this state, and gives it.
    pub async fn becomes(&self, id: &str, state: &str) -> Value {
        let until = Instant::now() + PATIENCE;
        loop {
            let (status, video) = self.get(&format!("/videos/{id}")).await;
            assert_eq!(status, StatusCode::OK, "{video}");
            if video["state"] == state {
                return video;
            }
            assert!(video["state"] != "failed", "{video}");
            assert!(Instant::now() < until, "{video}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn indexed(&self, name: &str) -> String {
        let id = self.upload(name, &clip()).await;
        self.becomes(&id, "indexed").await;
        id
    }
}

pub async fn answer(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.to_owned();
    if status.is_client_error() || status.is_server_error() {
        assert!(kind == "application/problem+json", "{status} {kind}");
    }
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
