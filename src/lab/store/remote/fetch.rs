//! Downloads objects. Each is written to a workspace, checked by its digest, and only then moved into the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use futures_util::{StreamExt, stream};

use super::cloud::Cloud;
use super::limits::{PART_SIZE, PARTS_AT_ONCE};
use super::{Backend, RemoteConnection, RemoteError, Remotes, Shared, exclusive, folder, lock};
use crate::hash::{self, Digest};
use crate::store::manifest::{EntryContent, MAX_MANIFEST_BYTES, Manifest};
use crate::store::{Artifact, Lease, Store, StoreError, atomic, copy};

/// Artifacts that are downloaded together, and moved into the store with one sync.
const BATCH_SIZE: usize = 512;

/// Artifacts that are downloaded at once.
const DOWNLOADS_AT_ONCE: usize = 32;

/// The result of a download.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchSummary {
    pub artifacts: usize,
    /// The size of the downloaded artifacts.
    pub bytes: u64,
    /// The artifacts that no remote has undamaged.
    pub missing: BTreeSet<Digest>,
}

impl Remotes {
    /// Downloads the artifacts that the store lacks, each from the first remote that has it. `tick` is called with the bytes so far. An
    /// artifact that no remote has is missing: from now on, a record that names it is not a hit.
    ///
    /// # Errors
    /// If the store cannot be written, or a required remote cannot be used.
    pub fn fetch(&self, store: &Store, wanted: &[Artifact], tick: &mut dyn FnMut(u64)) -> Result<FetchSummary, StoreError> {
        let absent = wanted.iter().filter(|artifact| !store.has(artifact).unwrap_or(false));
        let absent: BTreeMap<Digest, Artifact> = absent.map(|artifact| (artifact.digest, *artifact)).collect();
        let absent: Vec<Artifact> = absent.into_values().collect();
        let mut fetched = FetchSummary::default();
        for batch in absent.chunks(BATCH_SIZE) {
            self.fetch_batch(store, batch, &mut fetched, tick)?;
        }
        lock(&self.0.lost).extend(&fetched.missing);
        self.check_required()?;
        Ok(fetched)
    }

    fn fetch_batch(
        &self,
        store: &Store,
        batch: &[Artifact],
        fetched: &mut FetchSummary,
        tick: &mut dyn FnMut(u64),
    ) -> Result<(), StoreError> {
        let workspace = store.workspace()?;
        let mut missing: Vec<Artifact> = batch.to_vec();
        for remote in &self.0.remotes {
            if missing.is_empty() {
                break;
            }
            let came: Vec<Artifact> = self.wait(
                async {
                    let Some(backend) = self.0.backend(remote).await else {
                        return Vec::new();
                    };
                    let requests = missing.iter().map(|artifact| {
                        let to = workspace.path().join(artifact.digest.to_string());
                        self.0.fetched(remote, backend, store, artifact, to)
                    });
                    let came = stream::iter(requests).buffer_unordered(DOWNLOADS_AT_ONCE);
                    came.filter_map(|artifact| async move { artifact }).collect().await
                },
                &self.0.fetched,
                tick,
            );
            missing.retain(|artifact| !came.contains(artifact));
            let places: Vec<(PathBuf, Artifact)> = came
                .iter()
                .map(|artifact| (workspace.path().join(artifact.digest.to_string()), *artifact))
                .collect();
            store.insert_objects(&places)?;
            fetched.artifacts += came.len();
            fetched.bytes += came.iter().map(|artifact| artifact.bytes).sum::<u64>();
        }
        fetched.missing.extend(missing.iter().map(|artifact| artifact.digest));
        Ok(())
    }
}

