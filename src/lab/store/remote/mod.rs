//! Remotes: stores elsewhere, in buckets, on web servers or in folders.
//!
//! Download: a record by its key; then the objects that it names, only those that are used, each checked by its digest. Upload:
//! objects first, then the record, which is created only if there is none. A remote that is missing, refuses access, is slow or sends
//! wrong content gets one warning and is not used again. It never makes a hit, and never ends a run that does not require it. The first
//! request opens the remote and starts the threads.
//!
//! `object_store` and its runtime are used only in this folder: the rest of the program is synchronous.

mod cloud;
mod error;
mod fetch;
mod folder;
mod limits;
mod multipart;
mod open;
mod push;
mod put;
mod request;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
mod uploads;

pub use error::RemoteError;
pub use fetch::FetchSummary;
pub use open::Environment;
pub use push::PushSummary;
pub use uploads::{UploadSummary, Uploads};

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

use super::validate_record::MAX_RECORD_BYTES;
use super::{Acquired, Lease, Record, Store, StoreError};
use crate::hash::Digest;
use cloud::Cloud;

/// Records that are requested from one remote at once.
const RECORDS_AT_ONCE: usize = 48;

/// How often the progress of a transfer is reported, and the lease of another process checked.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// A remote in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteSettings {
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
    /// Only the addresses.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.remotes.iter().map(|remote| &remote.settings.url))
            .finish()
    }
}

struct Shared {
    remotes: Vec<RemoteConnection>,
    environment: Environment,
    runtime: OnceLock<Runtime>,
    /// Warnings that have not been taken yet.
    warnings: Mutex<Vec<String>>,
    /// The failure of a required remote.
    failure: Mutex<Option<String>>,
    /// Objects that no remote has undamaged: a record that names one is not a hit.
    lost: Mutex<BTreeSet<Digest>>,
    /// Bytes that were uploaded and downloaded.
    sent: AtomicU64,
    fetched: AtomicU64,
}

/// A remote, which is opened by the first request to it.
struct RemoteConnection {
    settings: RemoteSettings,
    backend: OnceCell<Option<Backend>>,
    /// Whether it has failed and is not used again, and why.
    is_off: AtomicBool,
    why: Mutex<String>,
    /// Objects and records that are damaged there, and may be replaced.
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

    /// Opens nothing yet. `environment` has the variables with credentials.
    pub fn new(remotes: Vec<RemoteSettings>, environment: Environment) -> Self {
        let connection = |settings| RemoteConnection {
            settings,
            backend: OnceCell::new(),
            is_off: AtomicBool::new(false),
            why: Mutex::default(),
            damaged: Mutex::default(),
        };
        Self(Arc::new(Shared {
            remotes: remotes.into_iter().map(connection).collect(),
            environment,
            runtime: OnceLock::new(),
            warnings: Mutex::default(),
            failure: Mutex::default(),
            lost: Mutex::default(),
            sent: AtomicU64::new(0),
            fetched: AtomicU64::new(0),
        }))
    }

    pub fn is_empty(&self) -> bool {
        self.0.remotes.is_empty()
    }

    /// Whether any remote is written to.
    pub fn writes(&self) -> bool {
        self.0.remotes.iter().any(|remote| remote.settings.writes)
    }

