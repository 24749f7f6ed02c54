//! The foreign boundary: owners of FFmpeg's objects, and what they are asked.
//!
//! Everything unsafe about reading media is here and in `input.rs`, `frame.rs` and `audio.rs`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use ffmpeg_next::ffi;

use crate::Timestamp;

pub(crate) const EAGAIN: c_int = -libc::EAGAIN;
pub(crate) const EOF: c_int = ffi::AVERROR_EOF;
pub(crate) const NO_PTS: i64 = ffi::AV_NOPTS_VALUE;

/// FFmpeg's text for a status.
pub(crate) fn message(status: c_int) -> String {
    let mut buffer = [0 as c_char; 256];
    // SAFETY: the buffer is writable for its length; FFmpeg ends it with zero.
    unsafe {
        ffi::av_strerror(status, buffer.as_mut_ptr(), buffer.len());
        CStr::from_ptr(buffer.as_ptr()).to_string_lossy().into_owned()
    }
}

/// FFmpeg's own messages go to `tracing`, not to standard error.
pub(crate) fn quiet_log() {
    static ONCE: Once = Once::new();
    // SAFETY: the callback is a plain function that lives as long as the program.
    ONCE.call_once(|| unsafe { ffi::av_log_set_callback(Some(log)) });
}

unsafe extern "C" fn log(
    context: *mut c_void,
    level: c_int,
    format: *const c_char,
    args: *mut ffi::__va_list_tag,
) {
    if level <= ffi::AV_LOG_ERROR {
        // SAFETY: FFmpeg passes a context that begins with its class, or null.
        unsafe { count_error(context) };
    }
    if level > ffi::AV_LOG_WARNING || !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let mut line = [0 as c_char; 512];
    let mut prefix = 1;
    // SAFETY: FFmpeg passes a context, format and arguments that belong together; the buffer is
    // writable for its length and ended with zero.
    let text = unsafe {
        ffi::av_log_format_line2(
            context,
            level,
            format,
            args,
            line.as_mut_ptr(),
            line.len() as c_int,
            &raw mut prefix,
        );
        CStr::from_ptr(line.as_ptr()).to_string_lossy()
    };
    tracing::debug!(target: "heimdex::ffmpeg", "{}", text.trim_end());
}

/// What a decoder has logged. Some damage is repaired in silence but for the message.
#[derive(Default)]
struct Logged {
    errors: AtomicU64,
    refused_sizes: AtomicU64,
}

/// Counts an error message of one of our decoders. A decoder's threads have contexts of their own,
/// to which `opaque` is copied.
///
/// # Safety
/// `context` is null or an FFmpeg context that begins with its class.
unsafe fn count_error(mut context: *mut c_void) {
    if context.is_null() {
        return;
    }
    // SAFETY: by contract; a class says where its contexts keep their parent.
    unsafe {
        let mut class = *context.cast::<*const ffi::AVClass>();
        let mut about_size = false;
        if let Some(known) = class.as_ref().filter(|c| c.parent_log_context_offset > 0) {
            let parent = *context.byte_add(known.parent_log_context_offset as usize).cast::<*mut c_void>();
            if string(known.class_name).as_deref() == Some("IMGUTILS") && !parent.is_null() {
                about_size = true;
                context = parent;
                class = *context.cast::<*const ffi::AVClass>();
            }
        }
        if class != ffi::avcodec_get_class() {
            return;
        }
        let logged = (*context.cast::<ffi::AVCodecContext>()).opaque.cast::<Logged>();
        if let Some(logged) = logged.as_ref() {
            logged.errors.fetch_add(1, Ordering::Relaxed);
            logged.refused_sizes.fetch_add(u64::from(about_size), Ordering::Relaxed);
        }
    }
}

