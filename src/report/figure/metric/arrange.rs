//! How the values of a metric are drawn: over one axis as lines, over two as colours, by name as bars.

use std::collections::BTreeSet;

use super::axes::FigureAxis;

/// One way to draw the values. Axes are named by their index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrangement {
    /// Over a numeric axis, a line for each combination of the others, a panel for each value of `panels`.
    Lines { x: usize, panels: Option<usize> },
    /// Over each of several numeric axes, a panel for each: for combinations that are no grid.
    Dots { over: Vec<usize> },
    /// Over two axes, a panel for each combination of the others.
    HeatMap { rows: usize, columns: usize },
    /// A bar for each combination.
    Bars,
}

/// The most lines of a panel: one for each colour.
pub(super) const MAX_LINES: usize = 8;
/// The most panels of a figure.
pub(super) const MAX_PANELS: usize = 12;
/// The fewest values of each axis of a heat map, and the most values of one whose values are names.
const FEWEST_VALUES: usize = 3;
const MOST_NAMES: usize = 12;
/// The most values of a numeric axis of a heat map: more rows and columns are no longer told apart.
const MOST_NUMBERS: usize = 24;

/// The places of all combinations, as indices of values.
type Places<'a> = [&'a [Option<usize>]];

/// The arrangement of combinations at these places. `None` if there are not two of them to compare.
pub(super) fn arrange(axes: &[FigureAxis], places: &Places<'_>) -> Option<Arrangement> {
    if places.len() < 2 {
        return None;
    }
    let is_numeric = |axis: &usize| axes.get(*axis).is_some_and(|axis| axis.numbers.is_some());
    let all = by_size(axes, 0..axes.len());
    let numeric: Vec<usize> = all.iter().copied().filter(is_numeric).collect();
    let arranged = heat_map(axes, places, &numeric, MOST_NUMBERS)
        .or_else(|| numeric.iter().find_map(|x| lines(axes, places, *x)))
        .or_else(|| (numeric.len() > 1).then(|| Arrangement::Dots { over: numeric.clone() }))
        .or_else(|| heat_map(axes, places, &all, MOST_NAMES));
    Some(arranged.unwrap_or(Arrangement::Bars))
}

/// The axes with the most values first; of equal ones, the first in their order.
fn by_size(axes: &[FigureAxis], chosen: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut chosen: Vec<usize> = chosen.collect();
    chosen.sort_by_key(|axis| std::cmp::Reverse(axes.get(*axis).map_or(0, |axis| axis.values.len())));
    chosen
}

/// The number of different places on these axes.
fn count(places: &Places<'_>, axes: &[usize]) -> usize {
    let parts: BTreeSet<Vec<Option<usize>>> = places.iter().map(|place| part(place, axes)).collect();
    parts.len()
}

/// The part of a place on these axes.
pub(super) fn part(at: &[Option<usize>], axes: &[usize]) -> Vec<Option<usize>> {
    axes.iter().map(|axis| at.get(*axis).copied().flatten()).collect()
}

/// The axes that are none of `others`.
pub(super) fn rest(axes: &[FigureAxis], others: &[usize]) -> Vec<usize> {
    (0..axes.len()).filter(|axis| !others.contains(axis)).collect()
}

/// Two of the axes with three values or more, of whose pairs most are there.
fn heat_map(axes: &[FigureAxis], places: &Places<'_>, among: &[usize], most: usize) -> Option<Arrangement> {
    let size = |axis: usize| axes.get(axis).map_or(0, |axis| axis.values.len());
    let fitting: Vec<usize> = among
        .iter()
        .copied()
        .filter(|axis| (FEWEST_VALUES..=most).contains(&size(*axis)))
        .collect();
    let pairs = fitting
        .iter()
        .enumerate()
        .flat_map(|(i, a)| fitting[i + 1..].iter().map(move |b| (*a.min(b), *a.max(b))));
    let fits = |(rows, columns): &(usize, usize)| {
        let filled = count(places, &[*rows, *columns]);
        let panels = count(places, &rest(axes, &[*rows, *columns]));
        // A pair that is there in one panel of many makes no map.
        let is_grid = 2 * places.len() >= size(*rows) * size(*columns) * panels;
        filled >= FEWEST_VALUES * FEWEST_VALUES && panels <= MAX_PANELS && is_grid
    };
    let (rows, columns) = pairs.into_iter().find(fits)?;
    Some(Arrangement::HeatMap { rows, columns })
}

