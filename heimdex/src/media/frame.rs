//! A decoded frame, and the upright picture it shows.

use std::mem::ManuallyDrop;
use std::ptr;
use std::sync::Arc;

use ffmpeg_next::ffi;

use super::ffi::{Frame, fraction};
use super::info::Rotation;
use super::picture::RgbPicture;
use super::probe::display_size;
use crate::{Error, Result, Timestamp};

/// A decoded frame. Clones share the pixels.
#[derive(Clone)]
pub struct VideoFrame {
    frame: Arc<Frame>,
    index: u64,
    time: Timestamp,
    rotation: Rotation,
    sample_aspect: (u32, u32),
}

impl std::fmt::Debug for VideoFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VideoFrame")
            .field("index", &self.index)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}

impl VideoFrame {
    pub(super) fn new(
        frame: Frame,
        index: u64,
        time: Timestamp,
        rotation: Rotation,
        aspect: (u32, u32),
    ) -> Self {
        let sample_aspect = fraction(frame.get().sample_aspect_ratio).unwrap_or(aspect);
        Self { frame: Arc::new(frame), index, time, rotation, sample_aspect }
    }

    /// Its place among the decoded frames, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// When it is shown.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// Stored width in pixels.
    pub fn width(&self) -> u32 {
        self.raw().width.max(0) as u32
    }

    /// Stored height in pixels.
    pub fn height(&self) -> u32 {
        self.raw().height.max(0) as u32
    }

    /// Clockwise quarter turns that make it upright.
    pub fn rotation(&self) -> Rotation {
        self.rotation
    }

    fn raw(&self) -> &ffi::AVFrame {
        self.frame.get()
    }

    /// The frame as the bindings have it, for the time of a call.
    pub(crate) fn with_video<T>(&self, look: impl FnOnce(&ffmpeg_next::frame::Video) -> T) -> T {
        // SAFETY: the pointer is valid as long as self is; what is wrapped does not free it.
        let video = ManuallyDrop::new(unsafe { ffmpeg_next::frame::Video::wrap(self.frame.as_ptr()) });
        look(&video)
    }

    /// The picture as people see it: upright, with square pixels, colours by the tagged matrix and
    /// range, scaled down (never up) to fit into `max_width` x `max_height`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) when the pixel format cannot be converted.
    pub fn to_rgb(&self, max_width: u32, max_height: u32) -> Result<RgbPicture> {
        let upright = display_size(self.width(), self.height(), self.sample_aspect, self.rotation);
        let (width, height) = fit(upright, (max_width.max(1), max_height.max(1)));
        let turned = matches!(self.rotation, Rotation::Quarter | Rotation::ThreeQuarters);
        let (w, h) = if turned { (height, width) } else { (width, height) };
        let data = convert(self.raw(), w, h)?;
        let picture = RgbPicture { width: w, height: h, data };
        Ok(turn(picture, self.rotation))
    }

    /// As [`to_rgb`](Self::to_rgb), the shorter side at most `edge` and the longer at most four times that,
    /// so that no shape of video gives a large picture.
    pub(crate) fn to_rgb_edge(&self, edge: u32) -> Result<RgbPicture> {
        let (width, height) = display_size(self.width(), self.height(), self.sample_aspect, self.rotation);
        if width < height { self.to_rgb(edge, 4 * edge) } else { self.to_rgb(4 * edge, edge) }
    }
}

fn fit((width, height): (u32, u32), (max_width, max_height): (u32, u32)) -> (u32, u32) {
    let scale = (f64::from(max_width) / f64::from(width.max(1)))
        .min(f64::from(max_height) / f64::from(height.max(1)))
        .min(1.0);
    let side = |n: u32, max: u32| ((f64::from(n) * scale).round() as u32).clamp(1, max);
    (side(width, max_width), side(height, max_height))
}

/// Converts a whole frame with swscale into packed R, G, B rows.
fn convert(frame: &ffi::AVFrame, width: u32, height: u32) -> Result<Vec<u8>> {
    let unsupported = || {
        Error::media(
            "frame",
            crate::ErrorKind::Unsupported,
            format!("pixel format {} cannot be shown", frame.format),
        )
    };
    let (w, h) = (width as i32, height as i32);
    if frame.format < 0 || w <= 0 || h <= 0 || frame.width <= 0 || frame.height <= 0 {
        return Err(unsupported());
    }
    // SAFETY: the frame's format comes from FFmpeg and has the C representation of its enumeration.
    let context = unsafe {
        Scaler(ffi::sws_getContext(
            frame.width,
            frame.height,
            std::mem::transmute::<i32, ffi::AVPixelFormat>(frame.format),
            w,
            h,
            ffi::AVPixelFormat::AV_PIX_FMT_RGB24,
            ffi::SWS_AREA,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null(),
        ))
    };
    if context.0.is_null() {
        return Err(unsupported());
    }
    let stride = width as usize * 3;
    // swscale's SIMD may write past the end of a row it believes to be padded.
    let padded = stride.next_multiple_of(64);
    let mut data = vec![0_u8; padded * height as usize + 64];
    // SAFETY: the context is valid; the source planes are those of the frame; the target has
    // `padded` bytes for each of its rows and room behind the last.
    let rows = unsafe {
        set_colors(context.0, frame);
        let target = [data.as_mut_ptr(), ptr::null_mut(), ptr::null_mut(), ptr::null_mut()];
        let strides = [padded as i32, 0, 0, 0];
        ffi::sws_scale(
            context.0,
            frame.data.as_ptr().cast(),
            frame.linesize.as_ptr(),
            0,
            frame.height,
            target.as_ptr(),
            strides.as_ptr(),
        )
    };
    if rows != h {
        return Err(unsupported());
    }
    for row in 1..height as usize {
        data.copy_within(row * padded..row * padded + stride, row * stride);
    }
    data.truncate(stride * height as usize);
    Ok(data)
}

