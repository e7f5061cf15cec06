//! The artifacts that runs in progress need: gc leaves them alone, however old they are.
//!
//! A run that has stages to compute lists the digests of all artifacts that it has found and made in `uses/<run>`: the first line names
//! its process, as in a lease, and each further line is a digest. The file's time is its heartbeat.

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::lease::LeaseHolder;
use super::{Store, StoreError, atomic, tmp};
use crate::hash::Digest;

/// Protects the artifacts that a run needs from gc, until it is dropped.
#[derive(Debug)]
pub struct RunRoots {
    path: PathBuf,
    file: File,
    listed: BTreeSet<Digest>,
}

impl Store {
    /// Protects these artifacts from gc for the run `run`.
    ///
    /// # Errors
    /// If the list cannot be written.
    pub fn protect_for_run(&self, run: &str, digests: &[Digest]) -> Result<RunRoots, StoreError> {
        let path = self.root.join("uses").join(run);
        let write = StoreError::io("write", &path);
        let holder = serde_json::to_string(&LeaseHolder::this_process(0)).unwrap_or_default();
        // Complete when it appears: a reader must not conclude that the run needs nothing.
        let mut listed = BTreeSet::new();
        let lines = lines(digests, &mut listed);
        let whole = || -> io::Result<File> {
            let mut file = tmp::builder().tempfile_in(self.root.join("tmp"))?;
            file.write_all(format!("{holder}\n{lines}").as_bytes())?;
            // Other users of the group may run gc, which reads it.
            file.as_file().set_permissions(Permissions::from_mode(0o644))?;
            let (file, from) = file.into_parts();
            atomic::rename(&from, &path)?;
            Ok(file)
        };
        let file = whole().map_err(write)?;
        Ok(RunRoots { path, file, listed })
    }

    /// The artifacts that living runs need. Removes the lists of dead runs.
    pub(super) fn run_roots(&self) -> HashSet<Digest> {
        let entries = std::fs::read_dir(self.root.join("uses"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        let mut roots = HashSet::new();
        for path in entries.map(|entry| entry.path()) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let mut lines = text.lines();
            let holder: Option<LeaseHolder> = lines.next().and_then(|line| serde_json::from_str(line).ok());
            if holder.is_some_and(|holder| !holder.is_alive(&self.root.join("tmp"), &path)) {
                // Another process may have removed it already.
                let _ = std::fs::remove_file(&path);
            } else {
                roots.extend(lines.filter_map(|line| line.parse::<Digest>().ok()));
            }
        }
        roots
    }
}

impl RunRoots {
    /// Protects these artifacts, too.
    pub fn add(&mut self, digests: &[Digest]) {
        // At worst, an artifact that is not listed is removed, which is a miss.
        let _ = self.file.write_all(lines(digests, &mut self.listed).as_bytes());
    }

    /// Shows other processes that the run is alive.
    pub fn heartbeat(&self) {
        // The next heartbeat makes up for a failed one.
        let _ = atomic::touch(&self.file);
    }
}

impl Drop for RunRoots {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A line for each digest that is not listed yet.
fn lines(digests: &[Digest], listed: &mut BTreeSet<Digest>) -> String {
    digests
        .iter()
        .filter(|digest| listed.insert(**digest))
        .map(|digest| format!("{digest}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_of_a_run_last_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let [one, other] = [Digest::of(b"1"), Digest::of(b"2")];
        let mut run = store.protect_for_run("run", &[one]).unwrap();
        run.add(&[one, other]);
        run.heartbeat();
        assert_eq!(store.run_roots(), HashSet::from([one, other]));
        drop(run);
        assert_eq!(store.run_roots(), HashSet::new());
    }

    #[test]
    fn the_roots_of_a_killed_run_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let run = store.protect_for_run("run", &[Digest::of(b"1")]).unwrap();
        let text = std::fs::read_to_string(&run.path).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let dead = text.replace(
            &format!("\"process\":{}", std::process::id()),
            &format!("\"process\":{}", child.id()),
        );
        std::fs::write(&run.path, dead).unwrap();
        assert_eq!(store.run_roots(), HashSet::new());
        assert!(!run.path.exists());
    }
}
