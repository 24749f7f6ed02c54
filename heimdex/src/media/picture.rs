//! Pictures as people see them.

/// An upright picture with square pixels: rows from top to bottom, 3 bytes (R, G, B) a pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbPicture {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// `width * height * 3` bytes.
    pub data: Vec<u8>,
}
