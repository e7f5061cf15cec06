//! Differences to a baseline, answer by answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::str::FromStr;

use serde_json::{Value, json};

use super::lead::{self, Lead};
use super::{Interval, Judged, Pair, Row, Score, Scores, interval};
use crate::sheet::{Cell, NONE, Sheet, Span};
use kinds::metrics::Outcome;
use lab::event::coordinates;
use lab::hash::Digest;
use lab::text::Align;

/// The evaluation that others are compared with: `score[0]`, or `score[0] (start=cold)` to compare across variants, or `(start=cold)` to
/// compare each with its like there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// Nothing for the row's own.
    pub stage: Option<String>,
    /// Coordinates that the baseline has whatever the row's; the others are the row's.
    pub variant: BTreeMap<String, String>,
}

impl FromStr for Baseline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (stage, rest) = text.split_once('(').unwrap_or((text, ")"));
        let wrong = || format!("`{text}` is no stage; write `score[0]`, `score[0] (start=cold)` or `(start=cold)`");
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

/// How one row differs from the baseline on one data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// In shares of the answers, and in steps.
    pub accuracy: Interval,
    pub steps: Interval,
    /// Answers compared, and under how many seeds.
    pub pairs: usize,
    pub seeds: usize,
    /// The evaluations of the row and of the baseline.
    pub sources: Vec<usize>,
}

