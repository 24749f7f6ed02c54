//! Accounts and sessions.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An account.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct User {
    /// Who it is.
    pub id: Uuid,
    /// Null for accounts of another issuer that names none.
    pub email: Option<String>,
    /// Since when.
    pub created_at: DateTime<Utc>,
}

/// What signs somebody in.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// An address, in any case.
    #[schema(
        min_length = 3,
        max_length = 254,
        pattern = "^[^@\\s]+@[^@\\s]+$",
        example = "mina@example.org"
    )]
    pub email: String,
    /// 8 to 200 characters.
    #[schema(min_length = 8, max_length = 200, format = Password)]
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// A session's token.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshToken {
    /// As it was given, once.
    #[schema(min_length = 1, max_length = 200)]
    pub refresh_token: String,
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RefreshToken").finish_non_exhaustive()
    }
}

/// The end of a session.
#[derive(Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Logout {
    /// Of the session.
    #[schema(min_length = 1, max_length = 200)]
    pub refresh_token: String,
    /// Ends all sessions of the user.
    #[serde(default)]
    pub everywhere: bool,
}

impl std::fmt::Debug for Logout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logout").field("everywhere", &self.everywhere).finish_non_exhaustive()
    }
}

/// Somebody who is signed in.
#[derive(Clone, Serialize, ToSchema)]
pub struct Session {
    /// Who.
    pub user: User,
    /// For the header `Authorization: Bearer ...`.
    pub access_token: String,
    /// Gives the next pair, once.
    pub refresh_token: String,
    /// Seconds that the access token is good for.
    pub expires_in: u64,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Who is asking, and how much room they have.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Me {
    /// Who.
    pub user: User,
    /// What they use, and what they may.
    pub quota: Quota,
}

/// What a user uses, and what they may.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Quota {
    /// Videos that are there or on the way.
    pub videos: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Most videos.
    pub max_videos: u64,
    /// Most bytes of all videos.
    pub max_bytes: u64,
}

/// Where accounts are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AccountMode {
    /// Here: people can register.
    Local,
    /// Elsewhere: tokens come from another issuer.
    External,
}

/// What a page has to know before anybody is signed in.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct AuthConfig {
    /// Where accounts are kept.
    pub mode: AccountMode,
    /// Largest video in bytes.
    pub max_upload_bytes: u64,
}
