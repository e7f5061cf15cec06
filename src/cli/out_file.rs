//! Files that the user names for results: written whole or not at all where they are files, and into what is there where it is a device
//! or a pipe. Links are followed.

use std::fs::{File, Permissions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// More links than this, each leading to the next, lead nowhere.
const MAX_LINKS: usize = 40;

/// What the user named for a result, opened for writing.
#[derive(Debug)]
pub(super) enum OutFile {
    /// A file, which appears when it is finished.
    New { file: NamedTempFile, place: PathBuf },
    /// What is there already and is no file, or standard output.
    Open(File),
}

impl OutFile {
    /// `-` is standard output.
    ///
    /// # Errors
    /// When it cannot be written to, or standard output is a terminal.
    pub fn create(path: &Path) -> io::Result<Self> {
        if is_stdout(path) {
            let out = io::stdout();
            if out.is_terminal() {
                return Err(io::Error::other("it is a terminal"));
            }
            return Ok(Self::Open(out.as_fd().try_clone_to_owned()?.into()));
        }
        let mode = match std::fs::metadata(path) {
            Ok(about) if !about.is_file() => return Ok(Self::Open(File::options().write(true).open(path)?)),
            Ok(about) => Some(about.permissions().mode() & 0o777),
            Err(_) => None,
        };
        let place = where_links_lead(path)?;
        let folder = place.parent().filter(|folder| !folder.as_os_str().is_empty());
        // The mask of the process takes its part of these.
        let all = Permissions::from_mode(0o666);
        let file = tempfile::Builder::new()
            .permissions(all)
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        if let Some(mode) = mode {
            file.as_file().set_permissions(Permissions::from_mode(mode))?;
        }
        Ok(Self::New { file, place })
    }

    /// Ends the writing: a file appears under its name, in place of an older one.
    ///
    /// # Errors
    /// When it cannot be moved there.
    pub fn finish(self) -> io::Result<()> {
        match self {
            Self::New { file, place } => file.persist(place).map(drop).map_err(|failure| failure.error),
            Self::Open(_) => Ok(()),
        }
    }

    fn file(&mut self) -> &mut File {
        match self {
            Self::New { file, .. } => file.as_file_mut(),
            Self::Open(file) => file,
        }
    }
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file().flush()
    }
}

/// Whether a path that the user named is standard output, where nothing else may be printed then.
pub(super) fn is_stdout(path: &Path) -> bool {
    ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
        .iter()
        .any(|name| path == *name)
}

/// The file that a path names in the end, which need not be there.
fn where_links_lead(path: &Path) -> io::Result<PathBuf> {
    let mut place = path.to_owned();
    for _ in 0..MAX_LINKS {
        let Ok(next) = std::fs::read_link(&place) else { return Ok(place) };
        place = place.parent().unwrap_or(Path::new("")).join(next);
    }
    Err(io::Error::other("it is a link that leads back to itself"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn write(path: &Path, text: &str) {
        let mut out = OutFile::create(path).unwrap();
        out.write_all(text.as_bytes()).unwrap();
        out.finish().unwrap();
    }

    #[test]
    fn a_file_is_replaced_where_the_links_lead_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("deep")).unwrap();
        std::fs::write(path("deep/old"), "old").unwrap();
        std::fs::set_permissions(path("deep/old"), Permissions::from_mode(0o640)).unwrap();
        symlink("deep/old", path("link")).unwrap();
        symlink("deep/new", path("to nothing")).unwrap();
        symlink("circle", path("circle")).unwrap();
        // As `open` makes one, with the mask of this process.
        std::fs::write(path("made"), "").unwrap();
        let mode = |name: &str| std::fs::metadata(path(name)).unwrap().mode() & 0o777;
        write(&path("link"), "one");
        write(&path("to nothing"), "two");
        assert_eq!(std::fs::read_to_string(path("deep/old")).unwrap(), "one");
        assert_eq!(std::fs::read_to_string(path("deep/new")).unwrap(), "two");
        assert!(path("link").is_symlink() && path("to nothing").is_symlink());
        assert_eq!((mode("deep/old"), mode("deep/new")), (0o640, mode("made")));
        assert!(OutFile::create(&path("circle")).is_err() && OutFile::create(&path("deep")).is_err());
        // What is not finished changes nothing.
        OutFile::create(&path("link")).unwrap().write_all(b"half").unwrap();
        assert_eq!(std::fs::read_to_string(path("link")).unwrap(), "one");
        assert_eq!(std::fs::read_dir(path("deep")).unwrap().count(), 2);
    }

    #[test]
    fn a_device_and_a_pipe_are_written_into() {
        use std::os::unix::fs::FileTypeExt;

        write(Path::new("/dev/null"), "gone");
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || {
                let mut text = String::new();
                File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
                text
            })
        };
        write(&pipe, "through");
        assert_eq!(reader.join().unwrap(), "through");
        assert!(std::fs::metadata(&pipe).unwrap().file_type().is_fifo());
    }
}
