//! What is asked and what is answered.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::annotate::Tag;
use crate::media::RgbPicture;
use crate::store::Filter;
use crate::transcript::Word;
use crate::{Error, Result, SceneId, Span, Timestamp};

/// Most hits on a page.
const MAX_LIMIT: usize = 200;

/// How the rankings of channels become one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Fusion {
    /// The sum over channels of `weight / (k + rank)`, ranks from 1. Scores play no part.
    ReciprocalRank {
        /// How little the first ranks stand out.
        k: f32,
    },
    /// The weighted sum of scores brought to 0..=1 by fixed curves.
    Weighted {
        /// For words, titles and meaning.
        text: f32,
        /// For what is shown.
        vision: f32,
        /// For tags.
        tags: f32,
    },
}

impl Default for Fusion {
    /// Reciprocal rank with k 60.
    fn default() -> Self {
        Self::ReciprocalRank { k: 60.0 }
    }
}

impl Fusion {
    /// Weighted sum with text 0.5, vision 0.35, tags 0.15.
    pub const fn weighted() -> Self {
        Self::Weighted { text: 0.5, vision: 0.35, tags: 0.15 }
    }
}

/// A search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct SearchRequest {
    /// What people type: see [`Query`](super::Query).
    pub query: String,
    /// Which scenes may be found.
    pub filter: Filter,
    /// Hits on a page, 1 to 200.
    pub limit: usize,
    /// [`SearchPage::next`] of the page before.
    pub cursor: Option<String>,
    /// At most this many hits of one video.
    pub per_video: Option<usize>,
    /// What is like this scene: by its pictures (`likeness`) and by what is said in it (`meaning`).
    /// The scene itself is not found.
    pub like: Option<SceneId>,
    /// What looks like this picture (`likeness`).
    #[serde(skip)]
    pub image: Option<Arc<RgbPicture>>,
    /// Weight of each channel: `speech` and `title` by words, `meaning` by vectors of what is said,
    /// `visual` by the query's words in pictures, `likeness` by pictures, `tags` by the names of tags, and
    /// the channel of any annotator of your own, 1 where it is not given. 0 leaves a channel out.
    pub weights: BTreeMap<String, f32>,
    /// How rankings become one.
    pub fusion: Fusion,
    /// Least cosine at which two texts are about the same thing. Measured with all-MiniLM-L6-v2; see
    /// `docs/search.md`.
    pub min_similarity: f32,
    /// Least probability, by the image model's own calibration, that the query's words describe a
    /// picture. A model without one (CLIP) has a floor of its own.
    pub min_probability: f32,
    /// Least cosine at which two pictures look alike.
    pub min_likeness: f32,
    /// Fill [`Hit::channels`].
    pub explain: bool,
}

impl Default for SearchRequest {
    fn default() -> Self {
        Self {
            query: String::new(),
            filter: Filter::default(),
            limit: 10,
            cursor: None,
            per_video: None,
            like: None,
            image: None,
            weights: [
                ("speech", 1.2),
                ("meaning", 1.0),
                ("visual", 1.0),
                ("likeness", 1.0),
                ("tags", 0.8),
                ("title", 0.6),
            ]
            .map(|(n, w)| (n.to_owned(), w))
            .into(),
            fusion: Fusion::default(),
            min_similarity: 0.25,
            min_probability: 0.001,
            min_likeness: 0.6,
            explain: false,
        }
    }
}

impl SearchRequest {
    /// A search with defaults for all but the query.
    pub fn new(query: impl Into<String>) -> Self {
        Self { query: query.into(), ..Self::default() }
    }

    pub(super) fn validate(&self) -> Result<()> {
        if !(1..=MAX_LIMIT).contains(&self.limit) {
            return Err(Error::invalid("limit", format!("must be 1 to {MAX_LIMIT}")));
        }
        if self.per_video == Some(0) {
            return Err(Error::invalid("per_video", "must be at least 1"));
        }
        if self.weights.values().any(|w| !w.is_finite() || *w < 0.0) {
            return Err(Error::invalid("weights", "must be 0 or more"));
        }
        let fits = match self.fusion {
            Fusion::ReciprocalRank { k } => k.is_finite() && k >= 0.0,
            Fusion::Weighted { text, vision, tags } => {
                [text, vision, tags].iter().all(|w| w.is_finite() && *w >= 0.0)
            }
        };
        if !fits {
            return Err(Error::invalid("fusion", "its numbers must be 0 or more"));
        }
        for (field, floor) in [("min_similarity", self.min_similarity), ("min_likeness", self.min_likeness)] {
            if !floor.is_finite() {
                return Err(Error::invalid(field, "must be a number"));
            }
        }
        if !(self.min_probability > 0.0 && self.min_probability < 1.0) {
            return Err(Error::invalid("min_probability", "must lie between 0 and 1"));
        }
        Ok(())
    }
}

/// A page of hits, best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SearchPage {
    /// The hits.
    pub hits: Vec<Hit>,
    /// Scenes found in all, under the same filters and caps as the hits. Each channel gives its best
    /// few hundred, so this is no count of all scenes that hold a frequent word.
    pub total: usize,
    /// Give this as [`SearchRequest::cursor`] for the next page; `None` on the last.
    pub next: Option<String>,
}

/// A scene that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Hit {
    /// The scene.
    pub scene: SceneId,
    /// Its video.
    pub video: HitVideo,
    /// From where to where.
    #[serde(flatten)]
    pub span: Span,
    /// Where to seek to: the first word that matched, else what the best vector stands for, else the
    /// scene's start.
    #[serde(rename = "moment_us")]
    pub moment: Timestamp,
    /// What is said in the scene.
    pub text: String,
    /// The words that matched, with their times.
    pub matched_words: Vec<Word>,
    /// What the scene shows, the surest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Tag>,
    /// Key of the thumbnail nearest to the moment.
    pub thumbnail: Option<String>,
    /// The fused score; only comparable within one search.
    pub score: f32,
    /// Rank and score in each channel that found it; filled when explained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelScore>,
}

/// The video of a hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HitVideo {
    /// Its title.
    pub title: String,
    /// Where it comes from.
    pub source: String,
    /// Its length.
    #[serde(rename = "duration_us")]
    pub duration: Timestamp,
}

/// What a channel says of a hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelScore {
    /// Its name.
    pub channel: String,
    /// From 1.
    pub rank: usize,
    /// BM25 for words, cosine for vectors.
    pub score: f32,
}
