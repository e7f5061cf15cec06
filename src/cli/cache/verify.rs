//! `runner cache verify` and `repair`: finding and removing damaged artifacts and records.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::rerun::{ExperimentStages, RerunArgs};
use super::{StoreArgs, bytes};
use crate::cli::experiment::StoreFolderArgs;
use crate::cli::progress::ProgressLine;
use crate::cli::{CliError, Exit, print, print_json};
use lab::store::{Damage, Derived, Store, StoreEntry, VerifySummary};

/// Which artifacts and records to verify.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// Only digests that start with DIGITS
    #[arg(value_name = "DIGITS")]
    pub digits: Vec<String>,

    #[command(flatten)]
    pub store: StoreFolderArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints what is damaged; `repair` removes it.
pub(super) fn verify(args: &VerifyArgs, repair: bool) -> Result<Exit, CliError> {
    let (store, named) = open(args)?;
    let progress = VerifyProgress::new();
    let verified = store.verify((!args.digits.is_empty()).then_some(named.as_slice()), &|bytes| progress.add(bytes))?;
    drop(progress);
    if repair {
        store.repair(&verified)?;
    }
    if args.json {
        print_json(&as_json(&verified, repair))
    } else {
        print(&as_text(&verified, repair))
    }?;
    Ok(if verified.damaged.is_empty() || repair {
        Exit::Done
    } else {
        Exit::Store
    })
}

/// Runs `count` stages again and compares their outputs with the stored ones.
pub(super) fn rerun(args: &VerifyArgs, rerun: &RerunArgs, count: usize) -> Result<Exit, CliError> {
    let (store, stages) = match ExperimentStages::of(rerun, &args.store)? {
        Some((store, stages)) => (store, Some(stages)),
        None => (open_store_of(args)?, None),
    };
    let named = named(args, &store)?;
    super::rerun::rerun(&store, &named, stages.as_ref(), count, args.json)
}

/// Opens the store, and finds the artifacts and records to verify.
fn open(args: &VerifyArgs) -> Result<(Store, Vec<StoreEntry>), CliError> {
    let store = open_store_of(args)?;
    let named = named(args, &store)?;
    Ok((store, named))
}

fn open_store_of(args: &VerifyArgs) -> Result<Store, CliError> {
    let folder = StoreArgs {
        file: None,
        store: args.store.clone(),
    };
    folder.open()
}

/// The artifacts and records whose digests start with the digits that are given.
fn named(args: &VerifyArgs, store: &Store) -> Result<Vec<StoreEntry>, CliError> {
    let mut named: Vec<StoreEntry> = Vec::new();
    for digits in &args.digits {
        let found = store.find_by_prefix(digits)?;
        if found.is_empty() {
            return Err(CliError::NothingSelected(format!(
                "no artifact or record in {} starts with `{digits}`",
                store.folder().display()
            )));
        }
        named.extend(found);
    }
    Ok(named)
}

fn as_json(verified: &VerifySummary, repaired: bool) -> Value {
    let damage = |damage: &Damage| {
        let (what, name) = match damage.entry {
            StoreEntry::Record(key) => ("record", key),
            StoreEntry::Object(digest) => ("artifact", digest),
            StoreEntry::Tombstone(digest) => ("tombstone", digest),
        };
        json!({"what": what, "name": name, "path": damage.path, "problem": damage.problem})
    };
    let damaged: Vec<Value> = verified.damaged.iter().map(damage).collect();
    let derived = |derived: &Derived| json!({"key": derived.key, "stage": derived.stage, "input": derived.input, "path": derived.path});
    let derived: Vec<Value> = verified.derived.iter().map(derived).collect();
    json!({
        "objects": verified.objects, "bytes": verified.bytes, "records": verified.records, "damaged": damaged, "derived": derived,
        "repaired": repaired,
    })
}

fn as_text(verified: &VerifySummary, repaired: bool) -> String {
    let mut text = String::new();
    for damage in &verified.damaged {
        text += &match damage.entry {
            StoreEntry::Record(key) => format!("record {}: {}\n", key.short(), damage.problem),
            StoreEntry::Object(digest) => format!("artifact {}: {}\n", digest.short(), damage.problem),
            StoreEntry::Tombstone(digest) => format!("tombstone {}: {}\n", digest.short(), damage.problem),
        };
    }
    for Derived { key, stage, input, .. } in &verified.derived {
        let (key, stage, input) = (key.short(), stage.escape_debug(), input.short());
        text += &format!("record {key} of `{stage}`: made from the artifact {input}, which is damaged or was made from a damaged one\n");
    }
    let VerifySummary { objects, records, .. } = verified;
    text += &format!("{objects} artifacts, {}, and {records} records: ", bytes(verified.bytes));
    let derived = match verified.derived.len() {
        0 => String::new(),
        1 => ", and 1 record derived from them".to_owned(),
        count => format!(", and {count} records derived from them"),
    };
    text += &match (verified.damaged.len(), repaired) {
        (0, _) => "all are intact\n".to_owned(),
        (count, true) => format!("repaired {count} that were damaged{derived}; the next run computes what is missing again\n"),
        (count, false) => {
            format!("{count} are damaged{derived}; `runner cache repair` removes them, and the next run computes them again\n")
        }
    };
    text
}

/// Counts what was hashed, from several threads.
struct VerifyProgress {
    line: ProgressLine,
    bytes: AtomicU64,
    entries: AtomicU64,
}

impl VerifyProgress {
    fn new() -> Self {
        Self {
            line: ProgressLine::new(),
            bytes: AtomicU64::new(0),
            entries: AtomicU64::new(0),
        }
    }

    fn add(&self, entry_bytes: u64) {
        let total = self.bytes.fetch_add(entry_bytes, Ordering::Relaxed) + entry_bytes;
        let entries = self.entries.fetch_add(1, Ordering::Relaxed) + 1;
        self.line.show(&format!("{entries} entries, {}", bytes(total)));
    }
}
