//! What goes to remotes: a stage's objects, then its record.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::cloud::{AT_ONCE, Cloud, PART};
use super::{Backend, Remote, Remotes, Shared, Trouble, alone, folder, lock};
use crate::hash::Digest;
use crate::store::{Artifact, Lease, Store, object};

/// Stages on their way at once.
const PUSHED_AT_ONCE: usize = 24;

/// From so many stages on, a bucket is listed instead of being asked about each.
const LISTED: usize = 64;

/// What came of bringing stages to all remotes that are written to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Stages that all remotes have now.
    pub stages: usize,
    /// Those that some remote had not before.
    pub new: usize,
    /// Of the objects that went over the network.
    pub bytes: u64,
    /// Why the others are missing, each reason once.
    pub failed: Vec<String>,
}

/// How one stage ended up at one remote.
enum Sent {
    New,
    There,
}

impl Remotes {
    /// Brings stages to every remote that is written to; `tick` is called with the bytes so far.
    pub fn push(&self, store: &Store, keys: &[Digest], tick: &mut dyn FnMut(u64)) -> Pushed {
        let before = self.0.sent.load(Ordering::Relaxed);
        let mut pushed = Pushed::default();
        // By stage: whether every remote has it so far, and whether one had it not before.
        let mut stages = vec![(true, false); keys.len()];
        for remote in self.0.remotes.iter().filter(|remote| remote.place.writes) {
            let ended = self.wait(self.0.push(remote, store, keys), &self.0.sent, tick);
            for (stage, sent) in stages.iter_mut().zip(ended) {
                match sent {
                    Ok(sent) => stage.1 |= matches!(sent, Sent::New),
                    Err(why) => {
                        stage.0 = false;
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
    /// How each stage ended, in the order of the keys.
    async fn push(&self, remote: &Remote, store: &Store, keys: &[Digest]) -> Vec<Result<Sent, String>> {
        let url = &remote.place.url;
        let unusable = || Err(format!("{url}: {}", lock(&remote.why)));
        let Some(backend) = self.backend(remote).await else {
            return keys.iter().map(|_| unusable()).collect();
        };
        // Nothing where it cannot be listed.
        let listed = match backend {
            Backend::Cloud(cloud) if keys.len() >= LISTED => cloud.keys().await.unwrap_or_default(),
            _ => None,
        };
        let sent = keys.iter().map(|key| {
            let listed = listed.as_ref();
            async move {
                if listed.is_some_and(|listed| listed.contains(key)) && !lock(&remote.damaged).contains(key) {
                    return Ok(Sent::There);
                }
                if remote.off.load(Ordering::Relaxed) {
                    return unusable();
                }
                self.stage(remote, backend, store, key, listed.is_some()).await.map_err(|trouble| {
                    self.note(remote, &trouble);
                    format!("{url}: {trouble}")
                })
            }
        });
        stream::iter(sent).buffered(PUSHED_AT_ONCE).collect().await
    }

    /// Sends a stage; one that `is_new` is known not to be there.
    async fn stage(&self, remote: &Remote, backend: &Backend, store: &Store, key: &Digest, is_new: bool) -> Result<Sent, Trouble> {
        let bytes = std::fs::read(store.record_path(key)).map_err(|error| Trouble::here("read a record", error))?;
        let record = store
            .admit(key, &bytes)
            .map_err(|refused| Trouble::Here(format!("a record here is damaged: {refused}")))?;
        let artifacts: Vec<Artifact> = record.outputs.values().copied().collect();
        let was_created = match backend {
            Backend::Folder(folder) => {
                self.sent
                    .fetch_add(artifacts.iter().map(|artifact| artifact.bytes).sum(), Ordering::Relaxed);
                folder::push(folder, store, key, &bytes, &artifacts)?
            }
            Backend::Cloud(cloud) => {
                let path = cloud.record(key);
                // Where all that is known to be missing or damaged is nothing, what has a record there is there.
                let is_whole = lock(&remote.damaged).is_empty() && lock(&self.gone).is_empty();
                if is_whole && !is_new && cloud.size(&path).await?.is_some() {
                    return Ok(Sent::There);
                }
                let sent = artifacts.iter().map(|artifact| self.artifact(remote, cloud, store, artifact));
                let sent: Vec<Result<(), Trouble>> = stream::iter(sent).buffer_unordered(AT_ONCE).collect().await;
                sent.into_iter().collect::<Result<(), Trouble>>()?;
                let replace = lock(&remote.damaged).contains(key);
                // A plain server has just been asked.
                cloud.put_record(&path, bytes.into(), replace, is_whole).await?
            }
        };
        Ok(if was_created { Sent::New } else { Sent::There })
    }

    async fn artifact(&self, remote: &Remote, cloud: &Cloud, store: &Store, artifact: &Artifact) -> Result<(), Trouble> {
        let path = store.object(&artifact.digest);
        if !artifact.folder {
            return self.upload(remote, cloud, store, &path, (&artifact.digest, artifact.bytes)).await;
        }
        let manifest = object::manifest(&path).map_err(|error| Trouble::Here(error.to_string()))?;
        if Digest::of(manifest.as_bytes()) != artifact.digest {
            return Err(Trouble::damaged(&artifact.digest));
        }
        let files = super::fetch::files(manifest.as_bytes(), artifact.bytes).map_err(Trouble::Here)?;
        let sent = files.iter().map(|(digest, bytes, name)| {
            let path = path.join(name);
            async move { self.upload(remote, cloud, store, &path, (digest, *bytes)).await }
        });
        let sent: Vec<Result<(), Trouble>> = stream::iter(sent).buffer_unordered(AT_ONCE).collect().await;
        sent.into_iter().collect::<Result<(), Trouble>>()?;
        // Last: who finds the list finds the files.
        let replace = lock(&remote.damaged).contains(&artifact.digest);
        cloud
            .put_object(&cloud.object(&artifact.digest), manifest.into_bytes().into(), replace)
            .await
    }

    /// Uploads one file, whose content is checked: damage here must not spread.
    async fn upload(
        &self,
        remote: &Remote,
        cloud: &Cloud,
        store: &Store,
        file: &Path,
        (digest, bytes): (&Digest, u64),
    ) -> Result<(), Trouble> {
        let place = cloud.object(digest);
        let replace = lock(&remote.damaged).contains(digest);
        if bytes <= PART {
            let content = std::fs::read(file).map_err(|error| Trouble::here("read an object", error))?;
            if Digest::of(&content) != *digest {
                return Err(Trouble::damaged(digest));
            }
            cloud.put_object(&place, Bytes::from(content), replace).await?;
            self.sent.fetch_add(bytes, Ordering::Relaxed);
            return Ok(());
        }
        // One process of this store at a time sends it; the others find it there.
        let name = Digest::of(format!("upload {} {digest}", remote.place.url).as_bytes());
        let alone = alone(store, &name).await;
        let list = store.root.join("partial").join(format!("{name}.sent"));
        if !replace && cloud.size(&place).await? == Some(bytes) {
            // Perhaps its last part arrived, and the answer to that was lost.
            let _ = std::fs::remove_file(list);
            return Ok(());
        }
        let opened = File::open(file).map_err(|error| Trouble::here("read an object", error))?;
        let sent = |part| {
            self.sent.fetch_add(part, Ordering::Relaxed);
            alone.iter().for_each(Lease::beat);
        };
        // A store that cannot be written can be sent all the same.
        let list = alone.is_some().then_some(list.as_path());
        cloud.put_file(digest, (&opened, bytes), list, &sent).await
    }
}
