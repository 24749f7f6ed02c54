//! Where videos and pictures are kept: a folder, or a bucket. Browsers send and fetch bytes at signed
//! addresses, with the same requests for both.
//!
//! `uploads/VIDEO/N` is a part on its way, `videos/VIDEO/source` a whole video, which nothing changes any
//! more, `thumbnails/VIDEO/...` its pictures.

mod bucket;
mod folder;
mod sign;

pub use bucket::Bucket;
pub use folder::Folder;
pub use sign::{Signed, Signer};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use heimdex::Fetched;
use object_store::path::Path as Key;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use uuid::Uuid;

use crate::config::{Config, ConfigError};
use crate::problem::Answer;
use crate::wire::{PartRequest, Playback};

/// How long the address of a part is good for.
pub const PART_LASTS: Duration = Duration::from_mins(15);

/// How long a video can be played from one address.
pub const PLAYBACK_LASTS: Duration = Duration::from_hours(6);

/// How long a picture can be fetched from one address, at least.
pub const PICTURE_LASTS: Duration = Duration::from_hours(1);

/// A video on its way.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The video.
    pub video: Uuid,
    /// Its size.
    pub bytes: u64,
    /// Bytes of every part but the last.
    pub part_bytes: u64,
    /// The bucket's name of it, where it has several parts.
    pub multipart: Option<String>,
}

impl Upload {
    /// How many parts it has.
    pub fn parts(&self) -> u32 {
        u32::try_from(self.bytes.div_ceil(self.part_bytes.max(1))).unwrap_or(u32::MAX)
    }

    /// Bytes of a part, from 1; 0 where there is no such part.
    pub fn bytes_of(&self, number: u32) -> u64 {
        let before = self.part_bytes.saturating_mul(u64::from(number.saturating_sub(1)));
        self.bytes.saturating_sub(before).min(self.part_bytes)
    }
}

/// A part that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its size.
    pub bytes: u64,
    /// What it was answered with.
    pub etag: String,
}

/// A place for videos.
#[async_trait]
pub trait Storage: Send + Sync + std::fmt::Debug {
    /// What it is, in a word.
    fn kind(&self) -> &'static str;

    /// Everything in it.
    fn objects(&self) -> Arc<dyn ObjectStore>;

    /// Prepares for the parts of an upload; gives what to call it from now on, where that needs a name.
    async fn begin(&self, upload: &Upload) -> Answer<Option<String>>;

    /// The request that sends a part.
    async fn part(&self, upload: &Upload, number: u32) -> Answer<PartRequest>;

    /// The parts that are there.
    async fn parts(&self, upload: &Upload) -> Answer<BTreeMap<u32, Part>>;

    /// Makes one video of all parts. Done twice, it is done once.
    async fn assemble(&self, upload: &Upload, parts: &BTreeMap<u32, Part>) -> Answer<()>;

    /// Removes the parts of an upload.
    async fn discard(&self, video: Uuid, multipart: Option<&str>) -> Answer<()>;

    /// Where a browser gets an object, which it is told is of this type.
    async fn address(&self, key: &str, content_type: &str, lasts: Duration) -> Answer<Playback>;

    /// The file of a video, on this machine.
    async fn fetch(&self, video: Uuid, most: u64) -> heimdex::Result<Fetched>;
}

/// A storage; and where it is a folder, that: the server itself answers for it.
pub type Opened = (Arc<dyn Storage>, Option<Arc<Folder>>);

/// The storage that is configured.
///
/// # Errors
/// Names the setting that cannot be used.
pub fn open(config: &Config, signer: &Arc<Signer>) -> Result<Opened, ConfigError> {
    match config.storage.strip_prefix("s3://") {
        Some(place) => Ok((Arc::new(Bucket::open(config, place)?), None)),
        None if config.storage.contains("://") => Err(ConfigError::of(
            "HEIMDEX_SERVER_STORAGE",
            format!("{} is neither a folder nor s3://BUCKET", config.storage),
        )),
        None => {
            let folder = Arc::new(Folder::open(Path::new(&config.storage), Arc::clone(signer))?);
            Ok((Arc::clone(&folder) as Arc<dyn Storage>, Some(folder)))
        }
    }
}

/// The key of a whole video.
pub fn video_key(video: Uuid) -> Key {
    Key::from(format!("videos/{video}/source"))
}

/// Where the core keeps its pictures.
pub fn thumbnails(storage: &dyn Storage) -> Arc<dyn ObjectStore> {
    Arc::new(PrefixStore::new(storage.objects(), "thumbnails"))
}

/// The size of a whole video; `None` where there is none.
///
/// # Errors
/// When the storage does not answer.
pub async fn size(storage: &dyn Storage, video: Uuid) -> Answer<Option<u64>> {
    match storage.objects().head(&video_key(video)).await {
        Ok(found) => Ok(Some(found.size)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The first bytes of a whole video.
///
/// # Errors
/// When the storage does not answer.
pub async fn head(storage: &dyn Storage, video: Uuid, bytes: u64) -> Answer<Vec<u8>> {
    let options = GetOptions { range: Some(GetRange::Bounded(0..bytes)), ..GetOptions::default() };
    let found = storage.objects().get_opts(&video_key(video), options).await?;
    Ok(found.bytes().await?.to_vec())
}

/// Removes a whole video; one that is not there is no error.
///
/// # Errors
/// When the storage does not answer.
pub async fn remove(storage: &dyn Storage, video: Uuid) -> Answer<()> {
    clear(&*storage.objects(), &format!("videos/{video}")).await
}

/// Removes everything below a prefix.
async fn clear(objects: &dyn ObjectStore, prefix: &str) -> Answer<()> {
    let found = objects.list(Some(&Key::from(prefix))).map_ok(|found| found.location).boxed();
    let keys: Vec<Key> = found.try_collect().await?;
    for key in keys {
        match objects.delete(&key).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// Whether it answers, and how fast.
pub async fn answers(storage: &dyn Storage) -> (bool, Duration) {
    let begun = Instant::now();
    let (objects, key) = (storage.objects(), Key::from("health"));
    let looked = tokio::time::timeout(Duration::from_secs(5), objects.head(&key)).await;
    let ok = matches!(looked, Ok(Ok(_) | Err(object_store::Error::NotFound { .. })));
    (ok, begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up() {
        for (bytes, part_bytes, parts, last) in [(1, 8, 1, 1), (8, 8, 1, 8), (9, 8, 2, 1), (24, 8, 3, 8)] {
            let upload = Upload { video: Uuid::nil(), bytes, part_bytes, multipart: None };
            assert_eq!((upload.parts(), upload.bytes_of(parts)), (parts, last));
            assert_eq!((1..=parts).map(|n| upload.bytes_of(n)).sum::<u64>(), bytes);
            assert_eq!(upload.bytes_of(parts + 1), 0);
        }
    }
}
