//! Objects from remotes: each is written aside, checked by its digest, and only then put into the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use futures_util::{StreamExt, stream};

use super::cloud::{AT_ONCE, Cloud, PART};
use super::{Backend, Remote, Remotes, Shared, Trouble, alone, folder, lock};
use crate::hash::{self, Digest};
use crate::store::object::leads_down;
use crate::store::{Artifact, Lease, Store, StoreError, atomic};

/// Artifacts that are fetched together, and put into the store with one sync.
const BATCH: usize = 512;

/// Artifacts on their way at once.
const FETCHED_AT_ONCE: usize = 32;

/// The longest list of files of a folder.
const MANIFEST: u64 = 64 << 20;

/// What came of fetching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    pub artifacts: usize,
    /// Of the artifacts that came.
    pub bytes: u64,
    /// What no remote has as it should be.
    pub missing: BTreeSet<Digest>,
}

impl Remotes {
    /// Brings artifacts that the store has not from the first remote that has them; `tick` is called with the bytes so far. What
    /// none has is missing, and records that name it are no hits from now on.
    ///
    /// # Errors
    /// When the store cannot be written, or a required remote cannot be used.
    pub fn fetch(&self, store: &Store, wanted: &[Artifact], tick: &mut dyn FnMut(u64)) -> Result<Fetched, StoreError> {
        let absent = wanted.iter().filter(|artifact| !store.has(artifact).unwrap_or(false));
        let absent: BTreeMap<Digest, Artifact> = absent.map(|artifact| (artifact.digest, *artifact)).collect();
        let absent: Vec<Artifact> = absent.into_values().collect();
        let mut fetched = Fetched::default();
        for batch in absent.chunks(BATCH) {
            self.fetch_batch(store, batch, &mut fetched, tick)?;
        }
        lock(&self.0.gone).extend(&fetched.missing);
        self.check()?;
        Ok(fetched)
    }

    fn fetch_batch(&self, store: &Store, batch: &[Artifact], fetched: &mut Fetched, tick: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
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
                    let asked = missing.iter().map(|artifact| {
                        let to = workspace.path().join(artifact.digest.to_string());
                        self.0.fetched(remote, backend, store, artifact, to)
                    });
                    let came = stream::iter(asked).buffer_unordered(FETCHED_AT_ONCE);
                    came.filter_map(|artifact| async move { artifact }).collect().await
                },
                &self.0.fetched,
                tick,
            );
            missing.retain(|artifact| !came.contains(artifact));
            let places: Vec<(PathBuf, Digest)> = came
                .iter()
                .map(|artifact| (workspace.path().join(artifact.digest.to_string()), artifact.digest))
                .collect();
            store.place_all(&places)?;
            fetched.artifacts += came.len();
            fetched.bytes += came.iter().map(|artifact| artifact.bytes).sum::<u64>();
        }
        fetched.missing.extend(missing.iter().map(|artifact| artifact.digest));
        Ok(())
    }
}

impl Shared {
    /// The artifact, if it is at `to` now.
    async fn fetched(&self, remote: &Remote, backend: &Backend, store: &Store, artifact: &Artifact, to: PathBuf) -> Option<Artifact> {
        if remote.off.load(Ordering::Relaxed) {
            return None;
        }
        let came = match backend {
            Backend::Folder(folder) => {
                let came = folder::fetch(folder, artifact, &to);
                self.fetched.fetch_add(artifact.bytes, Ordering::Relaxed);
                came
            }
            Backend::Cloud(cloud) if artifact.folder => self.folder(remote, cloud, store, artifact, &to).await,
            Backend::Cloud(cloud) => self.file(remote, cloud, store, (&artifact.digest, artifact.bytes), &to).await,
        };
        if !matches!(came, Ok(true)) {
            crate::store::object::discard(&to);
        }
        came.map_err(|trouble| self.note(remote, &trouble)).ok()?.then_some(*artifact)
    }

