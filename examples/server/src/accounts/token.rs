//! Access tokens of our own, and the keys that follow from the server's secret.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use uuid::Uuid;

use super::SignedIn;
use crate::config::Secret;
use crate::problem::{Answer, Problem};

/// Who gives our tokens, and whom they are for.
const ISSUER: &str = "heimdex-server";

/// What a token says.
#[derive(Debug, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    pub sub: Uuid,
    /// The session.
    pub sid: Uuid,
    /// Until when, in Unix seconds.
    pub exp: i64,
    /// Since when.
    pub iat: i64,
    /// Who gave it.
    pub iss: String,
    /// Whom it is for.
    pub aud: String,
}

/// Keys for tokens and addresses. Each follows from the one secret under a name of its own.
pub struct Keys {
    encoding: EncodingKey,
    decoding: DecodingKey,
    /// Signs addresses of files.
    pub(crate) files: [u8; 32],
    access_seconds: u64,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    /// From the secret, or from the one that the database keeps for all processes.
    ///
    /// # Errors
    /// When the database does not answer, or the system gives no random bytes.
    pub async fn open(secret: &Secret, pool: &PgPool, access_seconds: u64) -> Answer<Self> {
        let secret = match secret.expose() {
            "" => kept_secret(pool).await?,
            secret => secret.as_bytes().to_vec(),
        };
        let tokens = blake3::derive_key("heimdex-server 2026 access tokens", &secret);
        Ok(Self {
            encoding: EncodingKey::from_secret(&tokens),
            decoding: DecodingKey::from_secret(&tokens),
            files: blake3::derive_key("heimdex-server 2026 signed addresses", &secret),
            access_seconds,
        })
    }

    /// An access token, and how many seconds it is good for.
    ///
    /// # Errors
    /// When it cannot be signed.
    pub fn access(&self, user: Uuid, session: Uuid) -> Answer<(String, u64)> {
        let now = Utc::now().timestamp();
        let claims = Claims {
            sub: user,
            sid: session,
            exp: now + self.access_seconds.cast_signed(),
            iat: now,
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
        };
        let token =
            encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(Problem::internal)?;
        Ok((token, self.access_seconds))
    }

    /// Whose access token this is.
    ///
    /// # Errors
    /// When it is not ours, or its time is over.
    pub fn read_access(&self, token: &str) -> Answer<SignedIn> {
        let mut rules = Validation::new(Algorithm::HS256);
        rules.set_audience(&[ISSUER]);
        rules.set_issuer(&[ISSUER]);
        rules.set_required_spec_claims(&["exp", "sub", "aud", "iss"]);
        rules.leeway = 0;
        let claims = decode::<Claims>(token, &self.decoding, &rules).map_err(|_| refused())?.claims;
        let until = DateTime::from_timestamp(claims.exp, 0).ok_or_else(refused)?;
        Ok(SignedIn { user: claims.sub, until })
    }
}

/// The same words whatever is wrong with a token.
pub(super) fn refused() -> Problem {
    Problem::unauthorized("the access token is not valid, or its time is over; sign in again")
}

/// 256 random bits, as they travel.
pub(super) fn random_token() -> Answer<String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(Problem::internal)?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(random))
}

/// The first process makes it, all others read it.
async fn kept_secret(pool: &PgPool) -> Answer<Vec<u8>> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(Problem::internal)?;
    sqlx::query("INSERT INTO server.settings (name, value) VALUES ('secret', $1) ON CONFLICT DO NOTHING")
        .bind(random.as_slice())
        .execute(pool)
        .await?;
    Ok(sqlx::query_scalar("SELECT value FROM server.settings WHERE name = 'secret'").fetch_one(pool).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &[u8]) -> Keys {
        Keys {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            files: [0; 32],
            access_seconds: 60,
        }
    }

    #[test]
    fn tokens_of_other_keys_kinds_and_times_are_refused() {
        let (ours, others) = (keys(b"ours"), keys(b"others"));
        let user = Uuid::from_u128(7);
        let (token, seconds) = ours.access(user, Uuid::nil()).unwrap();
        assert_eq!((ours.read_access(&token).unwrap().user, seconds), (user, 60));
        assert!(others.read_access(&token).is_err());
        assert!(ours.read_access("").is_err() && ours.read_access("a.b.c").is_err());
        let sign =
            |claims: &Claims, algorithm| encode(&Header::new(algorithm), claims, &ours.encoding).unwrap();
        let now = Utc::now().timestamp();
        let good = || Claims {
            sub: user,
            sid: user,
            exp: now + 60,
            iat: now,
            iss: ISSUER.into(),
            aud: ISSUER.into(),
        };
        assert!(ours.read_access(&sign(&good(), Algorithm::HS256)).is_ok());
        assert!(ours.read_access(&sign(&good(), Algorithm::HS512)).is_err(), "another algorithm");
        assert!(ours.read_access(&sign(&Claims { exp: now - 1, ..good() }, Algorithm::HS256)).is_err());
        assert!(ours.read_access(&sign(&Claims { aud: "x".into(), ..good() }, Algorithm::HS256)).is_err());
        assert!(ours.read_access(&sign(&Claims { iss: "x".into(), ..good() }, Algorithm::HS256)).is_err());
        // A token that claims to need no signature.
        let parts: Vec<&str> = token.split('.').collect();
        let none = BASE64_URL_SAFE_NO_PAD.encode(br#"{"alg":"none","typ":"JWT"}"#);
        assert!(ours.read_access(&format!("{none}.{}.", parts[1])).is_err());
    }
}
