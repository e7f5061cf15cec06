//! The words with which an environment starts a program.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Environment;

/// Launchers that find their project from the folder in which they run, with the option that names it, and whether that follows `run`.
const PROJECT_OPTIONS: [(&str, &[&str], bool); 3] = [
    ("uv", &["--project", "--directory"], false),
    ("poetry", &["--project", "-P", "--directory", "-C"], false),
    ("pdm", &["--project", "-p"], true),
];

/// Options of `uv run` that `uv sync` knows too: they choose what is installed. Those in the second list have a value.
const SYNC_FLAGS: [&str; 12] = [
    "--all-extras",
    "--dev",
    "--no-dev",
    "--only-dev",
    "--all-groups",
    "--no-default-groups",
    "--no-editable",
    "--all-packages",
    "--active",
    "--exact",
    "--offline",
    "--no-index",
];
const SYNC_OPTIONS: [&str; 18] = [
    "--extra",
    "--no-extra",
    "--group",
    "--no-group",
    "--only-group",
    "--package",
    "--no-editable-package",
    "--python",
    "-p",
    "--python-platform",
    "--project",
    "--directory",
    "--index",
    "--default-index",
    "--index-url",
    "-i",
    "--extra-index-url",
    "--index-strategy",
];

/// Options of `uv run` with which there is nothing to sync.
const NO_SYNC: [&str; 4] = ["--no-sync", "--no-project", "--isolated", "--script"];

/// Options of `uv run` for packages beside the project's.
const EXTRA_PACKAGES: [&str; 4] = ["--with", "-w", "--with-editable", "--with-requirements"];

/// The parts of an environment's `run`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Launch<'a> {
    /// The words before the program.
    before: &'a [String],
    /// The interpreter that they end in, which takes the place of `python`.
    interpreter: Option<&'a str>,
    /// The interpreter's own options.
    options: &'a [String],
}

impl<'a> Launch<'a> {
    fn of(run: &'a [String]) -> Self {
        let options = run.iter().rev().take_while(|word| word.starts_with('-')).count();
        let (words, options) = run.split_at(run.len() - options);
        match words.split_last() {
            // A name alone after an option is the option's value: `conda run -n python`.
            Some((last, before))
                if is_python(Path::new(last))
                    && (before.is_empty() || last.contains('/') || !before.last().is_some_and(|word| word.starts_with('-'))) =>
            {
                Self {
                    before,
                    interpreter: Some(last),
                    options,
                }
            }
            _ => Self {
                before: run,
                ..Self::default()
            },
        }
    }
}

/// Whether a file is a Python interpreter, by its name: `python`, `python3`, `python3.12`, `pypy3`.
pub(in crate::command) fn is_python(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let rest = name.strip_prefix("python").or_else(|| name.strip_prefix("pypy"));
    rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'))
}

/// Whether a stage's first word asks for whatever Python there is.
pub(super) fn asks_for_python(word: &str) -> bool {
    matches!(word, "python" | "python3")
}

/// The words that start a stage's own words in its environment.
pub(in crate::command) fn launched(environment: Option<&Environment>, words: Vec<OsString>) -> Vec<OsString> {
    match environment {
        Some(environment) => environment.words(&words),
        None => words,
    }
}

impl Environment {
    /// The words that start these.
    fn words(&self, words: &[OsString]) -> Vec<OsString> {
        let run = with_project(&self.run, &self.folder);
        let launch = Launch::of(&run);
        let mut all: Vec<OsString> = launch.before.iter().map(OsString::from).collect();
        let (first, rest) = words.split_first().map_or((None, words), |(first, rest)| (Some(first), rest));
        match (launch.interpreter, first) {
            (Some(interpreter), Some(first)) if first.to_str().is_some_and(asks_for_python) => {
                all.push(interpreter.into());
                all.extend(launch.options.iter().map(OsString::from));
            }
            (_, first) => all.extend(first.cloned()),
        }
        all.extend(rest.iter().cloned());
        all
    }

    /// The words that start its Python, with these arguments.
    pub(super) fn python(&self, arguments: &[&str]) -> Vec<String> {
        let run = with_project(&self.run, &self.folder);
        let launch = Launch::of(&run);
        let interpreter = launch.interpreter.unwrap_or("python");
        let words = launch.before.iter().map(String::as_str).chain([interpreter]);
        words.chain(arguments.iter().copied()).map(str::to_owned).collect()
    }

