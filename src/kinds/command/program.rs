//! Whether a program can be started: looked at before anything runs, and again for the message when it could not be.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::environment::is_python;
use super::shebang::{AskedOfEnv, Shebang, loader, start_of};
use lab::source::Source;
use lab::stage::Argument;

/// The default search path for programs; `env` can set another.
pub(super) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The value of `PATH` for a program with these variables.
pub(super) fn search_path(env: &BTreeMap<String, String>) -> &str {
    env.get("PATH").map_or("", String::as_str)
}

/// Where programs are searched.
pub(super) struct Search<'a> {
    /// The value of `PATH`.
    pub(super) path: &'a str,
    /// The folder that relative parts of it start from, the program's own; `None` before it is there.
    pub(super) folder: Option<&'a Path>,
}

/// The result of searching a program.
#[derive(Debug, PartialEq)]
enum Found {
    At(PathBuf),
    /// It is there, but cannot be executed: what is wrong.
    Wrong(String),
    Nowhere,
    /// It may be in a folder that is not there yet.
    Unknown,
}

/// What keeps the command `run` from being started; `None` where nothing does, as far as can be seen.
pub(super) fn problem(run: &[Argument], source: Option<&Source>, search: &Search<'_>) -> Option<String> {
    match run.first()? {
        Argument::File { path, .. } => problem_of_file(path, search),
        // It is not known before the stage runs.
        Argument::Template(_) => None,
        Argument::Text(word) if word.contains('/') => {
            // A file of the source, where that is on this machine.
            let place = match search.folder {
                Some(folder) => folder.join(word),
                None => {
                    let path = source?.path.as_ref()?;
                    if path.is_file() {
                        path.clone()
                    } else {
                        path.join(word.trim_start_matches("./"))
                    }
                }
            };
            let Ok(about) = fs::metadata(&place) else {
                return search.folder.map(|_| format!("no file `{word}` in the folder of the program"));
            };
            wrong(&place, &about).or_else(|| problem_of_file(&place, search))
        }
        Argument::Text(word) => match search.find(word) {
            // Without a first line of its own it is read by the shell, where it is found in `PATH`.
            Found::At(path) if start_of(&path).is_some_and(|start| start.starts_with(b"#!") || loader(&start).is_some()) => {
                problem_of_file(&path, search)
            }
            Found::At(_) | Found::Unknown => None,
            Found::Wrong(what) => Some(format!("cannot start `{word}`: {what}")),
            Found::Nowhere => Some(search.nowhere(word)),
        },
    }
}

/// Where the command's program and its interpreter are, as far as they are found.
pub(super) fn places(run: &[Argument], search: &Search<'_>) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let found = match run.first() {
        Some(Argument::File { path, .. }) => Some(path.clone()),
        Some(Argument::Text(word)) if word.contains('/') => search.folder.map(|folder| folder.join(word)),
        Some(Argument::Text(word)) => search.found(word),
        Some(Argument::Template(_)) | None => None,
    };
    let Some(program) = found else { return places };
    if let Some(shebang) = start_of(&program).as_deref().and_then(Shebang::of) {
        let named = shebang.asked_of_env().and_then(|asked| match asked {
            AskedOfEnv::Program(program) => search.found(program),
            AskedOfEnv::WithArguments(_) => None,
        });
        places.extend(named);
        places.push(shebang.interpreter.into());
    }
    places.push(program);
    places
}

/// The interpreter of the command's program: that program itself where it is Python, or what the first line of a script asks for; else
/// the program, as far as it is found.
pub(super) fn interpreter(run: &[Argument], search: &Search<'_>) -> Option<PathBuf> {
    let places = places(run, search);
    let program = places.last().filter(|program| is_python(program));
    program.or(places.first()).cloned()
}

