//! Draws different problems, evenly over groups of different size, and refuses to draw more than exist.

use std::collections::HashSet;
use std::hash::Hash;

use lab::config::ParamError;
use learn::seed::Stream;

/// Why a pool is not valid; the message reads after the name of its param.
#[derive(Debug, thiserror::Error)]
pub(super) enum PoolError {
    #[error("{given} must be the least and the most {unit}, from {least} to {most}")]
    Range {
        given: String,
        unit: &'static str,
        least: u32,
        most: u32,
    },
    #[error("the first operand is always the shorter one, and `longer_first` leaves such sums out")]
    ShorterFirst,
}

/// Checks that a range given for a param, or for its field `name`, is one, and lies within the allowed one.
pub(super) fn check_range(name: Option<&str>, [least, most]: [u32; 2], unit: &'static str, allowed: [u32; 2]) -> Result<(), PoolError> {
    if allowed[0] <= least && least <= most && most <= allowed[1] {
        return Ok(());
    }
    let range = format!("[{least}, {most}]");
    Err(PoolError::Range {
        given: name.map_or_else(|| range.clone(), |name| format!("`{name} = {range}`")),
        unit,
        least: allowed[0],
        most: allowed[1],
    })
}

/// The problems that a split may be drawn from.
pub(super) trait Pool {
    type Group: ProblemGroup;

    /// The quantity to raise for more problems: `digits`.
    const MORE: &'static str;
    /// Added to the message about too many problems: which problems count as one.
    const REMARK: &'static str = "";

    /// Checks the values of its param.
    fn check(&self) -> Result<(), PoolError>;

    /// Groups of problems, in ascending order; they get equal shares while they last.
    fn groups(&self) -> Vec<Self::Group>;

    /// Whether the pools share a problem.
    fn overlaps(&self, other: &Self) -> bool;
}

/// Problems of one length.
pub(super) trait ProblemGroup {
    type Problem;
    /// Equal for equal problems only.
    type Identity: Eq + Hash;

    /// The start of the ids: `2_1/`.
    fn prefix(&self) -> String;

    /// Number of different problems.
    fn capacity(&self) -> u128;

    /// A random problem.
    fn draw(&self, stream: &mut Stream) -> Self::Problem;

    fn identity(problem: &Self::Problem) -> Self::Identity;
}

/// A problem with its id.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NamedProblem<P> {
    pub id: String,
    pub problem: P,
}

/// Number of problems of each split.
#[derive(Clone, Copy, Debug)]
pub(super) struct SplitSizes {
    pub train: u64,
    pub development: u64,
    pub in_domain: u64,
    pub ood_easy: u64,
    pub ood_hard: u64,
}

