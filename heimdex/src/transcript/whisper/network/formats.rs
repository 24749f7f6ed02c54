//! How ggml keeps weights in blocks of 32.
//!
//! Source: `ggml-common.h`, `block_q8_0` and those beside it.

/// Values that share a scale.
pub(super) const WIDTH: usize = 32;

/// How ggml keeps a block of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `scale · q`, from -128 to 127.
    Q8,
    /// `scale · (q - 16)`, from 0 to 31.
    Q5,
    /// `scale · q + offset`, from 0 to 31.
    Q5Offset,
    /// `scale · (q - 8)`, from 0 to 15.
    Q4,
    /// `scale · q + offset`, from 0 to 15.
    Q4Offset,
}

impl Format {
    /// By the number of ggml's.
    pub(super) fn of(kind: u32) -> Option<Self> {
        Some(match kind {
            2 => Self::Q4,
            3 => Self::Q4Offset,
            6 => Self::Q5,
            7 => Self::Q5Offset,
            8 => Self::Q8,
            _ => return None,
        })
    }

    pub(super) fn has_offset(self) -> bool {
        matches!(self, Self::Q5Offset | Self::Q4Offset)
    }

    /// What is added to a value so that none is negative.
    pub(super) fn bias(self) -> i32 {
        match self {
            Self::Q8 => 128,
            Self::Q5 => 16,
            Self::Q4 => 8,
            Self::Q5Offset | Self::Q4Offset => 0,
        }
    }

    /// Bytes of a block.
    pub(super) fn bytes(self) -> usize {
        let head = if self.has_offset() { 4 } else { 2 };
        head + match self {
            Self::Q8 => WIDTH,
            Self::Q5 | Self::Q5Offset => 4 + WIDTH / 2,
            Self::Q4 | Self::Q4Offset => WIDTH / 2,
        }
    }

    /// Scale, offset and values of a block, each value with the bias.
    pub(super) fn read(self, block: &[u8]) -> (u16, u16, [u8; WIDTH]) {
        let half = |at: usize| u16::from_le_bytes([block[at], block[at + 1]]);
        let (offset, head) = if self.has_offset() { (half(2), 4) } else { (0, 2) };
        let mut values = [0; WIDTH];
        let rest = &block[head..];
        match self {
            Self::Q8 => {
                for (value, byte) in values.iter_mut().zip(rest) {
                    *value = byte ^ 0x80;
                }
            }
            // The lower four bits of the first 16 values, and of the others; then each with its fifth bit.
            Self::Q5 | Self::Q5Offset => {
                let fifth = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]);
                nibbles(&rest[4..], &mut values);
                for (i, value) in values.iter_mut().enumerate() {
                    *value |= ((fifth >> i & 1) as u8) << 4;
                }
            }
            Self::Q4 | Self::Q4Offset => nibbles(rest, &mut values),
        }
        (half(0), offset, values)
    }
}

fn nibbles(bytes: &[u8], values: &mut [u8; WIDTH]) {
    let (low, high) = values.split_at_mut(WIDTH / 2);
    for ((low, high), byte) in low.iter_mut().zip(high).zip(bytes) {
        (*low, *high) = (byte & 15, byte >> 4);
    }
}
