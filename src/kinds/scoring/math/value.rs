//! The value of an expression: exact, at a few fixed points.
//!
//! Letters are numbers of a large prime field, drawn once. Equal expressions are equal at every point; two different ones are at all of
//! them with a probability below 10⁻⁴⁰ for expressions of usual size. Roots of whole numbers are roots in the field; any other
//! function is a value drawn for its name and argument, so that it is equal to itself alone.

use super::field::Element;
use crate::scoring::ratio::Ratio;
use learn::seed::Stream;

const POINTS: usize = 3;
/// The largest exponent that is multiplied out.
const MAX_EXPONENT: i128 = 1_000_000;
/// The largest exponent with which a fraction stays known as one.
const MAX_EXACT_EXPONENT: u32 = 64;
/// The largest divisor that is tried when a root is simplified.
const MAX_DIVISOR: u64 = 100_000;

/// A value at each point; and as a fraction, where it is one and fits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    points: [Element; POINTS],
    exact: Option<Ratio>,
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.points == other.points
    }
}

impl Value {
    pub(super) fn integer(number: u64) -> Self {
        Self {
            points: [Element::integer(number); POINTS],
            exact: Some(Ratio::integer(i128::from(number))),
        }
    }

    pub(super) const IMAGINARY: Self = Self {
        points: [Element::I; POINTS],
        exact: None,
    };

