//! How far a judge agrees with labels that people gave.

use super::{MetricMap, names};

/// What a judge and a label say of one answer: whether it is right. `None` where the judge gave no verdict that could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelledVerdict {
    pub judge: Option<bool>,
    pub label: bool,
}

/// The counts of both verdicts, the share of those that are the same, and Cohen's kappa: `(p - e) / (1 - e)`, where `p` is that share and `e`
/// the share that would be the same by chance, if both gave as many verdicts of each kind, but at random. Kappa is null where both always say
/// the same one thing, since chance would agree as well. Answers without a verdict of the judge are counted apart.
pub fn agreement(verdicts: &[LabelledVerdict]) -> MetricMap {
    let count = |judge: Option<bool>, label: Option<bool>| {
        let same = |verdict: &&LabelledVerdict| verdict.judge == judge && label.is_none_or(|label| verdict.label == label);
        verdicts.iter().filter(same).count() as u64
    };
    let [both, judge, label, neither] =
        [(true, true), (true, false), (false, true), (false, false)].map(|(judge, label)| count(Some(judge), Some(label)));
    let unscored = count(None, None);
    MetricMap::from([
        (names::LABELLED, (verdicts.len() as u64).into()),
        (names::AGREED, share(both + neither, both + judge + label + neither).into()),
        (names::KAPPA, kappa(both, judge, label, neither).into()),
        (names::BOTH_RIGHT, both.into()),
        (names::JUDGE_ALONE, judge.into()),
        (names::LABEL_ALONE, label.into()),
        (names::NEITHER_RIGHT, neither.into()),
        (names::UNSCORED, unscored.into()),
    ])
}

fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

fn kappa(both: u64, judge: u64, label: u64, neither: u64) -> Option<f64> {
    let all = both + judge + label + neither;
    let agreed = share(both + neither, all)?;
    let (judge_right, label_right) = (share(both + judge, all)?, share(both + label, all)?);
    let by_chance = judge_right * label_right + (1.0 - judge_right) * (1.0 - label_right);
    (by_chance < 1.0).then(|| (agreed - by_chance) / (1.0 - by_chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(table: [usize; 4], unscored: usize) -> Vec<LabelledVerdict> {
        let kinds = [(true, true), (true, false), (false, true), (false, false)];
        let read = kinds.into_iter().zip(table).flat_map(|((judge, label), count)| {
            let judge = Some(judge);
            std::iter::repeat_n(LabelledVerdict { judge, label }, count)
        });
        let unread = LabelledVerdict { judge: None, label: true };
        read.chain(std::iter::repeat_n(unread, unscored)).collect()
    }

    /// Another formula, for two kinds of verdicts: `2 (ad - bc) / ((a + b)(b + d) + (a + c)(c + d))`.
    #[test]
    fn kappa_is_that_of_another_formula() {
        for table in [
            [20, 5, 10, 15],
            [45, 15, 25, 15],
            [25, 35, 5, 35],
            [1, 0, 0, 1],
            [0, 3, 4, 0],
            [7, 1, 0, 0],
        ] {
            let [a, b, c, d] = table.map(|count| count as f64);
            let expected = 2.0 * (a * d - b * c) / ((a + b) * (b + d) + (a + c) * (c + d));
            let found = agreement(&verdicts(table, 2)).number(names::KAPPA).unwrap();
            assert!((found - expected).abs() < 1e-12, "{table:?}: {found}, {expected}");
        }
        // Cohen's own examples of the same agreement with another kappa.
        let known = |table| (agreement(&verdicts(table, 0)).number(names::KAPPA).unwrap() * 1e4).round() / 1e4;
        assert_eq!(
            (known([20, 5, 10, 15]), known([45, 15, 25, 15]), known([25, 35, 5, 35])),
            (0.4, 0.1304, 0.2593)
        );
    }

    #[test]
    fn verdicts_are_counted() {
        insta::assert_json_snapshot!(agreement(&verdicts([3, 2, 1, 0], 4)), @r#"
        {
          "labelled": 10,
          "agreed": 0.5,
          "kappa": -0.28571428571428586,
          "both_right": 3,
          "judge_alone": 2,
          "label_alone": 1,
          "neither_right": 0,
          "unscored": 4
        }
        "#);
        let none = agreement(&verdicts([5, 0, 0, 0], 0));
        assert_eq!((none.number(names::AGREED), none.number(names::KAPPA)), (Some(1.0), None));
        assert_eq!(agreement(&[]).number(names::AGREED), None);
    }
}
