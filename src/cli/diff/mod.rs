//! `runner diff`: two experiments, two variants of one, or two runs, side by side.

mod experiment;
mod run;

use std::path::Path;

use serde_json::Value;

use super::experiment::{ExperimentArgs, OverrideArgs, StoreFolderArgs};
use super::{CliError, Exit};
use lab::event::coordinates;
use lab::plan::Selection;
use lab::text::Paint;
use report::diff::{About, Diff, Fact, Facts, Side};

/// Compare two experiments, variants or runs: params, digests, metrics
#[derive(Clone, Debug, clap::Args)]
pub struct DiffArgs {
    /// An experiment, `FILE@AXIS=VALUE,…` for one of its variants, or the name of a run
    #[arg(value_name = "A")]
    pub a: String,

    /// What it is compared with
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

/// Prints the comparison; code 0 whether anything differs or not.
///
/// # Errors
/// When a side is neither an experiment nor a run, or the store is damaged.
pub fn diff(args: &DiffArgs, paint: Paint) -> Result<Exit, CliError> {
    let sides = match [side(args, &args.a), side(args, &args.b)] {
        [Err(CliError::NothingSelected(why)), Err(CliError::NothingSelected(_))] => return Err(CliError::NothingSelected(why)),
        [a, b] => [perhaps_empty(a, &args.a)?, perhaps_empty(b, &args.b)?],
    };
    let diff = Diff::of(sides.each_ref());
    if args.json {
        return super::print_json(&diff.json(args.all));
    }
    super::print(&diff.text(args.all, paint))
}

/// A side that has nothing of what is selected is there all the same, as long as the other has something.
fn perhaps_empty(side: Result<Side, CliError>, name: &str) -> Result<Side, CliError> {
    match side {
        Err(CliError::NothingSelected(_)) => Ok(Side {
            name: name.to_owned(),
            stages: Vec::new(),
        }),
        side => side,
    }
}

fn side(args: &DiffArgs, text: &str) -> Result<Side, CliError> {
    let (file, variants) = parted(text)?;
    let selection = Selection {
        stages: args.stages.clone(),
        variants,
    };
    let experiment = ExperimentArgs {
        file: file.into(),
        overrides: args.overrides.clone(),
        store: args.store.clone(),
    };
    if !Path::new(file).exists()
        && let Some(side) = run::side(&experiment, &selection)?
    {
        return Ok(side);
    }
    experiment::side(text, &experiment, &selection)
}

/// The coordinates of a variant.
type Coordinates = Vec<(String, String)>;

/// `x.toml@start=warm,seed=1` → the file and the coordinates.
fn parted(text: &str) -> Result<(&str, Coordinates), CliError> {
    // A file's name may have an @ of its own.
    let Some((file, rest)) = text.rsplit_once('@').filter(|(_, rest)| rest.contains('=')) else {
        return Ok((text, Vec::new()));
    };
    let wrong = || CliError::Usage(format!("`{rest}` is no variant; write FILE@AXIS=VALUE,AXIS=VALUE"));
    Ok((file, coordinates(rest).ok_or_else(wrong)?))
}

/// Adds the leaves of `value`, each under its path.
fn add(facts: &mut Facts, about: About, name: &str, value: &Value) {
    let Value::Object(fields) = value else {
        facts.insert(
            Fact {
                about,
                name: name.to_owned(),
            },
            value.clone(),
        );
        return;
    };
    for (field, value) in fields {
        let name = if name.is_empty() {
            field.clone()
        } else {
            format!("{name}.{field}")
        };
        add(facts, about, &name, value);
    }
}

/// Adds a data set's metrics; lists by length are no side-by-side matter.
fn add_metrics(facts: &mut Facts, data: &str, metrics: &serde_json::Map<String, Value>) {
    for (name, value) in metrics.iter().filter(|(_, value)| !value.is_array()) {
        add(facts, About::Metric, &format!("{data} {name}"), value);
    }
}

/// Adds digests in their short form.
fn add_digests(facts: &mut Facts, about: About, port: &str, digests: &[Option<lab::hash::Digest>]) {
    let digests: Vec<String> = digests
        .iter()
        .map(|digest| digest.map_or_else(|| "not there yet".to_owned(), |digest| digest.short()))
        .collect();
    add(facts, about, port, &Value::from(digests.join(" ")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_a_file_and_perhaps_a_variant() {
        let parts = |text| {
            parted(text)
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
