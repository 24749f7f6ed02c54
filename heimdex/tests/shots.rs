//! Scores and cuts of whole clips, equal to PySceneDetect 0.7.2.
#![cfg(feature = "media")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod shots_golden;

use heimdex::shots::{AdaptiveDetector, ContentDetector, Detector, FrameScores, ThresholdDetector};
use shots_golden::{Decoded, Golden, Speed, goldens};

#[test]
fn cuts_equal_pyscenedetect_on_every_clip() {
    let clips = goldens();
    if clips.is_empty() {
        eprintln!("skipped: no shared/media/golden beside the repository");
        return;
    }
    let mut wrong = Vec::new();
    for clip in &clips {
        let decoded = clip.decode(Speed::Exact, &Detector::default());
        for (name, detector) in detectors() {
            let cuts = cuts(&detector, clip, &decoded);
            if cuts != clip.cuts[name] {
                wrong.push(format!("{} {name}: {cuts:?}, reference {:?}", clip.name, clip.cuts[name]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Clips whose reference pictures come from a newer swscale than FFmpeg 5.1's, and why they differ.
const OTHER_SWSCALE: [(&str, &str); 5] = [
    ("edge/hdr-pq.mp4", "10 bits; the reference maps PQ to SDR"),
    ("edge/hevc-10bit.mp4", "10 bits"),
    ("edge/interlaced-tff.mp4", "the reference converts the fields apart"),
    ("edge/odd-321x241.mp4", "odd size"),
    ("edge/ts-resolution-change.ts", "the second size is scaled to the first"),
];

#[test]
fn pictures_and_scores_equal_the_reference_on_every_clip() {
    let mut wrong = Vec::new();
    for clip in goldens() {
        // A detector that weighs edges, so that they are found too.
        let mut content = ContentDetector::default();
        content.weights.edges = 1.0;
        let decoded = clip.decode(Speed::Exact, &content.into());
        let report = compare(&clip, &decoded);
        eprintln!("{:<32} {:>4} frames, {report:?}", clip.name, decoded.len());
        let excused = OTHER_SWSCALE.iter().any(|(name, _)| *name == clip.name);
        let exact =
            report.pictures == 0 && report.content <= 1e-9 && report.edges <= 1e-9 && report.mean <= 1e-9;
        if decoded.len() != clip.series.len() || !(exact || excused && report.content < 0.5) {
            wrong.push(format!("{}: {report:?}", clip.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fast_decoding_finds_the_same_cuts_on_every_clip() {
    let mut wrong = Vec::new();
    for clip in goldens() {
        let (exact, fast) =
            (clip.decode(Speed::Exact, &Detector::default()), clip.decode(Speed::Fast, &Detector::default()));
        let change = |decoded: &Decoded| content(&decoded.0);
        let worst = exact.iter().zip(&fast).map(|(a, b)| (change(a) - change(b)).abs()).fold(0.0, f64::max);
        let same = detectors().map(|(_, d)| cuts(&d, &clip, &exact) == cuts(&d, &clip, &fast));
        eprintln!("{:<32} largest difference {worst:.3}, same cuts {same:?}", clip.name);
        if same != [true; 3] || exact.len() != fast.len() {
            wrong.push(clip.name.clone());
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The detectors with their defaults, by their names in the reference.
fn detectors() -> [(&'static str, Detector); 3] {
    [
        ("content_27", ContentDetector::default().into()),
        ("adaptive_default", AdaptiveDetector::default().into()),
        ("threshold_12", ThresholdDetector::default().into()),
    ]
}

fn cuts(detector: &Detector, clip: &Golden, decoded: &[Decoded]) -> Vec<u64> {
    let mut finder = detector.start(clip.rate).unwrap();
    decoded.iter().filter_map(|(scores, _)| finder.push(scores)).map(|cut| cut.frame).collect()
}

fn content(scores: &FrameScores) -> f64 {
    (scores.delta_hue + scores.delta_sat + scores.delta_lum) / 3.0
}

#[derive(Debug, Default)]
struct Report {
    /// Frames whose small picture has other bytes.
    pictures: usize,
    /// Largest difference of the content score.
    content: f64,
    /// Largest difference of the edges.
    edges: f64,
    /// Largest difference of the mean of B, G and R.
    mean: f64,
}

fn compare(clip: &Golden, decoded: &[Decoded]) -> Report {
    let mut report = Report::default();
    for ((scores, crc), row) in decoded.iter().zip(&clip.series) {
        let Some(row) = row else { continue };
        report.pictures += usize::from(*crc != row.crc);
        report.content = report.content.max((content(scores) - row.content).abs());
        report.edges = report.edges.max((scores.delta_edges - row.edges).abs());
        // PySceneDetect keeps statistics by time: frames of one time share the first one's mean.
        if !clip.times_repeat {
            report.mean = report.mean.max((scores.mean_bgr - row.mean).abs());
        }
    }
    report
}
