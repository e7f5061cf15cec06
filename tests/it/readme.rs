//! The commands of the README and of `docs/`, run.
//!
//! Every ```` ```sh ```` block is run, line by line, in the order of the pages, in a folder that has the repository's experiments and the
//! pages' own files: blocks whose first line is a comment with a file name, such as `# wider.toml`. Two things
//! differ from what a reader does, so that it ends in seconds: `cargo run --release --` is the program that the tests were built with,
//! and every command that takes an experiment with a profile `smoke` gets `--profile smoke` as the last profile.

use std::path::{Path, PathBuf};
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A page of the documentation.
struct Page {
    path: PathBuf,
    text: String,
}

/// The README, then the pages in `docs/` by name.
fn pages() -> Vec<Page> {
    let entries = std::fs::read_dir(format!("{ROOT}/docs")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "md"));
    paths.sort();
    paths.insert(0, PathBuf::from(format!("{ROOT}/README.md")));
    let page = |path: PathBuf| Page {
        text: std::fs::read_to_string(&path).unwrap(),
        path,
    };
    paths.into_iter().map(page).collect()
}

/// The language and the text of each fenced block of a page.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (None, Some((language, block))) => open = Some((language, block + line + "\n")),
            (None, None) => {}
        }
    }
    blocks
}

/// The file that a block belongs into, from the comment on its first line; a block without one is part of a file.
fn file_name(block: &str) -> Option<&str> {
    let name = block.lines().next()?.strip_prefix("# ")?;
    let is_name = !name.contains(' ') && Path::new(name).extension().is_some();
    is_name.then_some(name)
}

/// The arguments of `runner` in a line, which is run in `folder`; `None` for the command that runs the tests.
fn arguments(line: &str, folder: &Path) -> Option<Vec<String>> {
    let words = line
        .strip_prefix("cargo run --release -- ")
        .or_else(|| line.strip_prefix("runner "));
    if words.is_none() {
        assert_eq!(line, "cargo test", "a command that this test does not know");
    }
    let mut words = shlex::split(words?).unwrap();
    // `x.toml`, or one of its variants: `x.toml@seed=1`.
    let experiment = words.iter().filter_map(|word| Some(word.split('@').next()?.to_owned()));
    let experiment = experiment.into_iter().find(|word| word.ends_with(".toml"));
    if experiment.is_some_and(|file| has_smoke(&folder.join(file))) {
        words.extend(["--profile".to_owned(), "smoke".to_owned()]);
    }
    Some(words)
}

/// Whether an experiment, or one that it extends, has the profile `smoke`.
fn has_smoke(file: &Path) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let table: toml::Table = text.parse().unwrap_or_default();
    let extended = match table.get("extends") {
        Some(toml::Value::String(file)) => vec![file.clone()],
        Some(toml::Value::Array(files)) => files.iter().filter_map(|file| Some(file.as_str()?.to_owned())).collect(),
        _ => Vec::new(),
    };
    let is_own = table.get("profile").is_some_and(|profiles| profiles.get("smoke").is_some());
    is_own || extended.iter().any(|base| has_smoke(&file.with_file_name(base)))
}

/// Copies a folder and all that is in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let copied = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            std::fs::copy(&path, &copied).unwrap();
        }
    }
}

#[test]
fn every_command_of_the_readme_and_docs_works() {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(ROOT).join("experiments"), &folder.path().join("experiments"));
    let blocks: Vec<(String, String)> = pages().iter().flat_map(|page| blocks(&page.text)).collect();
    for (_, text) in &blocks {
        if let Some(name) = file_name(text) {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
    }
    let commands = blocks.iter().filter(|(language, _)| language == "sh");
    let mut ran = 0;
    for line in commands.flat_map(|(_, text)| text.lines()) {
        let Some(arguments) = arguments(line, folder.path()) else {
            continue;
        };
        let out = Command::new(env!("CARGO_BIN_EXE_runner"))
            .current_dir(folder.path())
            .args(&arguments)
            .env("RUNNER_STORE", folder.path().join("store"))
            .env("XDG_CONFIG_HOME", folder.path())
            .output()
            .unwrap();
        assert!(
            out.status.success(),
            "{line}\n{}\n{}",
            String::from_utf8_lossy(&out.stdout),
            String::from_utf8_lossy(&out.stderr)
        );
        ran += 1;
    }
    assert!(ran >= 20, "only {ran} commands were found");
}

#[test]
fn links_lead_to_files_and_headings() {
    for page in pages() {
        for target in page.text.split("](").skip(1).filter_map(|text| text.split(')').next()) {
            if target.starts_with("http") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() {
                page.path.clone()
            } else {
                page.path.parent().unwrap().join(file)
            };
            let missing = format!("{}: {target} is not there", page.path.display());
            assert!(path.exists(), "{missing}");
            if !heading.is_empty() {
                let text = std::fs::read_to_string(path).unwrap();
                let mut headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
                assert!(headings.any(|anchor| anchor == heading), "{missing}");
            }
        }
    }
}

/// The anchor of a heading: its words in small letters, with hyphens between them.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn the_shipped_schema_is_what_the_program_prints() {
    let out = Command::new(env!("CARGO_BIN_EXE_runner")).arg("schema").output().unwrap();
    let shipped = std::fs::read(format!("{ROOT}/experiments/schema.json")).unwrap();
    assert!(out.stdout == shipped, "run `runner schema > experiments/schema.json`");
}
