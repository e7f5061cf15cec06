//! `runner diff`: two experiments, two variants of one, or two runs, side by side.

use std::path::Path;

use super::experiment::{ExecutionArgs, ExperimentArgs, OverrideArgs, StoreFolderArgs};
use super::session::{Resolved, StoreUse, folder, settings};
use super::{CliError, Exit, Session};
use lab::event::coordinates;
use lab::plan::Selection;
use lab::stage::PortType;
use lab::store::Store;
use lab::text::Paint;
use report::diff::{Diff, DiffSide};

/// Compare two experiments, variants or runs: params, digests, metrics
#[derive(Clone, Debug, clap::Args)]
pub struct DiffArgs {
    /// An experiment, `FILE@AXIS=VALUE,…` for one of its variants, or the name of a run
    #[arg(value_name = "A")]
    pub a: String,

    /// The experiment, variant or run to compare it with
    #[arg(value_name = "B")]
    pub b: String,

    /// Only these stages: `standard[2]`, `standard` (all its indices), `score*`
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,

    #[command(flatten)]
    pub overrides: OverrideArgs,

    #[command(flatten)]
    pub store: StoreFolderArgs,

    /// Show equal rows too
    #[arg(long)]
    pub all: bool,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints the comparison. The exit code is 0 even if there are differences.
///
/// # Errors
/// When a side is neither an experiment nor a run, or the store is damaged.
pub fn diff(args: &DiffArgs, paint: Paint) -> Result<Exit, CliError> {
    let sides = match [side(args, &args.a), side(args, &args.b)] {
        [Err(CliError::NothingSelected(why)), Err(CliError::NothingSelected(_))] => return Err(CliError::NothingSelected(why)),
        [a, b] => [allow_empty(a, &args.a)?, allow_empty(b, &args.b)?],
    };
    let diff = Diff::between(sides.each_ref());
    if args.json {
        return super::print_json(&diff.json(args.all));
    }
    super::print(&diff.text(args.all, paint))
}

/// A side without a selected stage is empty, as long as the other side has one.
fn allow_empty(side: Result<DiffSide, CliError>, name: &str) -> Result<DiffSide, CliError> {
    match side {
        Err(CliError::NothingSelected(_)) => Ok(DiffSide::empty(name)),
        side => side,
    }
}

fn side(args: &DiffArgs, text: &str) -> Result<DiffSide, CliError> {
    let (file, variants) = split_variant(text)?;
    let selection = Selection {
        stages: args.stages.clone(),
        variants,
    };
    if !Path::new(file).exists()
        && let Some(side) = run_side(args, file, &selection)?
    {
        return Ok(side);
    }
    let experiment = ExperimentArgs {
        file: file.into(),
        overrides: args.overrides.clone(),
        store: args.store.clone(),
    };
    let session = Session::open(&experiment, &ExecutionArgs::default(), StoreUse::Look)?;
    let Resolved { plan, store, .. } = session.plan_with(&selection, |_, output| output.port == PortType::Metrics)?;
    Ok(DiffSide::of_experiment(text, &plan, &store, &selection)?)
}

/// The run of this name, if the store has it.
fn run_side(args: &DiffArgs, name: &str, selection: &Selection) -> Result<Option<DiffSide>, CliError> {
    let folder = folder(&settings(Path::new(""), &args.store)?)?;
    let Some(store) = Store::existing(&folder)? else { return Ok(None) };
    Ok(DiffSide::of_run(name, &store, selection)?)
}

/// Axes and their values.
type Coordinates = Vec<(String, String)>;

/// `x.toml@start=warm,seed=1` → the file and the coordinates.
fn split_variant(text: &str) -> Result<(&str, Coordinates), CliError> {
    // The name of the file may contain an @.
    let Some((file, rest)) = text.rsplit_once('@').filter(|(_, rest)| rest.contains('=')) else {
        return Ok((text, Vec::new()));
    };
    let wrong = || CliError::Usage(format!("`{rest}` is no variant; write FILE@AXIS=VALUE,AXIS=VALUE"));
    Ok((file, coordinates(rest).ok_or_else(wrong)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_a_file_and_perhaps_a_variant() {
        let parts = |text| {
            split_variant(text)
                .map_err(|_| ())
                .map(|(file, variants)| (file.to_owned(), variants.len()))
        };
        assert_eq!(parts("x.toml"), Ok(("x.toml".to_owned(), 0)));
        assert_eq!(parts("a@b.toml"), Ok(("a@b.toml".to_owned(), 0)));
        assert_eq!(parts("a@b.toml@seed=1,start=warm"), Ok(("a@b.toml".to_owned(), 2)));
        assert_eq!(parts("x.toml@ablate=ask=[-1, -2], seed=1"), Ok(("x.toml".to_owned(), 2)));
        assert_eq!(parts("x.toml@seed=1,start"), Err(()));
    }
}
