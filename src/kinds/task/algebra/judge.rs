//! Whether two equations have the same solution for ❤.
//!
//! An equation in which ❤ occurs once is solved for ❤ with numbers of a large prime field in place of the letters, at a few fixed
//! points. Equal solutions are equal at every point. Two different ones, rational functions whose symbols number `n` in all, are
//! equal at a random point with a probability of at most `n / 2⁶¹`, so at all points with at most `(n / 2⁶¹)³`: less than 10⁻⁴⁰ for a
//! thousand symbols. A division by zero at one point may be chance, so the point is left out; at all points, it is a real one.

use std::sync::LazyLock;

use super::expression::{Operator, ParsedEquation, Postfix, PostfixItem};
use super::field::{Fraction, PRIME, Ratio};
use super::symbols::LETTERS;
use learn::seed::Stream;

const POINTS: usize = 3;

/// The value of each letter.
type LetterValues = [u64; LETTERS.len()];

/// The value of ❤ at each point; `None` where it has none.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnknownSolution([Option<Fraction>; POINTS]);

impl UnknownSolution {
    /// The solution of an equation in which ❤ occurs once; `None` if it has none, or every value of ❤ solves it.
    pub(super) fn solve(equation: &ParsedEquation) -> Option<Self> {
        static DRAWN: LazyLock<[LetterValues; POINTS]> = LazyLock::new(|| {
            let mut stream = Stream::new(0, "algebra points");
            [(); POINTS].map(|()| [(); LETTERS.len()].map(|()| 1 + stream.below(PRIME - 1)))
        });
        if equation.unknowns() != 1 {
            return None;
        }
        let solution = DRAWN.map(|point| {
            let (left, right) = (value(&equation.left, &point)?, value(&equation.right, &point)?);
            left.plus(right.negative()).root()
        });
        solution.iter().any(Option::is_some).then_some(Self(solution))
    }

    /// Whether both are the same function of the letters.
    pub(super) fn equals(&self, other: &Self) -> bool {
        let both: Vec<(Fraction, Fraction)> = self.0.iter().zip(other.0).filter_map(|(a, b)| a.zip(b)).collect();
        !both.is_empty() && both.iter().all(|(a, b)| a == b)
    }
}

/// The value of an expression at a point; `None` for a division by zero.
fn value(expression: &Postfix, point: &LetterValues) -> Option<Ratio> {
    let mut values: Vec<Ratio> = Vec::new();
    for item in &expression.0 {
        let value = match *item {
            PostfixItem::Zero => Ratio::constant(0),
            PostfixItem::Unknown => Ratio::UNKNOWN,
            PostfixItem::Letter(letter) => Ratio::constant(*point.get(letter)?),
            PostfixItem::Operator(Operator::Negative) => values.pop()?.negative(),
            PostfixItem::Operator(operator) => {
                let (right, left) = (values.pop()?, values.pop()?);
                match operator {
                    Operator::Plus => left.plus(right),
                    Operator::Times => left.times(right),
                    Operator::Over => left.divided_by(right)?,
                    Operator::Minus | Operator::Negative => left.plus(right.negative()),
                }
            }
        };
        values.push(value);
    }
    values.pop()
}

/// Whether `answer` isolates ❤ and has the same solution as `gold`.
pub(crate) fn is_right(gold: &str, answer: &str) -> bool {
    let read = |text| ParsedEquation::parse(text).filter(ParsedEquation::isolates);
    match (read(gold), read(answer)) {
        (Some(gold), Some(answer)) => {
            let (gold, answer) = (UnknownSolution::solve(&gold), UnknownSolution::solve(&answer));
            gold.zip(answer).is_some_and(|(gold, answer)| gold.equals(&answer))
        }
        _ => false,
    }
}

/// Which of `steps` are valid: those with the same solution for ❤ as the step before.
pub(super) fn follow(question: &str, steps: &[&str]) -> Vec<bool> {
    let solution = |text: &str| ParsedEquation::parse(text).and_then(|equation| UnknownSolution::solve(&equation));
    let mut before = solution(question);
    let held = |step: &&str| {
        let Some(new) = solution(step) else { return false };
        before.replace(new).is_some_and(|before| before.equals(&new))
    };
    steps.iter().map(held).collect()
}
