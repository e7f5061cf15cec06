//! A remote behind HTTP: a bucket of a provider, or a server with plain GET, HEAD and PUT.

use std::collections::BTreeSet;
use std::fs::File;
use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use url::Url;

use super::parts::Sending;
use super::trouble::{self, Trouble};
use super::whole;
use crate::hash::{self, Digest};

/// A remote that says nothing for so long is taken for broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// How long a connection may take to be made.
pub(super) const CONNECT: Duration = Duration::from_secs(5);

/// Bytes a second below which a transfer is given up.
const CRAWL: u64 = 100_000;

/// Files from this size on go in parts of this size.
pub(super) const PART: u64 = 16 << 20;

/// Parts of one file on their way at once.
pub(super) const AT_ONCE: usize = 6;

/// A bucket or a server, and where in it the store is.
pub(super) struct Cloud {
    pub store: Arc<dyn ObjectStore>,
    /// Of the store in the bucket.
    pub prefix: Path,
    /// A bucket can be listed, creates only what is absent, and takes large objects in parts by this. A plain server does none of these.
    pub bucket: Option<Arc<dyn MultipartStore>>,
    /// As the settings have it; of a plain server, that of the store.
    pub url: Url,
}

impl Cloud {
    pub fn object(&self, digest: &Digest) -> Path {
        self.sharded("objects", digest, "")
    }

    pub fn record(&self, key: &Digest) -> Path {
        self.sharded("records", key, ".json")
    }

