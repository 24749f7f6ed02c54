use std::collections::BTreeMap;

use super::*;

fn scores(index: u64, value: f64) -> FrameScores {
    FrameScores {
        index,
        time: Timestamp::from_micros(index as i64 * 40_000),
        delta_hue: value,
        delta_sat: value,
        delta_lum: value,
        delta_edges: 0.0,
        mean_bgr: value,
    }
}

fn cuts(detector: impl Into<Detector>, values: &[f64]) -> Vec<u64> {
    let mut finder = detector.into().start(Some((25, 1))).unwrap();
    values
        .iter()
        .enumerate()
        .filter_map(|(i, &v)| finder.push(&scores(i as u64, v)))
        .map(|cut| cut.frame)
        .collect()
}

fn spikes(length: usize, at: &[usize]) -> Vec<f64> {
    (0..length).map(|i| if at.contains(&i) { 100.0 } else { 1.0 }).collect()
}

#[test]
fn merge_drops_short_bursts_and_cuts_at_the_end_of_long_ones() {
    let content = ContentDetector::default;
    assert_eq!(cuts(content(), &spikes(60, &[8, 30])), [30]);
    assert_eq!(cuts(content(), &spikes(60, &[30, 35])), [30]);
    assert_eq!(cuts(content(), &spikes(90, &[20, 25, 32, 40])), [20, 40]);
    assert_eq!(cuts(content(), &spikes(50, &[20, 25, 32, 40])), [20]);
    assert_eq!(cuts(content(), &spikes(60, &[15, 30, 44])), [15, 30]);
}

#[test]
fn suppress_waits_out_the_minimum_length() {
    let settings = ContentDetector { filter: FlashMode::Suppress, ..Default::default() };
    assert_eq!(cuts(settings, &spikes(90, &[8, 20, 25, 36, 50])), [20, 36]);
}

#[test]
fn a_minimum_length_of_zero_lets_every_cut_through() {
    let settings = ContentDetector { min_scene_len: 0, ..Default::default() };
    assert_eq!(cuts(settings, &spikes(20, &[1, 2, 8])), [1, 2, 8]);
}

#[test]
fn the_threshold_itself_is_a_cut() {
    let at = |value| cuts(ContentDetector::default(), &[vec![0.0; 20], vec![value], vec![0.0; 5]].concat());
    assert_eq!(at(27.0), [20]);
    assert!(at(26.999_999).is_empty());
}

#[test]
fn adaptive_ignores_steady_motion_and_the_ends() {
    let adaptive = AdaptiveDetector::default;
    assert_eq!(cuts(adaptive(), &spikes(60, &[20, 40])), [20, 40]);
    assert!(cuts(adaptive(), &spikes(60, &[58])).is_empty());
    assert!(cuts(adaptive(), &[50.0; 60]).is_empty());
    let from_still: Vec<f64> = (0..40).map(|i| if i == 20 { 15.0 } else { 0.0 }).collect();
    assert_eq!(cuts(adaptive(), &from_still), [20]);
}

#[test]
fn fades_cut_where_the_bias_says() {
    let fade: Vec<f64> = (0..100).map(|i| if (30..41).contains(&i) { 5.0 } else { 90.0 }).collect();
    let at = |fade_bias| cuts(ThresholdDetector { fade_bias, ..Default::default() }, &fade);
    assert_eq!((at(-1.0), at(0.0), at(1.0)), (vec![30], vec![36], vec![41]));
}

#[test]
fn an_hour_of_black_stays_small() {
    let mut finder = Detector::from(ThresholdDetector::default()).start(Some((25, 1))).unwrap();
    let length = 200_000;
    for i in 0..length {
        assert_eq!(finder.push(&scores(i, 0.0)), None);
    }
    let Rule::Threshold(rule) = &finder.rule else { panic!("another rule") };
    assert!(rule.remembered() < 1 << 14);
    let cut = finder.push(&scores(length, 90.0)).unwrap();
    assert!(cut.frame.abs_diff(length / 2) <= 16, "{}", cut.frame);
}

#[test]
fn lengths_are_measured_in_time() {
    // Every frame lasts three frames of the average rate, so five of them make fifteen.
    let mut finder = Detector::from(ContentDetector::default()).start(Some((25, 1))).unwrap();
    let mut cuts = Vec::new();
    for i in 0..20u64 {
        let time = Timestamp::from_micros(i as i64 * 120_000);
        let value = if i == 5 || i == 10 { 100.0 } else { 0.0 };
        cuts.extend(finder.push(&FrameScores { time, ..scores(i, value) }).map(|cut| cut.frame));
    }
    assert_eq!(cuts, [5, 10]);
}