impl Search<'_> {
    /// The folders in which programs are searched.
    pub(super) fn folders(&self) -> Vec<PathBuf> {
        let parts = self.path.split(':');
        parts.filter_map(|part| self.place(part)).collect()
    }

    /// An entry of `PATH` as a folder; `None` when it is relative to a folder that is not there yet.
    fn place(&self, part: &str) -> Option<PathBuf> {
        let part = Path::new(if part.is_empty() { "." } else { part });
        match self.folder {
            Some(folder) => Some(folder.join(part)),
            None => part.is_absolute().then(|| part.to_owned()),
        }
    }

    fn found(&self, program: &str) -> Option<PathBuf> {
        match self.find(program) {
            Found::At(path) => Some(path),
            _ => None,
        }
    }

    fn find(&self, program: &str) -> Found {
        let (mut otherwise, mut is_unknown) = (Found::Nowhere, false);
        for part in self.path.split(':') {
            let Some(folder) = self.place(part) else {
                // No shell puts a home in the place of `~`.
                is_unknown |= !part.starts_with('~');
                continue;
            };
            let path = folder.join(program);
            let Ok(link) = fs::symlink_metadata(&path) else { continue };
            let what = match fs::metadata(&path) {
                Ok(about) => match wrong(&path, &about) {
                    None => return Found::At(path),
                    Some(what) => what,
                },
                Err(_) if link.is_symlink() => format!("{} is a link to something that is not there", path.display()),
                Err(error) => format!("{}: {error}", path.display()),
            };
            if otherwise == Found::Nowhere {
                otherwise = Found::Wrong(what);
            }
        }
        if is_unknown { Found::Unknown } else { otherwise }
    }

    fn nowhere(&self, program: &str) -> String {
        let mut text = format!("no program `{program}` in PATH ({})", self.path);
        if self.path.split(':').any(|part| part.starts_with('~')) {
            text += ": `~` stands for nothing there, so write the whole path";
        } else {
            text += ": where it is elsewhere, say so in the stage (`env = { PATH = \"…\" }`)";
        }
        text
    }
}

/// What keeps the file or folder at `path` from being executed at all.
fn wrong(path: &Path, about: &fs::Metadata) -> Option<String> {
    if about.is_dir() {
        return Some(format!("{} is a folder", path.display()));
    }
    let is_executable = about.permissions().mode() & 0o111 != 0;
    (!is_executable).then(|| format!("{} may not be executed (`chmod +x` makes it a program)", path.display()))
}

