//! `runner cache gc`: lists and deletes artifacts that are no longer needed.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use humantime::parse_duration;
use serde_json::{Value, json};

use super::{StoreArgs, bytes, protect};
use crate::cli::environment::path_argument;
use crate::cli::experiment::{ExperimentArgs, OverrideArgs, StoreFolderArgs};
use crate::cli::{CliError, Exit, print, print_json};
use lab::store::{GcPlan, GcRules, GcSummary, GcVictim, LeftoverKind};
use lab::text::{Align, Paint, TextTable, duration};

/// The number of records in the table: those with the highest cost.
const LISTED_RECORDS: usize = 20;

/// The rules for what to delete.
#[derive(Clone, Debug, clap::Args)]
pub struct GcArgs {
    #[command(flatten)]
    pub store: StoreArgs,

    /// Keep what this experiment needs; may be repeated. Without --older-than and --max-size, everything else is deleted
    #[arg(long, value_name = "FILE", value_parser = path_argument())]
    pub keep: Vec<PathBuf>,

    /// Also keep what the experiments need with this profile; may be repeated
    #[arg(long = "keep-profile", value_name = "NAME")]
    pub keep_profiles: Vec<String>,

    /// Delete artifacts, logs, checkpoints of stopped stages and downloads older than TIME: `30d`, `12h`, `2w`
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub older_than: Option<Duration>,

    /// Delete the artifacts that are cheapest to recompute until the store is below SIZE: `50GB`
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<ByteSize>,

    /// Keep everything younger than TIME
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "1h")]
    pub grace: Duration,

    /// Delete them; without this option, only print what can be deleted
    #[arg(long)]
    pub delete: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists what can be deleted; deletes it with `--delete`.
pub(super) fn gc(args: &GcArgs) -> Result<Exit, CliError> {
    let store = args.store.open()?;
    let (mut keys, mut objects) = (HashSet::new(), HashSet::new());
    for file in &args.keep {
        let profiles = args.keep_profiles.iter().map(|profile| vec![profile.clone()]);
        for profiles in std::iter::once(Vec::new()).chain(profiles) {
            let experiment = ExperimentArgs {
                file: file.clone(),
                overrides: OverrideArgs { profiles, set: Vec::new() },
                store: StoreFolderArgs {
                    folder: Some(store.folder().to_owned()),
                },
            };
            let (protection, _) = protect::protection_of(&experiment)?;
            keys.extend(protection.keys);
            objects.extend(protection.objects);
        }
    }
    let plan = store.plan_gc(&GcRules {
        keys,
        objects,
        older_than: args.older_than,
        max_bytes: args.max_size.map(|size| size.as_u64()),
        all: !args.keep.is_empty() && args.older_than.is_none() && args.max_size.is_none(),
        grace: args.grace,
    })?;
    let removed = if args.delete { Some(store.run_gc(&plan)?) } else { None };
    if args.delete {
        store.clear_dead_leases();
        store.clear_abandoned_work();
    }
    if args.json {
        print_json(&as_json(&plan, removed))
    } else {
        print(&as_text(&plan, removed))
    }
}

fn as_json(plan: &GcPlan, removed: Option<GcSummary>) -> Value {
    let victim = |victim: &GcVictim| {
        json!({
            "key": victim.key, "stage": victim.stage, "experiment": victim.experiment, "bytes": victim.bytes,
            "seconds": victim.seconds, "cost": victim.cost, "age": victim.age.as_secs(),
        })
    };
    json!({
        "records": plan.victims.iter().map(victim).collect::<Vec<_>>(),
        "objects": plan.objects.len(),
        "object_bytes": plan.objects.values().sum::<u64>(),
        "orphans": plan.orphans,
        "leftovers": plan.leftovers.len(),
        "leftover_bytes": plan.leftovers.iter().map(|leftover| leftover.bytes).sum::<u64>(),
        "kept": {"records": plan.kept_records, "object_bytes": plan.kept_bytes},
        "unreadable": plan.unreadable,
        "removed": removed.map(|removed| {
            let GcSummary { records, object_bytes, other_bytes } = removed;
            json!({"records": records, "object_bytes": object_bytes, "leftover_bytes": other_bytes})
        }),
    })
}

/// The table of records that can be deleted, without those of the lowest cost.
fn table(plan: &GcPlan) -> String {
    let title = |title: &str, align| (title.to_owned(), align);
    let mut table = TextTable::new([
        title("cost", Align::Right),
        title("own time", Align::Right),
        title("size", Align::Right),
        title("age", Align::Right),
        title("stage", Align::Left),
        title("experiment", Align::Left),
    ]);
    let unlisted = plan.victims.len().saturating_sub(LISTED_RECORDS);
    for victim in &plan.victims[unlisted..] {
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
    if unlisted > 0 {
        text += &format!("{unlisted} records with a lower cost, and:\n");
    }
    text + &table.render(Paint::default())
}

fn as_text(plan: &GcPlan, removed: Option<GcSummary>) -> String {
    let mut text = if plan.victims.is_empty() { String::new() } else { table(plan) };
    let (count, size) = (plan.objects.len(), bytes(plan.objects.values().sum()));
    text += &match removed {
        None => format!(
            "{} records and {count} artifacts, {size}, can be deleted ({} artifacts have no record){}; `--delete` deletes them\n",
            plan.victims.len(),
            plan.orphans,
            leftovers(plan)
        ),
        Some(removed) => format!(
            "deleted {} records, {} of artifacts and {} of other files\n",
            removed.records,
            bytes(removed.object_bytes),
            bytes(removed.other_bytes)
        ),
    };
    text += &format!("kept {} records and {} of artifacts\n", plan.kept_records, bytes(plan.kept_bytes));
    if plan.unreadable > 0 {
        text += &format!(
            "{} records cannot be read, so artifacts without a record are kept too; `runner cache repair` removes unreadable records\n",
            plan.unreadable
        );
    }
    text
}

/// `, and 3 run folders, 1 checkpoint, 1.2 GB`.
fn leftovers(plan: &GcPlan) -> String {
    if plan.leftovers.is_empty() {
        return String::new();
    }
    let count = |kind, one: &str, several: &str| {
        let count = plan.leftovers.iter().filter(|leftover| leftover.kind == kind).count();
        match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            count => Some(format!("{count} {several}")),
        }
    };
    let parts = [
        count(LeftoverKind::Run, "run folder", "run folders"),
        count(LeftoverKind::Checkpoint, "checkpoint", "checkpoints"),
        count(LeftoverKind::Download, "download", "downloads"),
    ];
    let size = bytes(plan.leftovers.iter().map(|leftover| leftover.bytes).sum());
    format!(", and {}, {size}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}
