//! Videos in a bucket that speaks S3. Browsers talk to it themselves, at addresses that are signed with
//! our keys; large videos are uploads of several parts in its own sense.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Method;
use chrono::Utc;
use futures::StreamExt;
use heimdex::{Error, ErrorKind, Fetched};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path as Key;
use object_store::signer::{SignedUrlOptions, Signer as _};
use object_store::{ObjectStore, ObjectStoreExt};
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use super::{PART_LASTS, Part, Storage, Upload, clear, video_key};
use crate::config::{Config, ConfigError};
use crate::problem::{Answer, Problem};
use crate::wire::{PartRequest, Playback};

/// Bytes of a list of parts at most: 1,000 of them.
const LIST_BYTES: usize = 4 << 20;

/// How long a fetch may be silent.
const SILENCE: Duration = Duration::from_mins(1);

/// A bucket, or what is below a prefix in one.
#[derive(Debug)]
pub struct Bucket {
    store: Arc<AmazonS3>,
    /// The same, as browsers reach it.
    public: Arc<AmazonS3>,
    prefix: Key,
    client: reqwest::Client,
    work_dir: PathBuf,
}

/// What `ListParts` answers.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedParts {
    #[serde(rename = "Part", default)]
    parts: Vec<ListedPart>,
    #[serde(default)]
    is_truncated: bool,
    next_part_number_marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPart {
    part_number: u32,
    #[serde(rename = "ETag", default)]
    etag: String,
    #[serde(default)]
    size: u64,
}

impl Bucket {
    /// Opens `BUCKET` or `BUCKET/PREFIX`, with region, endpoint and keys from the variables of AWS.
    ///
    /// # Errors
    /// Names what cannot be used.
    pub fn open(config: &Config, place: &str) -> Result<Self, ConfigError> {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let wrong = |e: object_store::Error| {
            ConfigError::of(
                "HEIMDEX_SERVER_STORAGE",
                format!(
                    "s3://{bucket}: {e}; see AWS_REGION, AWS_ENDPOINT, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                ),
            )
        };
        let builder = || {
            let known = config.aws.iter().filter_map(|(name, value)| {
                let key: AmazonS3ConfigKey = name.to_ascii_lowercase().parse().ok()?;
                Some((key, value.expose()))
            });
            let new = AmazonS3Builder::new().with_bucket_name(bucket);
            known.fold(new, |builder, (key, value)| builder.with_config(key, value))
        };
        let store = Arc::new(builder().build().map_err(wrong)?);
        let public = if config.s3_public_url.is_empty() {
            Arc::clone(&store)
        } else {
            let public = builder().with_endpoint(&config.s3_public_url).with_allow_http(true);
            Arc::new(public.build().map_err(wrong)?)
        };
        std::fs::create_dir_all(&config.work_dir).map_err(|e| {
            ConfigError::of("HEIMDEX_SERVER_WORK_DIR", format!("{}: {e}", config.work_dir.display()))
        })?;
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build();
        let client = client.map_err(|e| ConfigError::of("HEIMDEX_SERVER_STORAGE", e.to_string()))?;
        Ok(Self { store, public, prefix: Key::from(prefix), client, work_dir: config.work_dir.clone() })
    }

    /// A key in the bucket itself.
    fn full(&self, key: &Key) -> Key {
        self.prefix.parts().chain(key.parts()).collect()
    }

    fn key(&self, key: &str) -> Key {
        self.full(&Key::from(key))
    }

    fn first_part(&self, video: Uuid) -> Key {
        self.key(&format!("uploads/{video}/1"))
    }

    fn whole(&self, video: Uuid) -> Key {
        self.full(&video_key(video))
    }
}

#[async_trait]
impl Storage for Bucket {
    fn kind(&self) -> &'static str {
        "s3"
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::new(object_store::prefix::PrefixStore::new(Arc::clone(&self.store), self.prefix.clone()))
    }

    async fn begin(&self, upload: &Upload) -> Answer<Option<String>> {
        if upload.parts() == 1 {
            return Ok(None);
        }
        Ok(Some(self.store.create_multipart(&self.whole(upload.video)).await?))
    }

    async fn part(&self, upload: &Upload, number: u32) -> Answer<PartRequest> {
        let expires_at = Utc::now() + PART_LASTS;
        let url = match &upload.multipart {
            None => self.public.signed_url(Method::PUT, &self.first_part(upload.video), PART_LASTS).await?,
            Some(id) => {
                let query = [("partNumber", number.to_string()), ("uploadId", id.clone())];
                let options = SignedUrlOptions::default().with_query(query);
                self.public
                    .signed_url_opts(Method::PUT, &self.whole(upload.video), PART_LASTS, &options)
                    .await?
            }
        };
        Ok(PartRequest {
            number,
            bytes: upload.bytes_of(number),
            url: url.into(),
            method: "PUT".into(),
            headers: BTreeMap::new(),
            expires_at,
        })
    }

