//! The description of an artifact.

use serde_json::{Value, json};

use super::Producers;
use super::card::Card;
use super::columns;
use super::producers::PortUse;
use crate::cli::{CliError, Exit, print, print_json};
use lab::hash::Digest;
use lab::store::{Store, StoreError, files_of};
use lab::text::bytes;

/// The maximum number of files, and of stages that use the artifact, to list.
const MAX_LISTED: usize = 12;

/// Prints the description.
pub(super) fn show(store: &Store, digest: &Digest, producers: &Producers, json: bool) -> Result<Exit, CliError> {
    let path = store.object(digest);
    let exists = path.exists();
    let files = if exists { list_files(store, digest)? } else { Vec::new() };
    let (produced, used): (Vec<&PortUse>, Vec<&PortUse>) = (producers.producers_of(digest).collect(), producers.users_of(digest).collect());
    let found = if exists { columns::of(&path)? } else { None };
    if json {
        let files = files.iter().map(|(name, bytes)| json!({"name": name, "bytes": bytes}));
        return print_json(&json!({
            "artifact": digest,
            "path": exists.then(|| path.display().to_string()),
            "bytes": producers.artifact(digest).map(|artifact| artifact.bytes),
            "files": files.collect::<Vec<Value>>(),
            "content": found,
            "made_by": produced.iter().map(|port_use| as_json(port_use)).collect::<Vec<_>>(),
            "used_by": used.iter().map(|port_use| as_json(port_use)).collect::<Vec<_>>(),
        }));
    }
    let mut card = Card::default();
    card.line("artifact", &digest.to_string());
    let total = files.iter().map(|(_, bytes)| bytes).sum::<u64>();
    card.line(
        "is",
        &match (exists, path.is_dir()) {
            (true, true) => format!("a folder of {} files, {}", files.len(), bytes(total)),
            (true, false) => format!("a file of {}", bytes(total)),
            (false, _) => {
                let known = producers.artifact(digest);
                known.map_or_else(
                    || "not in this store".to_owned(),
                    |artifact| super::record::absence(store, &artifact),
                )
            }
        },
    );
    if path.is_dir() {
        card.lines("", shortened(files.iter().map(|(name, size)| format!("{name}, {}", bytes(*size)))));
    }
    card.lines("made by", produced.iter().map(|port_use| as_line(port_use)));
    card.lines("used by", shortened(used.iter().map(|port_use| as_line(port_use))));
    card.line("get it", &how_to_get(&path, exists, &produced));
    print(&(card.text() + &found.as_ref().map(columns::text).unwrap_or_default()))
}

/// The path of the artifact, or how to get it back.
fn how_to_get(path: &std::path::Path, exists: bool, produced: &[&PortUse]) -> String {
    match produced.first() {
        _ if exists => path.display().to_string(),
        Some(port_use) => {
            let PortUse {
                stage, experiment, port, ..
            } = port_use;
            format!(
                "`runner get FILE '{}.{port}'` with the file of `{experiment}` if a remote has it; otherwise run `{stage}` again",
                stage.name
            )
        }
        None => String::new(),
    }
}

fn as_line(port_use: &PortUse) -> String {
    format!("{port_use} of {}, record {}", port_use.experiment, port_use.key.short())
}

fn as_json(port_use: &PortUse) -> Value {
    json!({
        "stage": port_use.stage.name, "variant": port_use.stage.variant, "experiment": port_use.experiment, "port": port_use.port, "key": port_use.key,
    })
}

fn shortened(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = lines.collect();
    if lines.len() > MAX_LISTED {
        let rest = lines.len() - MAX_LISTED;
        lines.truncate(MAX_LISTED);
        lines.push(format!("and {rest} more"));
    }
    lines
}

/// The files of an artifact with their sizes; the name is empty if the artifact is a file.
fn list_files(store: &Store, digest: &Digest) -> Result<Vec<(String, u64)>, StoreError> {
    let path = store.object(digest);
    let mut found = Vec::new();
    for file in files_of(&path)? {
        let bytes = std::fs::metadata(&file).map_or(0, |metadata| metadata.len());
        let name = file.strip_prefix(&path).unwrap_or(&file);
        found.push((name.to_string_lossy().into_owned(), bytes));
    }
    Ok(found)
}
