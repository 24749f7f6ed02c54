//! From a decoded frame to the small picture that is scored.

use ffmpeg_next::ffi;
use ffmpeg_next::format::Pixel;
use ffmpeg_next::frame::Video;

use super::SmallPicture;
use super::resize::{Layout, Pixels, Shrinker};
use super::yuv::YuvToBgr;
use crate::media::Rotation;
use crate::{Error, Result};

/// Makes small pictures from the frames of one video; keeps its buffers between frames.
///
/// 8-bit 4:2:0 frames of even size convert only the pixels that the small picture needs. All others
/// are converted whole by swscale, and frames of another size than the first are brought to the
/// first one's size, as OpenCV does.
#[derive(Debug)]
pub(super) struct PictureMaker {
    rotation: Rotation,
    /// Stored size of the first frame.
    size: Option<(u32, u32)>,
    /// For frames like the last one.
    route: Option<(Traits, Route)>,
}

/// What a route depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Traits {
    format: Pixel,
    size: (u32, u32),
    strides: [i32; 3],
    /// FFmpeg's number of the colour matrix.
    matrix: i32,
    full_range: bool,
}

#[derive(Debug)]
enum Route {
    Sampled { shrinker: Shrinker, conversion: YuvToBgr },
    Whole { converter: Converter, shrinker: Shrinker },
}

impl PictureMaker {
    pub(super) fn new(rotation: Rotation) -> Self {
        Self { rotation, size: None, route: None }
    }

    /// Fills `small` from `frame`.
    pub(super) fn make(&mut self, frame: &Video, small: &mut SmallPicture) -> Result<()> {
        let traits = Traits::of(frame)?;
        let size = *self.size.get_or_insert(traits.size);
        let route = match &mut self.route {
            Some((known, route)) if *known == traits => route,
            slot => &mut slot.insert((traits, Route::new(traits, size, self.rotation)?)).1,
        };
        let filled = match route {
            Route::Sampled { shrinker, conversion } => {
                let planes = [frame.data(0), frame.data(1), frame.data(2)];
                shrinker.shrink(Pixels::Yuv420 { planes, conversion: *conversion }, small)
            }
            Route::Whole { converter, shrinker } => {
                converter.convert(frame)?;
                shrinker.shrink(Pixels::Bgr(converter.output.data(0)), small)
            }
        };
        if filled {
            Ok(())
        } else {
            Err(Error::invalid("frame", "its planes are smaller than its size says"))
        }
    }
}

impl Traits {
    fn of(frame: &Video) -> Result<Self> {
        let size = (frame.width(), frame.height());
        if size.0 == 0 || size.1 == 0 || frame.format() == Pixel::None {
            return Err(Error::invalid("frame", "it holds no picture"));
        }
        // SAFETY: `frame` owns a valid AVFrame, whose line sizes are plain integers.
        let lines = unsafe { (*frame.as_ptr()).linesize };
        // The J formats mean full range and are otherwise the same.
        let (format, jpeg) = match frame.format() {
            Pixel::YUVJ420P => (Pixel::YUV420P, true),
            Pixel::YUVJ422P => (Pixel::YUV422P, true),
            Pixel::YUVJ444P => (Pixel::YUV444P, true),
            Pixel::YUVJ440P => (Pixel::YUV440P, true),
            other => (other, false),
        };
        Ok(Self {
            format,
            size,
            strides: [lines[0], lines[1], lines[2]],
            matrix: ffi::AVColorSpace::from(frame.color_space()) as i32,
            full_range: jpeg || frame.color_range() == ffmpeg_next::color::Range::JPEG,
        })
    }
}

impl Route {
    fn new(traits: Traits, size: (u32, u32), rotation: Rotation) -> Result<Self> {
        let (width, height) = size;
        let even = width % 2 == 0 && height % 2 == 0;
        let [stride, u, v] = traits.strides;
        if traits.format == Pixel::YUV420P && traits.size == size && even && stride > 0 && u > 0 && u == v {
            let conversion = YuvToBgr::new(coefficients(traits.matrix), traits.full_range);
            if agrees(conversion, traits)? {
                let layout = Layout {
                    width: width as usize,
                    height: height as usize,
                    stride: stride as usize,
                    chroma_stride: u as usize,
                };
                return Ok(Self::Sampled { shrinker: Shrinker::new(layout, rotation), conversion });
            }
            tracing::debug!("this libswscale converts with other arithmetic; converting whole frames");
        }
        let converter = Converter::new(traits, size)?;
        let layout = Layout {
            width: width as usize,
            height: height as usize,
            stride: converter.output.stride(0),
            chroma_stride: 0,
        };
        Ok(Self::Whole { converter, shrinker: Shrinker::new(layout, rotation) })
    }
}

