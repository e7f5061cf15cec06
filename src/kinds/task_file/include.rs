//! A file with all that it includes (`load_yaml` in `lm_eval/tasks/_yaml_loader.py`).

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::TaskFileError;
use super::yaml::{self, Data, Map, Yaml};

/// More bytes than this are no task file.
const MAX_FILE: u64 = 8 << 20;
/// Files that include one another, one within the other.
const MAX_DEPTH: usize = 16;
/// Files that are included in all.
const MAX_FILES: usize = 100;

/// Reads a file as it is: any value.
pub(super) fn read(path: &Path) -> Result<Yaml, TaskFileError> {
    let failed = |error: io::Error| TaskFileError::Read {
        path: path.to_owned(),
        error,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(TaskFileError::TooLarge {
            path: path.to_owned(),
            limit: MAX_FILE,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| TaskFileError::NotText { path: path.to_owned() })?;
    yaml::parse(&text, &Arc::from(path.to_string_lossy().as_ref()))
}

/// Takes in the files that a table includes: what it says itself counts most, then the later of the included files.
pub(super) fn resolve(path: &Path, table: Map) -> Result<Map, TaskFileError> {
    let mut loader = Loader {
        within: vec![real(path)],
        files: 0,
    };
    loader.resolve(path, table)
}

struct Loader {
    /// The files around the one that is read now.
    within: Vec<PathBuf>,
    files: usize,
}

impl Loader {
    fn resolve(&mut self, path: &Path, mut table: Map) -> Result<Map, TaskFileError> {
        let Some(at) = table.iter().position(|(name, _)| name == "include") else {
            return Ok(table);
        };
        let (_, include) = table.remove(at);
        let includes = match include.data {
            Data::List(items) => items,
            Data::Null => Vec::new(),
            _ => vec![include],
        };
        let mut merged = Map::new();
        for include in &includes {
            for (name, value) in self.included(path, include)? {
                if name != "task_list" {
                    yaml::set(&mut merged, &name, value);
                }
            }
        }
        for (name, value) in table {
            yaml::set(&mut merged, &name, value);
        }
        Ok(merged)
    }

    fn included(&mut self, path: &Path, include: &Yaml) -> Result<Map, TaskFileError> {
        let name = include.as_text().unwrap_or(include.kind());
        let wrong = |problem: String| TaskFileError::Include {
            place: include.place.to_string(),
            name: name.to_owned(),
            problem,
        };
        let Some(name) = include.as_text() else {
            return Err(wrong("it must be the path of a file".to_owned()));
        };
        // Links are followed first: what a file includes is beside the file itself.
        let place = real(path).parent().unwrap_or(Path::new("")).join(name);
        let found = place
            .canonicalize()
            .map_err(|error| wrong(format!("{}: {error}", place.display())))?;
        self.files += 1;
        if self.within.contains(&found) {
            return Err(wrong(
                "this file is being read already: files include one another in a circle".to_owned(),
            ));
        }
        if self.within.len() >= MAX_DEPTH || self.files > MAX_FILES {
            return Err(wrong(format!(
                "more than {MAX_FILES} files are included, or more than {MAX_DEPTH} within one another"
            )));
        }
        let shown = beside(path, name);
        let value = read(&shown)?;
        let Data::Map(table) = value.data else {
            return Err(wrong(format!("the file is {}, and must be a table", value.kind())));
        };
        self.within.push(found);
        let resolved = self.resolve(&shown, table);
        self.within.pop();
        resolved
    }
}

/// The path under which an included file is read and named: beside the file that includes it, unless that one is a link.
fn beside(path: &Path, name: &str) -> PathBuf {
    let near = path.parent().unwrap_or(Path::new("")).join(name);
    if path.is_symlink() {
        return real(path).parent().unwrap_or(Path::new("")).join(name);
    }
    near
}

/// The file that a path leads to.
fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
