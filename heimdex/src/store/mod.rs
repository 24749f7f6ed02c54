//! The index: one trait, and the stores that implement it.
//!
//! Uses everything to the left; knows nothing of how a video was indexed or how results are fused.

mod check;
mod contract;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use check::check_video;
pub use contract::{
    Filter, IndexStore, IndexedScene, IndexedVideo, Page, SceneRecord, ScoredScene, StageRecord, StageState,
    TextQuery, VectorOrigin, VectorRow, VideoRecord, VideoState,
};
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
