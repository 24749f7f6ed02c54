//! Cues of embedded text subtitles, as FFmpeg's decoders give them.

use std::ptr;

use ffmpeg_next::ffi;
use serde::{Deserialize, Serialize};

use super::ffi::{Decoder, DecoderOptions, Packet, string, timestamp};
use crate::{Span, Timestamp};

/// Most bytes of cues kept of one file: a film's subtitles are a few hundred kilobytes.
const MAX_BYTES: usize = 32 << 20;

/// A cue of an embedded text stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddedCue {
    /// Index of the stream in the file.
    pub stream: usize,
    /// When it is shown.
    #[serde(flatten)]
    pub span: Span,
    /// An event line of Advanced SubStation Alpha, into which FFmpeg turns every text format:
    /// `ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text`.
    pub event: String,
}

pub(super) struct SubtitleDecoder {
    pub(super) stream: usize,
    decoder: Decoder,
    base: ffi::AVRational,
    bytes: usize,
}

impl SubtitleDecoder {
    /// # Safety
    /// `stream` is valid during the call.
    pub(super) unsafe fn open(index: usize, stream: *mut ffi::AVStream) -> Result<Self, i32> {
        let options = DecoderOptions { threads: 1, max_pixels: 1 << 20, fast: false };
        // SAFETY: by contract.
        let (decoder, base) = unsafe { (Decoder::open(stream, &options)?, (*stream).time_base) };
        Ok(Self { stream: index, decoder, base, bytes: 0 })
    }

    pub(super) fn decode(&mut self, packet: &Packet, zero: Timestamp, cues: &mut Vec<EmbeddedCue>) {
        let Some(start) = timestamp(packet.get().pts, self.base) else { return };
        let start = start.plus_micros(-zero.as_micros());
        // SAFETY: plain data for which all zero is valid; FFmpeg fills it and `avsubtitle_free`
        // frees what it allocated.
        let mut subtitle = unsafe { std::mem::zeroed::<ffi::AVSubtitle>() };
        let mut got = 0;
        // SAFETY: the decoder is open, the packet valid.
        let status = unsafe {
            ffi::avcodec_decode_subtitle2(
                self.decoder.as_ptr(),
                &raw mut subtitle,
                &raw mut got,
                packet.as_ptr(),
            )
        };
        if status < 0 || got == 0 {
            return;
        }
        let shown = start.plus_micros(i64::from(subtitle.start_display_time) * 1000);
        let length = timestamp(packet.get().duration, self.base).map_or(0, Timestamp::as_micros);
        let end = match subtitle.end_display_time {
            0 | u32::MAX => start.plus_micros(length),
            millis => start.plus_micros(i64::from(millis) * 1000),
        };
        for i in 0..subtitle.num_rects as usize {
            // SAFETY: FFmpeg keeps `num_rects` valid pointers.
            let rect = unsafe { &**subtitle.rects.add(i) };
            // SAFETY: null or a zero-ended string of the rectangle.
            let Some(event) = (unsafe { string(rect.ass) }) else { continue };
            self.bytes += event.len();
            if self.bytes <= MAX_BYTES {
                cues.push(EmbeddedCue { stream: self.stream, span: Span::new(shown, end), event });
            }
        }
        // SAFETY: filled by FFmpeg, freed once.
        unsafe { ffi::avsubtitle_free(ptr::from_mut(&mut subtitle)) };
    }
}
