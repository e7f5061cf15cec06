//! Groups of coordinates that share a panel because their problems are alike. Tasks have panels of their own, starts do not.

use crate::scores::{Mean, Score, ScoreRow, VariantGroup, group_text};
use kinds::metrics::names;

/// Groups whose full solutions have the same average number of steps.
pub(super) struct PanelGroup<'a> {
    /// The coordinates that all groups share; empty for a single panel.
    common: VariantGroup<'a>,
    groups: Vec<VariantGroup<'a>>,
}

impl<'a> PanelGroup<'a> {
    /// Joins groups with alike problems, in the order of their first appearance. A group may come several times, each time with the average
    /// number of steps of some of its full solutions. A group without any such number is left out.
    pub(super) fn by_problems(groups: impl Iterator<Item = (VariantGroup<'a>, Option<f64>)>) -> Vec<Self> {
        let mut known: Vec<(VariantGroup<'a>, Vec<f64>)> = Vec::new();
        for (group, steps) in groups {
            match known.iter_mut().find(|(other, _)| *other == group) {
                Some((_, numbers)) => numbers.extend(steps),
                None => known.push((group, steps.into_iter().collect())),
            }
        }
        let mut parts: Vec<(f64, Vec<VariantGroup<'a>>)> = Vec::new();
        for (group, numbers) in known {
            let Some(Mean { mean, .. }) = Mean::of(&numbers) else { continue };
            match parts.iter_mut().find(|(other, _)| (other - mean).abs() < 1e-9) {
                Some((_, groups)) => groups.push(group),
                None => parts.push((mean, vec![group])),
            }
        }
        let several = parts.len() > 1;
        let alike = |(_, groups): (f64, Vec<VariantGroup<'a>>)| {
            let mut common = groups.first().filter(|_| several).cloned().unwrap_or_default();
            common.retain(|axis, value| groups.iter().all(|group| group.get(axis) == Some(value)));
            Self { common, groups }
        };
        parts.into_iter().map(alike).collect()
    }

    /// The rows with alike problems in the data set `data`.
    pub(super) fn of_rows(rows: &[ScoreRow<'a>], data: &str) -> Vec<Self> {
        let full = |score: &&Score| score.number(names::AVERAGE_FULL_STEPS);
        let each = |row: &ScoreRow<'a>| {
            let scores = row.on(data).into_values();
            scores.map(|score| (row.group.clone(), full(&score))).collect::<Vec<_>>()
        };
        Self::by_problems(rows.iter().flat_map(each))
    }

    /// The coordinates that distinguish one of the groups from the others; `None` for a group outside of the panel.
    pub(super) fn distinct_coordinates(&self, group: &VariantGroup<'a>) -> Option<VariantGroup<'a>> {
        let mut rest = group.clone();
        rest.retain(|axis, _| !self.common.contains_key(axis));
        self.groups.contains(group).then_some(rest)
    }

    /// `in_domain, task=addition`
    pub(super) fn title(&self, name: &str) -> String {
        panel_title(&self.common, name)
    }
}

/// `in_domain`, or `in_domain, start=warm` with groups.
pub(super) fn panel_title(group: &VariantGroup<'_>, data: &str) -> String {
    match group_text(group).as_str() {
        "" => data.to_owned(),
        group => format!("{data}, {group}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_apart_and_starts_together() {
        let group = |task, start| VariantGroup::from([("task", task), ("start", start)]);
        let groups = [
            (group("addition", "cold"), Some(2.0)),
            (group("direction", "cold"), Some(5.5)),
            (group("addition", "warm"), Some(2.0)),
            (group("addition", "hot"), None),
            (group("direction", "cold"), Some(5.0)),
        ];
        let alike = PanelGroup::by_problems(groups.into_iter());
        let titles: Vec<String> = alike.iter().map(|alike| alike.title("in_domain")).collect();
        assert_eq!(titles, ["in_domain, task=addition", "in_domain, start=cold, task=direction"]);
        assert_eq!(
            alike[0].distinct_coordinates(&group("addition", "warm")),
            Some(VariantGroup::from([("start", "warm")]))
        );
        assert_eq!(alike[0].distinct_coordinates(&group("direction", "cold")), None);
    }

    #[test]
    fn where_all_are_alike_nothing_is_in_common() {
        let group = VariantGroup::from([("start", "cold")]);
        let alike = PanelGroup::by_problems([(group.clone(), Some(2.0))].into_iter());
        assert_eq!(alike[0].title("in_domain"), "in_domain");
        assert_eq!(alike[0].distinct_coordinates(&group), Some(group));
    }
}
