//! The facts of an opened file.

use std::ffi::CStr;

use ffmpeg_next::ffi;

use super::ffi::{entries, fraction, string, timestamp};
use super::info::{AudioStream, Chapter, MediaInfo, Rotation, StreamInfo, SubtitleStream, VideoStream};
use super::input::Input;
use crate::{Span, Timestamp};

const MICROSECONDS: ffi::AVRational = ffi::AVRational { num: 1, den: 1_000_000 };

pub(super) fn info(input: &Input) -> MediaInfo {
    let context = input.context();
    let start = timestamp(context.start_time, MICROSECONDS).unwrap_or_default();
    let ours = |t: Timestamp| t.plus_micros(start.as_micros().saturating_neg());
    // SAFETY: an opened context has a format with a name; metadata is null or valid.
    let (container, tags) =
        unsafe { (string((*context.iformat).name).unwrap_or_default(), entries(context.metadata)) };
    MediaInfo {
        container,
        size_bytes: input.size,
        start,
        declared_duration: timestamp(context.duration, MICROSECONDS).filter(|d| d.as_micros() > 0),
        bit_rate: u64::try_from(context.bit_rate).ok().filter(|r| *r > 0),
        streams: input
            .streams()
            .enumerate()
            .map(|(index, stream)| stream_info(input, index, stream))
            .collect(),
        chapters: chapters(context)
            .map(|c| Chapter { span: Span::new(ours(c.span.start), ours(c.span.end)), ..c })
            .collect(),
        tags: tags.into_iter().collect(),
    }
}

fn chapters(context: &ffi::AVFormatContext) -> impl Iterator<Item = Chapter> + '_ {
    (0..context.nb_chapters as usize).filter_map(|i| {
        // SAFETY: FFmpeg keeps `nb_chapters` valid pointers, each with null or valid metadata.
        let (chapter, tags) = unsafe {
            let chapter = &**context.chapters.add(i);
            (chapter, entries(chapter.metadata))
        };
        let start = timestamp(chapter.start, chapter.time_base)?;
        let end = timestamp(chapter.end, chapter.time_base)?;
        let title = tags.into_iter().find(|(key, _)| key == "title").map(|(_, value)| value);
        Some(Chapter { span: Span::new(start, end), title })
    })
}

fn stream_info(input: &Input, index: usize, stream: *mut ffi::AVStream) -> StreamInfo {
    // SAFETY: the stream belongs to the opened input; parameters and metadata live as long.
    let (stream, parameters, tags) = unsafe { (&*stream, &*(*stream).codecpar, entries((*stream).metadata)) };
    let tag = |name: &str| tags.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let has = |flag: i32| stream.disposition & flag != 0;
    // SAFETY: a look-up that returns a static string.
    let codec = unsafe { string(ffi::avcodec_get_name(parameters.codec_id)) }.unwrap_or_default();
    let language = tag("language");
    let start = timestamp(stream.start_time, stream.time_base);
    let default = has(ffi::AV_DISPOSITION_DEFAULT);
    match parameters.codec_type {
        ffi::AVMediaType::AVMEDIA_TYPE_VIDEO => {
            let rotation = rotation(stream);
            let sample_aspect = aspect(input, stream);
            let (width, height) = (parameters.width.max(0) as u32, parameters.height.max(0) as u32);
            let (display_width, display_height) = display_size(width, height, sample_aspect, rotation);
            let average_rate = fraction(stream.avg_frame_rate);
            let real_rate = fraction(stream.r_frame_rate);
            StreamInfo::Video(VideoStream {
                index,
                codec,
                profile: profile(parameters),
                width,
                height,
                rotation,
                sample_aspect,
                display_width,
                display_height,
                average_rate,
                real_rate,
                variable_rate: matches!((average_rate, real_rate), (Some((a, b)), Some((c, d)))
                    if u64::from(a) * u64::from(d) != u64::from(b) * u64::from(c)),
                pixel_format: pixel_format(parameters.format),
                color_space: color_name(parameters.color_space as i32, ffi::av_color_space_name),
                color_range: color_name(parameters.color_range as i32, ffi::av_color_range_name),
                start,
                declared_frames: u64::try_from(stream.nb_frames).ok().filter(|n| *n > 0),
                attached_picture: has(ffi::AV_DISPOSITION_ATTACHED_PIC),
                default,
                language,
            })
        }
        ffi::AVMediaType::AVMEDIA_TYPE_AUDIO => StreamInfo::Audio(AudioStream {
            index,
            codec,
            sample_rate_hz: parameters.sample_rate.max(0) as u32,
            channels: parameters.ch_layout.nb_channels.max(0) as u32,
            channel_layout: channel_layout(&parameters.ch_layout),
            start,
            default,
            language,
            title: tag("title"),
        }),
        ffi::AVMediaType::AVMEDIA_TYPE_SUBTITLE => {
            // SAFETY: a look-up; null or a static descriptor.
            let text = unsafe {
                let descriptor = ffi::avcodec_descriptor_get(parameters.codec_id);
                !descriptor.is_null() && (*descriptor).props & ffi::AV_CODEC_PROP_TEXT_SUB != 0
            };
            let forced = has(ffi::AV_DISPOSITION_FORCED);
            StreamInfo::Subtitle(SubtitleStream {
                index,
                codec,
                text,
                default,
                forced,
                language,
                title: tag("title"),
            })
        }
        other => {
            // SAFETY: a look-up; null or a static string.
            let kind = unsafe { string(ffi::av_get_media_type_string(other)) };
            StreamInfo::Other { index, kind: kind.unwrap_or_else(|| "unknown".into()) }
        }
    }
}

