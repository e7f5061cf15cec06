//! `runner show`: the provenance and location of an artifact or record.

mod artifact;
mod card;
mod columns;
mod producers;
mod prompt;
pub(super) mod record;

use producers::Producers;

use std::path::{Path, PathBuf};

use petgraph::graph::NodeIndex;

use super::experiment::{ExecutionArgs, ExperimentArgs, OverrideArgs, StoreFolderArgs};
use super::session::{StoreUse, folder, open_store, settings};
use super::{CliError, Exit, Session};
use lab::hash::Digest;
use lab::plan::{Plan, Selection, StageState};
use lab::store::{Store, StoreEntry};

/// The minimum number of digits to look up a digest or key.
const MIN_DIGITS: usize = 4;

/// Show what produced an artifact or record, from which inputs, when and where
///
/// An artifact is named by the first digits of its digest, a record by those of its key or by FILE and STAGE. Of a data set, and of a stage
/// with one data set, the columns are shown, with an example of each.
#[derive(Clone, Debug, clap::Args)]
pub struct ShowArgs {
    /// First digits of a digest or key, or an experiment's file
    #[arg(value_name = "ARTIFACT|KEY|FILE")]
    pub what: PathBuf,

    /// With FILE: the stage, such as `standard[2]`
    pub stage: Option<String>,

    /// With FILE: the variant of the stage; may be repeated
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = super::selection::coordinate)]
    pub variants: Vec<(String, String)>,

    #[command(flatten)]
    pub overrides: OverrideArgs,

    #[command(flatten)]
    pub store: StoreFolderArgs,

    /// With FILE and a stage that trains, samples or evaluates: print the first prompt, which needs its data and no run of the stage
    #[arg(long, requires = "stage")]
    pub prompt: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints the record or artifact.
///
/// # Errors
/// When it does not exist, or the store cannot be read.
pub fn show(args: &ShowArgs) -> Result<Exit, CliError> {
    let digits = args.what.to_str().filter(|text| is_digits(text) && !args.what.is_file());
    let (store, named) = match (&args.stage, digits) {
        (None, Some(digits)) => {
            let store = open_store(&folder(&settings(Path::new(""), &args.store)?)?)?;
            let named = find_by_digits(&store, digits)?;
            (store, named)
        }
        (Some(stage), _) => {
            let (plan, store, index) = find_by_stage(args, stage)?;
            if args.prompt {
                return prompt::show(&args.what, &plan, &store, index, args.json);
            }
            let named = record_of(args, &plan, index)?;
            (store, named)
        }
        (None, None) => return Err(CliError::Usage(usage_error(&args.what))),
    };
    let producers = Producers::in_store(&store);
    match named {
        StoreEntry::Record(key) => record::show(&store, &key, &producers, args.json),
        StoreEntry::Object(digest) | StoreEntry::Tombstone(digest) => artifact::show(&store, &digest, &producers, args.json),
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit()) && !text.is_empty()
}

fn usage_error(what: &Path) -> String {
    if what.is_file() {
        return format!("name a stage of {0}; `runner plan {0}` lists them", what.display());
    }
    format!(
        "`{}` is neither the start of a digest or key (0-9, a-f) nor a file: `runner show DIGITS` or `runner show FILE STAGE`",
        what.display()
    )
}

fn find_by_digits(store: &Store, digits: &str) -> Result<StoreEntry, CliError> {
    if digits.len() < MIN_DIGITS {
        return Err(CliError::Usage(format!(
            "`{digits}` is too short; give {MIN_DIGITS} digits or more"
        )));
    }
    let mut found = store.find_by_prefix(digits)?;
    if found.is_empty() {
        // A record may still name an artifact that was deleted.
        let known = Producers::in_store(store);
        found = known
            .digests()
            .filter(|digest| digest.to_string().starts_with(digits))
            .map(StoreEntry::Object)
            .collect();
    }
    match found.as_slice() {
        [] => Err(CliError::NothingSelected(format!(
            "no artifact or record in {} starts with `{digits}`",
            store.folder().display()
        ))),
        [one] => Ok(*one),
        many => Err(CliError::Usage(format!("`{digits}` is ambiguous: {}", list(many)))),
    }
}

