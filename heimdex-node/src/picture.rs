//! Pictures from JavaScript.

use heimdex::media::RgbPicture;
use heimdex::{Error, Result};
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;

/// A picture: the bytes of a file, or where there are a width and a height, rows of R, G, B.
#[napi(object)]
pub struct NativePicture {
    pub width: Option<u32>,
    pub height: Option<u32>,
    pub data: Buffer,
}

/// The same, away from the event loop's thread.
pub(crate) struct Pixels {
    size: Option<(u32, u32)>,
    data: Vec<u8>,
}

impl From<NativePicture> for Pixels {
    fn from(picture: NativePicture) -> Self {
        Self { size: picture.width.zip(picture.height), data: picture.data.to_vec() }
    }
}

impl Pixels {
    pub(crate) fn read(self) -> Result<RgbPicture> {
        let Some((width, height)) = self.size else { return RgbPicture::decode(&self.data) };
        let expected = u64::from(width) * u64::from(height) * 3;
        if expected == 0 || self.data.len() as u64 != expected {
            let message = format!("{width} x {height} pixels are not {} bytes", self.data.len());
            return Err(Error::invalid("image", message));
        }
        Ok(RgbPicture { width, height, data: self.data })
    }
}
