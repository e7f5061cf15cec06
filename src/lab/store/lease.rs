//! Leases: who is computing which stage, so that nobody computes it twice.
//!
//! A lease is a file that appears by `link` (which fails when the name is taken, on NFS too). Its holder touches it every few seconds;
//! one whose holder is dead (same host) or silent for a minute (another host or container) may be taken over. A lease saves work, it does
//! not guard the store: two holders of one lease would compute the same bytes and put them in the same place.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::process::{began, host, is_alive, namespace};
use super::{Store, StoreError, atomic, work};
use crate::hash::Digest;

/// A holder on another host that has been silent for longer is taken for dead.
const SILENCE: Duration = Duration::from_secs(60);

/// The right to compute one stage; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    holder: Holder,
}

/// What came of trying to get a lease.
#[derive(Debug)]
pub enum Acquired {
    Mine(Lease),
    /// Somebody else has it: `process 4711 on node3`.
    Held(String),
}

/// A process, named so that a reused process number is not taken for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Holder {
    host: String,
    /// Within which the number of the process means anything: containers of one host have their own.
    namespace: u64,
    process: u32,
    /// When the process began, in the kernel's ticks since boot (0 where the kernel does not tell).
    began: u64,
    /// Tells apart two leases of one process.
    number: u64,
}

impl Store {
    /// Removes the leases that dead holders left behind: those of stages that nobody will ask for again would stay for ever.
    pub fn clear_dead_leases(&self) {
        let tmp = self.root.join("tmp");
        let leases = std::fs::read_dir(self.root.join("leases"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        for path in leases.map(|entry| entry.path()) {
            if let Some(holder) = read(&path).filter(|holder| !holder.is_alive(&tmp, &path)) {
                remove(&path, &holder);
            }
        }
    }

    /// Whether somebody alive holds the lease of the stage `key`.
    pub fn is_held(&self, key: &Digest) -> bool {
        let path = self.root.join("leases").join(format!("{key}.json"));
        read(&path).is_some_and(|holder| holder.is_alive(&self.root.join("tmp"), &path))
    }

    /// Tries to get the lease of the stage `key`, taking it over from a dead holder.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn lease(&self, key: &Digest, number: u64) -> Result<Acquired, StoreError> {
        let path = self.root.join("leases").join(format!("{key}.json"));
        let holder = Holder::this_process(number);
        let tmp = self.root.join("tmp");
        // Twice at the most: once more after a dead holder's lease has been removed.
        for _ in 0..2 {
            if claim(&tmp, &path, &holder).map_err(StoreError::io("write", &path))? {
                return Ok(Acquired::Mine(Lease { path, holder }));
            }
            let Some(other) = read(&path) else { continue };
            if other.is_alive(&tmp, &path) {
                return Ok(Acquired::Held(other.to_string()));
            }
            remove(&path, &other);
        }
        Ok(Acquired::Held(
            read(&path).map_or_else(|| "another process".to_owned(), |other| other.to_string()),
        ))
    }
}

impl Lease {
    /// Tells the others that the holder is alive.
    pub fn beat(&self) {
        // A missed beat is made up by the next one.
        let _ = File::options().write(true).open(&self.path).and_then(|file| atomic::touch(&file));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        remove(&self.path, &self.holder);
    }
}

/// Puts the lease in place if there is none.
fn claim(tmp: &Path, path: &Path, holder: &Holder) -> io::Result<bool> {
    let mut file = work::builder().tempfile_in(tmp)?;
    serde_json::to_writer(&mut file, holder)?;
    file.flush()?;
    // A power failure must not leave one that says nothing.
    file.as_file().sync_data()?;
    // Who shares the store may read who holds it.
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    atomic::link(file.path(), path)
}

/// Who holds the lease at `path`, if there is one. One that cannot be read is nobody's, whom nothing but heartbeats show alive.
fn read(path: &Path) -> Option<Holder> {
    Some(serde_json::from_slice(&std::fs::read(path).ok()?).unwrap_or_default())
}

/// Removes the lease if it is still `holder`'s. It is moved aside first: should it turn out to be a new holder's, who was quicker, it
/// is put back.
fn remove(path: &Path, holder: &Holder) {
    let aside = path.with_extension(format!("{}-{}", std::process::id(), holder.number));
    if atomic::rename(path, &aside).is_err() {
        return;
    }
    if read(&aside).is_some_and(|found| found != *holder) {
        let _ = atomic::link(&aside, path);
    }
    let _ = std::fs::remove_file(&aside);
}

impl Holder {
    pub(super) fn this_process(number: u64) -> Self {
        let process = std::process::id();
        Self {
            host: host(),
            namespace: namespace(),
            process,
            began: began(process).unwrap_or(0),
            number,
        }
    }

    /// Whether it still works: asked where it can be, judged by its last heartbeat elsewhere.
    pub(super) fn is_alive(&self, tmp: &Path, path: &Path) -> bool {
        if self.host == host() && self.namespace == namespace() {
            return is_alive(self.process, self.began);
        }
        // The file server's clock tells both times: hosts' clocks differ.
        let age = || -> io::Result<Duration> {
            let now = tempfile::tempfile_in(tmp)?.metadata()?.modified()?;
            Ok(now.duration_since(std::fs::metadata(path)?.modified()?).unwrap_or_default())
        };
        age().map_or(true, |age| age < SILENCE)
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.as_str() {
            "" => f.write_str("another process"),
            host => write!(f, "process {} on {host}", self.process),
        }
    }
}
