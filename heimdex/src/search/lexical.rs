//! From words to tokens to look for, and from tokens to the words that matched.

use std::collections::BTreeSet;

use super::Query;
use crate::scenes::Scene;
use crate::store::TextQuery;
use crate::text::{is_cjk_token, tokens};
use crate::transcript::Word;

/// Words that stand in most sentences. They are only looked for when nothing else is.
const FREQUENT: [&str; 58] = [
    "a", "about", "an", "and", "are", "as", "at", "be", "been", "but", "by", "can", "did", "do", "does",
    "for", "from", "had", "has", "have", "he", "her", "his", "how", "i", "if", "in", "is", "it", "its", "me",
    "my", "not", "of", "on", "or", "our", "she", "so", "that", "the", "their", "them", "then", "there",
    "they", "this", "to", "was", "we", "were", "what", "when", "where", "which", "who", "with", "you",
];

/// What to look for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lexical {
    pub(super) query: TextQuery,
}

impl Lexical {
    pub(super) fn of(query: &Query) -> Self {
        let mut any = Vec::new();
        let mut frequent = Vec::new();
        let mut any_prefix = Vec::new();
        for word in query.words.split_whitespace() {
            for part in parts(word) {
                match part.as_slice() {
                    [token] if FREQUENT.contains(&token.as_str()) => frequent.push(part),
                    // One character stands for itself and for whatever begins with it.
                    [token] if is_cjk_token(token) && token.chars().count() == 1 => {
                        any_prefix.push(token.clone());
                    }
                    [_] => any.push(part),
                    pairs => any.extend(pairs.windows(pairs.len().div_ceil(2)).map(<[String]>::to_vec)),
                }
            }
        }
        let all: Vec<Vec<String>> = query
            .phrases
            .iter()
            .map(|phrase| tokens(phrase).into_iter().map(|t| t.text).collect::<Vec<_>>())
            .filter(|run| !run.is_empty())
            .collect();
        if any.is_empty() && any_prefix.is_empty() && all.is_empty() {
            any = frequent;
        }
        any.sort();
        any.dedup();
        Self { query: TextQuery { any, any_prefix, all } }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.query == TextQuery::default()
    }

    /// The words of a scene that hold, or are part of, what was looked for.
    pub(super) fn matched_words(&self, scene: &Scene) -> Vec<Word> {
        let found = tokens(&scene.speech);
        let mut bytes: BTreeSet<(usize, usize)> = BTreeSet::new();
        for run in self.query.any.iter().chain(&self.query.all) {
            for window in found.windows(run.len().max(1)) {
                if window.iter().map(|t| &t.text).eq(run) {
                    bytes.extend(window.iter().map(|t| (t.bytes.start, t.bytes.end)));
                }
            }
        }
        for prefix in &self.query.any_prefix {
            let starts = found.iter().filter(|t| t.text.starts_with(prefix.as_str()));
            // Only its first character was asked for, not the whole pair.
            bytes.extend(starts.map(|t| (t.bytes.start, t.bytes.start + 1)));
        }
        let mut from = 0;
        let mut matched = Vec::new();
        for word in &scene.words {
            let Some(at) = scene.speech[from..].find(&word.text).map(|at| from + at) else { continue };
            from = at + word.text.len();
            if bytes.iter().any(|(start, end)| *start < from && *end > at) {
                matched.push(word.clone());
            }
        }
        matched
    }
}

/// The tokens of a word, those of one script together: `iPhone을` is a word and a particle.
fn parts(word: &str) -> Vec<Vec<String>> {
    let mut parts: Vec<Vec<String>> = Vec::new();
    let mut end = None;
    for token in tokens(word) {
        let cjk = is_cjk_token(&token.text);
        // Pairs of one run overlap; anything else begins anew.
        match parts.last_mut() {
            Some(last) if cjk && end.is_some_and(|end| token.bytes.start < end) => last.push(token.text),
            _ => parts.push(vec![token.text]),
        }
        end = cjk.then_some(token.bytes.end);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Span, Timestamp};

    fn scene(text: &str) -> Scene {
        let words = text.split_whitespace().map(|text| Word {
            text: text.to_owned(),
            span: Span::new(Timestamp::ZERO, Timestamp::ZERO),
            probability: None,
        });
        Scene { ordinal: 0, span: Span::default(), shot: 0, speech: text.to_owned(), words: words.collect() }
    }

    fn matched(query: &str, text: &str) -> Vec<String> {
        let lexical = Lexical::of(&Query::parse(query).unwrap());
        lexical.matched_words(&scene(text)).into_iter().map(|w| w.text).collect()
    }

    #[test]
    fn frequent_words_count_only_alone() {
        let any = |text: &str| Lexical::of(&Query::parse(text).unwrap()).query.any.concat();
        assert_eq!(any("the red car in the rain"), ["car", "rain", "red"]);
        assert_eq!(any("to be or not to be"), ["be", "not", "or", "to"]);
    }

    #[test]
    fn matched_words_are_shown_whole() {
        assert_eq!(matched("cafe", "A Café, the café!"), ["Café,", "café!"]);
        assert_eq!(matched("미나", "어제 미나가 왔다"), ["미나가"]);
        assert_eq!(matched("\"red car\"", "a red car and a red bus"), ["red", "car"]);
        assert_eq!(matched("물", "물이 물 속"), ["물이", "물"]);
    }

    #[test]
    fn a_long_word_needs_more_than_a_stray_pair() {
        assert_eq!(matched("자전거수리", "자전거를 고쳤다"), ["자전거를"]);
        assert_eq!(matched("자전거수리", "수리부엉이"), Vec::<String>::new());
    }
}
