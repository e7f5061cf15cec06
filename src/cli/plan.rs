//! `runner plan`: what a run would do, and why.

use std::collections::BTreeMap;

use petgraph::graph::NodeIndex;
use serde_json::{Value, json};

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::interpreters::{self, OtherInterpreter};
use super::run::{memory, missing_programs};
use super::selection::SelectionArgs;
use super::session::{Resolved, StoreUse};
use super::warning::warn;
use super::{CliError, Exit, Session, forecast, gpus, source_sizes, sources, suggest};
use lab::exec::cores;
use lab::plan::{Again, Node, Plan, PlanEntry, PlanForecast, Resolver, StageState};
use lab::text::{Align, Color, Paint, TextTable, duration};

/// Print which stages are in the store, which have to run, and why
#[derive(Clone, Debug, clap::Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Print tables of resources instead, as the records of the stages suggest them
    #[arg(long, conflicts_with = "json")]
    pub suggest: bool,

    /// Print what is forecast for the stages of each name instead, and how good such forecasts were
    #[arg(long, conflicts_with_all = ["json", "suggest"])]
    pub forecast: bool,

    /// Exit with code 3 if a stage has to run
    #[arg(long)]
    pub check: bool,
}

/// Prints the plan.
///
/// # Errors
/// When the experiment is wrong, or the store is damaged.
pub fn plan(args: &PlanArgs, paint: Paint) -> Result<Exit, CliError> {
    let session = Session::open(&args.experiment, &ExecutionArgs::default(), StoreUse::Look)?;
    let settings = session.settings.clone();
    let resolved = session.plan_with(&args.selection.selection(), |_, _| false)?;
    let Resolved {
        plan,
        store,
        contents,
        missing,
        ..
    } = resolved;
    sources::require(&plan, missing)?;
    sources::without_files(&plan, &contents).into_iter().for_each(warn);
    missing_programs(&plan, settings.sandbox).into_iter().for_each(warn);
    let gpus = gpus::of_plan(&plan, &settings)?;
    gpus::refusals(&plan, &gpus, settings.threads(cores()), memory(&settings))
        .into_iter()
        .for_each(warn);
    let all = plan.forecast(forecast::at_once(&settings));
    forecast::lack_of_room(&plan, &all, &store, &settings).into_iter().for_each(warn);
    let others = interpreters::others(&plan, &store)?;
    let sizes = source_sizes::sizes(&plan, &contents);
    if args.suggest {
        super::print(&suggest::suggest(&plan, &store)?)?;
    } else if args.forecast {
        let past = Resolver::new(&store, None).past_forecasts(&plan, forecast::PAST);
        super::print(&forecast::table(&plan, &all, &past, &store, paint))?;
    } else if args.json {
        let mut json = as_json(&plan, &others);
        json["sources"] = source_sizes::as_json(&sizes);
        super::print_json(&json)?;
    } else {
        super::print(&(as_text(&plan, &others, &all, paint) + &source_sizes::as_text(&sizes)))?;
    }
    let has_work = plan.to_run().next().is_some();
    Ok(if args.check && has_work { Exit::WorkToDo } else { Exit::Done })
}

/// `hit`, `run`, `unknown`.
pub fn state_name(state: StageState) -> &'static str {
    match state {
        StageState::Hit => "hit",
        StageState::Run => "run",
        StageState::Unknown => "unknown",
    }
}

/// `{"experiment", "stages": [{"name", "variant", "kind", "state", "here", "deleted", "again", "accepted", "key", "reason", "seconds", "seconds_range", "bytes", "made_with", "inputs"}]}`.
pub fn as_json(plan: &Plan, others: &BTreeMap<NodeIndex, OtherInterpreter>) -> Value {
    let stage = |(index, node, entry): (NodeIndex, &Node, &PlanEntry)| {
        json!({
            "name": node.name.name,
            "variant": node.name.variant,
            "kind": node.kind.name,
            "state": state_name(entry.state),
            "here": entry.is_here,
            "deleted": entry.deleted,
            "again": entry.again.is_some(),
            "accepted": entry.is_accepted,
            "key": entry.key,
            "reason": entry.reason.as_ref().map(ToString::to_string),
            "seconds": entry.forecast.map(|forecast| forecast.seconds.likely),
            "seconds_range": entry.forecast.map(|forecast| [forecast.seconds.low, forecast.seconds.high]),
            "bytes": entry.forecast.map(|forecast| forecast.bytes.likely.round() as u64),
            "made_with": others.get(&index).map(|other| format!("Python {}", other.made)),
            "inputs": inputs(plan, node),
        })
    };
    json!({"experiment": plan.dag.experiment, "stages": plan.stages().map(stage).collect::<Vec<_>>()})
}

