//! The parts of a report: tables, and figures, whose numbers can be shown as tables.

use std::borrow::Cow;

use crate::figure::Figure;
use crate::part_name::PartName;
use crate::scores::{Baseline, KeptSkips, NoBaseline, Scores, skips_table};
use crate::sizes::data_sets_table;
use crate::stage_details::StageDetails;
use crate::table::ReportTable;

/// The default tables of a report on evaluations.
const DEFAULT_TABLES: [PartName; 5] = [
    PartName::Results,
    PartName::Differences,
    PartName::Valid,
    PartName::Following,
    PartName::Skips,
];

/// A table or a figure.
#[derive(Clone, Debug)]
pub enum ReportPart {
    Table(ReportTable),
    Figure(Figure),
}

impl ReportPart {
    /// The table, or the numbers of the figure as a table.
    pub fn table(&self) -> Cow<'_, ReportTable> {
        match self {
            Self::Table(table) => Cow::Borrowed(table),
            Self::Figure(figure) => Cow::Owned(figure.numbers()),
        }
    }
}

/// The data that the parts are made from. Fields that a report does not need are empty.
#[derive(Clone, Debug, Default)]
pub struct ReportData {
    pub scores: Scores,
    pub baseline: Option<Baseline>,
    pub kept: Vec<KeptSkips>,
    pub stages: Vec<StageDetails>,
    pub figures: Vec<Figure>,
}

impl ReportData {
    /// The parts of a report that asks for no others. Without evaluations these are the sizes of the data sets.
    pub fn default_parts(&self) -> &'static [PartName] {
        if self.scores.scores.is_empty() {
            &[PartName::Data]
        } else {
            &DEFAULT_TABLES
        }
    }

    /// The table of this name or its figures; none without data for it.
    fn part(&self, name: PartName) -> Result<Vec<ReportPart>, NoBaseline> {
        let table = match name {
            PartName::Results => Some(self.scores.main_table()),
            PartName::Differences => self
                .baseline
                .as_ref()
                .map(|baseline| self.scores.differences_table(baseline))
                .transpose()?,
            PartName::Valid => self.scores.validity(),
            PartName::Answers => self.scores.answers(),
            PartName::Following => self.scores.followings(),
            PartName::Skips => skips_table(&self.kept),
            PartName::Data => data_sets_table(&self.stages),
            _ => {
                let figures = self.figures.iter().filter(|figure| figure.part == name.as_str());
                return Ok(figures.cloned().map(ReportPart::Figure).collect());
            }
        };
        let table = table.filter(|table| !table.rows.is_empty());
        Ok(table.into_iter().map(ReportPart::Table).collect())
    }
}

/// The parts of one report by name. Those without data are absent; a part of several figures is there several times.
#[derive(Clone, Debug)]
pub struct ReportParts(Vec<(PartName, ReportPart)>);

impl ReportParts {
    /// Makes each of the parts once.
    ///
    /// # Errors
    /// When no evaluation is the baseline.
    pub fn make(names: impl IntoIterator<Item = PartName>, data: &ReportData) -> Result<Self, NoBaseline> {
        let (mut known, mut made) = (Vec::new(), Vec::new());
        for name in names {
            if !known.contains(&name) {
                known.push(name);
                made.extend(data.part(name)?.into_iter().map(|part| (name, part)));
            }
        }
        Ok(Self(made))
    }

    /// Whether there is data for the part of this name.
    pub fn has(&self, name: PartName) -> bool {
        self.0.iter().any(|(other, _)| *other == name)
    }

    /// The parts of these names that are present, in the order of the names.
    pub fn select(&self, names: &[PartName]) -> Vec<&ReportPart> {
        let of = |name| self.0.iter().filter(move |(other, _)| *other == name).map(|(_, part)| part);
        names.iter().copied().flat_map(of).collect()
    }
}
