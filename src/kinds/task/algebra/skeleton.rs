//! The properties of an equation that decide its number of steps, and the number of equations that share them.

use learn::seed::Stream;

/// The sign before a symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Plus,
    Minus,
    Times,
    Over,
}

/// Equations with the same positions of ↔ and ❤, and the same form of ❤'s term.
#[derive(Clone, Copy, Debug)]
pub(super) struct Skeleton {
    /// Number of symbols.
    symbols: usize,
    /// How many of them are on the left.
    pub left: usize,
    /// Which of them is ❤.
    pub place: usize,
    /// How many factors ❤'s term has before ❤, and after it.
    factors: (usize, usize),
    /// Whether ❤'s term has a minus.
    negative: bool,
    /// How many of the free gaps on ❤'s side (those that do not touch its term) have a plus or a minus.
    sums: usize,
}

/// All skeletons with this number of symbols.
pub(super) fn all(symbols: usize) -> Vec<Skeleton> {
    let mut all = Vec::new();
    for left in 1..=symbols {
        for place in 0..symbols {
            let (before, after) = around(symbols, left, place);
            for factors in (0..=before).flat_map(|i| (0..=after).map(move |j| (i, j))) {
                for negative in [false, true] {
                    let skeleton = |sums| Skeleton {
                        symbols,
                        left,
                        place,
                        factors,
                        negative,
                        sums,
                    };
                    let free = skeleton(0).free();
                    all.extend((0..=free).map(skeleton).filter(Skeleton::is_allowed));
                }
            }
        }
    }
    all
}

/// The number of symbols before ❤ on its side, and after it.
fn around(symbols: usize, left: usize, place: usize) -> (usize, usize) {
    if place < left {
        (place, left - 1 - place)
    } else {
        (place - left, symbols - 1 - place)
    }
}

impl Skeleton {
    fn is_left(&self) -> bool {
        self.place < self.left
    }

    /// The number of symbols on ❤'s side before its term, and after it.
    fn outside(&self) -> (usize, usize) {
        let (before, after) = around(self.symbols, self.left, self.place);
        (before - self.factors.0, after - self.factors.1)
    }

    /// How many gaps on ❤'s side do not touch its term.
    fn free(&self) -> usize {
        let (before, after) = self.outside();
        before.saturating_sub(1) + after.saturating_sub(1)
    }

    /// How many other terms are on ❤'s side.
    fn terms(&self) -> usize {
        let (before, after) = self.outside();
        before.min(1) + after.min(1) + self.sums
    }

    fn is_allowed(&self) -> bool {
        // The right side begins without a minus.
        let has_sign = self.is_left() || self.outside().0 > 0 || !self.negative;
        let is_zero_term = self.left == self.symbols && self.terms() == 0;
        has_sign && !is_zero_term && self.steps() > 0
    }

    /// The steps of the full solution: a swap, a move for each other term, a minus, the factors.
    pub(super) fn steps(&self) -> u32 {
        let swap = usize::from(!self.is_left());
        let (before, after) = self.factors;
        (swap + self.terms() + usize::from(self.negative) + before + after) as u32
    }

    /// The number of equations, not counting the orders of the letters.
    pub(super) fn ways(&self) -> u128 {
        let (before, after) = self.outside();
        let free = self.free();
        let mut ways = 1u128 << (self.factors.0 + self.factors.1 + free);
        ways *= choose(free as u128, self.sums as u128);
        // The gap before ❤'s term has the term's sign, the one after it any of two.
        ways <<= usize::from(after > 0);
        // The minus before the first symbol is free where it is not that of ❤'s term.
        ways <<= usize::from(!self.is_left() || before > 0);
        let others = if self.is_left() { self.symbols - self.left } else { self.left };
        ways << (2 * others.saturating_sub(1))
    }

    /// How likely it is, times a number that depends on the number of symbols alone.
    pub(super) fn likelihood(&self) -> u128 {
        // One of five in each gap up to ↔, one of four behind it.
        let gaps = self.symbols as u32 - 1;
        let before = (self.left as u32).min(gaps);
        self.ways() * 4u128.pow(before) * 5u128.pow(gaps - before)
    }

    /// Signs before each symbol of an equation with this skeleton, all equations equally likely.
    pub(super) fn fill(&self, stream: &mut Stream) -> Vec<Sign> {
        let free = self.free();
        let mut is_sum: Vec<bool> = (0..free).map(|gap| gap < self.sums).collect();
        stream.shuffle(&mut is_sum);
        let mut is_sum = is_sum.into_iter();
        let (first, last) = (self.place - self.factors.0, self.place + self.factors.1);
        let sign = |place: usize| {
            let is_start = place == 0 || place == self.left;
            let is_other_side = (place < self.left) != self.is_left();
            if place == first {
                return if self.negative { Sign::Minus } else { Sign::Plus };
            }
            if is_start {
                return if place == 0 { plus_or_minus(stream) } else { Sign::Plus };
            }
            if is_other_side {
                return if stream.below(2) == 0 {
                    plus_or_minus(stream)
                } else {
                    times_or_over(stream)
                };
            }
            match place {
                _ if first < place && place <= last => times_or_over(stream),
                _ if place == last + 1 => plus_or_minus(stream),
                _ if is_sum.next().unwrap_or_default() => plus_or_minus(stream),
                _ => times_or_over(stream),
            }
        };
        (0..self.symbols).map(sign).collect()
    }
}

fn plus_or_minus(stream: &mut Stream) -> Sign {
    if stream.below(2) == 0 { Sign::Plus } else { Sign::Minus }
}

fn times_or_over(stream: &mut Stream) -> Sign {
    if stream.below(2) == 0 { Sign::Times } else { Sign::Over }
}

/// How many ways there are to choose `few` of `many`.
pub(super) fn choose(many: u128, few: u128) -> u128 {
    (0..few).fold(1, |ways, taken| ways * (many - taken) / (taken + 1))
}
