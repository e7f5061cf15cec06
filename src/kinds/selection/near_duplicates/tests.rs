//! MinHash with banding, against the exact similarity of all pairs.

use std::collections::HashSet;
use std::convert::Infallible;

use learn::seed::Stream;

use super::*;
use crate::selection::words::{ngrams, word_hashes};

const N: usize = 3;

/// 2,000 texts of 30 to 60 words: a third are new, the others earlier ones of which some words are changed.
fn texts() -> Vec<String> {
    let mut stream = Stream::new(7, "near duplicates");
    let mut texts: Vec<Vec<String>> = Vec::new();
    for place in 0..2_000 {
        let word = |stream: &mut Stream| format!("w{}", stream.below(500));
        if place % 3 == 0 {
            let length = 30 + stream.below(31);
            texts.push((0..length).map(|_| word(&mut stream)).collect());
        } else {
            let mut text = texts[stream.below(texts.len() as u64) as usize].clone();
            for _ in 0..stream.below(5) {
                let at = stream.below(text.len() as u64) as usize;
                text[at] = word(&mut stream);
            }
            texts.push(text);
        }
    }
    texts.into_iter().map(|text| text.join(" ")).collect()
}

fn sets(texts: &[String]) -> Vec<Vec<u64>> {
    texts.iter().map(|text| ngrams(&word_hashes(text), N)).collect()
}

fn found(sets: &[Vec<u64>], threshold: f64, num_perm: usize) -> FoundSimilar {
    find(sets, threshold, num_perm, &|_| Ok::<(), Infallible>(())).unwrap()
}

/// The exact similarity of two texts, by sets of their words themselves.
fn exact(one: &str, other: &str) -> f64 {
    let set = |text: &str| -> HashSet<Vec<String>> {
        let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        words.windows(N).map(<[String]>::to_vec).collect()
    };
    let (one, other) = (set(one), set(other));
    one.intersection(&other).count() as f64 / one.union(&other).count() as f64
}

#[test]
fn what_is_found_is_as_similar_as_the_exact_comparison_says() {
    let texts = texts();
    let (sets, threshold) = (sets(&texts), 0.7);
    let banding = Banding::new(threshold, 128);
    let found = found(&sets, threshold, 128);
    assert_eq!(found.limited, 0);
    // Precision: every text that was dropped is similar to one that stayed.
    for (text, similar) in found.similar.iter().enumerate() {
        let Some(similar) = similar else { continue };
        assert!(similar.to < text && found.similar[similar.to].is_none());
        let exact = exact(&texts[text], &texts[similar.to]);
        assert!(exact >= threshold && (exact - similar.similarity).abs() < 1e-12, "{text}: {exact}");
    }
    let dropped = found.similar.iter().flatten().count();
    assert!(dropped > 300, "{dropped}");
    // Recall over all pairs from 0.4 on, against the mean of their probabilities: with the bands that were chosen, and with some that
    // miss many.
    let few = Banding { bands: 4, rows: 8 };
    for (banding, from, expected_range) in [(banding, threshold, 0.99..=1.0), (few, 0.4, 0.1..=0.8)] {
        let (pairs, recall, expected) = recall(&sets, banding, from);
        println!("{banding:?}: {pairs} pairs, recall {recall:.4}, by the formula {expected:.4}");
        assert!(pairs > 1_000, "{pairs}");
        assert!(
            expected_range.contains(&expected) && (recall - expected).abs() < 0.03,
            "{recall} {expected}"
        );
    }
}

/// The pairs of this similarity or more, the share of them that are candidates, and the same by the formula.
fn recall(sets: &[Vec<u64>], banding: Banding, from: f64) -> (u32, f64, f64) {
    let keys: Vec<Vec<u64>> = sets.iter().map(|set| keys(set, banding)).collect();
    let (mut pairs, mut candidates, mut expected) = (0, 0, 0.0);
    for later in 0..sets.len() {
        for earlier in 0..later {
            if let Some(similarity) = similarity(&sets[later], &sets[earlier], from) {
                pairs += 1;
                expected += banding.recall(similarity);
                candidates += u32::from(keys[later].iter().zip(&keys[earlier]).any(|(one, other)| one == other));
            }
        }
    }
    (pairs, f64::from(candidates) / f64::from(pairs), expected / f64::from(pairs))
}

