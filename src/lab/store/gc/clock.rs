//! Ages by the clock of the file server, because the clocks of hosts differ.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::store::{Store, StoreError};

impl Store {
    /// The current time. In a store that may only be read, where nothing can be removed either, it is that of this machine.
    pub(in crate::store) fn now(&self) -> Result<SystemTime, StoreError> {
        let tmp = self.root.join("tmp");
        let time = || tempfile::tempfile_in(&tmp)?.metadata()?.modified();
        let read_only = [
            io::ErrorKind::PermissionDenied,
            io::ErrorKind::ReadOnlyFilesystem,
            io::ErrorKind::NotFound,
        ];
        match time() {
            Err(error) if read_only.contains(&error.kind()) => Ok(SystemTime::now()),
            time => time.map_err(StoreError::io("write", &tmp)),
        }
    }

    /// The time since `path` was modified; the longest time if it does not exist.
    pub(super) fn age(&self, path: &Path) -> Result<Duration, StoreError> {
        match std::fs::metadata(path).and_then(|about| about.modified()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Duration::MAX),
            modified => {
                let modified = modified.map_err(StoreError::io("read", path))?;
                Ok(self.now()?.duration_since(modified).unwrap_or_default())
            }
        }
    }
}
