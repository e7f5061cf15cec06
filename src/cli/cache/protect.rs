//! `runner cache pin`: keeps an experiment's artifacts, whatever their age.

use serde_json::json;

use crate::cli::experiment::{ExecutionArgs, ExperimentArgs};
use crate::cli::{CliError, Exit, Session, print, print_json};
use lab::plan::Selection;
use lab::plan::State;
use lab::store::{Pin, Store};

/// Which experiment to keep.
#[derive(Clone, Debug, clap::Args)]
pub struct PinArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// Keep it no longer
    #[arg(long)]
    pub remove: bool,
}

/// Lists what is kept.
#[derive(Clone, Debug, clap::Args)]
pub struct PinsArgs {
    #[command(flatten)]
    pub store: super::StoreArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Pins or unpins.
pub(super) fn pin(args: &PinArgs) -> Result<Exit, CliError> {
    if args.remove {
        let session = Session::open(&args.experiment, &ExecutionArgs::default())?;
        let name = name(&args.experiment);
        return if session.store.unpin(&name)? {
            print(&format!("`{name}` is not kept any more\n"))
        } else {
            Err(CliError::NothingSelected(format!(
                "`{name}` is not pinned: `runner cache pins` lists what is"
            )))
        };
    }
    let (pin, missing) = of(&args.experiment)?;
    let session = Session::open(&args.experiment, &ExecutionArgs::default())?;
    session.store.pin(&pin)?;
    let mut text = format!("{} stages of `{}` are kept\n", pin.keys.len(), pin.experiment);
    if missing > 0 {
        text += &format!("{missing} are not in the store yet: pin it again when they are\n");
    }
    print(&text)
}

/// Lists the pins.
pub(super) fn pins(args: &PinsArgs) -> Result<Exit, CliError> {
    let pins = Store::open(&args.store.folder()?)?.pins()?;
    if args.json {
        return print_json(&json!(pins));
    }
    let line = |pin: &Pin| format!("{}: {} stages\n", pin.experiment, pin.keys.len());
    print(&pins.iter().map(line).collect::<String>())
}

/// What the store has of an experiment, and how many of its stages it has not.
pub(super) fn of(experiment: &ExperimentArgs) -> Result<(Pin, usize), CliError> {
    let (plan, _) = Session::open(experiment, &ExecutionArgs::default())?.plan(&Selection::default())?;
    let hits = || plan.stages().filter(|(_, _, entry)| entry.state == State::Hit);
    let pin = Pin {
        experiment: name(experiment),
        keys: hits().filter_map(|(_, _, entry)| entry.key).collect(),
        objects: hits()
            .flat_map(|(_, _, entry)| entry.outputs.values().map(|artifact| artifact.digest))
            .collect(),
    };
    let missing = plan.order.len() - pin.keys.len();
    Ok((pin, missing))
}

/// What names the experiment: its file, wherever it was named from, with profiles and changes.
fn name(experiment: &ExperimentArgs) -> String {
    let file = experiment.file.canonicalize().unwrap_or_else(|_| experiment.file.clone());
    let profiles = experiment.profiles.iter().map(|profile| format!(" --profile {profile}"));
    let set = experiment.set.iter().map(|set| format!(" --set {set}"));
    format!("{}{}", file.display(), profiles.chain(set).collect::<String>())
}
