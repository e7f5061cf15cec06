//! The program that workers run: the build that this process was started as, even if another file has its name by now.

use std::io;
use std::path::{Path, PathBuf};

/// The file that this process runs, on Linux. It opens and starts the same build when the file has been replaced or removed.
const RUNNING: &str = "/proc/self/exe";

/// The path of this program, to start workers with and to digest for records.
///
/// # Errors
/// When the system cannot tell.
pub(super) fn running() -> io::Result<PathBuf> {
    let running = Path::new(RUNNING);
    if cfg!(target_os = "linux") && std::fs::metadata(running).is_ok() {
        return Ok(running.to_owned());
    }
    std::env::current_exe()
}
