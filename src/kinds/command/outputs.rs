//! What a program has written.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Gives the user the rights to read a file or folder with all that is in it, as far as they lack: an artifact has no such modes. Links are
/// not followed, and a file that has other names keeps its mode.
pub(super) fn open_to_user(path: &Path) -> io::Result<()> {
    let about = fs::symlink_metadata(path)?;
    let (mode, needed) = (about.mode() & 0o7777, if about.is_dir() { 0o700 } else { 0o600 });
    let is_ours = about.is_dir() || about.is_file() && about.nlink() == 1;
    if is_ours && mode & needed != needed {
        fs::set_permissions(path, Permissions::from_mode(mode | needed))?;
    }
    if about.is_dir() {
        for entry in fs::read_dir(path)? {
            open_to_user(&entry?.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_may_not_read_is_opened_and_stays_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("out");
        let mode = |name: &str| fs::symlink_metadata(place.join(name)).unwrap().mode() & 0o7777;
        fs::create_dir_all(place.join("closed")).unwrap();
        let elsewhere = folder.path().join("elsewhere");
        for (path, mode) in [
            (place.join("closed/none"), 0o000),
            (place.join("program"), 0o555),
            (place.join("usual"), 0o644),
            (elsewhere.clone(), 0o400),
        ] {
            fs::write(&path, "text").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
        std::os::unix::fs::symlink(&elsewhere, place.join("link")).unwrap();
        fs::hard_link(&elsewhere, place.join("named")).unwrap();
        fs::set_permissions(place.join("closed"), Permissions::from_mode(0o000)).unwrap();
        open_to_user(&place).unwrap();
        assert_eq!((mode("closed"), mode("closed/none")), (0o700, 0o600));
        assert_eq!((mode("program"), mode("usual")), (0o755, 0o644));
        assert_eq!(mode("named"), 0o400, "and so the target of the link");
        assert!(open_to_user(&place.join("nothing")).is_err());
    }
}
