//! Whisper's network on the processor.
//!
//! Weights stay in the precision of their file; with weights of 8 bits or less, what they are multiplied with,
//! and what attention looks at, is of 8 bits in blocks of 32 too. Sums are of 32-bit floats. The numbers are the
//! same with any number of threads.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod bytes;
mod columns;
mod decoder;
mod encoder;
mod formats;
mod halves;
mod layers;
mod matrix;
mod panels;
mod spectrogram;
mod team;
#[cfg(target_arch = "x86_64")]
mod vnni;

use std::collections::HashMap;

pub(super) use decoder::{HeadOf, Step};
pub(super) use matrix::{Matrix, Precision};

use self::decoder::{Decoder, Memory};
use self::encoder::{Encoder, POSITIONS};
use self::layers::{Linear, Mlp, Norm};
use self::spectrogram::Spectrogram;
use self::team::Team;
use super::file::Contents;
use crate::{Cancel, Result};

/// The weights.
pub(super) struct Network {
    spectrogram: Spectrogram,
    encoder: Encoder,
    decoder: Decoder,
}

/// What a window of sound has come to. One is used for window after window.
#[derive(Default)]
pub(super) struct State {
    memory: Memory,
}

/// A window that is worked on, with some threads.
pub(super) struct Session<'a> {
    network: &'a Network,
    team: &'a Team<'a>,
    state: &'a mut State,
}

impl Network {
    /// The network of a file.
    pub(super) fn read(contents: &mut Contents) -> Result<Self> {
        let shape = contents.shape;
        let [audio, text] = [shape.audio_state, shape.text_state].map(|n| n as usize);
        let mels = shape.mels as usize;
        let filters = contents.filters.clone();
        let spectrogram = Spectrogram::new(&filters);
        let mut layers = Vec::new();
        for i in 0..shape.audio_layers {
            let at = |name: &str| format!("encoder.blocks.{i}.{name}");
            layers.push(encoder::Layer {
                norm: norm(contents, &at("attn_ln"), audio)?,
                project: attention(contents, &at("attn"), &["query", "key", "value"], audio, audio)?,
                out: linear(contents, &at("attn.out"), audio, audio)?,
                mlp: mlp(contents, &at(""), audio)?,
            });
        }
        let encoder = Encoder {
            first: linear(contents, "encoder.conv1", audio, 3 * mels)?,
            second: linear(contents, "encoder.conv2", audio, 3 * audio)?,
            positions: contents.floats("encoder.positional_embedding", POSITIONS * audio)?,
            layers,
            norm: norm(contents, "encoder.ln_post", audio)?,
            heads: shape.audio_heads as usize,
        };
        let mut layers = Vec::new();
        for i in 0..shape.text_layers {
            let at = |name: &str| format!("decoder.blocks.{i}.{name}");
            layers.push(decoder::Layer {
                norm: norm(contents, &at("attn_ln"), text)?,
                project: attention(contents, &at("attn"), &["query", "key", "value"], text, text)?,
                out: linear(contents, &at("attn.out"), text, text)?,
                sound_norm: norm(contents, &at("cross_attn_ln"), text)?,
                ask: attention(contents, &at("cross_attn"), &["query"], text, text)?,
                answer: attention(contents, &at("cross_attn"), &["key", "value"], text, audio)?,
                sound_out: linear(contents, &at("cross_attn.out"), text, text)?,
                mlp: mlp(contents, &at(""), text)?,
            });
        }
        let vocabulary = shape.vocabulary as usize;
        let decoder = Decoder {
            tokens: contents.matrix(&["decoder.token_embedding.weight".into()], vocabulary, text)?,
            positions: contents
                .floats("decoder.positional_embedding", shape.text_positions as usize * text)?,
            layers,
            norm: norm(contents, "decoder.ln", text)?,
            heads: shape.text_heads as usize,
        };
        Ok(Self { spectrogram, encoder, decoder })
    }

