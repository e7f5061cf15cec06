//! `runner cache gc`: what nobody needs any more, and removing it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::{StoreArgs, amounts, bytes, pin};
use crate::cli::experiment::ExperimentArgs;
use crate::cli::{Exit, Failed, print, print_json};
use lab::store::{GcPlan, GcRules, GcSummary, GcVictim, LeftoverKind, Store};
use lab::text::{Align, Paint, TextTable, duration};

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
pub(super) fn gc(args: &GcArgs) -> Result<Exit, Failed> {
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
            let (pin, _) = pin::of(&experiment)?;
            keys.extend(pin.keys);
            objects.extend(pin.objects);
        }
    }
    let plan = store.plan_gc(&GcRules {
        keys,
        objects,
        older_than: args.older_than,
        max_bytes: args.max_size,
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

fn as_text(plan: &GcPlan, removed: Option<GcSummary>) -> String {
    let title = |title: &str, align| (title.to_owned(), align);
    let mut table = TextTable::new([
        title("cost", Align::Right),
        title("own time", Align::Right),
        title("size", Align::Right),
        title("age", Align::Right),
        title("stage", Align::Left),
        title("experiment", Align::Left),
    ]);
    let listed = plan.victims.len().saturating_sub(LISTED);
    for victim in &plan.victims[listed..] {
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
    if !plan.victims.is_empty() {
        text += &table.render(Paint::default());
    }
    let (count, size) = (plan.objects.len(), bytes(plan.objects.values().sum()));
    text += &match removed {
        None => format!(
            "{} records and {count} artifacts, {size}, would go ({} of them no record names){}; --delete removes them\n",
            plan.victims.len(),
            plan.orphans,
            leftovers(plan)
        ),
        Some(removed) => format!(
            "removed {} records, {} of artifacts and {} beside them\n",
            removed.records,
            bytes(removed.object_bytes),
            bytes(removed.other_bytes)
        ),
    };
    text += &format!("{} records and {} of artifacts stay\n", plan.kept_records, bytes(plan.kept_bytes));
    if plan.unreadable > 0 {
        text += &format!(
            "{} records cannot be read, so artifacts that no record names stay too: `runner cache repair` throws them out\n",
            plan.unreadable
        );
    }
    text
}

/// `, and 3 folders of runs, 1 checkpoint, 1.2 GB`.
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
        count(LeftoverKind::Run, "folder of a run", "folders of runs"),
        count(LeftoverKind::Checkpoint, "checkpoint", "checkpoints"),
        count(LeftoverKind::Download, "download", "downloads"),
    ];
    let size = bytes(plan.leftovers.iter().map(|leftover| leftover.bytes).sum());
    format!(", and {}, {size}", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}
