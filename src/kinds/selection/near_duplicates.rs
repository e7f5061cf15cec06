//! Texts that are nearly the same: MinHash (Broder, 1997) with banding finds candidates, and the exact Jaccard similarity of their sequences
//! of words decides.
//!
//! A text is the set of its word n-grams. Of each set, `num_perm` hash functions have a smallest value, which two sets share with a
//! probability of their similarity. The values are cut into bands of `rows` values; texts that are equal in a band are candidates. Texts of
//! similarity s become candidates with the probability 1 - (1 - s^rows)^bands.
//!
//! Memory, for each text: 8 bytes for each n-gram and for each band.

#[cfg(test)]
mod tests;

use super::words::mix;

/// Stands for no text.
const NONE: usize = usize::MAX;

/// The share of the pairs at the threshold that become candidates, at least.
const RECALL: f64 = 0.98;

/// The most texts that one is compared with, and the most entries of bands that are looked at for it: without a limit, time would grow with
/// the square of the number of texts that share much and yet too little.
const MAX_COMPARED: usize = 300;
const MAX_VISITS: usize = 20 * MAX_COMPARED;

/// The seed of the hash functions: fixed, so that equal data give equal results.
const SEED: u64 = 0x6d69_6e68_6173_6801;

/// How the smallest values are cut into bands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banding {
    pub bands: usize,
    /// Values in a band.
    pub rows: usize,
}

/// A text is similar to an earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similar {
    /// The place of the earlier one.
    pub to: usize,
    /// Their Jaccard similarity, in `[0, 1]`.
    pub similarity: f64,
}

/// What was found.
#[derive(Debug, PartialEq)]
pub struct FoundSimilar {
    /// For each text, an earlier one that is similar to it and not itself dropped.
    pub similar: Vec<Option<Similar>>,
    /// The number of texts for which [`MAX_COMPARED`] was too little.
    pub limited: usize,
}

impl Banding {
    /// The longest bands that find [`RECALL`] of the pairs at `threshold`: long bands leave few candidates to compare.
    pub fn new(threshold: f64, num_perm: usize) -> Self {
        let of_length = |rows: usize| Self {
            bands: num_perm / rows,
            rows,
        };
        let lengths = (1..=num_perm).rev().map(of_length);
        let mut enough = lengths.filter(|banding| banding.recall(threshold) >= RECALL);
        enough.next().unwrap_or(of_length(1))
    }

    /// The probability that two texts of this similarity become candidates.
    pub fn recall(self, similarity: f64) -> f64 {
        1.0 - power(1.0 - power(similarity, self.rows), self.bands)
    }

    /// Whether pairs at the threshold are found.
    pub fn is_enough(self, threshold: f64) -> bool {
        self.recall(threshold) >= RECALL
    }
}

/// By multiplication: the last bit of `powi` differs between platforms.
fn power(base: f64, exponent: usize) -> f64 {
    (0..exponent).fold(1.0, |product, _| product * base)
}

/// Goes through the texts in order, and drops those that are similar to one that stays: whose Jaccard similarity is `threshold` or more.
/// `sets` has the n-grams of each text, sorted and each once; a text without any is similar to none. `pause` is called with the number of
/// texts done, and may end the search.
///
/// # Errors
/// Those of `pause`.
pub fn find<E>(sets: &[Vec<u64>], threshold: f64, num_perm: usize, pause: &dyn Fn(usize) -> Result<(), E>) -> Result<FoundSimilar, E> {
    let mut search = Search {
        sets,
        threshold,
        chains: chains(sets, Banding::new(threshold, num_perm), pause)?,
        found: FoundSimilar {
            similar: vec![None; sets.len()],
            limited: 0,
        },
        compared_with: vec![NONE; sets.len()],
    };
    for text in 0..sets.len() {
        pause(text)?;
        search.look_up(text);
    }
    Ok(search.found)
}

