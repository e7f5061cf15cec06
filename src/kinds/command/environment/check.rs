//! Holds what is installed in an environment against its lock and its constraints, before the program starts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::installed::{Installed, NoAnswer, QUESTION, ask, python_version};
use super::launch::is_python;
use super::lock::{self, Lock};
use super::version::{Constraint, normalized};
use super::{Environment, file_name};
use crate::command::placeholders::FilledProgram;
use crate::command::program::{self, Search};
use crate::command::work_folder::WorkFolder;
use crate::command::{CommandStage, log};
use lab::hash;
use lab::stage::{StageContext, StageError, failed};
use lab::store::ProgramFound;

/// The most differences that a message names.
const MOST_NAMED: usize = 5;

/// The name under which `versions` constrains the interpreter itself.
const PYTHON: &str = "python";

/// Files of a project that launchers read.
const PROJECT_FILES: [&str; 9] = [
    "pyproject.toml",
    "uv.lock",
    "uv.toml",
    ".python-version",
    "poetry.lock",
    "poetry.toml",
    "pdm.lock",
    "pdm.toml",
    ".pdm-python",
];

/// What was found in the environment of a stage.
pub(in crate::command) struct Found {
    /// For the record.
    pub(in crate::command) program: ProgramFound,
    /// What a program in it must be able to read.
    pub(in crate::command) readable: Vec<PathBuf>,
}

/// Looks at the environment of a stage, and holds it to what the stage says.
///
/// # Errors
/// When something else is installed than the lock or `versions` say, or it cannot be asked though it must be.
pub(in crate::command) fn check(
    stage: &CommandStage,
    filled: &FilledProgram,
    place: &WorkFolder,
    context: &StageContext<'_>,
) -> Result<Found, StageError> {
    let Some(environment) = &stage.environment else {
        return Ok(Found {
            program: started(filled, place, true),
            readable: Vec::new(),
        });
    };
    check_files(environment, context)?;
    let lock = read_lock(environment)?;
    let must_ask = lock.is_some() || !environment.versions.is_empty();
    let first = filled.run.first().map(ToString::to_string).unwrap_or_default();
    let may_ask = must_ask || environment.interpreter().is_some() || is_python(Path::new(&first));
    let mut found = Found {
        program: started(filled, place, !may_ask),
        readable: readable(environment),
    };
    found.program.environment = Some(environment.name.clone()).filter(|name| !name.is_empty());
    if !may_ask {
        return Ok(found);
    }
    let installed = match ask(&environment.python(&QUESTION), &filled.env, &place.folder, context) {
        Ok(installed) => installed,
        Err(why) if must_ask || matches!(why, NoAnswer::Stopped) => return Err(why.in_environment(&environment.title())),
        Err(_) => return Ok(found),
    };
    hold(environment, lock.as_ref(), &installed, context)?;
    // Where the environment's interpreter is not the stage's program, it is what the program would use.
    found.program.path = installed.executable.to_string_lossy().into_owned();
    found.program.python = Some(installed.version.clone());
    found.program.packages = named(environment, lock.as_ref(), &installed);
    found.readable.extend([installed.prefix, installed.base_prefix]);
    Ok(found)
}

/// The program or the interpreter that the stage's words start, as it is found in `PATH`.
fn started(filled: &FilledProgram, place: &WorkFolder, asks_version: bool) -> ProgramFound {
    let search = Search {
        path: program::search_path(&filled.env),
        folder: Some(&place.folder),
    };
    let path = program::interpreter(&filled.run, &search).unwrap_or_default();
    let asks_version = asks_version && is_python(&path);
    ProgramFound {
        python: asks_version
            .then(|| python_version(&path, Some((&filled.env, &place.folder))))
            .flatten(),
        path: path.to_string_lossy().into_owned(),
        ..ProgramFound::default()
    }
}

/// The lock and the image must be those of the key: they may have been edited since.
fn check_files(environment: &Environment, context: &StageContext<'_>) -> Result<(), StageError> {
    for file in environment.files() {
        let path = file.path.unwrap_or_default();
        context.pause(0)?;
        let digest = hash::file(&path).map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?;
        if context
            .environment_files
            .get(&file.name)
            .is_some_and(|expected| *expected != digest)
        {
            let (name, path) = (&file.name, path.display());
            return Err(failed(format!("`{name}` was changed after the run had begun ({path}); run again")));
        }
    }
    Ok(())
}

