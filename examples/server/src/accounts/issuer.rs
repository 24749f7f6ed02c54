//! Tokens of an outside issuer: signed with a shared secret, or with keys that it publishes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::DateTime;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use tokio::sync::RwLock;
use uuid::Uuid;

use super::SignedIn;
use super::token::refused;
use crate::app::App;
use crate::config::Config;
use crate::problem::{Answer, Problem};

/// How long published keys are believed.
const KEYS_AGE: Duration = Duration::from_hours(1);

/// How soon they may be asked for again, when a token names one that is not among them.
const KEYS_PAUSE: Duration = Duration::from_secs(30);

/// Bytes of published keys at most.
const KEYS_BYTES: usize = 1 << 20;

/// Users that are remembered at most.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Deserialize)]
struct Outside {
    sub: String,
    exp: i64,
    #[serde(default)]
    iss: String,
    email: Option<String>,
    #[serde(default)]
    email_verified: bool,
}

enum Source {
    Secret(DecodingKey),
    Published { url: String, client: reqwest::Client, keys: RwLock<Option<(Instant, Arc<JwkSet>)>> },
}

/// An outside issuer.
pub struct Issuer {
    source: Source,
    audience: String,
    /// What `iss` has to be, where that is asked for.
    name: Option<String>,
    /// Users by issuer and subject.
    users: RwLock<std::collections::HashMap<String, Uuid>>,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer").field("audience", &self.audience).finish_non_exhaustive()
    }
}

impl Issuer {
    /// The issuer that is configured, if one is.
    ///
    /// # Errors
    /// When no client for its keys can be made.
    pub fn of(config: &Config) -> Answer<Option<Self>> {
        if !config.is_external() {
            return Ok(None);
        }
        let source = if config.jwks_url.is_empty() {
            Source::Secret(DecodingKey::from_secret(config.jwt_secret.expose().as_bytes()))
        } else {
            let client = reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .map_err(Problem::internal)?;
            Source::Published { url: config.jwks_url.clone(), client, keys: RwLock::default() }
        };
        let name = Some(config.jwt_issuer.clone()).filter(|name| !name.is_empty());
        Ok(Some(Self { source, audience: config.jwt_audience.clone(), name, users: RwLock::default() }))
    }

    /// Whose token this is. Who comes for the first time gets an account and a library.
    ///
    /// # Errors
    /// When it is not the issuer's, not for us, or its time is over.
    pub async fn signed_in(&self, app: &App, token: &str) -> Answer<SignedIn> {
        let header = decode_header(token).map_err(|_| refused())?;
        let claims = match &self.source {
            Source::Secret(key) => self.read(token, key, Algorithm::HS256)?,
            Source::Published { .. } => {
                // A published key must never be taken for a shared secret.
                let asymmetric = matches!(
                    header.alg,
                    Algorithm::RS256
                        | Algorithm::RS384
                        | Algorithm::RS512
                        | Algorithm::PS256
                        | Algorithm::PS384
                        | Algorithm::PS512
                        | Algorithm::ES256
                        | Algorithm::ES384
                        | Algorithm::EdDSA
                );
                let kid = header.kid.as_deref().filter(|_| asymmetric).ok_or_else(refused)?;
                let key = self.published(kid).await?;
                self.read(token, &key, header.alg)?
            }
        };
        let until = DateTime::from_timestamp(claims.exp, 0).ok_or_else(refused)?;
        Ok(SignedIn { user: self.account(app, &claims).await?, until })
    }

    fn read(&self, token: &str, key: &DecodingKey, algorithm: Algorithm) -> Answer<Outside> {
        let mut rules = Validation::new(algorithm);
        rules.set_audience(&[&self.audience]);
        if let Some(issuer) = &self.name {
            rules.set_issuer(&[issuer]);
        }
        let mut required = vec!["exp", "sub", "aud"];
        required.extend(self.name.as_ref().map(|_| "iss"));
        rules.set_required_spec_claims(&required);
        let claims = decode::<Outside>(token, key, &rules).map_err(|_| refused())?.claims;
        let fits = !claims.sub.is_empty() && claims.sub.len() <= 255;
        if fits { Ok(claims) } else { Err(refused()) }
    }

    async fn published(&self, kid: &str) -> Answer<DecodingKey> {
        let Source::Published { url, client, keys } = &self.source else { return Err(refused()) };
        let key = |set: &JwkSet| set.find(kid).map(|jwk| DecodingKey::from_jwk(jwk).map_err(|_| refused()));
        let is_young = |at: &Instant, age| at.elapsed() < age;
        if let Some((at, set)) = &*keys.read().await
            && is_young(at, KEYS_AGE)
            && let Some(key) = key(set)
        {
            return key;
        }
        let mut kept = keys.write().await;
        // Another request may have got them meanwhile; and nobody makes us ask all the time.
        let young = kept.as_ref().filter(|(at, _)| is_young(at, KEYS_PAUSE));
        let set = match young {
            Some((_, set)) => Arc::clone(set),
            None => {
                let set = Arc::new(fetch(client, url).await?);
                *kept = Some((Instant::now(), Arc::clone(&set)));
                set
            }
        };
        key(&set).unwrap_or_else(|| Err(refused()))
    }

    async fn account(&self, app: &App, claims: &Outside) -> Answer<Uuid> {
        let subject = format!("{} {}", claims.iss, claims.sub).replace('\0', "\u{fffd}");
        if let Some(user) = self.users.read().await.get(&subject) {
            return Ok(*user);
        }
        // An address that nobody has vouched for names nobody.
        let email = claims.email.as_ref().filter(|_| claims.email_verified).map(|email| email.to_lowercase());
        let email = email.map(|email| email.replace('\0', "\u{fffd}"));
        sqlx::query(
            "INSERT INTO server.users (user_id, subject, email)
             VALUES ($1, $2, CASE WHEN EXISTS (SELECT FROM server.users WHERE email = $3) THEN NULL ELSE $3 END)
             ON CONFLICT DO NOTHING",
        )
        .bind(Uuid::new_v4())
        .bind(&subject)
        .bind(email)
        .execute(&app.pool)
        .await?;
        let user: Uuid = sqlx::query_scalar("SELECT user_id FROM server.users WHERE subject = $1")
            .bind(&subject)
            .fetch_one(&app.pool)
            .await?;
        let mut users = self.users.write().await;
        if users.len() >= REMEMBERED {
            users.clear();
        }
        users.insert(subject, user);
        Ok(user)
    }
}

async fn fetch(client: &reqwest::Client, url: &str) -> Answer<JwkSet> {
    let response = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let mut response = response.map_err(Problem::unavailable)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(Problem::unavailable)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > KEYS_BYTES {
            return Err(Problem::unavailable("the issuer's keys are too large"));
        }
    }
    serde_json::from_slice(&bytes).map_err(Problem::unavailable)
}