/// For each band and text, the last text before it that is equal in the band.
fn chains<E>(sets: &[Vec<u64>], banding: Banding, pause: &dyn Fn(usize) -> Result<(), E>) -> Result<Vec<Vec<usize>>, E> {
    let functions = hash_functions(banding.bands * banding.rows);
    let mut keys: Vec<Vec<u64>> = (0..banding.bands).map(|_| Vec::with_capacity(sets.len())).collect();
    let mut smallest = vec![u32::MAX; functions.len()];
    for (done, set) in sets.iter().enumerate() {
        pause(done)?;
        min_hash(set, &functions, &mut smallest);
        for (keys, band) in keys.iter_mut().zip(smallest.chunks_exact(banding.rows)) {
            keys.push(band.iter().fold(0, |key, value| mix(key ^ u64::from(*value))));
        }
    }
    let with_words: Vec<usize> = (0..sets.len()).filter(|text| !sets[*text].is_empty()).collect();
    Ok(keys.into_iter().map(|keys| chain(&keys, &with_words)).collect())
}

/// The last text before each that has the same key.
fn chain(keys: &[u64], texts: &[usize]) -> Vec<usize> {
    let mut order: Vec<usize> = texts.to_vec();
    order.sort_unstable_by_key(|text| (keys[*text], *text));
    let mut before = vec![NONE; keys.len()];
    for pair in order.windows(2) {
        if let [earlier, later] = pair
            && keys[*earlier] == keys[*later]
        {
            before[*later] = *earlier;
        }
    }
    before
}

/// Multipliers and summands: `(a·x + b) / 2^32` of 64 bits (multiply-shift; Dietzfelbinger, 1996).
fn hash_functions(count: usize) -> Vec<(u64, u64)> {
    let number = |place: usize| mix(SEED.wrapping_add(place as u64));
    (0..count).map(|place| (number(2 * place) | 1, number(2 * place + 1))).collect()
}

/// The smallest value of each function over the set.
fn min_hash(set: &[u64], functions: &[(u64, u64)], smallest: &mut [u32]) {
    smallest.fill(u32::MAX);
    for ngram in set {
        for (smallest, (multiplier, summand)) in smallest.iter_mut().zip(functions) {
            let value = (multiplier.wrapping_mul(*ngram).wrapping_add(*summand) >> 32) as u32;
            *smallest = value.min(*smallest);
        }
    }
}

struct Search<'a> {
    sets: &'a [Vec<u64>],
    threshold: f64,
    chains: Vec<Vec<usize>>,
    found: FoundSimilar,
    /// For each text, the last one that it was compared with.
    compared_with: Vec<usize>,
}

impl Search<'_> {
    /// Compares the text with the candidates before it, the nearest first.
    fn look_up(&mut self, text: usize) {
        let (mut compared, mut visits) = (0, 0);
        for chain in &mut self.chains {
            let (mut from, mut at) = (text, chain[text]);
            while at != NONE {
                visits += 1;
                if compared == MAX_COMPARED || visits == MAX_VISITS {
                    self.found.limited += 1;
                    return;
                }
                if self.found.similar[at].is_some() {
                    // What was dropped is passed over, now and later.
                    at = chain[at];
                    chain[from] = at;
                    continue;
                }
                if self.compared_with[at] != text {
                    self.compared_with[at] = text;
                    compared += 1;
                    if let Some(similarity) = similarity(&self.sets[text], &self.sets[at], self.threshold) {
                        self.found.similar[text] = Some(Similar { to: at, similarity });
                        return;
                    }
                }
                (from, at) = (at, chain[at]);
            }
        }
    }
}

/// The Jaccard similarity of two sorted sets, if it is `threshold` or more.
fn similarity(one: &[u64], other: &[u64], threshold: f64) -> Option<f64> {
    let both = one.len() + other.len();
    // Beyond so many that are in one set alone, the threshold is out of reach; one more than that, against rounding.
    let allowed = (both as f64 * (1.0 - threshold) / (1.0 + threshold)) as usize + 1;
    let (mut left, mut right) = (one.iter().peekable(), other.iter().peekable());
    let (mut shared, mut alone) = (0_u32, 0);
    while let (Some(one), Some(other)) = (left.peek(), right.peek()) {
        match one.cmp(other) {
            std::cmp::Ordering::Less => drop(left.next()),
            std::cmp::Ordering::Greater => drop(right.next()),
            std::cmp::Ordering::Equal => {
                left.next();
                right.next();
                shared += 1;
                continue;
            }
        }
        alone += 1;
        if alone > allowed {
            return None;
        }
    }
    let similarity = f64::from(shared) / (both as f64 - f64::from(shared));
    (similarity >= threshold).then_some(similarity)
}
