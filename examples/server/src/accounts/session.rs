//! Registering, signing in, and sessions that go on from token to token.

use std::net::IpAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::token::random_token;
use crate::app::App;
use crate::audit::{Event, record};
use crate::limits::attempt;
use crate::problem::{Answer, Problem};
use crate::wire::{Credentials, Logout, Session, User};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Makes an account and signs it in.
///
/// # Errors
/// When an account of this address is there, or the values cannot be used.
pub async fn register(app: &App, from: IpAddr, credentials: &Credentials) -> Answer<Session> {
    let email = checked(credentials)?;
    attempt(&app.pool, &format!("register {from}"), app.config.registrations_per_hour, HOUR).await?;
    // Before anything is looked up, so that the time tells nothing.
    let password = app.passwords.hash(&credentials.password).await?;
    let user: Option<(Uuid, DateTime<Utc>)> = sqlx::query_as(
        "INSERT INTO server.users (user_id, email, password) VALUES ($1, $2, $3)
         ON CONFLICT (email) DO NOTHING RETURNING user_id, created_at",
    )
    .bind(Uuid::new_v4())
    .bind(&email)
    .bind(password)
    .fetch_optional(&app.pool)
    .await?;
    let Some((id, created_at)) = user else {
        record(app, Event::new("register-refused").from(from)).await;
        return Err(Problem::conflict(
            "cannot-register",
            "this address cannot be registered; sign in with it",
        ));
    };
    record(app, Event::new("registered").user(id).from(from)).await;
    begin(app, User { id, email: Some(email), created_at }).await
}

/// Signs somebody in.
///
/// # Errors
/// One and the same for an unknown address and a wrong password.
pub async fn login(app: &App, from: IpAddr, credentials: &Credentials) -> Answer<Session> {
    let email = credentials.email.trim().to_lowercase();
    let most = app.config.logins_per_minute;
    attempt(&app.pool, &format!("login from {from}"), most.saturating_mul(5), MINUTE).await?;
    attempt(&app.pool, &format!("login of {email}"), most, MINUTE).await?;
    let found: Option<(Uuid, Option<String>, DateTime<Utc>)> =
        sqlx::query_as("SELECT user_id, password, created_at FROM server.users WHERE email = $1")
            .bind(email.replace('\0', "\u{fffd}"))
            .fetch_optional(&app.pool)
            .await?;
    let (user, hash) = match found {
        Some((id, hash, created_at)) => (Some((id, created_at)), hash),
        None => (None, None),
    };
    let fits = app.passwords.fits(&credentials.password, hash).await?;
    let Some((id, created_at)) = user.filter(|_| fits) else {
        record(app, Event::new("login-refused").user_if(user.map(|(id, _)| id)).from(from)).await;
        return Err(Problem::unauthorized("the address or the password is wrong"));
    };
    record(app, Event::new("login").user(id).from(from)).await;
    begin(app, User { id, email: Some(email), created_at }).await
}

/// The next pair of tokens for the last one. A token that comes a second time was stolen, by whoever
/// brought it first or by whoever brings it now: the whole session ends. But for some seconds it may come
/// again, from another tab or because the answer was lost; what it gave before is then used up, so that
/// two who both have a session's tokens are still found out when they next renew them.
///
/// # Errors
/// When the token is unknown, used, or its session has ended.
pub async fn refresh(app: &App, from: IpAddr, token: &str) -> Answer<Session> {
    // Session, user, whether the token is used, and too long ago, whether all is good; address and age of the
    // account. By the clock: of two that come at once, the second began before the first used the token.
    type Found = (Uuid, Uuid, bool, bool, bool, Option<String>, DateTime<Utc>);

    let refused = || Problem::unauthorized("the refresh token is not valid any more; sign in again");
    attempt(&app.pool, &format!("refresh from {from}"), 600, MINUTE).await?;
    let hash = hash_of(token);
    let mut tx = app.pool.begin().await?;
    let found: Option<Found> = sqlx::query_as(
        "SELECT s.session_id, s.user_id, t.used_at IS NOT NULL,
                coalesce(t.used_at <= clock_timestamp() - make_interval(secs => $2), false),
                t.expires_at > now() AND s.revoked_at IS NULL, u.email, u.created_at
         FROM server.refresh_tokens t JOIN server.sessions s USING (session_id) JOIN server.users u USING (user_id)
         WHERE t.token_hash = $1 FOR UPDATE OF t, s",
    )
    .bind(hash.as_slice())
    .bind(app.config.refresh_grace_seconds as f64)
    .fetch_optional(&mut *tx)
    .await?;
    let Some((session, id, used, stale, good, email, created_at)) = found else { return Err(refused()) };
    if stale {
        sqlx::query(
            "UPDATE server.sessions SET revoked_at = coalesce(revoked_at, now()) WHERE session_id = $1",
        )
        .bind(session)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        record(app, Event::new("refresh-token-reused").user(id).from(from)).await;
        return Err(refused());
    }
    if !good {
        return Err(refused());
    }
    sqlx::query(
        "UPDATE server.refresh_tokens SET used_at = now()
         WHERE token_hash = $1 AND used_at IS NULL OR $2 AND session_id = $3 AND used_at IS NULL",
    )
    .bind(hash.as_slice())
    .bind(used)
    .bind(session)
    .execute(&mut *tx)
    .await?;
    let next = add_token(app, &mut tx, session).await?;
    tx.commit().await?;
    session_of(app, User { id, email, created_at }, session, next)
}