/// What keeps a file from being executed: its first line, or what that names.
fn problem_of_file(path: &Path, search: &Search<'_>) -> Option<String> {
    let start = start_of(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if start.starts_with(b"\xef\xbb\xbf#!") {
        return Some(format!(
            "`{name}` begins with a byte order mark, so that the system does not see its `#!`: save it without one"
        ));
    }
    if let Some(loader) = loader(&start) {
        let is_there = Path::new(&loader).exists();
        return (!is_there)
            .then(|| format!("`{name}` asks for the loader `{loader}`, which is not there: it was built for another system"));
    }
    let Some(shebang) = Shebang::of(&start) else {
        let is_text = !start.contains(&0) && std::str::from_utf8(&start).map_or_else(|error| error.error_len().is_none(), |_| true);
        return is_text.then(|| {
            format!("`{name}` has no first line that says what reads it (`#!/bin/sh`): write one, or name the reader first, as in `run = [\"sh\", \"{name}\"]`")
        });
    };
    let Shebang {
        interpreter,
        rest,
        ends_in_return,
    } = &shebang;
    if *ends_in_return {
        let asked = [interpreter.as_str(), rest.as_str()].join(" ");
        return Some(format!(
            "the first line of `{name}` ends in a carriage return, as on Windows, and so asks for the interpreter `{}\\r`, which is not there: \
             `sed -i 's/\\r$//' {name}` mends it",
            asked.trim_end()
        ));
    }
    if interpreter.is_empty() {
        return Some(format!("the first line of `{name}` names no interpreter after its `#!`"));
    }
    let place = Path::new(interpreter);
    if !place.is_absolute() && search.folder.is_none() {
        return Some(format!(
            "the first line of `{name}` asks for the interpreter `{interpreter}`, which is no whole path: write `#!/usr/bin/env {interpreter}`"
        ));
    }
    let place = search.folder.map_or_else(|| place.to_owned(), |folder| folder.join(place));
    let asks = |what: String| {
        Some(format!(
            "`{name}` asks for the interpreter `{interpreter}` in its first line: {what}"
        ))
    };
    let about = match fs::metadata(&place) {
        Ok(about) => about,
        Err(_) if fs::symlink_metadata(&place).is_ok() => return asks("it is a link to something that is not there".to_owned()),
        Err(_) => return asks("it is not there".to_owned()),
    };
    if let Some(what) = wrong(&place, &about) {
        return asks(what);
    }
    match shebang.asked_of_env()? {
        AskedOfEnv::WithArguments(all) => asks(format!(
            "it looks for a program called `{all}`; write `#!{interpreter} -S {all}` to give it arguments"
        )),
        AskedOfEnv::Program(program) => match search.find(program) {
            Found::At(_) | Found::Unknown => None,
            Found::Wrong(what) => asks(what),
            Found::Nowhere => asks(search.nowhere(program)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_a_program_from_being_started_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        let write = |name: &str, text: &[u8], mode: u32| {
            fs::write(place.join(name), text).unwrap();
            fs::set_permissions(place.join(name), fs::Permissions::from_mode(mode)).unwrap();
        };
        write("tool", b"\x7fELF\0", 0o755);
        write("locked", b"\x7fELF\0", 0o644);
        fs::create_dir(place.join("folder")).unwrap();
        std::os::unix::fs::symlink("nowhere", place.join("dangling")).unwrap();
        let scripts: [(&str, &[u8]); 13] = [
            ("good", b"#!/bin/sh\n"),
            ("good-env", b"#! /usr/bin/env tool\n"),
            ("crlf", b"#!/bin/sh\r\n"),
            ("crlf-env", b"#!/usr/bin/env tool\r\n"),
            ("missing", b"#!/no/such/python\n"),
            ("missing-env", b"#!/usr/bin/env pyhton3\n"),
            ("split", b"#!/usr/bin/env tool -u\n"),
            ("split-s", b"#!/usr/bin/env -S A=1 tool -u\n"),
            ("relative", b"#!python3\n"),
            ("none", b"#!\n"),
            ("mark", b"\xef\xbb\xbf#!/bin/sh\n"),
            ("text", b"echo hi\n"),
            ("empty", b""),
        ];
        for (name, text) in scripts {
            write(name, text, 0o755);
        }
        let path = place.display().to_string();
        let search = Search { path: &path, folder: None };
        let said = |run: Argument| {
            let said = problem(&[run], None, &search).unwrap_or_else(|| "nothing".to_owned());
            said.replace(&path, "LAB")
        };
        let words = ["tool", "toool", "locked", "folder", "dangling"];
        let words = words.map(|word| format!("{word}: {}", said(Argument::Text(word.to_owned()))));
        let files = scripts.map(|(name, _)| {
            let file = Argument::File {
                before: "./".to_owned(),
                path: place.join(name),
            };
            format!("{name}: {}", said(file))
        });
        insta::assert_snapshot!([words.join("\n"), files.join("\n")].join("\n\n"), @r#"
        tool: nothing
        toool: no program `toool` in PATH (LAB): where it is elsewhere, say so in the stage (`env = { PATH = "…" }`)
        locked: cannot start `locked`: LAB/locked may not be executed (`chmod +x` makes it a program)
        folder: cannot start `folder`: LAB/folder is a folder
        dangling: cannot start `dangling`: LAB/dangling is a link to something that is not there

        good: nothing
        good-env: nothing
        crlf: the first line of `crlf` ends in a carriage return, as on Windows, and so asks for the interpreter `/bin/sh\r`, which is not there: `sed -i 's/\r$//' crlf` mends it
        crlf-env: the first line of `crlf-env` ends in a carriage return, as on Windows, and so asks for the interpreter `/usr/bin/env tool\r`, which is not there: `sed -i 's/\r$//' crlf-env` mends it
        missing: `missing` asks for the interpreter `/no/such/python` in its first line: it is not there
        missing-env: `missing-env` asks for the interpreter `/usr/bin/env` in its first line: no program `pyhton3` in PATH (LAB): where it is elsewhere, say so in the stage (`env = { PATH = "…" }`)
        split: `split` asks for the interpreter `/usr/bin/env` in its first line: it looks for a program called `tool -u`; write `#!/usr/bin/env -S tool -u` to give it arguments
        split-s: nothing
        relative: the first line of `relative` asks for the interpreter `python3`, which is no whole path: write `#!/usr/bin/env python3`
        none: the first line of `none` names no interpreter after its `#!`
        mark: `mark` begins with a byte order mark, so that the system does not see its `#!`: save it without one
        text: `text` has no first line that says what reads it (`#!/bin/sh`): write one, or name the reader first, as in `run = ["sh", "text"]`
        empty: `empty` has no first line that says what reads it (`#!/bin/sh`): write one, or name the reader first, as in `run = ["sh", "empty"]`
        "#);
    }

    #[test]
    fn relative_parts_of_the_search_path_start_from_the_program_s_folder() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        fs::write(folder.path().join("bin/tool"), b"\x7fELF").unwrap();
        fs::set_permissions(folder.path().join("bin/tool"), fs::Permissions::from_mode(0o755)).unwrap();
        let before = Search {
            path: "bin:/nowhere",
            folder: None,
        };
        assert_eq!(before.find("tool"), Found::Unknown);
        let (here, path) = (Some(folder.path()), "bin:/nowhere");
        let then = Search { path, folder: here };
        assert_eq!(then.find("tool"), Found::At(folder.path().join("bin/tool")));
        assert_eq!(then.find("other"), Found::Nowhere);
        let home = Search {
            path: "~/bin",
            folder: here,
        };
        assert!(home.nowhere("tool").contains("`~` stands for nothing there"));
    }
}
