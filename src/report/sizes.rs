//! The sizes of the data sets, and the lengths of their solutions.

use std::collections::BTreeMap;

use crate::scores::{Mean, SEED, distinct};
use crate::stage_details::{OutputDetails, StageDetails, StepRange};
use crate::table::{ColumnGroup, ReportTable, TableCell, TableRow};
use lab::text::Align;

/// An output port of the stages of one name, in variants that differ only in their seeds.
#[derive(Clone, PartialEq)]
struct DataSetLine<'a> {
    group: BTreeMap<&'a str, &'a str>,
    stage: &'a str,
    port: &'a str,
}

/// A row for each stage and port with rows: their number, and the steps of their solutions, as means over seeds that differ. `None`
/// without such stages.
pub fn data_sets_table(stages: &[StageDetails]) -> Option<ReportTable> {
    let mut lines = distinct(stages.iter().flat_map(|stage| {
        let outputs = stage.outputs.iter().filter(|output| output.rows.is_some());
        outputs.map(|output| DataSetLine::new(stage, output))
    }));
    let axes = distinct(lines.iter().flat_map(|line| line.group.keys().copied()));
    let groups = distinct(lines.iter().map(|line| line.group.clone()));
    lines.sort_by_key(|line| groups.iter().position(|group| *group == line.group));
    let mut column_groups: Vec<ColumnGroup> = axes.iter().map(|axis| ColumnGroup::axis(axis)).collect();
    column_groups.extend(["stage", "output"].map(|title| ColumnGroup::single(title, Align::Left)));
    column_groups.push(ColumnGroup::single("rows", Align::Right));
    column_groups.push(ColumnGroup::new("steps", &["least", "mean", "most"], Align::Right));
    let row = |(i, line): (usize, &DataSetLine<'_>)| {
        let mut cells: Vec<TableCell> = axes
            .iter()
            .map(|axis| TableCell::plain(line.group.get(axis).copied().unwrap_or_default()))
            .collect();
        cells.extend([TableCell::plain(line.stage), TableCell::plain(line.port)]);
        cells.extend(line.numbers(stages));
        let begins_group = i > 0 && lines.get(i - 1).is_some_and(|before| before.group != line.group);
        TableRow { cells, begins_group }
    };
    let table = || ReportTable {
        title: "Data sets: rows, and steps of their solutions".to_owned(),
        column_groups,
        rows: lines.iter().enumerate().map(row).collect(),
    };
    (!lines.is_empty()).then(|| table().with_axes_apart())
}

impl<'a> DataSetLine<'a> {
    fn new(stage: &'a StageDetails, output: &'a OutputDetails) -> Self {
        let group = stage.variant.iter().filter(|(axis, _)| *axis != SEED);
        Self {
            group: group.map(|(axis, value)| (axis.as_str(), value.as_str())).collect(),
            stage: &stage.name,
            port: &output.port,
        }
    }

    /// The cells behind the names.
    fn numbers(&self, stages: &'a [StageDetails]) -> [TableCell; 4] {
        let outputs = || {
            let each = stages
                .iter()
                .flat_map(|stage| stage.outputs.iter().map(move |output| (stage, output)));
            each.filter(|(stage, output)| Self::new(stage, output) == *self)
        };
        let nodes: Vec<usize> = outputs().map(|(stage, _)| stage.id).collect();
        let cell = |numbers: Vec<f64>, decimals| TableCell::linked(common_number(&numbers, decimals), nodes.iter().copied());
        let steps = |of: fn(&StepRange) -> f64| outputs().filter_map(|(_, output)| output.steps.as_ref().map(of)).collect();
        [
            cell(outputs().filter_map(|(_, output)| Some(output.rows? as f64)).collect(), 0),
            cell(steps(|steps| f64::from(steps.least)), 0),
            cell(steps(|steps| steps.mean), 2),
            cell(steps(|steps| f64::from(steps.most)), 0),
        ]
    }
}

/// The number if all are equal, or their mean with one more decimal.
fn common_number(numbers: &[f64], decimals: usize) -> String {
    let Some(mean) = Mean::of(numbers) else { return String::new() };
    let equal = numbers.windows(2).all(|pair| pair[0] == pair[1]);
    match equal {
        true => format!("{:.decimals$}", mean.mean),
        false => mean.format(1.0, decimals.max(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example;
    use lab::hash::Digest;
    use lab::text::Paint;

    fn stage(id: usize, name: &str, variant: &[(&str, &str)], outputs: &[(&str, u64, Option<StepRange>)]) -> StageDetails {
        let output = |(port, rows, steps): &(&str, u64, Option<StepRange>)| OutputDetails {
            port: (*port).to_owned(),
            digest: Digest::of(b"rows"),
            bytes: 1,
            rows: Some(*rows),
            steps: *steps,
            validation: None,
        };
        StageDetails {
            variant: variant
                .iter()
                .map(|(axis, value)| ((*axis).to_owned(), (*value).to_owned()))
                .collect(),
            outputs: outputs.iter().map(output).collect(),
            ..example::stage_details(id, name)
        }
    }

    #[test]
    fn tasks_stand_apart_and_seeds_together() {
        let steps = |least, mean, most| Some(StepRange { least, mean, most });
        let stages = [
            stage(
                0,
                "problems",
                &[("task", "addition")],
                &[("train", 2855, steps(1, 2.61, 4)), ("skipped", 0, None)],
            ),
            stage(1, "problems", &[("task", "direction")], &[("train", 2080, steps(1, 5.5, 10))]),
            stage(
                2,
                "skips[1]",
                &[("seed", "1"), ("task", "addition")],
                &[("data", 100, steps(1, 1.5, 2))],
            ),
            stage(
                3,
                "skips[1]",
                &[("seed", "2"), ("task", "addition")],
                &[("data", 103, steps(1, 1.75, 3))],
            ),
        ];
        let table = data_sets_table(&stages).unwrap();
        insta::assert_snapshot!(table.text(Paint::default()), @r"
        task       stage     output          rows  steps least         mean       most
        addition   problems  train           2855            1         2.61          4
        addition   problems  skipped            0
        addition   skips[1]  data     101.5 ± 2.1            1  1.62 ± 0.18  2.5 ± 0.7

        direction  problems  train           2080            1         5.50         10
        ");
        assert_eq!(table.rows[2].cells[3].nodes, [2, 3]);
        assert_eq!(data_sets_table(&[]), None);
    }
}
