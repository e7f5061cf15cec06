//! What a program tells of its progress.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;

use lab::event::Progress;
use lab::stage::StageContext;

/// A line of progress; all fields but `done` are optional.
#[derive(Deserialize)]
struct ReportedProgress {
    done: u64,
    #[serde(default)]
    total: u64,
    #[serde(default)]
    unit: Option<String>,
    #[serde(default)]
    readings: BTreeMap<String, f64>,
}

/// Reports the complete lines from byte `from` on, and returns where the next one begins. Lines that are not progress are ignored.
pub(super) fn tell(path: &Path, from: u64, context: &StageContext<'_>) -> std::io::Result<u64> {
    // A program may put anything in its place, a pipe without an end too.
    if !std::fs::symlink_metadata(path)?.is_file() {
        return Ok(from);
    }
    let mut file = File::open(path)?;
    if file.metadata()?.len() <= from {
        return Ok(from);
    }
    file.seek(SeekFrom::Start(from))?;
    let (mut reader, mut read) = (BufReader::new(file), from);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
        read += line.len() as u64;
        if let Ok(said) = serde_json::from_slice::<ReportedProgress>(&line) {
            (context.progress)(Progress {
                done: said.done,
                total: said.total,
                unit: said.unit.unwrap_or_else(|| "steps".to_owned()),
                readings: said.readings,
            });
        }
        line.clear();
    }
    Ok(read)
}
