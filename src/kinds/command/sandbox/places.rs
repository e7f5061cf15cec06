//! Places on the disk that the rules for a program name: caches, installations, what is beside something guarded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Variables beside those with `CACHE` in their name that name a folder which programs fill with what they download.
const CACHE_VARIABLES: [&str; 6] = ["HF_HOME", "TORCH_HOME", "KERAS_HOME", "TFDS_DATA_DIR", "NLTK_DATA", "MPLCONFIGDIR"];

/// A path without links and `..`, as far as it exists.
pub(super) fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if !parent.as_os_str().is_empty() => real(parent).join(name),
        _ => path.to_owned(),
    })
}

pub(super) fn is_below(path: &Path, folders: &[PathBuf]) -> bool {
    let path = real(path);
    folders.iter().any(|folder| path.starts_with(real(folder)))
}

/// The folders that the stage's variables name as caches: what programs download is no output, and they look for it again.
pub(super) fn caches(env: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let named = env.iter().filter_map(|(name, value)| match name.as_str() {
        "HOME" => Some(Path::new(value).join(".cache")),
        "TMPDIR" => Some(PathBuf::from(value)),
        name if name.contains("CACHE") || CACHE_VARIABLES.contains(&name) => Some(PathBuf::from(value)),
        _ => None,
    });
    named.filter(|path| path.is_absolute() && path.parent().is_some()).collect()
}

/// What of a folder may be shared: all of it, or, where something guarded is in it, what else it has now. Links are what they lead to.
pub(super) fn open_parts(folder: &Path, guarded: &[PathBuf], store: &Path) -> Vec<PathBuf> {
    let place = real(folder);
    if place.starts_with(store) || guarded.contains(&place) {
        return Vec::new();
    }
    if !guarded.iter().any(|path| path.starts_with(&place)) {
        return vec![folder.to_owned()];
    }
    let entries = fs::read_dir(&place).into_iter().flatten().filter_map(Result::ok);
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()));
    entries.flat_map(|entry| open_parts(&entry.path(), guarded, store)).collect()
}

/// Where the interpreters of a folder are installed that a shell or `env` may start: a virtual environment has links to those of another
/// place, and names it.
pub(super) fn interpreters(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let links = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("python") && entry.path().is_symlink());
    let mut found: Vec<PathBuf> = links.filter_map(|entry| installation(&real(&entry.path()))).collect();
    let about = folder.parent().and_then(|above| fs::read_to_string(above.join("pyvenv.cfg")).ok());
    let homes = about.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "home").then(|| Path::new(value.trim()))
    });
    found.extend(
        homes
            .filter(|home| home.is_absolute())
            .filter_map(|home| installation(&home.join("python"))),
    );
    found
}

/// The folder of the manager whose programs stand for those of several versions (pyenv, rbenv, asdf, mise), where `folder` has these.
pub(super) fn version_manager(folder: &Path) -> Option<PathBuf> {
    let above = folder.parent().filter(|_| folder.file_name().is_some_and(|name| name == "shims"))?;
    let has_versions = ["versions", "installs"].iter().any(|name| above.join(name).is_dir());
    has_versions.then(|| above.to_owned())
}

/// The folder in which a program is installed with its libraries: of `/a/.venv/bin/python`, `/a/.venv`.
pub(super) fn installation(program: &Path) -> Option<PathBuf> {
    let folder = program.parent()?;
    let above = folder.parent()?;
    let is_installation = ["lib", "lib64", "pyvenv.cfg", "conda-meta"]
        .iter()
        .any(|name| above.join(name).exists());
    let found = if is_installation { above } else { folder };
    (found.parent().is_some()).then(|| found.to_owned())
}

/// Makes the folders that the stage's variables name as caches: the program could not make them itself.
pub(in crate::command) fn make_caches(env: &BTreeMap<String, String>) {
    for folder in caches(env) {
        // One that cannot be made is the program's to complain about.
        let _ = fs::create_dir_all(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_named_by_variables() {
        let env = [
            ("HOME", "/home/ada"),
            ("HF_HOME", "/data/hub"),
            ("PIP_CACHE_DIR", "/data/pip"),
            ("XDG_CACHE_HOME", "relative"),
            ("SOME_CACHE", "/"),
            ("DATA", "/data/set"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let found: Vec<String> = caches(&env.into()).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(found, ["/data/hub", "/home/ada/.cache", "/data/pip"]);
    }

    #[test]
    fn a_program_is_installed_with_its_libraries() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        for made in ["venv/bin", "venv/lib", "bin"] {
            fs::create_dir_all(place.join(made)).unwrap();
        }
        assert_eq!(installation(&place.join("venv/bin/python")), Some(place.join("venv")));
        assert_eq!(installation(&place.join("bin/tool")), Some(place.join("bin")));
        assert_eq!(installation(Path::new("/tool")), None);
    }

    #[test]
    fn programs_of_a_version_manager_need_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        for made in ["pyenv/shims", "pyenv/versions", "home/shims"] {
            fs::create_dir_all(place.join(made)).unwrap();
        }
        assert_eq!(version_manager(&place.join("pyenv/shims")), Some(place.join("pyenv")));
        assert_eq!(version_manager(&place.join("pyenv/versions")), None);
        assert_eq!(version_manager(&place.join("home/shims")), None, "a folder of that name alone");
    }

    #[test]
    fn what_is_beside_something_guarded_is_shared_and_the_store_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let place = real(folder.path());
        for made in ["shm/store/v1", "shm/other", "pts", "experiment/hub"] {
            fs::create_dir_all(place.join(made)).unwrap();
        }
        fs::write(place.join("null"), "").unwrap();
        std::os::unix::fs::symlink(place.join("shm"), place.join("link")).unwrap();
        let guarded = [
            place.join("shm/store/v1/objects/ab"),
            place.join("shm/store/v1"),
            place.join("experiment"),
        ];
        let parts = |folder: &str| {
            let parts = open_parts(&place.join(folder), &guarded, &place.join("shm/store/v1"));
            let mut parts: Vec<String> = parts
                .iter()
                .map(|part| part.strip_prefix(&place).unwrap().display().to_string())
                .collect();
            parts.sort();
            parts.join(" ")
        };
        assert_eq!(parts(""), "null pts shm/other");
        assert_eq!(parts("link"), "shm/other");
        assert_eq!(parts("shm/store/v1/hub"), "", "in the store");
        assert_eq!(parts("experiment"), "");
        assert_eq!(parts("experiment/hub"), "experiment/hub");
        assert_eq!(parts("pts"), "pts");
    }

    #[test]
    fn the_interpreter_of_a_virtual_environment_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let place = real(folder.path());
        for made in ["venv/bin", "python/bin", "python/lib", "home/bin", "home/lib"] {
            fs::create_dir_all(place.join(made)).unwrap();
        }
        fs::write(place.join("python/bin/python3"), "").unwrap();
        std::os::unix::fs::symlink(place.join("python/bin/python3"), place.join("venv/bin/python")).unwrap();
        assert_eq!(interpreters(&place.join("venv/bin")), [place.join("python")]);
        let config = format!("home = {}\nversion = 3.12\n", place.join("home/bin").display());
        fs::write(place.join("venv/pyvenv.cfg"), config).unwrap();
        assert_eq!(interpreters(&place.join("venv/bin")), [place.join("python"), place.join("home")]);
        assert!(interpreters(&place.join("nowhere")).is_empty());
    }
}
