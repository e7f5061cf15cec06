//! `exact_match`, as lm-evaluation-harness has it (`lm_eval/api/metrics.py`, `exact_match_hf_evaluate`).

use super::spec::MetricSpec;
use crate::scoring::pattern::Pattern;
use crate::scoring::python;
use lab::config::ParamError;

/// The metric with its flags.
#[derive(Debug)]
pub(super) struct ExactMatch {
    ignored: Vec<Pattern>,
    ignore_case: bool,
    ignore_punctuation: bool,
    ignore_numbers: bool,
}

impl ExactMatch {
    pub(super) fn new(spec: &MetricSpec) -> Result<Self, ParamError> {
        Ok(Self {
            ignored: Pattern::list("regexes_to_ignore", spec.regexes_to_ignore.as_deref().unwrap_or_default())?,
            ignore_case: spec.ignore_case.unwrap_or_default(),
            ignore_punctuation: spec.ignore_punctuation,
            ignore_numbers: spec.ignore_numbers,
        })
    }

    pub(super) fn is_right(&self, answer: &str, right: &str) -> bool {
        self.compared(answer) == self.compared(right)
    }

    /// What is compared of a text.
    fn compared(&self, text: &str) -> String {
        let mut text = self.ignored.iter().fold(text.to_owned(), |text, pattern| pattern.removed(&text));
        if self.ignore_case {
            // Numpy keeps the number of characters: of `İ`, which has two in small letters, the first.
            text = text.to_lowercase().chars().take(text.chars().count()).collect();
        }
        if self.ignore_punctuation {
            text = python::without_punctuation(&text);
        }
        if self.ignore_numbers {
            text.retain(|c| !c.is_ascii_digit());
        }
        // Numpy pads texts with these, and cannot tell them from the text's own.
        let length = text.trim_end_matches('\0').len();
        text.truncate(length);
        text
    }
}
