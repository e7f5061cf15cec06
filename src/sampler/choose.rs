//! The choice of a token.

use candle_core::{Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling as Rule};

use super::{SampleError, Sampling};
use crate::seed::Stream;

/// Chooses the tokens of one response.
pub(super) enum Chooser {
    /// The likeliest.
    Greedy,
    /// Drawn, from a random stream of the response's own.
    Drawn(Box<LogitsProcessor>),
}

impl Chooser {
    /// For the response to the request called `stream`.
    pub(super) fn new(sampling: &Sampling, stream: &str) -> Self {
        let temperature = sampling.temperature;
        if temperature <= 0.0 {
            return Self::Greedy;
        }
        let rule = match (sampling.top_k, sampling.top_p) {
            (None, None) => Rule::All { temperature },
            (Some(k), None) => Rule::TopK { k, temperature },
            (None, Some(p)) => Rule::TopP { p, temperature },
            (Some(k), Some(p)) => Rule::TopKThenTopP { k, p, temperature },
        };
        let seed = Stream::new(sampling.seed, &format!("sample/{stream}")).bits();
        Self::Drawn(Box::new(LogitsProcessor::from_sampling(seed, rule)))
    }

    /// The next token. logits: [vocabulary]
    pub(super) fn choose(&mut self, logits: &[f32], stream: &str) -> Result<u32, SampleError> {
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(SampleError::NotANumber { stream: stream.to_owned() });
        }
        match self {
            Self::Greedy => Ok(likeliest(logits)),
            Self::Drawn(processor) => Tensor::new(logits, &Device::Cpu)
                .and_then(|logits| processor.sample(&logits))
                .map_err(|error| SampleError::Draw {
                    stream: stream.to_owned(),
                    error,
                }),
        }
    }
}

/// The number of the largest logit; of equal ones, the lowest.
fn likeliest(logits: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &logit) in (0..).zip(logits) {
        if logit > best.1 {
            best = (token, logit);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 2.0, 1.0, 2.0, -3.0];

    fn draw(sampling: &Sampling, stream: &str) -> Vec<u32> {
        let mut chooser = Chooser::new(sampling, stream);
        (0..200).map(|_| chooser.choose(&LOGITS, stream).unwrap()).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_the_likeliest() {
        assert!(draw(&Sampling::default(), "a").iter().all(|&token| token == 1));
    }

    #[test]
    fn draws_follow_the_seed_and_the_stream() {
        let warm = Sampling {
            temperature: 1.0,
            ..Sampling::default()
        };
        let other = Sampling { seed: 1, ..warm.clone() };
        assert_eq!(draw(&warm, "a"), draw(&warm, "a"));
        assert_ne!(draw(&warm, "a"), draw(&warm, "b"));
        assert_ne!(draw(&warm, "a"), draw(&other, "a"));
        // softmax(LOGITS) gives tokens 1 and 3 about 0.39 each, and token 2 about 0.14.
        let count = |token| draw(&warm, "a").iter().filter(|&&drawn| drawn == token).count();
        assert!(
            (50..110).contains(&count(1)) && (10..50).contains(&count(2)),
            "{} {}",
            count(1),
            count(2)
        );
    }

    #[test]
    fn top_k_and_top_p_leave_the_likeliest() {
        let warm = |top_k, top_p| Sampling {
            temperature: 1.0,
            top_k,
            top_p,
            ..Sampling::default()
        };
        for sampling in [warm(Some(2), None), warm(None, Some(0.7)), warm(Some(3), Some(0.7))] {
            assert!(draw(&sampling, "a").iter().all(|token| [1, 3].contains(token)), "{sampling:?}");
        }
    }

    #[test]
    fn logits_that_are_no_numbers_are_an_error() {
        let mut chooser = Chooser::new(&Sampling::default(), "2_2/7");
        let error = chooser.choose(&[0.0, f32::NAN], "2_2/7").unwrap_err();
        insta::assert_snapshot!(error, @"the model's logits for `2_2/7` are not numbers; its weights are damaged or its training diverged");
    }
}
