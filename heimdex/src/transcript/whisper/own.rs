//! Whisper computed by [`network`](super::network), and what is said by it: the most probable text, found by
//! following one hypothesis or several.

use std::sync::Arc;

use super::align;
use super::engine::{Engine, Run, Window};
use super::model::Loaded;
use super::network::{Network, Session, State, Step};
use super::rules::log_sum;
use super::words::Token;
use crate::{Cancel, Result, Timestamp};

/// Tokens of a window. With those before they have to fit into the decoder's 448 positions.
const MOST_TOKENS: usize = 220;

/// Samples of 20 ms, a position of the encoder and a step of the times.
const POSITION: usize = 320;

const POSITIONS: usize = 1500;

/// A window ends where a time is nearer to its end than this many positions: 100 ms.
const NEAR: usize = 5;

pub(super) struct Own {
    network: Arc<Network>,
    threads: usize,
    state: State,
    /// Positions of the sound that was listened to.
    positions: usize,
}

/// A text so far.
#[derive(Clone)]
struct Hypothesis {
    /// Where the keys and values of its tokens are.
    path: Vec<usize>,
    said: Vec<u32>,
    log_probabilities: Vec<f32>,
    sum: f32,
}

impl Hypothesis {
    fn with(&self, token: u32, log_probability: f32) -> Self {
        let mut longer = self.clone();
        longer.said.push(token);
        longer.log_probabilities.push(log_probability);
        longer.sum += log_probability;
        longer
    }
}

impl Own {
    pub(super) fn new(network: Arc<Network>) -> Self {
        Self { network, threads: 1, state: State::default(), positions: 0 }
    }
}

#[cfg(feature = "testing")]
impl Own {
    /// Listens, then says `count` tokens whatever they are: when it had listened, and when it was done.
    pub(super) fn pace(
        &mut self,
        loaded: &Loaded,
        pcm: &[f32],
        threads: usize,
        count: usize,
    ) -> Result<[std::time::Duration; 2]> {
        let (vocabulary, begun) = (&loaded.vocabulary, std::time::Instant::now());
        self.listen(loaded, pcm, threads, &Cancel::new())?;
        let listened = begun.elapsed();
        let language = vocabulary.language("en").unwrap_or(vocabulary.start());
        let mut said =
            vec![vocabulary.start(), language, vocabulary.transcribe(), vocabulary.without_times()];
        let (signs, path): (usize, Vec<usize>) = (said.len(), (0..said.len() + count).collect());
        self.network.with(&mut self.state, threads, |session| {
            let prompt: Vec<_> = (0..signs).map(|i| Step { token: said[i], path: &path[..=i] }).collect();
            let mut logits = session.decode(&prompt, signs - 1);
            while said.len() < signs + count {
                loaded.rules.apply(&mut logits, &said[signs..], false);
                logits[vocabulary.end as usize] = f32::NEG_INFINITY;
                let sum = log_sum(&logits);
                let Some((token, _)) = highest(&logits).filter(|(_, logit)| (logit - sum).is_finite()) else {
                    break;
                };
                said.push(token);
                if said.len() < signs + count {
                    logits = session.decode(&[Step { token, path: &path[..said.len()] }], 0);
                }
            }
        });
        Ok([listened, begun.elapsed()])
    }
}

impl Engine for Own {
    fn listen(&mut self, _: &Loaded, pcm: &[f32], threads: usize, cancel: &Cancel) -> Result<()> {
        self.positions = (pcm.len() / POSITION).clamp(1, POSITIONS);
        self.threads = threads;
        self.network.with(&mut self.state, threads, |session| session.listen(pcm, cancel))
    }

    fn first(&mut self, loaded: &Loaded) -> Result<Vec<f32>> {
        let start = Step { token: loaded.vocabulary.start(), path: &[0] };
        Ok(self.network.with(&mut self.state, self.threads, |session| session.decode(&[start], 0)))
    }

    fn window(&mut self, loaded: &Loaded, run: &Run<'_>, cancel: &Cancel) -> Result<Window> {
        let positions = self.positions;
        self.network.with(&mut self.state, self.threads, |session| {
            Search { session, loaded, positions, cancel }.window(run)
        })
    }
}

