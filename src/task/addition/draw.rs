//! Drawing different sums, evenly over the combinations of digits.

use std::collections::HashSet;

use super::Problem;
use super::params::Digits;
use crate::seed::Stream;

/// How many different sums the combinations of `digits` have, in their order; `a + b` and `b + a` count as one.
pub(super) fn capacities(digits: &Digits) -> Vec<u128> {
    let combinations = digits.combinations();
    let capacity = |&(a, b): &(u32, u32)| {
        let sums = numbers(a) * numbers(b);
        match a == b {
            true => (sums + numbers(a)) / 2,
            // Both orders share the sums between them.
            false if combinations.contains(&(b, a)) => {
                if a > b {
                    sums - sums / 2
                } else {
                    sums / 2
                }
            }
            false => sums,
        }
    };
    combinations.iter().map(capacity).collect()
}

/// How many numbers of `digits` digits there are; 0 is none of them.
fn numbers(digits: u32) -> u128 {
    9 * 10u128.pow(digits - 1)
}

/// Shares `count` out as evenly as the capacities allow: those that run out leave the rest to the others.
///
/// With the paper's 4,855 problems of 1–3 digits this gives 45, 810 and four times 1,000, as published.
fn shares(count: u64, capacities: &[u128]) -> Vec<u64> {
    let mut shares = vec![0; capacities.len()];
    let mut rest = count;
    loop {
        let open = |share: &u64, capacity: &u128| u128::from(*share) < *capacity;
        let mut with_room: Vec<(&mut u64, &u128)> = shares
            .iter_mut()
            .zip(capacities)
            .filter(|(share, capacity)| open(share, capacity))
            .collect();
        if rest == 0 || with_room.is_empty() {
            return shares;
        }
        let even = (rest / with_room.len() as u64).max(1);
        for (share, capacity) in &mut with_room {
            let more = u128::from(even.min(rest)).min(**capacity - u128::from(**share)) as u64;
            **share += more;
            rest -= more;
        }
    }
}

/// `count` different sums in random order, evenly over the combinations of `digits`.
///
/// There must be as many (see [`capacities`]).
pub(super) fn problems(digits: &Digits, count: u64, stream: &mut Stream) -> Vec<Problem> {
    let mut seen = HashSet::new();
    let mut drawn = Vec::new();
    for ((digits_a, digits_b), share) in digits.combinations().into_iter().zip(shares(count, &capacities(digits))) {
        let mut index = 0;
        while index < share {
            let (a, b) = (number(digits_a, stream), number(digits_b, stream));
            if seen.insert((a.max(b), a.min(b))) {
                let id = format!("{digits_a}_{digits_b}/{index}");
                drawn.push(Problem { id, a, b });
                index += 1;
            }
        }
    }
    stream.shuffle(&mut drawn);
    drawn
}

/// A number of `digits` digits, all equally likely.
fn number(digits: u32, stream: &mut Stream) -> u64 {
    let least = 10u64.pow(digits - 1);
    least + stream.below(9 * least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::addition::params::Params;
    use proptest::prelude::*;

    #[test]
    fn the_papers_pool_is_shared_out_as_published() {
        let capacities = capacities(&Params::default().digits);
        // 1_1, 2_1, 2_2, 3_1, 3_2, 3_3
        assert_eq!(capacities, [45, 810, 4_095, 8_100, 81_000, 405_450]);
        assert_eq!(shares(4_855, &capacities), [45, 810, 1_000, 1_000, 1_000, 1_000]);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_are_even(count in 0u64..5_000, capacities in prop::collection::vec(0u128..2_000, 1..8)) {
            let total = capacities.iter().sum::<u128>() as u64;
            let shares = shares(count.min(total), &capacities);
            prop_assert_eq!(shares.iter().sum::<u64>(), count.min(total));
            let open: Vec<u64> = shares.iter().zip(&capacities).filter(|(s, c)| u128::from(**s) < **c).map(|(s, _)| *s).collect();
            let largest = *shares.iter().max().unwrap();
            prop_assert!(open.iter().all(|share| share + 1 >= largest), "{shares:?} of {capacities:?}");
        }

        #[test]
        fn every_sum_can_be_drawn(seed: u64, a in 1u32..3, b in 1u32..3, longer_first: bool) {
            let digits = Digits { a: [1, a], b: [1, b], longer_first };
            let all: u128 = capacities(&digits).iter().sum();
            let drawn = problems(&digits, all as u64, &mut Stream::new(seed, "test"));
            prop_assert_eq!(drawn.len() as u128, all);
            let ids: HashSet<_> = drawn.iter().map(|problem| &problem.id).collect();
            prop_assert_eq!(ids.len(), drawn.len());
            prop_assert!(!longer_first || drawn.iter().all(|problem| problem.a.ilog10() >= problem.b.ilog10()));
        }
    }
}
