//! The scoring of given tokens: how likely each is after the tokens before it.

use super::Feed;

/// A feed, and the tokens whose probability after some of its tokens is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ScoredFeed<'a> {
    pub feed: Feed<'a>,
    /// In the order of their places.
    pub targets: &'a [Target],
}

/// A token that may come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The place, among those of the feed, of the token that it comes after. Several targets may have the same.
    pub after: usize,
    pub token: u32,
}

/// How likely a token is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TokenScore {
    /// The natural logarithm of its probability; NaN if a logit is not finite.
    pub log_probability: f64,
    /// Whether it is the likeliest token: the first of equally likely ones.
    pub is_likeliest: bool,
}

impl TokenScore {
    /// The score of `token` by its row of logits, whose largest is `largest`; `log_sum` is the logarithm of the sum of
    /// `e^(logit - largest)`.
    pub(super) fn new(logits: &[f32], token: u32, largest: f32, log_sum: f64) -> Self {
        let (before, rest) = logits.split_at_checked(token as usize).unwrap_or((logits, &[]));
        let logit = rest.first().copied().unwrap_or(f32::NAN);
        Self {
            log_probability: f64::from(logit) - f64::from(largest) - log_sum,
            is_likeliest: logit == largest && before.iter().all(|other| *other < largest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equally_likely_tokens_the_first_is_the_likeliest() {
        let logits = [1.0, 3.0, 0.0, 3.0];
        let score = |token| TokenScore::new(&logits, token, 3.0, 0.5);
        assert_eq!([0, 1, 2, 3].map(|token| score(token).is_likeliest), [false, true, false, false]);
        assert_eq!([0, 1].map(|token| score(token).log_probability), [-2.5, -0.5]);
        assert!(score(4).log_probability.is_nan() && !score(4).is_likeliest);
    }
}