    /// The warnings since the last call: which remotes cannot be used, and what they sent that was refused.
    pub fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0.warnings))
    }

    /// Checks that no required remote has failed.
    ///
    /// # Errors
    /// If one has.
    pub fn check_required(&self) -> Result<(), StoreError> {
        lock(&self.0.failure)
            .clone()
            .map_or(Ok(()), |message| Err(StoreError::Remote(message)))
    }

    /// The records under these keys, each from the first remote that has one. Records that were found before are not requested again,
    /// unless an object of theirs has turned out to be lost.
    pub fn find(&self, store: &Store, keys: &[Digest]) -> BTreeMap<Digest, Record> {
        let mut found: BTreeMap<Digest, Record> = BTreeMap::new();
        if self.is_empty() || keys.is_empty() {
            return found;
        }
        found.extend(keys.iter().filter_map(|key| Some((*key, store.remote_record(key)?))));
        self.forget_lost(store, &mut found);
        for remote in &self.0.remotes {
            let missing: Vec<Digest> = keys.iter().filter(|key| !found.contains_key(key)).copied().collect();
            if missing.is_empty() {
                break;
            }
            let answers = self.block(async {
                let backend = self.0.backend(remote).await?;
                let requests = missing.iter().map(|key| self.0.valid_record(remote, backend, store, key));
                Some(stream::iter(requests).buffer_unordered(RECORDS_AT_ONCE).collect::<Vec<_>>().await)
            });
            found.extend(answers.into_iter().flatten().flatten());
            self.forget_lost(store, &mut found);
        }
        found
    }

    fn forget_lost(&self, store: &Store, found: &mut BTreeMap<Digest, Record>) {
        let lost = lock(&self.0.lost);
        if !lost.is_empty() {
            let is_available = |record: &Record| {
                let mut outputs = record.outputs.values();
                outputs.all(|artifact| !lost.contains(&artifact.digest) || store.has(artifact).unwrap_or(false))
            };
            found.retain(|_, record| is_available(record));
        }
    }

    fn block<T>(&self, work: impl Future<Output = T>) -> T {
        self.0.runtime().block_on(work)
    }

    /// Waits for a transfer. Calls `tick` with the bytes that it has added to `bytes` so far.
    fn wait<T>(&self, work: impl Future<Output = T>, bytes: &AtomicU64, tick: &mut dyn FnMut(u64)) -> T {
        let before = bytes.load(Ordering::Relaxed);
        self.block(async {
            let mut work = std::pin::pin!(work);
            loop {
                match tokio::time::timeout(PROGRESS_INTERVAL, work.as_mut()).await {
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

    /// The opened remote; `None` if it cannot be used. The first failure is a warning.
    async fn backend<'a>(&self, remote: &'a RemoteConnection) -> Option<&'a Backend> {
        if remote.is_off.load(Ordering::Relaxed) {
            return None;
        }
        let open = async {
            let opened = open::open(&remote.settings, &self.environment);
            let checked = match opened {
                Ok(Backend::Cloud(cloud)) => cloud.check().await.map(|()| Backend::Cloud(cloud)),
                other => other,
            };
            checked.map_err(|error| self.report(remote, &error)).ok()
        };
        remote.backend.get_or_init(|| open).await.as_ref()
    }

    /// The record that a remote has under `key`, if there is one and it is valid.
    async fn valid_record(&self, remote: &RemoteConnection, backend: &Backend, store: &Store, key: &Digest) -> Option<(Digest, Record)> {
        if remote.is_off.load(Ordering::Relaxed) {
            return None;
        }
        let bytes = match backend {
            Backend::Folder(folder) => folder::record(folder, key),
            Backend::Cloud(cloud) => cloud.get(&cloud.record(key), MAX_RECORD_BYTES as u64).await,
        };
        let bytes: Bytes = bytes.map_err(|error| self.report(remote, &error)).ok()??;
        match store.validate_record(key, &bytes) {
            Ok(record) => {
                store.remember_remote_record(key, &bytes);
                Some((*key, record))
            }
            Err(error) => {
                if error.is_damage() {
                    lock(&remote.damaged).insert(*key);
                }
                let what = format!("the record {}", key.short());
                let why = error.to_string();
                self.report(remote, &RemoteError::OtherBytes { what, why });
                None
            }
        }
    }

    /// Adds a warning, once, and stops using the remote if the error is final.
    fn report(&self, remote: &RemoteConnection, error: &RemoteError) {
        let url = &remote.settings.url;
        if !error.is_final() {
            let message = format!("remote {url}: {error}");
            let mut warnings = lock(&self.warnings);
            if !warnings.contains(&message) {
                warnings.push(message);
            }
            return;
        }
        if remote.is_off.swap(true, Ordering::Relaxed) {
            return;
        }
        *lock(&remote.why) = error.to_string();
        let message = format!("cannot use the remote {url}: {error}");
        if remote.settings.required {
            lock(&self.failure).get_or_insert(message);
        } else {
            lock(&self.warnings).push(format!("{message}; going on without it"));
        }
    }
}

/// Waits for the lease of the large file `name`, so that one process at a time transfers it. `None` if the store cannot be written.
async fn exclusive(store: &Store, name: &Digest) -> Option<Lease> {
    loop {
        match store.lease(name, 0) {
            Ok(Acquired::Mine(lease)) => return Some(lease),
            Ok(Acquired::Held(_)) => tokio::time::sleep(PROGRESS_INTERVAL).await,
            Err(_) => return None,
        }
    }
}

/// The paths in the manifest of a folder, for the fuzzer, which has no remote to send one.
#[cfg(fuzzing)]
pub fn manifest_paths(manifest: &[u8], total: u64) -> Option<Vec<std::path::PathBuf>> {
    let manifest = super::manifest::Manifest::parse(manifest, true).ok()?;
    manifest.check_total(total).ok()?;
    Some(manifest.entries.into_iter().map(|entry| entry.path.into()).collect())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
