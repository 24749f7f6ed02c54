//! Passwords, as argon2id keeps them. Hashing takes long on purpose, so it runs on threads where it may
//! block, a few at a time.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::problem::{Answer, Problem};

/// Hashes at once; each takes 19 MiB.
const AT_ONCE: usize = 2;

/// Hashes and checks passwords.
#[derive(Debug, Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// The hash of a password that nobody has: checked where there is no account, so that an answer takes
    /// as long as where there is one.
    nobody: Arc<str>,
}

impl Passwords {
    /// With a hash that nobody's password has.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn new() -> Answer<Self> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(Problem::internal)?;
        let nobody = hash(&random).map_err(Problem::internal)?;
        Ok(Self { turns: Arc::new(Semaphore::new(AT_ONCE)), nobody: nobody.into() })
    }

    /// The hash to keep.
    ///
    /// # Errors
    /// When it fails.
    pub async fn hash(&self, password: &str) -> Answer<String> {
        let password = password.as_bytes().to_vec();
        self.in_turn(move || hash(&password)).await?.map_err(Problem::internal)
    }

    /// Whether a password is the one of this hash; never where there is no hash.
    ///
    /// # Errors
    /// When it fails.
    pub async fn fits(&self, password: &str, hash: Option<String>) -> Answer<bool> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobody.as_ref().to_owned());
        let password = password.as_bytes().to_vec();
        let fits =
            self.in_turn(move || Argon2::default().verify_password(&password, hash.as_str()).is_ok()).await?;
        Ok(fits && known)
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(Problem::internal)?;
        let working = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(working).await.map_err(Problem::internal)
    }
}

fn hash(password: &[u8]) -> Result<String, argon2::password_hash::Error> {
    // Argon2id with 19 MiB, two passes and one lane, and a random salt.
    Argon2::default().hash_password(password).map(|hash| hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_fits() {
        let passwords = Passwords::new().unwrap();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(passwords.fits("correct horse", Some(hash.clone())).await.unwrap());
        assert!(!passwords.fits("correct horsf", Some(hash)).await.unwrap());
        assert!(!passwords.fits("correct horse", None).await.unwrap());
    }
}
