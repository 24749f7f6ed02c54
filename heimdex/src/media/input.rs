//! A file, opened: bytes go to FFmpeg through our own reader, so that no name, address or
//! playlist ever opens anything.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::ptr;
use std::time::Instant;

use ffmpeg_next::ffi;

use super::ffi::{EOF, Packet, message, quiet_log};
use super::{Limits, sniff};
use crate::{Cancel, Error, ErrorKind, Result};

/// Containers that are read. Everything else, and above all every kind of playlist, is not.
const CONTAINERS: &str = "mov,matroska,webm,mpegts,mpeg,avi,flv,asf,ogg,wav,mp3,aac,flac,gif,h264,hevc,mpegvideo,m4v,ivf,obu,w64,aiff,caf,ac3,eac3,dts,mxf,amr";

const BUFFER_BYTES: usize = 64 * 1024;

/// What the reader behind FFmpeg needs; its address is known to FFmpeg, so it stays in a box.
struct Reader {
    file: File,
    size: u64,
    cancel: Cancel,
    moved: Instant,
    max_stall: std::time::Duration,
    failed: Option<std::io::Error>,
}

/// An opened file.
pub(super) struct Input {
    context: *mut ffi::AVFormatContext,
    reader: *mut Reader,
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) limits: Limits,
}

// SAFETY: the context and its reader are used by one thread at a time, the one that owns the input.
unsafe impl Send for Input {}

