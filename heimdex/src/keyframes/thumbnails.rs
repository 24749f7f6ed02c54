//! Thumbnails as WebP in an object store.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::media::RgbPicture;
use crate::{Error, Result, Timestamp, VideoId};

const WIDTH: u32 = 320;
const QUALITY: f32 = 80.0;

/// Where thumbnails are kept: 320 pixels wide, upright, their aspect kept.
#[derive(Clone)]
pub struct Thumbnails {
    store: Arc<dyn ObjectStore>,
}

impl fmt::Debug for Thumbnails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbnails({})", self.store)
    }
}

impl Thumbnails {
    /// In a folder, made when it is not there.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) when the folder cannot be made.
    pub fn folder(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let store = LocalFileSystem::new_with_prefix(folder).map_err(|e| failed("opening the folder", e))?;
        Ok(Self { store: Arc::new(store) })
    }

    /// Width of a thumbnail in pixels.
    pub const fn width(&self) -> u32 {
        WIDTH
    }

    /// Keeps a picture, and gives its key: `VIDEO/MICROSECONDS.webp`.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) when it cannot be written; nothing is kept then.
    pub async fn put(&self, video: VideoId, time: Timestamp, picture: &RgbPicture) -> Result<String> {
        let key = format!("{video}/{:012}.webp", time.as_micros().max(0));
        let bytes = encode(picture)?;
        self.store
            .put(&Key::from(key.as_str()), PutPayload::from(bytes))
            .await
            .map_err(|e| failed(&format!("writing thumbnail {key}"), e))?;
        Ok(key)
    }

    /// The WebP kept under a key.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none.
    pub async fn get(&self, key: &str) -> Result<Vec<u8>> {
        let path = Key::parse(key).map_err(|e| Error::invalid("thumbnail", e.to_string()))?;
        match self.store.get(&path).await {
            Ok(found) => found.bytes().await.map(Into::into).map_err(|e| failed("reading a thumbnail", e)),
            Err(object_store::Error::NotFound { .. }) => Err(Error::not_found("thumbnail", key)),
            Err(error) => Err(failed("reading a thumbnail", error)),
        }
    }

    /// Deletes what is kept under these keys; what is not there is no error.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) when one cannot be deleted.
    pub async fn delete(&self, keys: &[String]) -> Result<()> {
        futures::stream::iter(keys)
            .map(|key| async move {
                let path = Key::parse(key).map_err(|e| Error::invalid("thumbnail", e.to_string()))?;
                match self.store.delete(&path).await {
                    Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                    Err(error) => Err(failed("deleting a thumbnail", error)),
                }
            })
            .buffer_unordered(8)
            .try_collect()
            .await
    }
}

fn encode(picture: &RgbPicture) -> Result<Vec<u8>> {
    let expected = picture.width as usize * picture.height as usize * 3;
    if picture.width == 0 || picture.height == 0 || picture.data.len() != expected {
        return Err(Error::invalid("picture", "its size and its data differ"));
    }
    let encoder = webp::Encoder::from_rgb(&picture.data, picture.width, picture.height);
    encoder
        .encode_simple(false, QUALITY)
        .map(|webp| webp.to_vec())
        .map_err(|e| Error::store("encoding a thumbnail", format!("{e:?}")))
}

fn failed(what: &str, error: object_store::Error) -> Error {
    Error::store(what, error)
}
