//! The fields of a filter, as they are written in an experiment.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::scoring::pattern::{Found, Pattern};
use lab::config::ParamError;

/// What the harness has where a pattern does not match; no answer here.
pub(super) const NO_MATCH: &str = "[invalid]";
/// The pattern of a `regex` that names none, as in the harness.
const DEFAULT_PATTERN: &str = r"#### (\-?[0-9\.\,]+)";

/// A filter: a name and functions, which are applied one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedFilterSpec {
    /// The name under which its scores are reported: `strict-match`.
    pub name: String,
    /// The functions, in their order.
    #[serde(default)]
    pub filter: Vec<FilterSpec>,
}

/// One function of a filter; each has some of the fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilterSpec {
    pub function: FilterFunction,
    /// A regular expression, read as in Python.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex_pattern: Option<String>,
    /// Which of the matches: 0 is the first, −1 the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_select: Option<i64>,
    /// The answer where nothing matches; left out, there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_case: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignore_punctuation: Option<bool>,
    /// Regular expressions; what they match is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regexes_to_ignore: Option<Vec<String>>,
    /// Answers and what becomes of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping_dict: Option<BTreeMap<String, Value>>,
    /// What becomes of all other answers; left out, they are no answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<Value>,
    /// How many responses are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<usize>,
    /// The text before the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The field of an object; a point leads into one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// The functions that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterFunction {
    Regex,
    MultiChoiceRegex,
    RemoveWhitespace,
    Lowercase,
    Uppercase,
    Map,
    TakeFirst,
    TakeFirstK,
    MajorityVote,
    Boxed,
    Json,
    Number,
    After,
    Line,
}

impl FilterFunction {
    fn name(self) -> &'static str {
        match self {
            Self::Regex => "regex",
            Self::MultiChoiceRegex => "multi_choice_regex",
            Self::RemoveWhitespace => "remove_whitespace",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
            Self::Map => "map",
            Self::TakeFirst => "take_first",
            Self::TakeFirstK => "take_first_k",
            Self::MajorityVote => "majority_vote",
            Self::Boxed => "boxed",
            Self::Json => "json",
            Self::Number => "number",
            Self::After => "after",
            Self::Line => "line",
        }
    }

    /// The fields that it has, and those among them that it needs.
    fn fields(self) -> (&'static [&'static str], &'static [&'static str]) {
        match self {
            Self::Regex => (&["regex_pattern", "group_select", "fallback"], &[]),
            Self::MultiChoiceRegex => (
                &[
                    "regex_pattern",
                    "group_select",
                    "fallback",
                    "ignore_case",
                    "ignore_punctuation",
                    "regexes_to_ignore",
                ],
                &[],
            ),
            Self::Map => (&["mapping_dict", "default_value"], &["mapping_dict"]),
            Self::TakeFirstK => (&["k"], &["k"]),
            Self::Json => (&["field"], &["field"]),
            Self::After => (&["text", "ignore_case"], &["text"]),
            _ => (&[], &[]),
        }
    }
}

impl FilterSpec {
    /// A `regex` of this pattern, which takes the match with this number.
    pub fn regex(pattern: &str, select: i64) -> Self {
        Self {
            function: FilterFunction::Regex,
            regex_pattern: Some(pattern.to_owned()),
            group_select: Some(select),
            fallback: None,
            ignore_case: None,
            ignore_punctuation: None,
            regexes_to_ignore: None,
            mapping_dict: None,
            default_value: None,
            k: None,
            text: None,
            field: None,
        }
    }

    /// Whether the fields are those of the function.
    pub(super) fn check(&self) -> Result<(), ParamError> {
        let (known, needed) = self.function.fields();
        let name = self.function.name();
        let given = self.given();
        if let Some(other) = given.iter().find(|field| !known.contains(field)) {
            let message = match known {
                [] => format!("`{name}` has no `{other}`, and no other field"),
                known => format!("`{name}` has no `{other}` (known: {})", known.join(", ")),
            };
            return Err(ParamError::new(other, message));
        }
        if let Some(missing) = needed.iter().find(|field| !given.contains(field)) {
            return Err(ParamError::whole(format!("`{name}` needs a field `{missing}`")));
        }
        if self.k == Some(0) {
            return Err(ParamError::new("k", "`take_first_k` must take at least 1"));
        }
        for (field, text) in [("text", &self.text), ("field", &self.field)] {
            if text.as_ref().is_some_and(String::is_empty) {
                return Err(ParamError::new(field, format!("`{field}` must not be empty")));
            }
        }
        Ok(())
    }

    fn given(&self) -> Vec<&'static str> {
        let fields = [
            ("regex_pattern", self.regex_pattern.is_some()),
            ("group_select", self.group_select.is_some()),
            ("fallback", self.fallback.is_some()),
            ("ignore_case", self.ignore_case.is_some()),
            ("ignore_punctuation", self.ignore_punctuation.is_some()),
            ("regexes_to_ignore", self.regexes_to_ignore.is_some()),
            ("mapping_dict", self.mapping_dict.is_some()),
            ("default_value", self.default_value.is_some()),
            ("k", self.k.is_some()),
            ("text", self.text.is_some()),
            ("field", self.field.is_some()),
        ];
        fields.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }

    pub(super) fn pattern(&self) -> Result<Pattern, ParamError> {
        let pattern = self.regex_pattern.as_deref().unwrap_or(DEFAULT_PATTERN);
        Pattern::new(pattern, false).map_err(|error| ParamError::new("regex_pattern", error.to_string()))
    }

    /// `None`: no answer.
    pub(super) fn fallback(&self) -> Option<String> {
        self.fallback.clone().filter(|text| text != NO_MATCH)
    }

    pub(super) fn ignored(&self) -> Result<Vec<Pattern>, ParamError> {
        Pattern::list("regexes_to_ignore", self.regexes_to_ignore.as_deref().unwrap_or_default())
    }

    pub(super) fn mapping(&self) -> Result<Mapping, ParamError> {
        let mut answers = BTreeMap::new();
        for (key, value) in self.mapping_dict.iter().flatten() {
            let text = plain(value).map_err(|error| error.within(key).within("mapping_dict"))?;
            answers.insert(key.clone(), text);
        }
        let default = match &self.default_value {
            None | Some(Value::Null) => None,
            Some(value) => Some(plain(value).map_err(|error| error.within("default_value"))?),
        };
        Ok(Mapping { answers, default })
    }
}

fn plain(value: &Value) -> Result<String, ParamError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(ParamError::whole("an answer must be a text or a number")),
    }
}

/// Answers and what becomes of them.
#[derive(Debug)]
pub(super) struct Mapping {
    answers: BTreeMap<String, String>,
    default: Option<String>,
}

impl Mapping {
    /// What becomes of an answer, or of none.
    pub(super) fn get(&self, answer: Option<&str>) -> Option<String> {
        let mapped = self.answers.get(answer.unwrap_or(NO_MATCH));
        mapped.or(self.default.as_ref()).cloned()
    }
}

/// The match at a place: from 0, and from −1 at the end.
pub(super) fn selected<'f, 't>(found: &'f [Found<'t>], place: i64) -> Option<&'f Found<'t>> {
    let place = if place < 0 {
        place.checked_add(i64::try_from(found.len()).ok()?)?
    } else {
        place
    };
    found.get(usize::try_from(place).ok()?)
}
