//! Pictures as people see them.

#[cfg(feature = "image")]
use crate::{Error, Result};

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

#[cfg(feature = "image")]
impl RgbPicture {
    /// Largest file that is read, in bytes.
    pub const MAX_FILE_BYTES: usize = 64 << 20;

    /// Most pixels of a picture.
    const MAX_PIXELS: u64 = 1 << 26;

    /// Reads a PNG, JPEG, WebP, GIF or BMP file, told by its content. It is turned as its camera says,
    /// and what is transparent is put on white. Of an animation it is the first frame.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) when it is no picture, is damaged, or is larger
    /// than 64 MiB or 67 megapixels.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        use image::{DynamicImage, ImageDecoder, ImageReader};

        let bad = |e: image::ImageError| Error::invalid("picture", e.to_string());
        if bytes.len() > Self::MAX_FILE_BYTES {
            return Err(Error::invalid(
                "picture",
                format!("{} bytes are more than {}", bytes.len(), Self::MAX_FILE_BYTES),
            ));
        }
        let reader = ImageReader::new(std::io::Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|e| Error::invalid("picture", e.to_string()))?;
        let mut decoder = reader.into_decoder().map_err(bad)?;
        let (width, height) = decoder.dimensions();
        if u64::from(width) * u64::from(height) > Self::MAX_PIXELS {
            return Err(Error::invalid(
                "picture",
                format!("{width} x {height} pixels are more than {}", Self::MAX_PIXELS),
            ));
        }
        let orientation = decoder.orientation().map_err(bad)?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(bad)?;
        image.apply_orientation(orientation);
        let (width, height) = (image.width(), image.height());
        if width == 0 || height == 0 {
            return Err(Error::invalid("picture", "it has no pixels"));
        }
        if !image.color().has_alpha() {
            return Ok(Self { width, height, data: image.into_rgb8().into_raw() });
        }
        let rgba = image.into_rgba8().into_raw();
        let data =
            rgba.as_chunks::<4>().0.iter().flat_map(|[r, g, b, a]| [*r, *g, *b].map(|c| on_white(c, *a)));
        Ok(Self { width, height, data: data.collect() })
    }
}

/// A colour over white, rounded as Pillow does.
#[cfg(feature = "image")]
fn on_white(colour: u8, alpha: u8) -> u8 {
    let blend = u32::from(colour) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 128;
    (((blend >> 8) + blend) >> 8) as u8
}
