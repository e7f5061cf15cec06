//! Differences to a baseline, answer by answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;

use serde_json::{Value, json};

use super::lead::{self, LeadColumns};
use super::{AnswerPair, Interval, JudgedAnswer, Score, ScoreRow, Scores, confidence_intervals};
use crate::table::{ColumnGroup, NO_NUMBER, ReportTable, TableCell};
use kinds::metrics::Outcome;
use lab::event::coordinates;
use lab::hash::Digest;
use lab::text::Align;

/// The evaluation that others are compared with: `score[0]`; `score[0] (start=cold)` to compare across variants; or `(start=cold)` to
/// compare each evaluation with the same stage in that variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// `None` for the same stage as the row's.
    pub stage: Option<String>,
    /// The coordinates of the baseline. Axes that are not among them have the row's value.
    pub variant: BTreeMap<String, String>,
}

/// A text that names no baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no stage; write `score[0]`, `score[0] (start=cold)` or `(start=cold)`")]
pub struct InvalidBaseline(String);

/// No evaluation is the baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no evaluation {name} to compare with ({known})")]
pub struct NoBaseline {
    /// As in titles: `` `score[0]` (start=cold) ``
    name: String,
    /// `known: a, b`
    known: String,
}

impl FromStr for Baseline {
    type Err = InvalidBaseline;

    fn from_str(text: &str) -> Result<Self, InvalidBaseline> {
        let (stage, rest) = text.split_once('(').unwrap_or((text, ")"));
        let wrong = || InvalidBaseline(text.to_owned());
        let inner = rest.trim_end().strip_suffix(')').ok_or_else(wrong)?;
        let variant: BTreeMap<_, _> = match inner.trim() {
            "" => BTreeMap::new(),
            inner => coordinates(inner).ok_or_else(wrong)?.into_iter().collect(),
        };
        let stage = Some(stage.trim().to_owned()).filter(|stage| !stage.is_empty());
        if stage.is_none() && variant.is_empty() {
            return Err(wrong());
        }
        Ok(Self { stage, variant })
    }
}

/// The difference of one row from the baseline on one data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// In shares of the answers, and in steps.
    pub accuracy: Interval,
    pub steps: Interval,
    /// The number of compared answers.
    pub pairs: usize,
    /// The number of compared seeds.
    pub seeds: usize,
    /// The evaluations of the row and of the baseline.
    pub nodes: Vec<usize>,
}

