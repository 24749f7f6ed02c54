//! When to try again, and how long to wait first.

use std::time::{Duration, Instant};

use super::options::HubOptions;
use crate::{Cancel, Error, Result};

/// Why a request did not do.
pub(super) enum Failure {
    /// It may do later; after `wait` where the hub says so.
    Passing { error: Error, wait: Option<Duration> },
    /// It will not.
    Lasting(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

/// Counts the failures in a row.
pub(super) struct Retry<'a> {
    options: &'a HubOptions,
    cancel: &'a Cancel,
    failures: u32,
}

impl<'a> Retry<'a> {
    pub(super) fn new(options: &'a HubOptions, cancel: &'a Cancel) -> Self {
        Self { options, cancel, failures: 0 }
    }

    /// Runs `work` until it does, or fails for good.
    pub(super) fn run<T>(mut self, mut work: impl FnMut() -> Result<T, Failure>) -> Result<T> {
        loop {
            self.cancel.check()?;
            match work() {
                Ok(value) => return Ok(value),
                Err(failure) => self.after(failure)?,
            }
        }
    }

    /// Something arrived: patience starts anew.
    pub(super) fn progressed(&mut self) {
        self.failures = 0;
    }

    /// Waits before the next attempt, or fails when there is none.
    pub(super) fn after(&mut self, failure: Failure) -> Result<()> {
        let (error, asked) = match failure {
            Failure::Lasting(error) => return Err(error),
            Failure::Passing { error, wait } => (error, wait),
        };
        if self.failures >= self.options.retries {
            return Err(error);
        }
        let doubled = self.options.retry_wait.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        tracing::debug!(%error, attempt = self.failures, "trying again");
        self.wait(asked.unwrap_or(doubled).min(self.options.max_retry_wait))
    }

    fn wait(&self, wait: Duration) -> Result<()> {
        const STEP: Duration = Duration::from_millis(50);
        let begun = Instant::now();
        while let Some(left) = wait.checked_sub(begun.elapsed()).filter(|left| !left.is_zero()) {
            self.cancel.check()?;
            std::thread::sleep(left.min(STEP));
        }
        self.cancel.check()
    }
}
