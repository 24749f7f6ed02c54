//! Silero's model of speech activity, in the format of whisper.cpp.

use std::collections::VecDeque;
use std::path::Path;

use whisper_rs::{WhisperVadContext, WhisperVadContextParams};

use super::super::activity::{FRAME, VoiceActivity};
use crate::{Error, Result};

/// Samples of one probability.
const STEP: usize = 512;

/// Samples that are judged at once: the least that both steps and frames divide, 50 times; 8 s.
const BLOCK: usize = 2560 * 50;

/// Samples given again before each block, for the model begins each call without memory.
const MEMORY: usize = 2560 * 6;

/// The least probability of speech, the one that Silero proposes.
const SPEECH: f32 = 0.5;

/// Tells speech from other sound by a small recurrent network.
pub(crate) struct Silero {
    context: WhisperVadContext,
    name: String,
    /// The end of what was judged, then what was not.
    pcm: VecDeque<f32>,
    judged: usize,
}

impl Silero {
    /// Opens a file such as `ggml-silero-v5.1.2.bin`.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        super::cpp::quiet_log();
        let name = path.display().to_string();
        std::fs::File::open(path).map_err(|e| Error::model_missing(&name, e.to_string()))?;
        let text = path.to_str().filter(|text| !text.contains('\0'));
        let text = text.ok_or_else(|| Error::invalid("speech.activity", "the path must be UTF-8"))?;
        let mut parameters = WhisperVadContextParams::new();
        parameters.set_n_threads(1);
        parameters.set_use_gpu(false);
        let context = WhisperVadContext::new(text, parameters)
            .map_err(|_| Error::model(&name, "this is no Silero model in the format of whisper.cpp"))?;
        Ok(Self { context, name, pcm: VecDeque::new(), judged: 0 })
    }

    /// Judges all samples that were not, `frames` frames of them.
    fn judge(&mut self, frames: usize, out: &mut Vec<bool>) -> Result<()> {
        let samples: Vec<f32> = self.pcm.iter().copied().collect();
        let failed = |e| Error::Model {
            model: self.name.clone(),
            kind: crate::ErrorKind::Model,
            message: "the model of speech activity failed".to_owned(),
            source: Some(Box::new(e)),
        };
        self.context.detect_speech(&samples).map_err(failed)?;
        let probabilities = self.context.probabilities();
        out.extend((0..frames).map(|frame| {
            let middle = self.judged + frame * FRAME + FRAME / 2;
            probabilities.get(middle / STEP).is_some_and(|p| *p >= SPEECH)
        }));
        let keep = samples.len().min(MEMORY);
        self.pcm.drain(..samples.len() - keep);
        self.judged = keep;
        Ok(())
    }
}

impl VoiceActivity for Silero {
    fn push(&mut self, pcm: &[f32], out: &mut Vec<bool>) -> Result<()> {
        for sample in pcm {
            self.pcm.push_back(if sample.is_finite() { *sample } else { 0.0 });
            if self.pcm.len() - self.judged == BLOCK {
                self.judge(BLOCK / FRAME, out)?;
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<bool>) -> Result<()> {
        let left = self.pcm.len() - self.judged;
        if left > 0 {
            self.judge(left.div_ceil(FRAME), out)?;
        }
        self.pcm.clear();
        self.judged = 0;
        Ok(())
    }
}
