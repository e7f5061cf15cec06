//! `multi_choice_regex`: the letter of a choice, `(A)`, out of a free response, as lm-evaluation-harness reads it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::spec::selected;
use crate::scoring::pattern::{Pattern, escape};
use crate::scoring::python;

/// The function with its params.
#[derive(Debug)]
pub(super) struct ChoiceReader {
    pub pattern: Pattern,
    /// Which match: from 0, and from −1 at the end.
    pub select: i64,
    /// `None`: no answer.
    pub fallback: Option<String>,
    pub ignore_case: bool,
    pub ignore_punctuation: bool,
    pub ignored: Vec<Pattern>,
}

/// What is searched for with the choices of one question; `None` where they make no pattern.
pub(super) struct ChoicePatterns {
    /// The texts of the choices.
    texts: Option<Pattern>,
    /// The letter of each text.
    letters: BTreeMap<String, String>,
    /// A letter after a colon.
    bare: Option<Pattern>,
}

impl ChoiceReader {
    /// The patterns of a question's choices. Only the first 26 have a letter.
    pub(super) fn of(&self, choices: &[String]) -> ChoicePatterns {
        let named: Vec<(char, String)> = ('A'..='Z')
            .zip(choices)
            .map(|(letter, choice)| (letter, self.without_ignored(python::strip(choice))))
            .collect();
        let mut texts: Vec<String> = named.iter().map(|(_, text)| escape(text)).collect();
        // The longest first, so that a choice that begins another one does not stand for it.
        texts.sort_by_key(|text| std::cmp::Reverse(text.chars().count()));
        let names: Vec<String> = named.iter().map(|(letter, _)| letter.to_string()).collect();
        let pattern = |pattern: String| Pattern::new(&pattern, false).ok().filter(|_| !named.is_empty());
        ChoicePatterns {
            texts: pattern(texts.join("|")),
            bare: pattern(format!(r":[\s]*({})", names.join("|"))),
            letters: named.into_iter().map(|(letter, text)| (text, format!("({letter})"))).collect(),
        }
    }

    /// The answer of a response: what the pattern finds; or the letter of a choice whose text is found; or a letter after a colon.
    pub(super) fn read(&self, text: &str, choices: &ChoicePatterns) -> Option<String> {
        let by_pattern = || self.find(&self.pattern, text);
        let by_text = || {
            let found = self.find(choices.texts.as_ref()?, &self.without_ignored(text))?;
            Some(choices.letters.get(&found).cloned().unwrap_or(found))
        };
        let by_letter = || self.find(choices.bare.as_ref()?, text).map(|letter| format!("({letter})"));
        by_pattern().or_else(by_text).or_else(by_letter).or_else(|| self.fallback.clone())
    }

    /// What a pattern finds; `None` for nothing, or an empty text.
    fn find(&self, pattern: &Pattern, text: &str) -> Option<String> {
        let all = pattern.find_all(text);
        let found = selected(&all, self.select)?;
        let read = match found.groups.as_slice() {
            [] => found.whole,
            groups => groups.iter().copied().find(|group| !group.is_empty())?,
        };
        Some(python::strip(read).to_owned()).filter(|read| !read.is_empty())
    }

    /// The text without what is to be ignored.
    fn without_ignored(&self, text: &str) -> String {
        let mut text = self.ignored.iter().fold(text.to_owned(), |text, pattern| pattern.removed(&text));
        if self.ignore_case {
            text = text.to_lowercase();
        }
        if self.ignore_punctuation {
            text = without_any_punctuation(&text);
        }
        text
    }
}

/// The text without the punctuation of Unicode.
fn without_any_punctuation(text: &str) -> String {
    static PUNCTUATION: LazyLock<Option<fancy_regex::Regex>> = LazyLock::new(|| fancy_regex::Regex::new(r"\p{P}+").ok());
    match &*PUNCTUATION {
        Some(pattern) => pattern.replace_all(text, "").into_owned(),
        None => text.to_owned(),
    }
}