/// A context of swscale, freed with the value.
struct Scaler(*mut ffi::SwsContext);

impl Drop for Scaler {
    fn drop(&mut self) {
        // SAFETY: made by `sws_getContext`, or null; freed once.
        unsafe { ffi::sws_freeContext(self.0) };
    }
}

/// The frame's tagged matrix and range; what FFmpeg assumes where there is no tag.
///
/// # Safety
/// `context` is valid.
unsafe fn set_colors(context: *mut ffi::SwsContext, frame: &ffi::AVFrame) {
    let (mut inverse, mut table) = (ptr::null_mut(), ptr::null_mut());
    let (mut source, mut target, mut brightness, mut contrast, mut saturation) = (0, 0, 0, 0, 0);
    // SAFETY: by contract; all out-pointers are valid, and the coefficient tables are static.
    unsafe {
        let known = ffi::sws_getColorspaceDetails(
            context,
            &raw mut inverse,
            &raw mut source,
            &raw mut table,
            &raw mut target,
            &raw mut brightness,
            &raw mut contrast,
            &raw mut saturation,
        );
        if known < 0 {
            return;
        }
        if frame.colorspace != ffi::AVColorSpace::AVCOL_SPC_UNSPECIFIED {
            inverse = ffi::sws_getCoefficients(frame.colorspace as i32).cast_mut();
        }
        if frame.color_range != ffi::AVColorRange::AVCOL_RANGE_UNSPECIFIED {
            source = i32::from(frame.color_range == ffi::AVColorRange::AVCOL_RANGE_JPEG);
        }
        ffi::sws_setColorspaceDetails(
            context, inverse, source, table, target, brightness, contrast, saturation,
        );
    }
}

fn turn(picture: RgbPicture, rotation: Rotation) -> RgbPicture {
    let RgbPicture { width, height, data } = picture;
    let (w, h) = (width as usize, height as usize);
    let pixels = data.as_chunks::<3>().0;
    let (out_w, out_h) = match rotation {
        Rotation::None => return RgbPicture { width, height, data },
        Rotation::Half => (w, h),
        Rotation::Quarter | Rotation::ThreeQuarters => (h, w),
    };
    // Where the pixel at (x, y) of the upright picture stands in the stored one.
    let at = |x: usize, y: usize| match rotation {
        Rotation::None => y * w + x,
        Rotation::Quarter => (h - 1 - x) * w + y,
        Rotation::Half => (h - 1 - y) * w + (w - 1 - x),
        Rotation::ThreeQuarters => x * w + (w - 1 - y),
    };
    let mut turned = Vec::with_capacity(data.len());
    for y in 0..out_h {
        for x in 0..out_w {
            turned.extend_from_slice(&pixels[at(x, y)]);
        }
    }
    RgbPicture { width: out_w as u32, height: out_h as u32, data: turned }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_is_clockwise() {
        let of = |numbers: &[u8], width| RgbPicture {
            width,
            height: numbers.len() as u32 / width,
            data: numbers.iter().flat_map(|n| [*n; 3]).collect(),
        };
        let stored = of(&[1, 2, 3, 4, 5, 6], 3);
        assert_eq!(turn(stored.clone(), Rotation::Quarter), of(&[4, 1, 5, 2, 6, 3], 2));
        assert_eq!(turn(stored.clone(), Rotation::Half), of(&[6, 5, 4, 3, 2, 1], 3));
        assert_eq!(turn(stored, Rotation::ThreeQuarters), of(&[3, 6, 2, 5, 1, 4], 2));
    }

    #[test]
    fn fitting_never_enlarges() {
        assert_eq!(fit((1920, 1080), (320, 10_000)), (320, 180));
        assert_eq!(fit((100, 50), (320, 320)), (100, 50));
        assert_eq!(fit((10_000, 1), (320, 320)), (320, 1));
    }
}
