//! Numbers that rest on outputs which a person has accepted for another key.

use std::collections::BTreeSet;

use lab::plan::Plan;
use lab::store::{Store, StoreError};
use petgraph::Direction;
use petgraph::graph::NodeIndex;
use serde_json::{Value, json};

use crate::record_text::{acceptance, claim};
use crate::table::ReportTable;

/// The mark behind a number, which a note explains.
const MARK: &str = "†";

/// What rests on accepted outputs in a plan.
#[derive(Clone, Debug, Default)]
pub struct AcceptedOutputs {
    /// The nodes of the accepted stages, and of all that use their outputs.
    nodes: BTreeSet<usize>,
    claims: Vec<AcceptedStage>,
}

/// An accepted stage.
#[derive(Clone, Debug, Default)]
struct AcceptedStage {
    /// Its name without its variant, and with it.
    stage: String,
    name: String,
    /// Who accepted its outputs, when and why; and the same with the key that ran.
    by: String,
    whole: String,
}

impl AcceptedOutputs {
    /// Those of the plan.
    ///
    /// # Errors
    /// When a record cannot be read.
    pub fn of(plan: &Plan, store: &Store) -> Result<Self, StoreError> {
        let mut found = Self::default();
        let mut open: Vec<NodeIndex> = Vec::new();
        for (index, node, entry) in plan.stages().filter(|(_, _, entry)| entry.is_accepted) {
            let record = entry.key.map(|key| store.record(&key)).transpose()?.flatten();
            let accepted = record.and_then(|record| record.accepted);
            found.claims.push(AcceptedStage {
                stage: node.name.name.clone(),
                name: node.name.to_string(),
                by: accepted.as_ref().map(claim).unwrap_or_default(),
                whole: accepted.as_ref().map(acceptance).unwrap_or_default(),
            });
            open.push(index);
        }
        while let Some(index) = open.pop() {
            if found.nodes.insert(index.index()) {
                open.extend(plan.dag.graph.neighbors_directed(index, Direction::Outgoing));
            }
        }
        Ok(found)
    }

    /// Marks the numbers of a table that rest on them, and says so in its title.
    pub(crate) fn mark(&self, table: &mut ReportTable) {
        let mut is_marked = false;
        for cell in table.rows.iter_mut().flat_map(|row| &mut row.cells) {
            if !cell.text.is_empty() && cell.nodes.iter().any(|node| self.nodes.contains(node)) {
                cell.text += MARK;
                is_marked = true;
            }
        }
        if is_marked {
            table.title += &format!(" ({MARK} rests on accepted outputs)");
        }
    }

    /// The lines that explain the mark; empty without accepted outputs. What was accepted at once is one line.
    pub(crate) fn note(&self) -> String {
        let mut groups: Vec<Vec<&AcceptedStage>> = Vec::new();
        for claim in &self.claims {
            let same = |group: &&mut Vec<&AcceptedStage>| group.iter().all(|other| (&other.stage, &other.by) == (&claim.stage, &claim.by));
            match groups.iter_mut().find(same) {
                Some(group) => group.push(claim),
                None => groups.push(vec![claim]),
            }
        }
        let lines = groups.iter().map(|group| match group.as_slice() {
            [one] => format!("  {}: {}\n", one.name, one.whole),
            [first, ..] => format!("  {} ({} variants): accepted {}\n", first.stage, group.len(), first.by),
            [] => String::new(),
        });
        let lines: String = lines.collect();
        if lines.is_empty() {
            return lines;
        }
        format!("\n{MARK} rests on accepted outputs:\n{lines}")
    }

    /// `[{"stage", "claim"}]`, for programs.
    pub(crate) fn json(&self) -> Value {
        let claims = self.claims.iter();
        claims.map(|claim| json!({"stage": claim.name, "claim": claim.whole})).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{TableCell, TableRow};

    fn accepted_stage(stage: &str, variant: &str) -> AcceptedStage {
        AcceptedStage {
            stage: stage.to_owned(),
            name: format!("{stage}{variant}"),
            by: "now by ada: a comment".to_owned(),
            whole: "accepted now by ada: a comment (key 12 ran)".to_owned(),
        }
    }

    #[test]
    fn numbers_are_marked_where_they_rest_on_accepted_outputs() {
        let accepted = AcceptedOutputs {
            nodes: [3, 4].into(),
            claims: vec![
                accepted_stage("use", ""),
                accepted_stage("fit", " (seed=1)"),
                accepted_stage("fit", " (seed=2)"),
            ],
        };
        let cells = vec![
            TableCell::plain("fit"),
            TableCell::linked("0.5", [1, 4]),
            TableCell::linked("0.6", [2]),
            TableCell::linked("", [3]),
        ];
        let mut table = ReportTable {
            title: "Metrics".to_owned(),
            rows: vec![TableRow {
                cells,
                begins_group: false,
            }],
            ..ReportTable::default()
        };
        accepted.mark(&mut table);
        let texts: Vec<&str> = table.rows[0].cells.iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(texts, ["fit", "0.5†", "0.6", ""]);
        assert_eq!(table.title, "Metrics († rests on accepted outputs)");
        assert_eq!(
            accepted.note(),
            "\n† rests on accepted outputs:\n  use: accepted now by ada: a comment (key 12 ran)\n  fit (2 variants): accepted now by ada: a \
             comment\n"
        );
        assert_eq!(AcceptedOutputs::default().note(), "");
    }
}
