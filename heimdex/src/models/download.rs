//! One blob from the hub into the cache: taken up where it stopped, checked, and in place only when
//! it is whole.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use super::cache::{Repo, make_parent, sync_folder};
use super::hash::{Expected, Hasher, feed, mismatch_of};
use super::http::{Client, Described, Rest, Wanted, failed};
use super::options::HubOptions;
use super::retry::{Failure, Retry};
use crate::{Cancel, Error, Result};

/// Everything that getting one blob takes.
pub(super) struct Download<'a> {
    pub(super) client: &'a Client,
    pub(super) options: &'a HubOptions,
    pub(super) cancel: &'a Cancel,
    pub(super) repo: &'a Repo,
    pub(super) wanted: Wanted<'a>,
    pub(super) described: &'a Described,
    /// By the etag, and by what is known of the file.
    pub(super) expected: &'a [Expected],
}

impl Download<'_> {
    /// Gets the blob where it is not there yet; the bytes that were received.
    ///
    /// The blob is named by its hash, so what arrived of it earlier, whoever got it, is its
    /// beginning; were it not, the hash of the whole would tell.
    pub(super) fn run(&self, on_bytes: &mut dyn FnMut(u64)) -> Result<u64> {
        let etag = &self.described.etag;
        if !self.options.force && self.is_there() {
            return Ok(0);
        }
        make_parent(&self.repo.blob(etag))?;
        let lock = self.repo.lock(etag, self.cancel)?;
        // Another process may have got it meanwhile.
        if self.is_there() && !(self.options.force && self.drop_wrong()?) {
            return Ok(0);
        }
        let received = self.receive(on_bytes)?;
        drop(lock);
        Ok(received)
    }

    fn is_there(&self) -> bool {
        let blob = self.repo.blob(&self.described.etag);
        blob.metadata().is_ok_and(|m| m.is_file() && m.len() == self.described.bytes)
    }

    /// Removes the blob when its hash is wrong.
    fn drop_wrong(&self) -> Result<bool> {
        let blob = self.repo.blob(&self.described.etag);
        let wrong = mismatch_of(&blob, self.expected, self.cancel)?.is_some();
        if wrong {
            std::fs::remove_file(&blob).map_err(|e| Error::io(&blob, e))?;
        }
        Ok(wrong)
    }

    fn receive(&self, on_bytes: &mut dyn FnMut(u64)) -> Result<u64> {
        let bytes = self.described.bytes;
        let mut part = Part::open(self)?;
        let mut received = 0;
        let mut retry = Retry::new(self.options, self.cancel);
        on_bytes(part.length);
        while part.length < bytes {
            self.cancel.check()?;
            let before = received;
            let outcome = self
                .client
                .content(self.wanted, part.length, bytes)
                .and_then(|rest| self.stream(rest, &mut part, &mut received, on_bytes));
            if received > before {
                retry.progressed();
            }
            if let Err(failure) = outcome {
                retry.after(failure)?;
            }
        }
        part.finish(self)?;
        Ok(received)
    }

    /// Appends what comes until it ends.
    fn stream(
        &self,
        rest: Rest,
        part: &mut Part,
        received: &mut u64,
        on_bytes: &mut dyn FnMut(u64),
    ) -> Result<(), Failure> {
        let Wanted { repo, file, .. } = self.wanted;
        if rest.from != part.length {
            part.restart(self)?;
        }
        let mut reader = rest.body.into_reader();
        let mut buffer = vec![0; 256 << 10];
        loop {
            self.cancel.check()?;
            let broken = |error: Option<ureq::Error>, at: u64| {
                let why = error.as_ref().map_or_else(String::new, |e| format!(" ({e})"));
                let message = format!("{file}: cut off after {at} of {} bytes{why}", self.described.bytes);
                Failure::Passing { error: failed(repo, message, error), wait: None }
            };
            let n = match reader.read(&mut buffer) {
                Ok(0) if part.length < self.described.bytes => return Err(broken(None, part.length)),
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(broken(Some(e.into()), part.length)),
            };
            if part.length + n as u64 > self.described.bytes {
                part.remove();
                let message = format!("{file}: the server sends more than {} bytes", self.described.bytes);
                return Err(Error::model(repo, message).into());
            }
            part.append(&buffer[..n], self.expected)?;
            *received += n as u64;
            on_bytes(part.length);
        }
    }
}

/// The file `ETAG.incomplete` and the hash of what is in it.
struct Part {
    path: PathBuf,
    file: File,
    length: u64,
    hasher: Hasher,
}

impl Part {
    fn open(download: &Download<'_>) -> Result<Self> {
        let Described { etag, bytes, .. } = download.described;
        let path = download.repo.incomplete(etag);
        let io = |e| Error::io(&path, e);
        let mut file =
            File::options().create(true).truncate(false).read(true).write(true).open(&path).map_err(io)?;
        let mut length = file.metadata().map_err(io)?.len();
        if length > *bytes {
            file.set_len(0).map_err(io)?;
            length = 0;
        }
        let mut hasher = Hasher::new(*bytes);
        feed(&mut hasher, &path, download.expected, download.cancel)?;
        file.seek(SeekFrom::Start(length)).map_err(io)?;
        Ok(Self { path, file, length, hasher })
    }

    fn append(&mut self, bytes: &[u8], expected: &[Expected]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| Error::io(&self.path, e))?;
        self.hasher.update(bytes, expected);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn restart(&mut self, download: &Download<'_>) -> Result<()> {
        let io = |e| Error::io(&self.path, e);
        self.file.set_len(0).map_err(io)?;
        self.file.rewind().map_err(io)?;
        self.length = 0;
        self.hasher = Hasher::new(download.described.bytes);
        Ok(())
    }

    /// Into its place, when it is what it must be.
    fn finish(self, download: &Download<'_>) -> Result<()> {
        if let Some((expected, found)) = self.hasher.mismatch(download.expected) {
            self.remove();
            let Wanted { repo, file, .. } = download.wanted;
            let message =
                format!("{file}: wrong content, hash {found} in place of {expected}; it was removed");
            return Err(Error::model(repo, message));
        }
        let blob = download.repo.blob(&download.described.etag);
        self.file.sync_all().map_err(|e| Error::io(&self.path, e))?;
        std::fs::rename(&self.path, &blob).map_err(|e| Error::io(&blob, e))?;
        sync_folder(&download.repo.blobs());
        Ok(())
    }

    fn remove(&self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a wrong download cannot be removed");
        }
    }
}
