//! The axes of a figure: which of them are numbers, and which are logarithmic.

use super::super::axis::Axis;

/// One thing that tells the values of a metric apart: an axis of the matrix, the stage, the iteration or the data set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FigureAxis {
    pub name: String,
    /// Its values; numbers ascending, others in the order of their first appearance.
    pub values: Vec<String>,
    /// The values as numbers, if all are.
    pub numbers: Option<Vec<f64>>,
    /// Whether its values are named with it: `width=16`. Stages and data sets are not.
    pub is_named: bool,
}

impl FigureAxis {
    /// An axis with these values, in the order of their first appearance.
    pub(super) fn new(name: &str, mut values: Vec<String>, is_named: bool) -> Self {
        let mut numbers = numbers(&values);
        if let Some(found) = &mut numbers {
            let mut pairs: Vec<(f64, String)> = found.iter().copied().zip(values).collect();
            pairs.sort_by(|(a, _), (b, _)| a.total_cmp(b));
            (*found, values) = pairs.into_iter().unzip();
        }
        Self {
            name: name.to_owned(),
            values,
            numbers,
            is_named,
        }
    }

    /// `width=16`, or `test` for a stage or data set.
    pub(super) fn label(&self, value: usize) -> String {
        let text = self.values.get(value).map_or("", String::as_str);
        if self.is_named {
            format!("{}={text}", self.name)
        } else {
            text.to_owned()
        }
    }

    /// The axis of a drawing, if the values are numbers.
    pub(super) fn drawn(&self) -> Option<Axis> {
        let numbers = self.numbers.as_ref()?;
        let ticks: Vec<(f64, String)> = numbers.iter().copied().zip(self.values.iter().cloned()).collect();
        Some(Axis::at_values(&self.name, &ticks, are_log(numbers)))
    }
}

/// The values as numbers: at least two, all finite and different.
fn numbers(values: &[String]) -> Option<Vec<f64>> {
    let numbers: Option<Vec<f64>> = values.iter().map(|value| value.trim().parse().ok()).collect();
    let numbers = numbers.filter(|numbers| numbers.len() >= 2 && numbers.iter().all(|number| number.is_finite()))?;
    let mut sorted = numbers.clone();
    sorted.sort_by(f64::total_cmp);
    sorted.windows(2).all(|pair| pair[0] < pair[1]).then_some(numbers)
}

/// Whether ascending numbers belong on a logarithmic axis: at least three positive ones that are spaced by about the same factor, or that
/// span two decades.
fn are_log(numbers: &[f64]) -> bool {
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else {
        return false;
    };
    if numbers.len() < 3 || *first <= 0.0 {
        return false;
    }
    let factors = || numbers.windows(2).map(|pair| pair[1] / pair[0]);
    let (least, most) = (factors().fold(f64::INFINITY, f64::min), factors().fold(0.0, f64::max));
    (least >= 1.5 && most / least <= 1.25) || last / first >= 100.0 * (1.0 - 1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(values: &[&str]) -> FigureAxis {
        FigureAxis::new("x", values.iter().map(|value| (*value).to_owned()).collect(), true)
    }

    #[test]
    fn numbers_are_put_in_order_and_names_are_not() {
        let numeric = axis(&["16", "1", "4e1"]);
        assert_eq!(
            (numeric.values, numeric.numbers),
            (vec!["1".into(), "16".into(), "4e1".into()], Some(vec![1.0, 16.0, 40.0]))
        );
        let named = axis(&["sgd", "16", "adam"]);
        assert_eq!((named.label(0).as_str(), &named.numbers), ("x=sgd", &None));
        for values in [&["16"][..], &["1", "1.0"], &["1", "nan"], &["1", "inf"], &["true", "1"]] {
            assert_eq!(axis(values).numbers, None, "{values:?}");
        }
        let stage = FigureAxis::new("stage", vec!["fit".into(), "test".into()], false);
        assert_eq!(stage.label(1), "test");
    }

    #[test]
    fn equal_factors_and_wide_spans_are_logarithmic() {
        for numbers in [
            &[1.0, 2.0, 4.0][..],
            &[1e-4, 3e-4, 1e-3, 3e-3],
            &[0.001, 0.01, 0.1],
            &[1.0, 5.0, 100.0],
        ] {
            assert!(are_log(numbers), "{numbers:?}");
        }
        for numbers in [
            &[1.0, 2.0, 3.0][..],
            &[8.0, 9.0, 10.0],
            &[0.0, 0.1, 1000.0],
            &[1.0, 1000.0],
            &[-1.0, 1.0, 2.0],
            &[],
        ] {
            assert!(!are_log(numbers), "{numbers:?}");
        }
    }
}
