//! The endings of files that are taken out: those that programs know.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use kinds::artifact::figure::{self, FigureFormat};
use lab::plan::Node;
use lab::source::Source;
use lab::stage::PortType;
use lab::store::Artifact;

/// How much of a file is read to see what it is.
const HEAD_BYTES: u64 = 1 << 10;

/// A longer text after a dot is no ending.
const MOST_LETTERS: usize = 12;

/// The ending of an output's file, with its dot: that of the path to which the program wrote it, else that of its type. Empty for folders,
/// and where nothing tells.
pub(super) fn ending(node: &Node, port: &str, artifact: &Artifact, object: &Path) -> String {
    if artifact.folder {
        return String::new();
    }
    if let Some(ending) = node.stage.declared_path(port).and_then(of_path) {
        return ending;
    }
    let output = node.outputs.iter().find(|output| output.name == port);
    let source = node.stage.source().filter(|_| node.kind.command_line.is_none());
    if let Some(ending) = source.and_then(|source| of_source(source, output?.port)) {
        return ending;
    }
    let of_type = match output.map(|output| output.port) {
        Some(PortType::Dataset | PortType::Answers) => "jsonl",
        Some(PortType::Figure) => of_figure(object),
        Some(PortType::Text) => of_text(&head(object)),
        Some(PortType::Model | PortType::Metrics | PortType::File) | None => "",
    };
    if of_type.is_empty() { String::new() } else { format!(".{of_type}") }
}

/// That of a file that was imported as it is.
fn of_source(source: &Source, port: PortType) -> Option<String> {
    if port != PortType::File {
        return None;
    }
    match source.files.as_slice() {
        [file] => of_path(file),
        _ => of_path(source.path.as_ref()?.to_str()?),
    }
}

/// `.svg` of `out/roc.svg`, `.tar.gz` of `a.tar.gz`; `None` where there is none, or a pattern leaves it open.
fn of_path(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let (before, last) = name.rsplit_once('.').filter(|(before, _)| !before.is_empty())?;
    let is_ending = (1..=MOST_LETTERS).contains(&last.len()) && last.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let packed = if before.ends_with(".tar") { ".tar" } else { "" };
    is_ending.then(|| format!("{packed}.{last}"))
}

fn of_figure(object: &Path) -> &'static str {
    // What cannot be read is told when it is copied.
    figure::format(object).map_or("", FigureFormat::ending)
}

/// A text that begins with a heading is Markdown.
fn of_text(head: &[u8]) -> &'static str {
    let text = String::from_utf8_lossy(head);
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let is_heading = first.trim_start_matches('#').starts_with(' ') && first.starts_with('#');
    if is_heading { "md" } else { "txt" }
}

/// The beginning of a file; what cannot be read is told when it is copied.
fn head(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(HEAD_BYTES).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_ends_as_the_program_s_did() {
        for (path, ending) in [
            ("out/roc.svg", Some(".svg")),
            ("out/results*.json", Some(".json")),
            ("a.tar.gz", Some(".tar.gz")),
            ("out/model*", None),
            ("out/model.*", None),
            (".hidden", None),
            ("v1.2 final", None),
        ] {
            assert_eq!(of_path(path).as_deref(), ending, "{path}");
        }
    }

    #[test]
    fn figures_and_texts_end_as_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("object");
        let figures: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"%PDF-1.7", b"<?xml version='1.0'?>\n<svg>", b"?"];
        let endings = figures.map(|content| {
            std::fs::write(&path, content).unwrap();
            of_figure(&path)
        });
        assert_eq!(endings, ["png", "pdf", "svg", ""]);
        let texts: [&[u8]; 4] = [b"\n# Notes\n", b"#!/bin/sh", b"plain", b""];
        assert_eq!(texts.map(of_text), ["md", "txt", "txt", "txt"]);
    }
}