impl Shared {
    /// Downloads an artifact to `to`. `None` if the remote does not have it, or failed.
    async fn fetched(
        &self,
        remote: &RemoteConnection,
        backend: &Backend,
        store: &Store,
        artifact: &Artifact,
        to: PathBuf,
    ) -> Option<Artifact> {
        if remote.is_off.load(Ordering::Relaxed) {
            return None;
        }
        let came = match backend {
            Backend::Folder(folder) => {
                let came = folder::fetch(folder, store, artifact, &to);
                self.fetched.fetch_add(artifact.bytes, Ordering::Relaxed);
                came
            }
            Backend::Cloud(cloud) if artifact.has_manifest() => self.listed(remote, cloud, store, artifact, &to).await,
            Backend::Cloud(cloud) => self.file(remote, cloud, store, (&artifact.digest, artifact.bytes), &to).await,
        };
        if !matches!(came, Ok(true)) {
            copy::discard(&to);
        }
        came.map_err(|error| self.report(remote, &error)).ok()?.then_some(*artifact)
    }

    /// Downloads a folder, or another artifact whose digest is that of a manifest, to `to`. Returns whether the remote has it.
    async fn listed(
        &self,
        remote: &RemoteConnection,
        cloud: &Cloud,
        store: &Store,
        artifact: &Artifact,
        to: &Path,
    ) -> Result<bool, RemoteError> {
        let Some(text) = cloud.get(&cloud.object(&artifact.digest), MAX_MANIFEST_BYTES).await? else {
            return Ok(false);
        };
        remote.check_digest(&artifact.digest, &Digest::of(&text))?;
        let other_bytes = |why: String| RemoteError::OtherBytes {
            what: format!("the artifact {}", artifact.digest.short()),
            why,
        };
        let manifest = Manifest::parse(&text, artifact.folder).map_err(|error| other_bytes(error.to_string()))?;
        manifest
            .check_total(artifact.bytes)
            .map_err(|error| other_bytes(error.to_string()))?;
        if !manifest.artifact().is(artifact) {
            return Err(other_bytes("its record describes it in another way".to_owned()));
        }
        let cannot = |error| RemoteError::here("make a file or folder", error);
        if artifact.folder {
            std::fs::create_dir(to).map_err(cannot)?;
        }
        let fetched = manifest.entries.iter().map(|entry| async move {
            let path = entry.place(to);
            let EntryContent::File { digest, bytes, executable } = &entry.content else {
                return std::fs::create_dir_all(path).map(|()| true).map_err(cannot);
            };
            std::fs::create_dir_all(path.parent().unwrap_or(to)).map_err(cannot)?;
            let came = self.file(remote, cloud, store, (digest, *bytes), &path).await?;
            if came && *executable {
                copy::make_executable(&path).map_err(cannot)?;
            }
            Ok(came)
        });
        let fetched: Vec<Result<bool, RemoteError>> = stream::iter(fetched).buffer_unordered(PARTS_AT_ONCE).collect().await;
        let came = fetched.into_iter().collect::<Result<Vec<bool>, RemoteError>>()?;
        let has_come = came.into_iter().all(|came| came);
        // Whether a single file needs a manifest shows only when it is here.
        if has_come && !artifact.folder && !store.measure(to).is_ok_and(|found| found.is(artifact)) {
            return Err(other_bytes(
                "its content needs no such list, or this file system cannot hold it".to_owned(),
            ));
        }
        Ok(has_come)
    }

    /// Downloads a file to `to`. Returns whether the remote has it.
    async fn file(
        &self,
        remote: &RemoteConnection,
        cloud: &Cloud,
        store: &Store,
        (digest, bytes): (&Digest, u64),
        to: &Path,
    ) -> Result<bool, RemoteError> {
        if bytes > PART_SIZE {
            return self.large(remote, cloud, store, (digest, bytes), to).await;
        }
        let Some(content) = cloud.get(&cloud.object(digest), bytes).await? else {
            return Ok(false);
        };
        remote.check_digest(digest, &Digest::of(&content))?;
        self.fetched.fetch_add(bytes, Ordering::Relaxed);
        std::fs::write(to, &content).map_err(|error| RemoteError::here("write an object", error))?;
        Ok(true)
    }