/// A row, and its difference on each data set; `None` unless both the row and the baseline are finished.
type RowDifferences<'a> = (ScoreRow<'a>, Vec<(&'a str, Option<Difference>)>);

impl Scores {
    /// The differences of all rows but the baseline's own.
    fn differences(&self, baseline: &Baseline) -> Vec<RowDifferences<'_>> {
        let data = self.data();
        let is_baseline = |row: &ScoreRow<'_>| {
            let there = |(axis, value): (&String, &String)| row.group.get(axis.as_str()).is_none_or(|found| *found == value.as_str());
            baseline.is_stage(row.stage) && baseline.variant.iter().all(there)
        };
        let rows = self.rows().into_iter().filter(|row| !row.is_numbered() && !is_baseline(row));
        rows.map(|row| {
            let found = data.iter().map(|name| (*name, self.difference(&row, name, baseline))).collect();
            (row, found)
        })
        .collect()
    }

    /// The baseline's score for a score of another row.
    fn base_of(&self, score: &Score, baseline: &Baseline) -> Option<&Score> {
        let mut variant = score.place.variant.clone();
        variant.extend(baseline.variant.clone());
        let stage = baseline.stage.as_ref().unwrap_or(&score.place.stage);
        let fits = |other: &&Score| other.place.stage == *stage && other.data == score.data && other.place.variant == variant;
        self.scores.iter().find(fits)
    }

    fn difference(&self, row: &ScoreRow<'_>, data: &str, baseline: &Baseline) -> Option<Difference> {
        let (mut pairs, mut nodes, mut seeds) = (Vec::new(), Vec::new(), 0);
        for score in row.on(data).into_values() {
            let Some(base) = self.base_of(score, baseline) else { continue };
            let before = pairs.len();
            pairs.extend(paired(score, base));
            seeds += usize::from(pairs.len() > before);
            nodes.extend([score.place.node, base.place.node]);
        }
        nodes.sort_unstable();
        nodes.dedup();
        let [accuracy, steps] = confidence_intervals(&pairs)?;
        Some(Difference {
            accuracy,
            steps,
            pairs: pairs.len(),
            seeds,
            nodes,
        })
    }

    /// A row for each row of the main table but the baseline: its difference, with 95 % intervals.
    ///
    /// # Errors
    /// When no evaluation is the baseline.
    pub fn differences_table(&self, baseline: &Baseline) -> Result<ReportTable, NoBaseline> {
        self.require_baseline(baseline)?;
        let (lead, data) = (LeadColumns::new(self), self.data());
        let mut column_groups = lead.column_groups();
        column_groups.extend(data.iter().map(|name| ColumnGroup::new(name, &["Δ %", "Δ steps"], Align::Right)));
        let rows = self.differences(baseline);
        let lines = rows.iter().map(|(row, found)| {
            let mut cells = lead.cells_with_count(row, seeds_cell(found));
            cells.extend(
                found
                    .iter()
                    .flat_map(|(name, difference)| difference_cells(row, name, difference.as_ref())),
            );
            (row, cells)
        });
        let table = ReportTable {
            title: format!("Differences to {}, with 95 % intervals", baseline.name()),
            column_groups,
            rows: lead::table_rows(lines),
        };
        Ok(table.with_axes_apart())
    }

    /// `[{"stage", "variant", "data", "accuracy": {"difference", "low", "high"}, "average_steps": {…}, "pairs", "seeds"}]`.
    ///
    /// # Errors
    /// As [`Scores::differences_table`].
    pub fn differences_json(&self, baseline: &Baseline) -> Result<Value, NoBaseline> {
        self.require_baseline(baseline)?;
        let one = |interval: Interval| json!({"difference": interval.mean, "low": interval.low, "high": interval.high});
        let mut rows = Vec::new();
        for (row, found) in self.differences(baseline) {
            let finished = found.iter().filter_map(|(name, difference)| Some((name, difference.as_ref()?)));
            rows.extend(finished.map(|(name, difference)| {
                json!({
                    "stage": row.stage,
                    "variant": row.group,
                    "data": name,
                    "accuracy": one(difference.accuracy),
                    "average_steps": one(difference.steps),
                    "pairs": difference.pairs,
                    "seeds": difference.seeds,
                })
            }));
        }
        Ok(json!({"stage": baseline.stage, "variant": baseline.variant, "differences": rows}))
    }

    /// Whether some evaluation is the baseline.
    pub fn has_baseline(&self, baseline: &Baseline) -> bool {
        let named = |score: &&Score| baseline.is_stage(&score.place.stage);
        let has = |score: &Score| {
            baseline
                .variant
                .iter()
                .all(|(axis, value)| score.place.variant.get(axis) == Some(value))
        };
        self.scores.iter().filter(named).any(has)
    }

    pub(crate) fn require_baseline(&self, baseline: &Baseline) -> Result<(), NoBaseline> {
        if self.has_baseline(baseline) {
            return Ok(());
        }
        let known = self.instead_of(baseline);
        Err(NoBaseline {
            name: baseline.name(),
            known: lab::config::known(known.iter().map(String::as_str)),
        })
    }

    /// What a baseline that is not there could be: a stage; if its stage is there, a value of the axis, or an axis.
    fn instead_of(&self, baseline: &Baseline) -> Vec<String> {
        let stages = || super::distinct(self.scores.iter().map(|score| format!("`{}`", score.place.stage)));
        let mut own = self.scores.iter().filter(|score| baseline.is_stage(&score.place.stage)).peekable();
        if own.peek().is_none() {
            return stages();
        }
        let own: Vec<&Score> = own.collect();
        let has = |axis: &String, value: &String| own.iter().any(|score| score.place.variant.get(axis) == Some(value));
        let Some((axis, _)) = baseline.variant.iter().find(|(axis, value)| !has(axis, value)) else {
            return stages();
        };
        let values: Vec<String> = self.values(axis).into_iter().map(|value| format!("{axis}={value}")).collect();
        let axes = || self.axes().into_iter().map(|axis| format!("axis `{axis}`")).collect();
        if values.is_empty() { axes() } else { values }
    }
}

impl Baseline {
    /// The baseline in the variant with this coordinate, unless it already has one on the axis.
    #[must_use]
    pub fn within(mut self, axis: &str, value: &str) -> Self {
        self.variant.entry(axis.to_owned()).or_insert_with(|| value.to_owned());
        self
    }

    /// For each evaluation the same stage in the variant with this coordinate.
    pub fn same_stage_in(axis: &str, value: &str) -> Self {
        let (stage, variant) = (None, BTreeMap::new());
        Self { stage, variant }.within(axis, value)
    }

    /// Whether the baseline is a stage of this name.
    pub(crate) fn is_stage(&self, stage: &str) -> bool {
        self.stage.as_ref().is_none_or(|baseline| baseline == stage)
    }

