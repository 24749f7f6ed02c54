//! One region through the model.

use super::super::transcriber::{Heard, Phrase, Region, SAMPLE_RATE_HZ, micros};
use super::engine::{Engine, Run};
use super::model::Loaded;
use super::rules::log_sum;
use super::words;
use crate::{Cancel, Error, Result, Span, Timestamp};

/// Changes whenever the rules in this folder do.
pub(super) const RULES: &str = "whisper 2";

/// Samples that the model hears at once: 30 s.
const WINDOW: usize = 30 * SAMPLE_RATE_HZ as usize;

/// Tokens that go before: half of the decoder's positions, but one that marks them.
const MOST_BEFORE: usize = 223;

/// Openai-whisper follows more hypotheses below this average log-probability.
const DOUBTFUL: f32 = -1.0;

/// What the first step of the decoder says of a window: of its language, and whether it is speech.
pub(super) struct First {
    pub(super) language: String,
    pub(super) language_probability: f32,
    pub(super) no_speech: f32,
}

pub(super) fn transcribe(
    engine: &mut dyn Engine,
    loaded: &Loaded,
    region: &Region<'_>,
    (threads, beams): (usize, usize),
    cancel: &Cancel,
) -> Result<Heard> {
    let vocabulary = &loaded.vocabulary;
    let mut language = match region.language {
        Some(given) if !vocabulary.is_multilingual() && given != "en" => {
            let message = format!("{} knows English only; `{given}` needs another model", loaded.name);
            return Err(Error::invalid("speech.language", message));
        }
        Some(given) if vocabulary.is_multilingual() && vocabulary.language(given).is_none() => {
            return Err(Error::invalid("speech.language", format!("Whisper does not know `{given}`")));
        }
        Some(given) => Some(given.to_owned()),
        None => (!vocabulary.is_multilingual()).then(|| "en".to_owned()),
    };
    let likely = region.likely.filter(|likely| vocabulary.language(likely).is_some());
    let mut probability = None;
    let mut phrases = Vec::new();
    let mut before = before(loaded, region);
    let mut from = 0;
    loop {
        cancel.check()?;
        let end = region.pcm.len().min(from + WINDOW);
        engine.listen(loaded, &region.pcm[from..end], threads, cancel)?;
        let first = first(engine, loaded)?;
        let language = language.get_or_insert_with(|| match likely {
            // What is taken instead has the probability that it has.
            Some(likely)
                if first.language != likely && first.language_probability < region.language_floor =>
            {
                likely.to_owned()
            }
            _ => {
                probability = Some(first.language_probability);
                first.language.clone()
            }
        });
        let run = Run { language, translate: region.translate, before: &before, beams: 1 };
        let mut window = engine.window(loaded, &run, cancel)?;
        let doubtful = window.average_log_probability < DOUBTFUL || words::repeats(&window.tokens);
        if doubtful && beams > 1 && first.no_speech < 0.6 {
            let other = engine.window(loaded, &Run { beams, ..run }, cancel)?;
            if other.average_log_probability > window.average_log_probability {
                window = other;
            }
        }
        let length = Timestamp::from_micros(micros(end - from));
        let bounds = Span::new(Timestamp::ZERO, length);
        let times = words::Times { begin: vocabulary.times(), bounds };
        let mut found = words::phrases(&window.tokens, &times);
        let next = words::resumes(&window.tokens, &times);
        before.extend(window.tokens.iter().filter(|t| !t.bytes.is_empty()).map(|t| t.id));
        let surplus = before.len().saturating_sub(MOST_BEFORE);
        before.drain(..surplus);
        for phrase in &mut found {
            phrase.no_speech_probability = Some(first.no_speech);
            shift(phrase, micros(from));
        }
        phrases.append(&mut found);
        from = match next {
            Some(next) => from + (next.as_micros() * i64::from(SAMPLE_RATE_HZ) / 1_000_000) as usize,
            None if end < region.pcm.len() => end,
            None => break,
        };
    }
    Ok(Heard { language, language_probability: probability, phrases })
}

/// Reads the first step of the decoder over a window that was listened to.
pub(super) fn first(engine: &mut dyn Engine, loaded: &Loaded) -> Result<First> {
    let vocabulary = &loaded.vocabulary;
    let logits = engine.first(loaded)?;
    let at = |token: u32| logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let no_speech = (at(vocabulary.silence()) - log_sum(&logits)).exp();
    let languages: Vec<(&str, f32)> = vocabulary.languages().map(|(code, token)| (code, at(token))).collect();
    let best = languages.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a }).unwrap_or(("en", 0.0));
    let sum = log_sum(&languages.iter().map(|(_, logit)| *logit).collect::<Vec<_>>());
    Ok(First {
        language: best.0.to_owned(),
        language_probability: if languages.is_empty() { 1.0 } else { (best.1 - sum).exp() },
        no_speech,
    })
}

/// What the prompt and the text before are to the model.
fn before(loaded: &Loaded, region: &Region<'_>) -> Vec<u32> {
    let tokens = |text: &str| match text.trim() {
        "" => Vec::new(),
        text => loaded.vocabulary.encode(&format!(" {text}")),
    };
    let mut prompt = tokens(region.prompt);
    prompt.truncate(MOST_BEFORE / 2);
    let before = tokens(region.before);
    let skip = before.len().saturating_sub(MOST_BEFORE - prompt.len());
    prompt.extend_from_slice(&before[skip..]);
    prompt
}

fn shift(phrase: &mut Phrase, by: i64) {
    let moved = |span: Span| Span::new(span.start.plus_micros(by), span.end.plus_micros(by));
    phrase.span = moved(phrase.span);
    for word in &mut phrase.words {
        word.span = moved(word.span);
    }
}
