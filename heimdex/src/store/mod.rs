//! The index: one trait, and the stores that implement it.
//!
//! Uses everything to the left; knows nothing of how a video was indexed or how results are fused.

mod check;
mod contract;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod parts;
#[cfg(feature = "postgres")]
mod postgres;
mod sidecar;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

#[cfg(feature = "media")]
pub(crate) use check::OWN_CHANNELS;
pub use check::{check_space, check_staged, check_video};
pub use contract::{
    Filter, IndexStore, IndexedScene, IndexedVideo, Page, SceneRecord, ScoredScene, StageRecord, StageState,
    TextQuery, VectorOrigin, VectorRow, VideoRecord, VideoState,
};
#[cfg(feature = "postgres")]
pub use postgres::{Change, Changes, IndexTask, Job, JobState, PostgresStore, Standing};
#[cfg(all(feature = "media", feature = "postgres"))]
pub(crate) use postgres::{Ended, Heard, Held, Recorded};
pub use sidecar::{read_sidecar, sidecar, write_sidecar};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;

/// What a tag is compared by: the analyzed tokens of one of its names, so that case, width and plurals
/// that the analyzer knows make no difference.
pub fn tag_key(name: &str) -> String {
    crate::text::analyze(name).join(" ")
}
