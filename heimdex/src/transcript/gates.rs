//! What of a model's words is believed. Models invent words where there is no speech, and repeat
//! themselves where they are lost; there is no list of phrases here, only measures.

use serde::{Deserialize, Serialize};

use super::regions::SpeechRegion;
use super::transcriber::Phrase;
use super::{Gates, Word, words};
use crate::{Span, Timestamp};

/// How many phrases were dropped, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Dropped {
    /// Where there is no speech.
    pub silent: u32,
    /// Probably no speech, says the model, and improbable.
    pub no_speech: u32,
    /// Improbable.
    pub improbable: u32,
    /// Said again and again; a loop inside a phrase that was cut counts too.
    pub repeated: u32,
}

impl Dropped {
    /// All of them.
    pub const fn total(&self) -> u32 {
        self.silent + self.no_speech + self.improbable + self.repeated
    }

    /// Whether nothing was dropped.
    pub const fn is_empty(&self) -> bool {
        self.total() == 0
    }
}

/// The gates, with what they have to remember.
#[derive(Debug)]
pub(super) struct Gate {
    gates: Gates,
    last: String,
    times: usize,
    pub(super) dropped: Dropped,
}

impl Gate {
    pub(super) fn new(gates: &Gates) -> Self {
        Self { gates: gates.clone(), last: String::new(), times: 0, dropped: Dropped::default() }
    }

    /// A phrase that is believed, without its loops, inside its region and in order.
    pub(super) fn pass(&mut self, phrase: Phrase, region: &SpeechRegion) -> Option<Phrase> {
        let mut phrase = tidy(phrase, region.span().micros())?;
        let Gates { min_activity, no_speech, log_probability, min_log_probability, repeats } = self.gates;
        if region.activity(phrase.span) < min_activity {
            self.dropped.silent += 1;
            return None;
        }
        let log = phrase.average_log_probability;
        if phrase.no_speech_probability.is_some_and(|p| p > no_speech)
            && log.is_none_or(|log| log < log_probability)
        {
            self.dropped.no_speech += 1;
            return None;
        }
        // Also what is no number.
        if log.is_some_and(|log| log.is_nan() || log < min_log_probability) {
            self.dropped.improbable += 1;
            return None;
        }
        let same = plain(&phrase.text) == self.last;
        self.times = if same { self.times + 1 } else { 1 };
        self.last = plain(&phrase.text);
        if self.times >= repeats {
            self.dropped.repeated += 1;
            return None;
        }
        self.dropped.repeated += cut_loops(&mut phrase, repeats);
        Some(phrase)
    }
}

/// Lower-case letters and digits: what two phrases are compared by.
fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Text without surrounding space, words with both ends inside the region and never back in time. `None`
/// without a letter or digit.
fn tidy(mut phrase: Phrase, length: i64) -> Option<Phrase> {
    let bounds = Span::new(Timestamp::ZERO, Timestamp::from_micros(length));
    phrase.text = phrase.text.trim().to_owned();
    if !phrase.text.chars().any(char::is_alphanumeric) {
        return None;
    }
    phrase.words.retain(|word| !word.text.trim().is_empty());
    let mut at = Timestamp::ZERO;
    for word in &mut phrase.words {
        word.text = word.text.trim().to_owned();
        let start = word.span.start.clamp(at, bounds.end);
        at = word.span.end.clamp(start, bounds.end);
        word.span = Span::new(start, at);
        word.probability = word.probability.filter(|p| p.is_finite()).map(|p| p.clamp(0.0, 1.0));
    }
    phrase.span = phrase.span.clamp_to(bounds);
    match (phrase.words.first(), phrase.words.last()) {
        (Some(first), Some(last)) => {
            let start = phrase.span.start.min(first.span.start);
            phrase.span = Span::new(start, phrase.span.end.max(last.span.end));
        }
        _ => phrase.words = words::estimate(&phrase.text, phrase.span),
    }
    Some(phrase)
}

