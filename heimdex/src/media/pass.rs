//! Packets through decoders, in file order.

use std::thread;
use std::time::Duration;

use crossbeam_channel::{SendTimeoutError, Sender};
use ffmpeg_next::ffi;

use super::audio::Resampler;
use super::decode::{AudioSink, DecodeOptions, DecodeReport, MediaFile};
use super::ffi::{Decoder, DecoderOptions, EAGAIN, EOF, Frame, Packet, message, timestamp};
use super::input::Input;
use super::subtitle::SubtitleDecoder;
use super::{AudioStream, VideoFrame, VideoStream};
use crate::{Cancel, Error, ErrorKind, Result, Timestamp};

/// How often a full queue is left to look at `cancel`.
const PATIENCE: Duration = Duration::from_millis(50);

/// The pictures' half of a pass.
struct Pictures {
    stream: VideoStream,
    decoder: Decoder,
    base: ffi::AVRational,
    packets: u64,
    steps: Steps,
}

/// The sound's half of a pass.
struct Sound {
    stream: AudioStream,
    decoder: Decoder,
    base: ffi::AVRational,
    resampler: Resampler,
}

pub(super) struct Pass {
    pictures: Option<Pictures>,
    sound: Option<Sound>,
    subtitles: Vec<SubtitleDecoder>,
    frame: Frame,
    report: DecodeReport,
    decode_errors: u64,
    /// Of the sound of a file that has pictures.
    sound_errors: u64,
    /// Whether the file has pictures: decoding its sound too then changes nothing else in the report.
    beside: bool,
    corrupt_frames: u64,
    zero: Timestamp,
}