/// swscale's coefficients of a colour matrix; those of Rec. 601 for one that it does not know.
fn coefficients(matrix: i32) -> [i32; 4] {
    // SAFETY: the function takes any number and returns a pointer to four static integers.
    unsafe { *ffi::sws_getCoefficients(matrix).cast::<[i32; 4]>() }
}

/// Whether the swscale in use gives what `conversion` does, for every pair of luma and one chroma
/// and every pair of chromas. Builds for other processors may not.
fn agrees(conversion: YuvToBgr, traits: Traits) -> Result<bool> {
    const SIDE: u32 = 512;
    let mut frame = Video::new(Pixel::YUV420P, SIDE, SIDE);
    let sample = |x: usize, y: usize| {
        let (u, v) = (x / 2, y / 2);
        ((4 * (u + v) + x % 2 + y % 2 * 2) as u8, u as u8, v as u8)
    };
    for plane in 0..3 {
        let step = if plane == 0 { 1 } else { 2 };
        let stride = frame.stride(plane);
        for (y, row) in frame.data_mut(plane).chunks_mut(stride).take(SIDE as usize / step).enumerate() {
            for (x, byte) in row.iter_mut().take(SIDE as usize / step).enumerate() {
                let (luma, u, v) = sample(x * step, y * step);
                *byte = [luma, u, v][plane];
            }
        }
    }
    let mut converter = Converter::new(Traits { size: (SIDE, SIDE), ..traits }, (SIDE, SIDE))?;
    converter.convert(&frame)?;
    let stride = converter.output.stride(0);
    let mut rows = converter.output.data(0).chunks(stride).take(SIDE as usize).enumerate();
    Ok(rows.all(|(y, row)| {
        row.chunks_exact(3).take(SIDE as usize).enumerate().all(|(x, bgr)| {
            let (luma, u, v) = sample(x, y);
            conversion.convert(luma, u, v).iter().zip(bgr).all(|(&a, &b)| a == i16::from(b))
        })
    }))
}

/// Whole frames to packed BGR by swscale's default flags, with the tagged matrix and range.
struct Converter {
    context: *mut ffi::SwsContext,
    output: Video,
}

// SAFETY: the context is owned by this value alone and swscale ties none to a thread.
unsafe impl Send for Converter {}

impl std::fmt::Debug for Converter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Converter").finish_non_exhaustive()
    }
}

impl Converter {
    fn new(traits: Traits, (width, height): (u32, u32)) -> Result<Self> {
        let refused = || Error::invalid("frame", format!("{:?} cannot be converted to BGR", traits.format));
        let side = |length: u32| i32::try_from(length).map_err(|_| refused());
        let unit = 1 << 16;
        // SAFETY: sizes and formats are plain values, filters and parameters may be null, and a null
        // result is checked. The coefficient tables are static. Formats without a matrix make the
        // second call return -1 and change nothing.
        let context = unsafe {
            let context = ffi::sws_getContext(
                side(traits.size.0)?,
                side(traits.size.1)?,
                traits.format.into(),
                side(width)?,
                side(height)?,
                Pixel::BGR24.into(),
                ffmpeg_next::software::scaling::Flags::BICUBIC.bits(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            );
            if context.is_null() {
                return Err(refused());
            }
            let matrix = ffi::sws_getCoefficients(traits.matrix);
            ffi::sws_setColorspaceDetails(
                context,
                matrix,
                i32::from(traits.full_range),
                matrix,
                0,
                0,
                unit,
                unit,
            );
            context
        };
        Ok(Self { context, output: Video::new(Pixel::BGR24, width, height) })
    }

    /// Fills `output` from a frame of the size and format that the converter was made for.
    fn convert(&mut self, frame: &Video) -> Result<()> {
        // SAFETY: the route's traits tie the frame's size and format to this context; both frames
        // own their planes, and `output` has the context's size.
        let rows = unsafe {
            let (input, output) = (frame.as_ptr(), self.output.as_mut_ptr());
            ffi::sws_scale(
                self.context,
                (*input).data.as_ptr().cast(),
                (*input).linesize.as_ptr(),
                0,
                (*input).height,
                (*output).data.as_ptr(),
                (*output).linesize.as_ptr(),
            )
        };
        if rows == self.output.height() as i32 {
            Ok(())
        } else {
            Err(Error::invalid("frame", "swscale gave up on it"))
        }
    }
}

impl Drop for Converter {
    fn drop(&mut self) {
        // SAFETY: the context came from sws_getContext and is freed once.
        unsafe { ffi::sws_freeContext(self.context) }
    }
}

#[cfg(test)]
mod tests;
