//! What is looked up for a request: one ranking for each channel that has a weight.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::Models;
use super::fusion::{Group, Ranking, Scale};
use super::lexical::Lexical;
use super::query::Query;
use super::request::SearchRequest;
use crate::annotate::Annotator;
use crate::embed::{EmbedSpec, ImageEmbedder, Modality, Role, Vector};
use crate::store::{IndexStore, ScoredScene, VectorOrigin, VectorRow};
use crate::{Error, LibraryId, Result, SceneId};

/// How many scenes a channel gives. Fixed, so that a later page sees the same ranking.
const DEPTH: usize = 500;

/// The same where hits of one video are capped, and many may be left out.
const CAPPED_DEPTH: usize = 4000;

/// Least cosine of text and picture for a model that says nothing of it. Matching pairs of CLIP lie
/// around 0.3, others around 0.15 (Radford et al., 2021).
const TEXT_TO_PICTURE: f32 = 0.2;

/// Longest name of a tag that a query is looked through for, in tokens: a Korean word has several.
const TAG_TOKENS: usize = 8;

pub(super) struct Channels<'a> {
    pub(super) store: &'a dyn IndexStore,
    pub(super) library: LibraryId,
    pub(super) models: &'a Models,
    pub(super) request: &'a SearchRequest,
    pub(super) query: &'a Query,
    pub(super) lexical: &'a Lexical,
}

/// A channel's scale and the scenes that it finds.
type Found = (Scale, Group, Vec<ScoredScene>);