    async fn parts(&self, upload: &Upload) -> Answer<BTreeMap<u32, Part>> {
        let Some(id) = &upload.multipart else {
            return match self.store.head(&self.first_part(upload.video)).await {
                Ok(found) => {
                    let etag = found.e_tag.unwrap_or_default().trim_matches('"').to_owned();
                    Ok(BTreeMap::from([(1, Part { bytes: found.size, etag })]))
                }
                Err(object_store::Error::NotFound { .. }) => Ok(BTreeMap::new()),
                Err(error) => Err(error.into()),
            };
        };
        let mut parts = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = vec![("uploadId".to_owned(), id.clone())];
            query.extend(after.map(|after| ("part-number-marker".to_owned(), after)));
            let options = SignedUrlOptions::default().with_query(query);
            let whole = self.whole(upload.video);
            let url = self.store.signed_url_opts(Method::GET, &whole, PART_LASTS, &options).await?;
            let mut response =
                self.client.get(url).send().await.map_err(|e| Problem::unavailable(e.without_url()))?;
            if response.status() == reqwest::StatusCode::NOT_FOUND {
                return Ok(parts);
            }
            if !response.status().is_success() {
                return Err(Problem::unavailable(format!("listing parts: {}", response.status())));
            }
            let mut text = Vec::new();
            while let Some(chunk) =
                response.chunk().await.map_err(|e| Problem::unavailable(e.without_url()))?
            {
                text.extend_from_slice(&chunk);
                if text.len() > LIST_BYTES {
                    return Err(Problem::unavailable("the bucket's list of parts is too long"));
                }
            }
            let text = String::from_utf8_lossy(&text);
            let listed: ListedParts = quick_xml::de::from_str(&text).map_err(Problem::unavailable)?;
            for part in listed.parts {
                let etag = part.etag.trim_matches('"').to_owned();
                parts.insert(part.part_number, Part { bytes: part.size, etag });
            }
            after = listed.next_part_number_marker.filter(|_| listed.is_truncated);
            if after.is_none() {
                return Ok(parts);
            }
        }
    }

    async fn assemble(&self, upload: &Upload, parts: &BTreeMap<u32, Part>) -> Answer<()> {
        let whole = self.whole(upload.video);
        match &upload.multipart {
            // The address of a part stays good after this: what it wrote to is no longer what is used.
            None => self.store.copy(&self.first_part(upload.video), &whole).await?,
            Some(id) => {
                let ids = parts.values().map(|part| PartId { content_id: format!("\"{}\"", part.etag) });
                self.store.complete_multipart(&whole, id, ids.collect()).await?;
            }
        }
        Ok(())
    }

    async fn discard(&self, video: Uuid, multipart: Option<&str>) -> Answer<()> {
        if let Some(id) = multipart {
            match self.store.abort_multipart(&self.whole(video), &id.to_owned()).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                // One that was completed is gone, which some buckets call an error of their own.
                Err(error) => {
                    tracing::debug!(%error, %video, "an upload of several parts could not be ended");
                }
            }
        }
        clear(&*self.objects(), &format!("uploads/{video}")).await
    }

    async fn address(&self, key: &str, content_type: &str, lasts: Duration) -> Answer<Playback> {
        let expires_at = Utc::now() + lasts;
        let query = [("response-content-type", content_type)];
        let options = SignedUrlOptions::default().with_query(query);
        let url = self.public.signed_url_opts(Method::GET, &self.key(key), lasts, &options).await?;
        Ok(Playback { url: url.into(), expires_at })
    }

    async fn fetch(&self, video: Uuid, most: u64) -> heimdex::Result<Fetched> {
        let failed = |error: object_store::Error| match error {
            object_store::Error::NotFound { .. } => Error::not_found("file of the video", video.to_string()),
            error => Error::store("fetching a video from the bucket", error),
        };
        let found = self.store.get(&self.whole(video)).await.map_err(failed)?;
        if found.meta.size > most {
            let message = format!("{} bytes are more than {most}", found.meta.size);
            return Err(Error::media(format!("{video}"), ErrorKind::TooLarge, message));
        }
        let modified = found.meta.last_modified;
        let folder = tempfile::Builder::new().prefix("fetched-").tempdir_in(&self.work_dir);
        let folder = folder.map_err(|e| Error::io(&self.work_dir, e))?;
        let place = folder.path().join(video.to_string());
        let path = place.join("source");
        let io = |e| Error::io(&path, e);
        std::fs::create_dir(&place).map_err(io)?;
        let mut file = tokio::fs::File::create(&path).await.map_err(io)?;
        let (mut bytes, size) = (found.into_stream(), most);
        let mut written = 0_u64;
        loop {
            let next = tokio::time::timeout(SILENCE, bytes.next()).await;
            let next = next.map_err(|e| Error::store("fetching a video from the bucket", e))?;
            let Some(chunk) = next else { break };
            let chunk = chunk.map_err(failed)?;
            written += chunk.len() as u64;
            if written > size {
                return Err(Error::media(&path, ErrorKind::TooLarge, format!("more than {size} bytes")));
            }
            file.write_all(&chunk).await.map_err(io)?;
        }
        file.flush().await.map_err(io)?;
        let file = file.into_std().await;
        // The same time each time, so that what was done before is not done again.
        set_modified(&file, modified.into(), &path)?;
        Ok(Fetched { path, keep: Box::new(folder) })
    }
}

fn set_modified(file: &std::fs::File, time: std::time::SystemTime, path: &Path) -> heimdex::Result<()> {
    file.set_modified(time).map_err(|e| Error::io(path, e))
}
