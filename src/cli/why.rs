//! `runner why`: from a number in the report back through stages, params and data to the sources.

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::session::StoreUse;
use super::{CliError, Exit, Session};
use lab::plan::{Selection, matches};
use report::why::ProvenanceReport;

/// Walk from a number in the report, or from a stage, back to the params and data behind it
#[derive(Clone, Debug, clap::Args)]
pub struct WhyArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// A metric (`accuracy`, `following.consistency`) or a stage (`score[2]`)
    #[arg(value_name = "METRIC|STAGE")]
    pub what: String,

    /// Only variants with this coordinate; may be repeated
    #[arg(long = "variant", value_name = "AXIS=VALUE", value_parser = super::selection::coordinate)]
    pub variants: Vec<(String, String)>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Prints the walk back.
///
/// # Errors
/// When there is no metric or stage of that name, or the store cannot be read.
pub fn why(args: &WhyArgs) -> Result<Exit, CliError> {
    let session = Session::open(&args.experiment, &ExecutionArgs::default(), StoreUse::Find)?;
    let is_stage = session.dag.graph.node_weights().any(|node| matches(&args.what, &node.name.name));
    let selection = Selection {
        stages: if is_stage { vec![args.what.clone()] } else { Vec::new() },
        variants: args.variants.clone(),
    };
    let targets = selection.targets(&session.dag)?;
    let (plan, store) = session.plan(&selection)?;
    let metric = Some(args.what.as_str()).filter(|_| !is_stage);
    let report = ProvenanceReport::trace(&plan, &store, &targets, metric)?;
    if args.json {
        super::print_json(&report.json)
    } else {
        super::print(&report.text)
    }
}
