//! Isolating ❤, one transformation a step, in the published order.

use super::equation::{Equation, Factor, TermSum};
use super::symbols::{CLOSE, EQUALS, OPEN, OVER, UNKNOWN};

/// The steps: each one the whole equation after a transformation; the last one is the answer.
///
/// The sides are swapped if ❤ is on the right. The terms without ❤ go over, left to right. Then the minus before ❤'s term goes, and
/// then its factors, one by one (see [`next`]). What is left of `♏ ♪ ❤ ↔ …` becomes `❤ ↔ ♏ ♪ ❲ … ❳`.
pub(super) fn solve(mut equation: Equation) -> Vec<String> {
    let mut steps = Vec::new();
    if !equation.left.has_unknown() {
        std::mem::swap(&mut equation.left, &mut equation.right);
        steps.push(equation.to_string());
    }
    while equation.left.0.len() > 1
        && let Some(place) = equation.left.0.iter().position(|term| !term.has_unknown())
    {
        let mut term = equation.left.0.remove(place);
        term.negative = !term.negative;
        equation.right.0.push(term);
        steps.push(equation.to_string());
    }
    let Equation { left, mut right } = equation;
    if let Some(mut term) = left.0.into_iter().next() {
        if std::mem::take(&mut term.negative) {
            right.0.iter_mut().for_each(|other| other.negative = !other.negative);
            steps.push(written(&term.factors, &right));
        }
        while let Some(place) = next(&term.factors) {
            let Factor { divides, symbol } = term.factors.remove(place);
            for other in &mut right.0 {
                other.factors.push(Factor { divides: !divides, symbol });
            }
            steps.push(written(&term.factors, &right));
        }
        if let [numerator, _] = term.factors.as_slice() {
            let numerator = numerator.symbol;
            steps.push(format!("{UNKNOWN} {EQUALS} {numerator} {OVER} {OPEN} {right} {CLOSE}"));
        }
    }
    steps
}

fn written(factors: &[Factor], right: &TermSum) -> String {
    let term = super::equation::Term {
        negative: false,
        factors: factors.to_vec(),
    };
    format!("{term} {EQUALS} {right}")
}

/// The place of the factor that goes next, while more than ❤ and a numerator is left.
///
/// `✾` binds weaker than `♪` here: a term is a product of quotients. Those without ❤ go first, left to right: their divisors from the
/// last to the first, then their numerator. Of ❤'s own quotient the divisors go, from the last to the first, and then its numerator
/// where ❤ is a divisor itself: there is no more to do than to swap the two.
fn next(factors: &[Factor]) -> Option<usize> {
    let starts = (0..factors.len()).filter(|&place| factors.get(place).is_some_and(|factor| !factor.divides));
    let mut quotients = starts.map(|start| {
        let divisors = factors.iter().skip(start + 1).take_while(|factor| factor.divides).count();
        (start, start + divisors)
    });
    let is_unknown = |place: usize| factors.get(place).is_some_and(|factor| factor.symbol == UNKNOWN);
    let foreign = quotients.find(|&(start, last)| !(start..=last).any(is_unknown));
    match foreign {
        Some((_, last)) => Some(last),
        None => (1..factors.len()).rev().find(|&place| !is_unknown(place)),
    }
}
