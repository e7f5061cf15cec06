//! `sample = { n = 20, seed = 0 }` in `[matrix]`: some of the combinations, chosen by their hashes.
//!
//! The hash of a combination depends on nothing but its values, so a larger `n` keeps the combinations of a smaller one, and a further
//! value on an axis leaves those that are there in their order. Seeds are no part of a combination: each is taken with all of them.

use serde_json::json;

use super::axis::{Axis, Coordinates, SEED};
use super::exclusions::Exclusions;
use super::{ConfigTable, ConfigValue, Diagnostic};
use crate::hash::Digest;

/// The most combinations to choose from.
pub(super) const MAX_COMBINATIONS: u128 = 1_000_000;

const HELP: &str = "write `sample = { n = 20, seed = 0 }`";

/// How many combinations are chosen, and which of the possible choices it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MatrixSample {
    pub n: usize,
    seed: u64,
}

impl MatrixSample {
    /// Reads the table.
    pub(super) fn read(table: &ConfigValue, fields: &ConfigTable) -> Result<Self, Diagnostic> {
        if let Some((key, value)) = fields.iter().find(|(key, _)| !["n", "seed"].contains(&key.as_str())) {
            let message = format!("`sample` has no field `{key}` (known: n, seed)");
            return Err(Diagnostic::new(message).at(value.key_at()).help(HELP));
        }
        let number = |key: &str, least: u64| match fields.get(key) {
            None => Ok(None),
            Some(value) => match value.as_integer().and_then(|number| u64::try_from(number).ok()) {
                Some(number) if number >= least => Ok(Some(number)),
                _ => {
                    let message = format!("`{key}` of `sample` must be a whole number from {least}, not {}", value.describe());
                    Err(Diagnostic::new(message).at(value.at()).help(HELP))
                }
            },
        };
        let Some(n) = number("n", 1)? else {
            let message = "`sample` does not say how many combinations it takes: `n` is missing";
            return Err(Diagnostic::new(message).at(table.at()).help(HELP));
        };
        Ok(Self {
            n: usize::try_from(n).unwrap_or(usize::MAX),
            seed: number("seed", 0)?.unwrap_or_default(),
        })
    }

