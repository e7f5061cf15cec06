//! A metric over two axes.

use super::super::HeatMap;
use super::super::heat_map::{HeatAxis, HeatScale};
use super::values::MetricValues;

pub(super) const CAPTION: &str =
    "Means over the seeds; one scale for all panels, dark for low and light for high values. Deviations are among the numbers.";

/// A map for each combination of the other axes.
pub(super) fn maps(values: &MetricValues<'_>, rows: usize, columns: usize) -> Vec<HeatMap> {
    let axis = |axis: usize| HeatAxis {
        title: values.axes.get(axis).map_or_else(String::new, |axis| axis.name.clone()),
        values: values.axes.get(axis).map_or_else(Vec::new, |axis| axis.values.clone()),
    };
    let (row_axis, column_axis) = (axis(rows), axis(columns));
    let panels = values.rest(&[rows, columns]);
    let made = values.grouped(&panels).into_iter().map(|(_, own)| {
        let title = values.shared_label(&own, &panels);
        let mut cells = vec![vec![None; column_axis.values.len()]; row_axis.values.len()];
        for combination in own {
            let at = |axis: usize| combination.at.get(axis).copied().flatten();
            let (Some(row), Some(column)) = (at(rows), at(columns)) else {
                continue;
            };
            if let Some(cell) = cells.get_mut(row).and_then(|row| row.get_mut(column)) {
                *cell = values.point(0.0, combination);
            }
        }
        (title, cells)
    });
    let made: Vec<_> = made.collect();
    let means: Vec<f64> = made
        .iter()
        .flat_map(|(_, cells)| cells.iter().flatten().flatten())
        .map(|point| point.y)
        .collect();
    let scale = HeatScale::over(means.iter().copied(), values.metric.is_log(means.iter().copied()));
    let map = |(title, cells)| HeatMap {
        title,
        rows: row_axis.clone(),
        columns: column_axis.clone(),
        cells,
        scale,
        unit: values.metric.unit(),
    };
    made.into_iter().map(map).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::Drawings;
    use super::super::figures;
    use super::super::values::tests::{chosen, score, scores};
    use crate::metrics::MetricColumn;

    #[test]
    fn a_sweep_over_three_axes_has_a_map_for_each_value_of_the_third() {
        let mut all = Vec::new();
        for (i, depth) in ["1", "2", "16"].into_iter().enumerate() {
            for lr in ["0.1", "0.01", "0.001"] {
                for (j, width) in ["1", "16", "64"].into_iter().enumerate() {
                    for seed in ["1", "2", "3"] {
                        let variant = [("depth", depth), ("lr", lr), ("width", width), ("seed", seed)];
                        let value = if all.len() == 80 { f64::NAN } else { (i + j) as f64 };
                        all.push(score(all.len(), "fit", &variant, &[("test.f1", value)]));
                    }
                }
            }
        }
        let scores = scores(all);
        let figures = figures(&scores, &chosen(&["test.f1"]));
        assert_eq!(figures.len(), 1);
        let Drawings::HeatMaps(maps) = &figures[0].drawings else {
            panic!("{:?}", figures[0].drawings);
        };
        let titles: Vec<&str> = maps.iter().map(|map| map.title.as_str()).collect();
        assert_eq!(titles, ["width=1", "width=16", "width=64"]);
        assert_eq!(
            (maps[0].rows.title.as_str(), maps[0].columns.values.join(" ")),
            ("depth", "0.001 0.01 0.1".to_owned())
        );
        assert_eq!((maps[0].scale.low, maps[0].scale.high), (0.0, 4.0));
        let last = maps[2].cells[2][0].as_ref().unwrap();
        assert!(last.y.is_nan() && last.nodes.len() == 3);
        let svg = figures[0].svg();
        assert!(svg.contains(">width=1<") && svg.contains(">width=16<"), "titles in full");
        assert_eq!(svg.matches("data-stages").count(), 27);
        assert_eq!(MetricColumn::default().unit(), "");
    }
}
