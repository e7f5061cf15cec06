//! Makes sources available on this machine: finds them, downloads them, and checks them against their pins.
//!
//! Downloads are kept in the store (`sources/<digest of the address>/`), so that each is made once. Files that the Hugging Face Hub's own
//! programs have downloaded are used where they are. Plans and workers download nothing: a machine that computes needs no network.
//!
//! | file | part |
//! |---|---|
//! | `file` | downloads one file: requests, retries |
//! | `commit` | the commit of a repository that all files of a source are of |
//! | `answer` | which bytes of the file a response has |
//! | `part` | the bytes on the disk until the file is complete |
//! | `disguise` | what servers send in place of a file |
//! | `doubt` | downloads that a stage could not read, which are fetched again |
//! | `error` | why a source is not available |

mod answer;
mod commit;
mod digest;
mod disguise;
mod doubt;
mod error;
mod file;
mod hub;
mod part;
#[cfg(test)]
mod tests;

pub use digest::HashProgress;
pub use disguise::Disguise;
pub use error::{DownloadError, SourceError};
pub use hub::Hub;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use file::{DownloadState, Downloader, Order};

use crate::source::{DigestAlgorithm, Source, SourceContent, SourcePin, SourcePlace, UnfitFile};
use crate::store::{Acquired, Lease, Store, StoreError};

/// How often the lease of a download is renewed.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);

/// How often the lease of another process is checked.
const LEASE_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// The progress of a download.
pub struct DownloadProgress<'a> {
    pub file: &'a str,
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all, if the server tells.
    pub total: Option<u64>,
    /// What the user is to be told: that a server is waited for.
    pub notice: Option<&'a str>,
}

/// Finds and downloads sources.
pub struct Supplier<'a> {
    pub store: &'a Store,
    pub hub: &'a Hub,
    pub offline: bool,
    /// How long a request that fails is sent again.
    pub patience: Duration,
}

