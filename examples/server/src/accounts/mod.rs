//! Who is asking: passwords, tokens of our own, tokens of an outside issuer.

mod issuer;
mod password;
mod session;
mod token;

pub use issuer::Issuer;
pub use password::Passwords;
pub use session::{login, logout, refresh, register, user};
pub use token::{Claims, Keys};

use axum::extract::FromRequestParts;
use axum::http::header;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use heimdex::LibraryId;
use uuid::Uuid;

use crate::app::App;
use crate::limits::Caller;
use crate::problem::{Answer, Problem};
use crate::serve::Peer;

/// Somebody who is signed in. A handler that takes one is closed to all others.
#[derive(Debug, Clone, Copy)]
pub struct SignedIn {
    /// Who.
    pub user: Uuid,
    /// Until when the token is good.
    pub until: DateTime<Utc>,
}

impl SignedIn {
    /// The user's own library: nothing of another's is ever asked for.
    pub fn library(&self) -> LibraryId {
        LibraryId(self.user)
    }
}

impl FromRequestParts<App> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        let Some(token) = token else {
            let peer = Peer::of(parts, app);
            app.requests.count(Caller::Address(peer.0))?;
            return Err(Problem::unauthorized(
                "sign in, and send the access token as `Authorization: Bearer`",
            ));
        };
        let signed_in = match &app.issuer {
            None => app.keys.read_access(token)?,
            Some(issuer) => issuer.signed_in(app, token).await?,
        };
        app.requests.count(Caller::User(signed_in.user))?;
        Ok(signed_in)
    }
}
