//! What is never taken from a folder, unless it is named: what the runner itself writes or reads there, and what others make from the
//! project's files or keep beside them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use crate::config;

/// Histories of versions, caches, packages, and environments of Python.
const FOLDERS: [&str; 10] = [
    ".git",
    ".hg",
    ".svn",
    ".jj",
    "__pycache__",
    ".ipynb_checkpoints",
    ".venv",
    "venv",
    "conda-meta",
    "node_modules",
];

/// A link to the history of versions, secrets, notes of a file manager, settings.
const FILES: [&str; 4] = [".git", ".env", ".DS_Store", "runner.toml"];

/// What environments of Python and conda have in their folder.
const OF_ENVIRONMENTS: [&str; 2] = ["pyvenv.cfg", "conda-meta"];

/// What a store has in the folder of its version.
const OF_STORES: [&str; 3] = ["objects", "records", "leases"];

/// How names of files begin that TensorBoard reads.
const TENSORBOARD: &str = "events.out.tfevents.";

/// How a bundle begins: the name of its first file.
const BUNDLE: &[u8] = b"bundle.json\0";

/// What a page of `runner report` has in its first lines.
pub const PAGE_MARK: &str = "<meta name=\"generator\" content=\"runner report\">";

/// How a figure of `runner report` begins.
pub const FIGURE_MARK: &str = "<!-- runner report -->";

/// How much of a file is read to find a mark.
const HEAD_BYTES: u64 = 1 << 10;

/// A larger file is no experiment.
const EXPERIMENT_BYTES: u64 = 1 << 20;

/// Whether the folder at `path` is left out.
pub(super) fn folder(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    let has = |part: &str| path.join(part).symlink_metadata().is_ok();
    FOLDERS.iter().any(|left_out| name == *left_out)
        || OF_ENVIRONMENTS.iter().any(|part| has(part))
        || OF_STORES.iter().all(|part| has(part))
}

/// Whether the file at `path` is left out.
pub(super) fn file(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    if FILES.iter().any(|left_out| name == *left_out) || name.as_encoded_bytes().starts_with(TENSORBOARD.as_bytes()) {
        return true;
    }
    let begins = |mark: &str| head(path).windows(mark.len()).any(|part| part == mark.as_bytes());
    match path.extension().and_then(OsStr::to_str) {
        Some("pyc") => true,
        Some("toml") => is_experiment(path),
        Some("html") => begins(PAGE_MARK),
        Some("svg") => begins(FIGURE_MARK),
        // Each is written beside the same as SVG.
        Some("png") => head(&path.with_extension("svg")).starts_with(FIGURE_MARK.as_bytes()),
        Some("tar") => head(path).starts_with(BUNDLE),
        _ => false,
    }
}

/// Whether a file is an experiment: it has stages, or extends a file that may have some, and no keys that experiments have not.
fn is_experiment(path: &Path) -> bool {
    let is_small = fs::metadata(path).is_ok_and(|about| about.is_file() && about.len() <= EXPERIMENT_BYTES);
    if !is_small {
        return false;
    }
    let text = fs::read_to_string(path).unwrap_or_default();
    // Most tables of others have a key of their own at once.
    let Ok(table) = text.parse::<toml::Table>() else { return false };
    let is_key = |key: &String| config::KEYS.contains(&key.as_str());
    table.keys().all(is_key) && (table.contains_key("stages") || table.contains_key("extends"))
}

/// The beginning of a file; empty where the file is missing or cannot be read.
fn head(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if fs::metadata(path).is_ok_and(|about| about.is_file())
        && let Ok(file) = File::open(path)
    {
        // What is read so far is all there is to tell by.
        let _ = file.take(HEAD_BYTES).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_name_or_by_how_they_begin() {
        let place = tempfile::tempdir().unwrap();
        let said = |name: &str, text: &str| {
            let path = place.path().join(name);
            fs::write(&path, text).unwrap();
            file(&path)
        };
        for (name, text) in [
            ("a.pyc", ""),
            (".env", "KEY=1"),
            ("runner.toml", "[settings]"),
            ("events.out.tfevents.1.host", ""),
            ("x.toml", "name = 'x'\n[stages.a]\nkind = 'mix'\n"),
            ("y.toml", "extends = 'x.toml'\n[params]\nn = 1\n"),
            ("page.html", &format!("<!doctype html>\n<head>\n{PAGE_MARK}")),
            ("curve.svg", &format!("{FIGURE_MARK}\n<svg>")),
            ("curve.png", ""),
            ("x.tar", "bundle.json\0\0"),
        ] {
            assert!(said(name, text), "{name}");
        }
        for (name, text) in [
            ("a.py", ""),
            ("pyproject.toml", "[project]\nname = 'x'\n"),
            ("conf.toml", "[params]\nlr = 1\n"),
            ("base.toml", "extends = 'conf.toml'\nlr = 1\n"),
            ("wrong.toml", "[stages"),
            ("page2.html", "<!doctype html>"),
            ("roc.svg", "<svg>"),
            ("roc.png", ""),
            ("other.tar", "a\0"),
        ] {
            assert!(!said(name, text), "{name}");
        }
    }

    #[test]
    fn folders_are_known_by_name_or_by_what_is_in_them() {
        let place = tempfile::tempdir().unwrap();
        let said = |name: &str, parts: &[&str]| {
            let path = place.path().join(name);
            fs::create_dir(&path).unwrap();
            parts.iter().for_each(|part| fs::create_dir(path.join(part)).unwrap());
            folder(&path)
        };
        assert!(said("__pycache__", &[]) && said("node_modules", &[]) && said(".jj", &[]));
        assert!(said("torch", &["pyvenv.cfg"]) && said("conda", &["bin", "conda-meta"]));
        assert!(said("v1", &["objects", "records", "leases", "tmp"]));
        assert!(!said("src", &["objects", "records"]));
    }
}
