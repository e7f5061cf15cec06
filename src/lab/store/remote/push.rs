//! Uploads a stage to remotes: its objects, then its record.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::cloud::Cloud;
use super::limits::{PART_SIZE, PARTS_AT_ONCE};
use super::{Backend, RemoteConnection, RemoteError, Remotes, Shared, exclusive, folder, lock};
use crate::hash::Digest;
use crate::store::manifest::EntryContent;
use crate::store::{Artifact, Lease, Store};

/// Stages that are uploaded at once.
const STAGES_AT_ONCE: usize = 24;

/// From this number of stages on, a bucket is listed instead of being asked about each stage.
const MIN_STAGES_TO_LIST: usize = 64;

/// The result of an upload to all remotes that are written to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushSummary {
    /// Stages that all remotes have now.
    pub stages: usize,
    /// Those that some remote did not have before.
    pub new: usize,
    /// Stages whose outputs were accepted by hand, which are never sent.
    pub accepted: usize,
    /// Stages with an output that gc deleted: a remote has a record only with all its outputs.
    pub deleted: usize,
    /// The size of the objects that were sent.
    pub bytes: u64,
    /// The reasons why the others are missing, each once.
    pub failed: Vec<String>,
}

/// The result of uploading one stage to one remote.
enum Sent {
    New,
    Existing,
}

/// A stage could not be uploaded to one remote.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {why}")]
struct PushError {
    url: String,
    why: String,
}

impl Remotes {
    /// Uploads stages to every remote that is written to. `tick` is called with the bytes so far.
    pub fn push(&self, store: &Store, keys: &[Digest], tick: &mut dyn FnMut(u64)) -> PushSummary {
        let before = self.0.sent.load(Ordering::Relaxed);
        let own: Vec<Digest> = keys.iter().copied().filter(|key| !store.is_accepted(key)).collect();
        let whole: Vec<Digest> = own.iter().copied().filter(|key| !store.has_deleted(key)).collect();
        let mut pushed = PushSummary {
            accepted: keys.len() - own.len(),
            deleted: own.len() - whole.len(),
            ..PushSummary::default()
        };
        let keys = whole.as_slice();
        // By stage: whether every remote has it so far, and whether it was new to one.
        let mut stages = vec![(true, false); keys.len()];
        for remote in self.0.remotes.iter().filter(|remote| remote.settings.writes) {
            let ended = self.wait(self.0.push(remote, store, keys), &self.0.sent, tick);
            for (stage, sent) in stages.iter_mut().zip(ended) {
                match sent {
                    Ok(sent) => stage.1 |= matches!(sent, Sent::New),
                    Err(error) => {
                        stage.0 = false;
                        let why = error.to_string();
                        if !pushed.failed.contains(&why) {
                            pushed.failed.push(why);
                        }
                    }
                }
            }
        }
        pushed.stages = stages.iter().filter(|(all, _)| *all).count();
        pushed.new = stages.iter().filter(|(all, new)| *all && *new).count();
        pushed.bytes = self.0.sent.load(Ordering::Relaxed) - before;
        pushed
    }
}

impl Shared {
    /// The result for each stage, in the order of the keys.
    async fn push(&self, remote: &RemoteConnection, store: &Store, keys: &[Digest]) -> Vec<Result<Sent, PushError>> {
        let url = &remote.settings.url;
        let unusable = || {
            let (url, why) = (url.clone(), lock(&remote.why).clone());
            Err(PushError { url, why })
        };
        let Some(backend) = self.backend(remote).await else {
            return keys.iter().map(|_| unusable()).collect();
        };
        // `None` if it cannot be listed.
        let listed = match backend {
            Backend::Cloud(cloud) if keys.len() >= MIN_STAGES_TO_LIST => cloud.keys().await.unwrap_or_default(),
            _ => None,
        };
        let sent = keys.iter().map(|key| {
            let listed = listed.as_ref();
            async move {
                if listed.is_some_and(|listed| listed.contains(key)) && !lock(&remote.damaged).contains(key) {
                    return Ok(Sent::Existing);
                }
                if remote.is_off.load(Ordering::Relaxed) {
                    return unusable();
                }
                self.stage(remote, backend, store, key, listed.is_some()).await.map_err(|error| {
                    self.report(remote, &error);
                    let (url, why) = (url.clone(), error.to_string());
                    PushError { url, why }
                })
            }
        });
        stream::iter(sent).buffered(STAGES_AT_ONCE).collect().await
    }

