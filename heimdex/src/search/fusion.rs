//! Rankings of several channels become one.

use std::collections::BTreeMap;

use super::request::{ChannelScore, Fusion};
use crate::embed::Calibration;
use crate::store::ScoredScene;
use crate::{SceneId, Timestamp};

/// Half of the full score, in BM25, for the weighted sum.
const HALF_BM25: f32 = 5.0;

/// What kind of score a channel gives.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scale {
    Bm25,
    /// A cosine, and the least that the channel gives.
    Cosine(f32),
    /// A cosine that the model itself makes a probability of.
    Probability(Calibration),
    /// Probabilities that were added up.
    Sum,
}

/// Which of the weighted sum's weights a channel has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Text,
    Vision,
    Tags,
}

/// A channel's ranking, best first.
pub(super) struct Ranking {
    pub(super) channel: String,
    pub(super) weight: f32,
    pub(super) scale: Scale,
    pub(super) group: Group,
    pub(super) scenes: Vec<ScoredScene>,
}

/// A scene found by at least one channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fused {
    pub(super) scene: SceneId,
    pub(super) score: f32,
    pub(super) time: Option<Timestamp>,
    pub(super) channels: Vec<ChannelScore>,
}

/// All scenes of all rankings, best first; equal scores by scene.
pub(super) fn fuse(rankings: &[Ranking], fusion: Fusion) -> Vec<Fused> {
    let mut all: BTreeMap<SceneId, Sum> = BTreeMap::new();
    for ranking in rankings {
        for (i, found) in ranking.scenes.iter().enumerate() {
            let weight = f64::from(ranking.weight);
            let part = match (fusion, ranking.group) {
                (Fusion::ReciprocalRank { k }, _) => weight / (f64::from(k) + i as f64 + 1.0),
                (Fusion::Weighted { text, .. }, Group::Text) => {
                    f64::from(text) * weight * calibrated(ranking.scale, found.score)
                }
                (Fusion::Weighted { vision, .. }, Group::Vision) => {
                    f64::from(vision) * weight * calibrated(ranking.scale, found.score)
                }
                (Fusion::Weighted { tags, .. }, Group::Tags) => {
                    f64::from(tags) * weight * calibrated(ranking.scale, found.score)
                }
            };
            let sum = all.entry(found.scene).or_default();
            sum.score += part;
            // The moment is that of the channel that says most.
            if found.time.is_some() && sum.time.is_none_or(|(best, _)| part > best) {
                sum.time = found.time.map(|time| (part, time));
            }
            let channel = ranking.channel.clone();
            sum.channels.push(ChannelScore { channel, rank: i + 1, score: found.score });
        }
    }
    let fused = all.into_iter().map(|(scene, sum)| Fused {
        scene,
        score: sum.score as f32,
        time: sum.time.map(|(_, time)| time),
        channels: sum.channels,
    });
    let mut fused: Vec<Fused> = fused.collect();
    fused.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.scene.cmp(&b.scene)));
    fused
}

/// A scene's parts so far.
#[derive(Default)]
struct Sum {
    score: f64,
    time: Option<(f64, Timestamp)>,
    channels: Vec<ChannelScore>,
}

/// A score in 0..=1 by a fixed curve, so that a channel with one hit, or equal ones, still counts.
fn calibrated(scale: Scale, score: f32) -> f64 {
    f64::from(match scale {
        Scale::Bm25 => score.max(0.0) / (score.max(0.0) + HALF_BM25),
        Scale::Cosine(floor) => 0.5 + 0.5 * ((score - floor) / (1.0 - floor).max(1e-6)).clamp(0.0, 1.0),
        Scale::Probability(calibration) => 0.5 + 0.5 * calibration.probability(score),
        Scale::Sum => 0.5 + 0.5 * score.clamp(0.0, 1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::VideoId;
    use proptest::prelude::*;

    fn scene(n: u32) -> SceneId {
        SceneId { video: VideoId::of_source(b"v"), ordinal: n }
    }

    fn ranking(channel: &str, weight: f32, scenes: &[(u32, f32)]) -> Ranking {
        Ranking {
            channel: channel.to_owned(),
            weight,
            scale: if channel == "meaning" { Scale::Cosine(0.25) } else { Scale::Bm25 },
            group: Group::Text,
            scenes: scenes
                .iter()
                .map(|(n, score)| ScoredScene { scene: scene(*n), score: *score, time: None })
                .collect(),
        }
    }

    /// SPEC O20.
    #[test]
    fn a_lone_exact_word_match_is_not_lost() {
        let meaning: Vec<(u32, f32)> = (0..400).map(|n| (n, 0.9 - n as f32 * 0.001)).collect();
        for fusion in [Fusion::default(), Fusion::weighted()] {
            let fused =
                fuse(&[ranking("speech", 1.2, &[(399, 9.0)]), ranking("meaning", 1.0, &meaning)], fusion);
            let place = fused.iter().position(|f| f.scene == scene(399)).unwrap();
            assert!(place < 10, "{fusion:?}: {place}");
        }
    }

    #[test]
    fn a_flat_or_single_hit_channel_counts() {
        for fusion in [Fusion::default(), Fusion::weighted()] {
            let flat = fuse(&[ranking("speech", 1.0, &[(0, 2.0), (1, 2.0)])], fusion);
            assert!(flat.iter().all(|f| f.score > 0.0), "{fusion:?}");
        }
    }

    proptest! {
        #[test]
        fn the_order_of_channels_plays_no_part(
            a in proptest::collection::vec((0u32..30, 0.0f32..9.0), 0..20),
            b in proptest::collection::vec((0u32..30, 0.3f32..1.0), 0..20),
        ) {
            let unique = |list: &[(u32, f32)]| {
                let mut seen = std::collections::BTreeSet::new();
                list.iter().copied().filter(|(n, _)| seen.insert(*n)).collect::<Vec<_>>()
            };
            let (a, b) = (unique(&a), unique(&b));
            for fusion in [Fusion::default(), Fusion::weighted()] {
                let one = fuse(&[ranking("speech", 1.2, &a), ranking("meaning", 1.0, &b)], fusion);
                let other = fuse(&[ranking("meaning", 1.0, &b), ranking("speech", 1.2, &a)], fusion);
                let scenes = |f: &[Fused]| f.iter().map(|f| (f.scene, f.score)).collect::<Vec<_>>();
                prop_assert_eq!(scenes(&one), scenes(&other));
            }
        }

        #[test]
        fn a_better_rank_never_scores_less(n in 2u32..30, better in 0u32..29) {
            let list: Vec<(u32, f32)> = (0..n).map(|i| (i, 10.0 - i as f32 * 0.1)).collect();
            let fused = fuse(&[ranking("speech", 1.0, &list)], Fusion::default());
            let place = (better % (n - 1)) as usize;
            prop_assert!(fused[place].score > fused[place + 1].score);
        }
    }
}
