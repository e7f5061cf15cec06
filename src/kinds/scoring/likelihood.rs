//! Choices and texts judged by their log-likelihoods, as lm-evaluation-harness does (`lm_eval/api/task.py`, `process_results`;
//! `lm_eval/api/metrics.py`). All log-likelihoods are sums over tokens, of natural logarithms.

use super::python::is_space;

/// How the log-likelihoods of choices are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalisation {
    /// `acc`: as they are.
    Sum,
    /// `acc_norm`: for each character of the choice.
    PerCharacter,
    /// `acc_bytes`: for each byte of the choice in UTF-8.
    PerByte,
    /// `acc_per_token`: for each token of the choice; not in the harness.
    PerToken,
    /// `acc_mutual_info`: less the log-likelihood of the choice without the question.
    MutualInformation,
}

impl Normalisation {
    /// The normalisation of a metric's name.
    pub fn of_metric(name: &str) -> Option<Self> {
        match name {
            "acc" => Some(Self::Sum),
            "acc_norm" => Some(Self::PerCharacter),
            "acc_bytes" => Some(Self::PerByte),
            "acc_per_token" => Some(Self::PerToken),
            "acc_mutual_info" => Some(Self::MutualInformation),
            _ => None,
        }
    }
}

/// One choice and how likely a model finds it.
#[derive(Clone, Copy, Debug)]
pub struct ScoredChoice<'t> {
    /// The choice, without the delimiter before it.
    pub text: &'t str,
    /// After the question.
    pub log_likelihood: f64,
    /// Without the question; needed for the mutual information alone.
    pub unconditional: Option<f64>,
    /// The tokens of the choice.
    pub tokens: usize,
}

impl ScoredChoice<'_> {
    /// What is compared. A choice without characters is infinitely unlikely for each of them.
    fn value(&self, normalisation: Normalisation) -> f64 {
        let by = |length: usize| self.log_likelihood / length as f64;
        match normalisation {
            Normalisation::Sum => self.log_likelihood,
            Normalisation::PerCharacter => by(self.text.chars().count()),
            Normalisation::PerByte => by(self.text.len()),
            Normalisation::PerToken => by(self.tokens),
            Normalisation::MutualInformation => self.log_likelihood - self.unconditional.unwrap_or_default(),
        }
    }
}

/// The place of the choice that the model prefers, the first one of equals; `None` without choices.
pub fn preferred(choices: &[ScoredChoice<'_>], normalisation: Normalisation) -> Option<usize> {
    let values: Vec<f64> = choices.iter().map(|choice| choice.value(normalisation)).collect();
    argmax(&values)
}

/// Whether the preferred choice is one of those at `gold`.
pub fn is_right(choices: &[ScoredChoice<'_>], normalisation: Normalisation, gold: &[usize]) -> bool {
    preferred(choices, normalisation).is_some_and(|preferred| gold.contains(&preferred))
}

/// As numpy: the first of equal values, and the first that is not a number before all others.
fn argmax(values: &[f64]) -> Option<usize> {
    if let Some(place) = values.iter().position(|value| value.is_nan()) {
        return Some(place);
    }
    let places = 0..values.len();
    places.reduce(|best, place| if values.get(place) > values.get(best) { place } else { best })
}

/// The log-likelihood of a text and its size, over which perplexities are weighted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RollingText {
    pub log_likelihood: f64,
    /// Parts between white space, as Python's `re.split(r"\s+", text)` counts them: one more than there are gaps.
    pub words: u64,
    /// In UTF-8.
    pub bytes: u64,
}

impl RollingText {
    pub fn new(text: &str, log_likelihood: f64) -> Self {
        let (mut gaps, mut in_gap) = (0, false);
        for c in text.chars() {
            gaps += u64::from(is_space(c) && !in_gap);
            in_gap = is_space(c);
        }
        Self {
            log_likelihood,
            words: gaps + 1,
            bytes: text.len() as u64,
        }
    }
}

/// `perplexity` of targets: the exponential of the mean negative log-likelihood of a target. `None` over nothing.
pub fn perplexity(log_likelihoods: &[f64]) -> Option<f64> {
    let sum: f64 = log_likelihoods.iter().sum();
    (!log_likelihoods.is_empty()).then(|| (-sum / log_likelihoods.len() as f64).exp())
}

/// `word_perplexity`; `None` over nothing.
pub fn word_perplexity(texts: &[RollingText]) -> Option<f64> {
    weighted(texts, |text| text.words).map(|mean| (-mean).exp())
}

/// `byte_perplexity`; `None` over texts without bytes.
pub fn byte_perplexity(texts: &[RollingText]) -> Option<f64> {
    weighted(texts, |text| text.bytes).map(|mean| (-mean).exp())
}

/// `bits_per_byte`; `None` over texts without bytes.
pub fn bits_per_byte(texts: &[RollingText]) -> Option<f64> {
    weighted(texts, |text| text.bytes).map(|mean| -mean / std::f64::consts::LN_2)
}

/// The sum of the log-likelihoods over the sum of the sizes.
fn weighted(texts: &[RollingText], size: impl Fn(&RollingText) -> u64) -> Option<f64> {
    let sum: f64 = texts.iter().map(|text| text.log_likelihood).sum();
    let sizes: u64 = texts.iter().map(size).sum();
    (sizes > 0).then(|| sum / sizes as f64)
}