    /// Uploads a stage. If it `is_new`, the remote is known not to have it.
    async fn stage(
        &self,
        remote: &RemoteConnection,
        backend: &Backend,
        store: &Store,
        key: &Digest,
        is_new: bool,
    ) -> Result<Sent, RemoteError> {
        let bytes = std::fs::read(store.record_path(key)).map_err(|error| RemoteError::here("read a record", error))?;
        let record = store
            .validate_record(key, &bytes)
            .map_err(|error| RemoteError::Here(format!("a record here is damaged: {error}")))?;
        let artifacts: Vec<Artifact> = record.outputs.values().copied().collect();
        let was_created = match backend {
            Backend::Folder(folder) => {
                self.sent
                    .fetch_add(artifacts.iter().map(|artifact| artifact.bytes).sum(), Ordering::Relaxed);
                folder::push(folder, store, key, &bytes, &artifacts)?
            }
            Backend::Cloud(cloud) => {
                let path = cloud.record(key);
                // As long as nothing is known to be missing or damaged, a stage whose record is there is complete there.
                let is_intact = lock(&remote.damaged).is_empty() && lock(&self.lost).is_empty();
                if is_intact && !is_new && cloud.size(&path).await?.is_some() {
                    return Ok(Sent::Existing);
                }
                let sent = artifacts.iter().map(|artifact| self.artifact(remote, cloud, store, artifact));
                let sent: Vec<Result<(), RemoteError>> = stream::iter(sent).buffer_unordered(PARTS_AT_ONCE).collect().await;
                sent.into_iter().collect::<Result<(), RemoteError>>()?;
                let replace = lock(&remote.damaged).contains(key);
                // A plain server has just been asked.
                cloud.put_record(&path, bytes.into(), replace, is_intact).await?
            }
        };
        Ok(if was_created { Sent::New } else { Sent::Existing })
    }

    /// Uploads an artifact. The files of a folder come before its manifest, which is an object of its own.
    async fn artifact(&self, remote: &RemoteConnection, cloud: &Cloud, store: &Store, artifact: &Artifact) -> Result<(), RemoteError> {
        let path = store.object(&artifact.digest);
        if !artifact.has_manifest() {
            return self.upload(remote, cloud, store, &path, (&artifact.digest, artifact.bytes)).await;
        }
        let manifest = store.manifest(&path).map_err(|error| RemoteError::Here(error.to_string()))?;
        if !manifest.artifact().is(artifact) {
            return Err(RemoteError::damaged(&artifact.digest));
        }
        let sent = manifest.entries.iter().map(|entry| {
            let path = entry.place(&path);
            async move {
                match &entry.content {
                    EntryContent::File { digest, bytes, .. } => self.upload(remote, cloud, store, &path, (digest, *bytes)).await,
                    EntryContent::EmptyFolder => Ok(()),
                }
            }
        });
        let sent: Vec<Result<(), RemoteError>> = stream::iter(sent).buffer_unordered(PARTS_AT_ONCE).collect().await;
        sent.into_iter().collect::<Result<(), RemoteError>>()?;
        // Last: whoever finds the manifest finds the files.
        let replace = lock(&remote.damaged).contains(&artifact.digest);
        cloud
            .put_object(&cloud.object(&artifact.digest), manifest.text().into_bytes().into(), replace)
            .await
    }

    /// Uploads one file, after a check of its content: damage here must not spread.
    async fn upload(
        &self,
        remote: &RemoteConnection,
        cloud: &Cloud,
        store: &Store,
        file: &Path,
        (digest, bytes): (&Digest, u64),
    ) -> Result<(), RemoteError> {
        let place = cloud.object(digest);
        let replace = lock(&remote.damaged).contains(digest);
        if bytes <= PART_SIZE {
            let content = std::fs::read(file).map_err(|error| RemoteError::here("read an object", error))?;
            if Digest::of(&content) != *digest {
                return Err(RemoteError::damaged(digest));
            }
            cloud.put_object(&place, Bytes::from(content), replace).await?;
            self.sent.fetch_add(bytes, Ordering::Relaxed);
            return Ok(());
        }
        // One process of this store at a time sends it; the others find it there afterwards.
        let name = Digest::of(format!("upload {} {digest}", remote.settings.url).as_bytes());
        let lease = exclusive(store, &name).await;
        let list = store.root.join("partial").join(format!("{name}.sent"));
        if !replace && cloud.size(&place).await? == Some(bytes) {
            // Perhaps the last part arrived, and the answer was lost.
            let _ = std::fs::remove_file(list);
            return Ok(());
        }
        let opened = File::open(file).map_err(|error| RemoteError::here("read an object", error))?;
        let sent = |part| {
            self.sent.fetch_add(part, Ordering::Relaxed);
            lease.iter().for_each(Lease::heartbeat);
        };
        // The store need not be writable for an upload.
        let list = lease.is_some().then_some(list.as_path());
        cloud.put_file(digest, (&opened, bytes), list, &sent).await
    }
}
