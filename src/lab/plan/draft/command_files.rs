//! The arguments of a command line that are files. They are looked for beside the experiment, and their content enters the key.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use super::DraftReader;
use crate::config::{ConfigTable, ConfigValue, Diagnostic, ValueData, anchored, is_in_home};
use crate::source::{SOURCE, Source};
use crate::stage::{Argument, INPUT_PATHS, Kind};

/// Endings of scripts: a word with one of these is never the name of a file that a program makes.
const SCRIPT_ENDINGS: [&str; 9] = [".py", ".sh", ".bash", ".R", ".jl", ".pl", ".lua", ".rb", ".js"];

/// Where the system shows itself as files: to read one may never end, and gives something else each time.
const SYSTEM_FOLDERS: [&str; 3] = ["/proc", "/sys", "/dev"];

/// The folder among these that has ordinary files.
const SHARED_MEMORY: &str = "/dev/shm";

impl DraftReader<'_, '_> {
    /// The params, with an [`Argument::File`] in the place of each word of a command line that is the path of a file.
    pub(super) fn with_command_files(&mut self, kind: &Kind, mut params: ConfigTable) -> ConfigTable {
        let Some(field) = kind.command_line else { return params };
        let provided = ProvidedFiles::of(params.get(SOURCE));
        let mut named = BTreeMap::new();
        // The kind refuses a value that is no list.
        if let Some(ValueData::List(words)) = params.get_mut(field).map(|list| &mut list.data) {
            let written = std::mem::take(words).into_iter().enumerate();
            *words = written.map(|(place, word)| self.word(place, word, &provided, &mut named)).collect();
        }
        self.check_input_places(&params, &provided, &named);
        params
    }

    /// Reports inputs that would lie in the place of a file which the program finds in its folder.
    fn check_input_places(&mut self, params: &ConfigTable, provided: &ProvidedFiles, named: &BTreeMap<String, PathBuf>) {
        let Some(places) = params.get(INPUT_PATHS).and_then(ConfigValue::as_table) else {
            return;
        };
        let provided = provided.names();
        for (name, value) in places {
            let place = plain_path(value.as_str().unwrap_or_default());
            let overlaps = |file: &&String| {
                let file = plain_path(file);
                !place.as_os_str().is_empty() && (file.starts_with(&place) || place.starts_with(&file))
            };
            let of_source = provided.iter().find(overlaps).map(|file| (file, "a file of its source"));
            let found = of_source.or_else(|| named.keys().find(overlaps).map(|file| (file, "a file of `run`")));
            if let Some((file, what)) = found {
                let message = format!("the input `{name}` would lie in the place of `{file}`, {what}");
                self.problems.push(Diagnostic::new(message).at(value.at()));
            }
        }
    }

    fn word(&mut self, place: usize, word: ConfigValue, provided: &ProvidedFiles, named: &mut BTreeMap<String, PathBuf>) -> ConfigValue {
        let Some(text) = word.as_str() else {
            if word.as_table().is_some() {
                let message = format!("a word of a command line is a text, not {}", word.describe());
                self.problems.push(Diagnostic::new(message).at(word.at()));
            }
            return word;
        };
        let at = word.at();
        let folder = at.as_ref().map(|at| Path::new(&at.source.name)).and_then(Path::parent);
        let folders = Folders {
            own: folder.unwrap_or(Path::new("")),
            home: self.home,
            looks: self.looks,
        };
        match look(place == 0, text, folders, provided) {
            Ok(None) => word,
            Ok(Some((before, path))) => {
                let file = Argument::File {
                    before,
                    path: path.clone(),
                };
                let name = file.source().map(|source| source.name).unwrap_or_default();
                let other = named.insert(name.clone(), path.clone()).filter(|other| *other != path);
                if other.is_some() || provided.has(&name) {
                    let message = format!("two files are called `{name}`, and the program finds both in one folder");
                    let help = match other {
                        Some(other) => format!("the other is {}", other.display()),
                        None => format!("the other is the source's: where that is meant, write `{name}`"),
                    };
                    self.problems.push(Diagnostic::new(message).at(at).help(help));
                }
                ConfigValue {
                    origin: word.origin,
                    ..file.param().into()
                }
            }
            Err(problem) => {
                self.problems.push(problem.at(at));
                word
            }
        }
    }
}

/// A relative path without the `.` in it.
fn plain_path(path: &str) -> PathBuf {
    Path::new(path).components().filter(|part| *part != Component::CurDir).collect()
}

/// The files that a stage's source puts into the program's folder.
#[derive(Default)]
struct ProvidedFiles {
    source: Option<Source>,
    /// Where they are; `None` where that is not known.
    place: Option<PathBuf>,
}

