use proptest::prelude::*;

use super::*;
use crate::shots::PictureMeasures;

fn candidate(millis: i64, sharpness: f32, look: u8) -> Candidate<i64> {
    let measures = PictureMeasures { sharpness, brightness: 118.0, signature: [look; 64] };
    Candidate { time: Timestamp::from_millis(millis), measures, frame: millis }
}

/// Frames every 40 ms to `end`; each cut is told `late` frames late. Gives the times selected.
fn select(end: i64, cuts: &[i64], late: i64, look: impl Fn(i64) -> (f32, u8)) -> Vec<i64> {
    let mut selector = KeyframeSelector::new(&KeyframeSettings::default());
    let mut selected = Vec::new();
    for millis in (0..end).step_by(40) {
        if let Some(cut) = cuts.iter().find(|cut| *cut + late * 40 == millis) {
            selector.cut(Timestamp::from_millis(*cut));
        }
        if selector.wants(Timestamp::from_millis(millis), cuts.contains(&millis)) {
            let (sharpness, look) = look(millis);
            selector.offer(candidate(millis, sharpness, look));
        }
        selected.extend(selector.take().map(|s| s.frame));
        assert!(selector.held_frames() <= 13);
    }
    selected.extend(selector.finish().into_iter().map(|s| s.frame));
    selected
}

#[test]
fn the_sharpest_frame_of_each_window() {
    let times = select(8000, &[], 0, |t| (if t == 2080 || t == 5200 { 900.0 } else { 10.0 }, (t / 20) as u8));
    assert_eq!(times, [2080, 5200]);
}

#[test]
fn near_duplicates_inside_a_shot_are_dropped() {
    assert_eq!(select(60_000, &[], 0, |_| (100.0, 50)).len(), 1);
    assert_eq!(select(8000, &[4000], 2, |_| (100.0, 50)).len(), 2, "but each shot keeps one");
}

#[test]
fn a_single_frame_is_its_keyframe() {
    assert_eq!(select(40, &[], 0, |_| (0.0, 0)), [0]);
}

proptest! {
    #[test]
    fn every_shot_has_a_keyframe_inside(gaps in proptest::collection::vec(15i64..400, 0..8), late in 0i64..14) {
        let mut cuts = Vec::new();
        let mut at = 0;
        for gap in gaps {
            at += gap * 40;
            cuts.push(at);
        }
        let end = at + 2000;
        let times = select(end, &cuts, late, |t| (((t * 7919) % 300) as f32, ((t / 40) % 250) as u8));
        let mut edges = vec![0];
        edges.extend(&cuts);
        edges.push(end);
        for shot in edges.windows(2) {
            let inside = times.iter().filter(|t| **t >= shot[0] && **t < shot[1]).count() as i64;
            prop_assert!(inside >= 1, "{:?} {:?}", shot, times);
            prop_assert!(inside <= (shot[1] - shot[0]) / 4000 + 1);
        }
    }
}
