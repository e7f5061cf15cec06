//! Which tables a report has.

use super::Failed;
use crate::report::findings::{Kept, Stage};
use crate::report::scores::{Baseline, Scores, skips};
use crate::report::sheet::Sheet;
use crate::report::sizes::sizes;

/// The tables there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Table {
    /// Accuracy and steps by start and iteration
    Results,
    /// Differences to the baseline
    Differences,
    /// Right answers whose steps are all valid
    Valid,
    /// Answers with fewer steps than the full solution, as many, and more
    Answers,
    /// How numbered models follow the number of steps asked for
    Following,
    /// What was asked for, and what was kept
    Skips,
    /// Rows of the data sets, and the steps of their solutions
    Data,
}

/// What stands in tables unless others are asked for.
const USUAL: [Table; 5] = [Table::Results, Table::Differences, Table::Valid, Table::Following, Table::Skips];

/// What the tables are made of.
pub(super) struct Tables<'a> {
    pub scores: &'a Scores,
    pub baseline: Option<&'a Baseline>,
    pub kept: &'a [Kept],
    pub stages: &'a [Stage],
}

impl Tables<'_> {
    /// The usual tables, as far as there is something to say in them. Without evaluations, those are the data sets' sizes.
    pub(super) fn usual(&self) -> Result<Vec<Sheet>, Failed> {
        if self.scores.scores.is_empty() {
            return Ok(sizes(self.stages).into_iter().collect());
        }
        let tables = USUAL.iter().map(|table| self.table(*table));
        Ok(tables.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// Those that are asked for.
    pub(super) fn chosen(&self, chosen: &[Table]) -> Result<Vec<Sheet>, Failed> {
        let table = |table: &Table| {
            let nothing = || Failed::Usage(table.missing().to_owned());
            self.table(*table)?.ok_or_else(nothing)
        };
        chosen.iter().map(table).collect()
    }

    fn table(&self, table: Table) -> Result<Option<Sheet>, Failed> {
        Ok(match table {
            Table::Results => Some(self.scores.results()).filter(|table| !table.rows.is_empty()),
            Table::Differences => match self.baseline {
                Some(baseline) => Some(self.scores.compared(baseline).map_err(Failed::Usage)?).filter(|table| !table.rows.is_empty()),
                None => None,
            },
            Table::Valid => self.scores.validity(),
            Table::Answers => self.scores.answers(),
            Table::Following => self.scores.followings(),
            Table::Skips => skips(self.kept),
            Table::Data => sizes(self.stages),
        })
    }
}

impl Table {
    /// What there has to be for it.
    fn missing(self) -> &'static str {
        match self {
            Self::Results | Self::Answers => "no stage that is selected gives metrics (kinds `eval` and `measure`)",
            Self::Differences => "there are no differences without a `--baseline`",
            Self::Valid => "no evaluation that is selected has run",
            Self::Following => "no evaluation of a numbered model that is selected has run",
            Self::Skips => "no `filter` that is selected has run",
            Self::Data => "no stage that is selected has put out a data set yet",
        }
    }
}
