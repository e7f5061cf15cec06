//! A metric by names.

use super::super::bar_chart::Bar;
use super::super::{BarChart, Divergence, Drawings};
use super::values::MetricValues;

pub(super) const CAPTION: &str = "Means over the seeds, with a line of one standard deviation; circles are single seeds.";

/// The most bars of one chart, and of all.
const MAX_BARS: usize = 12;
const MAX_ALL: usize = 48;

/// A bar for each combination. Many are divided into charts of about the same length.
pub(super) fn charts(values: &MetricValues<'_>) -> Vec<BarChart> {
    let axes = values.rest(&[]);
    let scale = values.metric.scale();
    let bars = values.combinations.iter().take(MAX_ALL).filter_map(|combination| {
        Some(Bar {
            name: values.label(&combination.at, &axes),
            mean: values.point(0.0, combination)?,
            seeds: combination.numbers.values().map(|number| number * scale).collect(),
        })
    });
    let mut bars: Vec<Bar> = bars.collect();
    let ends = bars
        .iter()
        .flat_map(|bar| bar.seeds.iter().copied().chain(bar.mean.ends().into_iter().flatten()));
    let ends: Vec<f64> = ends.chain([0.0]).collect();
    let axis = super::Axis::around(&values.metric.axis_title(), ends.into_iter());
    let worse = values.metric.worse_end(&axis);
    for bar in &mut bars {
        bar.mean.diverged = bar.mean.diverged.map(|diverged| Divergence { at: worse, ..diverged });
    }
    let each = bars.len().div_ceil(bars.len().div_ceil(MAX_BARS).max(1)).max(1);
    let chart = |bars: &[Bar]| BarChart {
        title: String::new(),
        values: axis.clone(),
        bars: bars.to_vec(),
        unit: values.metric.unit(),
    };
    bars.chunks(each).map(chart).collect()
}

/// A note that says how many bars are left out.
pub(super) fn left_out(drawings: &Drawings, values: &MetricValues<'_>) -> Option<String> {
    let all = values.combinations.len();
    let is_cut = matches!(drawings, Drawings::Bars(_)) && all > MAX_ALL;
    is_cut.then(|| format!(" The first {MAX_ALL} of {all} combinations."))
}

#[cfg(test)]
mod tests {
    use super::super::figures;
    use super::super::values::tests::{chosen, score, scores};
    use super::*;

    fn figure(names: usize) -> (Vec<BarChart>, String) {
        let all = (0..2 * names).map(|i| {
            let (name, seed) = (format!("change {}", i / 2), (i % 2).to_string());
            score(
                i,
                "fit",
                &[("ablate", &name), ("seed", &seed)],
                &[("accuracy", 0.5 + i as f64 / 1000.0)],
            )
        });
        let scores = scores(all.collect());
        let figure = figures(&scores, &chosen(&["accuracy"])).pop().unwrap();
        let Drawings::Bars(charts) = figure.drawings else {
            panic!("{:?}", figure.drawings);
        };
        (charts, figure.caption)
    }

    #[test]
    fn bars_begin_at_zero_and_have_their_seeds() {
        let (charts, _) = figure(3);
        assert_eq!((charts.len(), charts[0].values.low), (1, 0.0));
        let bar = &charts[0].bars[1];
        assert_eq!(
            (bar.name.as_str(), bar.seeds.len(), bar.mean.nodes.as_slice()),
            ("ablate=change 1", 2, &[2, 3][..])
        );
    }

    #[test]
    fn many_bars_are_divided_and_what_is_left_out_is_said() {
        let (charts, caption) = figure(27);
        let lengths: Vec<usize> = charts.iter().map(|chart| chart.bars.len()).collect();
        assert_eq!(lengths, [9, 9, 9]);
        assert!(!caption.contains("The first"), "{caption}");
        let (charts, caption) = figure(50);
        assert_eq!(charts.iter().map(|chart| chart.bars.len()).sum::<usize>(), 48);
        assert!(caption.ends_with("The first 48 of 50 combinations."), "{caption}");
    }
}