/// Copies a C string that may be null.
///
/// # Safety
/// `text` is null or a zero-ended string that is valid during the call.
pub(crate) unsafe fn string(text: *const c_char) -> Option<String> {
    // SAFETY: by contract.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// All entries of a dictionary, keys in lower case.
///
/// # Safety
/// `dictionary` is null or valid during the call.
pub(crate) unsafe fn entries(dictionary: *const ffi::AVDictionary) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut entry = ptr::null();
    loop {
        // SAFETY: by contract; the previous entry belongs to the same dictionary.
        entry = unsafe { ffi::av_dict_get(dictionary, c"".as_ptr(), entry, ffi::AV_DICT_IGNORE_SUFFIX) };
        if entry.is_null() {
            return all;
        }
        // SAFETY: entries hold two valid strings.
        if let (Some(key), Some(value)) = unsafe { (string((*entry).key), string((*entry).value)) } {
            all.push((key.to_lowercase(), value));
        }
    }
}

/// A time in `base`, or nothing where there is none.
pub(crate) fn timestamp(ticks: i64, base: ffi::AVRational) -> Option<Timestamp> {
    if ticks == NO_PTS { None } else { Timestamp::from_ticks(ticks, base.num, base.den) }
}

/// A fraction of two positive numbers, or nothing.
pub(crate) fn fraction(value: ffi::AVRational) -> Option<(u32, u32)> {
    match (u32::try_from(value.num), u32::try_from(value.den)) {
        (Ok(n), Ok(d)) if n > 0 && d > 0 => Some((n, d)),
        _ => None,
    }
}

/// An owned packet.
pub(crate) struct Packet(NonNull<ffi::AVPacket>);

// SAFETY: a packet is plain data with thread-safe reference counts; one owner at a time.
unsafe impl Send for Packet {}

impl Packet {
    pub(crate) fn new() -> Option<Self> {
        // SAFETY: no arguments; null means no memory.
        NonNull::new(unsafe { ffi::av_packet_alloc() }).map(Self)
    }

    pub(crate) fn as_ptr(&self) -> *mut ffi::AVPacket {
        self.0.as_ptr()
    }

    pub(crate) fn get(&self) -> &ffi::AVPacket {
        // SAFETY: allocated and owned by self.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn clear(&mut self) {
        // SAFETY: allocated and owned by self.
        unsafe { ffi::av_packet_unref(self.0.as_ptr()) };
    }
}

impl Drop for Packet {
    fn drop(&mut self) {
        let mut packet = self.0.as_ptr();
        // SAFETY: allocated by `av_packet_alloc`, freed once.
        unsafe { ffi::av_packet_free(&raw mut packet) };
    }
}

/// An owned reference to a frame's data.
pub(crate) struct Frame(NonNull<ffi::AVFrame>);

// SAFETY: the data behind a frame is counted atomically, and is only read once it was decoded.
unsafe impl Send for Frame {}
// SAFETY: as above; nothing here writes through a shared reference.
unsafe impl Sync for Frame {}

impl Frame {
    pub(crate) fn new() -> Option<Self> {
        // SAFETY: no arguments; null means no memory.
        NonNull::new(unsafe { ffi::av_frame_alloc() }).map(Self)
    }

    pub(crate) fn as_ptr(&self) -> *mut ffi::AVFrame {
        self.0.as_ptr()
    }

    pub(crate) fn get(&self) -> &ffi::AVFrame {
        // SAFETY: allocated and owned by self.
        unsafe { self.0.as_ref() }
    }

    /// The frame's data in a frame of its own, leaving this one empty for the next.
    pub(crate) fn take(&mut self) -> Option<Self> {
        let taken = Self::new()?;
        // SAFETY: both are allocated and owned; the target is empty.
        unsafe { ffi::av_frame_move_ref(taken.as_ptr(), self.as_ptr()) };
        Some(taken)
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        let mut frame = self.0.as_ptr();
        // SAFETY: allocated by `av_frame_alloc`, freed once.
        unsafe { ffi::av_frame_free(&raw mut frame) };
    }
}

