//! The analyzer for lexical search, shared by every store: the same text gives the same tokens
//! where it is indexed, where it is asked for, and where matches are shown.
//!
//! Steps: NFKC, lower case with the folds that lower case lacks, diacritics removed, words by
//! UAX #29, and runs of Chinese, Japanese and Korean as overlapping pairs of characters, so that a
//! particle behind a name does not hide it.
//!
//! Uses nothing else of the crate.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// Changes whenever the same text would give other tokens.
pub const ANALYZER_VERSION: u32 = 1;

/// Longer words are cut: they are no words.
const MAX_TOKEN_CHARS: usize = 64;

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Letters, digits and marks in normal form; no space, no quote.
    pub text: String,
    /// The bytes of the original text that it stands for.
    pub bytes: Range<usize>,
}

/// The tokens of a text with their places, in order.
///
/// ```
/// let tokens = heimdex::text::tokens("The Café, 미나가!");
/// let texts: Vec<&str> = tokens.iter().map(|t| t.text.as_str()).collect();
/// assert_eq!(texts, ["the", "cafe", "미나", "나가"]);
/// ```
pub fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut words = text.unicode_word_indices().peekable();
    while let Some((start, word)) = words.next() {
        // The standard takes each Han character for a word; pairs go across them.
        let mut end = start + word.len();
        while let Some((_, next)) = words.next_if(|(at, next)| *at == end && joined(&text[..end], next)) {
            end += next.len();
        }
        fold_word(&text[start..end], start, &mut out);
    }
    out
}

/// The tokens of a text, as they are indexed.
pub fn analyze(text: &str) -> Vec<String> {
    tokens(text).into_iter().map(|token| token.text).collect()
}

/// Whether two words that touch are of one run of characters without spaces.
fn joined(before: &str, next: &str) -> bool {
    before.chars().next_back().is_some_and(is_cjk) && next.chars().next().is_some_and(is_cjk)
}

/// One folded character and the bytes it comes from.
struct Folded {
    c: char,
    from: usize,
    to: usize,
}

fn fold_word(word: &str, at: usize, out: &mut Vec<Token>) {
    // Letters and their marks are folded together: decomposed Hangul composes, accents go.
    let mut chars = Vec::new();
    for (offset, cluster) in word.grapheme_indices(true) {
        let (from, to) = (at + offset, at + offset + cluster.len());
        fold(cluster, |c| chars.push(Folded { c, from, to }));
    }
    // A compatibility character may become several words, and a word may mix scripts.
    let mut rest = &chars[..];
    while let Some(first) = rest.first() {
        let cjk = is_cjk(first.c);
        let length = rest.iter().take_while(|f| is_cjk(f.c) == cjk).count();
        let (run, after) = rest.split_at(length);
        if cjk {
            pairs(run, out);
        } else {
            words(run, out);
        }
        rest = after;
    }
}

/// NFKC, folded case, no diacritics, no marks that are not seen.
fn fold(cluster: &str, mut push: impl FnMut(char)) {
    for c in cluster.nfkc() {
        if is_hangul(c) {
            push(c);
            continue;
        }
        for c in c.to_lowercase().flat_map(casefold).nfkd() {
            if !is_combining_mark(c) || is_kana_mark(c) {
                push(c);
            }
        }
    }
}

/// Full case folding where it differs from lower case.
fn casefold(c: char) -> impl Iterator<Item = char> {
    let (first, second) = match c {
        'ß' => ('s', Some('s')),
        'ς' => ('σ', None),
        'ſ' => ('s', None),
        'ı' => ('i', None),
        'æ' => ('a', Some('e')),
        'œ' => ('o', Some('e')),
        'ø' => ('o', None),
        'ł' => ('l', None),
        'đ' => ('d', None),
        other => (other, None),
    };
    std::iter::once(first).chain(second)
}

/// Voicing marks of kana are letters: か and が differ.
fn is_kana_mark(c: char) -> bool {
    matches!(c, '\u{3099}' | '\u{309a}')
}