#[test]
fn times_that_go_back_count_as_no_time() {
    let mut finder = Detector::from(ContentDetector::default()).start(Some((25, 1))).unwrap();
    for i in 0..100u64 {
        let time = Timestamp::from_micros(-(i as i64) * 40_000);
        assert_eq!(finder.push(&FrameScores { time, ..scores(i, 100.0) }), None);
    }
}

#[test]
fn without_a_rate_frames_are_counted() {
    let mut finder = Detector::from(ContentDetector::default()).start(None).unwrap();
    let found: Vec<u64> = spikes(60, &[8, 30])
        .iter()
        .enumerate()
        .filter_map(|(i, &v)| finder.push(&scores(i as u64, v)))
        .map(|c| c.frame)
        .collect();
    assert_eq!(found, [30]);
}

#[test]
fn bad_settings_are_named() {
    let name = |detector: Detector| match detector.start(None) {
        Err(Error::Invalid { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let weights = |weights| Detector::from(ContentDetector { weights, ..Default::default() });
    assert_eq!(name(ContentDetector { threshold: 0.0, ..Default::default() }.into()), "threshold");
    assert_eq!(name(ContentDetector { threshold: f64::NAN, ..Default::default() }.into()), "threshold");
    assert_eq!(name(weights(Weights { edges: -1.0, ..Default::default() })), "weights.edges");
    assert_eq!(name(weights(Weights { hue: 0.0, saturation: 0.0, brightness: 0.0, edges: 0.0 })), "weights");
    assert_eq!(name(AdaptiveDetector { window: 0, ..Default::default() }.into()), "window");
    assert_eq!(name(AdaptiveDetector { min_content: -1.0, ..Default::default() }.into()), "min_content");
    assert_eq!(name(ThresholdDetector { fade_bias: 2.0, ..Default::default() }.into()), "fade_bias");
}

#[test]
fn edges_count_by_their_weight() {
    let weights = Weights { hue: 0.0, saturation: 0.0, brightness: 1.0, edges: 3.0 };
    assert!((weights.score(&FrameScores { delta_edges: 40.0, ..scores(0, 20.0) }) - 35.0).abs() < 1e-12);
}

#[test]
fn settings_read_back_and_refuse_unknown_names() {
    let detector: Detector = serde_json::from_str(r#"{"type":"content","threshold":30}"#).unwrap();
    assert_eq!(detector, ContentDetector { threshold: 30.0, ..Default::default() }.into());
    assert_eq!(
        serde_json::from_str::<Detector>(&serde_json::to_string(&detector).unwrap()).unwrap(),
        detector
    );
    assert!(serde_json::from_str::<Detector>(r#"{"type":"content","treshold":30}"#).is_err());
}

#[derive(Deserialize)]
struct Series {
    clips: Vec<Clip>,
}

/// One clip as PySceneDetect saw it.
#[derive(Deserialize)]
struct Clip {
    #[serde(rename = "clip")]
    name: String,
    rate: (u32, u32),
    pixels: u32,
    time_us: Vec<i64>,
    sad_hue: Vec<u32>,
    sad_sat: Vec<u32>,
    sad_lum: Vec<u32>,
    sum_bgr: Vec<u32>,
    cuts: BTreeMap<String, Vec<u64>>,
}

#[test]
fn cuts_equal_pyscenedetect_given_its_scores() {
    let series: Series =
        serde_json::from_str(include_str!("../../../tests/goldens/shots/series.json")).unwrap();
    for clip in series.clips {
        let mean = |sum: u32| f64::from(sum) / f64::from(clip.pixels);
        let frame = |i: usize| FrameScores {
            index: i as u64,
            time: Timestamp::from_micros(clip.time_us[i]),
            delta_hue: mean(clip.sad_hue[i]),
            delta_sat: mean(clip.sad_sat[i]),
            delta_lum: mean(clip.sad_lum[i]),
            delta_edges: 0.0,
            mean_bgr: mean(clip.sum_bgr[i]) / 3.0,
        };
        for (name, detector) in [
            ("content_27", Detector::from(ContentDetector::default())),
            ("adaptive_default", AdaptiveDetector::default().into()),
            ("threshold_12", ThresholdDetector::default().into()),
        ] {
            let mut finder = detector.start(Some(clip.rate)).unwrap();
            let cuts: Vec<Cut> = (0..clip.time_us.len()).filter_map(|i| finder.push(&frame(i))).collect();
            let frames: Vec<u64> = cuts.iter().map(|cut| cut.frame).collect();
            assert_eq!(frames, clip.cuts[name], "{} {name}", clip.name);
            assert!(cuts.iter().all(|cut| cut.time.as_micros() == clip.time_us[cut.frame as usize]));
        }
    }
}
