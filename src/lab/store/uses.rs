//! What running runs need: housekeeping leaves it alone, however old it is.
//!
//! A run that has something to compute writes down the digests of all that it found and made, in `uses/<run>`: a line that says who
//! it is, as in a lease, then a digest a line. The file's time is its heartbeat.

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::lease::Holder;
use super::{Store, StoreError, atomic, work};
use crate::hash::Digest;

/// Keeps what a run needs until it is dropped.
#[derive(Debug)]
pub struct Use {
    path: PathBuf,
    file: File,
    said: BTreeSet<Digest>,
}

impl Store {
    /// Says that the run `run` needs these artifacts.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn begin_use(&self, run: &str, digests: &[Digest]) -> Result<Use, StoreError> {
        let path = self.root.join("uses").join(run);
        let write = StoreError::io("write", &path);
        let holder = serde_json::to_string(&Holder::this_process(0)).unwrap_or_default();
        // Whole from the start: who reads it must not think that nothing is needed.
        let mut said = BTreeSet::new();
        let lines = lines(digests, &mut said);
        let whole = || -> io::Result<File> {
            let mut file = work::builder().tempfile_in(self.root.join("tmp"))?;
            file.write_all(format!("{holder}\n{lines}").as_bytes())?;
            // Housekeeping by others of the group reads it.
            file.as_file().set_permissions(Permissions::from_mode(0o644))?;
            let (file, from) = file.into_parts();
            atomic::rename(&from, &path)?;
            Ok(file)
        };
        let file = whole().map_err(write)?;
        Ok(Use { path, file, said })
    }

    /// All that runs need which are alive; what dead ones left behind is removed.
    pub(super) fn used(&self) -> HashSet<Digest> {
        let entries = std::fs::read_dir(self.root.join("uses"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok);
        let mut used = HashSet::new();
        for path in entries.map(|entry| entry.path()) {
            let Ok(text) = std::fs::read_to_string(&path) else { continue };
            let mut lines = text.lines();
            let holder: Option<Holder> = lines.next().and_then(|line| serde_json::from_str(line).ok());
            if holder.is_some_and(|holder| !holder.is_alive(&self.root.join("tmp"), &path)) {
                // Its run is gone; another process may have removed it already.
                let _ = std::fs::remove_file(&path);
            } else {
                used.extend(lines.filter_map(|line| line.parse::<Digest>().ok()));
            }
        }
        used
    }
}

impl Use {
    /// Needs these, too.
    pub fn add(&mut self, digests: &[Digest]) {
        // One that cannot be written is at worst removed, which is a miss.
        let _ = self.file.write_all(lines(digests, &mut self.said).as_bytes());
    }

    /// Tells the others that the run is alive.
    pub fn beat(&self) {
        // A missed beat is made up by the next one.
        let _ = atomic::touch(&self.file);
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A line for each digest that was not said before.
fn lines(digests: &[Digest], said: &mut BTreeSet<Digest>) -> String {
    digests
        .iter()
        .filter(|digest| said.insert(**digest))
        .map(|digest| format!("{digest}\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_live_run_needs_is_known_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let [one, other] = [Digest::of(b"1"), Digest::of(b"2")];
        let mut run = store.begin_use("run", &[one]).unwrap();
        run.add(&[one, other]);
        run.beat();
        assert_eq!(store.used(), HashSet::from([one, other]));
        drop(run);
        assert_eq!(store.used(), HashSet::new());
    }

    #[test]
    fn what_a_killed_run_needed_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let run = store.begin_use("run", &[Digest::of(b"1")]).unwrap();
        let text = std::fs::read_to_string(&run.path).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let dead = text.replace(
            &format!("\"process\":{}", std::process::id()),
            &format!("\"process\":{}", child.id()),
        );
        std::fs::write(&run.path, dead).unwrap();
        assert_eq!(store.used(), HashSet::new());
        assert!(!run.path.exists());
    }
}
