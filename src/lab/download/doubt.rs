//! Downloads that a stage could not read. Without a pin nobody knows whether they are what was asked for: they are fetched again by the
//! next run, and not pinned, until a stage has read them.

use std::path::PathBuf;

use super::{SourceContent, Supplier};
use crate::source::Source;

/// The file, in the folder of a download, with the digest of what could not be read.
const MARK: &str = ".unread";

impl Supplier<'_> {
    /// A stage could not read this content of a source. Returns whether the next run fetches it again: it does if it was downloaded and
    /// has no pin.
    pub fn doubt(&self, source: &Source, content: &SourceContent) -> bool {
        let is_ours = content.place.as_ref().is_some_and(|place| place.starts_with(self.folder(source)));
        is_ours && source.pin().is_none() && std::fs::write(self.mark(source), &content.identity).is_ok()
    }

    /// A stage has read this content of a source.
    pub fn trust(&self, source: &Source, content: &SourceContent) {
        if self.is_doubted(source, content) {
            // If it stays, the file is asked for once more.
            let _ = std::fs::remove_file(self.mark(source));
        }
    }

    /// Whether this is the content that a stage could not read.
    pub(super) fn is_doubted(&self, source: &Source, content: &SourceContent) -> bool {
        std::fs::read_to_string(self.mark(source)).is_ok_and(|identity| identity == content.identity)
    }

    /// Whether a stage could not read the download.
    pub(super) fn has_doubt(&self, source: &Source) -> bool {
        self.mark(source).is_file()
    }

    /// Removes the mark if it is of another content, which was there before.
    pub(super) fn forget_older_doubt(&self, source: &Source, content: &SourceContent) {
        if self.has_doubt(source) && !self.is_doubted(source, content) {
            let _ = std::fs::remove_file(self.mark(source));
        }
    }

    fn mark(&self, source: &Source) -> PathBuf {
        self.folder(source).join(MARK)
    }
}
