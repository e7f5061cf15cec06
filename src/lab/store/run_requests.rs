//! What others ask of a run: a file for each request in `runs/<run>/requests/`, and one for its answer beside it.
//!
//! The run looks there now and then. It works wherever the store is: on another host, in another container.

use std::path::{Path, PathBuf};

use super::{Store, StoreError, atomic, tmp};

/// The folder of the requests in the folder of a run. Only who asks makes it.
const REQUESTS: &str = "requests";

/// The ending of a request.
const ASKED: &str = "json";

/// The ending of its answer.
const ANSWERED: &str = "answer";

/// A request as the one sees it who sent it. Dropped, it is taken back.
#[derive(Debug)]
pub struct SentRequest {
    path: PathBuf,
}

/// A request as the run sees it.
#[derive(Debug)]
pub struct ReceivedRequest {
    pub bytes: Vec<u8>,
    tmp: PathBuf,
    path: PathBuf,
}

impl Store {
    /// Sends a request to the run `run`.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn send_request(&self, run: &str, bytes: &[u8]) -> Result<SentRequest, StoreError> {
        let folder = self.run_path(run).join(REQUESTS);
        atomic::make_folder(&folder).map_err(StoreError::io("create", &folder))?;
        let write = StoreError::io("write a request into", &folder);
        // Its name in `tmp` is that of no other.
        let name = tmp::builder().tempfile_in(self.root.join("tmp")).map(|file| file.path().to_owned());
        let sent = name.and_then(|name| {
            let mut file = name.file_name().unwrap_or_default().to_owned();
            file.push(format!(".{ASKED}"));
            let path = folder.join(file);
            atomic::write_unsynced(&self.root.join("tmp"), &path, bytes)?;
            Ok(SentRequest { path })
        });
        sent.map_err(write)
    }

    /// The requests to the run `run` that it has not answered.
    pub fn requests(&self, run: &str) -> Vec<ReceivedRequest> {
        let entries = std::fs::read_dir(self.run_path(run).join(REQUESTS)).into_iter().flatten();
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut asked: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|end| end == ASKED)).collect();
        asked.sort();
        let received = asked.into_iter().filter_map(|path| {
            let (bytes, tmp) = (std::fs::read(&path).ok()?, self.root.join("tmp"));
            Some(ReceivedRequest { bytes, tmp, path })
        });
        received.collect()
    }
}

impl SentRequest {
    /// The answer, when there is one.
    pub fn answer(&self) -> Option<Vec<u8>> {
        std::fs::read(answer(&self.path)).ok()
    }
}

impl Drop for SentRequest {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(answer(&self.path));
    }
}

impl ReceivedRequest {
    /// Answers the request, which is then no more.
    pub fn answer(self, bytes: &[u8]) {
        // Whoever asked is told by the time that passes.
        let _ = atomic::write_unsynced(&self.tmp, &answer(&self.path), bytes);
        let _ = std::fs::remove_file(&self.path);
    }
}

fn answer(path: &Path) -> PathBuf {
    path.with_extension(ANSWERED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_answered_once_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.run_folder("a").unwrap();
        assert!(store.requests("a").is_empty());
        let [one, other] = [b"one".as_slice(), b"other"].map(|bytes| store.send_request("a", bytes).unwrap());
        assert_eq!((store.requests("a").len(), one.answer()), (2, None));
        for request in store.requests("a") {
            let text = request.bytes.clone();
            request.answer(&text);
        }
        assert!(store.requests("a").is_empty());
        assert_eq!(
            (one.answer().unwrap(), other.answer().unwrap()),
            (b"one".to_vec(), b"other".to_vec())
        );
        drop((one, other));
        assert_eq!(std::fs::read_dir(store.run_path("a").join(REQUESTS)).unwrap().count(), 0);
    }
}