/// Ends the session of a token, or all sessions of its user. An unknown one is ended already.
///
/// # Errors
/// When the database does not answer.
pub async fn logout(app: &App, from: IpAddr, logout: &Logout) -> Answer<()> {
    if logout.refresh_token.is_empty() || logout.refresh_token.len() > 200 {
        return Err(Problem::invalid("refresh_token", "has to have 1 to 200 characters"));
    }
    let ended: Option<Uuid> = sqlx::query_scalar(
        "WITH of AS (SELECT s.session_id, s.user_id FROM server.refresh_tokens t
                     JOIN server.sessions s USING (session_id)
                     WHERE t.token_hash = $1 AND s.revoked_at IS NULL)
         UPDATE server.sessions s SET revoked_at = now() FROM of
         WHERE s.revoked_at IS NULL AND s.user_id = of.user_id AND ($2 OR s.session_id = of.session_id)
         RETURNING s.user_id",
    )
    .bind(hash_of(&logout.refresh_token).as_slice())
    .bind(logout.everywhere)
    .fetch_all(&app.pool)
    .await?
    .into_iter()
    .next();
    if let Some(user) = ended {
        record(app, Event::new("logout").user(user).from(from)).await;
    }
    Ok(())
}

/// The account of an id.
///
/// # Errors
/// When it is gone.
pub async fn user(app: &App, id: Uuid) -> Answer<User> {
    let found: Option<(Option<String>, DateTime<Utc>)> =
        sqlx::query_as("SELECT email, created_at FROM server.users WHERE user_id = $1")
            .bind(id)
            .fetch_optional(&app.pool)
            .await?;
    let gone = || Problem::unauthorized("this account is gone");
    found.map(|(email, created_at)| User { id, email, created_at }).ok_or_else(gone)
}

async fn begin(app: &App, user: User) -> Answer<Session> {
    let session = Uuid::new_v4();
    let mut tx = app.pool.begin().await?;
    sqlx::query("INSERT INTO server.sessions (session_id, user_id) VALUES ($1, $2)")
        .bind(session)
        .bind(user.id)
        .execute(&mut *tx)
        .await?;
    let token = add_token(app, &mut tx, session).await?;
    tx.commit().await?;
    session_of(app, user, session, token)
}

async fn add_token(app: &App, tx: &mut sqlx::PgConnection, session: Uuid) -> Answer<String> {
    let token = random_token()?;
    sqlx::query(
        "INSERT INTO server.refresh_tokens (token_hash, session_id, expires_at)
         VALUES ($1, $2, now() + $3 * interval '1 second')",
    )
    .bind(hash_of(&token).as_slice())
    .bind(session)
    .bind(app.config.refresh_token_seconds as f64)
    .execute(tx)
    .await?;
    Ok(token)
}

fn session_of(app: &App, user: User, session: Uuid, refresh_token: String) -> Answer<Session> {
    let (access_token, expires_in) = app.keys.access(user.id, session)?;
    Ok(Session { user, access_token, refresh_token, expires_in })
}

/// A token is looked up by its hash: a copy of the database signs nobody in, and no comparison takes
/// longer the more of a guess is right.
fn hash_of(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

/// The address in lower case.
fn checked(credentials: &Credentials) -> Answer<String> {
    let email = credentials.email.trim().to_lowercase();
    let parts: Vec<&str> = email.split('@').collect();
    let plain = !email.chars().any(|c| c.is_whitespace() || c.is_control());
    if parts.len() != 2 || parts.iter().any(|part| part.is_empty()) || email.len() > 254 || !plain {
        return Err(Problem::invalid("email", "is no mail address"));
    }
    let characters = credentials.password.chars().count();
    if !(8..=200).contains(&characters) {
        return Err(Problem::invalid("password", "must have 8 to 200 characters"));
    }
    if credentials.password.to_lowercase() == email {
        return Err(Problem::invalid("password", "is the mail address"));
    }
    Ok(email)
}