    /// Its interpreter, where its words say which.
    pub(super) fn interpreter(&self) -> Option<&str> {
        Launch::of(&self.run).interpreter
    }

    /// What starts its programs, where that is no interpreter.
    pub(in crate::command) fn launcher(&self) -> Option<&str> {
        Launch::of(&self.run).before.first().map(String::as_str)
    }

    /// The folder with its programs, where its interpreter is at a place of its own.
    pub(super) fn programs(&self) -> Option<PathBuf> {
        let launch = Launch::of(&self.run);
        let interpreter = launch.interpreter.filter(|path| launch.before.is_empty() && path.contains('/'))?;
        Path::new(interpreter).parent().map(Path::to_owned)
    }

    /// Whether it is the one that is active in the caller's shell: it says nothing of how programs are started, or that (`uv run --active`).
    pub(super) fn is_active(&self) -> bool {
        self.run.is_empty() || self.run.iter().any(|word| word == "--active")
    }

    /// The virtual environment that its interpreter is in.
    pub(super) fn virtual_environment(&self) -> Option<PathBuf> {
        let folder = self.programs()?.parent()?.to_owned();
        folder.join("pyvenv.cfg").is_file().then_some(folder)
    }
}

/// The words of `run`, with the folder of the project for launchers that would look for it from the folder of the program.
fn with_project(run: &[String], folder: &Path) -> Vec<String> {
    let mut words = run.to_vec();
    let Some((program, rest)) = run.split_first() else { return words };
    let name = Path::new(program).file_name().unwrap_or_default();
    let Some((_, options, follows_run)) = PROJECT_OPTIONS.iter().find(|(known, ..)| name == *known) else {
        return words;
    };
    let Some(verb) = rest.iter().position(|word| word == "run") else {
        return words;
    };
    let is_said = |word: &String| {
        options
            .iter()
            .any(|option| word == option || word.starts_with(&format!("{option}=")))
    };
    if folder.as_os_str().is_empty() || rest.iter().any(|word| word == "--no-project" || is_said(word)) {
        return words;
    }
    let at = if *follows_run { verb + 2 } else { 1 };
    let option = options.first().map_or("", |option| option);
    words.splice(at..at, [option.to_owned(), folder.to_string_lossy().into_owned()]);
    words
}

/// The first option of `uv run` that asks for packages which no lock has and nobody fetches.
pub(super) fn unlocked(run: &[String]) -> Option<&str> {
    let is_uv = run
        .first()
        .is_some_and(|word| Path::new(word).file_name().is_some_and(|name| name == "uv"));
    let mut options = run
        .iter()
        .skip(1)
        .map(|word| word.split_once('=').map_or(word.as_str(), |(name, _)| name));
    options.find(|option| is_uv && EXTRA_PACKAGES.contains(option))
}

