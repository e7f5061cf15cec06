//! The scores of one stage as a row: all seeds, all data sets.

use std::collections::{BTreeMap, BTreeSet};

use super::{Score, Scores, VariantGroup, distinct};

/// The scores of one stage in the variants that differ only in their seeds.
#[derive(Clone)]
pub(crate) struct ScoreRow<'a> {
    pub stage: &'a str,
    pub base: &'a str,
    pub phase: &'a str,
    pub iteration: Option<i64>,
    pub group: VariantGroup<'a>,
    pub scores: Vec<&'a Score>,
}

impl Scores {
    /// The rows, grouped by coordinates.
    pub(crate) fn rows(&self) -> Vec<ScoreRow<'_>> {
        let mut rows: Vec<ScoreRow<'_>> = Vec::new();
        let mut places: BTreeMap<(VariantGroup<'_>, &str), usize> = BTreeMap::new();
        for score in &self.scores {
            let at = *places.entry((score.place.group(), &score.place.stage)).or_insert_with(|| {
                rows.push(ScoreRow::new(score));
                rows.len() - 1
            });
            if let Some(row) = rows.get_mut(at) {
                row.scores.push(score);
            }
        }
        let groups = distinct(rows.iter().map(|row| row.group.clone()));
        rows.sort_by_key(|row| groups.iter().position(|group| *group == row.group));
        rows
    }

    /// The data sets, in the order of their first appearance.
    pub(crate) fn data(&self) -> Vec<&str> {
        distinct(self.scores.iter().map(|score| score.data.as_str()))
    }
}

impl<'a> ScoreRow<'a> {
    fn new(score: &'a Score) -> Self {
        let place = &score.place;
        Self {
            stage: &place.stage,
            base: place.base(),
            phase: &place.phase,
            iteration: place.iteration,
            group: place.group(),
            scores: Vec::new(),
        }
    }

    /// The row with other coordinates.
    pub fn with_group(&self, group: VariantGroup<'a>) -> Self {
        Self { group, ..self.clone() }
    }

    /// The scores on one data set by node. An evaluation that variants share counts once.
    pub fn on(&self, data: &str) -> BTreeMap<usize, &'a Score> {
        let scores = self.scores.iter().filter(|score| score.data == data);
        scores.map(|score| (score.place.node, *score)).collect()
    }

    /// The evaluations that are finished.
    pub fn finished(&self) -> BTreeSet<usize> {
        let finished = self.scores.iter().filter(|score| score.is_finished());
        finished.map(|score| score.place.node).collect()
    }

    /// Whether the prompts of the model name a number of steps.
    pub fn is_numbered(&self) -> bool {
        self.scores.iter().any(|score| score.following().is_some())
    }
}
