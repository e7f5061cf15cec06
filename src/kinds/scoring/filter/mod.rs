//! `filter_list`: how answers are read out of responses.

mod choices;
mod spec;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use self::choices::ChoiceReader;
use self::spec::NO_MATCH;
pub use self::spec::{FilterFunction, FilterSpec, NamedFilterSpec};
use super::answer;
use super::number;
use super::pattern::{Pattern, escape};
use super::python;
use lab::config::ParamError;

/// A filter that can be applied.
#[derive(Debug)]
pub struct NamedFilter {
    /// The name under which its scores are reported.
    pub name: String,
    steps: Vec<Step>,
}

/// One function of a filter.
#[derive(Debug)]
enum Step {
    Regex(RegexStep),
    Choices(ChoiceReader),
    /// Changes each answer that is there.
    Change(fn(&str) -> String),
    /// Reads a part of each answer that is there.
    Read(fn(&str) -> Option<String>),
    Json(String),
    After(Pattern),
    Map(spec::Mapping),
    First(usize),
    Majority,
}

#[derive(Debug)]
struct RegexStep {
    pattern: Pattern,
    /// Which match: from 0, and from −1 at the end.
    select: i64,
    /// `None`: no answer.
    fallback: Option<String>,
}

impl NamedFilterSpec {
    /// Reads the patterns of the filter, and checks all of its fields.
    ///
    /// # Errors
    /// The first thing that is wrong, with the path to it.
    pub fn compile(&self) -> Result<NamedFilter, ParamError> {
        if self.name.trim().is_empty() {
            return Err(ParamError::new(
                "name",
                "a filter needs a name, under which its scores are reported",
            ));
        }
        let steps = self.filter.iter().enumerate();
        let steps = steps.map(|(place, spec)| step(spec).map_err(|error| error.within(&place.to_string()).within("filter")));
        Ok(NamedFilter {
            name: self.name.clone(),
            steps: steps.collect::<Result<_, _>>()?,
        })
    }

    /// All filters of a list; their names must differ.
    ///
    /// # Errors
    /// The first thing that is wrong, with the path to it.
    pub fn compile_all(specs: &[Self]) -> Result<Vec<NamedFilter>, ParamError> {
        let compile = |(place, spec): (usize, &Self)| {
            if specs.iter().take(place).any(|other| other.name == spec.name) {
                let message = format!("two filters have the name `{}`: give each a name of its own", spec.name);
                return Err(ParamError::new("name", message).within(&place.to_string()));
            }
            spec.compile().map_err(|error| error.within(&place.to_string()))
        };
        specs.iter().enumerate().map(compile).collect()
    }
}

fn step(spec: &FilterSpec) -> Result<Step, ParamError> {
    spec.check()?;
    Ok(match spec.function {
        FilterFunction::Regex => Step::Regex(RegexStep {
            pattern: spec.pattern()?,
            select: spec.group_select.unwrap_or_default(),
            fallback: spec.fallback(),
        }),
        FilterFunction::MultiChoiceRegex => Step::Choices(ChoiceReader {
            pattern: spec.pattern()?,
            select: spec.group_select.unwrap_or_default(),
            fallback: spec.fallback(),
            ignore_case: spec.ignore_case.unwrap_or_default(),
            ignore_punctuation: spec.ignore_punctuation.unwrap_or_default(),
            ignored: spec.ignored()?,
        }),
        FilterFunction::RemoveWhitespace => Step::Change(|text| python::strip(text).to_owned()),
        FilterFunction::Lowercase => Step::Change(str::to_lowercase),
        FilterFunction::Uppercase => Step::Change(str::to_uppercase),
        FilterFunction::Map => Step::Map(spec.mapping()?),
        FilterFunction::TakeFirst => Step::First(1),
        FilterFunction::TakeFirstK => Step::First(spec.k.unwrap_or(1)),
        FilterFunction::MajorityVote => Step::Majority,
        FilterFunction::Boxed => Step::Read(|text| answer::boxed(text).map(str::to_owned)),
        FilterFunction::Json => Step::Json(spec.field.clone().unwrap_or_default()),
        FilterFunction::Number => Step::Read(|text| number::last(text).map(|amount| amount.plain())),
        FilterFunction::After => {
            let pattern = escape(spec.text.as_deref().unwrap_or_default());
            let pattern = Pattern::new(&pattern, spec.ignore_case.unwrap_or_default());
            Step::After(pattern.map_err(|error| ParamError::new("text", error.to_string()))?)
        }
        FilterFunction::Line => Step::Read(|text| answer::last_line(text).map(str::to_owned)),
    })
}

