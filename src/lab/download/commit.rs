//! The commit of a repository that all files of a source are of.
//!
//! A branch may move between two files of a source, and before it is pinned. So its commit is asked for once, kept beside the files before
//! the first of them is fetched, and named in the addresses of all.

use std::path::PathBuf;

use super::error::DownloadError;
use super::file::{Downloader, Progress};
use super::{Supplier, part};
use crate::source::{Source, SourcePlace};

/// The file, in the folder of a download, with the commit that its files are of.
const COMMIT: &str = ".commit";

impl Supplier<'_> {
    /// The commit that the files of a source are of, as far as it is known.
    pub fn commit(&self, source: &Source) -> Option<String> {
        let SourcePlace::Hub { revision, .. } = source.place() else {
            return None;
        };
        match self.hub.cached(source) {
            // Its own cache has a folder for each commit.
            Some(snapshot) => Some(snapshot.file_name()?.to_str()?.to_owned()),
            None if is_whole_commit(revision) => Some(revision.to_owned()),
            None => self.kept_commit(source),
        }
    }

    /// The source, with a commit as its revision where it can move: the one that an interrupted download began with, or else that it is
    /// now. `is_anew` if all files are fetched.
    pub(super) fn fixed(
        &self,
        source: &Source,
        is_anew: bool,
        downloader: &Downloader,
        progress: &mut Progress<'_>,
    ) -> Result<Source, DownloadError> {
        let of = |commit: String| Source {
            revision: Some(commit),
            ..source.clone()
        };
        let SourcePlace::Hub { revision, .. } = source.place() else {
            return Ok(source.clone());
        };
        // A single file that is pinned is what it should be, or is refused.
        let is_certain = source.pin().is_some() && source.files.len() == 1;
        if is_whole_commit(revision) || is_certain {
            return Ok(source.clone());
        }
        if let Some(commit) = self.kept_commit(source).filter(|_| !is_anew) {
            return Ok(of(commit));
        }
        let (folder, mark) = (self.folder(source), self.mark_of_commit(source));
        let Some(commit) = self.current_commit(source, downloader, progress)? else {
            self.forget_commit(source);
            return Ok(source.clone());
        };
        std::fs::create_dir_all(&folder).map_err(part::cannot_write(&folder))?;
        if !is_anew {
            // Nobody knows of which commit they are.
            for file in &source.files {
                let _ = std::fs::remove_file(folder.join(file));
            }
        }
        std::fs::write(&mark, &commit).map_err(part::cannot_write(&mark))?;
        Ok(of(commit))
    }

    /// The commit of the source's revision; `None` from servers that do not tell it.
    fn current_commit(
        &self,
        source: &Source,
        downloader: &Downloader,
        progress: &mut Progress<'_>,
    ) -> Result<Option<String>, DownloadError> {
        let Some(address) = self.hub.revision_address(source) else {
            return Ok(None);
        };
        let about = match downloader.get_text(&address, self.token(source), progress) {
            Ok(about) => about,
            Err(error @ (DownloadError::Stopped | DownloadError::Interrupted { .. })) => return Err(error),
            // The same is said of the file, or it is there nevertheless.
            Err(_) => return Ok(None),
        };
        let about: serde_json::Value = serde_json::from_str(&about).unwrap_or_default();
        let commit = about.get("sha").and_then(serde_json::Value::as_str);
        Ok(commit.filter(|commit| is_commit(commit)).map(str::to_owned))
    }

    /// The next download asks for the commit again.
    pub(super) fn forget_commit(&self, source: &Source) {
        let _ = std::fs::remove_file(self.mark_of_commit(source));
    }

    fn kept_commit(&self, source: &Source) -> Option<String> {
        let commit = std::fs::read_to_string(self.mark_of_commit(source)).ok()?;
        is_commit(&commit).then_some(commit)
    }

    fn mark_of_commit(&self, source: &Source) -> PathBuf {
        self.folder(source).join(COMMIT)
    }
}

fn is_commit(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// Whether a revision is a commit, and no branch or tag.
fn is_whole_commit(revision: &str) -> bool {
    revision.len() == 40 && is_commit(revision)
}
