//! Drawing different sums, evenly over the combinations of digits.

use super::Sum;
use super::params::{Digits, MOST_DIGITS};
use crate::task::pool::{Pool, PoolError, ProblemGroup, check_range};
use learn::seed::Stream;

/// The sums of a combination of digits.
pub(super) struct Sums {
    /// Digits of the first operand.
    a: u32,
    /// Digits of the second operand.
    b: u32,
    capacity: u128,
}

impl Pool for Digits {
    type Group = Sums;

    const MORE: &'static str = "digits";
    const REMARK: &'static str = " (a + b and b + a are one)";

    fn check(&self) -> Result<(), PoolError> {
        check_range(Some("a"), self.a, "digits", [1, MOST_DIGITS])?;
        check_range(Some("b"), self.b, "digits", [1, MOST_DIGITS])?;
        if self.combinations().is_empty() {
            return Err(PoolError::ShorterFirst);
        }
        Ok(())
    }

    fn groups(&self) -> Vec<Sums> {
        let combinations = self.combinations();
        let sums = |&(a, b): &(u32, u32)| Sums {
            a,
            b,
            capacity: capacity((a, b), combinations.contains(&(b, a))),
        };
        combinations.iter().map(sums).collect()
    }

    fn overlaps(&self, other: &Self) -> bool {
        let others = other.combinations();
        self.combinations()
            .iter()
            .any(|&(a, b)| others.contains(&(a, b)) || others.contains(&(b, a)))
    }
}

impl ProblemGroup for Sums {
    type Problem = Sum;
    type Identity = (u64, u64);

    fn prefix(&self) -> String {
        format!("{}_{}/", self.a, self.b)
    }

    fn capacity(&self) -> u128 {
        self.capacity
    }

    fn draw(&self, stream: &mut Stream) -> Sum {
        let a = number(self.a, stream);
        Sum::new(a, number(self.b, stream))
    }

    fn identity(&Sum { a, b, .. }: &Sum) -> (u64, u64) {
        (a.max(b), a.min(b))
    }
}

/// The number of different sums of `a` and `b` digits; `a + b` and `b + a` count as one. `both`: whether the other order is drawn
/// as well.
fn capacity((a, b): (u32, u32), both: bool) -> u128 {
    let sums = numbers(a) * numbers(b);
    if a == b {
        return (sums + numbers(a)) / 2;
    }
    // Both orders share the sums between them.
    match (both, a > b) {
        (false, _) => sums,
        (true, true) => sums - sums / 2,
        (true, false) => sums / 2,
    }
}

/// The number of numbers with `digits` digits, without 0.
fn numbers(digits: u32) -> u128 {
    9 * 10u128.pow(digits - 1)
}

/// A number of `digits` digits, all equally likely.
fn number(digits: u32, stream: &mut Stream) -> u64 {
    let least = 10u64.pow(digits - 1);
    least + stream.below(9 * least)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::task::addition::params::AdditionParams;
    use crate::task::pool;
    use proptest::prelude::*;

    #[test]
    fn the_papers_combinations_have_so_many_sums() {
        let groups = AdditionParams::default().digits.groups();
        let capacities: Vec<_> = groups.iter().map(|group| (group.prefix(), group.capacity)).collect();
        let known = [
            ("1_1/", 45),
            ("2_1/", 810),
            ("2_2/", 4_095),
            ("3_1/", 8_100),
            ("3_2/", 81_000),
            ("3_3/", 405_450),
        ];
        assert_eq!(capacities, known.map(|(prefix, capacity)| (prefix.to_owned(), capacity)));
    }

    proptest! {
        #[test]
        fn every_sum_can_be_drawn(seed: u64, a in 1u32..3, b in 1u32..3, longer_first: bool) {
            let digits = Digits { a: [1, a], b: [1, b], longer_first };
            let all: u128 = digits.groups().iter().map(ProblemGroup::capacity).sum();
            let drawn = pool::problems(&digits, all as u64, &mut Stream::new(seed, "test"));
            prop_assert_eq!(drawn.len() as u128, all);
            let ids: HashSet<_> = drawn.iter().map(|named| &named.id).collect();
            prop_assert_eq!(ids.len(), drawn.len());
            prop_assert!(!longer_first || drawn.iter().all(|named| named.problem.a.ilog10() >= named.problem.b.ilog10()));
        }
    }
}