/// Cuts what is said `repeats` times or more in a row down to one time; how many loops were cut.
fn cut_loops(phrase: &mut Phrase, repeats: usize) -> u32 {
    const LONGEST: usize = 12;
    let mut cut = 0;
    let said: Vec<String> = phrase.words.iter().map(|word| plain(&word.text)).collect();
    let mut kept: Vec<usize> = Vec::new();
    let mut at = 0;
    while at < said.len() {
        let found = (1..=LONGEST).find_map(|length| {
            let first = said.get(at..at + length)?;
            let times = said[at..].chunks_exact(length).take_while(|chunk| *chunk == first).count();
            (times >= repeats && first.iter().any(|word| !word.is_empty())).then_some((length, times))
        });
        match found {
            Some((length, times)) => {
                kept.extend(at..at + length);
                at += length * times;
                cut += 1;
            }
            None => {
                kept.push(at);
                at += 1;
            }
        }
    }
    let words: Vec<Word> = kept.iter().map(|i| phrase.words[*i].clone()).collect();
    if cut > 0 {
        phrase.text = text_of(&phrase.text, &phrase.words, &kept);
        phrase.span = match (words.first(), words.last()) {
            (Some(first), Some(last)) => Span::new(phrase.span.start.min(first.span.start), last.span.end),
            _ => phrase.span,
        };
        phrase.words = words;
    }
    cut
}

