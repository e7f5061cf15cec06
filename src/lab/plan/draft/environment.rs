//! The environment that a stage names: its words and its paths, which are meant from the file that says them. What a path leads to is
//! part of the key (a lock, an image) or of nothing (how it is started).

use std::path::{Path, PathBuf};

use super::DraftReader;
use crate::config::{ConfigTable, ConfigValue, Diagnostic, ValueData, anchored, is_in_home};
use crate::stage::{ENVIRONMENT, Kind};

/// What stands between the name of an image and its digest.
const DIGEST_MARK: &str = "@sha256:";

/// Fields that are words of a command line: a text, or a list of texts.
const WORDS: [&str; 2] = ["run", "prepare"];

/// Options whose value is a folder or a file, though it may look like a name.
const PATH_OPTIONS: [&str; 3] = ["--project", "--directory", "--env-file"];

impl DraftReader<'_, '_> {
    /// The params, with the environment's command lines as lists of words, and its paths as whole ones.
    pub(super) fn with_environment(&mut self, kind: &Kind, mut params: ConfigTable) -> ConfigTable {
        if !kind.named.iter().any(|(param, _)| *param == ENVIRONMENT) {
            return params;
        }
        let Some(environment) = params.get_mut(ENVIRONMENT) else {
            return params;
        };
        let table_folder = folder_of(environment);
        let Some(fields) = environment.as_table_mut() else { return params };
        for field in WORDS {
            if let Some(value) = fields.get_mut(field) {
                self.split(field, value);
            }
        }
        if let Some(run) = fields.get_mut("run") {
            self.find_paths(run);
        }
        for field in ["lock", "image"] {
            if let Some(value) = fields.get_mut(field) {
                self.find_file(field, value);
            }
        }
        // The folder of the project, where what prepares it runs.
        let lock = fields.get("lock").and_then(ConfigValue::as_str);
        let folder = lock.and_then(|lock| Path::new(lock).parent()).map(Path::to_owned);
        let folder = folder.unwrap_or_else(|| whole(&table_folder));
        fields.insert("folder".to_owned(), ConfigValue::from(folder.to_string_lossy().into_owned()));
        params
    }

    /// A text becomes the list of its words, as a shell would read them.
    fn split(&mut self, field: &str, value: &mut ConfigValue) {
        let Some(text) = value.as_str() else { return };
        let Some(words) = shlex::split(text) else {
            let message = format!("`{field}` has a quote that is not closed");
            self.problems.push(Diagnostic::new(message).at(value.at()));
            return;
        };
        let words = words.into_iter().map(|word| ConfigValue::text(word, value.origin.clone()));
        value.data = ValueData::List(words.collect());
    }

    /// Puts whole paths in the place of the words that are paths.
    fn find_paths(&self, run: &mut ConfigValue) {
        let folder = folder_of(run);
        let home = self.home;
        let ValueData::List(words) = &mut run.data else { return };
        let mut before = String::new();
        for (place, word) in words.iter_mut().enumerate() {
            let Some(text) = word.as_str().map(str::to_owned) else { continue };
            let own = word.at().map_or_else(|| folder.clone(), |_| folder_of(word));
            let is_value = PATH_OPTIONS.contains(&before.as_str());
            if let Some(found) = path_in(&text, place == 0, is_value, &own, home) {
                word.data = ValueData::Text(found);
            }
            before = text;
        }
    }

