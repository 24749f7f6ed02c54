//! Where a page ended, as an opaque string.

use super::fusion::Fused;
use super::request::SearchRequest;
use crate::{Error, Result, SceneId};

/// The last hit of a page of a certain search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cursor {
    score: f32,
    scene: SceneId,
}

impl Cursor {
    pub(super) fn after(last: &Fused) -> Self {
        Self { score: last.score, scene: last.scene }
    }

    /// Whether a hit comes after the page.
    pub(super) fn is_before(&self, hit: &Fused) -> bool {
        hit.score.total_cmp(&self.score).reverse().then(hit.scene.cmp(&self.scene)).is_gt()
    }

    pub(super) fn to_text(self, request: &SearchRequest) -> String {
        format!("1.{}.{:08x}.{}", fingerprint(request), self.score.to_bits(), self.scene)
    }

    pub(super) fn read(text: &str, request: &SearchRequest) -> Result<Self> {
        let wrong = |message: &str| Error::invalid("cursor", message);
        let parts: Vec<&str> = text.splitn(4, '.').collect();
        let [version, search, score, scene] = parts[..] else {
            return Err(wrong("not a cursor of a search"));
        };
        if version != "1" {
            return Err(wrong("made by another version; begin at the first page"));
        }
        if search != fingerprint(request) {
            return Err(wrong("made by another search; begin at the first page"));
        }
        let score = u32::from_str_radix(score, 16).map_err(|_| wrong("not a cursor of a search"))?;
        Ok(Self {
            score: f32::from_bits(score),
            scene: scene.parse().map_err(|_| wrong("not a cursor of a search"))?,
        })
    }
}

/// Of all that decides which hits there are, in which order; pages may differ in size.
fn fingerprint(request: &SearchRequest) -> String {
    let asked = SearchRequest { limit: 0, cursor: None, explain: false, ..request.clone() };
    let mut hasher = blake3::Hasher::new();
    hasher.update(serde_json::json!(asked).to_string().as_bytes());
    if let Some(image) = &request.image {
        hasher.update(&image.width.to_le_bytes()).update(&image.data);
    }
    hasher.finalize().to_hex()[..12].to_owned()
}
