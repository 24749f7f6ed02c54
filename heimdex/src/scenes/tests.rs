use proptest::prelude::*;

use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn shots(cuts: &[i64]) -> Vec<Shot> {
    cuts.windows(2).map(|w| Shot { span: Span::new(at(w[0]), at(w[1])) }).collect()
}

/// A cue whose words share its time evenly.
fn cue(start: i64, end: i64, text: &str) -> Segment {
    let words: Vec<&str> = text.split_whitespace().collect();
    let step = (end - start) / words.len().max(1) as i64;
    Segment {
        span: Span::new(at(start), at(end)),
        text: text.to_owned(),
        words: words
            .iter()
            .enumerate()
            .map(|(i, w)| Word {
                text: (*w).to_owned(),
                span: Span::new(at(start + step * i as i64), at(start + step * (i as i64 + 1))),
                probability: None,
            })
            .collect(),
        speaker: None,
        language: None,
        no_speech_probability: None,
    }
}

#[test]
fn a_word_goes_where_most_of_it_is() {
    let segments = [cue(0, 4000, "one two three four")];
    let scenes = build_scenes(&shots(&[0, 2400, 5000]), &segments, &SceneSettings::default());
    assert_eq!(scenes[0].speech, "one two");
    assert_eq!(scenes[1].speech, "three four");
    let scenes = build_scenes(&shots(&[0, 2500, 5000]), &segments, &SceneSettings::default());
    assert_eq!(scenes[0].speech, "one two three", "equal parts: the earlier scene");
}

#[test]
fn a_long_shot_splits_at_the_end_of_a_sentence() {
    let segments = [
        cue(0, 9000, "a b c d e f g h i."),
        cue(9000, 17_500, "j k l m."),
        cue(19_000, 40_000, "n o p q r."),
    ];
    let scenes = build_scenes(&shots(&[0, 40_000]), &segments, &SceneSettings::default());
    assert_eq!(scenes.len(), 2);
    assert_eq!(scenes[0].span.end, at(18_250), "in the middle of the pause");
    assert_eq!(scenes[1].speech, "n o p q r.");
}

#[test]
fn silence_splits_evenly() {
    let scenes = build_scenes(&shots(&[0, 45_000]), &[], &SceneSettings::default());
    let lengths: Vec<i64> = scenes.iter().map(|s| s.span.micros() / 1000).collect();
    assert_eq!(lengths, [22_500, 22_500]);
}

#[test]
fn japanese_keeps_its_writing() {
    let mut segment = cue(0, 2000, "今日は天気がいい。");
    segment.words = crate::transcript::read_subtitles(
        "t",
        "1\n00:00:00,000 --> 00:00:02,000\n今日は天気がいい。\n".as_bytes(),
        Timestamp::MAX,
    )
    .unwrap()
    .remove(0)
    .words;
    let scenes = build_scenes(&shots(&[0, 1000, 2000]), &[segment], &SceneSettings::default());
    assert_eq!(scenes.iter().map(|s| s.speech.as_str()).collect::<String>(), "今日は天気がいい。");
}

#[test]
fn nothing_in_nothing_out() {
    assert!(build_scenes(&[], &[cue(0, 1000, "lost")], &SceneSettings::default()).is_empty());
}

proptest! {
    #[test]
    fn scenes_tile_and_every_word_has_one(
        lengths in proptest::collection::vec(1i64..90_000, 1..8),
        cues in proptest::collection::vec((0i64..200_000, 0i64..9_000, "[a-z가-힣]{1,5}( [a-z.]{1,6}){0,9}"), 0..12),
        max in 1i64..40,
    ) {
        let mut cuts = vec![0];
        for length in lengths {
            cuts.push(cuts[cuts.len() - 1] + length);
        }
        let shots = shots(&cuts);
        let segments: Vec<Segment> = cues.iter().map(|(s, l, text)| cue(*s, s + l, text)).collect();
        let settings = SceneSettings { max: Duration::from_secs(max as u64), ..SceneSettings::default() };
        let scenes = build_scenes(&shots, &segments, &settings);
        prop_assert_eq!(scenes[0].span.start, shots[0].span.start);
        prop_assert_eq!(scenes[scenes.len() - 1].span.end, shots[shots.len() - 1].span.end);
        for (i, scene) in scenes.iter().enumerate() {
            prop_assert_eq!(scene.ordinal as usize, i);
            prop_assert!(!scene.span.is_empty());
            prop_assert!(scene.span.micros() <= max * 1_000_000);
            let shot = shots[scene.shot as usize].span;
            prop_assert!(scene.span.start >= shot.start && scene.span.end <= shot.end);
            if i > 0 {
                prop_assert_eq!(scene.span.start, scenes[i - 1].span.end);
            }
            let part = scene.span.micros() < shot.micros();
            prop_assert!(!part || scene.span.micros() >= (max * 1_000_000 / 3).min(3_000_000) - 1, "no slivers");
        }
        let mut given: Vec<String> = segments.iter().flat_map(|s| &s.words).map(|w| w.text.clone()).collect();
        let mut owned: Vec<String> = scenes.iter().flat_map(|s| &s.words).map(|w| w.text.clone()).collect();
        given.sort();
        owned.sort();
        prop_assert_eq!(given, owned);
    }
}
