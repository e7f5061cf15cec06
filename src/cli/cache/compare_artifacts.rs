//! Compares two artifacts that should be the same: byte by byte, then number by number.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;
use walkdir::WalkDir;

use lab::hash;
use learn::model::TensorFile;

/// The largest difference between numbers that count as equal, relative to the largest number of their tensor, or to themselves in JSON.
/// Another order of additions in f32, over a training of some thousand steps, gives a far smaller difference; another result a far larger
/// one.
pub(super) const TOLERANCE: f64 = 1e-3;

/// The result of a comparison of two artifacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Likeness {
    Identical,
    /// The same except for numbers that differ by at most [`TOLERANCE`].
    Equal,
    Different,
}

/// What a comparison of two artifacts found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) likeness: Likeness,
    /// The first file that differs, or that one of them lacks; empty where the artifact is a file.
    pub(super) first: Option<PathBuf>,
}

/// Compares two artifacts file by file. Files that are neither tensors nor JSON are compared byte by byte.
pub(super) fn compare(one: &Path, other: &Path) -> Comparison {
    let (these, those) = (files(one), files(other));
    let mut found = Comparison {
        likeness: if these.is_empty() && those.is_empty() {
            Likeness::Different
        } else {
            Likeness::Identical
        },
        first: None,
    };
    let names: BTreeSet<&PathBuf> = these.keys().chain(those.keys()).collect();
    for name in names {
        let likeness = match (these.get(name), those.get(name)) {
            (Some(one), Some(other)) => compare_files(one, other),
            _ => Likeness::Different,
        };
        if likeness == Likeness::Different && found.first.is_none() {
            found.first = Some(name.clone());
        }
        found.likeness = found.likeness.max(likeness);
    }
    found
}

/// All files of an artifact, by their paths in it.
fn files(artifact: &Path) -> BTreeMap<PathBuf, PathBuf> {
    let entries = WalkDir::new(artifact).into_iter().filter_map(Result::ok);
    let files = entries.filter(|entry| entry.file_type().is_file());
    files
        .filter_map(|entry| Some((entry.path().strip_prefix(artifact).ok()?.to_owned(), entry.path().to_owned())))
        .collect()
}

fn compare_files(one: &Path, other: &Path) -> Likeness {
    let (Ok(this), Ok(that)) = (hash::file(one), hash::file(other)) else {
        return Likeness::Different;
    };
    if this == that {
        return Likeness::Identical;
    }
    let near = tensors_near(one, other).or_else(|| texts_near(&std::fs::read(one).ok()?, &std::fs::read(other).ok()?));
    if near == Some(true) { Likeness::Equal } else { Likeness::Different }
}

/// Whether two files of tensors are equal within the tolerance; `None` if they are not such files.
fn tensors_near(one: &Path, other: &Path) -> Option<bool> {
    let (one, other) = (TensorFile::open(one).ok()?, TensorFile::open(other).ok()?);
    let (mut these, mut those) = (one.names(), other.names());
    these.sort();
    those.sort();
    if these != those {
        return Some(false);
    }
    Some(these.iter().all(|name| tensor_near(&one, &other, name).unwrap_or(false)))
}

fn tensor_near(one: &TensorFile, other: &TensorFile, name: &str) -> Option<bool> {
    let shape = &one.info(name)?.shape;
    let (these, those) = (one.numbers(name, shape).ok()?, other.numbers(name, shape).ok()?);
    let largest = these.iter().fold(0f32, |largest, number| largest.max(number.abs()));
    let near = |(a, b): (&f32, &f32)| f64::from((a - b).abs()) <= TOLERANCE * f64::from(largest);
    Some(these.iter().zip(&those).all(near))
}

