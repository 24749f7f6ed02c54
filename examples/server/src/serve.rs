//! Connections and the layers around every request.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use uuid::Uuid;

use crate::app::App;
use crate::problem::Problem;

/// How long a client may take to send the head of a request, or to begin the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a request may take; what streams is bounded in other ways.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of the head of a request.
const HEAD_BYTES: usize = 32 << 10;

/// Headers of a request.
const HEADERS: usize = 64;

/// Until the next try, when the system has no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Whose connection it is.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// The address that a request comes from: that of the connection, or what the trusted proxies say.
    pub fn of(parts: &Parts, app: &App) -> Self {
        let direct = parts.extensions.get::<Self>().copied().unwrap_or(Self(IpAddr::from([0, 0, 0, 0])));
        let hops = app.config.trusted_proxies;
        if hops == 0 {
            return direct;
        }
        let forwarded =
            parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let all: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
        // Each proxy adds whom it heard from; what stands before ours could be anybody's invention.
        let client = all.len().checked_sub(hops).and_then(|at| all.get(at)).and_then(|ip| ip.parse().ok());
        client.map_or(direct, Self)
    }
}

impl axum::extract::FromRequestParts<App> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts, app))
    }
}

tokio::task_local! {
    static REQUEST: Uuid;
}

/// The id of the request that is being answered.
pub fn request_id() -> Option<Uuid> {
    REQUEST.try_with(|id| *id).ok()
}

/// Goes on when whoever asked hangs up, under the same id.
pub fn detached<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    match request_id() {
        Some(id) => tokio::spawn(REQUEST.scope(id, work)),
        None => tokio::spawn(work),
    }
}

/// The outermost layer: an id, a time limit, measures, a line in the log, and problems written out.
pub async fn answer(mut request: Request, next: Next) -> Response {
    let id = Uuid::new_v4();
    let begun = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    // Sending a video takes as long as it takes; who falls silent is noticed there.
    let unbounded = route == "/files/{*key}";
    request.extensions_mut().insert(id);
    let answered = REQUEST.scope(id, async {
        let work = next.run(request);
        if unbounded {
            return work.await;
        }
        match tokio::time::timeout(REQUEST_TIMEOUT, work).await {
            Ok(response) => response,
            Err(_) => Problem::of_status(StatusCode::REQUEST_TIMEOUT).render(id),
        }
    });
    let mut response = answered.await;
    let status = response.status();
    let problem = response.extensions_mut().remove::<Problem>();
    let failed = status.is_client_error() || status.is_server_error();
    if problem.is_some() || (failed && !is_problem(&response)) {
        // What has none is an answer of axum itself.
        let problem = problem.unwrap_or_else(|| Problem::of_status(status));
        let kept = [header::ALLOW, header::CONTENT_RANGE].map(|name| response.headers_mut().remove(name));
        response = problem.render(id);
        for (name, value) in [header::ALLOW, header::CONTENT_RANGE].into_iter().zip(kept) {
            if let Some(value) = value {
                response.headers_mut().insert(name, value);
            }
        }
    }
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
        headers.insert(header::CONTENT_SECURITY_POLICY, nothing);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let labels = [
        ("method", method.as_str().to_owned()),
        ("route", route.clone()),
        ("status", response.status().as_u16().to_string()),
    ];
    metrics::counter!("http_requests_total", &labels).increment(1);
    metrics::histogram!("http_request_seconds", &labels[..2]).record(seconds);
    tracing::info!(request = %id, %method, %route, status = response.status().as_u16(), seconds, "answered");
    response
}

fn is_problem(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/problem+json"))
}

/// Answers connections until `stop`, then lets those in work end, for so long at most.
///
/// # Errors
/// None once it listens; what goes wrong with one connection is that one's.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    most: usize,
    stop: CancellationToken,
    grace: Duration,
) {
    let turns = Arc::new(Semaphore::new(most));
    let graceful = hyper_util::server::graceful::GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // One that was broken before it was taken, or no descriptor is left: others may end soon.
                tracing::debug!(%error, "a connection was not taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(turn) = Arc::clone(&turns).try_acquire_owned() else {
            metrics::counter!("http_connections_refused_total").increment(1);
            continue;
        };
        // A moment matters more than a packet.
        let _ = stream.set_nodelay(true);
        let service = service(router.clone(), peer);
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES)
            .max_headers(HEADERS);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            metrics::gauge!("http_connections").increment(1);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke");
            }
            metrics::gauge!("http_connections").decrement(1);
            drop(turn);
        });
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

fn service(
    router: Router,
    peer: SocketAddr,
) -> impl hyper::service::Service<
    hyper::Request<hyper::body::Incoming>,
    Response = Response,
    Error = std::convert::Infallible,
    Future = impl Future<Output = Result<Response, std::convert::Infallible>> + Send + 'static,
> {
    hyper::service::service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer.ip().to_canonical()));
        router.clone().oneshot(request)
    })
}
