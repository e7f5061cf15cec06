//! Brings sources to this machine: finds them, fetches them, and holds them against their pins.
//!
//! What comes over the network is kept in the store (`sources/<digest of the place>/`), so that it is fetched once; what the Hugging Face
//! Hub's own programs have fetched is used where it lies. Nothing is fetched for a plan, and nothing by a worker: a machine that computes
//! needs no network.

mod digest;
mod download;
mod hub;

pub use download::DownloadError;
pub use hub::Hub;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use download::Downloader;

use crate::source::{DigestAlgorithm, Source, SourceContent, SourcePin, SourcePlace};
use crate::store::{Acquired, Lease, Store, StoreError};

/// How often the lease of a download is renewed, and one of another process looked at.
const BEAT: Duration = Duration::from_secs(2);

/// Why a source is not there.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("source `{name}`: no file or folder {}", path.display())]
    Missing { name: String, path: PathBuf },
    #[error("source `{name}` is not on this machine, and nothing is fetched offline")]
    Offline { name: String },
    #[error("source `{name}`: {error}")]
    Download { name: String, error: DownloadError },
    #[error("source `{name}` is not what it was: its digest is {found}, and the experiment says {expected}")]
    Wrong {
        name: String,
        expected: SourcePin,
        found: SourcePin,
        place: PathBuf,
    },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FetchError {
    /// What to do.
    pub fn help(&self) -> Option<String> {
        let supply = |name: &str| format!("supply it: `--set sources.{name}=PATH`");
        Some(match self {
            Self::Missing { name, .. } => supply(name),
            Self::Offline { name } => format!("run without `--offline`, or {}", supply(name)),
            Self::Download { name, error } => match error {
                DownloadError::Denied { .. } => format!("set `HF_TOKEN` if it needs an account with the right to it, or {}", supply(name)),
                DownloadError::NotFound { .. } => format!("correct the place or the revision, or {}", supply(name)),
                DownloadError::Stopped | DownloadError::Write { .. } => return None,
                _ => supply(name),
            },
            Self::Wrong { place, .. } => format!("if that is meant, write the new digest; what was found is {}", place.display()),
            Self::Store(_) => return None,
        })
    }
}

/// How far a download is: the file, the bytes that there are and, where the server tells, those that there will be.
pub struct Coming<'a> {
    pub file: &'a str,
    pub done: u64,
    pub total: Option<u64>,
}

/// Knows where sources are.
pub struct Supplier<'a> {
    pub store: &'a Store,
    pub hub: &'a Hub,
    pub offline: bool,
}

