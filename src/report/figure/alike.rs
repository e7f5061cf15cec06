//! What is drawn in one panel: groups of coordinates with alike problems. Two tasks have scales of their own, two starts have not.

use std::collections::BTreeMap;

use super::by_length::title;
use crate::scores::{Mean, Row, Score};
use kinds::metrics::names;

/// The coordinates that separate series.
pub(super) type Group<'a> = BTreeMap<&'a str, &'a str>;

/// Groups of which the full solutions have equally many steps on average.
pub(super) struct Alike<'a> {
    /// What they have in common and others have not; empty where there are no others.
    common: Group<'a>,
    groups: Vec<Group<'a>>,
}

impl<'a> Alike<'a> {
    /// Puts together what is alike, in the order of its first appearance. Each group may come several times, each time with the average
    /// number of steps of some of its full solutions; one of which nothing is known is left out.
    pub(super) fn of(groups: impl Iterator<Item = (Group<'a>, Option<f64>)>) -> Vec<Self> {
        let mut known: Vec<(Group<'a>, Vec<f64>)> = Vec::new();
        for (group, steps) in groups {
            match known.iter_mut().find(|(other, _)| *other == group) {
                Some((_, numbers)) => numbers.extend(steps),
                None => known.push((group, steps.into_iter().collect())),
            }
        }
        let mut parts: Vec<(f64, Vec<Group<'a>>)> = Vec::new();
        for (group, numbers) in known {
            let Some(Mean { mean, .. }) = Mean::of(&numbers) else { continue };
            match parts.iter_mut().find(|(other, _)| (other - mean).abs() < 1e-9) {
                Some((_, groups)) => groups.push(group),
                None => parts.push((mean, vec![group])),
            }
        }
        let several = parts.len() > 1;
        let alike = |(_, groups): (f64, Vec<Group<'a>>)| {
            let mut common = groups.first().filter(|_| several).cloned().unwrap_or_default();
            common.retain(|axis, value| groups.iter().all(|group| group.get(axis) == Some(value)));
            Self { common, groups }
        };
        parts.into_iter().map(alike).collect()
    }

    /// The rows with alike problems in the data set `data`.
    pub(super) fn rows(rows: &[Row<'a>], data: &str) -> Vec<Self> {
        let full = |score: &&Score| score.number(names::AVERAGE_FULL_STEPS);
        let each = |row: &Row<'a>| {
            let scores = row.on(data).into_values();
            scores.map(|score| (row.group.clone(), full(&score))).collect::<Vec<_>>()
        };
        Self::of(rows.iter().flat_map(each))
    }

    /// What tells one of the groups from the others; nothing for any other group.
    pub(super) fn rest(&self, group: &Group<'a>) -> Option<Group<'a>> {
        let mut rest = group.clone();
        rest.retain(|axis, _| !self.common.contains_key(axis));
        self.groups.contains(group).then_some(rest)
    }

    /// `in_domain, task=addition`
    pub(super) fn title(&self, name: &str) -> String {
        title(&self.common, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_apart_and_starts_together() {
        let group = |task, start| Group::from([("task", task), ("start", start)]);
        let groups = [
            (group("addition", "cold"), Some(2.0)),
            (group("direction", "cold"), Some(5.5)),
            (group("addition", "warm"), Some(2.0)),
            (group("addition", "hot"), None),
            (group("direction", "cold"), Some(5.0)),
        ];
        let alike = Alike::of(groups.into_iter());
        let titles: Vec<String> = alike.iter().map(|alike| alike.title("in_domain")).collect();
        assert_eq!(titles, ["in_domain, task=addition", "in_domain, start=cold, task=direction"]);
        assert_eq!(alike[0].rest(&group("addition", "warm")), Some(Group::from([("start", "warm")])));
        assert_eq!(alike[0].rest(&group("direction", "cold")), None);
    }

    #[test]
    fn where_all_are_alike_nothing_is_in_common() {
        let group = Group::from([("start", "cold")]);
        let alike = Alike::of([(group.clone(), Some(2.0))].into_iter());
        assert_eq!(alike[0].title("in_domain"), "in_domain");
        assert_eq!(alike[0].rest(&group), Some(group));
    }
}
