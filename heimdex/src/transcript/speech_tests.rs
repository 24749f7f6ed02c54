//! Listening with a scripted model: what streams by, what is believed, what stops.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::testing::{Scripted, said};
use super::*;
use crate::scenes::{SceneSettings, build_scenes};
use crate::shots::Shot;
use crate::{Cancel, Error, ErrorKind, Timestamp};

const SECOND: usize = 16_000;

/// The level of a sound at a time in seconds.
type Sound = Box<dyn FnMut(f64) -> f64>;

fn hear(transcriber: Scripted, settings: &SpeechSettings, pcm: &[f32]) -> Transcript {
    let mut listener = Listener::start(Arc::new(transcriber), settings, &Cancel::new()).unwrap();
    for (i, part) in pcm.chunks(1000).enumerate() {
        let start = Timestamp::from_micros(i as i64 * 1000 * 1_000_000 / 16_000);
        listener.push(start, part).unwrap();
    }
    listener.finish(&mut |_| ()).unwrap()
}

fn dropped(transcript: &Transcript) -> Dropped {
    match &transcript.source {
        TranscriptSource::Speech { dropped, .. } => *dropped,
        other => panic!("{other:?}"),
    }
}

fn everything() -> SpeechSettings {
    SpeechSettings { activity: Activity::Everything, ..SpeechSettings::default() }
}

/// Syllables: a pitch that glides with five formant-like harmonics, then a hiss, then a stop; `seconds` of
/// them.
fn syllables(seconds: usize) -> Vec<f32> {
    let mut noise = Noise(7);
    let mut phase = 0.0f32;
    (0..seconds * SECOND)
        .map(|k| {
            let t = k as f32 / SECOND as f32;
            let place = (t * 4.0).fract();
            let pitch = 110.0 + 60.0 * (t * 2.3).sin() + 40.0 * place;
            phase = (phase + pitch / SECOND as f32).fract();
            let voiced = (0.05..0.6).contains(&place);
            let hiss = (0.6..0.8).contains(&place);
            let turn = std::f32::consts::TAU * phase;
            let tone: f32 = (1..24)
                .map(|h| {
                    let frequency = pitch * h as f32;
                    let formant = 500.0 + 900.0 * (0.5 + 0.5 * (t * 5.0).sin());
                    let near = (frequency - formant) / 300.0;
                    (h as f32 * turn).sin() * (0.1 + (-near * near).exp()) / h as f32
                })
                .sum();
            let level = if voiced { 0.2 * tone } else { 0.0 };
            level + noise.next() * if hiss { 0.05 } else { 0.0005 }
        })
        .collect()
}

/// Uniform noise in -1..=1 (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// Failure 17: ten minutes of silence, of noise, of music-like tones and of a lone tone, and a model that
/// is always sure of what it invents.
#[test]
fn nothing_is_invented_on_silence_noise_or_music() {
    let mut noise = Noise(1);
    let mut burst = Noise(2);
    let note = |t: f64, rate: f64, base: f64, decay: f64| {
        let step = (t * rate).floor();
        let frequency = base * 2f64.powf((step * 7.0 % 12.0) / 12.0);
        let ring = (-decay * (t * rate).fract() / rate).exp();
        let turn = std::f64::consts::TAU * frequency * t;
        (1..6).map(|h| (f64::from(h) * turn).sin() / f64::from(h)).sum::<f64>() * ring
    };
    let mut noise = move || f64::from(noise.next());
    let mut burst = move || f64::from(burst.next());
    let sounds: [(&str, Sound); 6] = [
        ("silence", Box::new(|_| 0.0)),
        ("white noise", Box::new(move |_| 0.2 * noise())),
        ("melody", Box::new(move |t| 0.2 * note(t, 4.0, 261.63, 3.0) + 0.1 * note(t, 1.0, 130.81, 0.5))),
        (
            "chords",
            Box::new(move |t| [220.0, 277.18, 329.63].iter().map(|f| 0.1 * note(t, 0.5, *f, 1.0)).sum()),
        ),
        ("tone", Box::new(|t| 0.5 * (std::f64::consts::TAU * 440.0 * t).sin())),
        ("drum", Box::new(move |t| 0.5 * burst() * (-18.0 * (t * 2.0).fract() / 2.0).exp())),
    ];
    for (what, mut sound) in sounds {
        let mut listener = Listener::start(
            Arc::new(Scripted::inventing("Thank you.")),
            &SpeechSettings::default(),
            &Cancel::new(),
        )
        .unwrap();
        for second in 0..600 {
            let pcm: Vec<f32> =
                (0..SECOND).map(|k| sound(second as f64 + k as f64 / SECOND as f64) as f32).collect();
            listener.push(Timestamp::from_millis(second * 1000), &pcm).unwrap();
        }
        let transcript = listener.finish(&mut |_| ()).unwrap();
        assert!(transcript.segments.is_empty(), "{what}: {:?}", transcript.segments);
        // It was listened to: another thing than no transcript.
        assert!(matches!(transcript.source, TranscriptSource::Speech { .. }));
    }
}

