//! Scores of given tokens against the reference in f64, and the same bits however the work is cut.

use super::{cases, reference};
use crate::engine::cpu::decode_pass::SCORED_ROWS;
use crate::engine::cpu::decoder::CpuDecoder;
use crate::engine::cpu::kernel::element::{Bf16Pair, Element};
use crate::engine::{Batch, DecodingEngine, Feed, ScoredFeed, Target, TokenScore};
use crate::model::{ModelShape, Weights};
use crate::seed::Stream;

/// Sequences side by side, and for each the tokens to score.
struct Case {
    shape: ModelShape,
    weights: Weights,
    batch: Batch,
    /// By sequence, with places in it.
    targets: Vec<Vec<Target>>,
}

impl Case {
    /// Some places have no target and some several; some sequences have none at all.
    fn new(seed: u64, sequences: usize, longest: usize) -> Self {
        let mut stream = Stream::new(seed, "scores");
        let shape = cases::shape(&mut stream);
        let weights = cases::weights(&mut stream, &shape);
        let batch = cases::batch(&mut stream, &shape, sequences, longest);
        let mut targets = Vec::new();
        for length in &batch.lengths {
            let first = stream.below(*length as u64 + 1) as usize;
            let mut draw = |after: usize| {
                let count = stream.below(4) as usize;
                let targets = (0..count).map(|_| Target {
                    after,
                    token: stream.below(shape.vocabulary as u64) as u32,
                });
                targets.collect::<Vec<_>>()
            };
            targets.push((first..*length).flat_map(&mut draw).collect());
        }
        Self {
            shape,
            weights,
            batch,
            targets,
        }
    }

    /// All scores by sequence, from pieces of at most `piece` tokens.
    fn score<T: Element>(&self, mut decoder: CpuDecoder<T>, piece: usize) -> Vec<Vec<TokenScore>> {
        let mut scores = vec![Vec::new(); self.targets.len()];
        let longest = self.batch.lengths.iter().copied().max().unwrap();
        for start in (0..longest).step_by(piece) {
            let (mut first, mut fed, mut asked) = (0, Vec::new(), Vec::new());
            for (slot, length) in self.batch.lengths.iter().enumerate() {
                if start < *length {
                    let end = (*length).min(start + piece);
                    let targets = self.targets[slot].iter().filter(|target| (start..end).contains(&target.after));
                    let targets = targets.map(|target| Target {
                        after: target.after - start,
                        ..*target
                    });
                    asked.push(targets.collect::<Vec<_>>());
                    fed.push((slot, first + start..first + end));
                }
                first += length;
            }
            let feeds: Vec<ScoredFeed<'_>> = fed
                .iter()
                .zip(&asked)
                .map(|((slot, range), targets)| ScoredFeed {
                    feed: Feed {
                        start,
                        ..self.batch.feed(*slot, 0, range.clone())
                    },
                    targets,
                })
                .collect();
            let mut found = decoder.score(&feeds).unwrap().into_iter();
            for ((slot, _), targets) in fed.iter().zip(&asked) {
                scores[*slot].extend(found.by_ref().take(targets.len()));
            }
            assert!(found.next().is_none());
        }
        scores
    }
}

#[test]
fn scores_are_the_softmax_of_the_reference() {
    for seed in 0..6 {
        let case = Case::new(seed, 7, 40);
        let decoder = CpuDecoder::<f32>::new(&case.shape, &case.weights, 7, 2).unwrap();
        let logits = reference::logits(&case.shape, &reference::exact(&case.weights), &case.batch);
        let (mut first, mut likeliest) = (0, 0);
        for ((scores, targets), length) in case.score(decoder, 9).iter().zip(&case.targets).zip(&case.batch.lengths) {
            assert_eq!(scores.len(), targets.len());
            for (score, target) in scores.iter().zip(targets) {
                let row = &logits[first + target.after];
                let logit = row[target.token as usize];
                let expected = logit - row.iter().map(|x| x.exp()).sum::<f64>().ln();
                assert!(
                    (score.log_probability - expected).abs() < 3e-4 * expected.abs().max(1.0),
                    "{seed}: {score:?}, not {expected}"
                );
                assert_eq!(score.is_likeliest, row.iter().all(|other| *other <= logit));
                likeliest += usize::from(score.is_likeliest);
            }
            first += length;
        }
        assert!(likeliest > 0);
    }
}

#[test]
fn scores_do_not_depend_on_the_cuts_the_others_or_the_threads() {
    fn check<T: Element>(case: &Case) {
        let slots = case.targets.len();
        let alone = case.score(CpuDecoder::<T>::new(&case.shape, &case.weights, slots, 1).unwrap(), 1);
        for (piece, threads) in [(100, 1), (100, 4), (7, 2), (33, 3)] {
            for apart in [true, false] {
                let decoder = CpuDecoder::<T>::with_sharing(&case.shape, &case.weights, slots, threads, apart).unwrap();
                assert_eq!(case.score(decoder, piece), alone, "{piece} {threads} {apart}");
            }
        }
    }
    // More rows than are scored at a time.
    let case = Case::new(3, 9, 60);
    assert!(case.targets.iter().flatten().count() > 2 * SCORED_ROWS);
    check::<f32>(&case);
    check::<Bf16Pair>(&case);
}

#[test]
fn targets_without_a_place_are_refused() {
    let case = Case::new(1, 1, 40);
    let mut decoder = CpuDecoder::<f32>::new(&case.shape, &case.weights, 2, 1).unwrap();
    let mut error = |targets: &[(usize, u32)]| {
        let targets = targets.iter().map(|(after, token)| Target {
            after: *after,
            token: *token,
        });
        let feed = Feed {
            slot: 0,
            start: 0,
            tokens: &[1, 2, 3],
            lines: &[0, 0, 0][..if case.shape.lines > 0 { 3 } else { 0 }],
            places: &[0; 9][..if case.shape.places.is_some() { 9 } else { 0 }],
            columns: &[0, 0, 0][..if case.shape.columns > 0 { 3 } else { 0 }],
        };
        let targets = targets.collect::<Vec<_>>();
        decoder.score(&[ScoredFeed { feed, targets: &targets }]).unwrap_err().to_string()
    };
    insta::assert_snapshot!(error(&[(3, 1)]), @"place of a target 3 is out of range (known: 0 to 2)");
    insta::assert_snapshot!(error(&[(2, 1), (1, 1)]), @"place of a target 1 is out of range (known: 0 to 2)");
    let bound = case.shape.vocabulary as u32;
    assert!(error(&[(2, bound)]).starts_with(&format!("target {bound} is out of range")));
    assert_eq!(decoder.score(&[]).unwrap(), []);
}
