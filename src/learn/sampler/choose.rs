//! Choosing a token from the logits.

use std::cmp::Ordering;

use super::{SampleError, Sampling};
use crate::seed::Stream;

/// The number of candidates that `top_p` sorts first. It grows by a factor of four until their probabilities suffice.
const FIRST_CANDIDATES: usize = 64;

/// Chooses the tokens of one response.
pub(super) enum TokenChooser {
    /// The likeliest token.
    Greedy,
    /// A token drawn from the response's own random stream, with one random number per token.
    Drawn(Box<Stream>),
}

/// A token that can be drawn.
#[derive(Clone, Copy, Debug)]
struct TokenCandidate {
    token: u32,
    logit: f32,
    /// `e^((logit - largest) / temperature)`.
    weight: f64,
}

/// Working memory of a choice.
#[derive(Default)]
pub(super) struct TokenCandidates(Vec<TokenCandidate>);

impl TokenChooser {
    /// A chooser for the response to the request `stream`.
    pub(super) fn new(sampling: &Sampling, stream: &str) -> Self {
        if sampling.temperature <= 0.0 {
            Self::Greedy
        } else {
            Self::Drawn(Box::new(Stream::new(sampling.seed, &format!("sample/{stream}"))))
        }
    }

    /// The next token. logits: [vocabulary]
    pub(super) fn choose(
        &mut self,
        sampling: &Sampling,
        logits: &[f32],
        candidates: &mut TokenCandidates,
        stream: &str,
    ) -> Result<u32, SampleError> {
        let Some((best, largest)) = likeliest(logits) else {
            return Err(SampleError::NotANumber { stream: stream.to_owned() });
        };
        match self {
            Self::Greedy => Ok(best),
            Self::Drawn(random) => {
                candidates.fill(logits);
                if let Some(count) = sampling.top_k {
                    candidates.keep_likeliest(count);
                }
                candidates.weigh(largest, sampling.temperature);
                if let Some(share) = sampling.top_p {
                    candidates.keep_share(share);
                }
                Ok(candidates.at(random.uniform()).unwrap_or(best))
            }
        }
    }
}

impl TokenCandidates {
    fn fill(&mut self, logits: &[f32]) {
        self.0.clear();
        let candidates = (0..).zip(logits);
        self.0
            .extend(candidates.map(|(token, &logit)| TokenCandidate { token, logit, weight: 0.0 }));
    }

    fn weigh(&mut self, largest: f32, temperature: f64) {
        for candidate in &mut self.0 {
            candidate.weight = libm::exp((f64::from(candidate.logit) - f64::from(largest)) / temperature);
        }
    }

    /// Keeps the `count` likeliest, in order.
    fn keep_likeliest(&mut self, count: usize) {
        self.sort_likeliest(count);
        self.0.truncate(count);
    }

    /// Keeps the smallest set of the likeliest whose weights reach `share` of the total.
    fn keep_share(&mut self, share: f64) {
        let enough = share * self.total();
        let mut sorted = FIRST_CANDIDATES;
        loop {
            self.sort_likeliest(sorted);
            let mut sum = 0.0;
            let reached = self.0.iter().take(sorted).position(|candidate| {
                sum += candidate.weight;
                sum >= enough
            });
            if let Some(last) = reached {
                return self.0.truncate(last + 1);
            }
            if sorted >= self.0.len() {
                return;
            }
            sorted *= 4;
        }
    }

    /// Sorts the `count` likeliest to the front. The other tokens of a large vocabulary are not sorted.
    fn sort_likeliest(&mut self, count: usize) {
        if count > 0 && count < self.0.len() {
            self.0.select_nth_unstable_by(count - 1, TokenCandidate::order);
        }
        let count = count.min(self.0.len());
        if let Some(front) = self.0.get_mut(..count) {
            front.sort_unstable_by(TokenCandidate::order);
        }
    }

    fn total(&self) -> f64 {
        self.0.iter().map(|candidate| candidate.weight).sum()
    }