#[test]
fn what_moves_like_speech_is_heard() {
    let mut pcm = vec![0.0; 3 * SECOND];
    pcm.extend(syllables(5));
    pcm.extend(vec![0.0; 4 * SECOND]);
    let transcript = hear(Scripted::inventing("one two three"), &SpeechSettings::default(), &pcm);
    assert_eq!(transcript.segments.len(), 1);
    let span = transcript.segments[0].span;
    assert!((2_700_000..=3_300_000).contains(&span.start.as_micros()), "{span}");
    assert!((7_700_000..=8_400_000).contains(&span.end.as_micros()), "{span}");
}

/// The speech in real recordings: regions cover all that is spoken, and the pauses between sentences part
/// them where they are long.
#[test]
fn real_speech_is_found() {
    let media = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/media");
    let Ok(truth) = std::fs::read(media.join("golden/truth.json")) else { return };
    let truth: serde_json::Value = serde_json::from_slice(&truth).unwrap();
    for (name, least) in [("speech-jfk.wav", 0.85), ("speech-test.wav", 0.95)] {
        let golden = media.join(format!("golden/real__{name}.json"));
        let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
        let levels: Vec<f64> = golden["audio"]["tracks"][0]["s16"]["rms_per_100ms"]
            .as_array()
            .or_else(|| golden["audio"]["rms_per_100ms"].as_array())
            .or_else(|| golden["audio"]["tracks"][0]["rms_per_100ms"].as_array())
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect();
        let pcm = wav(&media.join("real").join(name));
        let regions = regions(&pcm, &SpeechSettings::default());
        // Every tenth of a second that is as loud as speech is.
        let loud: Vec<i64> =
            (0..levels.len()).filter(|i| levels[*i] > 0.01).map(|i| i as i64 * 100_000 + 50_000).collect();
        let inside =
            loud.iter().filter(|t| regions.iter().any(|r| r.contains(Timestamp::from_micros(**t)))).count();
        assert!(inside == loud.len(), "{name}: {inside} of {} in {regions:?}", loud.len());
        let covered: i64 = regions.iter().map(|r| r.micros()).sum();
        assert!(covered as f64 > least * pcm.len() as f64 * 62.5, "{name}: {covered}");
    }
    #[cfg(feature = "media")]
    for name in ["edge/talk-en.mp4", "edge/talk-ko.mp4"] {
        let heard = Arc::new(Mutex::new(0));
        let counted = Arc::clone(&heard);
        let double = Scripted::new("double", move |region, _| {
            *counted.lock().unwrap() += 1;
            Ok(Heard { phrases: vec![said("something", region)], ..Heard::default() })
        });
        let settings = SpeechSettings { pause: Duration::from_millis(500), ..SpeechSettings::default() };
        let limits = crate::media::Limits::default();
        let mut settings = settings;
        settings.gates.repeats = 1000;
        let found =
            transcribe(media.join(name), Arc::new(double), &settings, &limits, &Cancel::new(), &mut |_| ());
        let segments = found.unwrap().transcript.segments;
        for sentence in truth[name]["sentences"].as_array().unwrap() {
            let time = |key: &str| Timestamp::from_micros(sentence[key].as_i64().unwrap());
            let spoken = Span::new(time("start_us"), time("end_us"));
            let covered: i64 = segments.iter().map(|s| s.span.overlap_micros(spoken)).sum();
            assert!(covered as f64 > 0.9 * spoken.micros() as f64, "{name}: {spoken} in {covered}");
        }
    }
}

/// A 16-bit mono recording with a plain header, at 16 kHz.
fn wav(path: &Path) -> Vec<f32> {
    let bytes = std::fs::read(path).unwrap();
    let data = bytes.windows(4).position(|w| w == b"data").unwrap() + 8;
    bytes[data..].chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect()
}

/// The regions that a model gets to hear.
fn regions(pcm: &[f32], settings: &SpeechSettings) -> Vec<Span> {
    let mut settings = settings.clone();
    settings.gates.repeats = usize::MAX;
    settings.gates.min_activity = 0.0;
    hear(Scripted::inventing("word"), &settings, pcm).segments.iter().map(|s| s.span).collect()
}