/// What the lock says; `None` where there is none, or its versions cannot be read.
fn read_lock(environment: &Environment) -> Result<Option<Lock>, StageError> {
    let Some(path) = &environment.lock else { return Ok(None) };
    let name = file_name(path);
    if !lock::is_known(&name) {
        log(&format!(
            "{}: what is installed is not compared with `{name}`, whose format is not known",
            environment.title()
        ));
        return Ok(None);
    }
    let text = fs::read_to_string(path).map_err(|error| failed(format!("cannot read {}: {error}", path.display())))?;
    lock::read(&name, &text).map_err(|why| failed(format!("{}: {why}", environment.title())))
}

/// Fails the stage where something else is installed.
fn hold(environment: &Environment, lock: Option<&Lock>, installed: &Installed, context: &StageContext<'_>) -> Result<(), StageError> {
    let title = environment.title();
    let versions: BTreeMap<String, String> = versions_of(installed);
    let of_lock = lock.zip(environment.lock.as_deref());
    let differences = of_lock.map_or_else(Vec::new, |(lock, path)| lock.differences(&file_name(path), &versions));
    if !differences.is_empty() {
        return Err(failed(format!("{title}: {}: {}", listed(&differences), advice(environment))));
    }
    let violations = violations(environment, &versions, &installed.version);
    if !violations.is_empty() {
        return Err(failed(format!(
            "{title}: {}: install what fits, or change `versions`",
            listed(&violations)
        )));
    }
    if let Some((lock, path)) = of_lock {
        warn_of_gaps(environment, lock, path, &versions, context);
    }
    Ok(())
}

/// Warns of what a lock does not hold.
fn warn_of_gaps(environment: &Environment, lock: &Lock, path: &Path, versions: &BTreeMap<String, String>, context: &StageContext<'_>) {
    let (title, name) = (environment.title(), file_name(path));
    if !lock.packages.is_empty() && !lock.packages.keys().any(|package| versions.contains_key(package)) {
        (context.warn)(&format!("{title}: none of the packages in `{name}` is installed"));
    }
    let folders: Vec<&str> = lock
        .folders
        .iter()
        .map(String::as_str)
        .filter(|package| versions.contains_key(*package))
        .collect();
    if !folders.is_empty() {
        (context.warn)(&format!(
            "{title}: {} comes from a folder, whose files are in no key: bring those that the program imports in as a `source`",
            folders.join(", ")
        ));
    }
}

/// The constraints that do not hold: `torch is 1.13.1, and `versions` wants 2.*`.
fn violations(environment: &Environment, installed: &BTreeMap<String, String>, python: &str) -> Vec<String> {
    let violation = |(package, wanted): (&String, &String)| {
        let name = normalized(package);
        let found = if name == PYTHON {
            Some(python)
        } else {
            installed.get(&name).map(String::as_str)
        };
        let is_held = found.is_some_and(|found| Constraint::read(wanted).is_ok_and(|wanted| wanted.allows(found)));
        let found = found.map_or_else(|| "not installed".to_owned(), str::to_owned);
        (!is_held).then(|| format!("{package} is {found}, and `versions` wants {wanted}"))
    };
    environment.versions.iter().filter_map(violation).collect()
}

/// The installed versions of the packages that the lock or `versions` name.
fn named(environment: &Environment, lock: Option<&Lock>, installed: &Installed) -> BTreeMap<String, String> {
    let locked = lock.into_iter().flat_map(|lock| lock.packages.keys().chain(&lock.folders).cloned());
    let constrained = environment.versions.keys().map(|package| normalized(package));
    let versions = versions_of(installed);
    let found = locked.chain(constrained).filter_map(|package| {
        let version = versions.get(&package)?.clone();
        Some((package, version))
    });
    found.collect()
}

