//! The files of an experiment: the user's, the project's, those it extends, its own.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::document::OWN;
use super::{ConfigTable, Diagnostic, Diagnostics, Location, OriginCounter, SourceText, paths, text};

/// The project's file, in the experiment's folder or the nearest one above it.
const PROJECT_FILE: &str = "runner.toml";

/// A larger file is no experiment.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// More files than this, each extending the next, are a mistake.
const MAX_EXTENDED: usize = 100;

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
    /// What `~` stands for.
    home: Option<PathBuf>,
    /// The files being read, each extending the next.
    open: Vec<PathBuf>,
    /// Each file counts once, where it is first extended, so that a base shared by two does not undo what one of them changed.
    done: Vec<PathBuf>,
}

/// The file of the project that `folder` belongs to.
fn project_file(folder: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(folder.join(PROJECT_FILE)).ok()?;
    let mut above = absolute.ancestors().skip(1).map(|folder| folder.join(PROJECT_FILE));
    let found = above.find(|path| is_there(path))?;
    // As people would write it: the folders above by the path that was given, if it names them.
    let mut near = folder.ancestors().map(|folder| folder.join(PROJECT_FILE));
    Some(near.find(|path| is_there(path)).unwrap_or(found))
}

/// Whether there is something, if only a folder or a link to nothing: it is not passed over, but reported when it is read.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

impl ExperimentReader {
    pub fn new(home: Option<PathBuf>) -> Self {
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
        if self.open.len() >= MAX_EXTENDED {
            let message = format!("files extend each other here more than {MAX_EXTENDED} deep");
            return self.problems.push(Diagnostic::new(message).at(from));
        }
        let top = from.is_none();
        let Some(mut tree) = self.parse(path, from) else { return };
        self.open.push(identity.clone());
        for (base, at) in self.extended(&tree) {
            let folder = path.parent().unwrap_or(Path::new(""));
            if self.home.is_none() && paths::is_in_home(&base) {
                self.problems.push(paths::no_home(&base).at(Some(at)));
                continue;
            }
            let base = paths::anchored(&base, folder, self.home.as_deref());
            self.experiment(&base, Some(at));
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
        let text = match read(path) {
            Ok(text) => without_line_ends(&text),
            Err(error) => {
                self.problems.push(unreadable(&name, &error, from));
                return None;
            }
        };
        let source = Arc::new(SourceText { name, text });
        if let Some(problem) = carriage_return(&source) {
            self.problems.push(problem);
            return None;
        }
        match text::document(&source, &mut self.origins) {
            Ok(mut tree) => {
                paths::anchor(&mut tree, path.parent().unwrap_or(Path::new("")));
                Some(tree)
            }
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }
}

/// The text of a file. A pipe is read where the shell makes it (`<(…)`, `/dev/stdin`); any other might never end.
fn read(path: &Path) -> io::Result<String> {
    let about = std::fs::metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => io::Error::other("it is a link to something that is not there"),
        _ => error,
    });
    let kind = about?.file_type();
    let of_shell = ["/dev/fd", "/dev/stdin", "/proc"].iter().any(|made| path.starts_with(made));
    let is_text = kind.is_file() || (kind.is_fifo() && of_shell);
    if !is_text {
        let what = if kind.is_dir() {
            "it is a folder"
        } else {
            "it is a pipe, a socket or a device"
        };
        return Err(io::Error::other(what));
    }
    let file = File::open(path)?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {} MiB", MAX_FILE_BYTES >> 20)));
    }
    Ok(text)
}

/// The text with the same line ends on every machine, and without a byte order mark: TOML leaves to its readers which line ends a text of
/// several lines has.
fn without_line_ends(text: &str) -> String {
    text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n")
}

/// The diagnostic of a carriage return that ends no line.
fn carriage_return(source: &Arc<SourceText>) -> Option<Diagnostic> {
    let start = source.text.find('\r')?;
    let at = Location {
        source: Arc::clone(source),
        span: start..start + 1,
    };
    let help = "save the file with the line ends of Unix (`\\n`); within a text, write `\\r`";
    let problem = Diagnostic::new("there is a carriage return here that no line feed follows").at(Some(at));
    Some(problem.help(help))
}

/// `from` is where another file names it.
fn unreadable(name: &str, error: &io::Error, from: Option<Location>) -> Diagnostic {
    let diagnostic = match error.kind() {
        io::ErrorKind::NotFound => Diagnostic::new(format!("no file `{name}`")),
        io::ErrorKind::InvalidData => Diagnostic::new(format!("`{name}` is not UTF-8 text")),
        _ => Diagnostic::new(format!("cannot read `{name}`: {error}")),
    };
    let is_extended = from.is_some();
    let diagnostic = diagnostic.at(from);
    match error.kind() {
        io::ErrorKind::NotFound if is_extended => diagnostic.help("paths in `extends` are meant from the file that says them"),
        _ => diagnostic,
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
