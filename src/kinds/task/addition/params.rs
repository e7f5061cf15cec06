//! The params of `generate` for sums.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::solution::{SumSolution, Wording};
use super::{NamedSum, Sum};
use crate::task::drawn::{SplitParams, TaskParams, share};
use crate::task::pool::SplitSizes;
use lab::config::ParamError;
use learn::dataset::{ExactValue, Row};
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
    // The two below came later. At the values that were implied before, which never change, they are in no key: they are not written then.
    // (An `ImpliedParam` of the kind would be read back into the params of all tasks.)
    /// Share of the training problems whose steps are numbered from a random number on, such that the last number is at most 9.
    #[serde(skip_serializing_if = "is_none")]
    #[schemars(range(min = 0.0, max = 1.0), extend("default" = 0.0))]
    pub random_start: f64,
    /// Whether the first operand of a step keeps its leading zeros (`08 + 12`), so that its digits say how many positions the step adds.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(extend("default" = false))]
    pub leading_zeros: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_none(share: &f64) -> bool {
    *share == 0.0
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
            random_start: 0.0,
            leading_zeros: false,
        }
    }
}

impl AdditionParams {
    fn wording(&self, sum: &NamedSum) -> Wording {
        Wording {
            first: sum.problem.first,
            leading_zeros: self.leading_zeros,
        }
    }

    /// A row, which tells how its steps are worded where that is not as published.
    fn row(&self, id: String, Sum { a, b, .. }: Sum, solution: SumSolution) -> Row {
        let row = super::row(id, (a, b), solution);
        match self.leading_zeros {
            true => row.with_doc([(super::LEADING_ZEROS.to_owned(), ExactValue::Bool(true))]),
            false => row,
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

    fn check(&self) -> Result<(), ParamError> {
        share("random_start", self.random_start)
    }

    fn training(&self, mut drawn: Vec<NamedSum>, seed: u64) -> Vec<NamedSum> {
        if self.swapped {
            let swapped: Vec<NamedSum> = drawn.iter().filter_map(super::swapped).collect();
            drawn.extend(swapped);
        }
        let mut stream = Stream::new(seed, "addition numbers of steps");
        for sum in drawn.iter_mut().filter(|_| self.random_start > 0.0) {
            if stream.uniform() < self.random_start {
                sum.problem.first = sum.problem.random_start(&mut stream);
            }
        }
        drawn
    }

    fn full(&self, sum: &NamedSum) -> Row {
        let Sum { a, b, .. } = sum.problem;
        self.row(sum.id.clone(), sum.problem, self.wording(sum).full(a, b))
    }

    fn skipped(&self, sum: &NamedSum, stream: &mut Stream) -> Option<Row> {
        let Sum { a, b, .. } = sum.problem;
        let pair = super::pair(sum.problem, self.merge, stream)?;
        let solution = self.wording(sum).merged(a, b, pair);
        Some(self.row(format!("{}_skip", sum.id), sum.problem, solution))
    }
}
