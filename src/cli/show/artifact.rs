//! One artifact.

use serde_json::{Value, json};

use super::Makers;
use super::card::Card;
use super::producers::Place;
use crate::cli::{CliError, Exit, print, print_json};
use lab::hash::Digest;
use lab::store::{Store, StoreError, files_of};
use lab::text::bytes;

/// So many files of a folder, and stages that use it, are listed for people.
const MANY: usize = 12;

/// Prints what the artifact is.
pub(super) fn show(store: &Store, digest: &Digest, makers: &Makers, json: bool) -> Result<Exit, CliError> {
    let path = store.object(digest);
    let is_there = path.exists();
    let files = if is_there { files(store, digest)? } else { Vec::new() };
    let (made, used): (Vec<&Place>, Vec<&Place>) = (makers.made(digest).collect(), makers.used(digest).collect());
    if json {
        let files = files.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes}));
        return print_json(&json!({
            "artifact": digest,
            "path": is_there.then(|| path.display().to_string()),
            "bytes": makers.artifact(digest).map(|artifact| artifact.bytes),
            "files": files.collect::<Vec<Value>>(),
            "made_by": made.iter().map(|place| as_json(place)).collect::<Vec<_>>(),
            "used_by": used.iter().map(|place| as_json(place)).collect::<Vec<_>>(),
        }));
    }
    let mut card = Card::default();
    card.line("artifact", &digest.to_string());
    let total = files.iter().map(|(_, bytes)| bytes).sum::<u64>();
    card.line(
        "is",
        &match (is_there, path.is_dir()) {
            (true, true) => format!("a folder of {} files, {}", files.len(), bytes(total)),
            (true, false) => format!("a file of {}", bytes(total)),
            (false, _) => "not in this store".to_owned(),
        },
    );
    if path.is_dir() {
        card.lines("", shortened(files.iter().map(|(name, size)| format!("{name}, {}", bytes(*size)))));
    }
    card.lines("made by", made.iter().map(|place| from(place)));
    card.lines("used by", shortened(used.iter().map(|place| from(place))));
    card.line("get it", &get(&path, is_there, &made));
    print(&card.text())
}

/// Where it is, or how to have it again.
fn get(path: &std::path::Path, is_there: bool, made: &[&Place]) -> String {
    match made.first() {
        _ if is_there => path.display().to_string(),
        Some(place) => {
            let Place {
                stage, experiment, port, ..
            } = place;
            format!(
                "`runner fetch FILE '{}.{port}'` with the file of `{experiment}`, if a remote has it; else run `{stage}` again",
                stage.name
            )
        }
        None => String::new(),
    }
}

fn from(place: &Place) -> String {
    format!("{place} of {}, record {}", place.experiment, place.key.short())
}

fn as_json(place: &Place) -> Value {
    json!({
        "stage": place.stage.name, "variant": place.stage.variant, "experiment": place.experiment, "port": place.port, "key": place.key,
    })
}

fn shortened(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    if lines.len() > MANY {
        let rest = lines.len() - MANY;
        lines.truncate(MANY);
        lines.push(format!("and {rest} more"));
    }
    lines
}

/// The files of an object with their sizes; one without a name is the object itself.
fn files(store: &Store, digest: &Digest) -> Result<Vec<(String, u64)>, StoreError> {
    let path = store.object(digest);
    let mut found = Vec::new();
    for file in files_of(&path)? {
        let bytes = std::fs::metadata(&file).map_or(0, |about| about.len());
        let name = file.strip_prefix(&path).unwrap_or(&file);
        found.push((name.to_string_lossy().into_owned(), bytes));
    }
    Ok(found)
}