    async fn folder(&self, remote: &Remote, cloud: &Cloud, store: &Store, artifact: &Artifact, to: &Path) -> Result<bool, Trouble> {
        let Some(manifest) = cloud.get(&cloud.object(&artifact.digest), MANIFEST).await? else {
            return Ok(false);
        };
        remote.right(&artifact.digest, &Digest::of(&manifest))?;
        let files = files(&manifest, artifact.bytes).map_err(|why| Trouble::OtherBytes {
            what: format!("the folder {}", artifact.digest.short()),
            why,
        })?;
        std::fs::create_dir(to).map_err(|error| Trouble::here("make a folder", error))?;
        let fetched = files.iter().map(|(digest, bytes, name)| async move {
            let path = to.join(name);
            let folder = path.parent().unwrap_or(to);
            std::fs::create_dir_all(folder).map_err(|error| Trouble::here("make a folder", error))?;
            self.file(remote, cloud, store, (digest, *bytes), &path).await
        });
        let fetched: Vec<Result<bool, Trouble>> = stream::iter(fetched).buffer_unordered(AT_ONCE).collect().await;
        let fetched: Result<Vec<bool>, Trouble> = fetched.into_iter().collect();
        fetched.map(|came| came.into_iter().all(|came| came))
    }

    async fn file(
        &self,
        remote: &Remote,
        cloud: &Cloud,
        store: &Store,
        (digest, bytes): (&Digest, u64),
        to: &Path,
    ) -> Result<bool, Trouble> {
        if bytes > PART {
            return self.large(remote, cloud, store, (digest, bytes), to).await;
        }
        let Some(content) = cloud.get(&cloud.object(digest), bytes).await? else {
            return Ok(false);
        };
        remote.right(digest, &Digest::of(&content))?;
        self.fetched.fetch_add(bytes, Ordering::Relaxed);
        std::fs::write(to, &content).map_err(|error| Trouble::here("write an object", error))?;
        Ok(true)
    }

    /// A large file comes in parts, into a file that outlives this process: after a cut, the parts that are there are not fetched
    /// again. One process at a time works at it.
    async fn large(
        &self,
        remote: &Remote,
        cloud: &Cloud,
        store: &Store,
        (digest, bytes): (&Digest, u64),
        to: &Path,
    ) -> Result<bool, Trouble> {
        let lease = alone(store, digest).await;
        let here = store.object(digest);
        let came = std::fs::metadata(&here).is_ok_and(|about| about.is_file() && about.len() == bytes);
        if came && atomic::link(&here, to).is_ok() {
            // With another process.
            return Ok(true);
        }
        let mut partial = Partial::open(store, digest, bytes)?;
        let resumed = !partial.done.is_empty();
        let path = cloud.object(digest);
        let missing: Vec<u64> = (0..bytes.div_ceil(PART)).filter(|number| !partial.done.contains(number)).collect();
        let parts = missing.into_iter().map(|number| {
            let (path, range) = (&path, number * PART..bytes.min((number + 1) * PART));
            async move { (number, cloud.range(path, range).await) }
        });
        let mut parts = stream::iter(parts).buffer_unordered(AT_ONCE);
        while let Some((number, part)) = parts.next().await {
            let Some(part) = part? else { return Ok(false) };
            partial.write(number, &part)?;
            self.fetched.fetch_add(part.len() as u64, Ordering::Relaxed);
            lease.iter().for_each(Lease::beat);
        }
        drop(parts);
        let found = hash::file(&partial.path).map_err(|error| Trouble::here("read an object", error))?;
        if found != *digest {
            partial.remove();
            if resumed {
                // What an earlier process left may have been cut by a crash of the machine: that is not the remote's fault.
                drop(lease);
                return Box::pin(self.large(remote, cloud, store, (digest, bytes), to)).await;
            }
            return remote.right(digest, &found).map(|()| false);
        }
        atomic::rename(&partial.path, to).map_err(|error| Trouble::here("move an object", error))?;
        partial.remove();
        Ok(true)
    }
}

impl Remote {
    /// Whether what came is what was asked for.
    fn right(&self, wanted: &Digest, found: &Digest) -> Result<(), Trouble> {
        if wanted == found {
            return Ok(());
        }
        lock(&self.damaged).insert(*wanted);
        Err(Trouble::OtherBytes {
            what: format!("the object {}", wanted.short()),
            why: format!("their digest is {}", found.short()),
        })
    }
}

