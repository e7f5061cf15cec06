//! Which tables and figures a report has.

use crate::Shown;
use crate::figure::Figure;
use crate::findings::{Kept, Stage};
use crate::scores::{Baseline, Scores, skips};
use crate::sizes::sizes;
use lab::config::{Diagnostic, Experiment, known, nearest};

/// The tables and figures there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhibit {
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
    /// Figure: accuracy by iteration
    AccuracyByIteration,
    /// Figure: average steps by iteration
    StepsByIteration,
    /// Figure: share of the right answers with valid steps, by iteration
    ValidByIteration,
    /// Figure: accuracy by the steps of the full solution
    AccuracyByLength,
    /// Figure: average steps by the steps of the full solution
    StepsByLength,
    /// Figure: how many answers take how many steps
    Steps,
    /// Figure: kept skips, and how right answers with 1, 2 … fewer steps are, by iteration
    KeptSkips,
    /// Figure: training loss by optimizer step
    Training,
}

use Exhibit::{
    AccuracyByIteration, AccuracyByLength, Answers, Data, Differences, Following, KeptSkips, Results, Skips, Steps, StepsByIteration,
    StepsByLength, Training, Valid, ValidByIteration,
};

/// The usual tables of evaluations.
const USUAL: [Exhibit; 5] = [Results, Differences, Valid, Following, Skips];

/// What exhibits are made of.
pub struct Material<'a> {
    pub scores: &'a Scores,
    pub baseline: Option<&'a Baseline>,
    pub kept: &'a [Kept],
    pub stages: &'a [Stage],
    pub figures: &'a [Figure],
}

impl Material<'_> {
    /// What stands in a report unless others are asked for: without evaluations, the data sets' sizes.
    pub fn usual(&self) -> &'static [Exhibit] {
        if self.scores.scores.is_empty() { &[Data] } else { &USUAL }
    }

    fn shown(&self, exhibit: Exhibit) -> Result<Option<Shown>, String> {
        let table = match exhibit {
            Results => Some(self.scores.results()),
            Differences => match self.baseline {
                Some(baseline) => Some(self.scores.compared(baseline)?),
                None => None,
            },
            Valid => self.scores.validity(),
            Answers => self.scores.answers(),
            Following => self.scores.followings(),
            Skips => skips(self.kept),
            Data => sizes(self.stages),
            _ => {
                let figure = self.figures.iter().find(|figure| figure.name == exhibit.name());
                return Ok(figure.cloned().map(Shown::Figure));
            }
        };
        Ok(table.filter(|table| !table.rows.is_empty()).map(Shown::Table))
    }
}

/// Exhibits that were made, each once; those that there is nothing to say in are not there.
pub struct Exhibits(Vec<(Exhibit, Shown)>);

impl Exhibits {
    pub fn of(wanted: impl IntoIterator<Item = Exhibit>, material: &Material<'_>) -> Result<Self, String> {
        let mut made: Vec<(Exhibit, Option<Shown>)> = Vec::new();
        for exhibit in wanted {
            if !made.iter().any(|(other, _)| *other == exhibit) {
                made.push((exhibit, material.shown(exhibit)?));
            }
        }
        let there = made.into_iter().filter_map(|(exhibit, shown)| Some((exhibit, shown?)));
        Ok(Self(there.collect()))
    }

    pub fn get(&self, exhibit: Exhibit) -> Option<&Shown> {
        self.0.iter().find(|(other, _)| *other == exhibit).map(|(_, shown)| shown)
    }

    /// Those among `wanted` that are there, in that order.
    pub fn among(&self, wanted: &[Exhibit]) -> Vec<&Shown> {
        wanted.iter().filter_map(|exhibit| self.get(*exhibit)).collect()
    }
}

