//! The description of a record.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::Producers;
use super::card::Card;
use super::columns;
use crate::cli::{CliError, Exit, print, print_json};
use kinds::artifact::columns::{Columns, has_rows};
use lab::config::Resources;
use lab::event::StageName;
use lab::fingerprint::file_text;
use lab::hash::Digest;
use lab::store::{Artifact, ProgramFound, Record, Store, StoreError};
use lab::text::bytes;
use lab::text::duration;
use report::record_text::{claim_and_key, param_lines, program_and_commit, time_and_user};

/// Prints the description.
pub(super) fn show(store: &Store, key: &Digest, producers: &Producers, json: bool) -> Result<Exit, CliError> {
    let Some(record) = store.record(key)? else {
        return Err(CliError::NothingSelected(format!("the record {} has been deleted", key.short())));
    };
    if json {
        return print_json(&as_json(store, key, &record, &content(store, &record)?));
    }
    let rows = record.outputs.values().map(|artifact| store.object(&artifact.digest));
    let rows: Vec<PathBuf> = rows.filter(|path| has_rows(path)).collect();
    // Of several, each is shown by its digest.
    let found = match rows.as_slice() {
        [only] => columns::of(only)?,
        _ => None,
    };
    let columns = found.as_ref().map(columns::text).unwrap_or_default();
    print(&(as_text(store, key, &record, producers) + &columns))
}

/// The columns of the outputs that are data sets or answers, by port.
fn content(store: &Store, record: &Record) -> Result<Vec<(String, Columns)>, StoreError> {
    let mut all = Vec::new();
    for (port, artifact) in &record.outputs {
        let found = columns::of(&store.object(&artifact.digest))?;
        all.extend(found.map(|found| (port.clone(), found)));
    }
    Ok(all)
}

/// The record as it is stored, with its key, the paths of its outputs (`null` if the store does not have one), and the columns of those that
/// are data sets.
fn as_json(store: &Store, key: &Digest, record: &Record, content: &[(String, Columns)]) -> Value {
    let path = |digest: &Digest| Some(store.object(digest)).filter(|path| path.exists());
    let paths = record
        .outputs
        .iter()
        .map(|(port, artifact)| (port.clone(), json!(path(&artifact.digest))));
    let content = content.iter().map(|(port, found)| (port.clone(), json!(found)));
    json!({
        "key": key, "record": record,
        "paths": paths.collect::<serde_json::Map<_, _>>(),
        "content": content.collect::<serde_json::Map<_, _>>(),
    })
}

fn as_text(store: &Store, key: &Digest, record: &Record, producers: &Producers) -> String {
    let fingerprint = &record.fingerprint;
    let name = StageName {
        name: record.stage.clone(),
        variant: record.variant.clone(),
    };
    let mut card = Card::default();
    card.line("stage", &format!("{name} of {}", record.experiment));
    card.line("kind", &format!("{}, version {}", fingerprint.kind, fingerprint.version));
    card.line("key", &key.to_string());
    card.line("made", &time_and_user(record));
    card.line("accepted", &record.accepted.as_ref().map(claim_and_key).unwrap_or_default());
    card.line("on", &machine(record));
    card.line("with", &program_and_commit(record));
    card.line("asked", &asked(record));
    card.line("took", &took(record));
    card.line("attempts", &attempts(record));
    card.line("signed", &signed(store, record));
    card.line("numbers", fingerprint.numerics.as_deref().unwrap_or_default());
    card.lines("program", record.provenance.program.iter().flat_map(program_lines));
    card.line("sandbox", record.provenance.sandbox.as_deref().unwrap_or_default());
    card.lines("noted", record.provenance.notes.iter().cloned());
    card.line("run", &record.run);
    card.line("seed", &fingerprint.seed.map_or_else(String::new, |seed| seed.to_string()));
    card.lines("params", param_lines(&fingerprint.params));
    card.lines(
        "file",
        fingerprint
            .files
            .iter()
            .map(|(name, digest)| format!("{}  {}", file_text(name), digest.short())),
    );
    for (port, digests) in &fingerprint.inputs {
        card.lines(
            "input",
            digests.iter().map(|digest| format!("{port}  {}", origin(digest, producers))),
        );
    }
    for (port, artifact) in &record.outputs {
        let path = store.object(&artifact.digest);
        let location = if path.exists() {
            path.display().to_string()
        } else {
            absence(store, artifact)
        };
        card.line(
            "output",
            &format!("{port}  {}, {}: {location}", artifact.digest.short(), bytes(artifact.bytes)),
        );
    }
    card.text()
}

/// Why the store does not have an artifact.
pub(super) fn absence(store: &Store, artifact: &Artifact) -> String {
    match store.tombstone(artifact) {
        Some(tombstone) => format!("deleted by gc on {} ({})", tombstone.day(), tombstone.why),
        None => "not in this store".to_owned(),
    }
}

/// `3c4d5e6f7a8b, from problems.train`
pub(crate) fn origin(digest: &Digest, producers: &Producers) -> String {
    let from = producers.producers_of(digest).next();
    from.map_or_else(|| digest.short(), |place| format!("{}, from {place}", digest.short()))
}

/// `node3: 8 cores, avx512; 2 threads`
fn machine(record: &Record) -> String {
    let machine = &record.machine;
    format!(
        "{}: {} cores, {}; {} threads",
        machine.host, machine.cores, machine.instruction_set, record.threads
    )
}