    fn sharded(&self, part: &str, digest: &Digest, ending: &str) -> Path {
        let name = digest.to_string();
        let (folder, rest) = name.split_at(2);
        let parts = ["v1", part, folder]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("{rest}{ending}")]);
        parts.fold(self.prefix.clone(), Path::join)
    }

    /// Whether the bucket is there and lets itself be read: what is not found in a bucket that is missing would look like a miss.
    pub async fn check(&self) -> Result<(), Trouble> {
        if self.bucket.is_some() {
            let path = self.prefix.clone().join("v1").join("records").join("00");
            let first = async { self.store.list(Some(&path)).next().await.transpose() };
            match within(PATIENCE, first).await {
                Err(error) => return Err(error.map_or(Trouble::NoSuchPlace, |trouble| trouble)),
                Ok(_) => return Ok(()),
            }
        }
        // Any answer will do: a folder without a page is often forbidden or not there yet.
        let path = self.record(&Digest::of(b""));
        match within(PATIENCE, self.store.head(&path)).await {
            Err(Some(trouble)) => Err(trouble),
            Err(None) | Ok(_) => Ok(()),
        }
    }

    /// The bytes at `path`, which are at most so many; nothing where there are none.
    pub async fn get(&self, path: &Path, most: u64) -> Result<Option<Bytes>, Trouble> {
        let read = async {
            let found = self.store.get(path).await?;
            let bytes = found.meta.size;
            if bytes > most {
                Ok(Err(bytes))
            } else {
                found.bytes().await.map(Ok)
            }
        };
        match within(patience(most.min(PART)), read).await {
            Ok(Ok(bytes)) => Ok(Some(bytes)),
            Ok(Err(found)) => Err(Trouble::OtherBytes {
                what: format!("`{path}`"),
                why: format!("{found} bytes, and there are {most} at most"),
            }),
            Err(trouble) => trouble.map_or(Ok(None), Err),
        }
    }

    pub async fn range(&self, path: &Path, range: Range<u64>) -> Result<Option<Bytes>, Trouble> {
        let length = range.end - range.start;
        match within(patience(length), self.store.get_range(path, range)).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(trouble) => trouble.map_or(Ok(None), Err),
        }
    }

    pub async fn size(&self, path: &Path) -> Result<Option<u64>, Trouble> {
        match within(PATIENCE, self.store.head(path)).await {
            Ok(about) => Ok(Some(about.size)),
            Err(trouble) => trouble.map_or(Ok(None), Err),
        }
    }

    /// Puts what is named by its digest: where it is there already, nothing changes, as it can only be the same.
    pub async fn put_object(&self, path: &Path, bytes: Bytes, replace: bool) -> Result<(), Trouble> {
        let mode = if self.bucket.is_some() && !replace {
            PutMode::Create
        } else {
            PutMode::Overwrite
        };
        self.put(path, bytes, mode).await.map(drop)
    }

    /// Puts a record if there is none. Returns whether it did. A plain server cannot create: it is asked first, unless it `was_asked`.
    pub async fn put_record(&self, path: &Path, bytes: Bytes, replace: bool, was_asked: bool) -> Result<bool, Trouble> {
        let is_bucket = self.bucket.is_some();
        if !(replace || is_bucket || was_asked) && self.size(path).await?.is_some() {
            return Ok(false);
        }
        let mode = if is_bucket && !replace {
            PutMode::Create
        } else {
            PutMode::Overwrite
        };
        self.put(path, bytes, mode).await
    }

    async fn put(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<bool, Trouble> {
        let length = bytes.len() as u64;
        let sent = self.store.put_opts(path, PutPayload::from(bytes), mode.into());
        match tokio::time::timeout(patience(length), sent).await {
            Err(_) => Err(Trouble::Slow(patience(length).as_secs())),
            Ok(Ok(_)) => Ok(true),
            Ok(Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. })) => Ok(false),
            Ok(Err(error)) => Err(trouble::of(&error).unwrap_or(Trouble::NoSuchPlace)),
        }
    }

    /// Puts a large file, if its digest is the right one; `sent` is told what is on the way or there, and `list` is where a bucket's parts are
    /// written down ([`Sending`]).
    pub async fn put_file(
        &self,
        digest: &Digest,
        (file, bytes): (&File, u64),
        list: Option<&std::path::Path>,
        sent: &(dyn Fn(u64) + Sync),
    ) -> Result<(), Trouble> {
        // SAFETY: objects of a store are read-only and only ever removed, not cut; hashing maps them elsewhere too.
        let map = unsafe { memmap2::Mmap::map(file) }.map_err(|error| Trouble::here("read an object", error))?;
        let to = &self.object(digest);
        let Some(bucket) = self.bucket.as_deref() else {
            return whole::put(&self.url, to, digest, Bytes::from_owner(map), sent).await;
        };
        if hash::large(&map) != *digest {
            return Err(Trouble::damaged(digest));
        }
        let sending = Sending {
            bucket,
            to,
            file,
            bytes,
            list,
            sent,
        };
        sending.go().await
    }

    /// The keys of all records; nothing where the remote cannot be listed.
    pub async fn keys(&self) -> Result<Option<BTreeSet<Digest>>, Trouble> {
        if self.bucket.is_none() {
            return Ok(None);
        }
        let folder = self.prefix.clone().join("v1").join("records");
        let mut listed = self.store.list(Some(&folder));
        let mut keys = BTreeSet::new();
        while let Some(found) = listed.next().await {
            let found = found.map_err(|error| trouble::of(&error).unwrap_or(Trouble::NoSuchPlace))?;
            let parts: Vec<_> = found.location.parts().collect();
            if let [.., folder, name] = parts.as_slice() {
                let name = name.as_ref().trim_end_matches(".json");
                keys.extend(format!("{}{name}", folder.as_ref()).parse::<Digest>().ok());
            }
        }
        Ok(Some(keys))
    }
}

/// How long so many bytes may take.
pub(super) fn patience(bytes: u64) -> Duration {
    PATIENCE + Duration::from_secs(bytes / CRAWL)
}

/// Waits for an answer. `Err(None)` says that what was asked for is not there.
pub(super) async fn within<T>(time: Duration, asked: impl Future<Output = object_store::Result<T>>) -> Result<T, Option<Trouble>> {
    match tokio::time::timeout(time, asked).await {
        Err(_) => Err(Some(Trouble::Slow(time.as_secs()))),
        Ok(answer) => answer.map_err(|error| trouble::of(&error)),
    }
}
