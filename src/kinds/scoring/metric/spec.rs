//! The fields of a metric, as they are written in an experiment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use lab::config::ParamError;

/// A metric; each has some of the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricSpec {
    pub metric: MetricName,
    /// The filters whose answers it judges; left out, all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// `exact_match`, `includes`, `pattern`: whether capitals do not matter. Left out, they do in `exact_match` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_case: Option<bool>,
    /// `exact_match`: leaves out the punctuation of ASCII.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_punctuation: bool,
    /// `exact_match`: leaves out digits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_numbers: bool,
    /// `exact_match`: leaves out what these regular expressions match, before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regexes_to_ignore: Option<Vec<String>>,
    /// `exact_match`: compares numbers as numbers, and other targets as texts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub numeric: bool,
    /// With `numeric`: the largest difference that is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// With `numeric`: the same as a share of the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relative_tolerance: Option<f64>,
    /// With `numeric`: `50%` is 0.5, and not 50.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub percent: bool,
    /// `pattern`: a regular expression, whose groups are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// `pattern`: all groups must be right, rather than any.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub match_all: bool,
    /// `f1`: the value from which an answer is right; left out, 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// How scores become one number. Only what the metric has by itself is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregation: Option<String>,
    /// Whether higher is better. Only what the metric has by itself is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub higher_is_better: Option<bool>,
}

/// The metrics that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MetricName {
    ExactMatch,
    Number,
    Includes,
    Pattern,
    F1,
    Math,
    Choice,
    Set,
    Acc,
    AccNorm,
    AccBytes,
    AccPerToken,
    AccMutualInfo,
    Perplexity,
    WordPerplexity,
    BytePerplexity,
    BitsPerByte,
}

impl MetricSpec {
    /// A metric without further fields.
    pub fn new(metric: MetricName) -> Self {
        Self {
            metric,
            filters: Vec::new(),
            ignore_case: None,
            ignore_punctuation: false,
            ignore_numbers: false,
            regexes_to_ignore: None,
            numeric: false,
            tolerance: None,
            relative_tolerance: None,
            percent: false,
            pattern: None,
            match_all: false,
            threshold: None,
            aggregation: None,
            higher_is_better: None,
        }
    }

    /// The name under which its scores are reported.
    pub fn name(&self) -> &'static str {
        match self.metric {
            MetricName::ExactMatch => "exact_match",
            MetricName::Number => "number",
            MetricName::Includes => "includes",
            MetricName::Pattern => "pattern",
            MetricName::F1 => "f1",
            MetricName::Math => "math",
            MetricName::Choice => "choice",
            MetricName::Set => "set",
            MetricName::Acc => "acc",
            MetricName::AccNorm => "acc_norm",
            MetricName::AccBytes => "acc_bytes",
            MetricName::AccPerToken => "acc_per_token",
            MetricName::AccMutualInfo => "acc_mutual_info",
            MetricName::Perplexity => "perplexity",
            MetricName::WordPerplexity => "word_perplexity",
            MetricName::BytePerplexity => "byte_perplexity",
            MetricName::BitsPerByte => "bits_per_byte",
        }
    }

    /// The aggregation that the metric has in the harness, and whether higher is better.
    fn aggregated(&self) -> (&'static str, bool) {
        match self.metric {
            MetricName::Perplexity => ("perplexity", false),
            MetricName::WordPerplexity | MetricName::BytePerplexity => ("weighted_perplexity", false),
            MetricName::BitsPerByte => ("bits_per_byte", false),
            _ => ("mean", true),
        }
    }

    fn known(&self) -> &'static [&'static str] {
        match self.metric {
            MetricName::ExactMatch => &[
                "ignore_case",
                "ignore_punctuation",
                "ignore_numbers",
                "regexes_to_ignore",
                "numeric",
                "tolerance",
                "relative_tolerance",
                "percent",
            ],
            MetricName::Includes => &["ignore_case"],
            MetricName::Pattern => &["pattern", "ignore_case", "match_all"],
            MetricName::F1 => &["threshold"],
            _ => &[],
        }
    }

    fn given(&self) -> Vec<&'static str> {
        let fields = [
            ("ignore_case", self.ignore_case.is_some()),
            ("ignore_punctuation", self.ignore_punctuation),
            ("ignore_numbers", self.ignore_numbers),
            ("regexes_to_ignore", self.regexes_to_ignore.is_some()),
            ("numeric", self.numeric),
            ("tolerance", self.tolerance.is_some()),
            ("relative_tolerance", self.relative_tolerance.is_some()),
            ("percent", self.percent),
            ("pattern", self.pattern.is_some()),
            ("match_all", self.match_all),
            ("threshold", self.threshold.is_some()),
        ];
        fields.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    /// Whether the fields are those of the metric, and in range.
    ///
    /// # Errors
    /// The first thing that is wrong, with the path to it.
    pub(super) fn check(&self) -> Result<(), ParamError> {
        let (name, known) = (self.name(), self.known());
        if let Some(other) = self.given().into_iter().find(|field| !known.contains(field)) {
            let message = match known {
                [] => format!("`{name}` has no `{other}`, and no other field"),
                known => format!("`{name}` has no `{other}` (known: {})", known.join(", ")),
            };
            return Err(ParamError::new(other, message));
        }
        let of_numbers = [
            ("tolerance", self.tolerance.is_some()),
            ("relative_tolerance", self.relative_tolerance.is_some()),
            ("percent", self.percent),
        ];
        if let Some((field, _)) = of_numbers.into_iter().find(|(_, given)| *given && !self.numeric) {
            return Err(ParamError::new(
                field,
                format!("`{field}` is for numbers: set `numeric = true` beside it"),
            ));
        }
        for (field, value) in [("tolerance", self.tolerance), ("relative_tolerance", self.relative_tolerance)] {
            if value.is_some_and(|value| !(value.is_finite() && value >= 0.0)) {
                return Err(ParamError::new(field, format!("`{field}` must be 0 or more")));
            }
        }
        if self.threshold.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
            return Err(ParamError::new("threshold", "`threshold` must be above 0 and at most 1"));
        }
        if self.metric == MetricName::Pattern && self.pattern.is_none() {
            return Err(ParamError::whole("`pattern` needs a field `pattern`, a regular expression"));
        }
        self.check_aggregation()
    }

    fn check_aggregation(&self) -> Result<(), ParamError> {
        let (aggregation, higher) = self.aggregated();
        let name = self.name();
        if let Some(other) = self.aggregation.as_ref().filter(|other| *other != aggregation) {
            let message = match (self.metric, other.as_str()) {
                (MetricName::F1, "f1") => {
                    "the F1 of classes over a whole data set is not known: `f1` compares the words of each answer, and its aggregation is `mean`"
                        .to_owned()
                }
                _ => format!("the aggregation of `{name}` is `{aggregation}`; `{other}` is not known for it"),
            };
            return Err(ParamError::new("aggregation", message));
        }
        if self.higher_is_better.is_some_and(|other| other != higher) {
            let message = format!("`{name}` is better when it is {}", if higher { "higher" } else { "lower" });
            return Err(ParamError::new("higher_is_better", message));
        }
        Ok(())
    }
}
