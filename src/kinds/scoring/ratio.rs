//! Exact fractions, as long as they fit.

use crate::task::Amount;

/// The most zeros that a fraction is read with.
const MAX_ZEROS: u64 = 36;

/// `over` / `under`, in lowest terms; `under` is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ratio {
    over: i128,
    under: i128,
}

impl Ratio {
    pub(super) const ONE: Self = Self { over: 1, under: 1 };

    pub(super) fn new(over: i128, under: i128) -> Option<Self> {
        let common = i128::try_from(common_divisor(over.unsigned_abs(), under.unsigned_abs())).ok()?;
        if under == 0 || common == 0 {
            return None;
        }
        let sign = under.signum();
        Some(Self {
            over: (over / common).checked_mul(sign)?,
            under: (under / common).checked_mul(sign)?,
        })
    }

    pub(super) fn integer(number: i128) -> Self {
        Self { over: number, under: 1 }
    }

    /// The amount, if it fits.
    pub(super) fn of(amount: &Amount) -> Option<Self> {
        let (negative, digits, exponent, denominator) = amount.parts();
        let digits: i128 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
        let power = Some(exponent.unsigned_abs()).filter(|zeros| *zeros <= MAX_ZEROS)?;
        let power = 10_i128.checked_pow(u32::try_from(power).ok()?)?;
        let denominator = i128::from(denominator);
        let signed = if negative { -digits } else { digits };
        match exponent < 0 {
            true => Self::new(signed, denominator.checked_mul(power)?),
            false => Self::new(signed.checked_mul(power)?, denominator),
        }
    }

    pub(super) fn over(self) -> i128 {
        self.over
    }

    pub(super) fn under(self) -> i128 {
        self.under
    }

    /// The number, if it is whole.
    pub(super) fn whole(self) -> Option<i128> {
        (self.under == 1).then_some(self.over)
    }

    pub(super) fn plus(self, other: Self) -> Option<Self> {
        let (left, right) = (self.over.checked_mul(other.under)?, other.over.checked_mul(self.under)?);
        Self::new(left.checked_add(right)?, self.under.checked_mul(other.under)?)
    }

    pub(super) fn negative(self) -> Self {
        Self { over: -self.over, ..self }
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        Self::new(self.over.checked_mul(other.over)?, self.under.checked_mul(other.under)?)
    }

    pub(super) fn inverse(self) -> Option<Self> {
        Self::new(self.under, self.over)
    }

    pub(super) fn absolute(self) -> Self {
        Self {
            over: self.over.saturating_abs(),
            ..self
        }
    }

    /// Whether it is at most `other`, if that can be said.
    pub(super) fn at_most(self, other: Self) -> Option<bool> {
        Some(self.over.checked_mul(other.under)? <= other.over.checked_mul(self.under)?)
    }
}

fn common_divisor(a: u128, b: u128) -> u128 {
    let (mut a, mut b) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}