/// The text of the words that stay, with what stands between neighbours.
fn text_of(text: &str, all: &[Word], kept: &[usize]) -> String {
    let mut places = Vec::with_capacity(all.len());
    let mut from = 0;
    for word in all {
        let at = text[from..].find(&word.text).map_or(from, |at| from + at);
        let end = (at + word.text.len()).min(text.len());
        let end = if text.is_char_boundary(end) { end } else { at };
        places.push(at..end);
        from = end;
    }
    let mut out = String::new();
    for (i, &word) in kept.iter().enumerate() {
        let place = &places[word];
        if i > 0 {
            let before = &places[kept[i - 1]];
            let between = text.get(before.end..places.get(kept[i - 1] + 1).map_or(before.end, |n| n.start));
            out.push_str(between.unwrap_or(" "));
        }
        out.push_str(&text[place.clone()]);
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phrase(text: &str) -> Phrase {
        let span = Span::new(Timestamp::ZERO, Timestamp::from_millis(4000));
        let words = words::estimate(text, span);
        Phrase { span, text: text.to_owned(), words, ..Phrase::default() }
    }

    fn region(active: bool) -> SpeechRegion {
        SpeechRegion { start: Timestamp::ZERO, pcm: vec![0.0; 80_000], active: vec![active; 250] }
    }

    fn texts(phrase: &Phrase) -> Vec<&str> {
        phrase.words.iter().map(|w| w.text.as_str()).collect()
    }

    #[test]
    fn each_gate_counts_what_it_drops() {
        let mut gate = Gate::new(&Gates::default());
        assert!(gate.pass(phrase("thank you"), &region(false)).is_none());
        let with = |no_speech: f32, log: f32| Phrase {
            no_speech_probability: Some(no_speech),
            average_log_probability: Some(log),
            ..phrase("and so on")
        };
        assert!(gate.pass(with(0.7, -1.1), &region(true)).is_none());
        assert!(gate.pass(with(0.7, -0.9), &region(true)).is_some(), "probable words are speech");
        assert!(gate.pass(with(0.1, -2.1), &region(true)).is_none());
        assert!(gate.pass(with(0.1, f32::NAN), &region(true)).is_none());
        assert_eq!(gate.dropped, Dropped { silent: 1, no_speech: 1, improbable: 2, repeated: 0 });
        assert_eq!(gate.dropped.total(), 4);
    }

    #[test]
    fn the_same_phrase_again_and_again_is_a_loop() {
        let mut gate = Gate::new(&Gates::default());
        let passed: Vec<bool> = ["Yes.", "yes", "YES!", "Yes.", "yes", "No.", "yes"]
            .map(|t| gate.pass(phrase(t), &region(true)).is_some())
            .to_vec();
        assert_eq!(passed, [true, true, true, false, false, true, true]);
        assert_eq!(gate.dropped.repeated, 2);
    }

    #[test]
    fn loops_are_cut_to_one_time() {
        let cut = |text: &str| {
            let mut phrase = phrase(text);
            let count = cut_loops(&mut phrase, 4);
            (phrase.text, count)
        };
        assert_eq!(
            cut("so we go on and on and on and on and on, right?"),
            ("so we go on and on, right?".into(), 1)
        );
        assert_eq!(cut("no no no"), ("no no no".into(), 0));
        assert_eq!(cut("no no no no"), ("no".into(), 1));
        assert_eq!(cut("I know. I know. I know. I know. Bye."), ("I know. Bye.".into(), 1));
        assert_eq!(cut("하하 하하 하하 하하 그래"), ("하하 그래".into(), 1));
        assert_eq!(cut("はい。はい。はい。はい。はい。"), ("はい。".into(), 1));
    }

    #[test]
    fn what_lies_outside_or_goes_back_is_moved_inside() {
        let word = |text: &str, start: i64, end: i64| Word {
            text: text.into(),
            span: Span { start: Timestamp::from_millis(start), end: Timestamp::from_millis(end) },
            probability: Some(2.0),
        };
        let phrase = Phrase {
            span: Span::new(Timestamp::from_millis(-1_007_000), Timestamp::from_millis(9000)),
            text: " one 2 three".into(),
            words: vec![word(" one", -500, 300), word(" 2", 100, 50), word("three", 4900, 7000)],
            ..Phrase::default()
        };
        let passed = Gate::new(&Gates::default()).pass(phrase, &region(true)).unwrap();
        let spans: Vec<(i64, i64)> =
            passed.words.iter().map(|w| (w.span.start.as_millis(), w.span.end.as_millis())).collect();
        assert_eq!(spans, [(0, 300), (300, 300), (4900, 5000)]);
        assert_eq!((passed.text.as_str(), passed.words[0].probability), ("one 2 three", Some(1.0)));
        assert_eq!(passed.span, Span::new(Timestamp::ZERO, Timestamp::from_millis(5000)));
    }

    #[test]
    fn a_model_without_words_gets_estimated_ones() {
        let passed = Gate::new(&Gates::default())
            .pass(Phrase { words: Vec::new(), ..phrase("Call 119 now") }, &region(true));
        assert_eq!(texts(&passed.unwrap()), ["Call", "119", "now"]);
    }

    proptest! {
        /// Whatever a model gives: words stay in order, inside the region and inside their phrase's
        /// text, and nothing panics.
        #[test]
        fn what_passes_is_well_formed(
            text in "[abc가はいé. ]{0,60}",
            times in proptest::collection::vec((-9_000_000i64..9_000_000, -9_000_000i64..9_000_000), 0..40),
            repeats in 2usize..5,
        ) {
            let words = times.iter().zip(text.split(' ')).map(|((a, b), t)| Word {
                text: t.to_owned(),
                span: Span { start: Timestamp::from_micros(*a), end: Timestamp::from_micros(*b) },
                probability: None,
            }).collect();
            let phrase = Phrase { text: text.clone(), words, ..phrase("x") };
            let region = region(true);
            if let Some(passed) = Gate::new(&Gates { repeats, ..Gates::default() }).pass(phrase, &region) {
                let mut at = Timestamp::ZERO;
                let mut from = 0;
                for word in &passed.words {
                    prop_assert!(at <= word.span.start && word.span.start <= word.span.end);
                    at = word.span.end;
                    let place = passed.text[from..].find(&word.text);
                    prop_assert!(place.is_some(), "{} in {}", word.text, passed.text);
                    from += place.unwrap_or(0) + word.text.len();
                }
                prop_assert!(at <= region.span().end);
            }
        }
    }
}