impl ProvidedFiles {
    fn of(source: Option<&ConfigValue>) -> Self {
        // One that is wrong is reported by the kind.
        let source = source.map(|source| Source {
            is_code: true,
            ..source.read::<Source>().unwrap_or_default()
        });
        let place = source
            .as_ref()
            .and_then(|source| source.path.clone())
            .filter(|place| place.exists());
        Self { source, place }
    }

    /// Whether they are all known: those of a source that is not here are not.
    fn known(&self) -> bool {
        self.source
            .as_ref()
            .is_none_or(|source| self.place.is_some() || !source.files.is_empty())
    }

    /// The names of all that are known.
    fn names(&self) -> Vec<String> {
        let Some(source) = &self.source else { return Vec::new() };
        match self.place.as_ref().and_then(|place| source.list(place).ok()) {
            Some(files) => files.into_iter().map(|(name, _)| name).collect(),
            None => source.files.clone(),
        }
    }

    fn has(&self, name: &str) -> bool {
        let name = name.trim_start_matches("./");
        let is_listed = |source: &Source| self.place.as_ref().is_some_and(|place| source.has(place, name));
        // A file that is named and missing is reported with its source.
        let is_named = |source: &Source| source.files.iter().any(|known| known == name);
        self.source.as_ref().is_some_and(|source| is_named(source) || is_listed(source))
    }
}

/// Where the paths of a command line begin.
#[derive(Clone, Copy)]
struct Folders<'a> {
    /// The folder of the file that says it.
    own: &'a Path,
    /// What `~` stands for.
    home: Option<&'a Path>,
    /// What is known of the paths.
    looks: &'a FileLooks,
}

/// A file that stands at the path of a word.
#[derive(Clone)]
struct FoundFile {
    /// From the root.
    path: PathBuf,
    /// Whether the system makes it up.
    is_of_system: bool,
}

impl FoundFile {
    fn at(path: &Path) -> Option<Self> {
        path.is_file().then(|| Self {
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
            is_of_system: is_of_system(path),
        })
    }
}

/// What stands at the paths at which one plan has looked. Stages share most words of their command lines, and each look asks the system.
#[derive(Default)]
pub(super) struct FileLooks(RefCell<HashMap<OsString, Option<FoundFile>>>);

impl FileLooks {
    fn at(&self, path: &Path) -> Option<FoundFile> {
        if let Some(known) = self.0.borrow().get(path.as_os_str()) {
            return known.clone();
        }
        let found = FoundFile::at(path);
        self.0.borrow_mut().insert(path.into(), found.clone());
        found
    }
}

/// The text before the file's name in the word that the program is given, and the path of the file; `None` for a word that is no file.
/// A word that must be a file and is none gives an error, without its place.
fn look(is_program: bool, text: &str, folders: Folders<'_>, provided: &ProvidedFiles) -> Result<Option<(String, PathBuf)>, Diagnostic> {
    // A bare program is looked for where programs are.
    if provided.has(text) || (is_program && !text.contains('/')) {
        return Ok(None);
    }
    let option = text.split_once('=').filter(|_| !is_program);
    for (option, path) in [Some(("", text)), option].into_iter().flatten() {
        if path.is_empty() || provided.has(path) {
            continue;
        }
        let file = anchored(path, folders.own, folders.home);
        let Some(FoundFile { path, is_of_system }) = folders.looks.at(&file) else {
            continue;
        };
        if !is_program && is_of_system {
            return Ok(None);
        }
        if is_program && file.metadata().is_ok_and(|about| about.permissions().mode() & 0o111 == 0) {
            let help = format!("make it one (`chmod +x {}`), or name what reads it first", file.display());
            let problem = Diagnostic::new(format!("`{text}` is no program"));
            return Err(problem.label("it may not be executed").help(help));
        }
        let option = if option.is_empty() { String::new() } else { format!("{option}=") };
        let step = if text.contains('/') { "./" } else { "" };
        return Ok(Some((option + step, path)));
    }
    // No shell turns `~` into the home folder before the program sees it.
    let must = is_program
        || text.starts_with("../")
        || is_in_home(text)
        || (is_plain(text) && SCRIPT_ENDINGS.iter().any(|end| text.ends_with(end)));
    if must && provided.known() {
        let file = anchored(text, folders.own, folders.home);
        let what = match std::fs::symlink_metadata(&file) {
            Ok(_) if file.is_dir() => "is a folder",
            Ok(about) if about.is_symlink() && !file.exists() => "is a link to something that is not there",
            Ok(_) => "is no file",
            Err(_) => "is not there",
        };
        let problem = Diagnostic::new(format!("no file `{text}`")).label(format!("{} {what}", file.display()));
        return Err(problem.help("a path is meant from the file that says it; further files come with a `source`"));
    }
    Ok(None)
}

