//! `runner graph`: the graph of the stages, for Graphviz or Mermaid.

use std::fmt::Write;

use super::experiment::{ExecutionArgs, ExperimentArgs};
use super::plan::state_name;
use super::selection::SelectionArgs;
use super::session::StoreUse;
use super::{CliError, Exit, Session};
use lab::plan::{Link, Node, Plan, StageState};
use report::escape;

/// Print the stage graph as Graphviz or Mermaid
#[derive(Clone, Debug, clap::Args)]
pub struct GraphArgs {
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    #[command(flatten)]
    pub selection: SelectionArgs,

    /// The output format
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
}

/// The output format of `runner graph`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphFormat {
    /// Graphviz
    #[default]
    Dot,
    /// Mermaid, which GitHub renders
    Mermaid,
}

/// Prints the graph.
///
/// # Errors
/// When the experiment is wrong, or the store is damaged.
pub fn graph(args: &GraphArgs) -> Result<Exit, CliError> {
    let session = Session::open(&args.experiment, &ExecutionArgs::default(), StoreUse::Look)?;
    let (plan, _) = session.plan(&args.selection.selection())?;
    super::print(&match args.format {
        GraphFormat::Dot => dot(&plan),
        GraphFormat::Mermaid => mermaid(&plan),
    })
}

/// Green for hits, yellow for stages to run, grey for unknown states.
fn fill(state: StageState) -> &'static str {
    match state {
        StageState::Hit => "#d3f0d3",
        StageState::Run => "#fdeeb5",
        StageState::Unknown => "#e8e8e8",
    }
}

pub fn dot(plan: &Plan) -> String {
    let mut text = format!("digraph {} {{\n  rankdir=LR;\n", escape::dot(&plan.dag.experiment));
    text += "  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n";
    for (index, node, entry) in plan.stages() {
        let label = escape::dot(&format!("{}\n{}", node.name, node.kind.name));
        let _ = writeln!(text, "  n{} [label={label}, fillcolor=\"{}\"];", index.index(), fill(entry.state));
    }
    for (index, node, _) in plan.stages() {
        for link in links(node) {
            let label = label(plan, link).map_or_else(String::new, |port| format!(" [label={}]", escape::dot(port)));
            let _ = writeln!(text, "  n{} -> n{}{label};", link.from.index(), index.index());
        }
    }
    text + "}\n"
}

pub fn mermaid(plan: &Plan) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for (index, node, entry) in plan.stages() {
        let label = format!("{}<br/>{}", escape::mermaid(&node.name.to_string()), node.kind.name);
        let _ = writeln!(text, "  n{}[\"{label}\"]:::{}", index.index(), state_name(entry.state));
    }
    for (index, node, _) in plan.stages() {
        for link in links(node) {
            let arrow = label(plan, link).map_or_else(|| "-->".to_owned(), |port| format!("-- {} -->", escape::mermaid(port)));
            let _ = writeln!(text, "  n{} {arrow} n{}", link.from.index(), index.index());
        }
    }
    for state in [StageState::Hit, StageState::Run, StageState::Unknown] {
        let _ = writeln!(text, "  classDef {} fill:{},stroke:#666,color:#222", state_name(state), fill(state));
    }
    text
}

fn links(node: &Node) -> impl Iterator<Item = &Link> {
    node.inputs.values().flatten()
}

/// The output port, if the stage has several.
fn label<'a>(plan: &Plan, link: &'a Link) -> Option<&'a str> {
    let from = plan.dag.graph.node_weight(link.from)?;
    (from.outputs.len() > 1).then_some(link.port.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use report::example::plan as example;

    #[test]
    fn graphviz() {
        insta::assert_snapshot!(dot(&example()), @r##"
        digraph "addition" {
          rankdir=LR;
          node [shape=box, style="rounded,filled", fontname="sans-serif"];
          edge [fontname="sans-serif", fontsize=10];
          n0 [label="problems\ngenerate", fillcolor="#d3f0d3"];
          n1 [label="standard[0] (seed=1)\ntrain", fillcolor="#d3f0d3"];
          n2 [label="score[0] (seed=1)\neval", fillcolor="#d3f0d3"];
          n3 [label="standard[0] (seed=2)\ntrain", fillcolor="#fdeeb5"];
          n4 [label="score[0] (seed=2)\neval", fillcolor="#e8e8e8"];
          n5 [label="extra\ngenerate", fillcolor="#fdeeb5"];
          n0 -> n1 [label="train"];
          n0 -> n2 [label="in_domain"];
          n0 -> n2 [label="ood_easy"];
          n1 -> n2;
          n0 -> n3 [label="train"];
          n0 -> n4 [label="in_domain"];
          n0 -> n4 [label="ood_easy"];
          n3 -> n4;
        }
        "##);
    }

    #[test]
    fn a_mermaid_drawing() {
        insta::assert_snapshot!(mermaid(&example()), @r#"
        flowchart LR
          n0["problems<br/>generate"]:::hit
          n1["standard[0] (seed=1)<br/>train"]:::hit
          n2["score[0] (seed=1)<br/>eval"]:::hit
          n3["standard[0] (seed=2)<br/>train"]:::run
          n4["score[0] (seed=2)<br/>eval"]:::unknown
          n5["extra<br/>generate"]:::run
          n0 -- train --> n1
          n0 -- in_domain --> n2
          n0 -- ood_easy --> n2
          n1 --> n2
          n0 -- train --> n3
          n0 -- in_domain --> n4
          n0 -- ood_easy --> n4
          n3 --> n4
          classDef hit fill:#d3f0d3,stroke:#666,color:#222
          classDef run fill:#fdeeb5,stroke:#666,color:#222
          classDef unknown fill:#e8e8e8,stroke:#666,color:#222
        "#);
    }
}