    /// Puts the whole path in the place of a file, which must be there. An image may be a name with a digest instead.
    fn find_file(&mut self, field: &str, value: &mut ConfigValue) {
        let Some(text) = value.as_str().map(str::to_owned) else { return };
        if field == "image" && has_digest(&text) {
            return;
        }
        let file = anchored(&text, &folder_of(value), self.home);
        if file.is_file() && !text.is_empty() {
            value.data = ValueData::Text(whole(&file).to_string_lossy().into_owned());
            return;
        }
        let problem = if field == "image" && !file.exists() {
            Diagnostic::new(format!("the image `{text}` is no file, and its name has no digest"))
                .label("a name alone may be another image tomorrow")
                .help(format!(
                    "write `NAME{DIGEST_MARK}…`; `docker inspect --format '{{{{index .RepoDigests 0}}}}' NAME` prints it"
                ))
        } else {
            let what = if file.is_dir() { "is a folder" } else { "is not there" };
            let problem = Diagnostic::new(format!("no file `{text}`")).label(format!("{} {what}", file.display()));
            problem.help("a path is meant from the file that says it")
        };
        self.problems.push(problem.at(value.at()));
    }
}

/// The folder of the file that says a value.
fn folder_of(value: &ConfigValue) -> PathBuf {
    let at = value.at();
    let folder = at.as_ref().map(|at| Path::new(&at.source.name)).and_then(Path::parent);
    folder.unwrap_or(Path::new("")).to_owned()
}

fn whole(path: &Path) -> PathBuf {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The word with a whole path, where it is or ends in one: the first word where it has a `/`, the value of an option for paths, and what
/// leads to something that is there. A name without `/` and without an ending (`run`, `exec`) is no path whatever lies beside the file.
fn path_in(text: &str, is_program: bool, is_value: bool, folder: &Path, home: Option<&Path>) -> Option<String> {
    let (option, path) = match text.split_once('=') {
        Some((option, path)) if option.starts_with("--") => (Some(option), path),
        _ => (None, text),
    };
    if path.is_empty() {
        return None;
    }
    let file = anchored(path, folder, home);
    let is_step = path.starts_with("./") || path.starts_with("../") || is_in_home(path);
    let must = is_step || is_value || option.is_some_and(|option| PATH_OPTIONS.contains(&option));
    let is_path = if is_program {
        path.contains('/')
    } else {
        must || (path.contains('/') && file.exists()) || (path.contains('.') && file.is_file())
    };
    let before = option.map_or_else(String::new, |option| format!("{option}="));
    is_path.then(|| before + &whole(&file).to_string_lossy())
}

/// Whether a name ends in a digest: `ghcr.io/lab/train@sha256:…`.
fn has_digest(text: &str) -> bool {
    let digest = text.rsplit_once(DIGEST_MARK).map(|(_, digest)| digest);
    digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_path_where_it_must_be_one_or_leads_to_something() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        for made in ["run", "sub", "images"] {
            std::fs::create_dir(place.join(made)).unwrap();
        }
        for made in ["image.sif", "exec", "images/r.sif"] {
            std::fs::write(place.join(made), "").unwrap();
        }
        let read = |text: &str, is_program, is_value| {
            let found = path_in(text, is_program, is_value, place, Some(Path::new("/home/ada")));
            found.map_or_else(|| "text".to_owned(), |found| found.replace(&place.display().to_string(), "LAB"))
        };
        assert_eq!(read("uv", true, false), "text");
        assert_eq!(read(".venv/bin/python", true, false), "LAB/.venv/bin/python");
        assert_eq!(read("~/env/bin/python", true, false), "/home/ada/env/bin/python");
        let words = ["run", "exec", "image.sif", "images/r.sif", "docker://python:3.12", "--frozen"];
        assert_eq!(
            words.map(|word| read(word, false, false)),
            ["text", "text", "LAB/image.sif", "LAB/images/r.sif", "text", "text"]
        );
        assert_eq!(read("sub", false, true), "LAB/sub");
        assert_eq!(read("--project=sub", false, false), "--project=LAB/sub");
        assert_eq!(read("--python=3.12", false, false), "text");
    }

    #[test]
    fn a_digest_has_64_digits() {
        assert!(has_digest(&format!("ghcr.io/lab/train@sha256:{}", "0a".repeat(32))));
        assert!(!has_digest("ghcr.io/lab/train:1.2") && !has_digest("x@sha256:12"));
    }
}