/// A row, and how it differs on each data set where both it and the baseline are finished.
type RowDifferences<'a> = (Row<'a>, Vec<(&'a str, Option<Difference>)>);

impl Scores {
    /// The rows but for the baseline's own.
    fn differences(&self, baseline: &Baseline) -> Vec<RowDifferences<'_>> {
        let data = self.data();
        let is_baseline = |row: &Row<'_>| {
            let there = |(axis, value): (&String, &String)| row.group.get(axis.as_str()).is_none_or(|found| *found == value.as_str());
            baseline.is(row.stage) && baseline.variant.iter().all(there)
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

    fn difference(&self, row: &Row<'_>, data: &str, baseline: &Baseline) -> Option<Difference> {
        let (mut pairs, mut sources, mut seeds) = (Vec::new(), Vec::new(), 0);
        for score in row.on(data).into_values() {
            let Some(base) = self.base_of(score, baseline) else { continue };
            let before = pairs.len();
            pairs.extend(paired(score, base));
            seeds += usize::from(pairs.len() > before);
            sources.extend([score.place.source, base.place.source]);
        }
        sources.sort_unstable();
        sources.dedup();
        let [accuracy, steps] = interval(&pairs)?;
        Some(Difference {
            accuracy,
            steps,
            pairs: pairs.len(),
            seeds,
            sources,
        })
    }

    /// A row for each row of the main table but the baseline: how much it differs, with 95 % intervals.
    ///
    /// # Errors
    /// When no evaluation is the baseline; the message lists those there are.
    pub fn compared(&self, baseline: &Baseline) -> Result<Sheet, String> {
        self.check(baseline)?;
        let (lead, data) = (Lead::of(self), self.data());
        let mut spans = lead.spans();
        spans.extend(data.iter().map(|name| Span::of(name, &["Δ %", "Δ steps"], Align::Right)));
        let rows = self.differences(baseline);
        let lines = rows.iter().map(|(row, found)| {
            let mut cells = lead.counted(row, seeds(found));
            cells.extend(found.iter().flat_map(|(name, difference)| cells_of(row, name, difference.as_ref())));
            (row, cells)
        });
        Ok(Sheet {
            title: format!("Differences to {}, with 95 % intervals", baseline.name()),
            spans,
            rows: lead::rows(lines),
        })
    }

    /// `[{"stage", "variant", "data", "accuracy": {"difference", "low", "high"}, "average_steps": {…}, "pairs", "seeds"}]`.
    ///
    /// # Errors
    /// As [`Scores::compared`].
    pub fn compared_json(&self, baseline: &Baseline) -> Result<Value, String> {
        self.check(baseline)?;
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
    pub fn has(&self, baseline: &Baseline) -> bool {
        let named = |score: &&Score| baseline.is(&score.place.stage);
        let has = |score: &Score| {
            baseline
                .variant
                .iter()
                .all(|(axis, value)| score.place.variant.get(axis) == Some(value))
        };
        self.scores.iter().filter(named).any(has)
    }

    fn check(&self, baseline: &Baseline) -> Result<(), String> {
        if self.has(baseline) {
            return Ok(());
        }
        let known = super::distinct(self.scores.iter().map(|score| format!("`{}`", score.place.stage)));
        let name = baseline.name();
        Err(format!("no evaluation {name} to compare with (known: {})", known.join(", ")))
    }
}

impl Baseline {
    /// The same where the baseline is one of another variant, if it does not say which: `axis` of `value`.
    #[must_use]
    pub fn within(mut self, axis: &str, value: &str) -> Self {
        self.variant.entry(axis.to_owned()).or_insert_with(|| value.to_owned());
        self
    }

    /// For each evaluation its like in the variants where `axis` has `value`.
    pub fn like(axis: &str, value: &str) -> Self {
        let (stage, variant) = (None, BTreeMap::new());
        Self { stage, variant }.within(axis, value)
    }

    /// Whether a stage of the right variant is the baseline.
    fn is(&self, stage: &str) -> bool {
        self.stage.as_ref().is_none_or(|baseline| baseline == stage)
    }

    /// `` `score[0]` (start=cold) ``
    fn name(&self) -> String {
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
fn paired(score: &Score, base: &Score) -> Vec<Pair<usize, (Digest, usize), 2>> {
    let before: HashMap<(Digest, usize), Outcome> = numbered(&base.answers).collect();
    let pair = |(problem, now): ((Digest, usize), Outcome)| {
        let then = before.get(&problem)?;
        let accuracy = f64::from(u8::from(now.right)) - f64::from(u8::from(then.right));
        Some(Pair {
            seed: score.place.source,
            problem,
            differences: [accuracy, f64::from(now.steps) - f64::from(then.steps)],
        })
    };
    numbered(&score.answers).filter_map(pair).collect()
}

/// The answers, each under its problem and how often that was answered before.
fn numbered(answers: &[Judged]) -> impl Iterator<Item = ((Digest, usize), Outcome)> {
    let mut counts: HashMap<Digest, usize> = HashMap::new();
    answers.iter().map(move |judged| {
        let count = counts.entry(judged.problem).or_default();
        *count += 1;
        ((judged.problem, *count), judged.outcome)
    })
}

/// Under how many seeds a row is compared: `3`, or `2–3` where that depends on the data set.
fn seeds(found: &[(&str, Option<Difference>)]) -> Cell {
    let seeds = || found.iter().filter_map(|(_, difference)| Some(difference.as_ref()?.seeds));
    let text = match (seeds().min(), seeds().max()) {
        (Some(least), Some(most)) if least < most => format!("{least}–{most}"),
        (_, most) => most.unwrap_or(0).to_string(),
    };
    let sources = found
        .iter()
        .flat_map(|(_, difference)| difference.iter().flat_map(|found| &found.sources));
    let sources: BTreeSet<usize> = sources.copied().collect();
    Cell::from(text, sources)
}

fn cells_of(row: &Row<'_>, data: &str, difference: Option<&Difference>) -> [Cell; 2] {
    let Some(found) = difference else {
        return [0, 1].map(|_| {
            if row.on(data).is_empty() {
                Cell::default()
            } else {
                Cell::text(NONE)
            }
        });
    };
    let text = |interval: Interval, scale: f64, decimals: usize| {
        let mean = signed(interval.mean * scale, decimals);
        let [low, high] = [interval.low, interval.high].map(|part| end(part * scale, decimals));
        Cell::from(format!("{mean} [{low}, {high}]"), found.sources.iter().copied())
    };
    [text(found.accuracy, 100.0, 1), text(found.steps, 1.0, 2)]
}

/// `+1.2`, `-0.3`, and `0.0` without a sign.
fn signed(number: f64, decimals: usize) -> String {
    let text = format!("{number:+.decimals$}");
    let is_zero = text.chars().all(|c| !c.is_ascii_digit() || c == '0');
    if is_zero {
        text.trim_start_matches(['+', '-']).to_owned()
    } else {
        text
    }
}

/// An end of an interval: as [`signed`], but what is not quite 0 keeps its sign, which says whether 0 lies within.
fn end(number: f64, decimals: usize) -> String {
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
        let sheet = example().compared(&"score[0]".parse().unwrap()).unwrap();
        insta::assert_snapshot!(sheet.text(Paint::default()), @r"
        phase        start  stage     n   in_domain Δ %               Δ steps      ood_easy Δ %               Δ steps
        iteration 1  cold   score[1]  2  0.0 [0.0, 0.0]  -1.00 [-1.00, -1.00]  0.0 [-6.2, +7.5]  -1.00 [-1.00, -1.00]

        iteration 1  warm   score[1]  3  0.0 [0.0, 0.0]  -1.00 [-1.00, -1.00]  0.0 [-5.0, +5.8]  -1.00 [-1.00, -1.00]
        ");
    }

    #[test]
    fn a_baseline_of_one_variant_serves_the_others() {
        let sheet = example().compared(&"score[0] (start=cold)".parse().unwrap()).unwrap();
        insta::assert_snapshot!(sheet.text(Paint::default()), @r"
        phase        start  stage     n   in_domain Δ %               Δ steps      ood_easy Δ %               Δ steps
        iteration 1  cold   score[1]  2  0.0 [0.0, 0.0]  -1.00 [-1.00, -1.00]  0.0 [-6.2, +7.5]  -1.00 [-1.00, -1.00]

        warm start   warm   score[0]  3  0.0 [0.0, 0.0]     0.00 [0.00, 0.00]  +2.5 [0.0, +6.7]     0.00 [0.00, 0.00]
        iteration 1  warm   score[1]  3  0.0 [0.0, 0.0]  -1.00 [-1.00, -1.00]  +2.5 [0.0, +7.5]  -1.00 [-1.00, -1.00]
        ");
        insta::assert_json_snapshot!(example().compared_json(&"score[0]".parse().unwrap()).unwrap()["differences"][0]);
    }

    #[test]
    fn a_variant_alone_is_the_baseline_of_each_stage() {
        let baseline: Baseline = "(start=cold)".parse().unwrap();
        assert_eq!(baseline, Baseline::like("start", "cold"));
        let sheet = example().compared(&baseline).unwrap();
        assert_eq!(sheet.title, "Differences to (start=cold), with 95 % intervals");
        insta::assert_snapshot!(sheet.text(Paint::default()), @r"
        phase        start  stage     n   in_domain Δ %            Δ steps      ood_easy Δ %            Δ steps
        warm start   warm   score[0]  3  0.0 [0.0, 0.0]  0.00 [0.00, 0.00]  +2.5 [0.0, +6.7]  0.00 [0.00, 0.00]
        iteration 1  warm   score[1]  2  0.0 [0.0, 0.0]  0.00 [0.00, 0.00]  +2.5 [0.0, +7.5]  0.00 [0.00, 0.00]
        ");
        let scores = example();
        assert!(scores.has(&baseline) && !scores.has(&Baseline::like("start", "hot")));
        // What is said stays; what is not is filled in.
        let filled = |text: &str| text.parse::<Baseline>().unwrap().within("start", "cold").variant["start"].clone();
        assert_eq!([filled("score[0]"), filled("score[0] (start=warm)")], ["cold", "warm"]);
    }

    #[test]
    fn a_baseline_is_a_stage_that_is_there() {
        let parse = |text: &str| text.parse::<Baseline>();
        assert_eq!(parse("score[0] ( start = cold , width=64)").unwrap().variant.len(), 2);
        assert_eq!(parse("score[0] (ablate=ask=[-1, -2])").unwrap().variant["ablate"], "ask=[-1, -2]");
        assert!(parse("").is_err() && parse("score (start)").is_err() && parse("score (start=cold").is_err());
        let error = example().compared(&parse("scores[0]").unwrap()).unwrap_err();
        assert_eq!(error, "no evaluation `scores[0]` to compare with (known: `score[0]`, `score[1]`)");
        assert!(example().compared(&parse("score[0] (start=hot)").unwrap()).is_err());
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(
            [1.25, -0.04, 0.0, -0.06].map(|number| signed(number, 1)),
            ["+1.2", "0.0", "0.0", "-0.1"]
        );
        assert_eq!(
            [1.25, -0.04, 0.0, 0.04].map(|number| end(number, 1)),
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
        let sheet = scores.compared(&"score[0]".parse().unwrap()).unwrap();
        let row = sheet.rows.last().unwrap();
        assert_eq!((row.cells[1].text.as_str(), row.cells[3].text.as_str()), ("warm", "2"));
    }
}
