//! What matters afterwards: sign-ins, uploads, deletions.

use std::net::IpAddr;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::app::App;

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    kind: &'static str,
    user: Option<Uuid>,
    from: Option<IpAddr>,
    detail: Value,
}

impl Event {
    /// An event of this kind.
    pub fn new(kind: &'static str) -> Self {
        Self { kind, user: None, from: None, detail: json!({}) }
    }

    /// Whose it is.
    #[must_use]
    pub fn user(mut self, user: Uuid) -> Self {
        self.user = Some(user);
        self
    }

    /// Whose it is, where that is known.
    #[must_use]
    pub fn user_if(mut self, user: Option<Uuid>) -> Self {
        self.user = user;
        self
    }

    /// From which address.
    #[must_use]
    pub fn from(mut self, from: IpAddr) -> Self {
        self.from = Some(from);
        self
    }

    /// The video it is about.
    #[must_use]
    pub fn video(mut self, video: Uuid) -> Self {
        self.detail["video"] = json!(video);
        self
    }
}

/// Writes an event down. One that cannot be written down is logged, and stops nobody.
pub async fn record(app: &App, event: Event) {
    let written = write(&app.pool, &event).await;
    if let Err(error) = written {
        tracing::error!(%error, ?event, "an event could not be written down");
    }
}

/// Writes an event down together with what it is about.
///
/// # Errors
/// When the database fails.
pub async fn write(to: impl sqlx::PgExecutor<'_>, event: &Event) -> sqlx::Result<()> {
    tracing::info!(kind = event.kind, user = ?event.user, from = ?event.from, "event");
    sqlx::query(
        "INSERT INTO server.events (kind, user_id, address, request_id, detail) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(event.kind)
    .bind(event.user)
    .bind(event.from.map(|from| from.to_string()))
    .bind(crate::serve::request_id())
    .bind(sqlx::types::Json(&event.detail))
    .execute(to)
    .await
    .map(|_| ())
}
