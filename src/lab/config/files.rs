//! The files of an experiment: the user's, the project's, those it extends, its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layers::OWN;
use super::{ConfigTable, ConfigValue, Diagnostic, Diagnostics, Location, OriginCounter, SourceText, ValueData, text};

/// The project's file, in the experiment's folder or the nearest one above it.
const PROJECT_FILE: &str = "runner.toml";

/// One file, parsed.
pub(super) struct LayerFile {
    pub tree: ConfigTable,
    /// Whether it is a user or project file, which hold `[settings]` alone.
    pub settings_only: bool,
    pub path: PathBuf,
}

/// Reads files, the ones that win last.
#[derive(Default)]
pub(super) struct ExperimentReader {
    pub files: Vec<LayerFile>,
    pub origins: OriginCounter,
    pub problems: Diagnostics,
    /// The home folder, for paths that begin with `~/`.
    home: Option<String>,
    /// The files being read, each extending the next.
    open: Vec<PathBuf>,
    /// Each file counts once, where it is first extended, so that a base shared by two does not undo what one of them changed.
    done: Vec<PathBuf>,
}

/// The file of the project that `folder` belongs to.
fn project_file(folder: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(folder.join(PROJECT_FILE)).ok()?;
    let mut above = absolute.ancestors().skip(1).map(|folder| folder.join(PROJECT_FILE));
    let found = above.find(|path| path.is_file())?;
    // As people would write it: the folders above by the path that was given, if it names them.
    let mut near = folder.ancestors().map(|folder| folder.join(PROJECT_FILE));
    Some(near.find(|path| path.is_file()).unwrap_or(found))
}

impl ExperimentReader {
    /// A reader that has read nothing yet.
    pub fn at_home(home: Option<String>) -> Self {
        Self { home, ..Self::default() }
    }

    /// Reads the user's file and the project's, which hold settings alone.
    pub fn settings(&mut self, folder: &Path, user_file: Option<&Path>) {
        let user = user_file.filter(|path| path.exists());
        for path in user.map(Path::to_path_buf).into_iter().chain(project_file(folder)) {
            if let Some(tree) = self.parse(&path, None) {
                self.files.push(LayerFile {
                    tree,
                    settings_only: true,
                    path,
                });
            }
        }
    }

    /// Reads an experiment after the files that it extends.
    pub fn experiment(&mut self, path: &Path, from: Option<Location>) {
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if let Some(start) = self.open.iter().position(|open| *open == identity) {
            let cycle = self.open[start..].iter().chain([&identity]).map(|path| file_name(path));
            let cycle: Vec<String> = cycle.collect();
            let message = format!("files extend each other in a circle: {}", cycle.join(" → "));
            return self.problems.push(Diagnostic::new(message).at(from));
        }
        if self.done.contains(&identity) {
            return;
        }
        let top = from.is_none();
        let Some(mut tree) = self.parse(path, from) else { return };
        self.open.push(identity.clone());
        for (base, at) in self.extended(&tree) {
            let folder = path.parent().unwrap_or(Path::new(""));
            self.experiment(&folder.join(base), Some(at));
        }
        self.open.pop();
        self.done.push(identity);
        if !top {
            tree.retain(|key, _| !OWN.contains(&key.as_str()));
        }
        self.files.push(LayerFile {
            tree,
            settings_only: false,
            path: path.to_owned(),
        });
    }

    /// The files that `extends` names, each with the place of its name.
    fn extended(&mut self, tree: &ConfigTable) -> Vec<(String, Location)> {
        let Some(extends) = tree.get("extends") else { return Vec::new() };
        let mut names = Vec::new();
        for item in extends.items() {
            let at = item.at();
            match (item.as_str(), at) {
                (Some(name), Some(at)) => names.push((name.to_owned(), at)),
                (_, at) => {
                    let message = format!("`extends` names a file or a list of files, not {}", item.describe());
                    self.problems.push(Diagnostic::new(message).at(at));
                }
            }
        }
        names
    }

    fn parse(&mut self, path: &Path, from: Option<Location>) -> Option<ConfigTable> {
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                self.problems.push(unreadable(&name, &error, from));
                return None;
            }
        };
        let source = Arc::new(SourceText { name, text });
        match text::document(&source, &mut self.origins) {
            Ok(mut tree) => {
                anchor(&mut tree, path, self.home.as_deref());
                Some(tree)
            }
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }
}

/// The paths in a file's settings and sources, or in those of a profile, are meant from that file; `~/` is the home folder, as in a shell.
fn anchor(tree: &mut ConfigTable, path: &Path, home: Option<&str>) {
    let folder = path.parent().unwrap_or(Path::new(""));
    let anchor_path = |path: &mut ConfigValue| anchor_path(path, folder, home);
    if let Some(store) = fields(tree, "settings").and_then(|settings| settings.get_mut("store")) {
        anchor_path(store);
    }
    for source in fields(tree, "sources").into_iter().flat_map(ConfigTable::values_mut) {
        match &mut source.data {
            ValueData::Table(fields) => fields.get_mut("path").into_iter().for_each(anchor_path),
            _ => anchor_path(source),
        }
    }
    for profile in fields(tree, "profile").into_iter().flat_map(ConfigTable::values_mut) {
        profile.as_table_mut().into_iter().for_each(|profile| anchor(profile, path, home));
    }
}

fn fields<'a>(tree: &'a mut ConfigTable, table: &str) -> Option<&'a mut ConfigTable> {
    tree.get_mut(table)?.as_table_mut()
}

fn anchor_path(path: &mut ConfigValue, folder: &Path, home: Option<&str>) {
    if let ValueData::Text(path) = &mut path.data {
        let below_home = path.strip_prefix("~/").zip(home);
        let whole = below_home.map_or_else(|| folder.join(&*path), |(rest, home)| Path::new(home).join(rest));
        *path = whole.to_string_lossy().into_owned();
    }
}

/// `from` is where another file names it.
fn unreadable(name: &str, error: &std::io::Error, from: Option<Location>) -> Diagnostic {
    let diagnostic = match error.kind() {
        std::io::ErrorKind::NotFound => Diagnostic::new(format!("no file `{name}`")),
        std::io::ErrorKind::InvalidData => Diagnostic::new(format!("`{name}` is not UTF-8 text")),
        _ => Diagnostic::new(format!("cannot read `{name}`: {error}")),
    };
    let is_extended = from.is_some();
    let diagnostic = diagnostic.at(from);
    match error.kind() {
        std::io::ErrorKind::NotFound if is_extended => diagnostic.help("paths in `extends` are meant from the file that says them"),
        _ => diagnostic,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