impl Supplier<'_> {
    /// The content of the source, as far as it is known without a download. `None` if it has no pin and is not on this machine. `progress` is
    /// told before each file that is hashed.
    ///
    /// # Errors
    /// If its path does not exist, or it cannot be read.
    pub fn look(&self, source: &Source, progress: &mut dyn FnMut(&HashProgress<'_>)) -> Result<Option<SourceContent>, SourceError> {
        if let Some(pin) = source.pin() {
            let identity = pin.to_string();
            return Ok(Some(SourceContent {
                identity,
                files: BTreeMap::new(),
                place: None,
            }));
        }
        match self.found(source) {
            Some(place) => self.identified(source, place, progress).map(Some),
            None if matches!(source.place(), SourcePlace::Path(_)) => Err(missing(source)),
            None => Ok(None),
        }
    }

    /// Checks that the source is available, without downloading it.
    ///
    /// # Errors
    /// If it is not, as far as one quick request can tell, or `stop` returns true.
    pub fn probe(&self, source: &Source, stop: &mut dyn FnMut() -> bool) -> Result<(), SourceError> {
        if self.usable(source).is_some() {
            return Ok(());
        }
        let Some(address) = self.hub.address(source, source.files.first().map(String::as_str)) else {
            return Err(missing(source));
        };
        if self.offline {
            return Err(SourceError::Offline { name: source.name.clone() });
        }
        let failed = |error| download_failed(source, error);
        Downloader::new(self.patience)
            .and_then(|downloader| downloader.probe(&address, self.token(source), stop))
            .map_err(failed)
    }

    /// Downloads the source, unless it is on this machine, and checks its pin. `progress` returns whether to continue.
    ///
    /// # Errors
    /// If it is missing, cannot be downloaded, or does not match its pin.
    pub fn supply(&self, source: &Source, progress: &mut dyn FnMut(&DownloadProgress<'_>) -> bool) -> Result<SourceContent, SourceError> {
        let place = match self.usable(source) {
            Some(place) => place,
            None if matches!(source.place(), SourcePlace::Path(_)) => return Err(missing(source)),
            None if self.offline => return Err(SourceError::Offline { name: source.name.clone() }),
            None => self.download(source, progress)?,
        };
        let Some(expected) = source.pin() else {
            let content = self.identified(source, place, &mut |_| ())?;
            self.forget_older_doubt(source, &content);
            return Ok(content);
        };
        let found = digest::source_digest(source, &place, expected.algorithm, self.store).map_err(|error| unreadable(source, error))?;
        if found != expected {
            let name = source.name.clone();
            if let Some(disguised) = self.disguised(source, &place) {
                self.set_aside(source, place);
                return Err(download_failed(source, disguised));
            }
            let place = self.set_aside(source, place);
            return Err(SourceError::Wrong {
                name,
                expected,
                found,
                place,
            });
        }
        Ok(SourceContent {
            identity: expected.to_string(),
            files: BTreeMap::new(),
            place: Some(place),
        })
    }

    /// The pin of a source that is on this machine.
    ///
    /// # Errors
    /// If it cannot be read, or a stage could not read it.
    pub fn pin(&self, source: &Source, content: &SourceContent) -> Result<SourcePin, SourceError> {
        if self.is_doubted(source, content) {
            let name = source.name.clone();
            return Err(SourceError::Unread { name });
        }
        let place = content.place.clone().unwrap_or_default();
        digest::source_digest(source, &place, DigestAlgorithm::Sha256, self.store).map_err(SourceError::from)
    }

    /// The path of the source on this machine, if it is here.
    fn found(&self, source: &Source) -> Option<PathBuf> {
        let downloaded = || {
            let folder = self.folder(source);
            let exists = |file: &String| folder.join(file).is_file();
            match source.files.as_slice() {
                [] => Some(folder.join(SINGLE_FILE)).filter(|file| file.is_file()),
                files => files.iter().all(exists).then_some(folder),
            }
        };
        match source.place() {
            SourcePlace::Path(path) => path.exists().then(|| path.to_owned()),
            SourcePlace::Url(_) | SourcePlace::Hub { .. } => self.hub.cached(source).or_else(downloaded),
        }
    }

    /// The path of the source on this machine, if it is here and need not be fetched again: what a stage could not read, or is something
    /// else in place of the file, may be better by now.
    fn usable(&self, source: &Source) -> Option<PathBuf> {
        let place = self.found(source)?;
        let is_final = self.offline || source.pin().is_some() || !place.starts_with(self.folder(source));
        let is_good = || !self.has_doubt(source) && self.disguised(source, &place).is_none();
        (is_final || is_good()).then_some(place)
    }

    /// The error for a download that is something else in place of a file.
    fn disguised(&self, source: &Source, place: &Path) -> Option<DownloadError> {
        if !place.starts_with(self.folder(source)) {
            return None;
        }
        source.list(place).ok()?.into_iter().find_map(|(name, path)| {
            let file = Some(name.as_str()).filter(|_| !source.files.is_empty());
            let address = self.hub.address(source, file)?;
            let disguise = disguise::of_file(&path, &disguise::name_of(&address), "")?;
            Some(DownloadError::Disguised { address, disguise })
        })
    }

    fn identified(
        &self,
        source: &Source,
        place: PathBuf,
        progress: &mut dyn FnMut(&HashProgress<'_>),
    ) -> Result<SourceContent, SourceError> {
        let found = digest::file_digests(source, &place, self.store, progress);
        let (pin, files) = found.map_err(|error| unreadable(source, error))?;
        Ok(SourceContent {
            identity: pin.to_string(),
            files,
            place: Some(place),
        })
    }

    /// Downloads the files of the source: those that are missing, or all if it is doubted. Only one process at a time downloads a source.
    fn download(&self, source: &Source, progress: &mut dyn FnMut(&DownloadProgress<'_>) -> bool) -> Result<PathBuf, SourceError> {
        let lease = loop {
            if let Some(lease) = self.lease(source, progress)? {
                break lease;
            }
        };
        let folder = self.folder(source);
        // Another process may have fetched it meanwhile.
        if let Some(place) = self.usable(source) {
            return Ok(place);
        }
        let is_complete = self.found(source).is_some();
        let downloader = Downloader::new(self.patience).map_err(|error| download_failed(source, error))?;
        let single = [SINGLE_FILE.to_owned()];
        let names = if source.files.is_empty() { &single[..] } else { &source.files };
        let mut last_heartbeat = Instant::now();
        let mut report = |name: &str, DownloadState { done, total, notice }: DownloadState<'_>| {
            if last_heartbeat.elapsed() >= HEARTBEAT_INTERVAL {
                last_heartbeat = Instant::now();
                lease.heartbeat();
            }
            progress(&DownloadProgress {
                file: name,
                done,
                total,
                notice,
            })
        };
        let first = names.first().map(String::as_str).unwrap_or_default();
        let fixed = self.fixed(source, is_complete, &downloader, &mut |state| report(first, state));
        let fixed = fixed.map_err(|error| download_failed(source, error))?;
        for name in names.iter().filter(|name| is_complete || !folder.join(name).is_file()) {
            let file = Some(name.as_str()).filter(|_| !source.files.is_empty());
            let (Some(address), path) = (self.hub.address(&fixed, file), folder.join(name)) else {
                return Err(missing(source));
            };
            let parent = path.parent().unwrap_or(&folder);
            std::fs::create_dir_all(parent).map_err(|cause| download_failed(source, DownloadError::Write { path: path.clone(), cause }))?;
            let order = Order {
                address: &address,
                token: self.token(source),
                path: &path,
                is_pinned: source.pin().is_some(),
            };
            let fetched = downloader.download(&order, &mut |state| report(name, state));
            fetched.map_err(|error| {
                if matches!(error, DownloadError::NotFound { .. }) {
                    // The commit of an earlier attempt may be gone.
                    self.forget_commit(source);
                }
                download_failed(source, error)
            })?;
        }
        Ok(if source.files.is_empty() {
            folder.join(SINGLE_FILE)
        } else {
            folder
        })
    }

    /// The lease of the download; `None` after another process, which had it, has released it.
    fn lease(&self, source: &Source, progress: &mut dyn FnMut(&DownloadProgress<'_>) -> bool) -> Result<Option<Lease>, SourceError> {
        let key = digest::address_digest(source);
        let holder = match self.store.lease(&key, 0)? {
            Acquired::Mine(lease) => return Ok(Some(lease)),
            Acquired::Held(holder) => holder,
        };
        let file = format!("downloaded by {holder}");
        while self.store.is_held(&key) {
            let waiting = DownloadProgress {
                file: &file,
                done: 0,
                total: None,
                notice: None,
            };
            if !progress(&waiting) {
                return Err(download_failed(source, DownloadError::Stopped));
            }
            std::thread::sleep(LEASE_CHECK_INTERVAL);
        }
        Ok(None)
    }

    fn folder(&self, source: &Source) -> PathBuf {
        self.store.sources(&digest::address_digest(source))
    }

    /// Moves a wrong download aside, so that it is not found again. Files outside the store stay where they are.
    fn set_aside(&self, source: &Source, place: PathBuf) -> PathBuf {
        let folder = self.folder(source);
        let aside = folder.with_extension("wrong");
        if !place.starts_with(&folder) {
            return place;
        }
        let _ = std::fs::remove_dir_all(&aside);
        match std::fs::rename(&folder, &aside) {
            Ok(()) => aside,
            Err(_) => place,
        }
    }

    fn token(&self, source: &Source) -> Option<&str> {
        // The token is sent to nobody but the hub.
        self.hub.token.as_deref().filter(|_| source.hub.is_some())
    }
}

/// The name of a download that is one file.
const SINGLE_FILE: &str = "file";

fn missing(source: &Source) -> SourceError {
    SourceError::Missing {
        name: source.name.clone(),
        path: source.path.clone().unwrap_or_default(),
    }
}

/// The error of a source whose files cannot be read.
fn unreadable(source: &Source, error: StoreError) -> SourceError {
    let problem = match &error {
        StoreError::Io { source: cause, .. } => UnfitFile::in_error(cause).map(ToString::to_string),
        _ => None,
    };
    match problem {
        Some(problem) => SourceError::Unfit {
            name: source.name.clone(),
            problem,
        },
        None => error.into(),
    }
}

fn download_failed(source: &Source, error: DownloadError) -> SourceError {
    let name = source.name.clone();
    SourceError::Download { name, error }
}
