//! Paths must be UTF-8: messages between processes, records and events are JSON. What is not is refused before anything is done, since a
//! name that is written in another way names another file.

use std::ffi::OsStr;
use std::path::Path;

use super::CliError;

/// The variables that hold paths, beside our own (`RUNNER_…`).
const PATHS: [&str; 7] = [
    "HOME",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_TOKEN_PATH",
    "TMPDIR",
];

/// Checks the arguments, the working folder, and the variables of the environment that decide what is read and written.
///
/// # Errors
/// When one is no UTF-8.
pub(super) fn check() -> Result<(), CliError> {
    for argument in std::env::args_os().skip(1) {
        check_text("the argument", &argument)?;
    }
    // A working folder that is gone is noticed where it is needed.
    if let Ok(folder) = std::env::current_dir() {
        check_text("the working folder", folder.as_os_str())?;
    }
    #[expect(clippy::disallowed_methods, reason = "the CLI reads the environment")]
    let variables = std::env::vars_os();
    for (name, value) in variables {
        let lossy = name.to_string_lossy();
        if PATHS.contains(&lossy.as_ref()) || lossy.starts_with("RUNNER_") {
            check_text(&format!("the environment variable `{lossy}`"), &value)?;
        }
    }
    Ok(())
}

/// Checks where a path leads, as far as it exists: links may lead to other names.
///
/// # Errors
/// When that place is no UTF-8, or has a control character in it, which messages and lists of paths cannot hold.
pub(super) fn check_place(what: &str, path: &Path) -> Result<(), CliError> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let real = whole.ancestors().find_map(|above| above.canonicalize().ok());
    for path in real.iter().chain([&whole]) {
        check_text(what, path.as_os_str())?;
        let shown = path.to_string_lossy();
        if shown.chars().any(char::is_control) {
            let advice = "rename the folder, or choose another store (`--store`)";
            let shown = shown.escape_debug();
            return Err(CliError::Usage(format!(
                "{what} has a control character in its path: `{shown}`; {advice}"
            )));
        }
    }
    Ok(())
}

fn check_text(what: &str, text: &OsStr) -> Result<(), CliError> {
    if text.to_str().is_some() {
        return Ok(());
    }
    let shown = text.to_string_lossy();
    let advice = "paths and names must be UTF-8; rename it, or use another one";
    Err(CliError::Usage(format!("{what} is not UTF-8: `{shown}`; {advice}")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn what_is_no_utf_8_is_named() {
        let folder = tempfile::tempdir().unwrap();
        assert!(check_place("the store", &folder.path().join("a/b")).is_ok());
        let bad = folder.path().join(OsStr::from_bytes(b"b\xffd"));
        std::fs::create_dir(&bad).unwrap();
        std::os::unix::fs::symlink(&bad, folder.path().join("link")).unwrap();
        let refused = check_place("the store", &folder.path().join("link/not/yet")).unwrap_err();
        let text = refused.render(false);
        assert!(
            text.starts_with("error: the store is not UTF-8: `/") && text.contains("b\u{fffd}d`; paths"),
            "{text}"
        );
        assert_eq!(refused.exit(), crate::cli::Exit::Usage);
    }

    #[test]
    fn a_place_with_control_characters_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let lines = folder.path().join("nl\nx");
        std::fs::create_dir(&lines).unwrap();
        std::os::unix::fs::symlink(&lines, folder.path().join("link")).unwrap();
        for (place, shown) in [("s\r", "/s\\r`"), ("link/cache", "/nl\\nx`"), ("nl\nx/cache", "/nl\\nx`")] {
            let refused = check_place("the store", &folder.path().join(place)).unwrap_err();
            let text = refused.render(false);
            assert!(
                text.starts_with("error: the store has a control character") && text.contains(shown),
                "{text}"
            );
            assert_eq!(refused.exit(), crate::cli::Exit::Usage);
        }
    }
}