impl Supplier<'_> {
    /// What is known of the source without fetching it; nothing for one without a pin that is not on this machine.
    ///
    /// # Errors
    /// When it is at a path where there is nothing, or cannot be read.
    pub fn look(&self, source: &Source) -> Result<Option<SourceContent>, FetchError> {
        if let Some(pin) = source.pin() {
            let identity = pin.to_string();
            return Ok(Some(SourceContent {
                identity,
                files: BTreeMap::new(),
                place: None,
            }));
        }
        match self.found(source) {
            Some(place) => self.identified(source, place).map(Some),
            None if matches!(source.place(), SourcePlace::Path(_)) => Err(missing(source)),
            None => Ok(None),
        }
    }

    /// Whether the source can be had, asked without fetching it.
    ///
    /// # Errors
    /// When it cannot, as far as that is known in a moment.
    pub fn probe(&self, source: &Source) -> Result<(), FetchError> {
        if self.found(source).is_some() {
            return Ok(());
        }
        let Some(address) = self.hub.address(source, source.files.first().map(String::as_str)) else {
            return Err(missing(source));
        };
        if self.offline {
            return Err(FetchError::Offline { name: source.name.clone() });
        }
        let failed = |error| download_failed(source, error);
        Downloader::new()
            .and_then(|downloader| downloader.probe(&address, self.token(source)))
            .map_err(failed)
    }

    /// Brings the source to this machine and holds it against its pin. `progress` says whether to go on.
    ///
    /// # Errors
    /// When it is missing, cannot be fetched, or is not what the pin says.
    pub fn supply(&self, source: &Source, progress: &mut dyn FnMut(&Coming<'_>) -> bool) -> Result<SourceContent, FetchError> {
        let place = match self.found(source) {
            Some(place) => place,
            None if matches!(source.place(), SourcePlace::Path(_)) => return Err(missing(source)),
            None if self.offline => return Err(FetchError::Offline { name: source.name.clone() }),
            None => self.fetch(source, progress)?,
        };
        let Some(expected) = source.pin() else {
            return self.identified(source, place);
        };
        let found = digest::of(source, &place, expected.algorithm, self.store)?;
        if found != expected {
            let name = source.name.clone();
            let place = self.set_aside(source, place);
            return Err(FetchError::Wrong {
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
    /// When it cannot be read.
    pub fn pin(&self, source: &Source, content: &SourceContent) -> Result<SourcePin, FetchError> {
        let place = content.place.clone().unwrap_or_default();
        digest::of(source, &place, DigestAlgorithm::Sha256, self.store).map_err(FetchError::from)
    }

    /// The commit that the source's revision is now, where the hub tells.
    pub fn commit(&self, source: &Source) -> Option<String> {
        let address = self.hub.about(source).filter(|_| !self.offline)?;
        let about = Downloader::new().ok()?.text(&address, self.token(source)).ok()?;
        let about: serde_json::Value = serde_json::from_str(&about).ok()?;
        Some(about.get("sha")?.as_str()?.to_owned())
    }

    /// Where the source is on this machine.
    fn found(&self, source: &Source) -> Option<PathBuf> {
        let kept = || {
            let folder = self.folder(source);
            let whole = |file: &String| folder.join(file).is_file();
            match source.files.as_slice() {
                [] => Some(folder.join(SINGLE)).filter(|file| file.is_file()),
                files => files.iter().all(whole).then_some(folder),
            }
        };
        match source.place() {
            SourcePlace::Path(path) => path.exists().then(|| path.to_owned()),
            SourcePlace::Url(_) | SourcePlace::Hub { .. } => self.hub.cached(source).or_else(kept),
        }
    }

    fn identified(&self, source: &Source, place: PathBuf) -> Result<SourceContent, FetchError> {
        let (pin, files) = digest::by_name(source, &place, self.store)?;
        Ok(SourceContent {
            identity: pin.to_string(),
            files,
            place: Some(place),
        })
    }

    /// Fetches all files of the source that are not there yet. Two processes do not fetch one source at once.
    fn fetch(&self, source: &Source, progress: &mut dyn FnMut(&Coming<'_>) -> bool) -> Result<PathBuf, FetchError> {
        let lease = loop {
            if let Some(lease) = self.lease(source, progress)? {
                break lease;
            }
        };
        let folder = self.folder(source);
        let downloader = Downloader::new().map_err(|error| download_failed(source, error))?;
        let single = [SINGLE.to_owned()];
        let names = if source.files.is_empty() { &single[..] } else { &source.files };
        let mut beaten = Instant::now();
        for name in names.iter().filter(|name| !folder.join(name).is_file()) {
            let file = Some(name.as_str()).filter(|_| !source.files.is_empty());
            let (Some(address), path) = (self.hub.address(source, file), folder.join(name)) else {
                return Err(missing(source));
            };
            let parent = path.parent().unwrap_or(&folder);
            std::fs::create_dir_all(parent).map_err(|cause| download_failed(source, DownloadError::Write { path: path.clone(), cause }))?;
            let mut told = |done, total| {
                if beaten.elapsed() >= BEAT {
                    beaten = Instant::now();
                    lease.beat();
                }
                progress(&Coming { file: name, done, total })
            };
            let fetched = downloader.file(&address, self.token(source), &path, &mut told);
            fetched.map_err(|error| download_failed(source, error))?;
        }
        Ok(if source.files.is_empty() { folder.join(SINGLE) } else { folder })
    }

    /// The right to fetch; nothing where another process had it, and has ended.
    fn lease(&self, source: &Source, progress: &mut dyn FnMut(&Coming<'_>) -> bool) -> Result<Option<Lease>, FetchError> {
        let key = digest::of_place(source);
        let holder = match self.store.lease(&key, 0)? {
            Acquired::Mine(lease) => return Ok(Some(lease)),
            Acquired::Held(holder) => holder,
        };
        let file = format!("fetched by {holder}");
        while self.store.is_held(&key) {
            let told = Coming {
                file: &file,
                done: 0,
                total: None,
            };
            if !progress(&told) {
                return Err(download_failed(source, DownloadError::Stopped));
            }
            std::thread::sleep(BEAT / 10);
        }
        Ok(None)
    }

    fn folder(&self, source: &Source) -> PathBuf {
        self.store.sources(&digest::of_place(source))
    }

    /// What was fetched and is wrong would be found again: it is moved aside. What is not ours stays where it is.
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
        // Never told to anybody but the hub.
        self.hub.token.as_deref().filter(|_| source.hub.is_some())
    }
}

/// The name of a download that is one file.
const SINGLE: &str = "file";

fn missing(source: &Source) -> FetchError {
    FetchError::Missing {
        name: source.name.clone(),
        path: source.path.clone().unwrap_or_default(),
    }
}

fn download_failed(source: &Source, error: DownloadError) -> FetchError {
    let name = source.name.clone();
    FetchError::Download { name, error }
}
