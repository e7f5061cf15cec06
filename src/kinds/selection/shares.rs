//! Numbers that are divided in proportion, and rows that are chosen so.

use std::collections::HashMap;

/// Divides `count` in proportion to `sizes`, by largest remainders; of equal remainders, the first. No part is more than its size, if
/// `count` is not more than their sum.
pub fn apportion(sizes: &[usize], count: usize) -> Vec<usize> {
    let total: u128 = sizes.iter().map(|size| *size as u128).sum();
    if total == 0 {
        return vec![0; sizes.len()];
    }
    let product = |size: &usize| *size as u128 * count as u128;
    let mut parts: Vec<usize> = sizes.iter().map(|size| (product(size) / total) as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(product(&sizes[*place]) % total));
    let left = count - parts.iter().sum::<usize>();
    for place in order.into_iter().take(left) {
        parts[place] += 1;
    }
    parts
}

/// The number of each group, by the names of the groups: that of the first is 0, and so on.
pub fn groups<T: std::hash::Hash + Eq>(names: impl IntoIterator<Item = T>) -> Vec<usize> {
    let mut known: HashMap<T, usize> = HashMap::new();
    let number = |name| {
        let next = known.len();
        *known.entry(name).or_insert(next)
    };
    names.into_iter().map(number).collect()
}

/// Which of the rows are chosen: `count` of them, in proportion to the groups that they are in, and in each group the first in `order`.
/// `groups` has the group of each row.
pub fn choose(order: &[usize], groups: &[usize], count: usize) -> Vec<bool> {
    let number = groups.iter().max().map_or(0, |last| last + 1);
    let mut sizes = vec![0; number];
    for group in groups {
        sizes[*group] += 1;
    }
    let mut left = apportion(&sizes, count.min(groups.len()));
    take(order, groups, &mut left)
}

/// Which of the rows are chosen: in each group, the first `most` in `order`.
pub fn choose_of_each(order: &[usize], groups: &[usize], most: usize) -> Vec<bool> {
    let number = groups.iter().max().map_or(0, |last| last + 1);
    take(order, groups, &mut vec![most; number])
}

/// Takes rows in `order` as long as something is `left` of their group.
fn take(order: &[usize], groups: &[usize], left: &mut [usize]) -> Vec<bool> {
    let mut chosen = vec![false; groups.len()];
    for place in order {
        let left = &mut left[groups[*place]];
        if *left > 0 {
            *left -= 1;
            chosen[*place] = true;
        }
    }
    chosen
}

/// `share` of a number, rounded to the nearest whole number.
pub fn share_of(share: f64, number: usize) -> usize {
    (share * number as f64 + 0.5).floor() as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_divided_by_largest_remainders() {
        for (sizes, count, parts) in [
            (&[50, 30, 20][..], 10, &[5, 3, 2][..]),
            (&[1, 1, 1], 2, &[1, 1, 0]),
            (&[99, 1], 10, &[10, 0]),
            (&[7, 7, 6], 10, &[4, 3, 3]),
            (&[0, 4], 3, &[0, 3]),
            (&[], 0, &[]),
            (&[0, 0], 0, &[0, 0]),
        ] {
            assert_eq!(apportion(sizes, count), parts, "{sizes:?} {count}");
        }
    }

    #[test]
    fn rows_are_chosen_by_group() {
        let groups = groups(["a", "b", "a", "a", "b", "a"]);
        assert_eq!(groups, [0, 1, 0, 0, 1, 0]);
        let reversed = [5, 4, 3, 2, 1, 0];
        assert_eq!(choose(&reversed, &groups, 3), [false, false, false, true, true, true]);
        assert_eq!(choose_of_each(&reversed, &groups, 1), [false, false, false, false, true, true]);
        assert_eq!(choose(&reversed, &groups, 9), [true; 6]);
        assert_eq!(choose(&[], &[], 3), [false; 0]);
    }

    #[test]
    fn shares_are_rounded() {
        assert_eq!(
            [share_of(0.1, 25), share_of(0.1, 24), share_of(1.0, 7), share_of(0.5, 0)],
            [3, 2, 7, 0]
        );
    }

    proptest! {
        #[test]
        fn parts_are_whole_and_near_their_shares(sizes in proptest::collection::vec(0_usize..1000, 1..8), share in 0.0..=1.0_f64) {
            let total: usize = sizes.iter().sum();
            let count = (share * total as f64) as usize;
            let parts = apportion(&sizes, count);
            prop_assert_eq!(parts.iter().sum::<usize>(), count);
            for (part, size) in parts.iter().zip(&sizes) {
                prop_assert!(part <= size);
                prop_assert!((*part as f64 - count as f64 * *size as f64 / total.max(1) as f64).abs() < 1.0);
            }
        }
    }
}