    /// Runs `body` with `threads` threads at hand.
    pub(super) fn with<R>(
        &self,
        state: &mut State,
        threads: usize,
        body: impl FnOnce(&mut Session<'_>) -> R,
    ) -> R {
        Team::with(threads, |team| body(&mut Session { network: self, team, state }))
    }
}

impl Session<'_> {
    /// Takes the first 30 s of a sound.
    ///
    /// # Errors
    /// Only that of `cancel`.
    pub(super) fn listen(&mut self, pcm: &[f32], cancel: &Cancel) -> Result<()> {
        let Network { spectrogram, encoder, decoder } = self.network;
        let rows = spectrogram.of(self.team, pcm);
        let sound = encoder.encode(self.team, &rows, spectrogram.bands(), cancel)?;
        decoder.listen(self.team, &mut self.state.memory, &sound, cancel)
    }

    /// The spectrogram of a sound, and what the encoder makes of it.
    #[cfg(test)]
    pub(super) fn see(&mut self, pcm: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let Network { spectrogram, encoder, .. } = self.network;
        let rows = spectrogram.of(self.team, pcm);
        let sound = encoder.encode(self.team, &rows, spectrogram.bands(), &Cancel::new());
        (rows, sound.unwrap_or_default())
    }

    /// Takes tokens, and gives the logits of what comes after each of them but the first `silent`.
    pub(super) fn decode(&mut self, steps: &[Step<'_>], silent: usize) -> Vec<f32> {
        let none = &mut HashMap::new();
        self.network.decoder.decode(self.team, &mut self.state.memory, steps, silent, none)
    }

    /// The products of queries and keys of these heads of attention to the sound, a row of 1,500 for each token.
    pub(super) fn look(&mut self, tokens: &[u32], heads: &[HeadOf]) -> Vec<Vec<f32>> {
        let slots: Vec<usize> = (0..tokens.len()).collect();
        let steps: Vec<_> =
            tokens.iter().enumerate().map(|(i, token)| Step { token: *token, path: &slots[..=i] }).collect();
        let mut watched: HashMap<_, _> = heads.iter().map(|head| (*head, Vec::new())).collect();
        self.network.decoder.decode(self.team, &mut self.state.memory, &steps, tokens.len(), &mut watched);
        heads.iter().filter_map(|head| watched.remove(head)).collect()
    }
}

fn norm(contents: &mut Contents, name: &str, width: usize) -> Result<Norm> {
    let weight = contents.floats(&format!("{name}.weight"), width)?;
    let bias = contents.floats(&format!("{name}.bias"), width)?;
    Ok(Norm { weight, bias })
}

fn linear(contents: &mut Contents, name: &str, rows: usize, inner: usize) -> Result<Linear> {
    let bias = contents.floats(&format!("{name}.bias"), rows)?;
    Ok(Linear { weight: contents.matrix(&[format!("{name}.weight")], rows, inner)?, bias })
}

/// Some of an attention's products as one. Keys have no bias.
fn attention(
    contents: &mut Contents,
    name: &str,
    parts: &[&str],
    width: usize,
    inner: usize,
) -> Result<Linear> {
    let names: Vec<_> = parts.iter().map(|part| format!("{name}.{part}.weight")).collect();
    let weight = contents.matrix(&names, width, inner)?;
    let mut bias = Vec::with_capacity(parts.len() * width);
    for part in parts {
        if *part == "key" {
            bias.resize(bias.len() + width, 0.0);
        } else {
            bias.extend(contents.floats(&format!("{name}.{part}.bias"), width)?);
        }
    }
    Ok(Linear { weight, bias })
}

fn mlp(contents: &mut Contents, layer: &str, width: usize) -> Result<Mlp> {
    Ok(Mlp {
        norm: norm(contents, &format!("{layer}mlp_ln"), width)?,
        up: linear(contents, &format!("{layer}mlp.0"), 4 * width, width)?,
        down: linear(contents, &format!("{layer}mlp.2"), width, 4 * width)?,
    })
}
