//! Videos in a folder that all processes share. The server answers for it, at addresses it signs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use heimdex::Fetched;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::{PART_LASTS, Part, Signer, Storage, Upload};
use crate::config::ConfigError;
use crate::problem::{Answer, Problem};
use crate::wire::{PartRequest, Playback};

/// How long a sender may be silent.
const SILENCE: Duration = Duration::from_secs(30);

/// Pictures keep their addresses for an hour, so that browsers keep the pictures.
const ROUND_S: i64 = 3600;

/// A folder.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    objects: Arc<LocalFileSystem>,
    signer: Arc<Signer>,
}

impl Folder {
    /// Opens a folder, made when it is not there.
    ///
    /// # Errors
    /// When it cannot be made or written to.
    pub fn open(root: &Path, signer: Arc<Signer>) -> Result<Self, ConfigError> {
        let wrong = |e: &dyn std::fmt::Display| {
            ConfigError::of("HEIMDEX_SERVER_STORAGE", format!("{}: {e}", root.display()))
        };
        for folder in ["uploads", "videos", "thumbnails"] {
            std::fs::create_dir_all(root.join(folder)).map_err(|e| wrong(&e))?;
        }
        let root = root.canonicalize().map_err(|e| wrong(&e))?;
        tempfile::tempfile_in(&root).map_err(|e| wrong(&e))?;
        let objects = LocalFileSystem::new_with_prefix(&root).map_err(|e| wrong(&e))?;
        Ok(Self { root, objects: Arc::new(objects), signer })
    }

    fn parts_of(&self, video: Uuid) -> PathBuf {
        self.root.join("uploads").join(video.to_string())
    }

    fn file_of(&self, video: Uuid) -> PathBuf {
        self.root.join("videos").join(video.to_string()).join("source")
    }

    /// Writes a part as it comes in, exactly so many bytes, and gives its `ETag`. It is there once it is
    /// whole, and then nothing writes to it any more.
    ///
    /// # Errors
    /// When it has another size, stalls, or the upload is over.
    pub async fn write(
        &self,
        (video, number): (Uuid, u32),
        bytes: u64,
        body: impl Stream<Item = Result<Bytes, axum::Error>> + Send,
    ) -> Answer<String> {
        let folder = self.parts_of(video);
        let over = || Problem::conflict("upload-over", "this upload is completed, or was removed");
        let wrong_size = || {
            Problem::new(
                axum::http::StatusCode::BAD_REQUEST,
                "part-size",
                format!("part {number} has to have {bytes} bytes"),
            )
        };
        // Made when the upload began: one that is over is not begun again by a late part.
        let unfinished =
            tempfile::Builder::new().prefix(".part-").tempfile_in(&folder).map_err(|_| over())?;
        let (file, path) = unfinished.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        let mut hasher = blake3::Hasher::new();
        let mut written = 0_u64;
        let mut body = std::pin::pin!(body);
        loop {
            let next = tokio::time::timeout(SILENCE, body.next()).await;
            let next = next.map_err(|_| Problem::of_status(axum::http::StatusCode::REQUEST_TIMEOUT))?;
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(|_| wrong_size())?;
            written += chunk.len() as u64;
            if written > bytes {
                return Err(wrong_size());
            }
            hasher.update(&chunk);
            file.write_all(&chunk).await.map_err(Problem::unavailable)?;
        }
        if written != bytes {
            return Err(wrong_size());
        }
        file.sync_all().await.map_err(Problem::unavailable)?;
        drop(file.into_std().await);
        let etag = hasher.finalize().to_hex()[..32].to_owned();
        let place = folder.join(format!("{number}.{etag}"));
        // Sent twice, the last one counts.
        for (other, path) in listed(&folder).await? {
            if other.0 == number && path != place {
                // Another sender of the same part may have removed it.
                let _ = tokio::fs::remove_file(path).await;
            }
        }
        path.persist(&place).map_err(|_| over())?;
        Ok(etag)
    }
}

/// The whole parts in a folder, by number and `ETag`.
async fn listed(folder: &Path) -> Answer<Vec<((u32, String), PathBuf)>> {
    let mut entries = match tokio::fs::read_dir(folder).await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Problem::unavailable)?,
    };
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(Problem::unavailable)? {
        let name = entry.file_name();
        let part = name.to_str().and_then(|name| name.split_once('.'));
        if let Some((number, etag)) = part.and_then(|(n, etag)| Some((n.parse().ok()?, etag))) {
            found.push(((number, etag.to_owned()), entry.path()));
        }
    }
    Ok(found)
}

#[async_trait]
impl Storage for Folder {
    fn kind(&self) -> &'static str {
        "folder"
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects) as Arc<dyn ObjectStore>
    }

    async fn begin(&self, upload: &Upload) -> Answer<Option<String>> {
        tokio::fs::create_dir_all(self.parts_of(upload.video)).await.map_err(Problem::unavailable)?;
        Ok(None)
    }

    async fn part(&self, upload: &Upload, number: u32) -> Answer<PartRequest> {
        let bytes = upload.bytes_of(number);
        let key = format!("uploads/{}/{number}", upload.video);
        let (url, expires_at) = self.signer.address("PUT", &key, (bytes, ""), PART_LASTS, 1);
        Ok(PartRequest { number, bytes, url, method: "PUT".into(), headers: BTreeMap::new(), expires_at })
    }

    async fn parts(&self, upload: &Upload) -> Answer<BTreeMap<u32, Part>> {
        let mut parts = BTreeMap::new();
        for ((number, etag), path) in listed(&self.parts_of(upload.video)).await? {
            if let Ok(found) = tokio::fs::metadata(path).await {
                parts.insert(number, Part { bytes: found.len(), etag });
            }
        }
        Ok(parts)
    }

    async fn assemble(&self, upload: &Upload, parts: &BTreeMap<u32, Part>) -> Answer<()> {
        let folder = self.parts_of(upload.video);
        let place = self.file_of(upload.video);
        let files: Vec<PathBuf> =
            parts.iter().map(|(number, part)| folder.join(format!("{number}.{}", part.etag))).collect();
        let joined =
            tokio::task::spawn_blocking(move || join(&files, &place)).await.map_err(Problem::internal)?;
        joined.map_err(Problem::unavailable)
    }

    async fn discard(&self, video: Uuid, _: Option<&str>) -> Answer<()> {
        match tokio::fs::remove_dir_all(self.parts_of(video)).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Problem::unavailable(error)),
            _ => Ok(()),
        }
    }

    async fn address(&self, key: &str, content_type: &str, lasts: Duration) -> Answer<Playback> {
        let (url, expires_at) = self.signer.address("GET", key, (0, content_type), lasts, ROUND_S);
        Ok(Playback { url, expires_at })
    }

    async fn fetch(&self, video: Uuid, _: u64) -> heimdex::Result<Fetched> {
        Ok(Fetched { path: self.file_of(video), keep: Box::new(()) })
    }
}

/// Makes one file of several, in its place all at once.
fn join(parts: &[PathBuf], place: &Path) -> std::io::Result<()> {
    let Some(folder) = place.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder)?;
    if let [only] = parts {
        return std::fs::rename(only, place);
    }
    let mut whole = tempfile::Builder::new().prefix(".joining-").tempfile_in(folder)?;
    for part in parts {
        std::io::copy(&mut std::fs::File::open(part)?, whole.as_file_mut())?;
    }
    whole.as_file().sync_all()?;
    whole.persist(place).map(|_| ()).map_err(|e| e.error)
}