impl Pass {
    /// `sound` says who takes it, and of which stream where it is not the usual one.
    pub(super) fn new(
        file: &MediaFile,
        options: &DecodeOptions,
        video: bool,
        sound: (bool, Option<usize>),
        subtitles: bool,
    ) -> Result<Self> {
        let MediaFile { input, info } = file;
        let streams: Vec<_> = input.streams().collect();
        let threads = match options.threads {
            0 => thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let open = |index: usize, threads: usize| {
            let options =
                DecoderOptions { threads, max_pixels: input.limits.max_pixels, fast: !options.exact };
            let stream = streams[index];
            // SAFETY: the stream belongs to the opened input.
            let decoder = unsafe { Decoder::open(stream, &options) };
            // SAFETY: as above.
            let (base, codec) = unsafe { ((*stream).time_base, (*(*stream).codecpar).codec_id) };
            let name = || {
                // SAFETY: a look-up that returns a static string.
                unsafe { super::ffi::string(ffi::avcodec_get_name(codec)) }.unwrap_or_default()
            };
            match decoder {
                Ok(decoder) => Ok((decoder, base)),
                Err(ffi::AVERROR_DECODER_NOT_FOUND) => {
                    let message = format!("stream {index}: this FFmpeg has no decoder for codec {}", name());
                    Err(input.error(ErrorKind::Unsupported, message))
                }
                Err(status) => {
                    let message = format!(
                        "stream {index}: the {} decoder refused it: {}",
                        name(),
                        super::ffi::message(status)
                    );
                    Err(input.error(ErrorKind::Unsupported, message))
                }
            }
        };
        let pictures = match info.video() {
            Some(stream) if video => {
                let (decoder, base) = open(stream.index, threads)?;
                Some(Pictures { stream: stream.clone(), decoder, base, packets: 0, steps: Steps::default() })
            }
            _ => None,
        };
        let mut report = DecodeReport::default();
        // Sound alone is decoded even when nobody listens: whether the file is whole depends on it.
        let (sound, wanted) = sound;
        let stream = match wanted {
            Some(wanted) => info.audio_tracks().find(|stream| stream.index == wanted),
            None => info.audio(),
        };
        let sound = match stream {
            Some(stream) if sound || info.video().is_none() => match open(stream.index, 1) {
                Ok((decoder, base)) => {
                    Some(Sound { stream: stream.clone(), decoder, base, resampler: Resampler::new() })
                }
                Err(error) if pictures.is_some() => {
                    report.sound_damage.push(format!("the sound was left out: {error}"));
                    None
                }
                Err(error) => return Err(error),
            },
            _ => None,
        };
        let mut decoders = Vec::new();
        if subtitles {
            for stream in info.text_subtitles() {
                // SAFETY: the stream belongs to the opened input.
                match unsafe { SubtitleDecoder::open(stream.index, streams[stream.index]) } {
                    Ok(decoder) => decoders.push(decoder),
                    Err(status) => {
                        report.damage.push(format!(
                            "subtitle stream {} was left out: {}",
                            stream.index,
                            message(status)
                        ));
                    }
                }
            }
        }
        let frame = Frame::new().ok_or_else(|| input.error(ErrorKind::Io, "no memory for a frame"))?;
        Ok(Self {
            pictures,
            sound,
            subtitles: decoders,
            frame,
            report,
            decode_errors: 0,
            sound_errors: 0,
            beside: info.video().is_some(),
            corrupt_frames: 0,
            zero: info.start,
        })
    }

    /// Whether frames come out of it.
    pub(super) fn gives_frames(&self) -> bool {
        self.pictures.is_some()
    }

    /// Sound is read even when it is not decoded: its packets tell where the file ends.
    pub(super) fn keep_streams(&self, input: &mut Input, subtitles: bool) {
        let pictures = self.pictures.as_ref().map(|p| p.stream.index);
        let wanted: Vec<bool> = input
            .streams()
            .enumerate()
            .map(|(index, stream)| {
                // SAFETY: the stream belongs to the opened input.
                match unsafe { (*(*stream).codecpar).codec_type } {
                    ffi::AVMediaType::AVMEDIA_TYPE_VIDEO => pictures == Some(index),
                    ffi::AVMediaType::AVMEDIA_TYPE_AUDIO => true,
                    ffi::AVMediaType::AVMEDIA_TYPE_SUBTITLE => subtitles,
                    _ => false,
                }
            })
            .collect();
        input.keep_only(|index| wanted[index]);
    }

    pub(super) fn run(
        mut self,
        file: &mut MediaFile,
        frames: Option<&Sender<VideoFrame>>,
        audio: Option<&mut dyn AudioSink>,
        cancel: &Cancel,
        at: &mut dyn FnMut(Timestamp),
    ) -> Result<DecodeReport> {
        let mut audio = audio;
        let input = &mut file.input;
        let mut packet = Packet::new().ok_or_else(|| input.error(ErrorKind::Io, "no memory for a packet"))?;
        let mut encrypted = false;
        loop {
            cancel.check()?;
            let status = input.read_packet(&mut packet);
            if status == EAGAIN {
                continue;
            }
            if status < 0 {
                input.stopped(status)?;
                if status != EOF {
                    self.report.damage.push(format!("reading stopped early: {}", message(status)));
                }
                break;
            }
            input.moved();
            encrypted |= has_encryption(packet.get());
            let index = packet.get().stream_index.max(0) as usize;
            if let Some(end) = self.packet_end(input, index, &packet) {
                self.report.end = self.report.end.max(end);
                if u128::from(end.as_micros().unsigned_abs()) > input.limits.max_duration.as_micros() {
                    let message = format!("longer than max_duration, {:?}", input.limits.max_duration);
                    return Err(input.error(ErrorKind::TooLarge, message));
                }
                at(end);
            }
            if self.pictures.as_ref().is_some_and(|p| p.stream.index == index) {
                self.pictures(input, Some(&packet), frames, cancel)?;
            } else if self.sound.as_ref().is_some_and(|s| s.stream.index == index) {
                self.sound(input, Some(&packet), &mut audio)?;
            } else if let Some(decoder) = self.subtitles.iter_mut().find(|s| s.stream == index) {
                decoder.decode(&packet, self.zero, &mut self.report.cues);
            }
        }
        self.pictures(input, None, frames, cancel)?;
        self.sound(input, None, &mut audio)?;
        self.finish(file, encrypted)
    }

    /// Where a packet's content ends, by its own word.
    fn packet_end(&self, input: &Input, index: usize, packet: &Packet) -> Option<Timestamp> {
        let packet = packet.get();
        // Text is known to claim ends that lie far behind the video.
        let timed = self.pictures.as_ref().is_none_or(|p| p.stream.index != index)
            && self.subtitles.iter().all(|s| s.stream != index);
        if !timed {
            // Frames tell their ends themselves, once decoded.
            return None;
        }
        let stream = input.streams().nth(index)?;
        // SAFETY: the stream belongs to the opened input.
        let base = unsafe { (*stream).time_base };
        let start = if packet.pts == super::ffi::NO_PTS { packet.dts } else { packet.pts };
        let end = timestamp(start, base)?.plus_micros(timestamp(packet.duration.max(0), base)?.as_micros());
        Some(end.plus_micros(-self.zero.as_micros()))
    }

    fn pictures(
        &mut self,
        input: &mut Input,
        packet: Option<&Packet>,
        frames: Option<&Sender<VideoFrame>>,
        cancel: &Cancel,
    ) -> Result<()> {
        let Some(pictures) = &mut self.pictures else { return Ok(()) };
        pictures.packets += u64::from(packet.is_some());
        let mut pending = true;
        while pending {
            let status = pictures.decoder.send(packet);
            pending = status == EAGAIN;
            if status < 0 && status != EAGAIN && status != EOF {
                self.decode_errors += 1;
            }
            loop {
                let status = pictures.decoder.receive(&mut self.frame);
                if status == EAGAIN || status == EOF {
                    break;
                }
                if status < 0 {
                    self.decode_errors += 1;
                    break;
                }
                input.moved();
                let raw = self.frame.get();
                self.corrupt_frames +=
                    u64::from(raw.decode_error_flags != 0 || raw.flags & ffi::AV_FRAME_FLAG_CORRUPT != 0);
                let index = self.report.frames;
                let (time, end) =
                    pictures.steps.place(raw, index, pictures.base, &pictures.stream, self.zero);
                self.report.frames += 1;
                self.report.first_frame.get_or_insert(time);
                self.report.end = self.report.end.max(end);
                let frame =
                    self.frame.take().ok_or_else(|| input.error(ErrorKind::Io, "no memory for a frame"))?;
                let frame = VideoFrame::new(
                    frame,
                    index,
                    time,
                    pictures.stream.rotation,
                    pictures.stream.sample_aspect,
                );
                if !deliver(frames, frame, cancel)? {
                    // The sink closed the queue: its error is given by the caller.
                    return Err(Error::Cancelled);
                }
                input.moved();
            }
        }
        Ok(())
    }

    fn sound(
        &mut self,
        input: &mut Input,
        packet: Option<&Packet>,
        sink: &mut Option<&mut dyn AudioSink>,
    ) -> Result<()> {
        let Some(sound) = &mut self.sound else { return Ok(()) };
        let zero = self.zero;
        let beside = self.beside;
        let errors = if beside { &mut self.sound_errors } else { &mut self.decode_errors };
        let mut give = |report: &mut DecodeReport,
                        resampled: std::result::Result<(Timestamp, &[f32]), i32>| {
            let (start, pcm) = resampled.map_err(|status| {
                input.error(
                    ErrorKind::Unsupported,
                    format!("the sound cannot be resampled: {}", message(status)),
                )
            })?;
            if pcm.is_empty() {
                return Ok(());
            }
            report.samples += pcm.len() as u64;
            let micros = pcm.len() as i64 * 1_000_000 / i64::from(super::audio::SAMPLE_RATE_HZ);
            // Beside pictures the packets' own word counts, which is known in any case.
            if !beside {
                report.end = report.end.max(start.plus_micros(micros));
            }
            match sink {
                Some(sink) => sink.samples(start, pcm),
                None => Ok(()),
            }
        };
        let mut pending = true;
        while pending {
            let status = sound.decoder.send(packet);
            pending = status == EAGAIN;
            if status < 0 && status != EAGAIN && status != EOF {
                *errors += 1;
            }
            loop {
                let status = sound.decoder.receive(&mut self.frame);
                if status == EAGAIN || status == EOF {
                    break;
                }
                if status < 0 {
                    *errors += 1;
                    break;
                }
                let time = timestamp(self.frame.get().best_effort_timestamp, sound.base)
                    .map(|t| t.plus_micros(-zero.as_micros()));
                give(&mut self.report, sound.resampler.feed(Some(&self.frame), time))?;
            }
        }
        if packet.is_none() {
            give(&mut self.report, sound.resampler.feed(None, None))?;
        }
        Ok(())
    }

    fn finish(mut self, file: &MediaFile, encrypted: bool) -> Result<DecodeReport> {
        let input = &file.input;
        if encrypted {
            return Err(input
                .error(ErrorKind::Unsupported, "the file is encrypted; Heimdex reads no protected media"));
        }
        if self.report.frames == 0 && self.report.samples == 0 {
            let unknown_size = self.pictures.as_ref().is_some_and(|p| p.decoder.refused_size());
            return Err(if unknown_size {
                let message =
                    format!("no frame can be decoded within max_pixels, {}", input.limits.max_pixels);
                input.error(ErrorKind::TooLarge, message)
            } else if self.pictures.is_none() && self.sound.is_none() {
                input.error(ErrorKind::NoVideoStream, "the file holds no pictures")
            } else {
                input.error(
                    ErrorKind::Truncated,
                    "nothing in it can be decoded; it was probably not copied whole",
                )
            });
        }
        self.note_damage(file);
        self.report.variable_rate = self.pictures.as_ref().is_some_and(|p| p.steps.vary());
        Ok(self.report)
    }

    fn note_damage(&mut self, file: &MediaFile) {
        let damage = &mut self.report.damage;
        if self.decode_errors > 0 {
            damage.push(format!("{} packets are damaged and could not be decoded", self.decode_errors));
        } else {
            let of_sound = self.sound.as_ref().filter(|_| !self.beside);
            let logged = self.pictures.as_ref().map_or(0, |p| p.decoder.errors())
                + of_sound.map_or(0, |s| s.decoder.errors());
            if logged > 0 {
                damage.push(format!("the data is damaged in {logged} places"));
            }
        }
        if self.corrupt_frames > 0 {
            damage.push(format!("{} frames are damaged", self.corrupt_frames));
        }
        let logged = self.sound.as_ref().filter(|_| self.beside).map_or(0, |s| s.decoder.errors());
        if self.sound_errors > 0 {
            let message =
                format!("{} packets of sound are damaged and could not be decoded", self.sound_errors);
            self.report.sound_damage.push(message);
        } else if logged > 0 {
            self.report.sound_damage.push(format!("the sound is damaged in {logged} places"));
        }
        let Some(pictures) = &self.pictures else { return };
        if self.report.frames == 0 {
            damage.push("no picture can be decoded".to_owned());
        }
        // ISO media list every sample; other containers only estimate.
        let listed = pictures.stream.declared_frames.filter(|_| file.info.container.starts_with("mov,"));
        if let Some(declared) = listed.filter(|d| *d > pictures.packets) {
            damage.push(format!("the file ends early: {} of {declared} frames are there", pictures.packets));
            return;
        }
        // A sample table counts its frames; a declared length is only believed where there is none,
        // and only where it was declared and not guessed.
        let declared = file.info.declared_duration.filter(|_| {
            listed.is_none()
                && file.input.context().duration_estimation_method
                    == ffi::AVDurationEstimationMethod::AVFMT_DURATION_FROM_STREAM
        });
        if let Some(declared) = declared {
            const MARGIN_MICROS: i64 = 500_000;
            // Some containers count their length from their own zero, not from their first frame.
            let end = self.report.end.plus_micros(self.zero.as_micros().max(0));
            if declared.micros_since(end) > MARGIN_MICROS {
                damage.push(format!("the file ends early: at {} of {declared}", self.report.end));
            }
        }
    }
}

/// Gives a frame to the sink; false when the sink is gone.
fn deliver(frames: Option<&Sender<VideoFrame>>, frame: VideoFrame, cancel: &Cancel) -> Result<bool> {
    let Some(frames) = frames else { return Ok(true) };
    let mut frame = frame;
    loop {
        cancel.check()?;
        match frames.send_timeout(frame, PATIENCE) {
            Ok(()) => return Ok(true),
            Err(SendTimeoutError::Timeout(back)) => frame = back,
            Err(SendTimeoutError::Disconnected(_)) => return Ok(false),
        }
    }
}

fn has_encryption(packet: &ffi::AVPacket) -> bool {
    (0..packet.side_data_elems.max(0) as usize).any(|i| {
        // SAFETY: FFmpeg keeps `side_data_elems` valid entries.
        let entry = unsafe { &*packet.side_data.add(i) };
        entry.type_ == ffi::AVPacketSideDataType::AV_PKT_DATA_ENCRYPTION_INFO
    })
}

/// Places frames in time, and sees whether their steps differ.
#[derive(Default)]
struct Steps {
    last: Option<i64>,
    smallest: i64,
    largest: i64,
}

impl Steps {
    /// When a frame begins and ends.
    fn place(
        &mut self,
        frame: &ffi::AVFrame,
        index: u64,
        base: ffi::AVRational,
        stream: &VideoStream,
        zero: Timestamp,
    ) -> (Timestamp, Timestamp) {
        let rate = stream.average_rate.or(stream.real_rate).unwrap_or((25, 1));
        let by_rate = |frames: u64| {
            let ticks = i64::try_from(frames.saturating_mul(u64::from(rate.1))).unwrap_or(i64::MAX);
            Timestamp::from_ticks(ticks, 1, i32::try_from(rate.0).unwrap_or(i32::MAX)).unwrap_or_default()
        };
        let ticks = frame.best_effort_timestamp;
        let Some(absolute) = timestamp(ticks, base) else {
            // An elementary stream has no times: its frames follow each other at its rate.
            return (by_rate(index), by_rate(index + 1));
        };
        if let Some(last) = self.last {
            let step = ticks.saturating_sub(last);
            (self.smallest, self.largest) = match (self.smallest, self.largest) {
                (0, 0) => (step, step),
                (s, l) => (s.min(step), l.max(step)),
            };
        }
        self.last = Some(ticks);
        let time = absolute.plus_micros(-zero.as_micros());
        let length =
            timestamp(frame.pkt_duration, base).filter(|d| d.as_micros() > 0).unwrap_or_else(|| by_rate(1));
        (time, time.plus_micros(length.as_micros()))
    }

    /// A container with coarse ticks rounds each step by one tick at most on either side.
    fn vary(&self) -> bool {
        self.largest - self.smallest > 2
    }
}
