//! The worded solution of a sum.

use std::fmt::Write;

/// A solution and the number of its steps.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SumSolution {
    pub text: String,
    pub steps: u32,
}

/// Number of digits of the longer operand.
pub(super) fn positions(a: u64, b: u64) -> u32 {
    a.max(b).checked_ilog10().unwrap_or(0) + 1
}

/// How steps are worded, where the task's params leave a choice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wording {
    /// The number of the first step.
    pub first: u32,
    /// Whether the first operand of a step has as many digits as the step adds.
    pub leading_zeros: bool,
}

impl Wording {
    /// What tests compare with: the published wording, in which steps are numbered from 1, and operands have no leading zeros (`4 + 56`).
    #[cfg(test)]
    pub const PUBLISHED: Self = Self {
        first: 1,
        leading_zeros: false,
    };

    /// One step for each digit position, units first.
    pub fn full(self, a: u64, b: u64) -> SumSolution {
        self.worded(a, b, (0..positions(a, b)).map(|_| 1))
    }

    /// The solution with position `pair` and the one above it added in one step.
    pub fn merged(self, a: u64, b: u64, pair: u32) -> SumSolution {
        let steps = positions(a, b) - 1;
        self.worded(a, b, (0..steps).map(|step| if step == pair { 2 } else { 1 }))
    }

    /// One step for each of `widths`, the number of digits that it adds, and one for a last carry. The written digits have leading zeros
    /// (`write down 07`).
    fn worded(self, mut a: u64, mut b: u64, widths: impl Iterator<Item = u32>) -> SumSolution {
        let total = a + b;
        let mut text = String::new();
        let (mut steps, mut carry) = (0, 0);
        for width in widths {
            let number = self.first + steps;
            steps += 1;
            let base = 10u64.pow(width);
            let (x, y) = (a % base, b % base);
            let sum = x + y + carry;
            let digits = width as usize;
            let written = format!("{:0digits$}", sum % base);
            let padded = if self.leading_zeros { digits } else { 0 };
            let over = match sum / base {
                0 => "no carry over".to_owned(),
                over => format!("carry over {over}"),
            };
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                text,
                "{number}. {x:0padded$} + {y} (plus carry {carry}) = {sum} (write down {written}, {over})."
            );
            (a, b, carry) = (a / base, b / base, sum / base);
        }
        if carry > 0 {
            let number = self.first + steps;
            steps += 1;
            let _ = writeln!(text, "{number}. Carry the final carry over {carry} to the next place.");
        }
        let _ = write!(text, "Thus, the answer is {total}.");
        SumSolution { text, steps }
    }
}
