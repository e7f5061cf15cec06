//! The answer of a text that announces none: its last number, or the one in bold in its last line.

use std::sync::LazyLock;

use super::phrase;
use super::spot;
use crate::scoring::answer;
use crate::scoring::pattern::{Found, Pattern};
use crate::task::Amount;

/// How much of a line is read, from its end, in bytes.
const MAX_LINE: usize = 4_000;

/// The answer of the last line with a number.
pub(super) fn read(text: &str) -> Option<Amount> {
    let has_digits = text.contains(char::is_numeric);
    let numbers = if has_digits { spot::all(text) } else { spot::spoken(text) };
    let last = numbers.last()?;
    let start = text.get(..last.start)?.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(start..)?.lines().next()?;
    let line = answer::tail(line, MAX_LINE);
    bold(line).or_else(|| closing(line)).or_else(|| Some(last.amount.clone()))
}

/// The last number in bold, if nothing is calculated after it.
fn bold(line: &str) -> Option<Amount> {
    static BOLD: LazyLock<Option<Pattern>> = LazyLock::new(|| Pattern::new(r"(?:\*\*|__)([^*_\n]+)(?:\*\*|__)", false).ok());
    let found = BOLD.as_ref()?.find_all(line);
    let is_label = |text: &str| text.trim_end().ends_with([':', ')']);
    let mut numbers = found.iter().filter_map(|found| {
        let text = found.groups.first().filter(|text| !is_label(text))?;
        let number = text.rsplit(['=', ':']).next()?;
        Some((found.end(), Amount::parse(number)?))
    });
    let (end, amount) = numbers.next_back()?;
    let is_last = !line.get(end..)?.contains(['=', '≈']);
    is_last.then_some(amount)
}

/// The number of the line's last sentence that has one: after its last `=`, or before what it comes from.
fn closing(line: &str) -> Option<Amount> {
    static SOURCES: LazyLock<Option<Pattern>> =
        LazyLock::new(|| Pattern::new(r"(?i),? (?:by \w+ing|from|after|because|since|if|when|out of)\b", false).ok());
    let sentence = last_sentence(line);
    if let Some((_, after)) = sentence.rsplit_once(['=', '≈']) {
        return spot::all(after).into_iter().next().map(|spotted| spotted.amount);
    }
    let cut = SOURCES.as_ref()?.find_all(sentence).iter().map(Found::start).find(|cut| {
        let before = sentence.get(..*cut).unwrap_or_default();
        !spot::all(before).is_empty()
    });
    let stated = cut.and_then(|cut| sentence.get(..cut)).unwrap_or(sentence);
    spot::all(stated).pop().map(|spotted| spotted.amount)
}

/// The last sentence with a number.
fn last_sentence(line: &str) -> &str {
    let (mut rest, mut last) = (line, line);
    while !rest.is_empty() {
        let sentence = phrase::sentence(rest);
        if !spot::all(sentence).is_empty() {
            last = sentence;
        }
        let after = rest.get(sentence.len()..).unwrap_or_default();
        rest = after.get(after.chars().next().map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    last
}