/// Lines over `x`, in one panel if they have colours enough, else in a panel for each value of another axis.
fn lines(axes: &[FigureAxis], places: &Places<'_>, x: usize) -> Option<Arrangement> {
    let others = rest(axes, &[x]);
    let lines = count(places, &others);
    // Lines of a single point are none.
    if 2 * places.len() < 3 * lines {
        return None;
    }
    if lines <= MAX_LINES {
        return Some(Arrangement::Lines { x, panels: None });
    }
    let mut panels = by_size(axes, others.into_iter());
    panels.reverse();
    let fits = |panel: &usize| {
        // A panel for each line would compare nothing.
        let lines = count(places, &rest(axes, &[x, *panel]));
        count(places, &[*panel]) <= MAX_PANELS && (2..=MAX_LINES).contains(&lines)
    };
    let panel = panels.into_iter().find(fits)?;
    Some(Arrangement::Lines { x, panels: Some(panel) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numeric(values: usize) -> FigureAxis {
        FigureAxis::new(&format!("n{values}"), (1..=values).map(|value| value.to_string()).collect(), true)
    }

    fn named(values: usize) -> FigureAxis {
        FigureAxis::new(&format!("a{values}"), (1..=values).map(|value| format!("v{value}")).collect(), true)
    }

    /// All combinations of the axes' values.
    fn grid(axes: &[FigureAxis]) -> Vec<Vec<Option<usize>>> {
        axes.iter().fold(vec![Vec::new()], |places, axis| {
            let longer = |place: &Vec<Option<usize>>| {
                let place = place.clone();
                (0..axis.values.len()).map(move |value| [place.clone(), vec![Some(value)]].concat())
            };
            places.iter().flat_map(longer).collect()
        })
    }

    fn arranged(axes: &[FigureAxis]) -> Option<Arrangement> {
        let grid = grid(axes);
        arrange(axes, &grid.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    #[test]
    fn one_numeric_axis_has_lines() {
        let lines = |x, panels| Some(Arrangement::Lines { x, panels });
        assert_eq!(arranged(&[numeric(2)]), lines(0, None));
        assert_eq!(arranged(&[named(3), numeric(3)]), lines(1, None));
        assert_eq!(arranged(&[named(4), numeric(3), named(2)]), lines(1, None));
        assert_eq!(
            arranged(&[named(4), numeric(3), named(3)]),
            lines(1, Some(2)),
            "12 lines: the fewest panels"
        );
        assert_eq!(arranged(&[numeric(5), numeric(2)]), lines(0, None), "no map of 2 rows");
    }

    #[test]
    fn two_numeric_axes_have_a_heat_map() {
        let map = |rows, columns| Some(Arrangement::HeatMap { rows, columns });
        assert_eq!(arranged(&[numeric(3), numeric(3), numeric(3)]), map(0, 1));
        assert_eq!(arranged(&[numeric(2), numeric(3), numeric(4)]), map(1, 2));
        assert_eq!(arranged(&[named(3), named(4)]), map(0, 1), "names with few values");
        assert_eq!(arranged(&[numeric(3), named(12)]), map(0, 1), "too many lines for the colours");
    }

    #[test]
    fn names_have_bars() {
        assert_eq!(arranged(&[named(5)]), Some(Arrangement::Bars));
        assert_eq!(arranged(&[named(2), named(9)]), Some(Arrangement::Bars));
        assert_eq!(arranged(&[named(40), named(40)]), Some(Arrangement::Bars));
    }

    #[test]
    fn combinations_that_are_no_grid_are_dots() {
        let axes = [numeric(20), numeric(19)];
        let places: Vec<Vec<Option<usize>>> = (0..20).map(|i| vec![Some(i), Some((7 * i) % 19)]).collect();
        let arranged = arrange(&axes, &places.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert_eq!(arranged, Some(Arrangement::Dots { over: vec![0, 1] }));
    }

    #[test]
    fn one_value_alone_has_no_figure() {
        assert_eq!(arranged(&[]), None);
        assert_eq!(arrange(&[], &[]), None);
    }
}
