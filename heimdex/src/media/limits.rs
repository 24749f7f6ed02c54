//! What is opened at most. Each limit has its own error.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Limits on what is opened; everything in a file comes from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// Largest file in bytes.
    pub max_file_bytes: u64,
    /// Longest video.
    pub max_duration: Duration,
    /// Most pixels in a frame, as stored.
    pub max_pixels: u64,
    /// Most streams in a file.
    pub max_streams: u32,
    /// Longest wall time in which reading or decoding gives nothing.
    pub max_stall: Duration,
}

impl Default for Limits {
    /// 1 TiB, 24 hours, 8192 x 8192 pixels, 256 streams, 60 seconds.
    fn default() -> Self {
        Self {
            max_file_bytes: 1 << 40,
            max_duration: Duration::from_hours(24),
            max_pixels: 8192 * 8192,
            max_streams: 256,
            max_stall: Duration::from_mins(1),
        }
    }
}

impl Limits {
    /// Checks the values themselves.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) naming the field.
    pub fn validate(&self) -> Result<()> {
        if self.max_pixels == 0 || i64::try_from(self.max_pixels).is_err() {
            return Err(Error::invalid("max_pixels", "must be at least 1"));
        }
        if self.max_streams == 0 {
            return Err(Error::invalid("max_streams", "must be at least 1"));
        }
        if self.max_stall.is_zero() {
            return Err(Error::invalid("max_stall", "must be longer than nothing"));
        }
        Ok(())
    }
}