/// `/lab/.venv/bin/python, Python 3.12.1, in the environment `torch``, and a line for each package: `numpy 2.1.0`.
fn program_lines(found: &ProgramFound) -> Vec<String> {
    let mut first = found.path.clone();
    if let Some(version) = &found.python {
        first += &format!(", Python {version}");
    }
    if let Some(name) = &found.environment {
        first += &format!(", in the environment `{name}`");
    }
    let packages = found.packages.iter().map(|(name, version)| format!("{name} {version}"));
    [first].into_iter().chain(packages).collect()
}

/// `by ed25519:…`, or why the signature is not trusted.
fn signed(store: &Store, record: &Record) -> String {
    let Some(signature) = &record.signature else { return String::new() };
    match store.trust().check(&json!(record)) {
        Ok(()) => format!("by {}", signature.key),
        Err(distrust) => distrust.to_string(),
    }
}

/// `41.2s, 80.1s of CPU, 512.0 MB of memory`
fn took(record: &Record) -> String {
    let mut text = duration(record.seconds);
    if let Some(seconds) = record.provenance.cpu_seconds {
        text += &format!(", {} of CPU", duration(seconds));
    }
    if let Some(memory) = record.provenance.peak_memory {
        text += &format!(", {} of memory", bytes(memory));
    }
    text
}

/// `8 cores, 16 GiB of memory, 1 GPU (0), 2h`; empty where nothing was asked for.
fn asked(record: &Record) -> String {
    let Resources {
        cores,
        memory,
        gpu_memory,
        time,
        ..
    } = &record.provenance.asked;
    let gpus = Some(record.provenance.asked.gpus()).filter(|gpus| *gpus > 0);
    let given = record.provenance.gpus.join(", ");
    let parts = [
        cores.map(|cores| format!("{cores} cores")),
        memory.map(|memory| format!("{memory} of memory")),
        gpus.map(|gpus| format!("{gpus} GPUs ({given})")),
        gpu_memory.map(|memory| format!("{memory} of GPU memory")),
        time.map(|time| time.to_string()),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// `2 before this one: memory after 41.2s, signal 9 after 3.0s`; empty where there were none.
fn attempts(record: &Record) -> String {
    let earlier = &record.provenance.attempts;
    let ended = earlier
        .iter()
        .map(|attempt| format!("{} after {}", attempt.cause, duration(attempt.seconds)));
    match earlier.len() {
        0 => String::new(),
        count => format!("{count} before this one: {}", ended.collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::event::FailureCause;
    use lab::fingerprint::Fingerprint;
    use lab::store::{Code, FailedAttempt, Outputs, Provenance};

    #[test]
    fn a_record_of_an_earlier_version_is_shown_without_what_it_lacks() {
        let record = Record::new(Fingerprint::new("mix", 1, json!({"mode": "new"})), Outputs::new());
        assert_eq!(time_and_user(&record), "1970-01-01 00:00:00 UTC");
        assert_eq!(program_and_commit(&record), "runner ");
        assert_eq!(took(&record), "0.0s");
    }

    #[test]
    fn a_program_is_shown_with_what_was_in_its_environment() {
        let found = ProgramFound {
            environment: Some("torch".into()),
            path: "/lab/.venv/bin/python".into(),
            python: Some("3.12.1".into()),
            packages: [("numpy".to_owned(), "2.1.0".to_owned())].into(),
        };
        assert_eq!(
            program_lines(&found),
            ["/lab/.venv/bin/python, Python 3.12.1, in the environment `torch`", "numpy 2.1.0"]
        );
        let tool = ProgramFound {
            path: "/usr/bin/tool".into(),
            ..ProgramFound::default()
        };
        assert_eq!(program_lines(&tool), ["/usr/bin/tool"]);
    }

    #[test]
    fn each_field_of_a_record_becomes_a_line() {
        let mut record = Record::new(Fingerprint::new("mix", 1, Value::Null), Outputs::new());
        record.machine.runner = "0.1.0".into();
        record.started = 1_700_000_000;
        record.seconds = 41.24;
        record.provenance = Provenance {
            user: "ada".into(),
            code: Some(Code {
                commit: "5f".repeat(20),
                dirty: true,
            }),
            build: Some(Digest::of(b"")),
            cpu_seconds: Some(80.1),
            peak_memory: Some(512_000_000),
            asked: serde_json::from_value(json!({"cores": 2, "memory": "1 GiB", "gpus": 1, "time": "2h"})).unwrap(),
            gpus: vec!["3".into()],
            attempts: vec![FailedAttempt {
                cause: FailureCause::Signal(9),
                seconds: 3.0,
            }],
            sandbox: Some("writes".into()),
            program: None,
            notes: Vec::new(),
        };
        assert_eq!(time_and_user(&record), "2023-11-14 22:13:20 UTC by ada");
        assert_eq!(
            program_and_commit(&record),
            "runner 0.1.0, build af1349b9f5f9; experiment of commit 5f5f5f5f5f5f, with changes"
        );
        assert_eq!(took(&record), "41.2s, 1m20s of CPU, 512.0 MB of memory");
        assert_eq!(
            param_lines(&json!({"a": {"b": 1, "c": null}, "d": [1, 2]})),
            ["a.b = 1", "d = [1,2]"]
        );
    }
}
