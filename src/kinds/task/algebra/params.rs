//! The params of `generate` for equations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::draw::Range;
use super::symbols::LETTERS;
use crate::task::pool::{Demand, SplitSizes};
use crate::task::{Start, check_share};

/// The most symbols of an equation: all letters and ❤.
pub(super) const MOST_SYMBOLS: u32 = LETTERS.len() as u32 + 1;
/// No equation takes more steps: a swap, a minus, and one for each other symbol.
pub(super) const MOST_STEPS: u32 = MOST_SYMBOLS + 1;

/// Which equations to draw; the defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AlgebraParams {
    /// Whether there are hand-made skips (the port `skipped`) to begin with.
    pub start: Start,
    /// Number of training problems.
    pub train: u64,
    /// Number of problems for choosing settings, drawn as the training problems are.
    pub development: u64,
    /// Number of test problems, drawn as the training problems are.
    pub in_domain: u64,
    /// Number of somewhat harder test problems.
    pub ood_easy: u64,
    /// Number of much harder test problems.
    pub ood_hard: u64,
    /// The equations of `train`, `development` and `in_domain`.
    pub equations: Equations,
    /// The equations of `ood_easy`.
    pub equations_easy: Equations,
    /// The equations of `ood_hard`.
    pub equations_hard: Equations,
    /// Which letters an equation has beside ❤.
    pub letters: Letters,
    /// Share of the training problems of more than one step that a warm start has a hand-made skip of.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub skip_share: f64,
    /// Which two neighbouring steps a hand-made skip does in one.
    pub merge: MergedPair,
    /// What stands before the question, on a line of its own; nothing where it is empty.
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
            start: Start::Cold,
            train: 5_770,
            development: 1_000,
            in_domain: 1_000,
            ood_easy: 2_000,
            ood_hard: 420,
            equations: equations([4, 7], [1, 5]),
            equations_easy: equations([6, 7], [6, MOST_STEPS]),
            equations_hard: equations([10, 14], any_steps()),
            letters: Letters::First,
            skip_share: 1.0,
            merge: MergedPair::Any,
            instruction: "Transform the expression to isolate ❤ on the left side of the ↔.".to_owned(),
        }
    }
}

impl AlgebraParams {
    /// The splits and where they come from.
    pub(super) fn demand(&self) -> Demand<Range> {
        let range = |equations: &Equations| Range {
            symbols: equations.symbols,
            steps: equations.steps,
            letters: self.letters,
        };
        Demand {
            sizes: SplitSizes {
                train: self.train,
                development: self.development,
                in_domain: self.in_domain,
                ood_easy: self.ood_easy,
                ood_hard: self.ood_hard,
            },
            pool: ("equations", range(&self.equations)),
            easy: ("equations_easy", range(&self.equations_easy)),
            hard: ("equations_hard", range(&self.equations_hard)),
        }
    }

    /// Whether there can be such problems.
    pub(super) fn check(&self) -> Result<(), figment::Error> {
        check_share(self.skip_share)?;
        self.demand().check()
    }
}