fn inputs(plan: &Plan, node: &Node) -> Vec<Value> {
    let links = node
        .inputs
        .iter()
        .flat_map(|(port, links)| links.iter().map(move |link| (port, link)));
    let input = |(port, link): (&String, &lab::plan::Link)| {
        json!({
            "port": port,
            "stage": plan.dag.graph.node_weight(link.from).map(|from| &from.name.name),
            "variant": plan.dag.graph.node_weight(link.from).map(|from| &from.name.variant),
            "output": link.port,
            "digest": plan.artifact(link).map(|artifact| artifact.digest),
        })
    };
    links.map(input).collect()
}

/// A table with a line per stage, and lines with the totals.
pub fn as_text(plan: &Plan, others: &BTreeMap<NodeIndex, OtherInterpreter>, forecast: &PlanForecast, paint: Paint) -> String {
    let title = |title: &str, align| (title.to_owned(), align);
    let mut table = TextTable::new([
        title("state", Align::Left),
        title("time", Align::Right),
        title("stage", Align::Left),
        title("variant", Align::Left),
        title("why", Align::Left),
    ]);
    for (index, node, entry) in plan.stages() {
        let color = match entry.state {
            StageState::Hit if entry.again.is_some() => Color::Yellow,
            StageState::Hit => Color::Green,
            StageState::Run => Color::Yellow,
            StageState::Unknown => Color::Dim,
        };
        let time = entry
            .forecast
            .map_or_else(String::new, |forecast| duration(forecast.seconds.likely));
        let variant: Vec<String> = node.name.variant.iter().map(|(axis, value)| format!("{axis}={value}")).collect();
        table.row([
            (
                if entry.again.is_some() { "again" } else { state_name(entry.state) }.to_owned(),
                Some(color),
            ),
            (time, None),
            (node.name.name.clone(), None),
            (variant.join(" "), None),
            (marked(why(plan, node, entry), others.get(&index)), Some(Color::Dim)),
        ]);
    }
    let lines: String = interpreters::summary(others).iter().map(|line| format!("{line}\n")).collect();
    format!("{}\n{}\n{lines}", table.render(paint), totals(plan, forecast))
}

/// What is said of a stage, with the interpreter that made it where that is another one.
fn marked(text: String, other: Option<&OtherInterpreter>) -> String {
    let Some(OtherInterpreter { made, .. }) = other else { return text };
    let made = format!("made with Python {made}");
    if text.is_empty() { made } else { format!("{text}; {made}") }
}

/// The reason for the state, or the stage that it depends on.
fn why(plan: &Plan, node: &Node, entry: &PlanEntry) -> String {
    if let Some(reason) = &entry.reason {
        return reason.to_string();
    }
    if let Some(again) = entry.again {
        return why_again(plan, entry, again);
    }
    if entry.is_accepted {
        return "accepted by hand (`runner why` tells)".to_owned();
    }
    if !entry.deleted.is_empty() {
        return format!("gc deleted {}", ports(entry));
    }
    if entry.state == StageState::Hit && !entry.is_here {
        return "in a remote".to_owned();
    }
    let mut links = node.inputs.values().flatten();
    let is_open = |index: NodeIndex| plan.entries.get(index.index()).is_some_and(|from| from.state != StageState::Hit);
    let first = links
        .find(|link| is_open(link.from))
        .and_then(|link| plan.dag.graph.node_weight(link.from));
    if let Some(first) = first {
        return format!("depends on the output of `{}`", first.name.name);
    }
    // Its inputs are known, so what is not is the content of its source.
    let source = node.stage.source().filter(|_| entry.state == StageState::Unknown);
    source.map_or_else(String::new, |source| format!("the source `{}` is downloaded first", source.name))
}

/// `gc deleted `model`, which `answers[6]` needs`
fn why_again(plan: &Plan, entry: &PlanEntry, again: Again) -> String {
    let deleted = ports(entry);
    match again {
        Again::NeededBy(index) => {
            let user = plan.dag.graph.node_weight(index).map_or("", |node| &node.name.name);
            format!("gc deleted {deleted}, and `{user}` needs it")
        }
        Again::Asked => format!("gc deleted {deleted}, which is asked for"),
    }
}