fn versions_of(installed: &Installed) -> BTreeMap<String, String> {
    let known = installed.packages.iter();
    known
        .filter_map(|(package, version)| Some((package.clone(), version.clone()?)))
        .collect()
}

/// Some differences as one text.
fn listed(differences: &[String]) -> String {
    let mut text = differences.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join("; ");
    if differences.len() > MOST_NAMED {
        text += &format!("; and {} more", differences.len() - MOST_NAMED);
    }
    text
}

/// What installs what the lock says.
fn advice(environment: &Environment) -> String {
    let lock = environment.lock.as_deref().map(file_name).unwrap_or_default();
    let prepared = environment.preparation().map(|preparation| {
        // The folder of the project is where a person is.
        let folder = preparation.folder.to_string_lossy().into_owned();
        let words = preparation.words.iter().filter(|word| *word != "--project" && **word != folder);
        words.cloned().collect::<Vec<_>>().join(" ")
    });
    let command = prepared.unwrap_or_else(|| match lock.as_str() {
        "uv.lock" => "uv sync --frozen".to_owned(),
        "poetry.lock" => "poetry install".to_owned(),
        "pdm.lock" => "pdm sync".to_owned(),
        name if name.ends_with(".toml") => format!("uv pip sync {name}"),
        name => format!("pip install -r {name}"),
    });
    format!("run `{command}`")
}

/// The files and folders of an environment that are known without asking it.
fn readable(environment: &Environment) -> Vec<PathBuf> {
    let words = environment
        .run
        .iter()
        .map(|word| Path::new(word.rsplit_once('=').map_or(word.as_str(), |(_, path)| path)));
    let paths = words.filter(|path| path.is_absolute()).map(Path::to_owned);
    let project = PROJECT_FILES.iter().map(|name| environment.folder.join(name));
    let files = environment.files().into_iter().filter_map(|file| file.path);
    paths
        .filter(|path| path.is_file())
        .chain(project.filter(|path| path.is_file()))
        .chain(files)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            name: "torch".to_owned(),
            versions: [("torch", "2.*"), ("Python", ">=3.11"), ("Ruamel_YAML", "0.18")]
                .map(|(name, wanted)| (name.to_owned(), wanted.to_owned()))
                .into(),
            ..Environment::default()
        }
    }

    #[test]
    fn constraints_that_do_not_hold_are_named() {
        let installed = |packages: &[(&str, &str)]| {
            packages
                .iter()
                .map(|&(name, version)| (name.to_owned(), version.to_owned()))
                .collect()
        };
        let good = installed(&[("torch", "2.4.0+cu121"), ("ruamel-yaml", "0.18.0")]);
        assert!(violations(&environment(), &good, "3.12.1").is_empty());
        let bad = installed(&[("torch", "1.13.1")]);
        assert_eq!(
            violations(&environment(), &bad, "3.10.2"),
            [
                "Python is 3.10.2, and `versions` wants >=3.11",
                "Ruamel_YAML is not installed, and `versions` wants 0.18",
                "torch is 1.13.1, and `versions` wants 2.*"
            ]
        );
    }

    #[test]
    fn the_advice_is_what_installs_the_lock() {
        let said = |run: &str, lock: &str, prepare: &str| {
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
            advice(&Environment {
                run: words(run),
                lock: Some(Path::new("/lab").join(lock)),
                prepare: words(prepare),
                folder: "/lab".into(),
                ..environment()
            })
        };
        assert_eq!(said("uv run --extra gpu", "uv.lock", ""), "run `uv sync --frozen --extra gpu`");
        assert_eq!(said("/lab/.venv/bin/python", "uv.lock", ""), "run `uv sync --frozen`");
        assert_eq!(
            said("/lab/.venv/bin/python", "requirements.txt", ""),
            "run `pip install -r requirements.txt`"
        );
        assert_eq!(said("/lab/.venv/bin/python", "uv.lock", "make env"), "run `make env`");
    }

    #[test]
    fn long_lists_are_cut() {
        let many: Vec<String> = (0..7).map(|number| format!("d{number}")).collect();
        assert_eq!(listed(&many), "d0; d1; d2; d3; d4; and 2 more");
        assert_eq!(listed(&many[..2]), "d0; d1");
    }
}
