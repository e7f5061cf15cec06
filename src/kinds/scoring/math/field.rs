//! Complex numbers over the integers modulo the prime 2⁶¹ − 1, in which −1 has no root: an exact stand-in for numbers with roots.

const PRIME: u64 = (1 << 61) - 1;

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

fn power(base: u64, exponent: u64) -> u64 {
    let (mut result, mut base, mut left) = (1, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            result = product(result, base);
        }
        base = product(base, base);
        left >>= 1;
    }
    result
}

/// `re + im · i`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    re: u64,
    im: u64,
}

impl Element {
    pub(super) const ONE: Self = Self { re: 1, im: 0 };
    pub(super) const I: Self = Self { re: 0, im: 1 };

    /// A number of any size.
    pub(super) fn integer(number: u64) -> Self {
        Self { re: number % PRIME, im: 0 }
    }

    /// The number that decimal digits write.
    pub(super) fn of_digits(digits: &str) -> Self {
        let digits = digits.bytes().filter(u8::is_ascii_digit);
        let re = digits.fold(0, |number, digit| sum(product(number, 10), u64::from(digit - b'0')));
        Self { re, im: 0 }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            re: sum(self.re, other.re),
            im: sum(self.im, other.im),
        }
    }

    pub(super) fn negative(self) -> Self {
        Self {
            re: negative(self.re),
            im: negative(self.im),
        }
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self {
            re: sum(product(self.re, other.re), negative(product(self.im, other.im))),
            im: sum(product(self.re, other.im), product(self.im, other.re)),
        }
    }

    /// `None` for zero.
    pub(super) fn inverse(self) -> Option<Self> {
        let norm = sum(product(self.re, self.re), product(self.im, self.im));
        let inverse = power(norm, PRIME - 2);
        (norm != 0).then(|| Self {
            re: product(self.re, inverse),
            im: product(negative(self.im), inverse),
        })
    }

    pub(super) fn power(self, exponent: u64) -> Self {
        let (mut result, mut base, mut left) = (Self::ONE, self, exponent);
        while left > 0 {
            if left & 1 == 1 {
                result = result.times(base);
            }
            base = base.times(base);
            left >>= 1;
        }
        result
    }

    /// A root of a whole number. Which of the two it is does not matter, as long as it is always the same for the same number, and the
    /// roots of products are made of those of their factors.
    pub(super) fn root(number: u64) -> Self {
        let number = number % PRIME;
        let root = power(number, PRIME.div_ceil(4));
        match product(root, root) == number {
            true => Self { re: root, im: 0 },
            // −`number` has this root.
            false => Self { re: 0, im: root },
        }
    }

    /// Both numbers, to tell elements apart.
    pub(super) fn parts(self) -> (u64, u64) {
        (self.re, self.im)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_and_inverses_are_what_they_are_called() {
        for number in [2_u64, 3, 5, 7, 11, 47, 1_000_003, PRIME - 2] {
            let root = Element::root(number);
            assert_eq!(root.times(root), Element::integer(number), "{number}");
            let mixed = root.plus(Element::I);
            assert_eq!(mixed.times(mixed.inverse().unwrap()), Element::ONE);
            assert_eq!(mixed.power(3), mixed.times(mixed).times(mixed));
        }
        assert_eq!(
            (Element::integer(0).inverse(), Element::I.power(2)),
            (None, Element::ONE.negative())
        );
        assert_eq!(Element::of_digits("2305843009213693952"), Element::ONE);
    }
}