#[test]
fn regions_are_short_and_whole() {
    let pcm = syllables(95);
    let lengths = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&lengths);
    let double = Scripted::new("double", move |region, _| {
        seen.lock().unwrap().push(region.pcm.len());
        Ok(Heard::default())
    });
    hear(double, &everything(), &pcm);
    let lengths = lengths.lock().unwrap().clone();
    assert!(lengths.iter().all(|n| *n <= 30 * SECOND), "{lengths:?}");
    assert!(lengths.len() >= 4, "{lengths:?}");
    assert_eq!(lengths.iter().sum::<usize>(), pcm.len(), "nothing is left out and nothing given twice");
}

#[test]
fn what_was_said_leads_on_and_what_was_doubtful_does_not() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let befores = Arc::clone(&seen);
    let count = AtomicUsize::new(0);
    let double = Scripted::new("double", move |region, _| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        befores.lock().unwrap().push((region.before.to_owned(), region.likely.map(str::to_owned)));
        let mut phrase = said(&format!("text {n}"), region);
        if n == 1 {
            phrase.average_log_probability = Some(-9.0);
        }
        let language = if n == 1 { "ko" } else { "en" };
        Ok(Heard { language: Some(language.into()), language_probability: Some(0.9), phrases: vec![phrase] })
    });
    let transcript = hear(double, &everything(), &vec![0.1; 100 * SECOND]);
    let en = || Some("en".to_owned());
    let expected =
        [(String::new(), None), ("text 0".into(), en()), (String::new(), en()), ("text 2".into(), en())];
    assert_eq!(seen.lock().unwrap()[..4], expected);
    assert_eq!(dropped(&transcript).improbable, 1);
    assert_eq!((transcript.language, transcript.segments[0].language.clone()), (en(), None));
}

/// Two languages in one video: the transcript has that of most of the time, phrases in another tell theirs.
#[test]
fn each_region_has_its_language() {
    let count = AtomicUsize::new(0);
    let double = Scripted::new("double", move |region, _| {
        let n = count.fetch_add(1, Ordering::Relaxed);
        let language = if n == 1 { "en" } else { "kor" };
        let phrases = vec![said(&format!("text {n}"), region)];
        Ok(Heard { language: Some(language.into()), language_probability: Some(0.9), phrases })
    });
    let transcript = hear(double, &everything(), &vec![0.1; 100 * SECOND]);
    assert_eq!(transcript.language.as_deref(), Some("ko"));
    let languages: Vec<Option<&str>> = transcript.segments.iter().map(|s| s.language.as_deref()).collect();
    assert_eq!(languages[..3], [None, Some("en"), None]);
}

/// A track that jumps: words have the times of the track, and no region reaches over the gap.
#[test]
fn gaps_move_the_times() {
    let mut listener =
        Listener::start(Arc::new(Scripted::inventing("one two")), &everything(), &Cancel::new()).unwrap();
    let sound = vec![0.1; 2 * SECOND];
    listener.push(Timestamp::from_millis(1075), &sound).unwrap();
    listener.push(Timestamp::from_millis(60_000), &sound).unwrap();
    let segments = listener.finish(&mut |_| ()).unwrap().segments;
    let spans: Vec<(i64, i64)> =
        segments.iter().map(|s| (s.span.start.as_millis(), s.span.end.as_millis())).collect();
    assert_eq!(spans, [(1075, 3075), (60_000, 62_000)]);
}

/// A model that never answers holds up neither the caller nor the end.
#[test]
fn a_cancel_does_not_wait_for_the_model() {
    let cancel = Cancel::new();
    let stop = cancel.clone();
    let (asked, waits) = std::sync::mpsc::channel();
    let double = Scripted::new("stuck", move |_, _| {
        asked.send(()).unwrap();
        std::thread::sleep(Duration::from_secs(30));
        Ok(Heard::default())
    });
    let mut listener = Listener::start(Arc::new(double), &everything(), &cancel).unwrap();
    std::thread::spawn(move || {
        waits.recv().unwrap();
        stop.cancel();
    });
    let begun = Instant::now();
    let sound = vec![0.1; 60 * SECOND];
    let result = (0..100).try_for_each(|i| listener.push(Timestamp::from_millis(i * 60_000), &sound));
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Cancelled);
    assert_eq!(listener.finish(&mut |_| ()).unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(begun.elapsed() < Duration::from_secs(2 + 5), "{:?}", begun.elapsed());
}

