//! What lock files say: the versions of packages.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::version::{is_same, normalized};

/// What a lock file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Lock {
    /// The versions of each package, by its normalised name: there are several where a version depends on the machine.
    pub(super) packages: BTreeMap<String, Vec<String>>,
    /// The packages that are installed from a folder, whose files no version tells apart.
    pub(super) folders: Vec<String>,
}

/// How a lock file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `[[package]]` with `name` and `version`: `uv.lock`, `poetry.lock`, `pdm.lock`; in `pylock.toml` it is `[[packages]]`.
    Tables,
    /// One requirement per line, for pip.
    Requirements,
}

/// The tables that a lock file in TOML has.
#[derive(Deserialize)]
struct Tables {
    #[serde(default, alias = "packages")]
    package: Vec<LockedPackage>,
}

#[derive(Deserialize)]
struct LockedPackage {
    name: String,
    version: Option<String>,
    #[serde(default)]
    source: Option<toml::Value>,
    #[serde(default)]
    directory: Option<toml::Value>,
}

impl LockedPackage {
    /// Whether it is a folder on this machine.
    fn is_folder(&self) -> bool {
        let has = |field: &str| self.source.as_ref().is_some_and(|source| source.get(field).is_some());
        let is_directory = |source: &toml::Value| source.get("type").and_then(toml::Value::as_str) == Some("directory");
        ["virtual", "editable", "directory"].iter().any(|field| has(field))
            || self.source.as_ref().is_some_and(is_directory)
            || self.directory.is_some()
    }
}

fn format(name: &str) -> Option<Format> {
    let is_table = ["uv.lock", "poetry.lock", "pdm.lock"].contains(&name) || (name.starts_with("pylock.") && name.ends_with(".toml"));
    if is_table {
        Some(Format::Tables)
    } else {
        name.ends_with(".txt").then_some(Format::Requirements)
    }
}

/// Whether the versions in a lock file of this name can be read.
pub(super) fn is_known(name: &str) -> bool {
    format(name).is_some()
}

/// Reads the versions in a lock file of this name; `None` for a format that is not known.
///
/// # Errors
/// When the file is not what its name says: a message.
pub(super) fn read(name: &str, text: &str) -> Result<Option<Lock>, String> {
    match format(name) {
        None => Ok(None),
        Some(Format::Requirements) => Ok(Some(requirements(text))),
        Some(Format::Tables) => tables(text).map(Some).map_err(|why| format!("`{name}` cannot be read: {why}")),
    }
}

fn tables(text: &str) -> Result<Lock, String> {
    let read: Tables = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let mut lock = Lock::default();
    for package in read.package {
        let name = normalized(&package.name);
        if package.is_folder() {
            lock.folders.push(name);
        } else if let Some(version) = package.version {
            lock.packages.entry(name).or_default().push(version);
        }
    }
    Ok(lock)
}

