//! Sound as 16 kHz mono.

use std::ptr;

use ffmpeg_next::ffi;

use super::ffi::Frame;
use crate::Timestamp;

/// Samples per second that recognisers take.
pub const SAMPLE_RATE_HZ: u32 = 16_000;

/// A timestamp this far from where the samples before it end is a gap, not jitter.
const GAP_MICROS: i64 = 100_000;

/// Mixes down and resamples to 16 kHz mono.
///
/// Mixing runs in 16 bits, whose level is that of `ffmpeg -ac 1 -f s16le`: mixing to float does not
/// normalise and comes out louder.
pub(super) struct Resampler {
    context: *mut ffi::SwrContext,
    /// Rate, format and channels that the context was made for.
    shape: (i32, i32, i32),
    /// Where the next sample that comes out belongs.
    next: Option<Timestamp>,
    sent: i64,
    anchor: Timestamp,
    pcm: Vec<i16>,
    out: Vec<f32>,
}

// SAFETY: used by one thread at a time, the one that owns it.
unsafe impl Send for Resampler {}

impl Resampler {
    pub(super) fn new() -> Self {
        Self {
            context: ptr::null_mut(),
            shape: (0, -1, 0),
            next: None,
            sent: 0,
            anchor: Timestamp::ZERO,
            pcm: Vec::new(),
            out: Vec::new(),
        }
    }

    /// Feeds a frame that begins at `time`; gives the samples that are ready and when they begin.
    /// `None` as frame takes what is left. A negative status is FFmpeg's.
    pub(super) fn feed(
        &mut self,
        frame: Option<&Frame>,
        time: Option<Timestamp>,
    ) -> Result<(Timestamp, &[f32]), i32> {
        let frame = frame.map(Frame::get);
        if let Some(frame) = frame {
            let shape = (frame.sample_rate, frame.format, frame.ch_layout.nb_channels);
            if self.context.is_null() || shape != self.shape {
                self.configure(frame)?;
                self.shape = shape;
            }
            self.align(time);
        } else if self.context.is_null() {
            return Ok((self.anchor, &[]));
        }
        let samples = frame.map_or(0, |f| f.nb_samples);
        // SAFETY: the context is configured; input pointers are the frame's or null at the end;
        // the output has room for what FFmpeg says it may write.
        let written = unsafe {
            let room = ffi::swr_get_out_samples(self.context, samples).max(0);
            self.pcm.resize(room as usize, 0);
            let mut target = self.pcm.as_mut_ptr().cast::<u8>();
            let source = frame.map_or(ptr::null_mut(), |f| f.extended_data.cast::<*const u8>());
            ffi::swr_convert(self.context, &raw mut target, room, source.cast(), samples)
        };
        let written = usize::try_from(written).map_err(|_| written)?;
        self.out.clear();
        self.out.extend(self.pcm[..written].iter().map(|s| f32::from(*s) / 32768.0));
        let start = self.time_of(self.sent);
        self.sent += written as i64;
        self.next = Some(self.time_of(self.sent));
        Ok((start, &self.out))
    }

    fn time_of(&self, sample: i64) -> Timestamp {
        self.anchor.plus_micros(sample * 1_000_000 / i64::from(SAMPLE_RATE_HZ))
    }

    /// Moves the anchor to the frame's own time where the track begins or jumps.
    fn align(&mut self, time: Option<Timestamp>) {
        let Some(time) = time else { return };
        // SAFETY: the context is configured.
        let delay = unsafe { ffi::swr_get_delay(self.context, 1_000_000) };
        let jumped = |next: Timestamp| time.micros_since(next.plus_micros(delay)).abs() > GAP_MICROS;
        if self.next.is_none_or(jumped) {
            self.anchor = if self.next.is_none() { time } else { time.plus_micros(-delay) };
            self.sent = 0;
        }
    }

    fn configure(&mut self, frame: &ffi::AVFrame) -> Result<(), i32> {
        // SAFETY: layouts live during the calls that copy them; the context is freed or reused.
        unsafe {
            let mut mono = std::mem::zeroed::<ffi::AVChannelLayout>();
            ffi::av_channel_layout_default(&raw mut mono, 1);
            let mut layout = std::mem::zeroed::<ffi::AVChannelLayout>();
            if frame.ch_layout.order == ffi::AVChannelOrder::AV_CHANNEL_ORDER_UNSPEC {
                ffi::av_channel_layout_default(&raw mut layout, frame.ch_layout.nb_channels);
            } else {
                ffi::av_channel_layout_copy(&raw mut layout, &raw const frame.ch_layout);
            }
            ffi::swr_free(&raw mut self.context);
            let status = ffi::swr_alloc_set_opts2(
                &raw mut self.context,
                &raw mut mono,
                ffi::AVSampleFormat::AV_SAMPLE_FMT_S16,
                SAMPLE_RATE_HZ as i32,
                &raw mut layout,
                std::mem::transmute::<i32, ffi::AVSampleFormat>(frame.format),
                frame.sample_rate,
                0,
                ptr::null_mut(),
            );
            ffi::av_channel_layout_uninit(&raw mut layout);
            let status = if status < 0 { status } else { ffi::swr_init(self.context) };
            if status < 0 {
                ffi::swr_free(&raw mut self.context);
                return Err(status);
            }
        }
        Ok(())
    }
}

impl Drop for Resampler {
    fn drop(&mut self) {
        // SAFETY: made by `swr_alloc_set_opts2`, or null.
        unsafe { ffi::swr_free(&raw mut self.context) };
    }
}
