//! A remote behind HTTP: a bucket of a provider, or a server with plain GET, HEAD and PUT.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use url::Url;

use super::error::{self, RemoteError};
use super::limits::{PART_SIZE, RESPONSE_TIMEOUT, transfer_timeout};
use super::multipart::MultipartUpload;
use super::put;
use super::request::within;
use crate::hash::{self, Digest};

/// A bucket or a server, and where in it the store is.
pub(super) struct Cloud {
    pub store: Arc<dyn ObjectStore>,
    /// The path of the store in the bucket.
    pub prefix: Path,
    /// The client for multipart uploads, for a bucket. A bucket can also be listed, and can create an object only if it is absent.
    /// `None` for a plain server, which can do none of these.
    pub bucket: Option<Arc<dyn MultipartStore>>,
    /// The address in the settings; for a plain server, the address of the store.
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

    /// Checks that the bucket exists and can be read: otherwise every request to a missing bucket would look like a miss.
    pub async fn check(&self) -> Result<(), RemoteError> {
        if self.bucket.is_some() {
            let path = self.prefix.clone().join("v1").join("records").join("00");
            let first = async { self.store.list(Some(&path)).next().await.transpose() };
            match within(RESPONSE_TIMEOUT, first).await {
                Err(error) => return Err(error.map_or(RemoteError::NoSuchPlace, |error| error)),
                Ok(_) => return Ok(()),
            }
        }
        // Any answer is good enough: a folder without an index page is often forbidden, or does not exist yet.
        let path = self.record(&Digest::of(b""));
        match within(RESPONSE_TIMEOUT, self.store.head(&path)).await {
            Err(Some(error)) => Err(error),
            Err(None) | Ok(_) => Ok(()),
        }
    }

    /// The content at `path`, or `None` if the remote does not have it. More than `limit` bytes are refused.
    pub async fn get(&self, path: &Path, limit: u64) -> Result<Option<Bytes>, RemoteError> {
        let read = async {
            let found = self.store.get(path).await?;
            let bytes = found.meta.size;
            if bytes > limit {
                Ok(Err(bytes))
            } else {
                found.bytes().await.map(Ok)
            }
        };
        match within(transfer_timeout(limit.min(PART_SIZE)), read).await {
            Ok(Ok(bytes)) => Ok(Some(bytes)),
            Ok(Err(found)) => Err(RemoteError::OtherBytes {
                what: format!("`{path}`"),
                why: format!("{found} bytes, at most {limit} are allowed"),
            }),
            Err(error) => error.map_or(Ok(None), Err),
        }
    }

    /// A part of the content at `path`, or `None` if the remote does not have it.
    pub async fn range(&self, path: &Path, range: Range<u64>) -> Result<Option<Bytes>, RemoteError> {
        let length = range.end - range.start;
        match within(transfer_timeout(length), self.store.get_range(path, range)).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => error.map_or(Ok(None), Err),
        }
    }

    /// The size of the content at `path`, or `None` if the remote does not have it.
    pub async fn size(&self, path: &Path) -> Result<Option<u64>, RemoteError> {
        match within(RESPONSE_TIMEOUT, self.store.head(path)).await {
            Ok(about) => Ok(Some(about.size)),
            Err(error) => error.map_or(Ok(None), Err),
        }
    }

    /// Uploads an object that is named by its digest. If it exists already, nothing changes: its content can only be the same.
    pub async fn put_object(&self, path: &Path, bytes: Bytes, replace: bool) -> Result<(), RemoteError> {
        let mode = if self.bucket.is_some() && !replace {
            PutMode::Create
        } else {
            PutMode::Overwrite
        };
        self.put(path, bytes, mode).await.map(drop)
    }

    /// Uploads a record if there is none. Returns whether it did. A plain server cannot create only if absent: it is asked first,
    /// unless it `was_asked`.
    pub async fn put_record(&self, path: &Path, bytes: Bytes, replace: bool, was_asked: bool) -> Result<bool, RemoteError> {
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

    async fn put(&self, path: &Path, bytes: Bytes, mode: PutMode) -> Result<bool, RemoteError> {
        let length = bytes.len() as u64;
        let sent = self.store.put_opts(path, PutPayload::from(bytes), mode.into());
        match tokio::time::timeout(transfer_timeout(length), sent).await {
            Err(_) => Err(RemoteError::Slow(transfer_timeout(length).as_secs())),
            Ok(Ok(_)) => Ok(true),
            Ok(Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. })) => Ok(false),
            Ok(Err(error)) => Err(error::from_object_store(&error).unwrap_or(RemoteError::NoSuchPlace)),
        }
    }

    /// Uploads a large file, if it has the right digest. `sent` is called with the number of bytes of each piece that was sent; `list` is
    /// the file that lists the parts that a bucket has ([`MultipartUpload`]).
    pub async fn put_file(
        &self,
        digest: &Digest,
        (file, bytes): (&File, u64),
        list: Option<&std::path::Path>,
        sent: &(dyn Fn(u64) + Sync),
    ) -> Result<(), RemoteError> {
        // SAFETY: objects of a store are read-only, and are only ever removed, never truncated. Hashing maps them, too.
        let map = unsafe { memmap2::Mmap::map(file) }.map_err(|error| RemoteError::here("read an object", error))?;
        let to = &self.object(digest);
        let Some(bucket) = self.bucket.as_deref() else {
            return put::put(&self.url, to, digest, Bytes::from_owner(map), sent).await;
        };
        if hash::large(&map) != *digest {
            return Err(RemoteError::damaged(digest));
        }
        let upload = MultipartUpload {
            bucket,
            to,
            file,
            bytes,
            list,
            sent,
        };
        upload.run().await
    }

    /// The keys of all records; `None` if the remote cannot be listed.
    pub async fn keys(&self) -> Result<Option<BTreeSet<Digest>>, RemoteError> {
        if self.bucket.is_none() {
            return Ok(None);
        }
        let folder = self.prefix.clone().join("v1").join("records");
        let mut listed = self.store.list(Some(&folder));
        let mut keys = BTreeSet::new();
        while let Some(found) = listed.next().await {
            let found = found.map_err(|error| error::from_object_store(&error).unwrap_or(RemoteError::NoSuchPlace))?;
            let parts: Vec<_> = found.location.parts().collect();
            if let [.., folder, name] = parts.as_slice() {
                let name = name.as_ref().trim_end_matches(".json");
                keys.extend(format!("{}{name}", folder.as_ref()).parse::<Digest>().ok());
            }
        }
        Ok(Some(keys))
    }
}
