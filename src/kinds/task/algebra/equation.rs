//! The equations of problems: sums of products, without brackets, every symbol once.

use std::fmt::{self, Display};

use super::symbols::{EQUALS, MINUS, OVER, PLUS, TIMES, UNKNOWN, ZERO};

/// Two sums that are equal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Equation {
    pub left: TermSum,
    pub right: TermSum,
}

/// A sum of terms; ◯ without terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct TermSum(pub Vec<Term>);

/// Factors, from left to right, and a sign.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Term {
    pub negative: bool,
    /// The first one is never a divisor.
    pub factors: Vec<Factor>,
}

/// A symbol that a term is multiplied with or divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Factor {
    pub divides: bool,
    pub symbol: char,
}

impl TermSum {
    pub(super) fn has_unknown(&self) -> bool {
        self.0.iter().any(Term::has_unknown)
    }
}

impl Term {
    pub(super) fn has_unknown(&self) -> bool {
        self.factors.iter().any(|factor| factor.symbol == UNKNOWN)
    }
}

impl Display for Equation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {EQUALS} {}", self.left, self.right)
    }
}

impl Display for TermSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return write!(f, "{ZERO}");
        }
        for (place, term) in self.0.iter().enumerate() {
            match (place, term.negative) {
                (0, false) => {}
                (0, true) => write!(f, "{MINUS} ")?,
                (_, false) => write!(f, " {PLUS} ")?,
                (_, true) => write!(f, " {MINUS} ")?,
            }
            write!(f, "{term}")?;
        }
        Ok(())
    }
}

impl Display for Term {
    /// The factors; the sign belongs to the sum.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, factor) in self.factors.iter().enumerate() {
            if place > 0 {
                write!(f, " {} ", if factor.divides { OVER } else { TIMES })?;
            }
            write!(f, "{}", factor.symbol)?;
        }
        Ok(())
    }
}