/// Whether a file is one that the system makes up.
fn is_of_system(file: &Path) -> bool {
    let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let is_made_up = |path: &Path| SYSTEM_FOLDERS.iter().any(|folder| path.starts_with(folder)) && !path.starts_with(SHARED_MEMORY);
    is_made_up(file) || is_made_up(&real)
}

/// Whether a word is no text for a shell or an interpreter.
fn is_plain(text: &str) -> bool {
    !text.starts_with('-') && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "=:;|&<>()[]{}$*?!\"'`\\".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_looked_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (there, later) = (folder.path().join("there.py"), folder.path().join("later.py"));
        std::fs::write(&there, "").unwrap();
        let looks = FileLooks::default();
        let found = || [&there, &later].map(|path| looks.at(path).map(|file| file.path));
        let first = found();
        assert_eq!(first, [Some(there.clone()), None]);
        std::fs::rename(&there, &later).unwrap();
        assert_eq!(found(), first, "all stages of a plan see the same files");
    }

    #[test]
    fn a_word_is_a_file_where_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        std::fs::create_dir_all(place.join("scripts/deep")).unwrap();
        for (name, mode) in [("scripts/train.py", 0o644), ("run", 0o755), ("a.toml", 0o644)] {
            std::fs::write(place.join(name), "").unwrap();
            std::fs::set_permissions(place.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let folders = Folders {
            own: place,
            home: Some(&place.join("scripts")),
            looks: &FileLooks::default(),
        };
        let elsewhere = |names: &[&str]| ProvidedFiles {
            source: Some(Source {
                files: names.iter().map(|&name| name.to_owned()).collect(),
                ..Source::default()
            }),
            place: None,
        };
        let said = |is_program, text: &str, provided: &ProvidedFiles| match look(is_program, text, folders, provided) {
            Ok(None) => "text".to_owned(),
            Ok(Some((before, path))) => format!("{before} {}", path.strip_prefix(place).unwrap_or(&path).display()),
            Err(Diagnostic { message, label, .. }) => {
                format!("{message}: {}", label.unwrap_or_default()).replace(&place.display().to_string(), "LAB")
            }
        };
        let none = ProvidedFiles::default();
        let first = ["python3", "run", "./run", "scripts/train.py", "scripts/none", "scripts/deep"];
        let first = first.map(|text| format!("{text} → {}", said(true, text, &none)));
        let further = [
            "scripts/train.py",
            "./scripts/train.py",
            "a.toml",
            "--config=a.toml",
            "--config=scripts/train.py",
            "scripts/deep",
            "openai/gsm8k",
            "out/model.pt",
            "none.py",
            "../none.toml",
            "~/train.py",
            "--config=~/train.py",
            "~/none",
            "cd ~/x",
            "cd x && ./go.sh",
            "--script=none.py",
            "/proc/self/status",
            "--file=/proc/self/status",
            "",
        ];
        let further = further.map(|text| format!("{text} → {}", said(false, text, &none)));
        let sourced = elsewhere(&["train.py", "a.toml"]);
        let other = ["train.py", "./train.py", "a.toml", "--config=a.toml", "none.py"]
            .map(|text| format!("{text} → {}", said(false, text, &sourced)));
        let unknown = format!("none.py → {}", said(false, "none.py", &elsewhere(&[])));
        insta::assert_snapshot!([first.join("\n"), further.join("\n"), other.join("\n"), unknown].join("\n\n"), @r"
        python3 → text
        run → text
        ./run → ./ run
        scripts/train.py → `scripts/train.py` is no program: it may not be executed
        scripts/none → no file `scripts/none`: LAB/scripts/none is not there
        scripts/deep → no file `scripts/deep`: LAB/scripts/deep is a folder

        scripts/train.py → ./ scripts/train.py
        ./scripts/train.py → ./ scripts/train.py
        a.toml →  a.toml
        --config=a.toml → --config= a.toml
        --config=scripts/train.py → --config=./ scripts/train.py
        scripts/deep → text
        openai/gsm8k → text
        out/model.pt → text
        none.py → no file `none.py`: LAB/none.py is not there
        ../none.toml → no file `../none.toml`: LAB/../none.toml is not there
        ~/train.py → ./ scripts/train.py
        --config=~/train.py → --config=./ scripts/train.py
        ~/none → no file `~/none`: LAB/scripts/none is not there
        cd ~/x → text
        cd x && ./go.sh → text
        --script=none.py → text
        /proc/self/status → text
        --file=/proc/self/status → text
         → text

        train.py → text
        ./train.py → text
        a.toml → text
        --config=a.toml → text
        none.py → no file `none.py`: LAB/none.py is not there

        none.py → text
        ");
    }
}
