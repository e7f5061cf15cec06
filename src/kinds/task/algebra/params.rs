//! The params of `generate` for equations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Equation;
use super::symbols::LETTERS;
use crate::task::drawn::{SplitParams, TaskParams};
use crate::task::pool::{NamedProblem, SplitSizes};
use learn::dataset::Row;
use learn::seed::Stream;

/// The most symbols of an equation: all letters and ❤.
pub(super) const MOST_SYMBOLS: u32 = LETTERS.len() as u32 + 1;
/// No equation takes more steps: a swap, a minus, and one for each other symbol.
pub(super) const MOST_STEPS: u32 = MOST_SYMBOLS + 1;

/// Which equations to draw; the defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AlgebraParams {
    /// The equations of `train`, `development` and `in_domain`.
    pub equations: Equations,
    /// The equations of `ood_easy`.
    pub equations_easy: Equations,
    /// The equations of `ood_hard`.
    pub equations_hard: Equations,
    /// Which letters an equation has beside ❤.
    pub letters: Letters,
    /// Which two neighbouring steps a hand-made skip does in one.
    pub merge: MergedPair,
    /// A line before the question; none if empty.
    pub instruction: String,
}

/// How long the equations are; every number of symbols gets equally many problems while they last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Equations {
    /// Least and most symbols, ❤ among them.
    pub symbols: [u32; 2],
    /// Least and most steps of the full solution.
    #[serde(default = "any_steps")]
    pub steps: [u32; 2],
}

fn any_steps() -> [u32; 2] {
    [1, MOST_STEPS]
}

/// Equations by their numbers of symbols and steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub symbols: [u32; 2],
    pub steps: [u32; 2],
    pub letters: Letters,
}

/// Which letters an equation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Letters {
    /// As many as it needs, from the first on, in any order: longer equations have letters that shorter ones have not.
    First,
    /// Any of all fourteen.
    Any,
}

/// Which two neighbouring steps are done in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Pair")]
pub(super) enum MergedPair {
    /// Any, all equally likely.
    Any,
    /// The first two.
    First,
    /// The last two.
    Last,
}

impl Default for AlgebraParams {
    fn default() -> Self {
        let equations = |symbols, steps| Equations { symbols, steps };
        Self {
            equations: equations([4, 7], [1, 5]),
            equations_easy: equations([6, 7], [6, MOST_STEPS]),
            equations_hard: equations([10, 14], any_steps()),
            letters: Letters::First,
            merge: MergedPair::Any,
            instruction: "Transform the expression to isolate ❤ on the left side of the ↔.".to_owned(),
        }
    }
}

impl TaskParams for AlgebraParams {
    const TASK: &'static str = "algebra";
    const SKIP_SHARE: &'static str = "Share of the training problems of more than one step that a warm start has a hand-made skip of.";
    type Pool = Range;

    fn splits() -> SplitParams {
        SplitParams::cold(SplitSizes {
            train: 5_770,
            development: 1_000,
            in_domain: 1_000,
            ood_easy: 2_000,
            ood_hard: 420,
        })
    }

    fn pools(&self) -> [(&'static str, Range); 3] {
        let range = |equations: &Equations| Range {
            symbols: equations.symbols,
            steps: equations.steps,
            letters: self.letters,
        };
        [
            ("equations", range(&self.equations)),
            ("equations_easy", range(&self.equations_easy)),
            ("equations_hard", range(&self.equations_hard)),
        ]
    }

    fn full(&self, equation: &NamedProblem<Equation>) -> Row {
        self.full_row(equation)
    }

    fn skipped(&self, equation: &NamedProblem<Equation>, stream: &mut Stream) -> Option<Row> {
        self.skipped_row(equation, stream)
    }
}