    /// `` `score[0]` (start=cold) ``
    pub(crate) fn name(&self) -> String {
        let group = self.variant.iter().map(|(axis, value)| (axis.as_str(), value.as_str())).collect();
        match (&self.stage, super::group_text(&group).as_str()) {
            (Some(stage), "") => format!("`{stage}`"),
            (Some(stage), group) => format!("`{stage}` ({group})"),
            (None, group) => format!("({group})"),
        }
    }
}

/// The answers of two evaluations to the same problems, in the order of the first; a problem that was asked several times is
/// paired in its order.
fn paired(score: &Score, base: &Score) -> Vec<AnswerPair<usize, (Digest, usize), 2>> {
    let before: HashMap<(Digest, usize), Outcome> = numbered(&base.answers).collect();
    let pair = |(problem, now): ((Digest, usize), Outcome)| {
        let then = before.get(&problem)?;
        let accuracy = f64::from(u8::from(now.right())) - f64::from(u8::from(then.right()));
        Some(AnswerPair {
            seed: score.place.node,
            problem,
            differences: [accuracy, f64::from(now.steps) - f64::from(then.steps)],
        })
    };
    numbered(&score.answers).filter_map(pair).collect()
}

/// The answers by problem and number, because a problem may be answered several times.
fn numbered(answers: &[JudgedAnswer]) -> impl Iterator<Item = ((Digest, usize), Outcome)> {
    let mut counts: HashMap<Digest, usize> = HashMap::new();
    answers.iter().map(move |judged| {
        let count = counts.entry(judged.problem).or_default();
        *count += 1;
        ((judged.problem, *count), judged.outcome)
    })
}

/// The number of compared seeds: `3`, or `2–3` if it depends on the data set.
fn seeds_cell(found: &[(&str, Option<Difference>)]) -> TableCell {
    let seeds = || found.iter().filter_map(|(_, difference)| Some(difference.as_ref()?.seeds));
    let text = match (seeds().min(), seeds().max()) {
        (Some(least), Some(most)) if least < most => format!("{least}–{most}"),
        (_, most) => most.unwrap_or(0).to_string(),
    };
    let nodes = found
        .iter()
        .flat_map(|(_, difference)| difference.iter().flat_map(|found| &found.nodes));
    let nodes: BTreeSet<usize> = nodes.copied().collect();
    TableCell::linked(text, nodes)
}

fn difference_cells(row: &ScoreRow<'_>, data: &str, difference: Option<&Difference>) -> [TableCell; 2] {
    let Some(found) = difference else {
        return [0, 1].map(|_| {
            if row.on(data).is_empty() {
                TableCell::default()
            } else {
                TableCell::plain(NO_NUMBER)
            }
        });
    };
    let text = |interval: Interval, scale: f64, decimals: usize| {
        let mean = signed(interval.mean * scale, decimals);
        let [low, high] = [interval.low, interval.high].map(|part| interval_end(part * scale, decimals));
        TableCell::linked(format!("{mean} [{low}, {high}]"), found.nodes.iter().copied())
    };
    [text(found.accuracy, 100.0, 1), text(found.steps, 1.0, 2)]
}

/// `+1.2`, `-0.3`, and `0.0` without a sign.
pub(crate) fn signed(number: f64, decimals: usize) -> String {
    let text = format!("{number:+.decimals$}");
    let is_zero = text.chars().all(|c| !c.is_ascii_digit() || c == '0');
    if is_zero {
        text.trim_start_matches(['+', '-']).to_owned()
    } else {
        text
    }
}

