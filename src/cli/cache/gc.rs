//! `runner cache gc`: what nobody needs any more, and removing it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{StoreArgs, amounts, bytes, protect};
use crate::cli::experiment::ExperimentArgs;
use crate::cli::{CliError, Exit, print, print_json};
use lab::store::{LeftoverKind, Removed, Rules, Store, Sweep, Victim};
use lab::text::{Align, Paint, Table, duration};

/// So many records are listed for people: the dearest of those that would go.
const LISTED: usize = 20;

/// Which artifacts may go.
#[derive(Clone, Debug, clap::Args)]
pub struct GcArgs {
    #[command(flatten)]
    pub store: StoreArgs,

    /// Keep what this experiment needs; may be given several times. With neither --older-than nor --max-size, all else goes
    #[arg(long, value_name = "FILE")]
    pub keep: Vec<PathBuf>,

    /// Profiles of the experiments to keep, in addition to the experiments as they are
    #[arg(long = "keep-profile", value_name = "NAME")]
    pub keep_profiles: Vec<String>,

    /// Artifacts made longer ago may go: `30d`, `12h`, `2w`; also logs of runs, checkpoints of stages that were stopped, and downloads
    #[arg(long, value_name = "TIME", value_parser = amounts::duration)]
    pub older_than: Option<Duration>,

    /// Until the artifacts take no more than this, what is cheapest to compute again goes: `50GB`
    #[arg(long, value_name = "SIZE", value_parser = amounts::size)]
    pub max_size: Option<u64>,

    /// Keep whatever is younger, in any case
    #[arg(long, value_name = "TIME", value_parser = amounts::duration, default_value = "1h")]
    pub grace: Duration,

    /// Remove it; without this, only say what would go
    #[arg(long)]
    pub delete: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Says what would go, and removes it where that is asked for.
pub(super) fn gc(args: &GcArgs) -> Result<Exit, CliError> {
    let store = Store::open(&args.store.folder()?)?;
    let (mut keys, mut objects) = (HashSet::new(), HashSet::new());
    for file in &args.keep {
        let profiles = args.keep_profiles.iter().map(|profile| vec![profile.clone()]);
        for profiles in std::iter::once(Vec::new()).chain(profiles) {
            let experiment = ExperimentArgs {
                file: file.clone(),
                profiles,
                set: Vec::new(),
                store: Some(store.folder().to_owned()),
            };
            let (pin, _) = protect::of(&experiment)?;
            keys.extend(pin.keys);
            objects.extend(pin.objects);
        }
    }
    let sweep = store.sweep(&Rules {
        keys,
        objects,
        older_than: args.older_than,
        max_bytes: args.max_size,
        all: !args.keep.is_empty() && args.older_than.is_none() && args.max_size.is_none(),
        grace: args.grace,
    })?;
    let removed = if args.delete { Some(store.remove(&sweep)?) } else { None };
    if args.delete {
        store.clear_dead_leases();
        store.clear_abandoned_work();
    }
    if args.json {
        print_json(&as_json(&sweep, removed))
    } else {
        print(&as_text(&sweep, removed))
    }
}

fn as_json(sweep: &Sweep, removed: Option<Removed>) -> Value {
    let victim = |victim: &Victim| {
        json!({
            "key": victim.key, "stage": victim.stage, "experiment": victim.experiment, "bytes": victim.bytes,
            "seconds": victim.seconds, "cost": victim.cost, "age": victim.age.as_secs(),
        })
    };
    json!({
        "records": sweep.victims.iter().map(victim).collect::<Vec<_>>(),
        "objects": sweep.objects.len(),
        "object_bytes": sweep.objects.values().sum::<u64>(),
        "orphans": sweep.orphans,
        "leftovers": sweep.leftovers.len(),
        "leftover_bytes": sweep.leftovers.iter().map(|leftover| leftover.bytes).sum::<u64>(),
        "kept": {"records": sweep.kept_records, "object_bytes": sweep.kept_bytes},
        "unreadable": sweep.unreadable,
        "removed": removed.map(|removed| {
            let Removed { records, object_bytes, other_bytes } = removed;
            json!({"records": records, "object_bytes": object_bytes, "leftover_bytes": other_bytes})
        }),
    })
}

fn as_text(sweep: &Sweep, removed: Option<Removed>) -> String {
    let title = |title: &str, align| (title.to_owned(), align);
    let mut table = Table::new([
        title("cost", Align::Right),
        title("own time", Align::Right),
        title("size", Align::Right),
        title("age", Align::Right),
        title("stage", Align::Left),
        title("experiment", Align::Left),
    ]);
    let listed = sweep.victims.len().saturating_sub(LISTED);
    for victim in &sweep.victims[listed..] {
        table.row([
            (duration(victim.cost), None),
            (duration(victim.seconds), None),
            (bytes(victim.bytes), None),
            (duration(victim.age.as_secs_f64()), None),
            (victim.stage.clone(), None),
            (victim.experiment.clone(), None),
        ]);
    }
    let mut text = String::new();
    if listed > 0 {
        text += &format!("{listed} records that cost less, and\n");
    }
    if !sweep.victims.is_empty() {
        text += &table.render(Paint::default());
    }
    let (count, size) = (sweep.objects.len(), bytes(sweep.objects.values().sum()));
    text += &match removed {
        None => format!(
            "{} records and {count} artifacts, {size}, would go ({} of them no record names){}; --delete removes them\n",
            sweep.victims.len(),
            sweep.orphans,
            leftovers(sweep)
        ),
        Some(removed) => format!(
            "removed {} records, {} of artifacts and {} beside them\n",
            removed.records,
            bytes(removed.object_bytes),
            bytes(removed.other_bytes)
        ),
    };
    text += &format!("{} records and {} of artifacts stay\n", sweep.kept_records, bytes(sweep.kept_bytes));
    if sweep.unreadable > 0 {
        text += &format!(
            "{} records cannot be read, so artifacts that no record names stay too: `runner cache repair` throws them out\n",
            sweep.unreadable
        );
    }
    text
}

/// `, and 3 folders of runs, 1 checkpoint, 1.2 GB`.
fn leftovers(sweep: &Sweep) -> String {
    if sweep.leftovers.is_empty() {
        return String::new();
    }
    let count = |kind, one: &str, several: &str| {
        let count = sweep.leftovers.iter().filter(|leftover| leftover.kind == kind).count();
        match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {several}")),
        }
    };
    let parts = [
        count(LeftoverKind::Run, "folder of a run", "folders of runs"),
        count(LeftoverKind::Checkpoint, "checkpoint", "checkpoints"),
        count(LeftoverKind::Download, "download", "downloads"),
    ];
    let size = bytes(sweep.leftovers.iter().map(|leftover| leftover.bytes).sum());
    format!(", and {}, {size}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}