/// The keys of a set's bands.
fn keys(set: &[u64], banding: Banding) -> Vec<u64> {
    let functions = hash_functions(banding.bands * banding.rows);
    let mut smallest = vec![0; functions.len()];
    min_hash(set, &functions, &mut smallest);
    let bands = smallest.chunks_exact(banding.rows);
    bands
        .map(|band| band.iter().fold(0, |key, value| mix(key ^ u64::from(*value))))
        .collect()
}

/// The share of equal smallest values estimates the similarity without bias: its error over many pairs is that of 128 draws.
#[test]
fn smallest_values_are_shared_as_often_as_the_similarity_says() {
    let functions = hash_functions(128);
    let values = |set: &[u64]| {
        let mut smallest = vec![0; functions.len()];
        min_hash(set, &functions, &mut smallest);
        smallest
    };
    let mut stream = Stream::new(3, "sets");
    for shared in [10, 50, 90] {
        let (mut estimated, mut squares, pairs) = (0.0, 0.0, 200);
        let similarity = f64::from(shared) / f64::from(200 - shared);
        for _ in 0..pairs {
            let common: Vec<u64> = (0..shared).map(|_| stream.bits()).collect();
            let mut set = || -> Vec<u64> { common.iter().copied().chain((shared..100).map(|_| stream.bits())).collect() };
            let (one, other) = (values(&set()), values(&set()));
            let equal = one.iter().zip(&other).filter(|(one, other)| one == other).count() as f64 / 128.0;
            estimated += equal / f64::from(pairs);
            squares += (equal - similarity).powi(2) / f64::from(pairs);
        }
        let variance = similarity * (1.0 - similarity) / 128.0;
        assert!(
            (estimated - similarity).abs() < 4.0 * (variance / f64::from(pairs)).sqrt(),
            "{similarity}: {estimated}"
        );
        assert!(
            squares < 1.5 * variance && squares > variance / 1.5,
            "{similarity}: {squares} {variance}"
        );
    }
}

#[test]
fn bands_are_as_long_as_the_recall_allows() {
    for (threshold, bands, rows) in [(0.9, 11, 11), (0.7, 25, 5), (0.5, 42, 3), (1.0, 1, 128)] {
        assert_eq!(Banding::new(threshold, 128), Banding { bands, rows }, "{threshold}");
    }
    // Worked out by hand: 1 - (1 - 0.9^11)^11.
    assert!((Banding { bands: 11, rows: 11 }.recall(0.9) - 0.984_119).abs() < 1e-5);
    assert!(!Banding::new(0.2, 2).is_enough(0.2));
}

#[test]
fn the_similarity_is_that_of_sets() {
    for (one, other, threshold, expected) in [
        (&[1, 2, 3][..], &[1, 2, 3][..], 1.0, Some(1.0)),
        (&[1, 2, 3], &[2, 3, 4], 0.5, Some(0.5)),
        (&[1, 2, 3], &[2, 3, 4], 0.51, None),
        (&[1, 2], &[3, 4], 0.1, None),
        (&[1, 2, 3, 4, 5, 6, 7, 8, 9], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 0.9, Some(0.9)),
        (&[1], &[1, 2, 3, 4], 0.25, Some(0.25)),
    ] {
        assert_eq!(similarity(one, other, threshold), expected, "{one:?} {other:?}");
        assert_eq!(similarity(other, one, threshold), expected, "{other:?} {one:?}");
    }
}

#[test]
fn the_first_of_similar_texts_stays() {
    let texts: Vec<String> = ["a b c d e f", "", "a b c d e f", "x y z u v w", "", "a b c d e f"]
        .map(str::to_owned)
        .into();
    let similar = found(&sets(&texts), 0.9, 128).similar;
    let to: Vec<Option<usize>> = similar.iter().map(|similar| similar.map(|similar| similar.to)).collect();
    assert_eq!(
        to,
        [None, None, Some(0), None, None, Some(0)],
        "texts without words are similar to none"
    );
}

#[test]
fn the_number_of_comparisons_is_limited() {
    // Half of each set is the same for all: too little for the threshold, and enough for one value to be shared by many.
    let mut stream = Stream::new(1, "alike");
    let sets: Vec<Vec<u64>> = (0..3_000)
        .map(|_| {
            let mut set: Vec<u64> = (0..20).map(mix).chain((0..20).map(|_| stream.bits())).collect();
            set.sort_unstable();
            set
        })
        .collect();
    let found = found(&sets, 0.5, 16);
    assert!(found.limited > 0 && found.similar.iter().all(Option::is_none), "{}", found.limited);
}