/// Whether two JSON or JSON Lines texts are equal within the tolerance; `None` if they are not JSON.
fn texts_near(one: &[u8], other: &[u8]) -> Option<bool> {
    let values = |bytes: &[u8]| -> Option<Vec<Value>> {
        serde_json::Deserializer::from_slice(bytes)
            .into_iter()
            .collect::<Result<_, _>>()
            .ok()
    };
    let (these, those) = (values(one)?, values(other)?);
    Some(these.len() == those.len() && these.iter().zip(&those).all(|(a, b)| values_near(a, b)))
}

fn values_near(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => (a - b).abs() <= TOLERANCE * a.abs().max(b.abs()),
            _ => a == b,
        },
        (Value::Array(these), Value::Array(those)) => these.len() == those.len() && these.iter().zip(those).all(|(a, b)| values_near(a, b)),
        (Value::Object(these), Value::Object(those)) => {
            these.len() == those.len() && these.iter().all(|(name, a)| those.get(name).is_some_and(|b| values_near(a, b)))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn likeness(name: &str, one: &[u8], other: &[u8]) -> Likeness {
        let folder = tempfile::tempdir().unwrap();
        let write = |part: &str, bytes: &[u8]| {
            let part = folder.path().join(part);
            std::fs::create_dir(&part).unwrap();
            std::fs::write(part.join(name), bytes).unwrap();
            part
        };
        let found = compare(&write("one", one), &write("other", other));
        let is_named = found.first.as_deref() == Some(Path::new(name));
        assert_eq!(is_named, found.likeness == Likeness::Different);
        found.likeness
    }

    #[test]
    fn numbers_may_differ_a_little_and_nothing_else_may() {
        let metrics = br#"{"right": 0.5, "by": [1, 2.0], "name": "a"}"#;
        assert_eq!(likeness("metrics.json", metrics, metrics), Likeness::Identical);
        let near = br#"{"right": 0.5002, "by": [1, 2.0], "name": "a"}"#;
        assert_eq!(likeness("metrics.json", metrics, near), Likeness::Equal);
        for far in [
            &br#"{"right": 0.51, "by": [1, 2.0], "name": "a"}"#[..],
            br#"{"right": 0.5, "by": [1, 2.0], "name": "b"}"#,
            b"{}",
            b"no JSON",
        ] {
            assert_eq!(likeness("metrics.json", metrics, far), Likeness::Different);
        }
    }

    #[test]
    fn tensors_are_compared_by_their_numbers() {
        let file = |numbers: [f32; 2]| {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2], &bytes).unwrap();
            safetensors::serialize([("weight", view)], None).unwrap()
        };
        let tensors = file([1.0, -8.0]);
        assert_eq!(likeness("model.safetensors", &tensors, &file([1.004, -8.0])), Likeness::Equal);
        assert_eq!(likeness("model.safetensors", &tensors, &file([1.02, -8.0])), Likeness::Different);
        assert_eq!(
            likeness("model.safetensors", &tensors, &file([f32::NAN, -8.0])),
            Likeness::Different
        );
    }

    #[test]
    fn artifacts_with_other_files_differ() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("one"), "a").unwrap();
        std::fs::create_dir(path("other")).unwrap();
        assert_eq!(compare(&path("one"), &path("other")).likeness, Likeness::Different);
        assert_eq!(compare(&path("one"), &path("none")).likeness, Likeness::Different);
        assert_eq!(compare(&path("one"), &path("one")).likeness, Likeness::Identical);
        std::fs::create_dir(path("more")).unwrap();
        for (name, text) in [
            ("other/a", "1"),
            ("other/b", "2"),
            ("more/a", "1"),
            ("more/b", "3"),
            ("more/c", "4"),
        ] {
            std::fs::write(path(name), text).unwrap();
        }
        assert_eq!(compare(&path("other"), &path("more")).first, Some(PathBuf::from("b")));
        std::fs::write(path("more/b"), "2").unwrap();
        assert_eq!(compare(&path("other"), &path("more")).first, Some(PathBuf::from("c")));
    }
}