impl Channels<'_> {
    pub(super) async fn rankings(&self) -> Result<Vec<Ranking>> {
        if self.request.image.is_some() && self.models.image.is_none() {
            let message = "searching by picture needs the image model that the library was indexed with; index with one first";
            return Err(Error::model_missing("image", message));
        }
        let spaces = self.store.spaces(self.library).await?;
        let like = match self.request.like {
            Some(scene) => self.like(scene).await?,
            None => Vec::new(),
        };
        let mut weights = self.request.weights.clone();
        for annotator in &self.models.annotators {
            weights.entry(annotator.channel().to_owned()).or_insert(1.0);
        }
        let weighed = weights.iter().filter(|(_, weight)| **weight > 0.0);
        let looked_up = weighed.map(|(channel, weight)| {
            let (spaces, like) = (&spaces, &like);
            async move {
                let (scale, group, scenes) = match channel.as_str() {
                    "meaning" => self.meaning(spaces, like).await?,
                    "visual" => self.visual(spaces).await?,
                    "likeness" => self.likeness(spaces, like).await?,
                    "tags" => (Scale::Sum, Group::Tags, self.tags().await?),
                    channel => (Scale::Bm25, Group::Text, self.words(channel).await?),
                };
                Ok::<_, Error>(Ranking { channel: channel.clone(), weight: *weight, scale, group, scenes })
            }
        });
        let mut rankings = futures::future::try_join_all(looked_up).await?;
        for annotator in &self.models.annotators {
            let weight = weights.get(annotator.channel()).copied().unwrap_or_default();
            if weight > 0.0 {
                rankings.extend(self.annotated(annotator, &spaces, weight).await?);
            }
        }
        if !self.lexical.query.all.is_empty() {
            // A phrase must be said or named: other channels only order what words have found.
            let named: HashSet<SceneId> = rankings
                .iter()
                .filter(|r| r.scale == Scale::Bm25)
                .flat_map(|r| &r.scenes)
                .map(|s| s.scene)
                .collect();
            for ranking in &mut rankings {
                ranking.scenes.retain(|s| named.contains(&s.scene));
            }
        }
        Ok(rankings)
    }

    fn depth(&self) -> usize {
        if self.request.per_video.is_some() { CAPPED_DEPTH } else { DEPTH }
    }

    /// The vectors of the scene that others are to be like.
    async fn like(&self, scene: SceneId) -> Result<Vec<VectorRow>> {
        let rows = self.store.scene_vectors(self.library, scene).await?;
        if rows.is_empty() {
            return Err(Error::not_found("scene with vectors", scene.to_string()));
        }
        Ok(rows)
    }

    /// Scenes whose text holds the query's words.
    async fn words(&self, channel: &str) -> Result<Vec<ScoredScene>> {
        if self.lexical.is_empty() {
            return Ok(Vec::new());
        }
        let Self { store, library, request, lexical, .. } = self;
        store.search_text(*library, channel, &lexical.query, &request.filter, self.depth()).await
    }

    /// Scenes with tags that the query names: any run of its tokens may be one.
    async fn tags(&self) -> Result<Vec<ScoredScene>> {
        let tokens = crate::text::analyze(&self.query.sentence());
        let mut keys = BTreeSet::new();
        for first in 0..tokens.len() {
            for length in 1..=TAG_TOKENS.min(tokens.len() - first) {
                keys.insert(tokens[first..first + length].join(" "));
            }
        }
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<String> = keys.into_iter().collect();
        let Self { store, library, request, .. } = self;
        store.search_tags(*library, &keys, &request.filter, self.depth()).await
    }

    /// Scenes by the vectors of an annotator.
    async fn annotated(
        &self,
        annotator: &Arc<dyn Annotator>,
        spaces: &[EmbedSpec],
        weight: f32,
    ) -> Result<Option<Ranking>> {
        let sentence = self.query.sentence();
        let held = annotator.spec().map(EmbedSpec::space).filter(|s| spaces.iter().any(|h| h.space() == *s));
        let Some(space) = held.filter(|_| !sentence.is_empty()) else { return Ok(None) };
        let asked = Arc::clone(annotator);
        let Some(vector) = blocking(move || asked.embed_query(&sentence)).await? else { return Ok(None) };
        let floor = self.request.min_similarity;
        Ok(Some(Ranking {
            channel: annotator.channel().to_owned(),
            weight,
            scale: Scale::Cosine(floor),
            group: Group::Text,
            scenes: self.nearest(&space, &vector, floor).await?,
        }))
    }

    /// Scenes by a vector, down to a floor.
    async fn nearest(&self, space: &str, vector: &Vector, floor: f32) -> Result<Vec<ScoredScene>> {
        let Self { store, library, request, .. } = self;
        let mut found = store.search_vectors(*library, space, vector, &request.filter, self.depth()).await?;
        found.retain(|scene| scene.score >= floor);
        Ok(found)
    }

    /// Scenes whose text means the same, as far as the model can tell.
    async fn meaning(&self, spaces: &[EmbedSpec], like: &[VectorRow]) -> Result<Found> {
        let floor = self.request.min_similarity;
        let found = |scenes| Ok((Scale::Cosine(floor), Group::Text, scenes));
        let sentence = self.query.sentence();
        if let Some(row) = like.iter().find(|row| matches!(row.origin, VectorOrigin::Text { .. }))
            && sentence.is_empty()
        {
            return found(self.nearest(&row.space, &row.vector, floor).await?);
        }
        let Some(embedder) = self.models.text.as_ref().filter(|_| !sentence.is_empty()) else {
            return found(Vec::new());
        };
        let Some(space) = space(spaces, Modality::Text, embedder.spec())? else { return found(Vec::new()) };
        let embedder = Arc::clone(embedder);
        let vector =
            blocking(move || embedder.embed(&[sentence.as_str()], Role::Query).and_then(only)).await?;
        found(self.nearest(&space, &vector, floor).await?)
    }

    /// Scenes whose pictures show what the query says.
    async fn visual(&self, spaces: &[EmbedSpec]) -> Result<Found> {
        let nothing = || Ok((Scale::Cosine(0.0), Group::Vision, Vec::new()));
        let sentence = self.query.sentence();
        let Some(image) = self.models.image.as_ref().filter(|_| !sentence.is_empty()) else {
            return nothing();
        };
        let Some(space) = space(spaces, Modality::Image, image.spec())? else { return nothing() };
        if image.text().is_none() {
            return nothing();
        }
        let (scale, floor) = match image.calibration() {
            Some(calibration) => {
                (Scale::Probability(calibration), calibration.cosine(self.request.min_probability))
            }
            None => (Scale::Cosine(TEXT_TO_PICTURE), TEXT_TO_PICTURE),
        };
        let image = Arc::clone(image);
        let embed = move || match image.text() {
            Some(text) => text.embed(&[sentence.as_str()], Role::Query).and_then(only),
            None => only(Vec::new()),
        };
        let vector = blocking(embed).await?;
        Ok((scale, Group::Vision, self.nearest(&space, &vector, floor).await?))
    }

    /// Scenes whose pictures look like the one given, or like those of the scene given.
    async fn likeness(&self, spaces: &[EmbedSpec], like: &[VectorRow]) -> Result<Found> {
        let floor = self.request.min_likeness;
        let found = |scenes| Ok((Scale::Cosine(floor), Group::Vision, scenes));
        if let (Some(picture), Some(image)) = (&self.request.image, &self.models.image) {
            let Some(space) = space(spaces, Modality::Image, image.spec())? else { return found(Vec::new()) };
            let (image, picture): (Arc<dyn ImageEmbedder>, _) = (Arc::clone(image), Arc::clone(picture));
            let vector = blocking(move || image.embed_images(&[&*picture]).and_then(only)).await?;
            return found(self.nearest(&space, &vector, floor).await?);
        }
        let rows: Vec<&VectorRow> =
            like.iter().filter(|row| matches!(row.origin, VectorOrigin::Keyframe { .. })).collect();
        let Some(first) = rows.first() else { return found(Vec::new()) };
        // What its keyframes have in common.
        let mut sum = vec![0.0_f32; first.vector.dim()];
        for row in rows.iter().filter(|row| row.space == first.space) {
            for (total, value) in sum.iter_mut().zip(row.vector.as_slice()) {
                *total += value;
            }
        }
        found(self.nearest(&first.space, &Vector::normalize(sum)?, floor).await?)
    }
}

/// The space of the library that a model's vectors are of; `None` when the library holds no vectors of
/// the kind.
fn space(spaces: &[EmbedSpec], modality: Modality, model: &EmbedSpec) -> Result<Option<String>> {
    let space = model.space();
    if spaces.iter().any(|spec| spec.space() == space) {
        return Ok(Some(space));
    }
    let held: Vec<String> = spaces
        .iter()
        .filter(|spec| spec.modality == modality)
        .map(|s| format!("{} ({} dimensions)", s.model, s.dim))
        .collect();
    if held.is_empty() {
        return Ok(None);
    }
    Err(Error::Space(format!(
        "the query was embedded by {} ({} dimensions), the library by {}; search with that model, or index again \
         with this one",
        model.model,
        model.dim,
        held.join(", "),
    )))
}

/// The only vector of a model's answer.
fn only(vectors: Vec<Vector>) -> Result<Vector> {
    vectors.into_iter().next().ok_or_else(|| Error::model("query", "the model gave no vector"))
}

/// Runs a model on a thread where it may block: the caller's runtime must not.
async fn blocking<T: Send + 'static>(ask: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let runtime = Handle::try_current()
        .map_err(|e| Error::invalid("runtime", format!("this is awaited inside a tokio runtime ({e})")))?;
    let answer = runtime.spawn_blocking(ask).await;
    answer.map_err(|e| Error::model("query", format!("the model's thread ended without an answer ({e})")))?
}
