//! Against openai-whisper: tokens, languages and silence of a small random model
//! (`tests/fixtures/generate_tiny_whisper.py`), and the shared one where it is there.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use whisper_rs::DtwMode;

use super::decode::{Run, Worker};
use super::model::Loaded;
use super::words::{self, Times, Token};
use super::*;
use crate::{ErrorKind, Span, Timestamp};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-whisper").join(name)
}

fn golden() -> Value {
    serde_json::from_slice(&std::fs::read(fixture("golden.json")).unwrap()).unwrap()
}

/// The committed model, unpacked.
struct Unpacked {
    folder: tempfile::TempDir,
}

impl Unpacked {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let packed = std::fs::File::open(fixture("ggml-tiny.bin.gz")).unwrap();
        let mut bytes = Vec::new();
        flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
        std::fs::write(folder.path().join("ggml-tiny.bin"), bytes).unwrap();
        Self { folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ggml-tiny.bin")
    }

    /// With alignment heads, which its shape has none of: all of the upper half, openai-whisper's choice.
    fn aligned(&self) -> Loaded {
        Loaded::read(&self.file(), "tiny".into(), false, Some(DtwMode::TopMost { n_top: 1 })).unwrap()
    }
}

/// One thread: threads of whisper.cpp wait for each other without sleeping, and tests run side by side.
fn simple() -> WhisperOptions {
    WhisperOptions { threads: 1, beams: 1, ..WhisperOptions::default() }
}