/// The lines of a file for pip, with those that go on in the next one joined, without comments.
fn lines(text: &str) -> Vec<String> {
    let joined = text.replace("\r\n", "\n").replace("\\\n", " ");
    let line = |line: &str| line.split(" #").next().unwrap_or_default().trim().to_owned();
    let lines = joined.lines().map(line);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

fn requirements(text: &str) -> Lock {
    let mut lock = Lock::default();
    for line in lines(text) {
        let requirement = line.split([';']).next().unwrap_or_default();
        let Some((name, version)) = requirement.split_once("==").filter(|_| !line.starts_with('-')) else {
            continue;
        };
        let name = name.split('[').next().unwrap_or_default().trim();
        // `===` compares letter by letter.
        let version = version.trim_start_matches('=').split_whitespace().next().unwrap_or_default();
        let is_one = !version.contains(['*', ',']) && !version.is_empty() && !name.contains(char::is_whitespace);
        if is_one && !name.is_empty() {
            lock.packages.entry(normalized(name)).or_default().push(version.to_owned());
        }
    }
    lock
}

/// The first file that a file for pip includes: what is in it is in no key.
pub(super) fn included(name: &str, text: &str) -> Option<String> {
    let of_pip = format(name) == Some(Format::Requirements);
    let lines = if of_pip { lines(text) } else { Vec::new() };
    lines.iter().find_map(|line| {
        let options = ["-r", "--requirement", "-c", "--constraint"];
        let (option, file) = line.split_once([' ', '='])?;
        options.contains(&option).then(|| file.trim().to_owned())
    })
}

impl Lock {
    /// The differences between what is installed and what is locked: `numpy is 1.26.4, and `uv.lock` has 2.1.0`. What is not installed is
    /// none: it may be for another system, or an extra that was not asked for.
    pub(super) fn differences(&self, name: &str, installed: &BTreeMap<String, String>) -> Vec<String> {
        let differs = |(package, locked): (&String, &Vec<String>)| {
            let found = installed.get(package)?;
            let fits = locked.iter().any(|version| fits(name, version, found));
            (!fits).then(|| format!("{package} is {found}, and `{name}` has {}", locked.join(" or ")))
        };
        self.packages.iter().filter_map(differs).collect()
    }
}

/// Whether the installed version is the locked one. In a file for pip, `==2.4.0` is every build of this version, as for pip.
fn fits(name: &str, locked: &str, found: &str) -> bool {
    let is_any_build = format(name) == Some(Format::Requirements) && !locked.contains('+');
    let found = if is_any_build {
        found.split('+').next().unwrap_or(found)
    } else {
        found
    };
    is_same(locked, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UV: &str = r#"
version = 1
requires-python = ">=3.11"

[[package]]
name = "numpy"
version = "2.1.0"
source = { registry = "https://pypi.org/simple" }
resolution-markers = ["python_full_version < '3.12'"]

[[package]]
name = "numpy"
version = "2.2.0"
source = { registry = "https://pypi.org/simple" }

[[package]]
name = "project"
version = "0.1.0"
source = { virtual = "." }

[[package]]
name = "tools"
source = { editable = "tools" }
"#;

    fn installed(packages: &[(&str, &str)]) -> BTreeMap<String, String> {
        packages
            .iter()
            .map(|&(name, version)| (name.to_owned(), version.to_owned()))
            .collect()
    }

    #[test]
    fn tables_of_packages_are_read() {
        let lock = read("uv.lock", UV).unwrap().unwrap();
        assert_eq!(
            lock.packages,
            BTreeMap::from([("numpy".to_owned(), vec!["2.1.0".to_owned(), "2.2.0".to_owned()])])
        );
        assert_eq!(lock.folders, ["project", "tools"]);
        let poetry = "[[package]]\nname = \"Six\"\nversion = \"1.16.0\"\n[[package]]\nname = \"mine\"\nversion = \"1\"\n[package.source]\ntype = \"directory\"\n[metadata]\nlock-version = \"2.0\"\n";
        let lock = read("poetry.lock", poetry).unwrap().unwrap();
        assert_eq!((lock.packages.len(), lock.folders.len()), (1, 1));
        let pylock = "lock-version = \"1.0\"\n[[packages]]\nname = \"six\"\nversion = \"1.16.0\"\n[[packages]]\nname = \"mine\"\n[packages.directory]\npath = \".\"\n";
        let lock = read("pylock.gpu.toml", pylock).unwrap().unwrap();
        assert_eq!(
            (lock.packages["six"].as_slice(), lock.folders.as_slice()),
            (&["1.16.0".to_owned()][..], &["mine".to_owned()][..])
        );
        assert!(read("uv.lock", "[[package").unwrap_err().starts_with("`uv.lock` cannot be read: "));
        assert_eq!(read("renv.lock", "{}"), Ok(None));
        assert!(is_known("requirements-gpu.txt") && !is_known("conda-lock.yml"));
    }

    #[test]
    fn pinned_requirements_are_read_and_others_passed_over() {
        let text = "# made by pip-compile\n--index-url https://example.org\nnumpy==2.1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\nTorch[cuda]==2.4.0 ; sys_platform == 'linux' # why\nscipy>=1.0\nsix==1.*\n-e .\nmine @ file:///x\n";
        let lock = read("requirements.txt", text).unwrap().unwrap();
        let said: Vec<String> = lock
            .packages
            .iter()
            .map(|(name, versions)| format!("{name} {}", versions.join(" ")))
            .collect();
        assert_eq!(said, ["numpy 2.1.0", "torch 2.4.0"]);
        assert_eq!(included("requirements.txt", text), None);
        assert_eq!(included("requirements.txt", "six==1.0\n-r base.txt\n").as_deref(), Some("base.txt"));
        assert_eq!(included("uv.lock", "-r base.txt"), None);
    }

    #[test]
    fn only_what_is_installed_in_another_version_differs() {
        let lock = read("uv.lock", UV).unwrap().unwrap();
        assert!(
            lock.differences("uv.lock", &installed(&[("numpy", "2.2.0"), ("other", "1")]))
                .is_empty()
        );
        assert!(lock.differences("uv.lock", &installed(&[])).is_empty());
        assert_eq!(
            lock.differences("uv.lock", &installed(&[("numpy", "1.26.4")])),
            ["numpy is 1.26.4, and `uv.lock` has 2.1.0 or 2.2.0"]
        );
        let torch = |version: &str| Lock {
            packages: BTreeMap::from([("torch".to_owned(), vec![version.to_owned()])]),
            folders: Vec::new(),
        };
        let built = installed(&[("torch", "2.4.0+cu121")]);
        assert!(torch("2.4.0").differences("requirements.txt", &built).is_empty());
        assert_eq!(torch("2.4.0").differences("uv.lock", &built).len(), 1);
        assert_eq!(torch("2.4.0+cpu").differences("requirements.txt", &built).len(), 1);
    }
}