unsafe extern "C" fn read(opaque: *mut c_void, buffer: *mut u8, size: c_int) -> c_int {
    // SAFETY: `opaque` is the reader given to `avio_alloc_context`; no other reference exists while
    // FFmpeg is inside a call.
    let reader = unsafe { &mut *opaque.cast::<Reader>() };
    let Ok(size) = usize::try_from(size) else { return -libc::EINVAL };
    // SAFETY: FFmpeg gives a buffer of `size` writable bytes.
    let buffer = unsafe { std::slice::from_raw_parts_mut(buffer, size) };
    loop {
        if reader.cancel.is_cancelled() {
            return ffi::AVERROR_EXIT;
        }
        match reader.file.read(buffer) {
            Ok(0) => return EOF,
            Ok(n) => {
                reader.moved = Instant::now();
                return n as c_int;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => {
                reader.failed = Some(e);
                return -libc::EIO;
            }
        }
    }
}

unsafe extern "C" fn seek(opaque: *mut c_void, offset: i64, whence: c_int) -> i64 {
    // SAFETY: as in `read`.
    let reader = unsafe { &mut *opaque.cast::<Reader>() };
    let target = match whence & !ffi::AVSEEK_FORCE as c_int {
        w if w == ffi::AVSEEK_SIZE as c_int => return i64::try_from(reader.size).unwrap_or(i64::MAX),
        libc::SEEK_SET => u64::try_from(offset).ok().map(SeekFrom::Start),
        libc::SEEK_CUR => Some(SeekFrom::Current(offset)),
        libc::SEEK_END => Some(SeekFrom::End(offset)),
        _ => None,
    };
    match target.map(|t| reader.file.seek(t)) {
        Some(Ok(position)) => i64::try_from(position).unwrap_or(i64::MAX),
        _ => i64::from(-libc::EINVAL),
    }
}

/// Asked by FFmpeg in long loops: 1 stops it.
unsafe extern "C" fn interrupted(opaque: *mut c_void) -> c_int {
    // SAFETY: as in `read`; the reference is shared and short.
    let reader = unsafe { &*opaque.cast::<Reader>() };
    c_int::from(reader.cancel.is_cancelled() || reader.moved.elapsed() > reader.max_stall)
}

/// Asked by demuxers that want to open something else: never.
unsafe extern "C" fn refuse_open(
    _: *mut ffi::AVFormatContext,
    _: *mut *mut ffi::AVIOContext,
    url: *const c_char,
    _: c_int,
    _: *mut *mut ffi::AVDictionary,
) -> c_int {
    // SAFETY: FFmpeg gives a valid string or null.
    let url = unsafe { super::ffi::string(url) };
    tracing::warn!(?url, "a media file asked to open something else; refused");
    -libc::EPERM
}

/// Options for FFmpeg, freed with the value.
struct Options(*mut ffi::AVDictionary);

impl Options {
    fn of(pairs: &[(&str, String)]) -> Self {
        let mut options = Self(ptr::null_mut());
        for (key, value) in pairs {
            if let (Ok(key), Ok(value)) = (CString::new(*key), CString::new(value.as_str())) {
                // SAFETY: both strings are valid and copied.
                unsafe { ffi::av_dict_set(&raw mut options.0, key.as_ptr(), value.as_ptr(), 0) };
            }
        }
        options
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: made by `av_dict_set`, or null.
        unsafe { ffi::av_dict_free(&raw mut self.0) };
    }
}

impl Input {
    /// Opens a regular file and reads its headers.
    pub(super) fn open(path: &Path, limits: &Limits, cancel: &Cancel) -> Result<Self> {
        limits.validate()?;
        quiet_log();
        let metadata = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
        if !metadata.is_file() {
            return Err(Error::media(path, ErrorKind::NotAMediaFile, "not a regular file"));
        }
        let size = metadata.len();
        if size > limits.max_file_bytes {
            let message = format!("{size} bytes; max_file_bytes is {}", limits.max_file_bytes);
            return Err(Error::media(path, ErrorKind::TooLarge, message));
        }
        let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
        let mut head = vec![0; sniff::HEAD_BYTES];
        let mut filled = 0;
        while filled < head.len() {
            match file.read(&mut head[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io(path, e)),
            }
        }
        head.truncate(filled);
        file.rewind().map_err(|e| Error::io(path, e))?;
        if let Some((kind, message)) = sniff::refuse(&head) {
            return Err(Error::media(path, kind, message));
        }
        let reader = Reader {
            file,
            size,
            cancel: cancel.clone(),
            moved: Instant::now(),
            max_stall: limits.max_stall,
            failed: None,
        };
        let mut input = Self {
            context: ptr::null_mut(),
            reader: Box::into_raw(Box::new(reader)),
            path: path.to_owned(),
            size,
            limits: limits.clone(),
        };
        input.open_container(&head)?;
        Ok(input)
    }

    fn open_container(&mut self, head: &[u8]) -> Result<()> {
        // SAFETY: the buffer is handed to the I/O context, which the format context owns through
        // `pb` and `Drop` frees; the reader outlives both.
        unsafe {
            let context = ffi::avformat_alloc_context();
            let buffer = ffi::av_malloc(BUFFER_BYTES).cast::<u8>();
            if context.is_null() || buffer.is_null() {
                ffi::avformat_free_context(context);
                ffi::av_free(buffer.cast());
                return Err(self.error(ErrorKind::Io, "no memory to open it"));
            }
            let io = ffi::avio_alloc_context(
                buffer,
                BUFFER_BYTES as c_int,
                0,
                self.reader.cast(),
                Some(read),
                None,
                Some(seek),
            );
            if io.is_null() {
                ffi::avformat_free_context(context);
                ffi::av_free(buffer.cast());
                return Err(self.error(ErrorKind::Io, "no memory to open it"));
            }
            (*context).pb = io;
            (*context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO as c_int;
            (*context).io_open = Some(refuse_open);
            (*context).interrupt_callback =
                ffi::AVIOInterruptCB { callback: Some(interrupted), opaque: self.reader.cast() };
            let mut options = Options::of(&[
                ("format_whitelist", CONTAINERS.to_owned()),
                ("protocol_whitelist", "none".to_owned()),
                // One more than allowed is let through, so that `check_streams` can say so.
                ("max_streams", self.limits.max_streams.saturating_add(1).max(1000).to_string()),
            ]);
            self.context = context;
            let status = ffi::avformat_open_input(
                &raw mut self.context,
                c"".as_ptr(),
                ptr::null(),
                &raw mut options.0,
            );
            if status < 0 {
                // FFmpeg freed the format context but not our I/O context.
                self.context = ptr::null_mut();
                let mut io = io;
                ffi::av_freep((&raw mut (*io).buffer).cast());
                ffi::avio_context_free(&raw mut io);
                return Err(self.open_error(status, head));
            }
        }
        self.check_streams()?;
        let per_stream = [("max_pixels", self.limits.max_pixels.to_string()), ("threads", "1".to_owned())];
        let mut options: Vec<Options> = self.streams().map(|_| Options::of(&per_stream)).collect();
        let mut pointers: Vec<*mut ffi::AVDictionary> = options.iter().map(|o| o.0).collect();
        // SAFETY: one dictionary per stream, as FFmpeg asks; entries it takes out are gone from
        // the pointers, which go back to their owners below.
        let status = unsafe { ffi::avformat_find_stream_info(self.context, pointers.as_mut_ptr()) };
        for (owner, pointer) in options.iter_mut().zip(pointers) {
            owner.0 = pointer;
        }
        if status < 0 {
            return Err(self.open_error(status, head));
        }
        self.check_streams()
    }

    /// Frame sizes and stream count, before anything is allocated for them.
    fn check_streams(&self) -> Result<()> {
        let count = self.streams().count();
        if count > self.limits.max_streams as usize {
            let message = format!("{count} streams; max_streams is {}", self.limits.max_streams);
            return Err(self.error(ErrorKind::TooLarge, message));
        }
        for stream in self.streams() {
            // SAFETY: streams and their parameters are valid while the context is.
            let parameters = unsafe { &*(*stream).codecpar };
            let (width, height) = (i64::from(parameters.width), i64::from(parameters.height));
            let pixels = width.saturating_mul(height).unsigned_abs();
            if parameters.codec_type == ffi::AVMediaType::AVMEDIA_TYPE_VIDEO
                && pixels > self.limits.max_pixels
            {
                let message = format!(
                    "frames of {width}x{height} are {pixels} pixels; max_pixels is {}",
                    self.limits.max_pixels
                );
                return Err(self.error(ErrorKind::TooLarge, message));
            }
        }
        Ok(())
    }

    fn open_error(&mut self, status: c_int, head: &[u8]) -> Error {
        if let Err(stopped) = self.stopped(status) {
            return stopped;
        }
        // ISO media announce themselves in the first box; the rest of the index may be missing.
        if head.len() >= 8 && &head[4..8] == b"ftyp" {
            let message = "the file ends early (its index, the moov atom, is missing); it was probably not copied whole";
            return self.error(ErrorKind::Truncated, message);
        }
        if head.starts_with(b"\x1a\x45\xdf\xa3") || head.starts_with(b"RIFF") || head.starts_with(b"OggS") {
            return self.error(
                ErrorKind::Truncated,
                format!("its header is damaged or cut off ({})", message(status)),
            );
        }
        self.error(ErrorKind::NotAMediaFile, "no video or sound format that is known")
    }

    /// Fails when reading was cancelled, stalled or failed below FFmpeg.
    pub(super) fn stopped(&mut self, status: c_int) -> Result<()> {
        // SAFETY: FFmpeg is not inside a call, so no other reference exists.
        let reader = unsafe { &mut *self.reader };
        reader.cancel.check()?;
        if let Some(failed) = reader.failed.take() {
            return Err(Error::io(&self.path, failed));
        }
        if status == ffi::AVERROR_EXIT || reader.moved.elapsed() > reader.max_stall {
            let message = format!("reading gave nothing for {:?} (max_stall)", self.limits.max_stall);
            return Err(self.error(ErrorKind::TimedOut, message));
        }
        Ok(())
    }

    /// Tells the watchdog that work goes on. From here on `cancel` stops reading.
    pub(super) fn watch(&mut self, cancel: &Cancel) {
        // SAFETY: as in `stopped`.
        let reader = unsafe { &mut *self.reader };
        reader.cancel = cancel.clone();
        reader.moved = Instant::now();
    }

    pub(super) fn moved(&mut self) {
        // SAFETY: as in `stopped`.
        unsafe { (*self.reader).moved = Instant::now() };
    }

    pub(super) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        Error::media(&self.path, kind, message)
    }

    pub(super) fn context(&self) -> &ffi::AVFormatContext {
        // SAFETY: opened and owned by self; only null inside `open`.
        unsafe { &*self.context }
    }

    pub(super) fn as_ptr(&self) -> *mut ffi::AVFormatContext {
        self.context
    }

    /// The streams in file order.
    pub(super) fn streams(&self) -> impl Iterator<Item = *mut ffi::AVStream> + '_ {
        let context = self.context();
        // SAFETY: FFmpeg keeps `nb_streams` valid pointers.
        (0..context.nb_streams as usize).map(|i| unsafe { *context.streams.add(i) })
    }

    /// Streams whose packets are not wanted are skipped by the demuxer.
    pub(super) fn keep_only(&mut self, wanted: impl Fn(usize) -> bool) {
        for (index, stream) in self.streams().enumerate() {
            let discard =
                if wanted(index) { ffi::AVDiscard::AVDISCARD_DEFAULT } else { ffi::AVDiscard::AVDISCARD_ALL };
            // SAFETY: valid streams of a context that self owns.
            unsafe { (*stream).discard = discard };
        }
    }

    /// The next packet; a negative status at the end or on failure.
    pub(super) fn read_packet(&mut self, packet: &mut Packet) -> c_int {
        packet.clear();
        // SAFETY: the context is open and the packet empty.
        unsafe { ffi::av_read_frame(self.context, packet.as_ptr()) }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // SAFETY: with custom I/O, closing the input leaves `pb` to us; the reader goes last because
        // closing may still call it.
        unsafe {
            if !self.context.is_null() {
                let mut io = (*self.context).pb;
                ffi::avformat_close_input(&raw mut self.context);
                if !io.is_null() {
                    ffi::av_freep((&raw mut (*io).buffer).cast());
                    ffi::avio_context_free(&raw mut io);
                }
            }
            drop(Box::from_raw(self.reader));
        }
    }
}
