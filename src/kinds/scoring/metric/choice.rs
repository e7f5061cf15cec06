//! `choice`: which of a question's choices a free answer names, by its letter or its text.

use std::sync::LazyLock;

use crate::scoring::answer;
use crate::scoring::gold::Gold;
use crate::scoring::pattern::Pattern;
use crate::scoring::score::Score;

/// The letters that choices have.
const LETTERS: usize = 26;
/// How much of a response is read, from its end, in bytes.
const MAX_READ: usize = 20_000;

/// Where a letter may stand, from the surest place on. The letter is the group; the last match of a place counts.
const PLACES: [&str; 4] = [
    r"(?i:(?:answers?|choice|option)(?:[*_`]{0,3} to (?:the|this) question)?[*_`]{0,3}\s*(?:is|was|would be|should be|must be|:|=))(?i:\s*(?:option|choice|:))?[\s:*_`$\x22'“]*[(\[{]?([A-Za-z])(?![\w'’])[)\]}.]?",
    r"(?m)^[\s*_`>\x22'“]*[(\[]?([A-Z])(?![\w'’])(?:[)\].:,*_`\x22'”\s]*$|[)\].:])",
    r"[(\[]([A-Z])[)\]]",
    r"(?:\*\*|__)[(\[]?([A-Z])(?![\w'’])",
];

/// Judges an answer. An answer without a choice in it is none; without choices, it cannot be judged.
pub(super) fn score(answer: &str, gold: &Gold) -> Score {
    if gold.choices.is_empty() || gold.indices.is_empty() {
        return Score::UNSCORED;
    }
    match read(answer, &gold.choices) {
        Some(index) if gold.indices.contains(&index) => Score::RIGHT,
        Some(_) => Score::WRONG,
        None => Score::NO_ANSWER,
    }
}

/// The place of the choice that an answer names.
fn read(answer: &str, choices: &[String]) -> Option<usize> {
    static PATTERNS: LazyLock<Vec<Pattern>> = LazyLock::new(|| PLACES.iter().filter_map(|place| Pattern::new(place, false).ok()).collect());
    let answer = answer::tail(answer, MAX_READ);
    if let Some(whole) = whole(answer, choices) {
        return Some(whole);
    }
    if let Some(index) = answer::boxed(answer).and_then(|content| whole(content, choices)) {
        return Some(index);
    }
    let by_letter = |pattern: &Pattern| {
        let found = pattern.find_all(answer);
        let letters = found.iter().rev().filter_map(|found| found.groups.first().copied());
        letters.filter_map(|letter| index(letter, choices.len())).next()
    };
    let (announced, others) = PATTERNS.split_first()?;
    by_letter(announced)
        .or_else(|| announced_text(answer, choices))
        .or_else(|| others.iter().find_map(by_letter))
        .or_else(|| only_text(answer, choices))
}

/// The place of a letter, `B`.
fn index(letter: &str, count: usize) -> Option<usize> {
    let letter = letter.chars().next()?.to_ascii_uppercase();
    let place = u32::from(letter).checked_sub(u32::from('A'))? as usize;
    (place < count.min(LETTERS)).then_some(place)
}

/// A letter alone, `(B)`, or the text of a choice alone, also with its letter: `B) Paris`.
fn whole(text: &str, choices: &[String]) -> Option<usize> {
    let plain = plain(text);
    let letter = plain.trim_matches(|c: char| "()[]{}.:".contains(c) || c.is_whitespace());
    if letter.chars().count() == 1
        && let Some(place) = index(letter, choices.len())
    {
        return Some(place);
    }
    if let Some(place) = choices.iter().position(|choice| self::plain(choice) == plain) {
        return Some(place);
    }
    let (letter, text) = plain.trim_start_matches(['(', '[']).split_once([')', ']', '.', ':'])?;
    let place = index(letter, choices.len()).filter(|_| letter.chars().count() == 1)?;
    (self::plain(choices.get(place)?) == text.trim()).then_some(place)
}

/// A text without what does not matter: capitals, marks around it, and its full stop.
fn plain(text: &str) -> String {
    let text = text.replace("\\text", "").to_lowercase();
    let marks = |c: char| c.is_whitespace() || "*_`\"'“”$".contains(c);
    let text = text.trim_matches(marks).trim_end_matches(['.', '!']).trim_matches(marks);
    let braced = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    braced.unwrap_or(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The choice whose text follows the last "the answer is".
fn announced_text(answer: &str, choices: &[String]) -> Option<usize> {
    static LEAD: LazyLock<Option<Pattern>> =
        LazyLock::new(|| Pattern::new(r"(?:answer|choice|option)[*_`]{0,3}\s*(?:is|was|:|=)[\s:*_`\x22'“]*", true).ok());
    let found = LEAD.as_ref()?.find_all(answer);
    let after = plain(answer.get(found.last()?.end()..)?);
    longest(choices, |choice| {
        let rest = after.strip_prefix(choice);
        rest.is_some_and(|rest| !rest.starts_with(char::is_alphanumeric))
    })
}

/// The one choice whose text is in the answer.
fn only_text(answer: &str, choices: &[String]) -> Option<usize> {
    let answer = plain(answer);
    let is_in = |choice: &str| {
        answer.match_indices(choice).any(|(at, _)| {
            let before = answer.get(..at).unwrap_or_default();
            let after = answer.get(at + choice.len()..).unwrap_or_default();
            !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
        })
    };
    let place = longest(choices, is_in)?;
    let longest = plain(choices.get(place)?);
    // Another choice beside it, which is no part of it: which one is meant is not said.
    let has_other = choices
        .iter()
        .map(|choice| plain(choice))
        .any(|choice| !choice.is_empty() && !longest.contains(&choice) && is_in(&choice));
    (!has_other).then_some(place)
}

/// The longest of the choices that `holds`.
fn longest(choices: &[String], holds: impl Fn(&str) -> bool) -> Option<usize> {
    let plain = choices.iter().map(|choice| plain(choice)).enumerate();
    let held = plain.filter(|(_, choice)| !choice.is_empty() && holds(choice));
    held.max_by_key(|(place, choice)| (choice.len(), std::cmp::Reverse(*place)))
        .map(|(place, _)| place)
}
