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
use lab::store::{DeletedOutput, GcPlan, GcRules, GcSummary, GcVictim, LeftoverKind};
use lab::text::{Align, Paint, TextTable, duration, stages};

/// The number of stages in the table: those that cost most for their size.
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

    /// Delete artifacts that are no results, logs, checkpoints of stopped stages and downloads older than TIME: `30d`, `12h`, `2w`
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub older_than: Option<Duration>,

    /// Delete artifacts that are no results until the store is below SIZE: first those that are cheap to recompute for their size: `50GB`
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<ByteSize>,

    /// Delete records and results too: the stages run again
    #[arg(long)]
    pub forget: bool,

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
    let has_rule = !args.keep.is_empty() || args.older_than.is_some() || args.max_size.is_some();
    if args.forget && !has_rule {
        let message = "`--forget` needs a rule that says what to forget: `--older-than`, `--max-size` or `--keep`";
        return Err(CliError::Usage(message.to_owned()));
    }
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
        room: None,
        all: !args.keep.is_empty() && args.older_than.is_none() && args.max_size.is_none(),
        forget: args.forget,
        grace: args.grace,
        is_result: kinds::is_result,
        kept_files: kinds::KEPT_FILES,
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
    let output = |output: &DeletedOutput| json!({"port": output.port, "digest": output.digest, "bytes": output.bytes, "why": output.why});
    let victim = |victim: &GcVictim| {
        json!({
            "key": victim.key, "stage": victim.stage, "variant": victim.variant, "experiment": victim.experiment, "bytes": victim.bytes,
            "seconds": victim.seconds, "cost": victim.cost, "age": victim.age.as_secs(),
            "outputs": victim.outputs.iter().map(output).collect::<Vec<_>>(),
        })
    };
    json!({
        "records": plan.victims.iter().map(victim).collect::<Vec<_>>(),
        "forget": plan.forget,
        "objects": plan.objects.len(),
        "object_bytes": plan.objects.values().sum::<u64>(),
        "orphans": plan.orphans,
        "leftovers": plan.leftovers.len(),
        "leftover_bytes": plan.leftovers.iter().map(|leftover| leftover.bytes).sum::<u64>(),
        "kept": {"records": plan.kept_records, "object_bytes": plan.kept_bytes},
        "wished_bytes": plan.wished_bytes,
        "unreadable": plan.unreadable,
        "removed": removed.map(|removed| {
            let GcSummary { records, object_bytes, other_bytes } = removed;
            json!({"records": records, "object_bytes": object_bytes, "leftover_bytes": other_bytes})
        }),
    })
}

/// The table of stages whose outputs can be deleted, without those that cost least for their size.
fn table(plan: &GcPlan) -> String {
    let title = |title: &str, align| (title.to_owned(), align);
    let mut table = TextTable::new([
        title("cost", Align::Right),
        title("own time", Align::Right),
        title("size", Align::Right),
        title("age", Align::Right),
        title("stage", Align::Left),
        title("outputs", Align::Left),
        title("experiment", Align::Left),
    ]);
    let unlisted = plan.victims.len().saturating_sub(LISTED_RECORDS);
    for victim in plan.victims.iter().skip(unlisted) {
        table.row([
            (duration(victim.cost), None),
            (duration(victim.seconds), None),
            (bytes(victim.bytes), None),
            (duration(victim.age.as_secs_f64()), None),
            (stage(victim), None),
            (outputs(victim), None),
            (victim.experiment.clone(), None),
        ]);
    }
    let mut text = String::new();
    if unlisted > 0 {
        text += &format!("{unlisted} stages that cost less for their size, and:\n");
    }
    text + &table.render(Paint::default())
}

fn as_text(plan: &GcPlan, removed: Option<GcSummary>) -> String {
    let mut text = if plan.victims.is_empty() { String::new() } else { table(plan) };
    let (count, size) = (plan.objects.len(), bytes(plan.objects.values().sum()));
    text += &match (removed, plan.forget) {
        (None, true) => format!(
            "{} records and {count} artifacts, {size}, can be deleted ({} artifacts have no record){}; `--delete` deletes them\n",
            plan.victims.len(),
            plan.orphans,
            leftovers(plan)
        ),
        (None, false) => format!(
            "{count} artifacts of {}, {size}, can be deleted ({} artifacts have no record){}; the records stay; `--delete` deletes them\n",
            stages(plan.victims.len()),
            plan.orphans,
            leftovers(plan)
        ),
        (Some(removed), forget) => format!(
            "deleted {}, {} of artifacts and {} of other files\n",
            if forget {
                format!("{} records", removed.records)
            } else {
                format!("artifacts of {}", stages(removed.records))
            },
            bytes(removed.object_bytes),
            bytes(removed.other_bytes)
        ),
    };
    if plan.wished_bytes > 0 {
        text += &format!(
            "{} more would go, but experiments wish to keep it (`keep_outputs`, or as results, which `--forget` deletes)\n",
            bytes(plan.wished_bytes)
        );
    }
    text += &format!("kept {} records and {} of artifacts\n", plan.kept_records, bytes(plan.kept_bytes));
    if plan.unreadable > 0 {
        text += &format!(
            "{} records cannot be read, so artifacts without a record are kept too; `runner cache repair` removes unreadable records\n",
            plan.unreadable
        );
    }
    text
}

/// `standard[2] seed=1 width=64`
fn stage(victim: &GcVictim) -> String {
    let variant = victim.variant.iter().map(|(axis, value)| format!(" {axis}={value}"));
    victim.stage.clone() + &variant.collect::<String>()
}

/// `model, answers`
fn outputs(victim: &GcVictim) -> String {
    let names: Vec<&str> = victim.outputs.iter().map(|output| output.port.as_str()).collect();
    names.join(", ")
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