struct Search<'a, 'b> {
    session: &'a mut Session<'b>,
    loaded: &'a Loaded,
    positions: usize,
    cancel: &'a Cancel,
}

impl Search<'_, '_> {
    fn window(mut self, run: &Run<'_>) -> Result<Window> {
        let vocabulary = &self.loaded.vocabulary;
        let signs = self.signs(run);
        let mut prompt = Vec::new();
        if !run.before.is_empty() {
            prompt.push(vocabulary.before());
            prompt.extend_from_slice(run.before);
        }
        prompt.extend_from_slice(&signs);
        let path: Vec<usize> = (0..prompt.len()).collect();
        let steps: Vec<_> =
            prompt.iter().zip(1..).map(|(token, n)| Step { token: *token, path: &path[..n] }).collect();
        let logits = self.session.decode(&steps, prompt.len() - 1);
        let begun = Hypothesis { path, said: Vec::new(), log_probabilities: Vec::new(), sum: 0.0 };
        let best =
            if run.beams > 1 { self.several(begun, logits, run.beams)? } else { self.one(begun, logits)? };
        self.cancel.check()?;
        let ends = self.ends(&signs, &best.said);
        let mut ends = ends.iter().skip(1);
        let text = |token: u32| token < vocabulary.end;
        let tokens = best.said.iter().zip(&best.log_probabilities).filter(|(id, _)| **id != vocabulary.end);
        let tokens: Vec<_> = tokens
            .map(|(id, log_probability)| Token {
                id: *id,
                bytes: vocabulary.bytes(*id).to_vec(),
                probability: log_probability.exp(),
                log_probability: *log_probability,
                end: text(*id)
                    .then(|| ends.next())
                    .flatten()
                    .map_or(Timestamp::ZERO, |frame| Timestamp::from_millis(*frame as i64 * 20)),
            })
            .collect();
        // The token that ends the text counts in the mean, also where it did not come.
        let average_log_probability = best.sum / (tokens.len() + 1) as f32;
        Ok(Window { tokens, average_log_probability })
    }

    /// What tells the decoder its task.
    fn signs(&self, run: &Run<'_>) -> Vec<u32> {
        let vocabulary = &self.loaded.vocabulary;
        let mut signs = vec![vocabulary.start()];
        if let Some(language) = vocabulary.language(run.language) {
            signs.push(language);
            signs.push(if run.translate { vocabulary.translate() } else { vocabulary.transcribe() });
        }
        if !self.loaded.has_times() {
            signs.push(vocabulary.without_times());
        }
        signs
    }

    /// The most probable token each time.
    fn one(&mut self, mut best: Hypothesis, mut logits: Vec<f32>) -> Result<Hypothesis> {
        loop {
            let sum = self.rule(&mut logits, &best.said);
            let Some((token, logit)) = highest(&logits) else { return Ok(best) };
            best = best.with(token, logit - sum);
            if self.is_over(&best.said) || best.said.len() == MOST_TOKENS {
                return Ok(best);
            }
            self.cancel.check()?;
            best.path.push(best.path.len());
            logits = self.session.decode(&[Step { token, path: &best.path }], 0);
        }
    }

