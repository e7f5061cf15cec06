//! Leases: which process is computing which stage, so that no stage is computed twice.
//!
//! A lease is a file that appears by `link` (which fails if the name is taken, on NFS too). Its holder touches it every few seconds. It may
//! be taken over if its holder is dead (same host), or has not touched it for a minute (another host or container). A lease saves work, it
//! does not guard the store: two holders of one lease would compute the same bytes and move them to the same path.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::process::{began, host, is_alive, namespace};
use super::{Store, StoreError, atomic, tmp};
use crate::hash::Digest;

/// A holder on another host without a heartbeat for this long counts as dead.
pub(super) const LEASE_EXPIRY: Duration = Duration::from_secs(60);

/// The exclusive right to compute one stage; released when dropped.
#[derive(Debug)]
pub struct Lease {
    path: PathBuf,
    holder: LeaseHolder,
}

/// The result of trying to get a lease.
#[derive(Debug)]
pub enum Acquired {
    Mine(Lease),
    /// Another process has it: `process 4711 on node3`.
    Held(String),
}

/// A process, identified so that another process with the same number is not mistaken for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LeaseHolder {
    pub(super) host: String,
    /// The namespace of the process number: each container of a host has its own.
    pub(super) namespace: u64,
    pub(super) process: u32,
    /// When the process began, in the kernel's ticks since boot; 0 if unknown.
    began: u64,
    /// Distinguishes two leases of one process.
    number: u64,
}

impl Store {
    /// Removes the leases of dead holders: leases of stages that are never needed again would stay forever.
    pub fn clear_dead_leases(&self) {
        let tmp = self.root.join("tmp");
        let leases = std::fs::read_dir(self.root.join("leases"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        for path in leases.map(|entry| entry.path()) {
            if let Some(holder) = read_holder(&path).filter(|holder| !holder.is_alive(&tmp, &path)) {
                remove(&path, &holder);
            }
        }
    }

    /// Whether a living process holds the lease of the stage `key`.
    pub fn is_held(&self, key: &Digest) -> bool {
        let path = self.root.join("leases").join(format!("{key}.json"));
        read_holder(&path).is_some_and(|holder| holder.is_alive(&self.root.join("tmp"), &path))
    }

    /// Tries to get the lease of the stage `key`, taking it over from a dead holder.
    ///
    /// # Errors
    /// If the lease cannot be written.
    pub fn lease(&self, key: &Digest, number: u64) -> Result<Acquired, StoreError> {
        let path = self.root.join("leases").join(format!("{key}.json"));
        let holder = LeaseHolder::this_process(number);
        let tmp = self.root.join("tmp");
        // At most twice: the second time after removing a dead holder's lease.
        for _ in 0..2 {
            if claim(&tmp, &path, &holder).map_err(StoreError::io("write", &path))? {
                return Ok(Acquired::Mine(Lease { path, holder }));
            }
            let Some(other) = read_holder(&path) else { continue };
            if other.is_alive(&tmp, &path) {
                return Ok(Acquired::Held(other.to_string()));
            }
            remove(&path, &other);
        }
        Ok(Acquired::Held(
            read_holder(&path).map_or_else(|| "another process".to_owned(), |other| other.to_string()),
        ))
    }
}

impl Lease {
    /// Shows other processes that the holder is alive.
    pub fn heartbeat(&self) {
        // The next heartbeat makes up for a failed one.
        let _ = File::options().write(true).open(&self.path).and_then(|file| atomic::touch(&file));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        remove(&self.path, &self.holder);
    }
}

/// Creates the lease if there is none. Returns whether it did.
fn claim(tmp: &Path, path: &Path, holder: &LeaseHolder) -> io::Result<bool> {
    let mut file = tmp::builder().tempfile_in(tmp)?;
    // Not synced: of a lease that a power failure has emptied, the holder is unknown, and it expires like one of another host.
    file.write_all(&serde_json::to_vec(holder)?)?;
    // Everybody who shares the store may read who holds it.
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    atomic::link(file.path(), path)
}

/// The holder of the lease at `path`, if there is one. If it cannot be read, the holder is unknown, and only heartbeats show that it is
/// alive.
fn read_holder(path: &Path) -> Option<LeaseHolder> {
    Some(serde_json::from_slice(&std::fs::read(path).ok()?).unwrap_or_default())
}

/// Removes the lease if it is still `holder`'s. It is moved aside first, and put back if it turns out to belong to a new holder, who was
/// quicker.
fn remove(path: &Path, holder: &LeaseHolder) {
    let aside = path.with_extension(format!("{}-{}", std::process::id(), holder.number));
    if atomic::rename(path, &aside).is_err() {
        return;
    }
    if read_holder(&aside).is_some_and(|found| found != *holder) {
        let _ = atomic::link(&aside, path);
    }
    let _ = std::fs::remove_file(&aside);
}

impl LeaseHolder {
    pub(super) fn this_process(number: u64) -> Self {
        // Asked once: a run takes thousands of leases.
        static THIS: OnceLock<LeaseHolder> = OnceLock::new();
        let process = std::process::id();
        let this = THIS.get_or_init(|| Self {
            host: host(),
            namespace: namespace(),
            process,
            began: began(process).unwrap_or(0),
            number: 0,
        });
        Self { number, ..this.clone() }
    }

    /// Whether the holder is alive: by its process on the same host, by its last heartbeat elsewhere.
    pub(super) fn is_alive(&self, tmp: &Path, path: &Path) -> bool {
        if self.host == host() && self.namespace == namespace() {
            return is_alive(self.process, self.began);
        }
        // Both times are from the clock of the file server, because the clocks of hosts differ.
        let age = || -> io::Result<Duration> {
            let now = tempfile::tempfile_in(tmp)?.metadata()?.modified()?;
            Ok(now.duration_since(std::fs::metadata(path)?.modified()?).unwrap_or_default())
        };
        age().map_or(true, |age| age < LEASE_EXPIRY)
    }
}

impl std::fmt::Display for LeaseHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.as_str() {
            "" => f.write_str("another process"),
            host => write!(f, "process {} on {host}", self.process),
        }
    }
}