    /// The candidate at `point` of the cumulative weights, where `point` is in `[0, 1)`.
    fn at(&self, point: f64) -> Option<u32> {
        let (point, mut sum) = (point * self.total(), 0.0);
        let hit = self.0.iter().find(|candidate| {
            sum += candidate.weight;
            sum > point
        });
        hit.or(self.0.last()).map(|candidate| candidate.token)
    }
}

impl TokenCandidate {
    /// The likelier first; the lower token of equally likely ones.
    fn order(&self, other: &Self) -> Ordering {
        other.logit.total_cmp(&self.logit).then(self.token.cmp(&other.token))
    }
}

/// The largest logit and its token (the lowest of equal ones); `None` if a logit is not finite.
fn likeliest(logits: &[f32]) -> Option<(u32, f32)> {
    // Whole lanes, so that the compiler uses vectors. The product of 0 with a number that is not finite is NaN.
    let mut lanes = [(f32::NEG_INFINITY, 0.0); 16];
    for block in logits.chunks(16) {
        for ((largest, check), logit) in lanes.iter_mut().zip(block) {
            *largest = if *logit > *largest { *logit } else { *largest };
            *check += logit * 0.0;
        }
    }
    let (largest, check) = lanes
        .iter()
        .fold((f32::NEG_INFINITY, 0.0), |(largest, sum), lane| (lane.0.max(largest), sum + lane.1));
    let token = logits.iter().position(|logit| *logit == largest)?;
    (check == 0.0).then_some((token as u32, largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 2.0, 1.0, 2.0, -3.0];

    fn warm(temperature: f64, top_k: Option<usize>, top_p: Option<f64>) -> Sampling {
        Sampling {
            temperature,
            top_k,
            top_p,
            ..Sampling::default()
        }
    }

    fn draw(sampling: &Sampling, stream: &str, logits: &[f32], count: usize) -> Vec<u32> {
        let (mut chooser, mut candidates) = (TokenChooser::new(sampling, stream), TokenCandidates::default());
        let mut choose = |_| chooser.choose(sampling, logits, &mut candidates, stream).unwrap();
        (0..count).map(&mut choose).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_the_likeliest() {
        assert_eq!(draw(&Sampling::default(), "a", &LOGITS, 3), [1, 1, 1]);
        for (length, at) in [(16, 15), (17, 16), (200, 33), (1, 0)] {
            let mut logits = vec![-1.0; length];
            logits[at..].fill(0.5);
            assert_eq!(draw(&Sampling::default(), "a", &logits, 1), [at as u32]);
        }
    }

    #[test]
    fn draws_follow_the_seed_and_the_stream() {
        let sampling = warm(1.0, None, None);
        let other = Sampling {
            seed: 1,
            ..sampling.clone()
        };
        let drawn = |sampling, stream| draw(sampling, stream, &LOGITS, 100);
        assert_eq!(drawn(&sampling, "a"), drawn(&sampling, "a"));
        assert_ne!(drawn(&sampling, "a"), drawn(&sampling, "b"));
        assert_ne!(drawn(&sampling, "a"), drawn(&other, "a"));
    }

    /// Drawn tokens may never change without a new version of the kinds that draw. The numbers are those of a program in Python that
    /// has BLAKE3 from its package and ChaCha12 of its own.
    #[test]
    fn draws_are_pinned() {
        let logits: Vec<f32> = (0..50).map(|token| ((token * 37 % 50) as f32) / 10.0).collect();
        for (sampling, expected) in [
            (warm(1.0, None, None), [9, 27, 35, 12, 48, 31, 16, 27]),
            (warm(0.5, Some(9), None), [4, 31, 35, 4, 43, 8, 4, 31]),
            (warm(1.0, None, Some(0.8)), [31, 12, 20, 31, 32, 39, 8, 12]),
            (warm(2.0, Some(20), Some(0.5)), [4, 8, 12, 31, 16, 35, 31, 8]),
        ] {
            assert_eq!(draw(&sampling, "2_2/7 1 0", &logits, 8), expected, "{sampling:?}");
        }
    }

    /// The distribution, written for reading: a full sort, and probabilities that sum to one at each step.
    fn probabilities(sampling: &Sampling, logits: &[f32]) -> Vec<f64> {
        let largest = f64::from(logits.iter().copied().fold(f32::MIN, f32::max));
        let softmax = |kept: &[(usize, f64)]| {
            let kept: Vec<_> = kept.iter().map(|(token, logit)| (*token, logit - largest)).collect();
            let sum: f64 = kept.iter().map(|(_, logit)| (logit / sampling.temperature).exp()).sum();
            kept.iter()
                .map(|(token, logit)| (*token, (logit / sampling.temperature).exp() / sum))
                .collect::<Vec<_>>()
        };
        let mut kept: Vec<(usize, f64)> = logits.iter().map(|logit| f64::from(*logit)).enumerate().collect();
        kept.sort_by(|a, b| b.1.total_cmp(&a.1));
        kept.truncate(sampling.top_k.unwrap_or(kept.len()));
        let mut sum = 0.0;
        let before = |(_, probability): &(usize, f64)| {
            sum += probability;
            sum - probability
        };
        let reached = |before: f64| sampling.top_p.is_none_or(|share| before < share);
        let count = softmax(&kept).iter().map(before).take_while(|before| reached(*before)).count();
        let mut probabilities = vec![0.0; logits.len()];
        softmax(&kept[..count])
            .into_iter()
            .for_each(|(token, probability)| probabilities[token] = probability);
        probabilities
    }

    #[test]
    fn draws_have_the_probabilities_of_the_truncated_softmax() {
        let mut stream = Stream::new(7, "logits");
        // More tokens than `top_p` looks at first, with equal ones among them.
        let logits: Vec<f32> = (0..300).map(|_| (4.0 * stream.normal()).round() as f32 / 4.0).collect();
        for sampling in [
            warm(1.0, None, None),
            warm(0.7, Some(5), None),
            warm(1.0, Some(1000), None),
            warm(1.0, None, Some(0.6)),
            warm(3.0, None, Some(0.9)),
            warm(3.0, None, Some(1.0)),
            warm(1.5, Some(40), Some(0.5)),
            warm(1.0, Some(1), Some(0.01)),
            warm(1e-300, None, None),
        ] {
            let expected = probabilities(&warm(sampling.temperature.max(1e-3), sampling.top_k, sampling.top_p), &logits);
            let count = 20_000;
            let mut counts = vec![0.0; logits.len()];
            draw(&sampling, "a", &logits, count)
                .into_iter()
                .for_each(|token| counts[token as usize] += 1.0);
            for (token, (found, probability)) in counts.iter().zip(expected).enumerate() {
                let (mean, deviation) = (
                    count as f64 * probability,
                    (count as f64 * probability * (1.0 - probability)).sqrt(),
                );
                assert!(
                    (found - mean).abs() <= 5.0 * deviation + 1e-9,
                    "{sampling:?}: {token} drawn {found} times, not {mean}"
                );
            }
        }
    }

    #[test]
    fn of_equally_likely_tokens_the_lower_is_kept() {
        let drawn = draw(&warm(1.0, Some(1), None), "a", &LOGITS, 50);
        assert_eq!(drawn, [1; 50]);
        // Tokens 1 and 3 have about 0.39 each.
        assert_eq!(draw(&warm(1.0, None, Some(0.3)), "a", &LOGITS, 50), [1; 50]);
        let drawn = draw(&warm(1.0, None, Some(0.7)), "a", &LOGITS, 50);
        assert!(drawn.contains(&3) && drawn.iter().all(|token| [1, 3].contains(token)), "{drawn:?}");
    }

    #[test]
    fn logits_that_are_no_numbers_are_an_error() {
        for logits in [[0.0, f32::NAN], [f32::INFINITY, 0.0], [0.0, f32::NEG_INFINITY]] {
            let mut chooser = TokenChooser::new(&Sampling::default(), "2_2/7");
            let error = chooser
                .choose(&Sampling::default(), &logits, &mut TokenCandidates::default(), "2_2/7")
                .unwrap_err();
            insta::allow_duplicates! {
                insta::assert_snapshot!(error, @"the model's logits for `2_2/7` are not finite; its weights are damaged or its training diverged");
            }
        }
    }
}
