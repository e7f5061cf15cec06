//! The names of the parts of a report: its tables and figures.

use lab::config::{ConfigValue, Diagnostic, known, nearest};

/// The name of a table or figure, as `--table` and `shows` have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartName {
    /// Accuracy and steps by start and iteration
    Results,
    /// Any metrics, by variant
    Metrics,
    /// Differences to the baseline
    Differences,
    /// Correct answers whose steps are all valid
    Valid,
    /// Answers with fewer, the same and more steps than the full solution
    Answers,
    /// How far judges agree with labels
    Agreement,
    /// How numbered models follow the requested number of steps
    Following,
    /// Requests for skips, and the rows that filters kept
    Skips,
    /// Rows of the data sets, and the steps of their solutions
    Data,
    /// Figure: accuracy by iteration
    AccuracyByIteration,
    /// Figure: average steps by iteration
    StepsByIteration,
    /// Figure: share of the correct answers whose steps are all valid, by iteration
    ValidByIteration,
    /// Figure: accuracy by the steps of the full solution
    AccuracyByLength,
    /// Figure: average steps by the steps of the full solution
    StepsByLength,
    /// Figure: number of answers by number of steps
    Steps,
    /// Figure: kept skips, and the accuracy of answers with 1, 2 … fewer steps, by iteration
    KeptSkips,
    /// Figure: training loss by optimizer step
    Training,
    /// Figures: each metric over the axes of the matrix
    MetricFigures,
    /// Figure: metrics by step, as trainings wrote them
    Curves,
}

use PartName::{
    AccuracyByIteration, AccuracyByLength, Agreement, Answers, Curves, Data, Differences, Following, KeptSkips, MetricFigures, Metrics,
    Results, Skips, Steps, StepsByIteration, StepsByLength, Training, Valid, ValidByIteration,
};

impl PartName {
    /// The parts that `shows` of the experiment's `[report]` lists.
    ///
    /// # Errors
    /// All names that are unknown or listed twice, and what is no name.
    pub fn read_list(shows: &ConfigValue) -> Result<Vec<Self>, Vec<Diagnostic>> {
        let (mut named, mut wrong) = (Vec::new(), Vec::new());
        for item in shows.items() {
            let Some(name) = item.as_str() else {
                let message = format!("`shows` names a table, a figure, or a list of these, not {}", item.describe());
                wrong.push(Diagnostic::new(message).at(item.at()));
                continue;
            };
            match Self::ALL.into_iter().find(|part| part.as_str() == name) {
                Some(part) if named.contains(&part) => {
                    let diagnostic = Diagnostic::new(format!("`shows` has `{name}` twice"));
                    wrong.push(diagnostic.at(item.at()));
                }
                Some(part) => named.push(part),
                None => {
                    let names = || Self::ALL.into_iter().map(Self::as_str);
                    let message = format!("no table or figure `{name}` ({})", known(names()));
                    let diagnostic = Diagnostic::new(message).suggest(nearest(name, names()));
                    wrong.push(diagnostic.at(item.at()));
                }
            }
        }
        if wrong.is_empty() { Ok(named) } else { Err(wrong) }
    }

    /// All names, in the order in which help lists them.
    pub const ALL: [Self; 19] = [
        Results,
        Metrics,
        Differences,
        Valid,
        Answers,
        Agreement,
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
        MetricFigures,
        Curves,
    ];

    /// The name in `--table` and `shows`. A figure that is alone in its part has a file of this name.
    pub fn as_str(self) -> &'static str {
        match self {
            Results => "results",
            Metrics => "metrics",
            Differences => "differences",
            Valid => "valid",
            Answers => "answers",
            Agreement => "agreement",
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
            MetricFigures => "metric-figures",
            Curves => "curves",
        }
    }

    /// One line for the help.
    pub fn description(self) -> &'static str {
        match self {
            Results => "Accuracy and steps by start and iteration",
            Metrics => "Any metrics, by variant",
            Differences => "Differences to the baseline",
            Valid => "Correct answers whose steps are all valid",
            Answers => "Answers with fewer, the same and more steps than the full solution",
            Agreement => "How far judges agree with labels",
            Following => "How numbered models follow the requested number of steps",
            Skips => "Requests for skips, and the rows that filters kept",
            Data => "Rows of the data sets, and the steps of their solutions",
            AccuracyByIteration => "Figure: accuracy by iteration",
            StepsByIteration => "Figure: average steps by iteration",
            ValidByIteration => "Figure: share of the correct answers whose steps are all valid, by iteration",
            AccuracyByLength => "Figure: accuracy by the steps of the full solution",
            StepsByLength => "Figure: average steps by the steps of the full solution",
            Steps => "Figure: number of answers by number of steps",
            KeptSkips => "Figure: kept skips, and the accuracy of answers with 1, 2 … fewer steps, by iteration",
            Training => "Figure: training loss by optimizer step",
            MetricFigures => "Figures: each metric over the axes of the matrix",
            Curves => "Figure: metrics by step, as trainings wrote them",
        }
    }

    /// Whether this is a figure and not a table.
    pub fn is_figure(self) -> bool {
        matches!(
            self,
            AccuracyByIteration
                | StepsByIteration
                | ValidByIteration
                | AccuracyByLength
                | StepsByLength
                | Steps
                | KeptSkips
                | Training
                | MetricFigures
                | Curves
        )
    }

    /// The message if a report has no data for this part.
    pub fn missing_message(self) -> &'static str {
        match self {
            Results | Answers => {
                "no selected stage of the kind `eval` or `measure` gives metrics; those of programs are in `--table metrics`"
            }
            Metrics => {
                "no selected stage gives metrics: stages of the kinds `eval` and `measure` do, and a program with a line such as \
                 `outputs.scores = { type = \"metrics\", path = \"scores.json\" }`"
            }
            Differences => "there are no differences without a `--baseline`",
            Valid | AccuracyByLength | StepsByLength | Steps => "no selected evaluation of a standard model has run",
            AccuracyByIteration | StepsByIteration | ValidByIteration => "no selected evaluation of an iteration's standard model has run",
            Following => "no selected evaluation of a numbered model has run",
            Agreement => "no selected `measure` has `labels` to compare its judge with, or none has run",
            Skips | KeptSkips => "no selected `filter` that compares steps has run",
            Data => "no selected stage has written a data set yet",
            Training => "no selected model is in the store",
            MetricFigures => "no metric of a program is there for two values of an axis",
            Curves => "no selected stage has written metrics by step (series)",
        }
    }
}
