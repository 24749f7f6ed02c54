//! What else can be said of a scene: tags, and whatever an annotator of your own finds.
//!
//! Uses scenes, keyframes and vectors; what it gives goes into the store with them.

#[cfg(feature = "media")]
mod tagger;
mod vocabulary;

#[cfg(all(test, feature = "media"))]
mod tests;

#[cfg(feature = "media")]
pub use tagger::TagSettings;
#[cfg(feature = "media")]
pub(crate) use tagger::Tagger;
pub use vocabulary::{Concept, Vocabulary};

use serde::{Deserialize, Serialize};

use crate::embed::{EmbedSpec, Vector};
use crate::keyframes::Keyframe;
use crate::media::RgbPicture;
use crate::scenes::Scene;
use crate::{Result, Timestamp};

/// A word for what a scene shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tag {
    /// The label, such as `car`.
    pub label: String,
    /// Other names that it is found by, such as `자동차`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// How sure it is, 0 to 1.
    pub score: f32,
}

/// A keyframe as an annotator sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct KeyframeView<'a> {
    /// Its time, shot and quality.
    pub keyframe: &'a Keyframe,
    /// Upright, square pixels, the shorter side at most 384.
    pub picture: &'a RgbPicture,
}

/// A scene as an annotator sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct SceneView<'a> {
    /// Its span, and what is said in it.
    pub scene: &'a Scene,
    /// Its keyframes in order of time; where it has none, the nearest of its shot.
    pub keyframes: Vec<KeyframeView<'a>>,
}

/// What an annotator finds in a scene. Empty parts add nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Annotation {
    /// Searched by word in the annotator's channel.
    pub text: String,
    /// Added to the scene's tags.
    pub tags: Vec<Tag>,
    /// Vectors of [`Annotator::spec`] and the moments they stand for.
    pub vectors: Vec<(Timestamp, Vector)>,
}

/// Looks at scenes and adds text, tags or vectors as a channel of its own, which search uses at once.
///
/// ```
/// use heimdex::annotate::{Annotation, Annotator, SceneView};
///
/// /// Says whether a scene is bright or dark.
/// struct Light;
///
/// impl Annotator for Light {
///     fn channel(&self) -> &str {
///         "light"
///     }
///
///     fn annotate(&self, scene: &SceneView<'_>) -> heimdex::Result<Annotation> {
///         let bytes = scene.keyframes.iter().flat_map(|k| &k.picture.data);
///         let (sum, count) = bytes.fold((0_u64, 0_u64), |(sum, n), b| (sum + u64::from(*b), n + 1));
///         let text = if sum > 100 * count { "bright daylight" } else { "dark night" };
///         Ok(Annotation { text: text.to_owned(), ..Annotation::default() })
///     }
/// }
/// ```
pub trait Annotator: Send + Sync {
    /// The channel's name: lower case letters, digits and `_`, none of Heimdex's own.
    fn channel(&self) -> &str;

    /// Changes whenever the same scene would be annotated in another way: what was found before is then
    /// found anew.
    fn version(&self) -> String {
        "1".to_owned()
    }

    /// What its vectors are; `None` for one that gives none.
    fn spec(&self) -> Option<&EmbedSpec> {
        None
    }

    /// What it finds in a scene.
    ///
    /// # Errors
    /// Whatever it gives fails the video and is named.
    fn annotate(&self, scene: &SceneView<'_>) -> Result<Annotation>;

    /// A query as a vector of [`spec`](Self::spec); `None` when its vectors cannot be searched by words.
    ///
    /// # Errors
    /// Whatever it gives fails the search.
    fn embed_query(&self, _query: &str) -> Result<Option<Vector>> {
        Ok(None)
    }
}