    /// The most probable of some texts, which are followed side by side until as many have ended.
    ///
    /// Source: openai-whisper, `decoding.py`, `BeamSearchDecoder` and `MaximumLikelihoodRanker`.
    fn several(&mut self, begun: Hypothesis, mut logits: Vec<f32>, beams: usize) -> Result<Hypothesis> {
        let vocabulary = self.loaded.shape.vocabulary as usize;
        let empty = begun.clone();
        let (mut open, mut ended) = (vec![begun], Vec::new());
        loop {
            let mut candidates = Vec::new();
            for (hypothesis, logits) in open.iter().zip(logits.chunks_exact_mut(vocabulary)) {
                let sum = self.rule(logits, &hypothesis.said);
                let next = several_highest(logits, beams + 1);
                candidates.extend(next.map(|(token, logit)| (hypothesis, token, logit - sum)));
            }
            candidates
                .sort_by(|(a, _, more_a), (b, _, more_b)| (b.sum + more_b).total_cmp(&(a.sum + more_a)));
            let (mut going_on, mut done) = (Vec::new(), Vec::new());
            for (hypothesis, token, more) in candidates {
                let longer = hypothesis.with(token, more);
                if self.is_over(&longer.said) {
                    done.push(longer);
                } else {
                    going_on.push(longer);
                    if going_on.len() == beams {
                        break;
                    }
                }
            }
            let room = beams.saturating_sub(ended.len());
            ended.extend(done.into_iter().take(room));
            open = going_on;
            let is_long = open.first().is_none_or(|hypothesis| hypothesis.said.len() == MOST_TOKENS);
            if ended.len() >= beams || is_long {
                break;
            }
            self.cancel.check()?;
            // Slots that no text goes through any more are taken again.
            let slots = || open.iter().flat_map(|hypothesis| hypothesis.path.iter().copied());
            let mut taken = vec![false; slots().max().map_or(0, |slot| slot + 1) + open.len()];
            for slot in slots() {
                taken[slot] = true;
            }
            let free = taken.iter().enumerate().filter(|(_, taken)| !**taken).map(|(slot, _)| slot);
            for (hypothesis, slot) in open.iter_mut().zip(free) {
                hypothesis.path.push(slot);
            }
            let steps: Vec<_> =
                open.iter().filter_map(|h| Some(Step { token: *h.said.last()?, path: &h.path })).collect();
            logits = self.session.decode(&steps, 0);
        }
        let left = beams.saturating_sub(ended.len());
        ended.extend(open.into_iter().take(left));
        let score = |hypothesis: &Hypothesis| {
            let words = hypothesis.said.iter().filter(|token| **token != self.loaded.vocabulary.end);
            hypothesis.sum / words.count().max(1) as f32
        };
        let best = ended.into_iter().reduce(|a, b| if score(&b) > score(&a) { b } else { a });
        Ok(best.unwrap_or(empty))
    }

    /// Applies the rules, and gives what logits have to be less than to be logarithms of probabilities.
    fn rule(&self, logits: &mut [f32], said: &[u32]) -> f32 {
        self.loaded.rules.apply(logits, said, self.loaded.has_times());
        log_sum(logits)
    }

    /// Whether a text ends, or has come to the end of the sound.
    fn is_over(&self, said: &[u32]) -> bool {
        let vocabulary = &self.loaded.vocabulary;
        let Some(last) = said.last() else { return false };
        let time = last.checked_sub(vocabulary.times()).filter(|time| *time > 0);
        *last == vocabulary.end || time.is_some_and(|time| time as usize + NEAR >= self.positions)
    }

    /// Where each token of text ends, after one that stands for the beginning.
    fn ends(&mut self, signs: &[u32], said: &[u32]) -> Vec<usize> {
        let vocabulary = &self.loaded.vocabulary;
        let text: Vec<u32> = said.iter().copied().filter(|token| *token < vocabulary.end).collect();
        if text.is_empty() {
            return Vec::new();
        }
        let mut tokens: Vec<u32> =
            signs.iter().copied().filter(|sign| *sign != vocabulary.without_times()).collect();
        let skip = tokens.len();
        tokens.push(vocabulary.without_times());
        tokens.extend(text);
        tokens.push(vocabulary.end);
        let shape = &self.loaded.shape;
        let scores = self.session.look(&tokens, &self.loaded.heads);
        let scale = 1.0 / (shape.text_state as f32 / shape.text_heads as f32).sqrt();
        align::ends(&scores, tokens.len(), POSITIONS, self.positions, skip, scale)
    }
}

/// The most probable token and its logit.
fn highest(logits: &[f32]) -> Option<(u32, f32)> {
    several_highest(logits, 1).next()
}

/// The most probable tokens that may come at all, the best first.
fn several_highest(logits: &[f32], count: usize) -> impl Iterator<Item = (u32, f32)> + use<> {
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    let mut least = f32::NEG_INFINITY;
    for (token, logit) in (0..).zip(logits) {
        if *logit > least {
            let at = best.partition_point(|(_, better)| *better >= *logit);
            best.insert(at, (token, *logit));
            best.truncate(count);
            if best.len() == count {
                least = best[count - 1].1;
            }
        }
    }
    best.into_iter()
}
