//! The params of `generate` for sums.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NamedSum, solution};
use crate::task::drawn::{SplitParams, TaskParams};
use crate::task::pool::SplitSizes;
use learn::dataset::Row;
use learn::seed::Stream;

/// Operands have at most this many digits, so that sums are 64-bit numbers.
pub(super) const MOST_DIGITS: u32 = 18;

/// Which sums to draw; the defaults are the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AdditionParams {
    /// The digits of `train`, `development` and `in_domain`.
    pub digits: Digits,
    /// The digits of `ood_easy`.
    pub digits_easy: Digits,
    /// The digits of `ood_hard`.
    pub digits_hard: Digits,
    /// Whether `train` has, on top of its number, `b + a` beside each `a + b` of equally many digits.
    pub swapped: bool,
    /// Which two neighbouring digit positions a hand-made skip does in one step.
    pub merge: Merge,
}

/// Which two neighbouring digit positions are done in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Merge {
    /// Any, all equally likely.
    Any,
    /// Units and tens.
    Lowest,
    /// The two highest.
    Highest,
}

/// How many digits the operands have; every combination is equally likely while it lasts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Digits {
    /// Least and most digits of the first operand.
    pub a: [u32; 2],
    /// Least and most digits of the second operand.
    pub b: [u32; 2],
    /// Whether combinations with a longer second operand are left out.
    #[serde(default = "yes")]
    pub longer_first: bool,
}

fn yes() -> bool {
    true
}

impl Digits {
    fn new(a: [u32; 2], b: [u32; 2], longer_first: bool) -> Self {
        Self { a, b, longer_first }
    }

    /// All pairs of numbers of digits, in ascending order.
    pub(super) fn combinations(&self) -> Vec<(u32, u32)> {
        let all = (self.a[0]..=self.a[1]).flat_map(|a| (self.b[0]..=self.b[1]).map(move |b| (a, b)));
        all.filter(|(a, b)| !self.longer_first || a >= b).collect()
    }
}

impl Default for AdditionParams {
    fn default() -> Self {
        Self {
            digits: Digits::new([1, 3], [1, 3], true),
            digits_easy: Digits::new([4, 7], [1, 3], true),
            digits_hard: Digits::new([4, 7], [4, 7], false),
            swapped: false,
            merge: Merge::Any,
        }
    }
}

impl TaskParams for AdditionParams {
    const TASK: &'static str = "addition";
    type Pool = Digits;

    fn splits() -> SplitParams {
        SplitParams::cold(SplitSizes {
            train: 2_855,
            development: 1_000,
            in_domain: 1_000,
            ood_easy: 1_200,
            ood_hard: 1_600,
        })
    }

    fn pools(&self) -> [(&'static str, Digits); 3] {
        [
            ("digits", self.digits.clone()),
            ("digits_easy", self.digits_easy.clone()),
            ("digits_hard", self.digits_hard.clone()),
        ]
    }

    fn more_training(&self, drawn: &[NamedSum]) -> Vec<NamedSum> {
        let drawn = drawn.iter().filter(|_| self.swapped);
        drawn.filter_map(super::swapped).collect()
    }

    fn full(&self, sum: &NamedSum) -> Row {
        let (a, b) = sum.problem;
        super::row(sum.id.clone(), sum.problem, solution::full(a, b))
    }

    fn skipped(&self, sum: &NamedSum, stream: &mut Stream) -> Option<Row> {
        super::skipped(sum, self.merge, stream)
    }
}
