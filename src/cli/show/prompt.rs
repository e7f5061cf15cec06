//! The first prompt of a stage that need not have run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use petgraph::graph::NodeIndex;
use serde_json::{Value, json};

use crate::cli::{CliError, Exit, print_aside, print_json, write_out};
use lab::plan::{Link, Node, Plan};
use lab::stage::{FirstPrompt, PortType, PromptInputs, StageError};
use lab::store::Store;

/// Prints the prompt that a model is given first in a stage, or in the first of its parts that asks a model.
///
/// # Errors
/// When none of them asks a model, or the data that are asked about are not in the store.
pub(super) fn show(file: &Path, plan: &Plan, store: &Store, index: NodeIndex, json: bool) -> Result<Exit, CliError> {
    let look = Look { file, plan, store };
    let node = &plan.dag.graph[index];
    let parts = node.inputs.values().flatten().map(|link| link.from);
    let parts = parts.filter(|from| plan.dag.graph[*from].part && plan.dag.graph[*from].base == node.base);
    for asking in std::iter::once(index).chain(parts) {
        let node = &plan.dag.graph[asking];
        if let Some(FirstPrompt { row, text }) = look.prompt(node)? {
            if json {
                return print_json(&json!({ "stage": node.name.to_string(), "row": row, "prompt": text }));
            }
            print_aside(&format!("the first prompt of `{}`, for row `{row}`:\n", node.name));
            // Every byte of it counts.
            return write_out(&format!("{text}\n"));
        }
    }
    Err(CliError::Usage(format!(
        "`{}` gives no prompt to a model: name a `train`, `sample` or `eval`",
        node.name
    )))
}

/// What is looked at.
struct Look<'a> {
    file: &'a Path,
    plan: &'a Plan,
    store: &'a Store,
}

impl Look<'_> {
    fn prompt(&self, node: &Node) -> Result<Option<FirstPrompt>, CliError> {
        let failed = |error: StageError| CliError::Usage(format!("`{}`: {error}", node.name));
        // A stage that asks no model needs no data.
        if matches!(node.stage.first_prompt(&PromptInputs::default()), Ok(None)) {
            return Ok(None);
        }
        let mut artifacts = BTreeMap::new();
        let mut model = None;
        for (port, links) in &node.inputs {
            if is_model(node, port) {
                model = links.first().map(|link| self.asks_with(link)).transpose()?.flatten();
                continue;
            }
            let paths = links.iter().map(|link| self.path(node, link)).collect::<Result<Vec<_>, _>>()?;
            artifacts.insert(port.clone(), paths);
        }
        node.stage.first_prompt(&PromptInputs { artifacts, model }).map_err(failed)
    }

    /// Where the artifact is that a stage is asked about.
    fn path(&self, node: &Node, link: &Link) -> Result<PathBuf, CliError> {
        let path = self.plan.artifact(link).map(|artifact| self.store.object(&artifact.digest));
        path.filter(|path| path.exists()).ok_or_else(|| {
            let from = &self.plan.dag.graph[link.from].name;
            let file = self.file.display();
            CliError::NothingSelected(format!(
                "the first prompt of `{}` needs the rows of `{from}`, which are not in the store: `runner run {file} {}` makes them",
                node.name, from.name
            ))
        })
    }

    /// How the model is asked that a stage makes, or has made.
    fn asks_with(&self, link: &Link) -> Result<Option<Value>, CliError> {
        let node = &self.plan.dag.graph[link.from];
        let failed = |error: StageError| CliError::Usage(format!("`{}`: {error}", node.name));
        let made = self.plan.artifact(link).map(|artifact| self.store.object(&artifact.digest));
        if let Some(folder) = made.filter(|folder| folder.exists()) {
            return kinds::model_prompt(&folder).map(Some).map_err(failed);
        }
        let bases = node.inputs.iter().filter(|(port, _)| is_model(node, port));
        let base = bases.filter_map(|(_, links)| links.first()).next();
        let base = base.map(|link| self.asks_with(link)).transpose()?.flatten();
        node.stage.asks_with(base.as_ref()).map_err(failed)
    }
}

fn is_model(node: &Node, port: &str) -> bool {
    let mut inputs = node.kind.inputs.iter();
    inputs.any(|input| input.name == port && input.port == PortType::Model)
}
