//! The fast path against swscale itself.

use super::*;

/// A 4:2:0 frame from a function of the pixel: luma of each, U and V of each 2 by 2.
fn frame(width: u32, height: u32, sample: impl Fn(usize, usize) -> [u8; 3]) -> Video {
    let mut frame = Video::new(Pixel::YUV420P, width, height);
    for plane in 0..3 {
        let step = if plane == 0 { 1 } else { 2 };
        let stride = frame.stride(plane);
        let (columns, rows) = ((width as usize).div_ceil(step), (height as usize).div_ceil(step));
        for (y, row) in frame.data_mut(plane).chunks_mut(stride).take(rows).enumerate() {
            for (x, byte) in row.iter_mut().take(columns).enumerate() {
                *byte = sample(x * step, y * step)[plane];
            }
        }
    }
    frame
}

fn noise(x: usize, y: usize) -> [u8; 3] {
    let mix = |seed: u32| {
        let mut v = (x as u32).wrapping_mul(0x9E37_79B1)
            ^ (y as u32).wrapping_mul(0x85EB_CA77)
            ^ seed.wrapping_mul(0xC2B2_AE3D);
        v = (v ^ (v >> 15)).wrapping_mul(0x2C1B_3C6D);
        (v >> 17) as u8
    };
    [mix(1), mix(2), mix(3)]
}

fn tagged(matrix: ffmpeg_next::color::Space, range: ffmpeg_next::color::Range, mut frame: Video) -> Video {
    frame.set_color_space(matrix);
    frame.set_color_range(range);
    frame
}

/// The small picture by way of the whole one.
fn whole(frame: &Video, rotation: Rotation) -> SmallPicture {
    let traits = Traits::of(frame).unwrap();
    let mut converter = Converter::new(traits, traits.size).unwrap();
    converter.convert(frame).unwrap();
    let layout = Layout {
        width: frame.width() as usize,
        height: frame.height() as usize,
        stride: converter.output.stride(0),
        chroma_stride: 0,
    };
    let mut small = SmallPicture::default();
    assert!(Shrinker::new(layout, rotation).shrink(Pixels::Bgr(converter.output.data(0)), &mut small));
    small
}

#[test]
fn conversion_equals_swscale_for_every_colour() {
    use ffmpeg_next::color::{Range, Space};
    let sample = |x: usize, y: usize| {
        let (u, v) = (x / 2, y / 2);
        [0, u as u8, v as u8]
    };
    for (matrix, range) in [
        (Space::SMPTE170M, Range::MPEG),
        (Space::BT709, Range::MPEG),
        (Space::SMPTE170M, Range::JPEG),
        (Space::BT709, Range::JPEG),
        (Space::Unspecified, Range::Unspecified),
        (Space::BT2020NCL, Range::MPEG),
    ] {
        let mut picture = tagged(matrix, range, frame(512, 512, sample));
        let traits = Traits::of(&picture).unwrap();
        let conversion = YuvToBgr::new(coefficients(traits.matrix), traits.full_range);
        assert!(agrees(conversion, traits).unwrap(), "{matrix:?} {range:?}");
        let mut converter = Converter::new(traits, (512, 512)).unwrap();
        // All U and V at once; each round gives the four pixels of a pair four further lumas.
        for round in 0..64u8 {
            let stride = picture.stride(0);
            for (y, row) in picture.data_mut(0).chunks_mut(stride).take(512).enumerate() {
                for (x, byte) in row.iter_mut().take(512).enumerate() {
                    *byte = round * 4 + (y % 2 * 2 + x % 2) as u8;
                }
            }
            converter.convert(&picture).unwrap();
            let stride = converter.output.stride(0);
            let rows = converter.output.data(0).chunks(stride).take(512);
            let wrong = rows
                .enumerate()
                .flat_map(|(y, row)| row.chunks(3).take(512).enumerate().map(move |(x, bgr)| (x, y, bgr)))
                .find(|&(x, y, bgr)| {
                    let luma = round * 4 + (y % 2 * 2 + x % 2) as u8;
                    conversion.convert(luma, (x / 2) as u8, (y / 2) as u8)
                        != [bgr[0], bgr[1], bgr[2]].map(i16::from)
                });
            assert_eq!(wrong, None, "{matrix:?} {range:?} luma {round}");
        }
    }
}

#[test]
fn sampled_pictures_equal_whole_ones() {
    for (width, height) in [
        (1920, 1080),
        (1280, 720),
        (854, 480),
        (426, 240),
        (640, 362),
        (322, 242),
        (256, 144),
        (18, 10),
        (2, 2),
        (6, 4),
    ] {
        let picture = frame(width, height, noise);
        for rotation in [Rotation::None, Rotation::Quarter, Rotation::Half, Rotation::ThreeQuarters] {
            let mut maker = PictureMaker::new(rotation);
            let mut small = SmallPicture::default();
            maker.make(&picture, &mut small).unwrap();
            assert!(matches!(maker.route, Some((_, Route::Sampled { .. }))), "{width}x{height}");
            assert!(small == whole(&picture, rotation), "{width}x{height} {rotation:?}");
        }
    }
}

#[test]
fn other_formats_and_sizes_go_by_way_of_swscale() {
    let mut small = SmallPicture::default();
    for format in [
        Pixel::YUV444P,
        Pixel::YUV420P10LE,
        Pixel::GRAY8,
        Pixel::BGRA,
        Pixel::YUVA420P,
        Pixel::NV12,
        Pixel::PAL8,
    ] {
        let mut picture = Video::new(format, 320, 180);
        picture.data_mut(0).fill(80);
        PictureMaker::new(Rotation::None).make(&picture, &mut small).unwrap();
        assert_eq!((small.width(), small.height()), (256, 144), "{format:?}");
    }
    PictureMaker::new(Rotation::Quarter).make(&frame(321, 241, noise), &mut small).unwrap();
    assert_eq!((small.width(), small.height()), (192, 256));
    assert!(PictureMaker::new(Rotation::None).make(&Video::empty(), &mut small).is_err());
}

#[test]
fn a_new_size_is_brought_to_the_first_one() {
    let mut maker = PictureMaker::new(Rotation::None);
    let mut small = SmallPicture::default();
    maker.make(&frame(320, 180, noise), &mut small).unwrap();
    maker.make(&frame(640, 480, |_, _| [235, 128, 128]), &mut small).unwrap();
    assert_eq!((small.width(), small.height()), (256, 144));
    assert!(small.measures().signature.iter().all(|&grey| grey >= 250));
}
