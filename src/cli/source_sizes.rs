//! How many files of a source are in the key, and which of them are large.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::sources::sources_of;
use lab::plan::Plan;
use lab::source::{Source, SourceContents};
use lab::text::bytes;

/// A larger file is probably no code.
const LARGE_FILE: u64 = 10_000_000;

/// The most large files that are named.
const MOST_NAMED: usize = 5;

/// The files of a folder that are in the keys of stages.
pub(super) struct SourceSize {
    name: String,
    is_code: bool,
    files: usize,
    bytes: u64,
    /// The largest first.
    large: Vec<(String, u64)>,
}

/// The size of each folder that selected stages read as a source. Where a source has a pin, no files are in the key.
pub(super) fn sizes(plan: &Plan, contents: &SourceContents) -> Vec<SourceSize> {
    let sources: BTreeSet<&Source> = plan.stages().flat_map(|(_, node, _)| sources_of(node)).collect();
    let size = |source: &Source| {
        let place = source.path.as_deref().filter(|place| place.is_dir())?;
        let content = contents.get(source).filter(|_| source.pin().is_none())?;
        let length = |name: &String| std::fs::metadata(place.join(name)).map_or(0, |about| about.len());
        let lengths: Vec<(String, u64)> = content.files.keys().map(|name| (name.clone(), length(name))).collect();
        let mut large: Vec<(String, u64)> = lengths.iter().filter(|(_, length)| *length > LARGE_FILE).cloned().collect();
        large.sort_by_key(|(_, length)| std::cmp::Reverse(*length));
        Some(SourceSize {
            name: source.name.clone(),
            is_code: source.is_code,
            files: lengths.len(),
            bytes: lengths.iter().map(|(_, length)| length).sum(),
            large,
        })
    };
    sources.into_iter().filter_map(size).collect()
}

/// `[{"name", "files", "bytes", "large": [{"name", "bytes"}]}]`.
pub(super) fn as_json(sizes: &[SourceSize]) -> Value {
    let large = |(name, bytes): &(String, u64)| json!({"name": name, "bytes": bytes});
    let size = |size: &SourceSize| {
        json!({
            "name": size.name, "files": size.files, "bytes": size.bytes,
            "large": size.large.iter().map(large).collect::<Vec<_>>(),
        })
    };
    sizes.iter().map(size).collect()
}

/// A line for each source. Large files of data are no news.
pub(super) fn as_text(sizes: &[SourceSize]) -> String {
    sizes.iter().map(line).collect()
}

fn line(size: &SourceSize) -> String {
    let SourceSize { name, files, large, .. } = size;
    let word = if *files == 1 { "file" } else { "files" };
    let mut text = format!("source `{name}`: {files} {word} in the key ({})", bytes(size.bytes));
    if size.is_code && !large.is_empty() {
        let named = large
            .iter()
            .take(MOST_NAMED)
            .map(|(name, length)| format!("{name} ({})", bytes(*length)));
        let mut named: Vec<String> = named.collect();
        if large.len() > MOST_NAMED {
            named.push(format!("{} more", large.len() - MOST_NAMED));
        }
        text += &format!(
            "; large: {}; `.gitignore`, or `files` of the source, leaves out what is no code",
            named.join(", ")
        );
    }
    text + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_files_of_code_are_named() {
        let size = |is_code, large: &[(&str, u64)]| SourceSize {
            name: "code".to_owned(),
            is_code,
            files: 12,
            bytes: 48_200,
            large: large.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect(),
        };
        let many: Vec<(String, u64)> = (0..7).map(|number| (format!("{number}.bin"), 20_000_000)).collect();
        let many: Vec<(&str, u64)> = many.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
        let text = as_text(&[size(true, &[]), size(true, &many), size(false, &many)]);
        insta::assert_snapshot!(text, @r"
        source `code`: 12 files in the key (48.2 kB)
        source `code`: 12 files in the key (48.2 kB); large: 0.bin (20.0 MB), 1.bin (20.0 MB), 2.bin (20.0 MB), 3.bin (20.0 MB), 4.bin (20.0 MB), 2 more; `.gitignore`, or `files` of the source, leaves out what is no code
        source `code`: 12 files in the key (48.2 kB)
        ");
        assert_eq!(as_json(&[size(true, &[("a", 1)])])[0]["large"][0]["name"], "a");
    }
}
