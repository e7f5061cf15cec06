//! `metric_list`: how answers are judged.

mod choice;
mod exact;
mod numeric;
mod spec;
#[cfg(test)]
mod tests;
mod words;

use self::exact::ExactMatch;
use self::numeric::NumberRule;
pub use self::spec::{MetricName, MetricSpec};
use super::gold::Gold;
use super::likelihood::Normalisation;
use super::pattern::{Pattern, escape};
use super::score::Score;
use super::{math, number};
use crate::task::Amount;
use lab::config::ParamError;

/// A metric that can be applied.
#[derive(Debug)]
pub enum Metric {
    /// Judges an answer against what is right.
    Answer(AnswerMetric),
    /// Compares the log-likelihoods of choices.
    Choices(Normalisation),
    /// Is computed from the log-likelihoods of all texts: `perplexity`, `word_perplexity`, `byte_perplexity`, `bits_per_byte`.
    Texts(&'static str),
}

/// Judges an answer against what is right.
#[derive(Debug)]
pub struct AnswerMetric(Rule);

#[derive(Debug)]
enum Rule {
    Exact(ExactMatch),
    Numeric(NumberRule, ExactMatch),
    Number,
    Includes {
        ignore_case: bool,
    },
    Pattern {
        pattern: Pattern,
        ignore_case: bool,
        match_all: bool,
    },
    F1 {
        threshold: f64,
    },
    Math,
    Choice,
    Set,
}

impl MetricSpec {
    /// Reads the patterns of the metric, and checks all of its fields.
    ///
    /// # Errors
    /// The first thing that is wrong, with the path to it.
    pub fn compile(&self) -> Result<Metric, ParamError> {
        self.check()?;
        if let Some(normalisation) = Normalisation::of_metric(self.name()) {
            return Ok(Metric::Choices(normalisation));
        }
        let exact = || ExactMatch::new(self);
        let rule = match self.metric {
            MetricName::ExactMatch if self.numeric => Rule::Numeric(NumberRule::new(self), exact()?),
            MetricName::ExactMatch => Rule::Exact(exact()?),
            MetricName::Number => Rule::Number,
            MetricName::Includes => Rule::Includes {
                ignore_case: self.ignore_case.unwrap_or(true),
            },
            MetricName::Pattern => Rule::Pattern {
                pattern: self.pattern()?,
                ignore_case: self.ignore_case.unwrap_or(true),
                match_all: self.match_all,
            },
            MetricName::F1 => Rule::F1 {
                threshold: self.threshold.unwrap_or(1.0),
            },
            MetricName::Math => Rule::Math,
            MetricName::Choice => Rule::Choice,
            MetricName::Set => Rule::Set,
            _ => return Ok(Metric::Texts(self.name())),
        };
        Ok(Metric::Answer(AnswerMetric(rule)))
    }
}

impl AnswerMetric {
    /// Judges an answer; `None` where the filter found none. Any of the right answers will do.
    pub fn score(&self, answer: Option<&str>, gold: &Gold) -> Score {
        let Some(answer) = answer else { return Score::NO_ANSWER };
        match &self.0 {
            Rule::Exact(rule) => Score::of(any(gold, |right| rule.is_right(answer, right)), answer),
            Rule::Numeric(rule, exact) => {
                let is_right = |right: &str| rule.is_right(answer, right).unwrap_or_else(|| exact.is_right(answer, right));
                Score::of(any(gold, is_right), answer)
            }
            Rule::Number => by_number(answer, gold),
            Rule::Includes { ignore_case } => Score::of(any(gold, |right| includes(answer, right, *ignore_case)), answer),
            Rule::Pattern {
                pattern,
                ignore_case,
                match_all,
            } => by_pattern(pattern, *ignore_case, *match_all, answer, gold),
            Rule::F1 { threshold } => {
                let value = gold.texts.iter().map(|right| words::f1(answer, right)).fold(0.0, f64::max);
                match answer.trim().is_empty() && value == 0.0 {
                    true => Score::NO_ANSWER,
                    false => Score::graded(value >= *threshold, value),
                }
            }
            Rule::Math => Score::of(any(gold, |right| math::is_right(answer, right)), answer),
            Rule::Choice => choice::score(answer, gold),
            Rule::Set => Score::of(any(gold, |right| words::is_same_set(answer, right)), answer),
        }
    }

    /// Why no answer to a question with these right answers could be judged, if so.
    ///
    /// # Errors
    /// When `number` has a target that is no number, or `choice` has no choices.
    pub fn check_gold(&self, gold: &Gold) -> Result<(), String> {
        match &self.0 {
            Rule::Number => match gold.texts.iter().find(|right| number::of_target(right).is_none()) {
                Some(other) => Err(format!("`number` needs a number as the target, and `{other}` is none")),
                None => Ok(()),
            },
            Rule::Choice if gold.choices.is_empty() => Err(
                "`choice` needs choices: give the task `doc_to_choice`, and as `doc_to_target` the number or the text of one".to_owned(),
            ),
            _ => Ok(()),
        }
    }
}

fn any(gold: &Gold, is_right: impl Fn(&str) -> bool) -> bool {
    gold.texts.iter().any(|right| is_right(right))
}

/// The number of a free answer. Without a number as the target, it cannot be judged.
fn by_number(answer: &str, gold: &Gold) -> Score {
    let right: Vec<Amount> = gold.texts.iter().filter_map(|right| number::of_target(right)).collect();
    if right.is_empty() {
        return Score::UNSCORED;
    }
    match number::answer(answer) {
        Some(read) if right.contains(&read) => Score::RIGHT,
        Some(_) => Score::WRONG,
        None if answer.contains(char::is_numeric) => Score::WRONG,
        None => Score::NO_ANSWER,
    }
}

fn includes(answer: &str, right: &str, ignore_case: bool) -> bool {
    match ignore_case {
        true => answer.to_lowercase().contains(&right.to_lowercase()),
        false => answer.contains(right),
    }
}

/// The groups of the first match, or the match as a whole: any of them, or all, must be a right answer (Inspect's `pattern`).
fn by_pattern(pattern: &Pattern, ignore_case: bool, match_all: bool, answer: &str, gold: &Gold) -> Score {
    let Some(found) = pattern.find(answer) else {
        return Score::NO_ANSWER;
    };
    let fold = |text: &str| if ignore_case { text.to_lowercase() } else { text.to_owned() };
    let is_right = |text: &&str| any(gold, |right| fold(text.trim()) == fold(right.trim()));
    let read = match found.groups.as_slice() {
        [] => vec![found.whole],
        groups => groups.to_vec(),
    };
    let right = if match_all {
        read.iter().all(is_right)
    } else {
        read.iter().any(is_right)
    };
    Score::of(right, &read.concat())
}

impl MetricSpec {
    fn pattern(&self) -> Result<Pattern, ParamError> {
        // Without a pattern of its own there is nothing to find; `check` has refused it.
        let none = escape("");
        let pattern = self.pattern.as_deref().unwrap_or(&none);
        let read = Pattern::new(pattern, self.ignore_case.unwrap_or(true));
        read.map_err(|error| ParamError::new("pattern", error.to_string()))
    }
}
