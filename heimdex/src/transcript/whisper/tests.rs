//! Against openai-whisper: tokens, languages and silence of a small random model
//! (`tests/fixtures/generate_tiny_whisper.py`), and the shared one where it is there.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::engine::{Engine, Run, Window};
use super::model::Loaded;
use super::network::{Network, State, Step};
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

    /// Computed here, or by whisper.cpp as on a graphics card.
    fn loaded(&self, card: bool) -> Loaded {
        Loaded::read(&self.file(), "tiny".into(), card).unwrap()
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

fn heard(loaded: &Loaded, engine: &mut dyn Engine, pcm: &[f32], run: &Run<'_>) -> Window {
    engine.listen(loaded, pcm, 1, &Cancel::new()).unwrap();
    engine.window(loaded, run, &Cancel::new()).unwrap()
}

const ENGLISH: Run<'_> = Run { language: "en", translate: false, before: &[], beams: 1 };

/// Tokens and their mean probability with all rules of decoding.
#[test]
fn decoding_equals_the_reference() {
    let unpacked = Unpacked::new();
    let (here, card) = (unpacked.loaded(false), unpacked.loaded(true));
    let golden = golden();
    for (loaded, language) in [(&here, "en"), (&here, "ko"), (&card, "en"), (&card, "ko")] {
        let golden = &golden["decoded"][language];
        let mut engine = loaded.engine().unwrap();
        let window = heard(loaded, engine.as_mut(), &sound(), &Run { language, ..ENGLISH });
        let ids: Vec<f64> = window.tokens.iter().map(|t| f64::from(t.id)).collect();
        assert_eq!(ids, numbers(&golden["tokens"]), "{language}");
        let average = golden["average_log_probability"].as_f64().unwrap();
        assert!((f64::from(window.average_log_probability) - average).abs() < 0.01, "{average}");
        let text: Vec<u8> = window.tokens.iter().flat_map(|t| t.bytes.clone()).collect();
        assert_eq!(String::from_utf8_lossy(&text), golden["text"].as_str().unwrap());
    }
}

/// When each token was said, by where the decoder looked.
#[test]
fn times_of_tokens_equal_the_reference() {
    let unpacked = Unpacked::new();
    let loaded = unpacked.loaded(false);
    let golden = golden();
    for language in ["en", "ko"] {
        let mut engine = loaded.engine().unwrap();
        let window = heard(&loaded, engine.as_mut(), &sound(), &Run { language, ..ENGLISH });
        let spoken = window.tokens.iter().filter(|token| !token.bytes.is_empty());
        let ends: Vec<f64> = spoken.map(|token| token.end.as_millis() as f64 / 10.0).collect();
        assert_eq!(ends, numbers(&golden["decoded"][language]["ends"]), "{language}");
    }
}

/// Five hypotheses at once, as openai-whisper follows them.
#[test]
fn several_hypotheses_equal_the_reference() {
    let unpacked = Unpacked::new();
    let loaded = unpacked.loaded(false);
    let golden = golden();
    for language in ["en", "ko"] {
        let golden = &golden["decoded"][language]["five_hypotheses"];
        let mut engine = loaded.engine().unwrap();
        let window = heard(&loaded, engine.as_mut(), &sound(), &Run { language, beams: 5, ..ENGLISH });
        let ids: Vec<f64> = window.tokens.iter().map(|t| f64::from(t.id)).collect();
        assert_eq!(ids, numbers(&golden["tokens"]), "{language}");
        let average = golden["average_log_probability"].as_f64().unwrap();
        assert!((f64::from(window.average_log_probability) - average).abs() < 0.01, "{average}");
    }
}

/// The first step tells the language and silence as openai-whisper reads them, also after a whole region
/// was decoded with a prompt of many tokens.
#[test]
fn language_and_silence_equal_the_reference() {
    let unpacked = Unpacked::new();
    let golden = golden();
    let best = golden["language"]["best"].as_str().unwrap();
    let probability = golden["language"]["probability"].as_f64().unwrap();
    let no_speech = golden["first_step"]["no_speech"].as_f64().unwrap();
    for loaded in [unpacked.loaded(false), unpacked.loaded(true)] {
        assert!(loaded.vocabulary.is_multilingual());
        let mut engine = loaded.engine().unwrap();
        engine.listen(&loaded, &sound(), 1, &Cancel::new()).unwrap();
        let alone = region::first(engine.as_mut(), &loaded).unwrap();
        heard(&loaded, engine.as_mut(), &sound(), &Run { before: &[1000, 2000, 3000], ..ENGLISH });
        for first in [alone, region::first(engine.as_mut(), &loaded).unwrap()] {
            assert_eq!(first.language, best);
            assert!((f64::from(first.language_probability) - probability).abs() < 0.005);
            assert!((f64::from(first.no_speech) - no_speech).abs() < 0.1 * no_speech, "{}", first.no_speech);
        }
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
    let network = network(&unpacked.file());
    let golden = golden();
    let tokens: Vec<u32> = golden["greedy_without_rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["token"].as_u64().unwrap() as u32)
        .collect();
    for threads in [1, 3] {
        let (found, first) = greedy(&network, (threads, PREFIX[1]), &sound(), tokens.len());
        assert_eq!(found, tokens);
        let expected = numbers(&golden["first_step"]["logits_0_to_31"]);
        for (logit, expected) in first.iter().zip(expected) {
            assert!((f64::from(*logit) - expected).abs() < 0.05, "{logit} {expected}");
        }
    }
}

fn network(file: &Path) -> Network {
    Network::read(&mut file::open(file, "tiny").unwrap()).unwrap()
}

const PREFIX: [u32; 4] = [50_258, 50_259, 50_359, 50_363];

/// The tokens of greedy decoding after `sot language transcribe notimestamps`, and the logits after `sot` alone.
fn greedy(
    network: &Network,
    (threads, language): (usize, u32),
    pcm: &[f32],
    steps: usize,
) -> (Vec<u32>, Vec<f32>) {
    network.with(&mut State::default(), threads, |session| {
        session.listen(pcm, &Cancel::new()).unwrap();
        let mut first = Vec::new();
        let mut tokens = PREFIX.to_vec();
        tokens[1] = language;
        let path: Vec<usize> = (0..PREFIX.len() + steps).collect();
        for at in 0..PREFIX.len() + steps - 1 {
            let logits = session.decode(&[Step { token: tokens[at], path: &path[..=at] }], 0);
            if at == 0 {
                first = logits.clone();
            }
            if at + 1 >= PREFIX.len() {
                let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
                tokens.push(best as u32);
            }
        }
        (tokens.split_off(PREFIX.len()), first)
    })
}

/// The shared model of transformers: spectrogram, encoder, all logits of the first step and 16 tokens.
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
    let network = network(&folder.join("ggml-tiny-random.bin"));
    let wav = std::fs::read(folder.join("chirp.wav")).unwrap();
    let pcm: Vec<f32> =
        wav[44..].chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect();
    for (language, name) in [(50_259, "tokens"), (50_264, "tokens_with_ko_prefix")] {
        let tokens: Vec<f64> = numbers(&golden[name]);
        let (found, _) = greedy(&network, (2, language), &pcm, tokens.len());
        assert_eq!(found.iter().map(|t| f64::from(*t)).collect::<Vec<_>>(), tokens);
    }
    let off = |found: &[f32], expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    network.with(&mut State::default(), 2, |session| {
        let (spectrogram, sound) = session.see(&pcm);
        let stored = floats("log_mel.0_to_519");
        let found: Vec<f32> = (0..80)
            .flat_map(|band| (0..520).map(move |frame| (frame, band)))
            .map(|(frame, band)| spectrogram[frame * 80 + band])
            .collect();
        let of_spectrogram = off(&found, &stored);
        let rest = golden["log_mel"]["constant"].as_f64().unwrap() as f32;
        assert!(spectrogram[520 * 80..].iter().all(|value| (value - rest).abs() < 1e-5));
        let expected = floats("encoder.0_to_299");
        let of_encoder = off(&sound[..expected.len()], &expected);
        let expected = floats("first_step_logits");
        session.listen(&pcm, &Cancel::new()).unwrap();
        let path = [0, 1, 2, 3];
        let steps: Vec<_> = (0..4).map(|i| Step { token: PREFIX[i], path: &path[..=i] }).collect();
        let of_logits = off(&session.decode(&steps, 3), &expected);
        println!("spectrogram {of_spectrogram:.1e}, encoder {of_encoder:.1e}, logits {of_logits:.1e}");
        // Keys and values of the sound are kept in 16 bits.
        assert!(of_spectrogram < 1e-4 && of_encoder < 1e-4 && of_logits < 2e-3);
    });
}

/// A model of random weights whose matrices are of a kind of ggml's: 1 for 16-bit floats, 8 for `q8_0`, 7 for
/// `q5_1`, 14 for `q6_k`, which nothing multiplies as it is.
fn random(file: &Path, kind: u32) {
    const STATE: usize = 256;
    const HEADS: i32 = 4;
    let mut seed = 1_u32;
    let mut next = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut bytes = b"lmgg".to_vec();
    let put =
        |bytes: &mut Vec<u8>, numbers: &[i32]| numbers.iter().for_each(|n| bytes.extend(n.to_le_bytes()));
    let state = STATE as i32;
    // Kinds of files have other numbers than kinds of tensors.
    let of_file = match kind {
        6 => 8,
        7 => 9,
        8 => 7,
        kind => kind as i32,
    };
    put(&mut bytes, &[51_865, 1500, state, HEADS, 2, 448, state, HEADS, 2, 80, of_file, 80, 201]);
    (0..80 * 201).for_each(|i| {
        bytes.extend(if i % 201 / 2 == i / 201 { 0.02_f32 } else { 0.0 }.to_le_bytes());
    });
    put(&mut bytes, &[0]);
    let mut tensor = |name: &str, lengths: &[usize], kind: u32, scale: f32, shift: f32| {
        put(&mut bytes, &[lengths.len() as i32, name.len() as i32, kind as i32]);
        for length in lengths {
            put(&mut bytes, &[*length as i32]);
        }
        bytes.extend(name.as_bytes());
        let values: Vec<f32> = (0..lengths.iter().product()).map(|_| next() * scale + shift).collect();
        // SAFETY: there is room for so many values of the kind.
        unsafe {
            let width = lengths[0] as i64;
            let rows = values.len() as i64 / width;
            let mut data = vec![0_u8; whisper_rs::whisper_rs_sys::ggml_row_size(kind, width) * rows as usize];
            let none = std::ptr::null();
            let (from, to) = (values.as_ptr(), data.as_mut_ptr().cast());
            whisper_rs::whisper_rs_sys::ggml_quantize_chunk(kind, from, to, 0, rows, width, none);
            bytes.extend(if kind == 0 {
                values.iter().flat_map(|v| v.to_le_bytes()).collect()
            } else {
                data
            });
        }
    };
    tensor("encoder.positional_embedding", &[STATE, 1500], 0, 0.5, 0.0);
    tensor("encoder.conv1.weight", &[3, 80, STATE], 1, 0.1, 0.0);
    tensor("encoder.conv1.bias", &[1, STATE], 0, 0.1, 0.0);
    tensor("encoder.conv2.weight", &[3, STATE, STATE], 1, 0.1, 0.0);
    tensor("encoder.conv2.bias", &[1, STATE], 0, 0.1, 0.0);
    tensor("decoder.positional_embedding", &[STATE, 448], 0, 0.5, 0.0);
    tensor("decoder.token_embedding.weight", &[STATE, 51_865], kind, 0.1, 0.0);
    for norm in ["encoder.ln_post", "decoder.ln"] {
        tensor(&format!("{norm}.weight"), &[STATE], 0, 0.1, 1.0);
        tensor(&format!("{norm}.bias"), &[STATE], 0, 0.1, 0.0);
    }
    for (side, layer) in [("encoder", 0), ("encoder", 1), ("decoder", 0), ("decoder", 1)] {
        let at = format!("{side}.blocks.{layer}");
        let sides: &[&str] = if side == "encoder" { &["attn"] } else { &["attn", "cross_attn"] };
        for attention in sides {
            for part in ["query", "key", "value", "out"] {
                tensor(&format!("{at}.{attention}.{part}.weight"), &[STATE, STATE], kind, 0.15, 0.0);
                if part != "key" {
                    tensor(&format!("{at}.{attention}.{part}.bias"), &[STATE], 0, 0.1, 0.0);
                }
            }
        }
        for (part, inner, outer) in [("mlp.0", STATE, 4 * STATE), ("mlp.2", 4 * STATE, STATE)] {
            tensor(&format!("{at}.{part}.weight"), &[inner, outer], kind, 0.1, 0.0);
            tensor(&format!("{at}.{part}.bias"), &[outer], 0, 0.1, 0.0);
        }
        for norm in sides.iter().map(|side| format!("{side}_ln")).chain(["mlp_ln".into()]) {
            tensor(&format!("{at}.{norm}.weight"), &[STATE], 0, 0.1, 1.0);
            tensor(&format!("{at}.{norm}.bias"), &[STATE], 0, 0.1, 0.0);
        }
    }
    std::fs::write(file, bytes).unwrap();
}

/// Few bits are as near to 16 as whisper.cpp's products of the same weights are.
#[test]
fn weights_of_few_bits_are_as_near_as_whisper_cpp_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ggml-random.bin");
    let mut exact = Vec::new();
    for (kind, name) in
        [(1, "f16"), (8, "q8_0"), (7, "q5_1"), (6, "q5_0"), (2, "q4_0"), (3, "q4_1"), (14, "q6_k")]
    {
        random(&file, kind);
        let [here, cpp] = [false, true].map(|card| {
            let loaded = Loaded::read(&file, name.into(), card).unwrap();
            let mut engine = loaded.engine().unwrap();
            engine.listen(&loaded, &sound()[..16_000 * 7], 2, &Cancel::new()).unwrap();
            engine.first(&loaded).unwrap()
        });
        let off = |a: &[f32], b: &[f32]| {
            let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            (squares / a.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>()).sqrt()
        };
        if kind == 1 {
            assert!(off(&here, &cpp) < 2e-3, "{name}: {}", off(&here, &cpp));
            exact = here;
            continue;
        }
        let (ours, theirs) = (off(&exact, &here), off(&exact, &cpp));
        println!("{name}: off by {ours:.4}, whisper.cpp by {theirs:.4}");
        assert!(ours < 1.25 * theirs && ours < 0.5, "{name}: {ours}, whisper.cpp {theirs}");
    }
}

/// Whatever length a region has and whatever the model says: no panic, no abort of the process, words in
/// order and inside.
#[test]
fn regions_of_any_length_are_heard() {
    let unpacked = Unpacked::new();
    let sound = sound().repeat(2);
    for loaded in [unpacked.loaded(false), unpacked.loaded(true)] {
        for length in [0, 1, 100, 320, 1600, 4000, 16_000, 100_001, 480_000, 700_000] {
            let mut engine = loaded.engine().unwrap();
            let region = Region { language: Some("en"), ..Region::new(&sound[..length]) };
            let heard =
                region::transcribe(engine.as_mut(), &loaded, &region, (1, 1), &Cancel::new()).unwrap();
            let mut at = Timestamp::ZERO;
            for word in heard.phrases.iter().flat_map(|phrase| &phrase.words) {
                assert!(at <= word.span.start && word.span.start <= word.span.end, "{length}: {word:?}");
                assert!(word.probability.is_some_and(|p| (0.0..=1.0).contains(&p)));
                at = word.span.end;
            }
            assert!(at.as_micros() <= region.micros().max(1_000_000), "{length}: {at}");
            assert!(length < 700_000 || at.as_micros() > 30_000_000, "what comes after half a minute: {at}");
        }
    }
}

/// Sound that is no sound ends in no words, not in a panic.
#[test]
fn what_is_no_number_is_heard_as_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ggml-random.bin");
    random(&file, 8);
    let unpacked = Unpacked::new();
    for (file, beams) in [(&unpacked.file(), 1), (&file, 1), (&file, 3)] {
        let loaded = Loaded::read(file, "random".into(), false).unwrap();
        for value in [f32::NAN, f32::INFINITY, f32::MAX] {
            let mut engine = loaded.engine().unwrap();
            let window = heard(&loaded, engine.as_mut(), &vec![value; 100_000], &Run { beams, ..ENGLISH });
            let sum: f32 = window.tokens.iter().map(|token| token.probability).sum();
            assert!(window.tokens.is_empty() || sum.is_finite(), "{value}");
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
    let mut halves = bytes.clone();
    halves[28..32].copy_from_slice(&32i32.to_le_bytes());
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
    let path = unpacked.folder.path().join("sizes");
    std::fs::write(&path, halves).unwrap();
    let error = Whisper::open(&path).unwrap_err();
    assert!(error.to_string().contains("its halves have states of 16 and 32"), "{error}");
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

const BEGIN: u32 = 50_364;

fn token(text: &str, millis: std::ops::Range<i64>) -> Token {
    Token {
        id: 100,
        bytes: text.as_bytes().to_vec(),
        probability: 0.5,
        log_probability: -0.7,
        end: Timestamp::from_millis(millis.end),
    }
}

fn time(seconds: f64) -> Token {
    Token { id: BEGIN + (seconds * 50.0).round() as u32, ..Token::default() }
}

fn times() -> Times {
    Times { begin: BEGIN, bounds: Span::new(Timestamp::ZERO, Timestamp::from_millis(10_000)) }
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
    let phrases = words::phrases(&tokens, &times());
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
    let phrases = words::phrases(&tokens, &times());
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
    let found = spans(&words::phrases(&korean, &times()));
    assert_eq!(found, [("김치찌개를".to_owned(), 0, 900), ("만들어요.".to_owned(), 900, 1800)]);
    // A character that never ends is left out.
    let broken = [token(" ok", 0..400), part(0..2, 400..600)];
    assert_eq!(spans(&words::phrases(&broken, &times())), [("ok".to_owned(), 0, 400)]);
}

/// By attention a token lasts from the end of the one before, and the first word of a sentence does not
/// get the pause before it.
#[test]
fn aligned_words_begin_where_the_one_before_ends() {
    let at = |text: &str, end: i64| token(text, 0..end);
    let tokens = [at(" one", 300), at(" two", 600), at(" three.", 900), at(" four", 3900), at(" five", 4200)];
    let found = spans(&words::phrases(&tokens, &times()));
    let times: Vec<(i64, i64)> = found.iter().map(|(_, start, end)| (*start, *end)).collect();
    assert_eq!(times, [(0, 300), (300, 600), (600, 900), (3300, 3900), (3900, 4200)]);
}

#[test]
fn a_window_is_taken_up_where_two_times_end_it() {
    let words = token(" word", 0..500);
    let pair = [time(0.0), words.clone(), time(4.0), time(4.0)];
    assert_eq!(words::resumes(&pair, &times()), Some(Timestamp::from_millis(4000)));
    let near = [time(0.0), words.clone(), time(9.5), time(9.5)];
    assert_eq!(words::resumes(&near, &times()), None);
    let whole = [time(0.0), words.clone(), time(4.0)];
    assert_eq!(words::resumes(&whole, &times()), None);
    assert_eq!(words::resumes(&[time(0.0), time(0.0)], &times()), None, "it would never end");
    let start = words::phrases(&[words], &times());
    assert_eq!(start[0].span.start, Timestamp::ZERO, "without times the region is the bound");
}
