//! Keyframes as WebP in an object store: small to be shown, larger for models to look at.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path as Key;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

use crate::media::{RgbPicture, VideoFrame};
use crate::{Error, Result, Timestamp, VideoId};

const WIDTH: u32 = 320;
const QUALITY: f32 = 80.0;

/// The shorter side of a picture for models, and its quality. No preset's model looks at more, so a
/// model can be changed without decoding again.
const PICTURE_EDGE: u32 = 384;
const PICTURE_QUALITY: f32 = 90.0;

/// Where keyframes are kept: thumbnails 320 pixels wide, and pictures for models with a shorter side
/// of at most 384; both upright, their aspect kept.
#[derive(Clone)]
pub struct Thumbnails {
    store: Arc<dyn ObjectStore>,
    /// Where it is a folder, which may hold files that were never finished.
    folder: Option<PathBuf>,
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
        Ok(Self { store: Arc::new(store), folder: Some(folder.to_owned()) })
    }

    /// In an object store, such as a bucket.
    pub fn in_store(store: Arc<dyn ObjectStore>) -> Self {
        Self { store, folder: None }
    }

    /// Width of a thumbnail in pixels.
    pub const fn width(&self) -> u32 {
        WIDTH
    }

    /// Keeps a thumbnail, and gives its key: `VIDEO/MICROSECONDS.webp`.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) when it cannot be written; nothing is kept then.
    pub async fn put(&self, video: VideoId, time: Timestamp, picture: &RgbPicture) -> Result<String> {
        let key = format!("{video}/{:012}.webp", time.as_micros().max(0));
        self.write(&key, encode(picture, QUALITY)?).await?;
        Ok(key)
    }

    /// Keeps what [`look`] gave, and gives its key: `VIDEO/MICROSECONDS.picture.webp`.
    pub(crate) async fn put_look(&self, video: VideoId, time: Timestamp, look: Vec<u8>) -> Result<String> {
        let key = format!("{video}/{:012}.picture.webp", time.as_micros().max(0));
        self.write(&key, look).await?;
        Ok(key)
    }

    async fn write(&self, key: &str, bytes: Vec<u8>) -> Result<()> {
        let put = self.store.put(&Key::from(key), PutPayload::from(bytes)).await;
        put.map(|_| ()).map_err(|e| failed(&format!("writing {key}"), e))
    }

    /// Whether something is kept under every key.
    pub(crate) async fn hold(&self, keys: &[&str]) -> Result<bool> {
        for key in keys {
            match self.store.head(&Key::from(*key)).await {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => return Ok(false),
                Err(error) => return Err(failed(&format!("looking for {key}"), error)),
            }
        }
        Ok(true)
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

    /// Deletes everything that is kept of a video, files that were never finished included.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) or [`Store`](crate::ErrorKind::Store) when something cannot
    /// be deleted.
    pub async fn clear(&self, video: VideoId) -> Result<()> {
        let Some(folder) = &self.folder else {
            let listed = self.store.list(Some(&Key::from(video.to_string())));
            let keys: Vec<String> = listed
                .map_ok(|found| found.location.to_string())
                .try_collect()
                .await
                .map_err(|e| failed("listing thumbnails", e))?;
            return self.delete(&keys).await;
        };
        let folder = folder.join(video.to_string());
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io(&folder, error)),
            _ => Ok(()),
        }
    }

    /// Deletes what a process that was killed while it wrote has left of a video. Nobody else may be
    /// writing.
    pub(crate) async fn forget_unfinished(&self, video: VideoId) -> Result<()> {
        // An object store shows nothing until it is whole.
        let Some(folder) = &self.folder else { return Ok(()) };
        let folder = folder.join(video.to_string());
        let failed = |error| Error::io(&folder, error);
        let mut files = match tokio::fs::read_dir(&folder).await {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            files => files.map_err(failed)?,
        };
        while let Some(file) = files.next_entry().await.map_err(failed)? {
            // What is written has a number behind its name until it is whole.
            if file.file_name().as_encoded_bytes().contains(&b'#') {
                tokio::fs::remove_file(file.path()).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Deletes what is kept under these keys; what is not there is no error.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::ErrorKind::Store) when one cannot be deleted.
    pub async fn delete(&self, keys: &[String]) -> Result<()> {
        // Owned, so that the future may change threads.
        futures::stream::iter(keys.to_vec())
            .map(|key| async move {
                let path = Key::parse(&key).map_err(|e| Error::invalid("thumbnail", e.to_string()))?;
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

/// A frame as models look at it: as a file, and as the picture that is read back from the file. Models
/// always see the latter, so that a vector is the same whenever it is made.
pub(crate) fn look(frame: &VideoFrame) -> Result<(Vec<u8>, RgbPicture)> {
    let file = encode(&frame.to_rgb_edge(PICTURE_EDGE)?, PICTURE_QUALITY)?;
    let picture = decode(&file)?;
    Ok((file, picture))
}

/// The picture of a WebP file that was kept here.
pub(crate) fn decode(webp: &[u8]) -> Result<RgbPicture> {
    let image = webp::Decoder::new(webp)
        .decode()
        .filter(|image| !image.is_alpha())
        .ok_or_else(|| Error::store("reading a kept keyframe", "it is damaged; index again with --force"))?;
    Ok(RgbPicture { width: image.width(), height: image.height(), data: image.to_vec() })
}

fn encode(picture: &RgbPicture, quality: f32) -> Result<Vec<u8>> {
    let expected = picture.width as usize * picture.height as usize * 3;
    if picture.width == 0 || picture.height == 0 || picture.data.len() != expected {
        return Err(Error::invalid("picture", "its size and its data differ"));
    }
    let encoder = webp::Encoder::from_rgb(&picture.data, picture.width, picture.height);
    encoder
        .encode_simple(false, quality)
        .map(|webp| webp.to_vec())
        .map_err(|e| Error::store("encoding a thumbnail", format!("{e:?}")))
}

fn failed(what: &str, error: object_store::Error) -> Error {
    Error::store(what, error)
}
