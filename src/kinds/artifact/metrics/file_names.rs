//! Names for the files of one output, as short as they can be told apart.

use std::collections::BTreeSet;

use crate::metrics::told_apart;

/// Endings that say how a file is written.
const ENDINGS: [&str; 9] = ["json", "jsonl", "ndjson", "csv", "tsv", "parquet", "txt", "yaml", "log"];

/// What lm-evaluation-harness puts before the name of a task.
const SAMPLES: &str = "samples_";

/// A name for each of the files with these relative names: without the folders that all share, without the ending, and without a time at its
/// end. Files of one name in several folders have the names of these.
pub(super) fn short_names(files: &[&str]) -> Vec<String> {
    let paths: Vec<Vec<&str>> = files.iter().map(|file| file.split('/').collect()).collect();
    let shared = shared_folders(&paths);
    let file_name = |path: &Vec<&str>| path.last().copied().unwrap_or_default().to_owned();
    let is_one_name = paths.len() > 1
        && paths
            .iter()
            .all(|path| file_name(path) == paths.first().map(file_name).unwrap_or_default());
    let short = |path: &Vec<&str>| {
        let mut parts: Vec<String> = path.iter().skip(shared).map(|part| (*part).to_owned()).collect();
        let last = parts.pop().unwrap_or_default();
        if !is_one_name || parts.is_empty() {
            parts.push(stem(&last).to_owned());
        }
        parts.join(".")
    };
    let mut names: Vec<String> = paths.iter().map(short).collect();
    if names.iter().all(|name| name.len() > SAMPLES.len() && name.starts_with(SAMPLES)) {
        names.iter_mut().for_each(|name| *name = name.split_off(SAMPLES.len()));
    }
    let mut known = BTreeSet::new();
    names.into_iter().map(|name| told_apart(name, &mut known)).collect()
}

/// The number of folders that all paths begin with.
fn shared_folders(paths: &[Vec<&str>]) -> usize {
    let Some(first) = paths.first() else { return 0 };
    let is_shared = |place: &usize| {
        paths
            .iter()
            .all(|path| place + 1 < path.len() && path.get(*place) == first.get(*place))
    };
    (0..first.len()).take_while(is_shared).count()
}

/// The name of a file without its ending, and without the time that lm-evaluation-harness puts at its end: no two runs share it.
pub(super) fn stem(file: &str) -> &str {
    let name = file.strip_suffix(".gz").unwrap_or(file);
    let name = match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && ENDINGS.contains(&ending.to_ascii_lowercase().as_str()) => stem,
        _ => name,
    };
    match name.rsplit_once('_') {
        Some((before, time)) if !before.is_empty() && is_time(time) => before,
        _ => name,
    }
}

/// `2026-05-01T12-00-59.123456`
fn is_time(text: &str) -> bool {
    let (time, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let pattern = b"0000-00-00T00-00-00";
    let fits = |(byte, form): (u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form };
    time.len() == pattern.len() && time.bytes().zip(pattern).all(fits) && fraction.bytes().all(|digit| digit.is_ascii_digit())
}

/// Whether the ending says that the file has a record on each line.
pub(super) fn has_lines(file: &str) -> bool {
    let name = file.strip_suffix(".gz").unwrap_or(file).to_ascii_lowercase();
    [".jsonl", ".ndjson"].iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_short_as_they_can_be_told_apart() {
        for (files, names) in [
            (vec!["results.json"], vec!["results"]),
            (vec!["out/results_a.json", "out/results_b.json"], vec!["results_a", "results_b"]),
            (vec!["out/a/m.json", "out/b/n.json"], vec!["a.m", "b.n"]),
            (vec!["out/a/m.json", "out/b/m.json"], vec!["a", "b"]),
            (vec!["m.json", "m.csv"], vec!["m", "m#2"]),
            (vec!["m.json", "a/m.json"], vec!["m", "a"]),
            (vec!["v1.2", "v1.3.jsonl.gz"], vec!["v1.2", "v1.3"]),
            (
                vec![
                    "gpt2/samples_arc_easy_2026-05-01T12-00-59.123456.jsonl",
                    "gpt2/samples_sciq_2026-05-01T12-00-59.123456.jsonl",
                ],
                vec!["arc_easy", "sciq"],
            ),
            (vec!["samples_a.csv", "b.csv"], vec!["samples_a", "b"]),
            (
                vec!["x_2026-05-01.json", "_2026-05-01T12-00-59"],
                vec!["x_2026-05-01", "_2026-05-01T12-00-59"],
            ),
            (vec![], vec![]),
        ] {
            assert_eq!(short_names(&files), names);
        }
    }
}