/// An end of an interval. Unlike in [`signed`], a number that is rounded to 0 keeps its sign, which shows whether the interval contains 0.
pub(crate) fn interval_end(number: f64, decimals: usize) -> String {
    if number == 0.0 {
        signed(number, decimals)
    } else {
        format!("{number:+.decimals$}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;
    use lab::text::Paint;

    #[test]
    fn rows_are_compared_with_the_baseline_of_their_variant() {
        let table = example().differences_table(&"score[0]".parse().unwrap()).unwrap();
        insta::assert_snapshot!(table.text(Paint::default()), @r"
        phase        start  stage     n   in_domain Δ %               Δ steps      ood_easy Δ %               Δ steps
        iteration 1  cold   score[1]  2  0.0 [0.0, 0.0]  -1.00 [-1.00, -1.00]  0.0 [-6.2, +7.5]  -1.00 [-1.00, -1.00]

        iteration 1  warm   score[1]  3  0.0 [0.0, 0.0]  -1.00 [-1.00, -1.00]  0.0 [-5.0, +5.8]  -1.00 [-1.00, -1.00]
        ");
    }

    #[test]
    fn a_baseline_of_one_variant_serves_the_others() {
        let table = example().differences_table(&"score[0] (start=cold)".parse().unwrap()).unwrap();
        insta::assert_snapshot!(table.text(Paint::default()), @r"
        phase        start  stage     n   in_domain Δ %               Δ steps      ood_easy Δ %               Δ steps
        iteration 1  cold   score[1]  2  0.0 [0.0, 0.0]  -1.00 [-1.00, -1.00]  0.0 [-6.2, +7.5]  -1.00 [-1.00, -1.00]

        warm start   warm   score[0]  3  0.0 [0.0, 0.0]     0.00 [0.00, 0.00]  +2.5 [0.0, +6.7]     0.00 [0.00, 0.00]
        iteration 1  warm   score[1]  3  0.0 [0.0, 0.0]  -1.00 [-1.00, -1.00]  +2.5 [0.0, +7.5]  -1.00 [-1.00, -1.00]
        ");
        insta::assert_json_snapshot!(example().differences_json(&"score[0]".parse().unwrap()).unwrap()["differences"][0]);
    }

    #[test]
    fn a_variant_alone_is_the_baseline_of_each_stage() {
        let baseline: Baseline = "(start=cold)".parse().unwrap();
        assert_eq!(baseline, Baseline::same_stage_in("start", "cold"));
        let table = example().differences_table(&baseline).unwrap();
        assert_eq!(table.title, "Differences to (start=cold), with 95 % intervals");
        insta::assert_snapshot!(table.text(Paint::default()), @r"
        phase        start  stage     n   in_domain Δ %            Δ steps      ood_easy Δ %            Δ steps
        warm start   warm   score[0]  3  0.0 [0.0, 0.0]  0.00 [0.00, 0.00]  +2.5 [0.0, +6.7]  0.00 [0.00, 0.00]
        iteration 1  warm   score[1]  2  0.0 [0.0, 0.0]  0.00 [0.00, 0.00]  +2.5 [0.0, +7.5]  0.00 [0.00, 0.00]
        ");
        let scores = example();
        assert!(scores.has_baseline(&baseline) && !scores.has_baseline(&Baseline::same_stage_in("start", "hot")));
        // A coordinate that is given stays, and one that is missing is added.
        let filled = |text: &str| text.parse::<Baseline>().unwrap().within("start", "cold").variant["start"].clone();
        assert_eq!([filled("score[0]"), filled("score[0] (start=warm)")], ["cold", "warm"]);
    }

    #[test]
    fn a_baseline_is_a_stage_that_is_there() {
        let parse = |text: &str| text.parse::<Baseline>();
        assert_eq!(parse("score[0] ( start = cold , width=64)").unwrap().variant.len(), 2);
        assert_eq!(parse("score[0] (ablate=ask=[-1, -2])").unwrap().variant["ablate"], "ask=[-1, -2]");
        assert!(parse("").is_err() && parse("score (start)").is_err() && parse("score (start=cold").is_err());
        let error = example().differences_table(&parse("scores[0]").unwrap()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no evaluation `scores[0]` to compare with (known: `score[0]`, `score[1]`)"
        );
        let error = |text: &str| example().differences_table(&parse(text).unwrap()).unwrap_err().to_string();
        assert_eq!(
            error("score[0] (start=hot)"),
            "no evaluation `score[0]` (start=hot) to compare with (known: start=cold, start=warm)"
        );
        assert_eq!(
            error("(starts=hot)"),
            "no evaluation (starts=hot) to compare with (known: axis `seed`, axis `start`)"
        );
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(
            [1.25, -0.04, 0.0, -0.06].map(|number| signed(number, 1)),
            ["+1.2", "0.0", "0.0", "-0.1"]
        );
        assert_eq!(
            [1.25, -0.04, 0.0, 0.04].map(|number| interval_end(number, 1)),
            ["+1.2", "-0.0", "0.0", "+0.0"]
        );
    }

    #[test]
    fn n_is_that_of_what_is_compared() {
        let mut scores = example();
        // Of the three seeds of iteration 1 (warm), one has lost its baseline.
        let lost = |score: &&mut Score| {
            let variant = &score.place.variant;
            score.place.stage == "score[0]" && variant["start"] == "warm" && variant["seed"] == "1"
        };
        scores.scores.iter_mut().filter(lost).for_each(|score| {
            score.metrics = None;
            score.answers = [].into();
        });
        let table = scores.differences_table(&"score[0]".parse().unwrap()).unwrap();
        let row = table.rows.last().unwrap();
        assert_eq!((row.cells[1].text.as_str(), row.cells[3].text.as_str()), ("warm", "2"));
    }
}
