//! Scores and cuts of whole clips, equal to PySceneDetect 0.7.2.
#![cfg(feature = "media")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod shots_golden;

use heimdex::shots::{AdaptiveDetector, ContentDetector, Detector, ThresholdDetector};
use shots_golden::{Golden, goldens};

#[test]
fn cuts_equal_pyscenedetect_on_every_clip() {
    let clips = goldens();
    if clips.is_empty() {
        eprintln!("skipped: no shared/media/golden beside the repository");
        return;
    }
    let mut wrong = Vec::new();
    for clip in &clips {
        let decoded = clip.decode(true);
        for (name, detector) in [
            ("content_27", Detector::from(ContentDetector::default())),
            ("adaptive_default", AdaptiveDetector::default().into()),
            ("threshold_12", ThresholdDetector::default().into()),
        ] {
            let mut finder = detector.start(clip.rate).unwrap();
            let cuts: Vec<u64> =
                decoded.iter().filter_map(|(scores, _)| finder.push(scores)).map(|cut| cut.frame).collect();
            if cuts != clip.cuts[name] {
                wrong.push(format!("{} {name}: {cuts:?}, reference {:?}", clip.name, clip.cuts[name]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pictures_and_scores_equal_the_reference_on_every_clip() {
    // Another libswscale version converts pictures of odd size, and 10-bit ones, a few levels differently.
    let other_swscale: &[&str] = &[];
    let mut wrong = Vec::new();
    for clip in goldens() {
        let decoded = clip.decode(true);
        let report = compare(&clip, &decoded);
        eprintln!(
            "{:<40} frames {:>4} other pictures {:>4} largest difference {:.1e} mean {:.1e}",
            clip.name,
            decoded.len(),
            report.pictures,
            report.content,
            report.mean
        );
        let exact = decoded.len() == clip.series.len()
            && report.pictures == 0
            && report.content <= 1e-9
            && report.mean <= 1e-9;
        if !exact && !other_swscale.contains(&clip.name.as_str()) {
            wrong.push(format!("{}: {report:?}", clip.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[derive(Debug, Default)]
struct Report {
    /// Frames whose small picture has other bytes.
    pictures: usize,
    /// Largest difference of the content score.
    content: f64,
    /// Largest difference of the mean of B, G and R.
    mean: f64,
}

fn compare(clip: &Golden, decoded: &[shots_golden::Decoded]) -> Report {
    let mut report = Report::default();
    for ((scores, crc), row) in decoded.iter().zip(&clip.series) {
        let Some(row) = row else { continue };
        let content = (scores.delta_hue + scores.delta_sat + scores.delta_lum) / 3.0;
        report.pictures += usize::from(*crc != row.crc);
        report.content = report.content.max((content - row.content).abs());
        report.mean = report.mean.max((scores.mean_bgr - row.mean).abs());
    }
    report
}