/// The command that brings the environment of `uv run` to the state of its lock; `None` for other words, and where nothing is synced.
pub(super) fn uv_sync(run: &[String], folder: &Path) -> Option<Vec<String>> {
    let run = with_project(run, folder);
    let (program, rest) = run.split_first()?;
    let verb = rest.iter().position(|word| word == "run")?;
    let is_uv = Path::new(program).file_name().is_some_and(|name| name == "uv");
    if !is_uv || rest.iter().any(|word| NO_SYNC.contains(&word.as_str())) {
        return None;
    }
    let (before, options) = (rest.get(..verb)?, rest.get(verb + 1..)?);
    let mut words = vec![program.clone()];
    words.extend(before.iter().cloned());
    words.push("sync".to_owned());
    // With `--locked`, a lock that does not fit the project is an error.
    let held = if options.iter().any(|word| word == "--locked") {
        "--locked"
    } else {
        "--frozen"
    };
    words.push(held.to_owned());
    let mut options = options.iter();
    while let Some(word) = options.next() {
        let name = word.split_once('=').map_or(word.as_str(), |(name, _)| name);
        if SYNC_OPTIONS.contains(&name) {
            words.push(word.clone());
            if name == word {
                words.extend(options.next().cloned());
            }
        } else if SYNC_FLAGS.contains(&word.as_str()) {
            words.push(word.clone());
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(run: &str) -> Environment {
        Environment {
            run: run.split_whitespace().map(str::to_owned).collect(),
            folder: "/lab".into(),
            ..Environment::default()
        }
    }

    fn words(run: &str, stage: &str) -> String {
        let stage = stage.split_whitespace().map(OsString::from).collect();
        let words = launched(Some(&environment(run)), stage);
        let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn an_interpreter_takes_the_place_of_python_and_a_launcher_stands_before() {
        let said = [
            words("/lab/.venv/bin/python", "python train.py"),
            words("/lab/.venv/bin/python", "python3 train.py"),
            words("/lab/.venv/bin/python", "torchrun train.py"),
            words("/lab/.venv/bin/python -u", "python train.py"),
            words("python3.12", "python train.py"),
            words("", "python train.py"),
            words("uv run --frozen", "python train.py"),
            words("uv run --project /other", "python train.py"),
            words("uv --offline run", "train"),
            words("poetry run", "python train.py"),
            words("pdm run", "python train.py"),
            words("conda run -n python", "python train.py"),
            words("apptainer exec /lab/image.sif", "Rscript fit.R"),
            words("apptainer exec /lab/image.sif python", "python train.py"),
            words("apptainer exec /lab/image.sif python", "torchrun train.py"),
            words("apptainer exec /lab/image.sif /opt/bin/python3", "python train.py"),
        ];
        insta::assert_snapshot!(said.join("\n"), @r"
        /lab/.venv/bin/python train.py
        /lab/.venv/bin/python train.py
        torchrun train.py
        /lab/.venv/bin/python -u train.py
        python3.12 train.py
        python train.py
        uv --project /lab run --frozen python train.py
        uv run --project /other python train.py
        uv --project /lab --offline run train
        poetry --project /lab run python train.py
        pdm run --project /lab python train.py
        conda run -n python python train.py
        apptainer exec /lab/image.sif Rscript fit.R
        apptainer exec /lab/image.sif python train.py
        apptainer exec /lab/image.sif torchrun train.py
        apptainer exec /lab/image.sif /opt/bin/python3 train.py
        ");
    }

    #[test]
    fn its_python_is_asked_through_its_words() {
        let asked = |run: &str| environment(run).python(&["-c", "x"]).join(" ");
        assert_eq!(asked("/lab/.venv/bin/python -u"), "/lab/.venv/bin/python -c x");
        assert_eq!(asked("uv run --frozen"), "uv --project /lab run --frozen python -c x");
        assert_eq!(asked(""), "python -c x");
        assert_eq!(environment("/lab/.venv/bin/python").programs(), Some("/lab/.venv/bin".into()));
        assert_eq!(environment("apptainer exec /x.sif /opt/bin/python").programs(), None);
    }

    #[test]
    fn uv_sync_takes_over_what_chooses_packages() {
        let sync = |run: &str| {
            let run: Vec<String> = run.split_whitespace().map(str::to_owned).collect();
            uv_sync(&run, Path::new("/lab")).map(|words| words.join(" "))
        };
        assert_eq!(sync("uv run"), Some("uv --project /lab sync --frozen".to_owned()));
        assert_eq!(
            sync("uv run --frozen --extra gpu --group=train -p 3.12 --with rich --env-file .env"),
            Some("uv --project /lab sync --frozen --extra gpu --group=train -p 3.12".to_owned())
        );
        assert_eq!(
            sync("uv run --locked --no-dev"),
            Some("uv --project /lab sync --locked --no-dev".to_owned())
        );
        assert_eq!(sync("uv run --no-project"), None);
        assert_eq!(sync("poetry run"), None);
        assert_eq!(sync(""), None);
    }

    #[test]
    fn packages_beside_the_project_are_noticed() {
        assert_eq!(unlocked(&environment("uv run --with=rich").run), Some("--with"));
        assert_eq!(unlocked(&environment("uv run --frozen").run), None);
        assert_eq!(unlocked(&environment("other run --with rich").run), None);
    }

    #[test]
    fn interpreters_are_known_by_their_names() {
        let is = |name: &str| is_python(Path::new(name));
        assert!(
            ["python", "/a/python3", "python3.12", "pypy3", "pypy3.10"]
                .iter()
                .all(|name| is(name))
        );
        assert!(!["pythonw", "python-config", "ipython", "/python3/x"].iter().any(|name| is(name)));
    }
}