impl Exhibit {
    /// Those that `shows` of an experiment names.
    ///
    /// # Errors
    /// When there is none of a name: all such names.
    pub fn named(experiment: &Experiment) -> Result<Vec<Self>, Vec<Diagnostic>> {
        let (mut named, mut wrong) = (Vec::new(), Vec::new());
        for (name, origin) in &experiment.shows {
            match Self::ALL.into_iter().find(|exhibit| exhibit.name() == name) {
                Some(exhibit) if named.contains(&exhibit) => {
                    let diagnostic = Diagnostic::new(format!("`shows` has `{name}` twice"));
                    wrong.push(diagnostic.at(origin.value()));
                }
                Some(exhibit) => named.push(exhibit),
                None => {
                    let names = || Self::ALL.into_iter().map(Self::name);
                    let message = format!("no table or figure `{name}` ({})", known(names()));
                    let diagnostic = Diagnostic::new(message).suggest(nearest(name, names()));
                    wrong.push(diagnostic.at(origin.value()));
                }
            }
        }
        if wrong.is_empty() { Ok(named) } else { Err(wrong) }
    }

    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 15] = [
        Results,
        Differences,
        Valid,
        Answers,
        Following,
        Skips,
        Data,
        AccuracyByIteration,
        StepsByIteration,
        ValidByIteration,
        AccuracyByLength,
        StepsByLength,
        Steps,
        KeptSkips,
        Training,
    ];

    /// As `--table` and `shows` have it: of a figure, its name.
    pub fn name(self) -> &'static str {
        match self {
            Results => "results",
            Differences => "differences",
            Valid => "valid",
            Answers => "answers",
            Following => "following",
            Skips => "skips",
            Data => "data",
            AccuracyByIteration => "accuracy-by-iteration",
            StepsByIteration => "steps-by-iteration",
            ValidByIteration => "valid-by-iteration",
            AccuracyByLength => "accuracy-by-length",
            StepsByLength => "steps-by-length",
            Steps => "steps",
            KeptSkips => "kept-skips",
            Training => "training",
        }
    }

    /// What it shows, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Results => "Accuracy and steps by start and iteration",
            Differences => "Differences to the baseline",
            Valid => "Right answers whose steps are all valid",
            Answers => "Answers with fewer steps than the full solution, as many, and more",
            Following => "How numbered models follow the number of steps asked for",
            Skips => "What was asked for, and what was kept",
            Data => "Rows of the data sets, and the steps of their solutions",
            AccuracyByIteration => "Figure: accuracy by iteration",
            StepsByIteration => "Figure: average steps by iteration",
            ValidByIteration => "Figure: share of the right answers with valid steps, by iteration",
            AccuracyByLength => "Figure: accuracy by the steps of the full solution",
            StepsByLength => "Figure: average steps by the steps of the full solution",
            Steps => "Figure: how many answers take how many steps",
            KeptSkips => "Figure: kept skips, and how right answers with 1, 2 … fewer steps are, by iteration",
            Training => "Figure: training loss by optimizer step",
        }
    }

    /// Whether it is drawn.
    pub fn is_figure(self) -> bool {
        matches!(
            self,
            AccuracyByIteration | StepsByIteration | ValidByIteration | AccuracyByLength | StepsByLength | Steps | KeptSkips | Training
        )
    }

    /// What there has to be for it.
    pub fn missing(self) -> &'static str {
        match self {
            Results | Answers => "no stage that is selected gives metrics (kinds `eval` and `measure`)",
            Differences => "there are no differences without a `--baseline`",
            Valid | AccuracyByLength | StepsByLength | Steps => "no evaluation of a standard model that is selected has run",
            AccuracyByIteration | StepsByIteration | ValidByIteration => {
                "no evaluation of an iteration's standard model that is selected has run"
            }
            Following => "no evaluation of a numbered model that is selected has run",
            Skips | KeptSkips => "no `filter` that is selected has run",
            Data => "no stage that is selected has put out a data set yet",
            Training => "no model that is selected is in the store",
        }
    }
}
