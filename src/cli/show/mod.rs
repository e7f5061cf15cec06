//! `runner show`: what an artifact or a stage's record is, who made it from what, and where it is.

mod artifact;
mod card;
mod producers;
pub(super) mod record;

use producers::Makers;

use std::path::{Path, PathBuf};

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::session::{folder, settings};
use super::{CliError, Exit, Session};
use lab::hash::Digest;
use lab::plan::Selection;
use lab::plan::State;
use lab::store::{Named, Store};

/// So many digits of a name are needed to look it up.
const DIGITS: usize = 4;

/// Say what an artifact or a record is, who made it from what, when and where
///
/// An artifact is named by the first digits of its digest, a record by those of its key, or by FILE and STAGE.
#[derive(Clone, Debug, clap::Args)]
pub struct ShowArgs {
    /// Digits of a digest or key, or an experiment
    #[arg(value_name = "ARTIFACT|KEY|FILE")]
    pub what: PathBuf,

    /// Of an experiment: the stage, as in `standard[2]`
    pub stage: Option<String>,

    /// Of an experiment: the stage's variant
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = super::selection::coordinate)]
    pub variants: Vec<(String, String)>,

    /// Of an experiment: apply its `[profile.NAME]`
    #[arg(long = "profile", value_name = "NAME")]
    pub profiles: Vec<String>,

    /// Of an experiment: set a value
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,

    /// Folder of the store (also `RUNNER_STORE`)
    #[arg(long, value_name = "DIR")]
    pub store: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints it.
///
/// # Errors
/// When there is no such thing, or the store cannot be read.
pub fn show(args: &ShowArgs) -> Result<Exit, CliError> {
    let digits = args.what.to_str().filter(|text| is_digits(text) && !args.what.is_file());
    let (store, named) = match (&args.stage, digits) {
        (None, Some(digits)) => {
            let store = store(args)?;
            let named = by_digits(&store, digits)?;
            (store, named)
        }
        (Some(stage), _) => by_stage(args, stage)?,
        (None, None) => return Err(CliError::Usage(wrong(&args.what))),
    };
    let makers = Makers::read(&store);
    match named {
        Named::Record(key) => record::show(&store, &key, &makers, args.json),
        Named::Object(digest) => artifact::show(&store, &digest, &makers, args.json),
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit()) && !text.is_empty()
}

fn wrong(what: &Path) -> String {
    if what.is_file() {
        return format!("which stage of {0}? `runner plan {0}` lists them", what.display());
    }
    format!(
        "`{}` is neither digits of a digest or key (0-9, a-f) nor a file: `runner show DIGITS` or `runner show FILE STAGE`",
        what.display()
    )
}

/// The store that a command uses which is not about an experiment.
fn store(args: &ShowArgs) -> Result<Store, CliError> {
    Ok(Store::open(&folder(&settings(Path::new(""), args.store.as_deref())?))?)
}

fn by_digits(store: &Store, digits: &str) -> Result<Named, CliError> {
    if digits.len() < DIGITS {
        return Err(CliError::Usage(format!("`{digits}` is too short: give {DIGITS} digits or more")));
    }
    let mut found = store.named(digits)?;
    if found.is_empty() {
        // What is gone may still be spoken of.
        let known = Makers::read(store);
        found = known
            .all()
            .filter(|digest| digest.to_string().starts_with(digits))
            .map(Named::Object)
            .collect();
    }
    match found.as_slice() {
        [] => Err(CliError::NothingSelected(format!(
            "nothing in {} begins with `{digits}`",
            store.folder().display()
        ))),
        [one] => Ok(*one),
        many => Err(CliError::Usage(format!("`{digits}` is the beginning of {}", list(many)))),
    }
}

fn list(found: &[Named]) -> String {
    let name = |named: &Named| match named {
        Named::Record(key) => format!("record {}", key.short()),
        Named::Object(digest) => format!("artifact {}", digest.short()),
    };
    let names: Vec<String> = found.iter().take(5).map(name).collect();
    let more = if found.len() > 5 { ", …" } else { "" };
    format!("{}{more}: give more digits", names.join(", "))
}

fn by_stage(args: &ShowArgs, stage: &str) -> Result<(Store, Named), CliError> {
    let experiment = ExperimentArgs {
        file: args.what.clone(),
        profiles: args.profiles.clone(),
        set: args.set.clone(),
        store: args.store.clone(),
    };
    let selection = Selection {
        stages: vec![stage.to_owned()],
        variants: args.variants.clone(),
    };
    let session = Session::open(&experiment, &ExecutionArgs::default())?;
    let targets = session.dag.graph.node_indices().collect::<Vec<_>>();
    let chosen = selection.targets(&session.dag)?;
    let (plan, store) = session.plan(&selection)?;
    let chosen: Vec<_> = targets.into_iter().filter(|index| chosen.contains(index)).collect();
    let [index] = chosen.as_slice() else {
        let names: Vec<String> = chosen.iter().map(|index| plan.dag.graph[*index].name.to_string()).collect();
        return Err(CliError::Usage(format!("`{stage}` is several stages: {}", names.join("; "))));
    };
    let entry = &plan.entries[index.index()];
    let key: Option<Digest> = entry.key.filter(|_| entry.state == State::Hit);
    key.map(|key| (store, Named::Record(key))).ok_or_else(|| {
        CliError::NothingSelected(format!(
            "`{}` is not in the store: `runner plan {}` says why, `runner run` makes it",
            plan.dag.graph[*index].name,
            args.what.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_name_is_said() {
        assert!(is_digits("0aF9") && !is_digits("x.toml") && !is_digits(""));
        assert_eq!(
            wrong(Path::new("standrad")),
            "`standrad` is neither digits of a digest or key (0-9, a-f) nor a file: `runner show DIGITS` or `runner show FILE STAGE`"
        );
    }

    #[test]
    fn many_that_fit_are_listed() {
        let (one, other) = (Digest::of(b"1"), Digest::of(b"2"));
        let text = list(&[Named::Record(one), Named::Object(other)]);
        assert_eq!(
            text,
            format!("record {}, artifact {}: give more digits", one.short(), other.short())
        );
    }
}
