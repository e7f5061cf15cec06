//! `runner cache verify` and `repair`: whether everything is what its name says.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{StoreArgs, bytes};
use crate::cli::{CliError, Exit, print, print_json};
use lab::store::{Damage, Named, Store, Verified};

/// How often progress is said.
const PULSE: Duration = Duration::from_millis(500);

/// What to look at.
#[derive(Clone, Debug, clap::Args)]
pub struct VerifyArgs {
    /// Only artifacts and records whose names begin so
    #[arg(value_name = "DIGITS")]
    pub named: Vec<String>,

    /// Folder of the store (also `RUNNER_STORE`)
    #[arg(long, value_name = "DIR", env = "RUNNER_STORE")]
    pub store: Option<std::path::PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Looks, says what is damaged, and takes it out where `repair` is asked for.
pub(super) fn verify(args: &VerifyArgs, repair: bool) -> Result<Exit, CliError> {
    let (store, named) = open(args)?;
    let progress = Progress::new();
    let verified = store.verify((!args.named.is_empty()).then_some(named.as_slice()), &|bytes| progress.seen(bytes))?;
    progress.end();
    if repair {
        for damage in &verified.damaged {
            store.discard(damage)?;
        }
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

/// Runs stages again and says whether they put out the same.
pub(super) fn rerun(args: &VerifyArgs, count: usize) -> Result<Exit, CliError> {
    let (store, named) = open(args)?;
    super::rerun::rerun(&store, &named, count, args.json)
}

/// The store, and what is named in it.
fn open(args: &VerifyArgs) -> Result<(Store, Vec<Named>), CliError> {
    let folder = StoreArgs {
        file: None,
        store: args.store.clone(),
    };
    let store = Store::open(&folder.folder()?)?;
    let mut named: Vec<Named> = Vec::new();
    for digits in &args.named {
        let found = store.named(digits)?;
        if found.is_empty() {
            return Err(CliError::NothingSelected(format!(
                "nothing in {} begins with `{digits}`",
                store.folder().display()
            )));
        }
        named.extend(found);
    }
    Ok((store, named))
}

fn as_json(verified: &Verified, repaired: bool) -> Value {
    let damage = |damage: &Damage| {
        let (what, name) = match damage.named {
            Named::Record(key) => ("record", key),
            Named::Object(digest) => ("artifact", digest),
        };
        json!({"what": what, "name": name, "path": damage.path, "problem": damage.problem})
    };
    let damaged: Vec<Value> = verified.damaged.iter().map(damage).collect();
    json!({
        "objects": verified.objects, "bytes": verified.bytes, "records": verified.records, "damaged": damaged, "repaired": repaired,
    })
}

fn as_text(verified: &Verified, repaired: bool) -> String {
    let mut text = String::new();
    for damage in &verified.damaged {
        text += &match damage.named {
            Named::Record(key) => format!("record {}: {}\n", key.short(), damage.problem),
            Named::Object(digest) => format!("artifact {}: {}\n", digest.short(), damage.problem),
        };
    }
    let Verified { objects, records, .. } = verified;
    text += &format!("{objects} artifacts, {}, and {records} records: ", bytes(verified.bytes));
    text += &match (verified.damaged.len(), repaired) {
        (0, _) => "all are what their names say\n".to_owned(),
        (count, true) => format!("{count} were damaged and are thrown out; the stages that made them run again\n"),
        (count, false) => format!("{count} are damaged; `runner cache repair` throws them out, and the next run makes them again\n"),
    };
    text
}

/// Says on a terminal how much was read.
struct Progress {
    bytes: AtomicU64,
    entries: AtomicU64,
    said: Mutex<Instant>,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self {
            bytes: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            said: Mutex::new(Instant::now()),
            shown: io::stderr().is_terminal(),
        }
    }

    fn seen(&self, more: u64) {
        let total = self.bytes.fetch_add(more, Ordering::Relaxed) + more;
        let entries = self.entries.fetch_add(1, Ordering::Relaxed) + 1;
        let Ok(mut said) = self.said.try_lock() else { return };
        if self.shown && said.elapsed() > PULSE {
            *said = Instant::now();
            // There is nowhere to say that standard error is gone.
            let _ = write!(io::stderr(), "\r{entries} entries, {}   ", bytes(total));
        }
    }

    fn end(&self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