fn profile(parameters: &ffi::AVCodecParameters) -> Option<String> {
    // SAFETY: a look-up; null or a static string.
    unsafe { string(ffi::avcodec_profile_name(parameters.codec_id, parameters.profile)) }
}

fn pixel_format(format: i32) -> Option<String> {
    // SAFETY: a number out of range gives null; the enumeration has the C representation.
    unsafe {
        let descriptor =
            ffi::av_pix_fmt_desc_get(std::mem::transmute::<i32, ffi::AVPixelFormat>(format.max(-1)));
        if descriptor.is_null() { None } else { string((*descriptor).name) }
    }
}

/// The name of a tagged colour property; `None` where it is not tagged.
fn color_name<T>(value: i32, name: unsafe extern "C" fn(T) -> *const std::ffi::c_char) -> Option<String> {
    debug_assert_eq!(size_of::<T>(), size_of::<i32>());
    // SAFETY: both enumerations have the C representation of an int and come from FFmpeg itself.
    let name = unsafe { string(name(std::mem::transmute_copy::<i32, T>(&value))) };
    name.filter(|n| n != "unknown" && n != "reserved")
}

fn channel_layout(layout: &ffi::AVChannelLayout) -> String {
    let mut text = [0 as std::ffi::c_char; 128];
    // SAFETY: the layout is valid, the buffer writable for its length; FFmpeg ends it with zero.
    unsafe {
        if ffi::av_channel_layout_describe(layout, text.as_mut_ptr(), text.len()) < 0 {
            return format!("{} channels", layout.nb_channels);
        }
        CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
    }
}

fn aspect(input: &Input, stream: &ffi::AVStream) -> (u32, u32) {
    // SAFETY: stream and context belong together; a null frame is allowed.
    let aspect = unsafe {
        ffi::av_guess_sample_aspect_ratio(
            input.as_ptr(),
            std::ptr::from_ref(stream).cast_mut(),
            std::ptr::null_mut(),
        )
    };
    fraction(aspect).unwrap_or((1, 1))
}

/// The display matrix as quarter turns; other angles go to the nearest.
fn rotation(stream: &ffi::AVStream) -> Rotation {
    let mut size = 0;
    // SAFETY: the stream is valid; the result is null or `size` bytes that live as long.
    let matrix = unsafe {
        ffi::av_stream_get_side_data(
            stream,
            ffi::AVPacketSideDataType::AV_PKT_DATA_DISPLAYMATRIX,
            &raw mut size,
        )
    };
    if matrix.is_null() || size < 9 * size_of::<i32>() {
        return Rotation::None;
    }
    // SAFETY: nine 32-bit numbers, as FFmpeg stores a display matrix.
    let counterclockwise = unsafe { ffi::av_display_rotation_get(matrix.cast()) };
    if !counterclockwise.is_finite() {
        return Rotation::None;
    }
    match ((-counterclockwise / 90.0).round() as i64).rem_euclid(4) {
        1 => Rotation::Quarter,
        2 => Rotation::Half,
        3 => Rotation::ThreeQuarters,
        _ => Rotation::None,
    }
}

/// Width and height as shown: the sample aspect widens or narrows, then the picture is turned.
pub(super) fn display_size(width: u32, height: u32, aspect: (u32, u32), rotation: Rotation) -> (u32, u32) {
    let scaled = (f64::from(width) * f64::from(aspect.0) / f64::from(aspect.1)).round();
    let shown = if scaled.is_finite() { (scaled as u32).max(u32::from(width > 0)) } else { width };
    match rotation {
        Rotation::None | Rotation::Half => (shown, height),
        Rotation::Quarter | Rotation::ThreeQuarters => (height, shown),
    }
}
