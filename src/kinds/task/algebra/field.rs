//! Integers modulo the prime 2⁶¹ − 1, and fractions of them that may depend on ❤.

/// The prime.
pub(super) const PRIME: u64 = (1 << 61) - 1;

fn sum(a: u64, b: u64) -> u64 {
    // Both below the prime, so no more than 2⁶².
    (a + b) % PRIME
}

fn product(a: u64, b: u64) -> u64 {
    (u128::from(a) * u128::from(b) % u128::from(PRIME)) as u64
}

fn negative(a: u64) -> u64 {
    (PRIME - a) % PRIME
}

/// `constant + slope · ❤`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinearForm {
    constant: u64,
    slope: u64,
}

impl LinearForm {
    const ONE: Self = Self::constant(1);

    const fn constant(constant: u64) -> Self {
        Self { constant, slope: 0 }
    }

    fn is_zero(self) -> bool {
        self == Self::constant(0)
    }

    fn plus(self, other: Self) -> Self {
        Self {
            constant: sum(self.constant, other.constant),
            slope: sum(self.slope, other.slope),
        }
    }

    fn negative(self) -> Self {
        Self {
            constant: negative(self.constant),
            slope: negative(self.slope),
        }
    }

    /// One of the two must be a constant: a square of ❤ cannot be represented.
    fn times(self, other: Self) -> Self {
        let crossed = sum(product(self.constant, other.slope), product(self.slope, other.constant));
        Self {
            constant: product(self.constant, other.constant),
            slope: crossed,
        }
    }
}

/// A quotient of two linear forms; the denominator is never zero.
///
/// Of two ratios that are combined, at least one must not contain ❤; that holds for all parts of an expression in which ❤ occurs once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    over: LinearForm,
    under: LinearForm,
}

impl Ratio {
    pub(super) const UNKNOWN: Self = Self {
        over: LinearForm { constant: 0, slope: 1 },
        under: LinearForm::ONE,
    };

    /// A number below the prime.
    pub(super) const fn constant(number: u64) -> Self {
        Self {
            over: LinearForm::constant(number),
            under: LinearForm::ONE,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            over: self.over.times(other.under).plus(other.over.times(self.under)),
            under: self.under.times(other.under),
        }
    }

    pub(super) fn negative(self) -> Self {
        Self {
            over: self.over.negative(),
            ..self
        }
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self {
            over: self.over.times(other.over),
            under: self.under.times(other.under),
        }
    }

    /// The quotient; `None` for a division by zero.
    pub(super) fn divided_by(self, other: Self) -> Option<Self> {
        let inverse = Self {
            over: other.under,
            under: other.over,
        };
        (!other.over.is_zero()).then(|| self.times(inverse))
    }

    /// The value of ❤ at which the ratio is zero; `None` if there is none, or every value is one.
    pub(super) fn root(self) -> Option<Fraction> {
        let root = Fraction {
            over: negative(self.over.constant),
            under: self.over.slope,
        };
        // The lower line there, times the root's denominator.
        let below = sum(product(self.under.constant, root.under), product(self.under.slope, root.over));
        (root.under != 0 && below != 0).then_some(root)
    }
}

/// A quotient of two numbers; the denominator is not zero.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fraction {
    over: u64,
    under: u64,
}

impl PartialEq for Fraction {
    fn eq(&self, other: &Self) -> bool {
        product(self.over, other.under) == product(other.over, self.under)
    }
}
