//! YUV 4:2:0 to BGR with the arithmetic of swscale's unscaled x86 converter.
//!
//! Algorithm: FFmpeg `libswscale/x86/yuv_2_rgb.asm` (`yuv_420_bgr24`, 16-bit lanes, products cut
//! to their high half) with the coefficients of `ff_yuv2rgb_c_init_tables` in
//! `libswscale/yuv2rgb.c`. Every pixel depends on its own Y, U and V alone.

#![allow(clippy::inline_always, reason = "one body is compiled for AVX2 and for every processor")]

/// Coefficients for one colour matrix and range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct YuvToBgr {
    luma_offset: i16,
    luma: i16,
    red_v: i16,
    green_u: i16,
    green_v: i16,
    blue_u: i16,
}

impl YuvToBgr {
    /// From swscale's coefficients of a colour matrix (`sws_getCoefficients`).
    pub(super) fn new(matrix: [i32; 4], full_range: bool) -> Self {
        let unit = 1i64 << 16;
        let (luma, luma_offset) = if full_range { (unit, 0) } else { (unit * 255 / 219, 16 << 16) };
        let chroma = |value: i32| if full_range { i64::from(value) * 224 / 255 } else { i64::from(value) };
        Self {
            luma_offset: round_to_i16(luma_offset * 8),
            luma: round_to_i16(luma * 8192),
            red_v: round_to_i16(chroma(matrix[0]) * 8192),
            blue_u: round_to_i16(chroma(matrix[1]) * 8192),
            green_u: round_to_i16(chroma(-matrix[2]) * 8192),
            green_v: round_to_i16(chroma(-matrix[3]) * 8192),
        }
    }

    /// Blue, green and red of one pixel, each 0 to 255.
    #[inline(always)]
    pub(super) fn convert(self, y: u8, u: u8, v: u8) -> [i16; 3] {
        let luma = high_half((i16::from(y) << 3) - self.luma_offset, self.luma);
        let (u, v) = ((i16::from(u) << 3) - 1024, (i16::from(v) << 3) - 1024);
        let blue = luma + high_half(u, self.blue_u);
        let green = luma + high_half(u, self.green_u) + high_half(v, self.green_v);
        let red = luma + high_half(v, self.red_v);
        [blue.clamp(0, 255), green.clamp(0, 255), red.clamp(0, 255)]
    }
}

#[inline(always)]
fn high_half(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// swscale's `roundToInt16`: 16.16 fixed point to a saturated integer.
fn round_to_i16(value: i64) -> i16 {
    ((value + (1 << 15)) >> 16).clamp(-0x7FFF, 0x7FFF) as i16
}
