//! The README's commands, run.
//!
//! Every ```` ```sh ```` block is run, line by line, in the order of the page, in a folder that has the repository's experiments and the
//! page's own TOML files. Two things differ from what a reader does, so that it ends in seconds: `cargo run --release --` is the
//! program that the tests were built with, and every command that takes an experiment gets `--profile smoke` as the last profile.

use std::path::Path;
use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn page() -> String {
    std::fs::read_to_string(format!("{ROOT}/README.md")).unwrap()
}

/// The blocks of the page that are written in `language`.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let after = page.split(&fence).skip(1);
    after
        .filter_map(|text| text.split_once("```"))
        .map(|(block, _)| block.to_owned())
        .collect()
}

/// The arguments that `runner` is given by a line; nothing for the command that runs the tests.
fn arguments(line: &str) -> Option<Vec<String>> {
    let words = line
        .strip_prefix("cargo run --release -- ")
        .or_else(|| line.strip_prefix("runner "));
    if words.is_none() {
        assert_eq!(line, "cargo test", "a command that this test does not know");
    }
    let mut words: Vec<String> = words?.split_whitespace().map(str::to_owned).collect();
    if words
        .iter()
        .any(|word| Path::new(word).extension().is_some_and(|end| end == "toml"))
    {
        words.extend(["--profile".to_owned(), "smoke".to_owned()]);
    }
    Some(words)
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
fn every_command_of_the_readme_works() {
    let folder = tempfile::tempdir().unwrap();
    copy(&Path::new(ROOT).join("experiments"), &folder.path().join("experiments"));
    for toml in blocks(&page(), "toml") {
        // A file's name is the comment that it begins with; what has none is part of a file.
        if let Some(name) = toml
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# "))
            .filter(|name| name.ends_with(".toml"))
        {
            std::fs::write(folder.path().join(name), &toml).unwrap();
        }
    }
    let mut ran = 0;
    for line in blocks(&page(), "sh").iter().flat_map(|block| block.lines()) {
        let Some(arguments) = arguments(line) else { continue };
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
    assert!(ran >= 10, "only {ran} commands were found in the README");
}

#[test]
fn links_lead_to_files_and_headings() {
    for target in page().split("](").skip(1).filter_map(|text| text.split(')').next()) {
        if target.starts_with("http") {
            continue;
        }
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let path = Path::new(ROOT).join(if file.is_empty() { "README.md" } else { file });
        assert!(path.exists(), "{target} is not there");
        if !heading.is_empty() {
            let text = std::fs::read_to_string(path).unwrap();
            let headings = text.lines().filter(|line| line.starts_with('#')).map(anchor);
            assert!(headings.into_iter().any(|anchor| anchor == heading), "{target} is not there");
        }
    }
}

/// What a heading is linked by: its words in small letters, with hyphens between them.
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
