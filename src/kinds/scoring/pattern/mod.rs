//! Regular expressions as Python's `re` reads them, which those of lm-evaluation-harness are written for.
//!
//! A pattern is read and written anew in the language of `fancy-regex` ([`translate`]), so that `\w`, `\b`, `\s`, `$`, braces and
//! brackets mean what they mean in Python. What is found is what `findall` returns. Every search has a limit of steps.

mod class;
mod reader;
mod sets;
mod translate;

use std::sync::OnceLock;

use fancy_regex::{Captures, Regex, RegexBuilder};

pub use self::reader::PatternError;
pub use self::translate::escape;
use self::translate::translate;
use lab::config::ParamError;

/// The most steps of one search. Beyond it, nothing is found.
const MAX_STEPS: usize = 2_000_000;
/// The most matches that are looked at in a text.
const MAX_MATCHES: usize = 100_000;
/// The largest automaton of a part of a pattern, in bytes.
const MAX_SIZE: usize = 8 << 20;

/// A pattern that can be searched for.
#[derive(Debug)]
pub struct Pattern {
    regex: Regex,
    /// The pattern in the language of `fancy-regex`.
    translated: String,
    /// The same, for a match at the place where the search begins that is not empty; made when it is needed.
    filled: OnceLock<Option<Regex>>,
}

/// One match: the text as a whole, and of each group; a group that took no part is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<'t> {
    pub whole: &'t str,
    pub groups: Vec<&'t str>,
    start: usize,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is no pattern in Python, has something that is not known here, or is too large.
    pub fn new(pattern: &str, ignore_case: bool) -> Result<Self, PatternError> {
        let translated = translate(pattern, ignore_case)?;
        let regex = build(&translated, false).map_err(|error| PatternError::new(reason(&error), 0))?;
        Ok(Self {
            regex,
            translated,
            filled: OnceLock::new(),
        })
    }

    /// All matches, as Python's `findall` finds them: an empty match may stand right after another match.
    pub fn find_all<'t>(&self, text: &'t str) -> Vec<Found<'t>> {
        let (mut found, mut at, mut after_empty) = (Vec::new(), 0, false);
        while found.len() < MAX_MATCHES {
            let Some(next) = self.next(text, at, after_empty) else { break };
            at = next.end();
            after_empty = next.whole.is_empty();
            found.push(next);
        }
        found
    }

    /// The patterns of a list in the param `field`.
    ///
    /// # Errors
    /// For the first one that is no pattern, with the path to it.
    pub fn list(field: &str, patterns: &[String]) -> Result<Vec<Self>, ParamError> {
        let patterns = patterns.iter().enumerate();
        let read = patterns.map(|(place, pattern)| {
            let wrong = |error: PatternError| ParamError::new(&place.to_string(), error.to_string()).within(field);
            Self::new(pattern, false).map_err(wrong)
        });
        read.collect()
    }

    /// The first match.
    pub fn find<'t>(&self, text: &'t str) -> Option<Found<'t>> {
        self.next(text, 0, false)
    }

    /// The text without all matches: Python's `re.sub(pattern, "", text)`.
    pub fn removed(&self, text: &str) -> String {
        let (mut rest, mut at) = (String::with_capacity(text.len()), 0);
        for found in self.find_all(text) {
            rest.push_str(text.get(at..found.start).unwrap_or_default());
            at = found.end();
        }
        rest + text.get(at..).unwrap_or_default()
    }

    /// The first match from `at` on. After an empty match at `at`, one that is not empty, or one further on.
    fn next<'t>(&self, text: &'t str, at: usize, after_empty: bool) -> Option<Found<'t>> {
        if !after_empty {
            return found(&self.regex.captures_from_pos(text, at).ok()??);
        }
        let filled = self.filled.get_or_init(|| build(&format!(r"\G(?:{})", self.translated), true).ok());
        if let Some(Ok(Some(captures))) = filled.as_ref().map(|regex| regex.captures_from_pos(text, at)) {
            return found(&captures);
        }
        let step = text.get(at..)?.chars().next()?.len_utf8();
        found(&self.regex.captures_from_pos(text, at + step).ok()??)
    }
}

impl Found<'_> {
    /// Where it begins in the text, in bytes.
    pub fn start(&self) -> usize {
        self.start
    }

    /// Where it ends in the text, in bytes.
    pub fn end(&self) -> usize {
        self.start + self.whole.len()
    }
}

fn found<'t>(captures: &Captures<'t, str>) -> Option<Found<'t>> {
    let whole = captures.get(0)?;
    let groups = captures.iter().skip(1).map(|group| group.map_or("", |group| group.as_str()));
    Some(Found {
        whole: whole.as_str(),
        groups: groups.collect(),
        start: whole.start(),
    })
}

fn build(translated: &str, filled: bool) -> Result<Regex, fancy_regex::Error> {
    let mut builder = RegexBuilder::new(translated);
    builder
        .backtrack_limit(MAX_STEPS)
        .delegate_size_limit(MAX_SIZE)
        .find_not_empty(filled);
    builder.build()
}

/// Why a pattern that reads well cannot be searched for, in one line.
fn reason(error: &fancy_regex::Error) -> String {
    let text = error.to_string();
    let reason = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    format!("cannot be searched for: {}", reason.trim())
}

#[cfg(test)]
mod tests;