/// A large file that is not whole yet, and the numbers of its parts that are.
struct Partial {
    path: PathBuf,
    file: File,
    list: PathBuf,
    done: BTreeSet<u64>,
}

impl Partial {
    fn open(store: &Store, digest: &Digest, bytes: u64) -> Result<Self, Trouble> {
        let folder = store.root.join("partial");
        let (path, list) = (folder.join(digest.to_string()), folder.join(format!("{digest}.parts")));
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| Trouble::here("make a file", error))?;
        let is_begun = file.metadata().is_ok_and(|about| about.len() == bytes);
        file.set_len(bytes).map_err(|error| Trouble::here("make a file", error))?;
        let listed = std::fs::read_to_string(&list).unwrap_or_default();
        // The last line may be cut off; a number without its end is none.
        let lines = listed
            .split_inclusive('\n')
            .filter_map(|line| line.strip_suffix('\n')?.parse().ok());
        let done = if is_begun { lines.collect() } else { BTreeSet::new() };
        if done.is_empty() {
            std::fs::write(&list, "").map_err(|error| Trouble::here("make a file", error))?;
        }
        Ok(Self { path, file, list, done })
    }

    fn write(&mut self, number: u64, part: &[u8]) -> Result<(), Trouble> {
        use std::io::Write;
        let written = self.file.write_all_at(part, number * PART);
        let listed = written.and_then(|()| {
            File::options()
                .append(true)
                .open(&self.list)?
                .write_all(format!("{number}\n").as_bytes())
        });
        listed.map_err(|error| Trouble::here("write an object", error))
    }

    fn remove(&self) {
        // What stays costs space and nothing else: it is checked before it is used.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(&self.list);
    }
}

/// The files that a manifest lists: digest, bytes, path. A path must stay inside the folder.
pub(super) fn files(manifest: &[u8], total: u64) -> Result<Vec<(Digest, u64, PathBuf)>, String> {
    let text = std::str::from_utf8(manifest).map_err(|_| "its list of files is no text".to_owned())?;
    let (mut files, mut sum) = (Vec::new(), 0u64);
    let mut last = "";
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let mut word = || {
            words
                .next()
                .ok_or_else(|| format!("a line of its list is `{}`", line.escape_debug()))
        };
        let (digest, bytes, name) = (word()?, word()?, word()?);
        let digest: Digest = digest.parse().map_err(|error| format!("{error}"))?;
        let bytes: u64 = bytes.parse().map_err(|_| format!("a file has `{}` bytes", bytes.escape_debug()))?;
        if !leads_down(name) {
            return Err(format!("a file has the path `{}`", name.escape_debug()));
        }
        if name == last {
            return Err(format!("it lists `{name}` twice"));
        }
        last = name;
        sum = sum.checked_add(bytes).ok_or("its files are too large")?;
        files.push((digest, bytes, PathBuf::from(name)));
    }
    if sum == total {
        Ok(files)
    } else {
        Err(format!("its files have {sum} bytes instead of {total}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_files_leads_nowhere_outside() {
        let digest = Digest::of(b"1");
        let line = |path: &str| format!("{digest} 1 {path}\n");
        let read = files((line("a/b c") + &line("d")).as_bytes(), 2).unwrap();
        assert_eq!(read[0], (digest, 1, PathBuf::from("a/b c")));
        for path in ["../x", "/etc/x", "a/../x", "a//b", "./a", "a/", "", ".", "a\\b", "a\0"] {
            let said = files(line(path).as_bytes(), 1).unwrap_err();
            assert!(
                said.starts_with("a file has the path") || said.starts_with("a line"),
                "{path}: {said}"
            );
        }
        assert_eq!(files((line("a") + &line("a")).as_bytes(), 2), Err("it lists `a` twice".to_owned()));
        assert_eq!(
            files(line("a").as_bytes(), 2),
            Err("its files have 1 bytes instead of 2".to_owned())
        );
        assert!(files(b"\xff", 1).is_err() && files(b"x 1 a\n", 1).is_err() && files(b"<html>", 1).is_err());
    }
}
