//! The answer after what announces it: `####`, `\boxed{…}`, "the answer is", `Answer:`.

use std::sync::LazyLock;

use super::phrase::{self, Reading};
use super::spot;
use crate::scoring::answer;
use crate::scoring::pattern::Pattern;
use crate::task::Amount;

/// Words that announce an answer, with marks of emphasis between and after them.
const WORDS: &str = concat!(
    r"(?i)(?:answers?|solution)(?:[*_`]{0,3} (?:to|for) (?:the|this|your) (?:question|problem|puzzle))?[*_`)\s]{0,4}",
    r"(?:(?:is|was|are|would be|will be|should be|must be|comes to|comes out to|equals)\b(?: (?:therefore|thus|then|simply|just))?|[:=]|→)",
    r"|^[ \t]*A:",
);

/// The most leads that are looked at, from the last one back.
const MAX_LEADS: usize = 50;

/// A place where an answer is announced.
enum Lead {
    /// The text from here.
    From(usize),
    /// In a box that ends here.
    Box(usize),
}

/// The answer of the last lead that has a number after it. `None` without such a lead; `Some(None)` if its number cannot be read.
pub(super) fn read(text: &str) -> Option<Option<Amount>> {
    for lead in leads(text).into_iter().rev().take(MAX_LEADS) {
        let reading = match lead {
            Lead::From(start) => phrase::read(text.get(start..).unwrap_or_default()),
            Lead::Box(end) => boxed(text.get(..end).unwrap_or_default()),
        };
        match reading {
            Reading::Number(amount) => return Some(Some(amount)),
            Reading::Unreadable => return Some(None),
            Reading::Nothing => {}
        }
    }
    None
}

/// All leads, by their place.
fn leads(text: &str) -> Vec<Lead> {
    static PATTERN: LazyLock<Option<Pattern>> = LazyLock::new(|| Pattern::new(&format!("(?m){WORDS}|####"), false).ok());
    let found = PATTERN.as_ref().map(|pattern| pattern.find_all(text)).unwrap_or_default();
    let mut leads: Vec<(usize, Lead)> = found.iter().map(|found| (found.start(), Lead::From(found.end()))).collect();
    if let Some((start, end)) = answer::last_box(text) {
        leads.push((start, Lead::Box(end)));
    }
    leads.sort_by_key(|(at, _)| *at);
    leads.into_iter().map(|(_, lead)| lead).collect()
}

/// The number in the last box.
fn boxed(text: &str) -> Reading {
    let Some(content) = answer::boxed(text) else {
        return Reading::Nothing;
    };
    match Amount::parse(content) {
        Some(amount) => Reading::Number(amount),
        None if spot::all(content).is_empty() && spot::spoken(content).is_empty() => Reading::Nothing,
        None => phrase::read(content),
    }
}