#[test]
fn a_model_that_fails_or_panics_is_told() {
    let fails = Scripted::new("fails", |_, _| Err(Error::model("m", "out of tokens")));
    let panics = Scripted::new("panics", |_, _| panic!("a mistake in it"));
    for (double, text) in [(fails, "out of tokens"), (panics, "panicked")] {
        let mut listener = Listener::start(Arc::new(double), &everything(), &Cancel::new()).unwrap();
        let sound = vec![0.1; 60 * SECOND];
        let pushed = (0..20).try_for_each(|i| listener.push(Timestamp::from_millis(i * 60_000), &sound));
        let error = pushed.and_then(|()| listener.finish(&mut |_| ()).map(|_| ())).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
}

#[test]
fn settings_that_cannot_be_used_are_named() {
    let check = |change: fn(&mut SpeechSettings), field: &str| {
        let mut settings = SpeechSettings::default();
        change(&mut settings);
        let error = settings.validate().unwrap_err();
        assert!(error.to_string().contains(field), "{error}");
    };
    check(|s| s.max_region = Duration::from_secs(31), "max_region");
    check(|s| s.pause = Duration::ZERO, "pause");
    check(|s| s.language_floor = f32::NAN, "language_floor");
    check(|s| s.language = Some("english please".into()), "language");
    check(|s| s.gates.repeats = 1, "repeats");
    check(|s| s.prompt = "a\0b".into(), "prompt");
    SpeechSettings::default().validate().unwrap();
    let read: SpeechSettings = serde_json::from_str("{\"pause\":{\"secs\":2,\"nanos\":0}}").unwrap();
    assert_eq!(read.pause, Duration::from_secs(2));
    assert_eq!("1".parse::<AudioTrack>().unwrap(), AudioTrack::Number(1));
    assert_eq!("kor".parse::<AudioTrack>().unwrap(), AudioTrack::Language("ko".into()));
    assert!("second one".parse::<AudioTrack>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever a model says and wherever the shots are cut: every word that is believed belongs to
    /// exactly one scene, in order, none is doubled and none is lost; and subtitles read back as written.
    #[test]
    fn words_tile_scenes(
        cuts in proptest::collection::btree_set(1i64..70_000, 0..12),
        texts in proptest::collection::vec("[a-d가나다はい0-9]{1,4}( [a-d가나다はい0-9]{1,4}){0,9}[.?]?", 1..6),
        spread in 0i64..20,
    ) {
        let phrases = texts.clone();
        let double = Scripted::new("double", move |region, _| {
            let length = region.micros() / phrases.len() as i64;
            let phrases = phrases.iter().enumerate().map(|(i, text)| {
                // Phrases and words that reach into each other and out of the region.
                let from = Timestamp::from_micros(length * i as i64 - spread * 100_000);
                let span = Span::new(from, from.plus_micros(length + 3 * spread * 100_000));
                Phrase { span, words: super::words::estimate(text, span), text: text.clone(), ..said("", region) }
            });
            Ok(Heard { phrases: phrases.collect(), ..Heard::default() })
        });
        let mut settings = everything();
        settings.gates.repeats = usize::MAX;
        let segments = hear(double, &settings, &vec![0.1; 70 * SECOND]).segments;
        let end = Timestamp::from_millis(70_000);
        let mut at = Timestamp::ZERO;
        for word in segments.iter().flat_map(|s| &s.words) {
            prop_assert!(at <= word.span.start && word.span.start <= word.span.end && word.span.end <= end);
            at = word.span.end;
        }
        let edges: Vec<i64> = std::iter::once(0).chain(cuts).chain([70_000]).collect();
        let shots: Vec<Shot> = edges.windows(2).map(|w| Shot {
            span: Span::new(Timestamp::from_millis(w[0]), Timestamp::from_millis(w[1])),
        }).collect();
        let scenes = build_scenes(&shots, &segments, &SceneSettings::default());
        let mut owned: Vec<Word> = scenes.iter().flat_map(|s| s.words.clone()).collect();
        let mut all: Vec<Word> = segments.iter().flat_map(|s| s.words.clone()).collect();
        let order = |w: &Word| (w.span.start, w.span.end, w.text.clone());
        owned.sort_by_key(order);
        all.sort_by_key(order);
        prop_assert_eq!(owned, all);
        for (write, name) in [(write_srt as fn(&[Segment]) -> String, "a.srt"), (write_vtt, "a.vtt")] {
            let read = read_subtitles(name, write(&segments).as_bytes(), end).unwrap();
            let texts = |segments: &[Segment]| segments.iter().map(|s| s.text.clone()).collect::<Vec<_>>();
            prop_assert_eq!(texts(&read), texts(&segments));
            for (a, b) in read.iter().zip(&segments) {
                prop_assert!((a.span.start.as_millis() - b.span.start.as_millis()).abs() <= 1);
                prop_assert!((a.span.end.as_millis() - b.span.end.as_millis()).abs() <= 1);
            }
        }
    }
}