/// The deleted outputs.
fn ports(entry: &PlanEntry) -> String {
    let names: Vec<String> = entry.deleted.iter().map(|port| format!("`{port}`")).collect();
    names.join(", ")
}

/// `14 stages: 9 hit, 2 run, 3 unknown; 1 of the hits runs again only because gc deleted its output; about 3m20s (2m10s to 5m05s), 1.2 GB written`.
fn totals(plan: &Plan, forecast: &PlanForecast) -> String {
    let [hits, runs, unknown] = [StageState::Hit, StageState::Run, StageState::Unknown].map(|state| plan.count(state));
    let stages = hits + runs + unknown;
    let mut text = format!(
        "{stages} {}: {hits} hit, {runs} run, {unknown} unknown",
        if stages == 1 { "stage" } else { "stages" }
    );
    let again = plan.made_again().count();
    if again > 0 {
        let run = if again == 1 { "runs" } else { "run" };
        text += &format!("; {again} of the hits {run} again only because gc deleted what they put out");
    }
    let forecast = forecast::summary(plan, forecast);
    if !forecast.is_empty() {
        text += &format!("; {forecast}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::example::plan as example;

    #[test]
    fn the_text_has_state_time_and_reason() {
        insta::assert_snapshot!(as_text(&example(), &BTreeMap::new(), &example().forecast(1), Paint::default()), @r"
        state     time  stage        variant  why
        hit             problems
        hit             standard[0]  seed=1
        hit             score[0]     seed=1
        run      41.2s  standard[0]  seed=2   param `learning_rate` changed: 1e-3 → 2e-3
        unknown   3.0s  score[0]     seed=2   depends on the output of `standard[0]`
        run             extra                 never run

        6 stages: 3 hit, 2 run, 1 unknown; about 44.2s (22.1s to 1m28s), 2.0 kB written, and 1 stage of which no record says anything (`extra`)
        ");
    }

    #[test]
    fn hits_of_another_interpreter_are_marked() {
        let plan = example();
        let others = plan.stages().take(2).map(|(index, ..)| {
            let [made, here] = ["3.11.7", "3.12.1"].map(str::to_owned);
            (index, OtherInterpreter { made, here })
        });
        let others = others.collect();
        let text = as_text(&plan, &others, &plan.forecast(1), Paint::default());
        assert_eq!(
            text.lines().filter(|line| line.ends_with("made with Python 3.11.7")).count(),
            2,
            "{text}"
        );
        assert!(text.ends_with("\n2 hits were made with Python 3.11.7; here is 3.12.1\n"), "{text}");
        assert_eq!(as_json(&plan, &others)["stages"][0]["made_with"], "Python 3.11.7");
    }

    #[test]
    fn json_has_the_documented_fields() {
        let json = as_json(&example(), &BTreeMap::new());
        assert_eq!(json["experiment"], "addition");
        assert_eq!(json["stages"].as_array().map(Vec::len), Some(6));
        assert_eq!(json["stages"][3]["reason"], "param `learning_rate` changed: 1e-3 → 2e-3");
        insta::assert_json_snapshot!(json["stages"][4], @r#"
        {
          "accepted": false,
          "again": false,
          "bytes": 1000,
          "deleted": [],
          "here": false,
          "inputs": [
            {
              "digest": "e9c0ba08015769a0c4354594b96ce0dfbf27c9eb534a2f8378508985f732ff6d",
              "output": "in_domain",
              "port": "data",
              "stage": "problems",
              "variant": {}
            },
            {
              "digest": "94aa73e5d53ded06f0dcc593d9fe8a33664d3695be88d9fba0b872938059f213",
              "output": "ood_easy",
              "port": "data",
              "stage": "problems",
              "variant": {}
            },
            {
              "digest": null,
              "output": "model",
              "port": "model",
              "stage": "standard[0]",
              "variant": {
                "seed": "2"
              }
            }
          ],
          "key": null,
          "kind": "eval",
          "made_with": null,
          "name": "score[0]",
          "reason": null,
          "seconds": 3.0,
          "seconds_range": [
            1.5,
            6.0
          ],
          "state": "unknown",
          "variant": {
            "seed": "2"
          }
        }
        "#);
    }
}