/// The splits that a task's params ask for, and the pools they come from, each with its param's name.
pub(super) struct Demand<P> {
    pub sizes: SplitSizes,
    /// Of `train`, `development` and `in_domain`.
    pub pool: (&'static str, P),
    pub easy: (&'static str, P),
    pub hard: (&'static str, P),
}

/// The problems of each split.
pub(super) struct DrawnSplits<P> {
    pub train: Vec<NamedProblem<P>>,
    pub development: Vec<NamedProblem<P>>,
    pub in_domain: Vec<NamedProblem<P>>,
    pub ood_easy: Vec<NamedProblem<P>>,
    pub ood_hard: Vec<NamedProblem<P>>,
}

impl SplitSizes {
    /// Number of problems from the distribution of the training problems.
    fn in_distribution(&self) -> u64 {
        self.train.saturating_add(self.development).saturating_add(self.in_domain)
    }
}

impl<P: Pool> Demand<P> {
    /// Whether all that is asked for exists, and no problem could be in two splits.
    pub(super) fn check(&self) -> Result<(), ParamError> {
        let wrong = |path: &str, message: String| Err(ParamError::new(path, message));
        let asked = [
            ("train", &self.pool, self.sizes.in_distribution()),
            ("ood_easy", &self.easy, self.sizes.ood_easy),
            ("ood_hard", &self.hard, self.sizes.ood_hard),
        ];
        for (place, (split, (name, pool), count)) in asked.iter().enumerate() {
            pool.check().or_else(|error| wrong(name, error.to_string()))?;
            let exist: u128 = pool.groups().iter().map(ProblemGroup::capacity).sum();
            if u128::from(*count) > exist {
                return wrong(split, too_many::<P>(split, name, *count, exist));
            }
            let mut before = asked.iter().take(place).filter(|(_, _, earlier)| *count > 0 && *earlier > 0);
            if let Some((_, (other, _), _)) = before.find(|(_, (_, earlier), _)| pool.overlaps(earlier)) {
                return wrong(
                    name,
                    format!("some problems belong to `{other}` as well, and splits may not overlap"),
                );
            }
        }
        Ok(())
    }

    /// Draws all splits for `task`. [`Self::check`] must have passed.
    pub(super) fn draw(&self, task: &str, seed: u64) -> DrawnSplits<<P::Group as ProblemGroup>::Problem> {
        let draw = |(_, pool): &(_, P), count, label: &str| problems(pool, count, &mut Stream::new(seed, &format!("{task} {label}")));
        let mut drawn = draw(&self.pool, self.sizes.in_distribution(), "problems");
        let mut split = |count: u64| drawn.split_off(drawn.len() - count as usize);
        DrawnSplits {
            development: split(self.sizes.development),
            in_domain: split(self.sizes.in_domain),
            train: split(self.sizes.train),
            ood_easy: draw(&self.easy, self.sizes.ood_easy, "ood_easy"),
            ood_hard: draw(&self.hard, self.sizes.ood_hard, "ood_hard"),
        }
    }
}

fn too_many<P: Pool>(split: &str, name: &str, count: u64, exist: u128) -> String {
    let what = match split {
        "train" => "`train`, `development` and `in_domain` ask together",
        _ => "the split asks",
    };
    let (remark, more) = (P::REMARK, P::MORE);
    format!("{what} for {count} problems, and `{name}` allows {exist} different ones{remark}; ask for fewer, or allow more {more}")
}

/// `count` different problems in random order, evenly over the groups. That many must exist.
pub(super) fn problems<P: Pool>(pool: &P, count: u64, stream: &mut Stream) -> Vec<NamedProblem<<P::Group as ProblemGroup>::Problem>> {
    let groups = pool.groups();
    let capacities: Vec<u128> = groups.iter().map(ProblemGroup::capacity).collect();
    let mut seen = HashSet::new();
    let mut drawn = Vec::new();
    for (group, share) in groups.iter().zip(shares(count, &capacities)) {
        let mut index = 0;
        while index < share {
            let problem = group.draw(stream);
            if seen.insert(P::Group::identity(&problem)) {
                let id = format!("{}{index}", group.prefix());
                drawn.push(NamedProblem { id, problem });
                index += 1;
            }
        }
    }
    stream.shuffle(&mut drawn);
    drawn
}

/// Divides `count` as evenly as the capacities allow: the rest of exhausted groups goes to the others.
///
/// With the paper's 4,855 sums of 1–3 digits this gives 45, 810 and four times 1,000, as published.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_papers_pools_are_shared_out_as_published() {
        // Sums of 1_1, 2_1, 2_2, 3_1, 3_2 and 3_3 digits.
        let sums = shares(4_855, &[45, 810, 4_095, 8_100, 81_000, 405_450]);
        assert_eq!(sums, [45, 810, 1_000, 1_000, 1_000, 1_000]);
        // Walks of 1 to 10 actions: the published ids end at 11, 35, 107, 323 and six times 599.
        let walks: Vec<u128> = (1..=10).map(|length| 4 * 3u128.pow(length)).collect();
        assert_eq!(shares(4_080, &walks), [12, 36, 108, 324, 600, 600, 600, 600, 600, 600]);
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
    }
}
