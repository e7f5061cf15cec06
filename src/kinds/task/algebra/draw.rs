//! Drawing equations: how many there are, and one at random.
//!
//! The published equations are drawn like this: the symbols in any order; in each gap between two of them one of ✰ ❀ ✾ ♪ ↔, all equally
//! likely, and after a ↔ one of the other four; `↔ ◯` at the end if no ↔ was drawn; a minus before the first symbol in half of the
//! equations. Equations that are solved already, and single terms that equal ◯, are left out.

use super::equation::{Equation, Factor, Term, TermSum};
use super::params::{Letters, MOST_STEPS, MOST_SYMBOLS, Range};
use super::skeleton::{self, Sign, Skeleton};
use super::symbols::{LETTERS, UNKNOWN};
use crate::task::pool::{Pool, PoolError, ProblemGroup, check_range};
use learn::seed::Stream;

/// Equations of one number of symbols.
pub(super) struct EquationGroup {
    symbols: usize,
    letters: Letters,
    skeletons: Vec<Skeleton>,
    /// The likelihoods of the skeletons, added up. [skeletons]
    likelihoods: Vec<f64>,
}

impl Pool for Range {
    type Group = EquationGroup;

    const MORE: &'static str = "symbols or steps";

    fn check(&self) -> Result<(), PoolError> {
        check_range(Some("symbols"), self.symbols, "symbols", [2, MOST_SYMBOLS])?;
        check_range(Some("steps"), self.steps, "steps", [1, MOST_STEPS])
    }

    fn groups(&self) -> Vec<EquationGroup> {
        let [least, most] = self.symbols;
        (least..=most).map(|symbols| EquationGroup::new(symbols, *self)).collect()
    }

    fn overlaps(&self, other: &Self) -> bool {
        let meet = |a: [u32; 2], b: [u32; 2]| a[0] <= b[1] && b[0] <= a[1];
        meet(self.symbols, other.symbols) && meet(self.steps, other.steps)
    }
}

impl EquationGroup {
    fn new(symbols: u32, range: Range) -> Self {
        let symbols = symbols as usize;
        let mut skeletons = skeleton::all(symbols);
        skeletons.retain(|skeleton| (range.steps[0]..=range.steps[1]).contains(&skeleton.steps()));
        let mut total = 0.0;
        let add = |skeleton: &Skeleton| {
            total += skeleton.likelihood() as f64;
            total
        };
        Self {
            symbols,
            letters: range.letters,
            likelihoods: skeletons.iter().map(add).collect(),
            skeletons,
        }
    }

    /// The letters and ❤, which is the `place`-th.
    fn symbols(&self, place: usize, stream: &mut Stream) -> Vec<char> {
        let mut letters = LETTERS;
        let count = self.symbols - 1;
        if self.letters == Letters::Any {
            stream.shuffle(&mut letters);
        }
        let mut symbols: Vec<char> = letters.into_iter().take(count).collect();
        stream.shuffle(&mut symbols);
        symbols.insert(place.min(count), UNKNOWN);
        symbols
    }
}

impl ProblemGroup for EquationGroup {
    type Problem = Equation;
    type Identity = Equation;

    fn prefix(&self) -> String {
        format!("var{}_", self.symbols)
    }

    fn capacity(&self) -> u128 {
        let letters = self.symbols as u128 - 1;
        let orders: u128 = (1..=letters).product();
        let choices = match self.letters {
            Letters::First => 1,
            Letters::Any => skeleton::choose(LETTERS.len() as u128, letters),
        };
        choices * orders * self.skeletons.iter().map(Skeleton::ways).sum::<u128>()
    }

    /// There must be some (see [`Self::capacity`]).
    fn draw(&self, stream: &mut Stream) -> Equation {
        let goal = stream.uniform() * self.likelihoods.last().copied().unwrap_or_default();
        let index = self.likelihoods.partition_point(|sum| *sum <= goal);
        let last = self.skeletons.len().saturating_sub(1);
        let Some(skeleton) = self.skeletons.get(index.min(last)) else {
            return Equation {
                left: TermSum::default(),
                right: TermSum::default(),
            };
        };
        let signs = skeleton.fill(stream);
        let symbols = self.symbols(skeleton.place, stream);
        let (left, right) = symbols.split_at(skeleton.left);
        let (left_signs, right_signs) = signs.split_at(skeleton.left);
        Equation {
            left: sum(left, left_signs),
            right: sum(right, right_signs),
        }
    }

    fn identity(equation: &Equation) -> Equation {
        equation.clone()
    }
}

/// Symbols with the signs before them; the first one's is plus or minus.
fn sum(symbols: &[char], signs: &[Sign]) -> TermSum {
    let mut terms: Vec<Term> = Vec::new();
    for (&symbol, &sign) in symbols.iter().zip(signs) {
        let factor = Factor {
            divides: sign == Sign::Over,
            symbol,
        };
        match (sign, terms.last_mut()) {
            (Sign::Times | Sign::Over, Some(term)) => term.factors.push(factor),
            _ => terms.push(Term {
                negative: sign == Sign::Minus,
                factors: vec![factor],
            }),
        }
    }
    TermSum(terms)
}

#[cfg(test)]
mod tests;