    /// The points of the chosen combinations with all seeds, the first axis of the file changing slowest, and how many combinations there
    /// are to choose from. Excluded combinations are not chosen.
    pub(super) fn choose(self, axes: &[Axis<'_>], exclusions: &mut Exclusions<'_>) -> (Vec<Coordinates>, usize) {
        let (seeds, others): (Vec<usize>, Vec<usize>) = (0..axes.len()).partition(|axis| axes[*axis].0 == SEED);
        let count: usize = others.iter().map(|axis| axes[*axis].1.len()).product();
        let places = |number: usize| places(axes, &others, number);
        let mut ranked: Vec<(Digest, usize)> = (0..count).map(|number| (self.rank(axes, &places(number)), number)).collect();
        ranked.sort_unstable();
        let mut chosen: Vec<(Vec<usize>, Coordinates)> = Vec::new();
        let mut taken = 0;
        for (_, number) in ranked {
            if taken == self.n {
                break;
            }
            let before = chosen.len();
            for place in with_seeds(axes, &seeds, &places(number)) {
                let point = point(axes, &place);
                if !exclusions.exclude(&point) {
                    chosen.push((place, point));
                }
            }
            taken += usize::from(chosen.len() > before);
        }
        chosen.sort_by(|(one, _), (other, _)| one.cmp(other));
        (chosen.into_iter().map(|(_, point)| point).collect(), count)
    }

    /// The hash that orders the combinations.
    fn rank(self, axes: &[Axis<'_>], place: &[usize]) -> Digest {
        let values = axes.iter().zip(place).filter(|((name, _), _)| *name != SEED);
        let values: Coordinates = values
            .map(|((name, values), at)| ((*name).to_owned(), values[*at].clone()))
            .collect();
        let values: Vec<(&String, String)> = values.iter().map(|(axis, value)| (axis, value.plain_text())).collect();
        Digest::of(json!([self.seed, values]).to_string().as_bytes())
    }
}

/// The places of a combination's values on their axes; 0 on those that are not among `others`.
fn places(axes: &[Axis<'_>], others: &[usize], mut number: usize) -> Vec<usize> {
    let mut place = vec![0; axes.len()];
    for axis in others.iter().rev() {
        let length = axes[*axis].1.len();
        place[*axis] = number % length;
        number /= length;
    }
    place
}

/// The places of a combination with each of the seeds.
fn with_seeds(axes: &[Axis<'_>], seeds: &[usize], place: &[usize]) -> Vec<Vec<usize>> {
    seeds.iter().fold(vec![place.to_vec()], |places, axis| {
        let each = |place: Vec<usize>| {
            (0..axes[*axis].1.len()).map(move |at| {
                let mut place = place.clone();
                place[*axis] = at;
                place
            })
        };
        places.into_iter().flat_map(each).collect()
    })
}

fn point(axes: &[Axis<'_>], place: &[usize]) -> Coordinates {
    let values = axes.iter().zip(place);
    values
        .map(|((name, values), at)| ((*name).to_owned(), values[*at].clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(count: i64) -> Vec<ConfigValue> {
        (0..count).map(ConfigValue::from).collect()
    }

    fn chosen(n: usize, seed: u64, widths: i64, excluded: &[ConfigTable]) -> Vec<String> {
        let (widths, seeds, depths) = (values(widths), values(2), values(7));
        let axes: [Axis<'_>; 3] = [("width", &widths), ("seed", &seeds), ("depth", &depths)];
        let (points, count) = MatrixSample { n, seed }.choose(&axes, &mut Exclusions::new(excluded));
        assert_eq!(count, widths.len() * 7);
        let text = |point: &Coordinates| {
            point
                .iter()
                .map(|(axis, value)| format!("{axis}={}", value.plain_text()))
                .collect::<Vec<_>>()
        };
        points.iter().map(|point| text(point).join(" ")).collect()
    }

    #[test]
    fn more_combinations_keep_the_first_ones() {
        let (few, more) = (chosen(3, 0, 9, &[]), chosen(10, 0, 9, &[]));
        assert_eq!((few.len(), more.len()), (6, 20), "each with both seeds");
        assert!(few.iter().all(|point| more.contains(point)), "{few:?} {more:?}");
        assert_ne!(few, chosen(3, 1, 9, &[]), "another seed chooses others");
        assert_eq!(chosen(1000, 0, 9, &[]).len(), 9 * 7 * 2);
    }

    #[test]
    fn the_order_is_that_of_the_whole_matrix() {
        let all = chosen(1000, 0, 9, &[]);
        let some = chosen(10, 0, 9, &[]);
        let places: Vec<_> = some
            .iter()
            .map(|point| all.iter().position(|other| other == point).unwrap())
            .collect();
        assert!(places.is_sorted(), "{places:?}");
    }

    #[test]
    fn a_further_value_leaves_the_order_of_the_others() {
        let before = chosen(20, 0, 9, &[]);
        let after = chosen(20, 0, 10, &[]);
        let new = after.iter().filter(|point| !before.contains(point)).collect::<Vec<_>>();
        assert!(new.iter().all(|point| point.ends_with("width=9")), "{new:?}");
    }

    #[test]
    fn excluded_combinations_are_not_chosen_and_others_are_in_their_place() {
        let excluded = [ConfigTable::from([("width".to_owned(), ConfigValue::from(3i64))])];
        let found = chosen(50, 0, 9, &excluded);
        assert_eq!(found.len(), 100, "50 of the 56 that are left, with two seeds each");
        assert!(found.iter().all(|point| !point.ends_with("width=3")));
    }
}
