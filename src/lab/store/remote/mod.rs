//! Remotes: stores elsewhere, in buckets, on web servers or in folders.
//!
//! What is asked of a remote and how: a record by its key; then, only where they are used, the objects that it names, each checked by
//! its digest. What is brought there: objects first, then the record, which is created only where there is none. A remote that is
//! missing, refuses, is slow or lies is said once and left aside; it is never a hit, and never the end of a run that does not
//! require it. Nothing is opened and no thread is started before something is asked.
//!
//! `object_store` and its runtime stay in here: the rest of the program is synchronous.

mod cloud;
mod fetch;
mod folder;
mod open;
mod parts;
mod push;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
mod trouble;
mod uploads;
mod whole;

pub use fetch::Fetched;
pub use open::Environment;
pub use push::Pushed;
pub use trouble::Trouble;
pub use uploads::{Uploaded, Uploads};

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use super::admit::LONGEST;
use super::{Acquired, Lease, Record, Store, StoreError};
use crate::hash::Digest;
use cloud::Cloud;

/// Questions to one remote at once.
const ASKED_AT_ONCE: usize = 48;

/// How often a long transfer is told of.
const TICK: Duration = Duration::from_millis(200);

/// A remote as the settings name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub url: String,
    pub writes: bool,
    pub required: bool,
    pub endpoint: Option<String>,
    pub region: Option<String>,
}

/// All remotes of a run, in their order. Clones share everything.
#[derive(Clone)]
pub struct Remotes(Arc<Shared>);

impl std::fmt::Debug for Remotes {
    /// The addresses alone.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.remotes.iter().map(|remote| &remote.place.url))
            .finish()
    }
}

struct Shared {
    remotes: Vec<Remote>,
    environment: Environment,
    runtime: OnceLock<Runtime>,
    /// What is to be said, each once.
    notes: Mutex<Vec<String>>,
    /// What a required remote could not do.
    failure: Mutex<Option<String>>,
    /// Objects that no remote has as they should be: records that name them are no hits.
    gone: Mutex<BTreeSet<Digest>>,
    /// Bytes that went over the network, each way.
    sent: AtomicU64,
    fetched: AtomicU64,
}

struct Remote {
    place: Place,
    backend: OnceCell<Option<Backend>>,
    /// Whether it is left aside, and why.
    off: AtomicBool,
    why: Mutex<String>,
    /// Objects and records that it has in a wrong form, which may be replaced.
    damaged: Mutex<BTreeSet<Digest>>,
}

enum Backend {
    Folder(Store),
    Cloud(Cloud),
}

impl Remotes {
    /// No remotes at all.
    pub fn none() -> Self {
        Self::new(Vec::new(), Environment::new())
    }

    /// Opens nothing yet. `environment` is where credentials are looked for.
    pub fn new(places: Vec<Place>, environment: Environment) -> Self {
        let remote = |place| Remote {
            place,
            backend: OnceCell::new(),
            off: AtomicBool::new(false),
            why: Mutex::default(),
            damaged: Mutex::default(),
        };
        Self(Arc::new(Shared {
            remotes: places.into_iter().map(remote).collect(),
            environment,
            runtime: OnceLock::new(),
            notes: Mutex::default(),
            failure: Mutex::default(),
            gone: Mutex::default(),
            sent: AtomicU64::new(0),
            fetched: AtomicU64::new(0),
        }))
    }

    pub fn is_empty(&self) -> bool {
        self.0.remotes.is_empty()
    }

    /// Whether there is one to bring things to.
    pub fn writes(&self) -> bool {
        self.0.remotes.iter().any(|remote| remote.place.writes)
    }