fn list(found: &[StoreEntry]) -> String {
    let name = |named: &StoreEntry| match named {
        StoreEntry::Record(key) => format!("record {}", key.short()),
        StoreEntry::Object(digest) | StoreEntry::Tombstone(digest) => format!("artifact {}", digest.short()),
    };
    let names: Vec<String> = found.iter().take(5).map(name).collect();
    let more = if found.len() > 5 { ", …" } else { "" };
    format!("{}{more}; give more digits", names.join(", "))
}

/// The one stage of an experiment that was named.
fn find_by_stage(args: &ShowArgs, stage: &str) -> Result<(Plan, Store, NodeIndex), CliError> {
    let experiment = ExperimentArgs {
        file: args.what.clone(),
        overrides: args.overrides.clone(),
        store: args.store.clone(),
    };
    let selection = Selection {
        stages: vec![stage.to_owned()],
        variants: args.variants.clone(),
    };
    // A prompt may be read before anything ran.
    let usage = if args.prompt { StoreUse::Look } else { StoreUse::Find };
    let session = Session::open(&experiment, &ExecutionArgs::default(), usage)?;
    let targets = session.dag.graph.node_indices().collect::<Vec<_>>();
    let chosen = selection.targets(&session.dag)?;
    let (plan, store) = session.plan(&selection)?;
    let chosen: Vec<_> = targets.into_iter().filter(|index| chosen.contains(index)).collect();
    let [index] = chosen.as_slice() else {
        let names: Vec<String> = chosen.iter().map(|index| plan.dag.graph[*index].name.to_string()).collect();
        return Err(CliError::Usage(several(stage, &names)));
    };
    Ok((plan, store, *index))
}

fn record_of(args: &ShowArgs, plan: &Plan, index: NodeIndex) -> Result<StoreEntry, CliError> {
    let entry = &plan.entries[index.index()];
    let key: Option<Digest> = entry.key.filter(|_| entry.state == StageState::Hit);
    key.map(StoreEntry::Record).ok_or_else(|| {
        CliError::NothingSelected(format!(
            "`{}` is not in the store; `runner plan {}` gives the reason, `runner run` computes it",
            plan.dag.graph[index].name,
            args.what.display()
        ))
    })
}

/// What to do where a name stands for several stages: for one in each variant, or one for each index.
pub(super) fn several(stage: &str, names: &[String]) -> String {
    let listed = names.iter().take(5).cloned().collect::<Vec<_>>().join("; ");
    let more = if names.len() > 5 { "; …" } else { "" };
    let count = names.len();
    format!("`{stage}` matches {count} stages ({listed}{more}): name one with its index (`{stage}[2]`) or `--variant AXIS=VALUE`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_neither_digits_nor_a_file_is_refused() {
        assert!(is_digits("0aF9") && !is_digits("x.toml") && !is_digits(""));
        assert_eq!(
            usage_error(Path::new("standrad")),
            "`standrad` is neither the start of a digest or key (0-9, a-f) nor a file: `runner show DIGITS` or `runner show FILE STAGE`"
        );
    }

    #[test]
    fn a_name_of_several_stages_is_answered_with_the_way_to_one() {
        let names: Vec<String> = (1..=6).map(|seed| format!("fit (seed={seed})")).collect();
        assert_eq!(
            several("fit", &names[..2]),
            "`fit` matches 2 stages (fit (seed=1); fit (seed=2)): name one with its index (`fit[2]`) or `--variant AXIS=VALUE`"
        );
        assert!(several("fit", &names).contains("fit (seed=5); …)"));
    }

    #[test]
    fn ambiguous_digits_are_answered_with_the_candidates() {
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let text = list(&[StoreEntry::Record(one), StoreEntry::Object(other)]);
        assert_eq!(
            text,
            format!("record {}, artifact {}; give more digits", one.short(), other.short())
        );
    }
}