    /// Downloads a large file in parts, into a file that outlives this process: after an interruption, the parts that have arrived are
    /// not downloaded again. One process at a time does this.
    async fn large(
        &self,
        remote: &RemoteConnection,
        cloud: &Cloud,
        store: &Store,
        (digest, bytes): (&Digest, u64),
        to: &Path,
    ) -> Result<bool, RemoteError> {
        let lease = exclusive(store, digest).await;
        let here = store.object(digest);
        let arrived = std::fs::metadata(&here).is_ok_and(|about| about.is_file() && about.len() == bytes);
        if arrived && copy::copy_file(&here, to).is_ok() && hash::file(to).is_ok_and(|found| found == *digest) {
            // Another process has downloaded it.
            return Ok(true);
        }
        copy::discard(to);
        let mut partial = PartialFile::open(store, digest, bytes)?;
        let resumed = !partial.done.is_empty();
        let path = cloud.object(digest);
        let missing: Vec<u64> = (0..bytes.div_ceil(PART_SIZE))
            .filter(|number| !partial.done.contains(number))
            .collect();
        let parts = missing.into_iter().map(|number| {
            let (path, range) = (&path, number * PART_SIZE..bytes.min((number + 1) * PART_SIZE));
            async move { (number, cloud.range(path, range).await) }
        });
        let mut parts = stream::iter(parts).buffer_unordered(PARTS_AT_ONCE);
        while let Some((number, part)) = parts.next().await {
            let Some(part) = part? else { return Ok(false) };
            partial.write(number, &part)?;
            self.fetched.fetch_add(part.len() as u64, Ordering::Relaxed);
            lease.iter().for_each(Lease::heartbeat);
        }
        drop(parts);
        let found = hash::file(&partial.path).map_err(|error| RemoteError::here("read an object", error))?;
        if found != *digest {
            partial.remove();
            if resumed {
                // A crash of the machine may have damaged the parts of an earlier process: that is not the remote's fault.
                drop(lease);
                return Box::pin(self.large(remote, cloud, store, (digest, bytes), to)).await;
            }
            return remote.check_digest(digest, &found).map(|()| false);
        }
        atomic::rename(&partial.path, to).map_err(|error| RemoteError::here("move an object", error))?;
        partial.remove();
        Ok(true)
    }
}

impl RemoteConnection {
    /// Checks that the remote sent the requested content.
    fn check_digest(&self, wanted: &Digest, found: &Digest) -> Result<(), RemoteError> {
        if wanted == found {
            return Ok(());
        }
        lock(&self.damaged).insert(*wanted);
        Err(RemoteError::OtherBytes {
            what: format!("the object {}", wanted.short()),
            why: format!("its digest is {}", found.short()),
        })
    }
}

/// An incomplete large file, and the numbers of the parts that have arrived.
struct PartialFile {
    path: PathBuf,
    file: File,
    list: PathBuf,
    done: BTreeSet<u64>,
}

impl PartialFile {
    fn open(store: &Store, digest: &Digest, bytes: u64) -> Result<Self, RemoteError> {
        let folder = store.root.join("partial");
        let (path, list) = (folder.join(digest.to_string()), folder.join(format!("{digest}.parts")));
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| RemoteError::here("make a file", error))?;
        let is_begun = file.metadata().is_ok_and(|about| about.len() == bytes);
        file.set_len(bytes).map_err(|error| RemoteError::here("make a file", error))?;
        let listed = std::fs::read_to_string(&list).unwrap_or_default();
        // The last line may be incomplete; a number without its line end does not count.
        let lines = listed
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n')?.parse().ok());
        let done = if is_begun { lines.collect() } else { BTreeSet::new() };
        if done.is_empty() {
            std::fs::write(&list, "").map_err(|error| RemoteError::here("make a file", error))?;
        }
        Ok(Self { path, file, list, done })
    }

    fn write(&mut self, number: u64, part: &[u8]) -> Result<(), RemoteError> {
        use std::io::Write;
        let written = self.file.write_all_at(part, number * PART_SIZE);
        let listed = written.and_then(|()| {
            File::options()
                .append(true)
                .open(&self.list)?
                .write_all(format!("{number}\n").as_bytes())
        });
        listed.map_err(|error| RemoteError::here("write an object", error))
    }

    fn remove(&self) {
        // A file that stays only costs space: it is checked before it is used.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(&self.list);
    }
}
