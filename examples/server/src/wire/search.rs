//! What a search gives.

use serde::Serialize;
use utoipa::ToSchema;

use super::{HitShape, Moment};

/// A page of hits, best first.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SearchAnswer {
    /// The hits.
    pub hits: Vec<SearchHit>,
    /// Scenes found in all, under the same filters as the hits.
    pub total: usize,
    /// Give this as `cursor` for the next page; null on the last.
    pub next: Option<String>,
}

/// A scene that was found.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SearchHit {
    /// What the core says of it.
    #[serde(flatten)]
    #[schema(value_type = HitShape)]
    pub hit: heimdex::search::Hit,
    /// The picture nearest to the moment.
    pub thumbnail_url: Option<String>,
    /// Where to play it.
    pub playback: Moment,
}