    /// What is to be said since the last call: which remotes cannot be used, and what they gave that was refused.
    pub fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0.notes))
    }

    /// Why the run must not go on: a remote that it requires cannot be used.
    ///
    /// # Errors
    /// That.
    pub fn check(&self) -> Result<(), StoreError> {
        lock(&self.0.failure)
            .clone()
            .map_or(Ok(()), |message| Err(StoreError::Remote(message)))
    }

    /// The records that remotes have under these keys, those found in the first remote that has one. Records that were found before
    /// are known without asking again, until an object of theirs could not be had.
    pub fn find(&self, store: &Store, keys: &[Digest]) -> BTreeMap<Digest, Record> {
        let mut found: BTreeMap<Digest, Record> = BTreeMap::new();
        if self.is_empty() || keys.is_empty() {
            return found;
        }
        found.extend(keys.iter().filter_map(|key| Some((*key, store.known(key)?))));
        self.forget_gone(store, &mut found);
        for remote in &self.0.remotes {
            let missing: Vec<Digest> = keys.iter().filter(|key| !found.contains_key(key)).copied().collect();
            if missing.is_empty() {
                break;
            }
            let asked = self.block(async {
                let backend = self.0.backend(remote).await?;
                let asked = missing.iter().map(|key| self.0.admitted(remote, backend, store, key));
                Some(stream::iter(asked).buffer_unordered(ASKED_AT_ONCE).collect::<Vec<_>>().await)
            });
            found.extend(asked.into_iter().flatten().flatten());
            self.forget_gone(store, &mut found);
        }
        found
    }

    fn forget_gone(&self, store: &Store, found: &mut BTreeMap<Digest, Record>) {
        let gone = lock(&self.0.gone);
        if !gone.is_empty() {
            let here = |record: &Record| {
                let mut outputs = record.outputs.values();
                outputs.all(|artifact| !gone.contains(&artifact.digest) || store.has(artifact).unwrap_or(false))
            };
            found.retain(|_, record| here(record));
        }
    }

    fn block<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.runtime().block_on(work)
    }

    /// Waits for a long transfer, calling `tick` with what it added to `bytes` so far.
    fn wait<T>(&self, work: impl Future<Output = T>, bytes: &AtomicU64, tick: &mut dyn FnMut(u64)) -> T {
        let before = bytes.load(Ordering::Relaxed);
        self.block(async {
            let mut work = std::pin::pin!(work);
            loop {
                match tokio::time::timeout(TICK, work.as_mut()).await {
                    Ok(ended) => return ended,
                    Err(_) => tick(bytes.load(Ordering::Relaxed) - before),
                }
            }
        })
    }
}

impl Shared {
    fn runtime(&self) -> &Runtime {
        self.runtime.get_or_init(|| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(2).thread_name("remote").enable_all();
            builder.build().expect("a process may start threads")
        })
    }

    /// The opened remote; nothing where it cannot be used, which is said once.
    async fn backend<'a>(&self, remote: &'a Remote) -> Option<&'a Backend> {
        if remote.off.load(Ordering::Relaxed) {
            return None;
        }
        let open = async {
            let opened = open::open(&remote.place, &self.environment);
            let checked = match opened {
                Ok(Backend::Cloud(cloud)) => cloud.check().await.map(|()| Backend::Cloud(cloud)),
                other => other,
            };
            checked.map_err(|trouble| self.note(remote, &trouble)).ok()
        };
        remote.backend.get_or_init(|| open).await.as_ref()
    }

    /// The record that a remote has under `key`, if it may be used.
    async fn admitted(&self, remote: &Remote, backend: &Backend, store: &Store, key: &Digest) -> Option<(Digest, Record)> {
        if remote.off.load(Ordering::Relaxed) {
            return None;
        }
        let bytes = match backend {
            Backend::Folder(folder) => folder::record(folder, key),
            Backend::Cloud(cloud) => cloud.get(&cloud.record(key), LONGEST as u64).await,
        };
        let bytes: Bytes = bytes.map_err(|trouble| self.note(remote, &trouble)).ok()??;
        match store.admit(key, &bytes) {
            Ok(record) => {
                store.know(key, &bytes);
                Some((*key, record))
            }
            Err(refused) => {
                if refused.is_damage() {
                    lock(&remote.damaged).insert(*key);
                }
                let what = format!("the record {}", key.short());
                let why = refused.to_string();
                self.note(remote, &Trouble::OtherBytes { what, why });
                None
            }
        }
    }

    /// Says what is wrong with a remote, once, and leaves it aside where that is the end of it.
    fn note(&self, remote: &Remote, trouble: &Trouble) {
        let url = &remote.place.url;
        if !trouble.ends() {
            let message = format!("remote {url}: {trouble}");
            let mut notes = lock(&self.notes);
            if !notes.contains(&message) {
                notes.push(message);
            }
            return;
        }
        if remote.off.swap(true, Ordering::Relaxed) {
            return;
        }
        *lock(&remote.why) = trouble.to_string();
        let message = format!("cannot use the remote {url}: {trouble}");
        if remote.place.required {
            lock(&self.failure).get_or_insert(message);
        } else {
            lock(&self.notes).push(format!("{message}; going on without it"));
        }
    }
}

/// Waits until no other process of this store works at the large file `name`; nothing where the store cannot be written.
async fn alone(store: &Store, name: &Digest) -> Option<Lease> {
    loop {
        match store.lease(name, 0) {
            Ok(Acquired::Mine(lease)) => return Some(lease),
            Ok(Acquired::Held(_)) => tokio::time::sleep(TICK).await,
            Err(_) => return None,
        }
    }
}

/// The paths of a folder's list, for the fuzzer, which has no remote to send one.
#[cfg(fuzzing)]
pub fn listed(manifest: &[u8], total: u64) -> Option<Vec<std::path::PathBuf>> {
    let files = fetch::files(manifest, total).ok()?;
    Some(files.into_iter().map(|(_, _, path)| path).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
