//! Numbers that rest on outputs which a person has accepted for another key.

use std::collections::BTreeSet;

use lab::plan::Plan;
use lab::store::{Store, StoreError};
use petgraph::Direction;
use petgraph::graph::NodeIndex;
use serde_json::{Value, json};

use crate::record_text::acceptance;
use crate::table::ReportTable;

/// The mark behind a number, which a note explains.
const MARK: &str = "†";

/// What rests on accepted outputs in a plan.
#[derive(Clone, Debug, Default)]
pub struct AcceptedOutputs {
    /// The nodes of the accepted stages, and of all that use their outputs.
    nodes: BTreeSet<usize>,
    /// For each accepted stage, who accepted its outputs, when and why.
    claims: Vec<(String, String)>,
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
            let claim = record.and_then(|record| record.accepted).map(|accepted| acceptance(&accepted));
            found.claims.push((node.name.to_string(), claim.unwrap_or_default()));
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

    /// The lines that explain the mark; empty without accepted outputs.
    pub(crate) fn note(&self) -> String {
        let claims: Vec<String> = self.claims.iter().map(|(stage, claim)| format!("  {stage}: {claim}\n")).collect();
        match claims.as_slice() {
            [] => String::new(),
            claims => format!("\n{MARK} rests on accepted outputs:\n{}", claims.concat()),
        }
    }

    /// `[{"stage", "claim"}]`, for programs.
    pub(crate) fn json(&self) -> Value {
        let claims = self.claims.iter();
        claims.map(|(stage, claim)| json!({"stage": stage, "claim": claim})).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{TableCell, TableRow};

    #[test]
    fn numbers_are_marked_where_they_rest_on_accepted_outputs() {
        let accepted = AcceptedOutputs {
            nodes: [3, 4].into(),
            claims: vec![("fit".to_owned(), "accepted by ada: a comment".to_owned())],
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
            "\n† rests on accepted outputs:\n  fit: accepted by ada: a comment\n"
        );
        assert_eq!(AcceptedOutputs::default().note(), "");
    }
}
