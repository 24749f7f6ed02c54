//! How often somebody may ask: requests in this process, sign-ins over all processes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sqlx::PgPool;
use uuid::Uuid;

use crate::problem::{Answer, Problem};

/// Callers that are remembered at most; those who asked longest ago are forgotten first.
const REMEMBERED: usize = 100_000;

/// Whose requests are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// A user, from wherever.
    User(Uuid),
    /// An address that nobody is signed in from.
    Address(IpAddr),
}

/// A bucket for each caller: full at first, filled again at a steady rate.
#[derive(Debug)]
pub struct Requests {
    per_second: f64,
    most: f64,
    callers: Mutex<HashMap<Caller, (f64, Instant)>>,
}

impl Requests {
    /// So many a second, and ten seconds' worth at once.
    pub fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self { per_second, most: per_second * 10.0, callers: Mutex::default() }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// When it is one too many.
    pub fn count(&self, caller: Caller) -> Answer<()> {
        let now = Instant::now();
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= REMEMBERED && !callers.contains_key(&caller) {
            let full = Duration::from_secs(10);
            // Whoever has not asked for as long as a bucket takes to fill is as good as new.
            callers.retain(|_, (_, at)| now.duration_since(*at) < full);
            if callers.len() >= REMEMBERED {
                return Err(Problem::too_many(1));
            }
        }
        let (left, at) = callers.entry(caller).or_insert((self.most, now));
        *left = (*left + now.duration_since(*at).as_secs_f64() * self.per_second).min(self.most);
        *at = now;
        if *left < 1.0 {
            return Err(Problem::too_many(1));
        }
        *left -= 1.0;
        Ok(())
    }
}

/// Counts an attempt under a key for all processes together, at most `most` in a window.
///
/// # Errors
/// When it is one too many.
pub async fn attempt(pool: &PgPool, key: &str, most: u32, window: Duration) -> Answer<()> {
    // No address and no mail address is kept as it is.
    let key = blake3::hash(key.as_bytes()).to_hex();
    let (attempts, left): (i32, f64) = sqlx::query_as(
        "INSERT INTO server.rate_limits AS l (key, ends_at, attempts)
         VALUES ($1, now() + $2 * interval '1 second', 1)
         ON CONFLICT (key) DO UPDATE SET
             attempts = CASE WHEN l.ends_at <= now() THEN 1 ELSE least(l.attempts + 1, 1000000000) END,
             ends_at = CASE WHEN l.ends_at <= now() THEN excluded.ends_at ELSE l.ends_at END
         RETURNING attempts, extract(epoch FROM ends_at - now())::float8",
    )
    .bind(key.as_str())
    .bind(window.as_secs_f64())
    .fetch_one(pool)
    .await?;
    if attempts.unsigned_abs() > most {
        return Err(Problem::too_many(left.ceil().max(1.0) as u64));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_does_not_use_up_anothers_share() {
        let requests = Requests::new(1);
        let (a, b) = (Caller::User(Uuid::from_u128(1)), Caller::Address(IpAddr::from([10, 0, 0, 1])));
        let passed = (0..50).filter(|_| requests.count(a).is_ok()).count();
        assert!((10..=15).contains(&passed), "{passed}");
        assert!(requests.count(b).is_ok());
    }
}