/// As `sound` of the generator.
fn sound() -> Vec<f32> {
    (0..30 * 16_000i64)
        .map(|k| {
            let a = (k * (4000 - k / 256)).rem_euclid(65_536) - 32_768;
            let b = (k * 1733).rem_euclid(65_536) - 32_768;
            let on = (k / 4000) % 3 != 2;
            if on { (a + b).div_euclid(8) as f32 / 32_768.0 } else { 0.0 }
        })
        .collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Tokens and their mean probability with all rules of decoding.
#[test]
fn decoding_equals_the_reference() {
    let unpacked = Unpacked::new();
    let loaded = unpacked.aligned();
    let golden = golden();
    for language in ["en", "ko"] {
        let golden = &golden["decoded"][language];
        let mut worker = Worker::new(&loaded).unwrap();
        let run = Run { language, translate: false, before: &[], threads: 1 };
        let window = worker.window(&loaded, &sound(), &run, 1, &Cancel::new()).unwrap();
        let ids: Vec<f64> = window.tokens.iter().map(|t| f64::from(t.id)).collect();
        assert_eq!(ids, numbers(&golden["tokens"]), "{language}");
        let average = golden["average_log_probability"].as_f64().unwrap();
        assert!((f64::from(window.average_log_probability) - average).abs() < 0.01, "{average}");
        let text: Vec<u8> = window.tokens.iter().flat_map(|t| t.bytes.clone()).collect();
        assert_eq!(String::from_utf8_lossy(&text), golden["text"].as_str().unwrap());
    }
}

/// The first step tells the language and silence as openai-whisper reads them, also after a whole region
/// was decoded with a prompt of many tokens.
#[test]
fn language_and_silence_equal_the_reference() {
    let unpacked = Unpacked::new();
    let loaded = unpacked.aligned();
    assert!(loaded.context.is_multilingual());
    let golden = golden();
    let best = golden["language"]["best"].as_str().unwrap();
    let probability = golden["language"]["probability"].as_f64().unwrap();
    let no_speech = golden["first_step"]["no_speech"].as_f64().unwrap();
    let mut worker = Worker::new(&loaded).unwrap();
    let alone = worker.look(&loaded, &sound(), 1).unwrap();
    let run = Run { language: "en", translate: false, before: &[1000, 2000, 3000], threads: 1 };
    worker.window(&loaded, &sound(), &run, 1, &Cancel::new()).unwrap();
    for first in [alone, worker.first(&loaded, 1).unwrap()] {
        assert_eq!(first.language, best);
        assert!((f64::from(first.language_probability) - probability).abs() < 0.005);
        assert!((f64::from(first.no_speech) - no_speech).abs() < 0.1 * no_speech, "{}", first.no_speech);
    }
}

/// A language that is forced, one that is likely but not spoken, one below the floor.
#[test]
fn languages_are_given_detected_or_kept() {
    let unpacked = Unpacked::new();
    let whisper = Whisper::open_with(unpacked.file(), &simple()).unwrap();
    let golden = golden();
    let best = golden["language"]["best"].as_str().unwrap();
    let sound = sound();
    let heard = |region: Region<'_>| whisper.transcribe(&region, &Cancel::new()).unwrap();
    let text = |heard: &Heard| heard.phrases.iter().map(|p| p.text.clone()).collect::<Vec<_>>().join(" ");
    let detected = heard(Region::new(&sound));
    let forced = heard(Region { language: Some("ko"), ..Region::new(&sound) });
    assert_eq!((forced.language.as_deref(), forced.language_probability), (Some("ko"), None));
    assert_ne!(text(&forced), text(&detected));
    // Believed: the region is decoded again in what is spoken, and as if that had been known.
    let switched = heard(Region { likely: Some("ko"), ..Region::new(&sound) });
    assert_eq!((switched.language.as_deref(), text(&switched)), (Some(best), text(&detected)));
    // Not believed: the language of before stays.
    let kept = heard(Region { likely: Some("ko"), language_floor: 0.99, ..Region::new(&sound) });
    assert_eq!((kept.language.as_deref(), text(&kept)), (Some("ko"), text(&forced)));
    let translated = heard(Region { language: Some("ko"), translate: true, ..Region::new(&sound) });
    assert_ne!(text(&translated), text(&forced));
    let unknown = whisper.transcribe(&Region { language: Some("xx"), ..Region::new(&sound) }, &Cancel::new());
    assert_eq!(unknown.unwrap_err().kind(), ErrorKind::Invalid);
}

/// More hypotheses are drawn where one is doubtful, the same each time.
#[test]
fn hypotheses_do_not_depend_on_what_was_heard_before() {
    let unpacked = Unpacked::new();
    let options = WhisperOptions { beams: 2, ..simple() };
    let whisper = Whisper::open_with(unpacked.file(), &options).unwrap();
    let sound = sound();
    let heard =
        |pcm| whisper.transcribe(&Region { language: Some("en"), ..Region::new(pcm) }, &Cancel::new());
    let first = heard(&sound).unwrap();
    heard(&sound[..100_000]).unwrap();
    assert_eq!(heard(&sound).unwrap(), first);
}

/// Greedy decoding without any rules, token by token: what openai-whisper's network gives.
#[test]
fn the_network_equals_the_reference() {
    let unpacked = Unpacked::new();
    let loaded = Loaded::read(&unpacked.file(), "tiny".into(), false, None).unwrap();
    let golden = golden();
    let tokens: Vec<i32> = golden["greedy_without_rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["token"].as_i64().unwrap() as i32)
        .collect();
    let (found, first) = greedy(&loaded, &sound(), tokens.len());
    assert_eq!(found, tokens);
    let expected = numbers(&golden["first_step"]["logits_0_to_31"]);
    for (logit, expected) in first.iter().zip(expected) {
        assert!((f64::from(*logit) - expected).abs() < 0.05, "{logit} {expected}");
    }
}

/// The tokens of greedy decoding after `sot en transcribe notimestamps`, and the logits after `sot` alone.
fn greedy(loaded: &Loaded, pcm: &[f32], steps: usize) -> (Vec<i32>, Vec<f32>) {
    let mut state = loaded.context.create_state().unwrap();
    state.pcm_to_mel(pcm, 1).unwrap();
    state.encode(0, 1).unwrap();
    let prefix = [50_258, 50_259, 50_359, 50_363];
    let mut first = Vec::new();
    let mut tokens = prefix.to_vec();
    for at in 0..prefix.len() + steps - 1 {
        state.decode(&tokens[at..=at], at, 1).unwrap();
        let logits = state.get_logits().unwrap();
        if at == 0 {
            first = logits.to_vec();
        }
        if at + 1 >= prefix.len() {
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
            tokens.push(best as i32);
        }
    }
    (tokens.split_off(prefix.len()), first)
}

/// The shared model of transformers: all logits of the first step and 16 tokens, from the sound and from
/// the reference's own spectrogram.
#[test]
fn the_shared_model_equals_transformers() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/models/whisper-tiny-random");
    let Ok(bytes) = std::fs::read(folder.join("golden.json")) else { return };
    let golden: Value = serde_json::from_slice(&bytes).unwrap();
    let tensors = std::fs::read(folder.join("golden.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&tensors).unwrap();
    let floats = |name: &str| -> Vec<f32> {
        let data = tensors.tensor(name).unwrap();
        data.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    };
    let loaded = Loaded::read(&folder.join("ggml-tiny-random.bin"), "random".into(), false, None).unwrap();
    assert!(!loaded.aligned);
    let wav = std::fs::read(folder.join("chirp.wav")).unwrap();
    let pcm: Vec<f32> =
        wav[44..].chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect();

    let tokens: Vec<f64> = numbers(&golden["tokens"]);
    let (found, _) = greedy(&loaded, &pcm, tokens.len());
    assert_eq!(found.iter().map(|t| f64::from(*t)).collect::<Vec<_>>(), tokens);

    // Every logit of the first step, by either way to a spectrogram.
    let stored = floats("log_mel.0_to_519");
    let rest = golden["log_mel"]["constant"].as_f64().unwrap() as f32;
    let mel: Vec<f32> = (0..80)
        .flat_map(|row| {
            let row = stored[row * 520..][..520].to_vec();
            row.into_iter().chain(std::iter::repeat_n(rest, 3000 - 520))
        })
        .collect();
    let expected = floats("first_step_logits");
    let mut both = Vec::new();
    for given in [None, Some(&mel)] {
        let mut state = loaded.context.create_state().unwrap();
        match given {
            Some(mel) => state.set_mel(mel).unwrap(),
            None => state.pcm_to_mel(&pcm, 1).unwrap(),
        }
        state.encode(0, 1).unwrap();
        for (at, token) in [50_258, 50_259, 50_359, 50_363].iter().enumerate() {
            state.decode(&[*token], at, 1).unwrap();
        }
        let logits = state.get_logits().unwrap().to_vec();
        assert_eq!(logits.len(), expected.len());
        let off = logits.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 0.05, "{off}");
        both.push(logits);
    }
    let off = both[0].iter().zip(&both[1]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 0.01, "our spectrogram and that of transformers differ by {off} in the logits");
}

/// Whatever length a region has and whatever the model says: no panic, no abort of the process, words in
/// order and inside.
#[test]
fn regions_of_any_length_are_heard() {
    let unpacked = Unpacked::new();
    let sound = sound();
    for loaded in [unpacked.aligned(), Loaded::read(&unpacked.file(), "tiny".into(), false, None).unwrap()] {
        for length in [1, 100, 320, 1600, 4000, 16_000, 100_001, 480_000] {
            let mut worker = Worker::new(&loaded).unwrap();
            let region = Region { language: Some("en"), ..Region::new(&sound[..length]) };
            let heard = worker.transcribe(&loaded, &region, 1, 1, &Cancel::new()).unwrap();
            let mut at = Timestamp::ZERO;
            for word in heard.phrases.iter().flat_map(|phrase| &phrase.words) {
                assert!(at <= word.span.start && word.span.start <= word.span.end, "{length}: {word:?}");
                assert!(word.probability.is_some_and(|p| (0.0..=1.0).contains(&p)));
                at = word.span.end;
            }
            assert!(at.as_micros() <= region.micros().max(1_000_000), "{length}: {at}");
        }
    }
}

#[test]
fn a_file_that_is_no_model_is_named() {
    let unpacked = Unpacked::new();
    let missing = Whisper::open(unpacked.folder.path().join("none.bin")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::ModelMissing);
    let bytes = std::fs::read(unpacked.file()).unwrap();
    let mut wide = bytes.clone();
    wide[12..16].copy_from_slice(&2_000_000_000i32.to_le_bytes());
    for (what, content) in [
        ("empty", &[][..]),
        ("text", b"this is no model at all, only a line of text that somebody wrote"),
        ("head", &bytes[..100]),
        ("half", &bytes[..bytes.len() / 2]),
        ("end", &bytes[..bytes.len() - 7]),
        ("wide", &wide),
    ] {
        let path = unpacked.folder.path().join(what);
        std::fs::write(&path, content).unwrap();
        let error = Whisper::open(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Model, "{what}: {error}");
        assert!(error.to_string().contains(what), "{error}");
    }
}

/// Failure 8: one model loaded many times in one process.
#[test]
fn a_model_is_loaded_once() {
    let unpacked = Unpacked::new();
    let link = unpacked.folder.path().join("other-name.bin");
    std::os::unix::fs::symlink(unpacked.file(), &link).unwrap();
    let (one, two) = (
        Whisper::open_with(unpacked.file(), &simple()).unwrap(),
        Whisper::open_with(link, &simple()).unwrap(),
    );
    assert!(Arc::ptr_eq(&one.loaded, &two.loaded));
    assert_eq!(one.spec(), two.spec());
}

#[test]
fn a_region_that_is_cancelled_is_given_up() {
    let unpacked = Unpacked::new();
    let whisper = Whisper::open_with(unpacked.file(), &simple()).unwrap();
    let cancel = Cancel::new();
    cancel.cancel();
    let sound = sound();
    let error = whisper.transcribe(&Region::new(&sound), &cancel).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    // The model works on.
    assert!(whisper.transcribe(&Region::new(&sound), &Cancel::new()).is_ok());
}

const BEGIN: i32 = 50_364;

fn token(text: &str, millis: std::ops::Range<i64>) -> Token {
    Token {
        id: 100,
        bytes: text.as_bytes().to_vec(),
        probability: 0.5,
        log_probability: -0.7,
        start: Timestamp::from_millis(millis.start),
        end: Timestamp::from_millis(millis.end),
        aligned: Timestamp::from_millis(millis.end),
    }
}

fn time(seconds: f64) -> Token {
    Token { id: BEGIN + (seconds * 50.0).round() as i32, ..Token::default() }
}

fn times(aligned: bool) -> Times {
    Times { begin: BEGIN, aligned, bounds: Span::new(Timestamp::ZERO, Timestamp::from_millis(10_000)) }
}

fn spans(phrases: &[crate::transcript::Phrase]) -> Vec<(String, i64, i64)> {
    let words = phrases.iter().flat_map(|p| &p.words);
    words.map(|w| (w.text.clone(), w.span.start.as_millis(), w.span.end.as_millis())).collect()
}

#[test]
fn numbers_and_parts_of_words_have_both_ends() {
    let tokens = [
        time(0.0),
        token(" In", 0..200),
        token(" 19", 200..600),
        token("61", 600..1000),
        token(",", 1000..1000),
        token(" he", 1000..1200),
        token("llo", 1200..1500),
        time(1.6),
        time(2.0),
        token(" 100", 2000..2500),
        token("%", 2500..2600),
        time(2.7),
    ];
    let phrases = words::phrases(&tokens, &times(false));
    assert_eq!(phrases.len(), 2);
    assert_eq!((phrases[0].text.as_str(), phrases[1].text.as_str()), ("In 1961, hello", "100%"));
    let word = |text: &str, start, end| (text.to_owned(), start, end);
    let expected =
        [word("In", 0, 200), word("1961,", 200, 1000), word("hello", 1000, 1500), word("100%", 2000, 2600)];
    assert_eq!(spans(&phrases), expected);
    assert!(phrases.iter().flat_map(|p| &p.words).all(|w| w.probability == Some(0.5)));
    assert!((phrases[0].average_log_probability.unwrap() + 0.7).abs() < 1e-6);
}

/// A character may be split over tokens, and a token may hold several words of a script without spaces.
#[test]
fn scripts_without_spaces_have_words_too() {
    let text = "今日は良い";
    let bytes = text.as_bytes();
    let part = |range: std::ops::Range<usize>, millis: std::ops::Range<i64>| Token {
        bytes: bytes[range].to_vec(),
        ..token("", millis)
    };
    let tokens = [part(0..2, 0..300), part(2..7, 300..600), part(7..15, 600..1500)];
    let phrases = words::phrases(&tokens, &times(false));
    assert_eq!(phrases[0].text, text);
    let found = spans(&phrases);
    let joined: String = found.iter().map(|(text, ..)| text.as_str()).collect();
    assert_eq!(joined, text);
    assert!(found.len() > 1 && found.windows(2).all(|w| w[0].2 <= w[1].1 + 1), "{found:?}");
    assert_eq!((found[0].1, found[found.len() - 1].2), (0, 1500));

    let korean = [
        token(" 김치", 0..400),
        token("찌개를", 400..900),
        token(" 만들", 900..1300),
        token("어요.", 1300..1800),
    ];
    let found = spans(&words::phrases(&korean, &times(false)));
    assert_eq!(found, [("김치찌개를".to_owned(), 0, 900), ("만들어요.".to_owned(), 900, 1800)]);
    // A character that never ends is left out.
    let broken = [token(" ok", 0..400), part(0..2, 400..600)];
    assert_eq!(spans(&words::phrases(&broken, &times(false))), [("ok".to_owned(), 0, 400)]);
}

/// By attention a token lasts from the end of the one before, and the first word of a sentence does not
/// get the pause before it.
#[test]
fn aligned_words_begin_where_the_one_before_ends() {
    let at = |text: &str, end: i64| token(text, 0..end);
    let tokens = [at(" one", 300), at(" two", 600), at(" three.", 900), at(" four", 3900), at(" five", 4200)];
    let found = spans(&words::phrases(&tokens, &times(true)));
    let times: Vec<(i64, i64)> = found.iter().map(|(_, start, end)| (*start, *end)).collect();
    assert_eq!(times, [(0, 300), (300, 600), (600, 900), (3300, 3900), (3900, 4200)]);
}

#[test]
fn a_window_is_taken_up_where_two_times_end_it() {
    let words = token(" word", 0..500);
    let pair = [time(0.0), words.clone(), time(4.0), time(4.0)];
    assert_eq!(words::resumes(&pair, &times(false)), Some(Timestamp::from_millis(4000)));
    let near = [time(0.0), words.clone(), time(9.5), time(9.5)];
    assert_eq!(words::resumes(&near, &times(false)), None);
    let whole = [time(0.0), words.clone(), time(4.0)];
    assert_eq!(words::resumes(&whole, &times(false)), None);
    assert_eq!(words::resumes(&[time(0.0), time(0.0)], &times(false)), None, "it would never end");
    let start = words::phrases(&[words], &Times { begin: BEGIN, ..times(false) });
    assert_eq!(start[0].span.start, Timestamp::ZERO, "without times the region is the bound");
}