impl NamedFilter {
    /// The answers in the responses to one question, whose choices are `choices`; `None` where there is no answer.
    ///
    /// As many as there are responses, unless the filter chooses among them ([`Self::chooses`]). What `[invalid]` is in the harness is
    /// `None` here: further functions leave it, but for the fallback of a pattern and for a `map` that has `[invalid]` or a default.
    pub fn apply(&self, responses: &[&str], choices: &[String]) -> Vec<Option<String>> {
        let first: Vec<Option<String>> = responses.iter().map(|&response| Some(response.to_owned())).collect();
        self.steps.iter().fold(first, |answers, step| step.apply(answers, choices))
    }

    /// Whether it makes fewer answers of the responses: `take_first`, `take_first_k`, `majority_vote`.
    pub fn chooses(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::First(_) | Step::Majority))
    }

    /// The number of responses that it needs: the `k` of `take_first_k`.
    pub fn least_responses(&self) -> usize {
        let choosing = self.steps.iter().find_map(|step| match step {
            Step::First(count) => Some(*count),
            Step::Majority => Some(1),
            _ => None,
        });
        choosing.unwrap_or(1)
    }
}

impl Step {
    fn apply(&self, mut answers: Vec<Option<String>>, choices: &[String]) -> Vec<Option<String>> {
        match self {
            Self::First(count) => {
                answers.truncate(*count);
                return answers;
            }
            Self::Majority => return vec![majority(&answers)],
            _ => {}
        }
        let choices = match self {
            Self::Choices(reader) => Some(reader.of(choices)),
            _ => None,
        };
        let read = |answer: Option<String>| match (self, answer) {
            (Self::Map(mapping), answer) => mapping.get(answer.as_deref()),
            (Self::Regex(step), None) => step.fallback.clone(),
            (Self::Choices(reader), None) => reader.fallback.clone(),
            (_, None) => None,
            (Self::Regex(step), Some(text)) => step.read(&text),
            (Self::Choices(reader), Some(text)) => choices.as_ref().and_then(|choices| reader.read(&text, choices)),
            (Self::Change(change), Some(text)) => Some(change(&text)),
            (Self::Read(read), Some(text)) => read(&text),
            (Self::Json(field), Some(text)) => answer::json_field(&text, field),
            (Self::After(pattern), Some(text)) => after(pattern, &text),
            (Self::First(_) | Self::Majority, answer) => answer,
        };
        answers.into_iter().map(read).collect()
    }
}

impl RegexStep {
    /// As the harness: of several groups the first that is not empty.
    fn read(&self, text: &str) -> Option<String> {
        let found = self.pattern.find_all(text);
        let Some(found) = spec::selected(&found, self.select) else {
            return self.fallback.clone();
        };
        let read = match found.groups.as_slice() {
            [] => Some(found.whole),
            [one] => Some(*one),
            groups => groups.iter().copied().find(|group| !group.is_empty()),
        };
        match read {
            Some(text) => Some(python::strip(text).to_owned()).filter(|text| text != NO_MATCH),
            None => self.fallback.clone(),
        }
    }
}

/// What follows the last match.
fn after(pattern: &Pattern, text: &str) -> Option<String> {
    let all = pattern.find_all(text);
    let end = all.last()?.end();
    Some(text.get(end..)?.trim().to_owned())
}

/// The most frequent answer, the one that came first among equally frequent ones. No answer is no vote.
fn majority(answers: &[Option<String>]) -> Option<String> {
    // How often each answer is given, and where first.
    let mut counts: BTreeMap<&str, (usize, Reverse<usize>)> = BTreeMap::new();
    for (place, answer) in answers.iter().enumerate() {
        if let Some(answer) = answer {
            counts.entry(answer).or_insert((0, Reverse(place))).0 += 1;
        }
    }
    let best = counts.into_iter().max_by_key(|(_, count)| *count)?;
    Some(best.0.to_owned())
}