    /// A decimal: `12`, `0.5`, `.5`.
    pub(super) fn decimal(text: &str) -> Option<Self> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{decimals}");
        let places = decimals.len() as u64;
        let under = Element::integer(10).power(places).inverse()?;
        let exact = digits.parse().ok().zip(10_i128.checked_pow(u32::try_from(places).ok()?));
        Some(Self {
            points: [Element::of_digits(&digits).times(under); POINTS],
            exact: exact.and_then(|(over, under)| Ratio::new(over, under)),
        })
    }

    /// A variable, or a constant that is no fraction.
    pub(super) fn letter(name: &str) -> Self {
        let mut stream = Stream::new(0, &format!("math letter {name}"));
        Self {
            points: [(); POINTS].map(|()| Element::integer(1 + stream.below((1 << 61) - 2))),
            exact: None,
        }
    }

    fn of_ratio(ratio: Ratio) -> Option<Self> {
        let under = Element::of_digits(&ratio.under().to_string()).inverse()?;
        let over = Element::of_digits(&ratio.over().unsigned_abs().to_string());
        let over = if ratio.over() < 0 { over.negative() } else { over };
        Some(Self {
            points: [over.times(under); POINTS],
            exact: Some(ratio),
        })
    }

    pub(super) fn exact(&self) -> Option<Ratio> {
        self.exact
    }

    fn each(self, other: Self, exact: Option<Ratio>, combine: impl Fn(Element, Element) -> Element) -> Self {
        let mut others = other.points.into_iter();
        let points = self.points.map(|point| others.next().map_or(point, |other| combine(point, other)));
        Self { points, exact }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        let exact = self.exact.zip(other.exact).and_then(|(a, b)| a.plus(b));
        self.each(other, exact, Element::plus)
    }

    pub(super) fn negative(self) -> Self {
        Self {
            points: self.points.map(Element::negative),
            exact: self.exact.map(Ratio::negative),
        }
    }

    pub(super) fn times(self, other: Self) -> Self {
        let exact = self.exact.zip(other.exact).and_then(|(a, b)| a.times(b));
        self.each(other, exact, Element::times)
    }

    /// `None` for zero.
    pub(super) fn inverse(self) -> Option<Self> {
        let inverses: Vec<Element> = self.points.iter().filter_map(|point| point.inverse()).collect();
        Some(Self {
            points: inverses.try_into().ok()?,
            exact: self.exact.and_then(Ratio::inverse),
        })
    }

    /// A whole exponent is multiplied out, a half is a root; any other one is a function. `None` for a division by zero.
    pub(super) fn power(self, exponent: Self) -> Option<Self> {
        let function = || Some(Self::function("power", &[self, exponent]));
        let Some(ratio) = exponent.exact else { return function() };
        match (ratio.whole(), ratio.under()) {
            (Some(whole), _) if whole.abs() <= MAX_EXPONENT => self.whole_power(whole),
            (None, 2) if ratio.over().abs() <= MAX_EXPONENT => self.root()?.whole_power(ratio.over()),
            _ => function(),
        }
    }

    fn whole_power(self, exponent: i128) -> Option<Self> {
        let size = exponent.unsigned_abs() as u64;
        let mut exact = Some(Ratio::ONE).filter(|_| size <= u64::from(MAX_EXACT_EXPONENT));
        for _ in 0..size.min(u64::from(MAX_EXACT_EXPONENT)) {
            exact = exact.zip(self.exact).and_then(|(power, base)| power.times(base));
        }
        let raised = Self {
            points: self.points.map(|point| point.power(size)),
            exact,
        };
        if exponent < 0 { raised.inverse() } else { Some(raised) }
    }

    /// The square root. Of a fraction, it is simplified: √8 is 2·√2.
    pub(super) fn root(self) -> Option<Self> {
        let function = || Some(Self::function("root", &[self]));
        let Some(ratio) = self.exact else { return function() };
        // √(a/b) = √(a·b) / b
        let Some(number) = ratio.over().unsigned_abs().checked_mul(ratio.under().unsigned_abs()) else {
            return function();
        };
        let Ok(number) = u64::try_from(number) else { return function() };
        let Some((outside, inside)) = simplified(number) else {
            return function();
        };
        let rational = Self::of_ratio(Ratio::new(i128::from(outside), ratio.under())?)?;
        let points = [inside
            .iter()
            .fold(Element::ONE, |product, factor| product.times(Element::root(*factor))); POINTS];
        let exact = inside.is_empty().then_some(Ratio::ONE);
        let root = rational.times(Self { points, exact });
        Some(if ratio.over() < 0 { root.times(Self::IMAGINARY) } else { root })
    }

    /// A function that is known by its name and arguments alone.
    pub(super) fn function(name: &str, arguments: &[Self]) -> Self {
        let mut place = 0;
        let points = [(); POINTS].map(|()| {
            let parts: Vec<_> = arguments
                .iter()
                .filter_map(|argument| argument.points.get(place).map(|point| point.parts()))
                .collect();
            place += 1;
            Element::integer(1 + Stream::new(0, &format!("math function {name} {parts:?}")).below((1 << 61) - 2))
        });
        Self { points, exact: None }
    }

    /// Whether one is a multiple of the other by a number that is not zero.
    pub(super) fn is_multiple_of(self, other: Self) -> bool {
        let Some(factor) = other.inverse().map(|inverse| self.times(inverse)) else {
            return self == other;
        };
        let [first, others @ ..] = factor.points;
        first != Element::integer(0) && others.iter().all(|point| *point == first)
    }
}

/// `number` as a square and different primes: `outside`² · the product of the others. `None` where a part is too large to be taken apart.
fn simplified(number: u64) -> Option<(u64, Vec<u64>)> {
    let (mut left, mut outside, mut inside) = (number, 1_u64, Vec::new());
    if number == 0 {
        return Some((0, Vec::new()));
    }
    let mut divisor = 2;
    while divisor <= MAX_DIVISOR && divisor * divisor <= left {
        while left.is_multiple_of(divisor * divisor) {
            left /= divisor * divisor;
            outside *= divisor;
        }
        if left.is_multiple_of(divisor) {
            left /= divisor;
            inside.push(divisor);
        }
        divisor += 1;
    }
    let root = left.isqrt();
    if root * root == left {
        outside *= root;
    } else if left > MAX_DIVISOR * MAX_DIVISOR {
        return None;
    } else if left > 1 {
        inside.push(left);
    }
    Some((outside, inside))
}