/// An opened decoder, and what it has logged.
pub(crate) struct Decoder(NonNull<ffi::AVCodecContext>, Box<Logged>);

// SAFETY: a decoder may be used from any thread, one at a time.
unsafe impl Send for Decoder {}

pub(crate) struct DecoderOptions {
    pub(crate) threads: usize,
    pub(crate) max_pixels: u64,
    pub(crate) fast: bool,
}

impl Decoder {
    /// Opens the decoder of a stream; the status of what failed otherwise.
    ///
    /// # Safety
    /// `stream` is valid during the call.
    pub(crate) unsafe fn open(stream: *const ffi::AVStream, options: &DecoderOptions) -> Result<Self, c_int> {
        // SAFETY: the stream is valid by contract and its parameters live as long.
        let parameters = unsafe { &*(*stream).codecpar };
        // SAFETY: a plain look-up.
        let codec = unsafe { ffi::avcodec_find_decoder(parameters.codec_id) };
        if codec.is_null() {
            return Err(ffi::AVERROR_DECODER_NOT_FOUND);
        }
        // SAFETY: the codec was found; null means no memory.
        let context = NonNull::new(unsafe { ffi::avcodec_alloc_context3(codec) }).ok_or(-libc::ENOMEM)?;
        let decoder = Self(context, Box::default());
        // SAFETY: context, parameters and stream are valid; fields are set before the decoder opens.
        unsafe {
            let context = decoder.0.as_ptr();
            let status = ffi::avcodec_parameters_to_context(context, parameters);
            if status < 0 {
                return Err(status);
            }
            (*context).opaque = ptr::from_ref(&*decoder.1).cast_mut().cast();
            (*context).pkt_timebase = (*stream).time_base;
            (*context).thread_count = c_int::try_from(options.threads).unwrap_or(1);
            (*context).thread_type = ffi::FF_THREAD_FRAME as c_int | ffi::FF_THREAD_SLICE as c_int;
            (*context).max_pixels = i64::try_from(options.max_pixels).unwrap_or(i64::MAX);
            if options.fast {
                (*context).skip_loop_filter = ffi::AVDiscard::AVDISCARD_NONREF;
                (*context).flags2 |= ffi::AV_CODEC_FLAG2_FAST as c_int;
            }
            let status = ffi::avcodec_open2(context, codec, ptr::null_mut());
            if status < 0 {
                return Err(status);
            }
        }
        Ok(decoder)
    }

    pub(crate) fn get(&self) -> &ffi::AVCodecContext {
        // SAFETY: allocated and owned by self.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn as_ptr(&self) -> *mut ffi::AVCodecContext {
        self.0.as_ptr()
    }

    /// How many errors it has logged.
    pub(crate) fn errors(&self) -> u64 {
        self.1.errors.load(Ordering::Relaxed)
    }

    /// Whether frames were too large to be allocated.
    pub(crate) fn refused_size(&self) -> bool {
        self.get().width <= 0 || self.1.refused_sizes.load(Ordering::Relaxed) > 0
    }

    /// Gives a packet to the decoder, or the end of the stream.
    pub(crate) fn send(&mut self, packet: Option<&Packet>) -> c_int {
        let packet = packet.map_or(ptr::null_mut(), Packet::as_ptr);
        // SAFETY: the decoder is open; null means the end.
        unsafe { ffi::avcodec_send_packet(self.0.as_ptr(), packet) }
    }

    /// Takes a frame from the decoder.
    pub(crate) fn receive(&mut self, frame: &mut Frame) -> c_int {
        // SAFETY: the decoder is open, the frame allocated.
        unsafe { ffi::avcodec_receive_frame(self.0.as_ptr(), frame.as_ptr()) }
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let mut context = self.0.as_ptr();
        // SAFETY: allocated by `avcodec_alloc_context3`, freed once.
        unsafe { ffi::avcodec_free_context(&raw mut context) };
    }
}
