//! Scores of one stage put together: all seeds, all data sets.

use std::collections::{BTreeMap, BTreeSet};

use super::{Score, Scores, distinct};

/// The scores of one stage in the variants that differ in their seeds alone.
#[derive(Clone)]
pub(crate) struct Row<'a> {
    pub stage: &'a str,
    pub base: &'a str,
    pub phase: &'a str,
    pub iteration: Option<i64>,
    pub group: BTreeMap<&'a str, &'a str>,
    pub scores: Vec<&'a Score>,
}

impl Scores {
    /// The rows, those with equal coordinates together.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        let mut places: BTreeMap<(BTreeMap<&str, &str>, &str), usize> = BTreeMap::new();
        for score in &self.scores {
            let at = *places.entry((score.place.group(), &score.place.stage)).or_insert_with(|| {
                rows.push(Row::of(score));
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

impl<'a> Row<'a> {
    fn of(score: &'a Score) -> Self {
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

    /// The same among rows that other coordinates tell apart.
    pub fn among(&self, group: BTreeMap<&'a str, &'a str>) -> Self {
        Self { group, ..self.clone() }
    }

    /// The scores on one data set, by source: each evaluation counts once, however many variants share it.
    pub fn on(&self, data: &str) -> BTreeMap<usize, &'a Score> {
        let scores = self.scores.iter().filter(|score| score.data == data);
        scores.map(|score| (score.place.source, *score)).collect()
    }

    /// The evaluations that are finished.
    pub fn finished(&self) -> BTreeSet<usize> {
        let finished = self.scores.iter().filter(|score| score.is_finished());
        finished.map(|score| score.place.source).collect()
    }

    /// Whether the model was told how many steps to take.
    pub fn is_numbered(&self) -> bool {
        self.scores.iter().any(|score| score.following().is_some())
    }
}