fn is_hangul(c: char) -> bool {
    matches!(c, '\u{ac00}'..='\u{d7a3}' | '\u{1100}'..='\u{11ff}')
}

/// Scripts whose words are not, or not only, told by spaces.
fn is_cjk(c: char) -> bool {
    is_hangul(c)
        || is_kana_mark(c)
        || matches!(c, '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

fn pairs(run: &[Folded], out: &mut Vec<Token>) {
    let token = |part: &[Folded]| Token {
        text: part.iter().map(|f| f.c).nfc().collect(),
        bytes: part[0].from..part[part.len() - 1].to,
    };
    // A kana and its voicing mark are one character.
    let mut starts: Vec<usize> = (0..run.len()).filter(|i| *i == 0 || !is_kana_mark(run[*i].c)).collect();
    starts.push(run.len());
    if starts.len() == 2 {
        out.push(token(run));
    }
    for three in starts.windows(3) {
        out.push(token(&run[three[0]..three[2]]));
    }
}

/// Letters and digits. Apostrophes go (`don't` is `dont`), other joiners separate.
fn words(run: &[Folded], out: &mut Vec<Token>) {
    let mut current: Option<Token> = None;
    for f in run {
        if f.c.is_alphanumeric() {
            let token = current.get_or_insert_with(|| Token { text: String::new(), bytes: f.from..f.to });
            if token.text.chars().count() < MAX_TOKEN_CHARS {
                token.text.push(f.c);
            }
            token.bytes.end = f.to;
        } else if !matches!(f.c, '\'' | '\u{2019}' | '\u{ad}' | '\u{200c}' | '\u{200d}') {
            out.extend(current.take());
        }
    }
    out.extend(current);
}

/// Whether a token is a pair or a single character of a script without spaces.
pub(crate) fn is_cjk_token(token: &str) -> bool {
    token.chars().next().is_some_and(is_cjk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_of_four_languages() {
        assert_eq!(
            analyze("The RED Car's 3.14 don’t x-ray"),
            ["the", "red", "cars", "3", "14", "dont", "x", "ray"]
        );
        assert_eq!(analyze("미나가 왔다. 나"), ["미나", "나가", "왔다", "나"]);
        assert_eq!(analyze("東京タワー"), ["東京", "京タ", "タワ", "ワー"]);
        assert_eq!(analyze("我喜欢红色的车"), ["我喜", "喜欢", "欢红", "红色", "色的", "的车"]);
        assert_eq!(analyze("がぎ か"), ["がぎ", "か"]);
        assert_eq!(analyze("iPhone을 봤다"), ["iphone", "을", "봤다"]);
    }

    #[test]
    fn spelling_variants_are_one() {
        for (a, b) in [
            ("Café", "cafe"),
            ("한글", "한글"),
            ("ＡＢＣ１", "abc1"),
            ("Straße", "STRASSE"),
            ("ﾀﾜｰ", "タワー"),
            ("ΛΌΓΟΣ", "λόγος"),
            ("İstanbul", "istanbul"),
        ] {
            assert_eq!(analyze(a), analyze(b), "{a} {b}");
        }
        assert_ne!(analyze("か"), analyze("が"));
    }

    #[test]
    fn a_name_is_found_next_to_a_particle() {
        for text in ["미나가", "미나는", "미나에게서"] {
            assert!(analyze(text).contains(&analyze("미나")[0]), "{text}");
        }
    }

    proptest! {
        #[test]
        fn tokens_are_clean_and_point_into_the_text(text in "\\PC{0,60}") {
            for token in tokens(&text) {
                prop_assert!(text.get(token.bytes.clone()).is_some());
                prop_assert!(!token.text.is_empty());
                prop_assert!(token.text.chars().all(|c| c.is_alphanumeric() || is_kana_mark(c) || is_cjk(c)), "{:?}", token);
            }
        }

        #[test]
        fn analysis_is_stable(text in "[a-zA-Zéß가-힣ぁ-んァ-ヶ一-龥 '.-]{0,40}") {
            let once = analyze(&text);
            prop_assert_eq!(analyze(&text.to_lowercase()), once);
        }
    }
}
