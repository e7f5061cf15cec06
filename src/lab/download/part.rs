//! A file that is being downloaded, beside the place where it appears when it is complete.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::DownloadError;

/// Bytes that are read at once.
const PIECE: usize = 1 << 16;
/// Pieces that may wait to be written.
const WAITING_PIECES: usize = 16;
/// The longest time between two looks at whether to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The parts of a download on the disk.
pub(super) struct PartialFile {
    /// `model.safetensors.part`: the bytes so far.
    part: PathBuf,
    /// `model.safetensors.etag`: of which file they are.
    tag: PathBuf,
    /// `model.safetensors.complete`: the ETag of the complete file, if it has one.
    complete: PathBuf,
}

/// What came of a body.
pub(super) enum Received {
    /// All of it; the file has so many bytes by now.
    ToTheEnd { have: u64 },
    /// A beginning of it.
    Cut { have: u64, cause: String },
}

impl PartialFile {
    /// Of the file that appears at `path`.
    pub(super) fn of(path: &Path) -> Self {
        Self {
            part: beside(path, "part"),
            tag: beside(path, "etag"),
            complete: beside(path, "complete"),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.part
    }

    /// Bytes so far.
    pub(super) fn length(&self) -> u64 {
        std::fs::metadata(&self.part).map_or(0, |about| about.len())
    }

    /// The bytes that a download can go on from, and the ETag of the file that they are of.
    pub(super) fn resumable(&self) -> Option<(u64, String)> {
        let etag = std::fs::read_to_string(&self.tag).ok()?;
        Some((self.length(), etag)).filter(|(have, _)| *have > 0)
    }

    /// The ETag of the complete file that is there.
    pub(super) fn complete_tag(&self) -> Option<String> {
        std::fs::read_to_string(&self.complete).ok()
    }

    /// A response with bytes of the file with this ETag has come.
    pub(super) fn begin(&self, etag: Option<&str>) -> Result<(), DownloadError> {
        match etag {
            Some(etag) => std::fs::write(&self.tag, etag).map_err(cannot_write(&self.tag)),
            None => {
                self.forget();
                Ok(())
            }
        }
    }

    /// The bytes so far are of another file: the next request is for the whole.
    pub(super) fn forget(&self) {
        let _ = std::fs::remove_file(&self.tag);
    }

    /// Removes the bytes so far.
    pub(super) fn remove(&self) {
        self.forget();
        let _ = std::fs::remove_file(&self.part);
    }

    /// Writes a body, from the byte `start` of the file on. `progress` gets the bytes so far, and returns whether to continue.
    pub(super) fn receive(
        &self,
        mut body: impl Read + Send + 'static,
        start: u64,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Received, DownloadError> {
        let mut file = self.open(start).map_err(cannot_write(&self.part))?;
        // Nobody waits for the thread when the download is to stop: a server may be silent for long.
        let (sender, pieces) = sync_channel(WAITING_PIECES);
        std::thread::spawn(move || {
            loop {
                let mut piece = vec![0; PIECE];
                let read = body.read(&mut piece).map(|read| {
                    piece.truncate(read);
                    piece
                });
                let is_over = read.as_ref().map_or(true, Vec::is_empty);
                if sender.send(read).is_err() || is_over {
                    return;
                }
            }
        });
        let mut have = start;
        loop {
            if !progress(have) {
                return Err(DownloadError::Stopped);
            }
            match pieces.recv_timeout(POLL_INTERVAL) {
                Ok(Ok(piece)) if piece.is_empty() => break,
                Ok(Ok(piece)) => {
                    file.write_all(&piece).map_err(cannot_write(&self.part))?;
                    have += piece.len() as u64;
                }
                Ok(Err(error)) => {
                    let cause = crate::http::clean(&crate::http::cause(&error));
                    return Ok(Received::Cut { have, cause });
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let cause = "the download ended without a reason".to_owned();
                    return Ok(Received::Cut { have, cause });
                }
            }
        }
        file.sync_all().map_err(cannot_write(&self.part))?;
        Ok(Received::ToTheEnd { have })
    }

    fn open(&self, start: u64) -> io::Result<File> {
        let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(&self.part)?;
        file.set_len(start)?;
        file.seek(SeekFrom::Start(start))?;
        Ok(file)
    }

    /// Moves the file, which is complete, to its place.
    pub(super) fn complete(&self, path: &Path) -> Result<(), DownloadError> {
        // Before the new file is there: its ETag must not stand beside the old one.
        let _ = std::fs::remove_file(&self.complete);
        std::fs::rename(&self.part, path).map_err(cannot_write(path))?;
        // Without it, a file that is doubted is fetched as a whole.
        let _ = std::fs::rename(&self.tag, &self.complete);
        Ok(())
    }
}

/// The error for a file that cannot be written.
pub(super) fn cannot_write(path: &Path) -> impl Fn(io::Error) -> DownloadError + '_ {
    |cause| DownloadError::Write {
        path: path.to_owned(),
        cause,
    }
}

/// `model.safetensors.part`
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}
