//! Finds numbers in a text.

use crate::task::Amount;

/// A number and where it begins, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Spotted {
    pub amount: Amount,
    pub start: usize,
}

/// Words that are numbers, but seldom meant as ones.
const NO_NUMBERS: [&str; 4] = ["a", "an", "one", "half"];

/// All numbers in digits, from left to right: `$1.5 million`, `-5`, `2 1/2`. Not those that are a part of something else (`18x`, `18th`,
/// `x2`), and not the numbers of list items.
pub(super) fn all(text: &str) -> Vec<Spotted> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(digit) = text.get(at..).and_then(first_digit).map(|place| at + place) {
        let start = start(text, digit, at);
        let read = text.get(start..).and_then(Amount::beginning);
        let rest = read.as_ref().map(|(_, rest)| *rest);
        let end = rest.map_or(digit, |rest| text.len() - rest.len()).max(end_of_digits(text, digit));
        let before = text.get(..start).unwrap_or_default();
        if let (Some((amount, rest)), true) = (read, end > digit)
            && Amount::ends_before(rest)
            && !before.ends_with(|c: char| c.is_alphanumeric() || c == '^' || c == '_')
            && !is_item(before, rest)
        {
            found.push(Spotted { amount, start });
        }
        at = end;
    }
    found
}

/// The last number in digits; in a text without any, the last one in words.
pub(super) fn last(text: &str) -> Option<Spotted> {
    match text.contains(|c: char| c.is_numeric()) {
        true => all(text).pop(),
        false => spoken(text).pop(),
    }
}

/// All numbers in words.
pub(super) fn spoken(text: &str) -> Vec<Spotted> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(rest) = text.get(at..) {
        let Some(start) = rest.find(char::is_alphabetic).map(|place| at + place) else {
            break;
        };
        let rest = text.get(start..).unwrap_or_default();
        let word_end = start + rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let word = text.get(start..word_end).unwrap_or_default().to_lowercase();
        let read = Amount::beginning(rest).filter(|(_, after)| Amount::ends_before(after));
        let read = read.map(|(amount, after)| (amount, text.len() - after.len()));
        match read.filter(|(_, end)| *end > word_end || !NO_NUMBERS.contains(&word.as_str())) {
            Some((amount, end)) if end > start => {
                found.push(Spotted { amount, start });
                at = end;
            }
            _ => at = word_end,
        }
    }
    found
}

fn first_digit(text: &str) -> Option<usize> {
    text.find(|c: char| c.is_ascii_digit() || "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒".contains(c))
}

/// Where the digits end that begin at `digit`, with the points and commas between them: `1,2.3` is no number, and no part of it is one.
fn end_of_digits(text: &str, digit: usize) -> usize {
    let rest = text.get(digit..).unwrap_or_default();
    let mut end = rest.chars().next().map_or(1, char::len_utf8);
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        let joins = matches!(c, '.' | ',') && chars.peek().is_some_and(|(_, next)| next.is_ascii_digit());
        if c.is_ascii_digit() {
            end = at + 1;
        } else if !joins {
            break;
        }
    }
    digit + end
}

/// Where the number with its first digit at `digit` begins: with its point, its fraction's name, its currency and its sign. Not before `least`.
fn start(text: &str, digit: usize, least: usize) -> usize {
    let before = text.get(least..digit).unwrap_or_default();
    let mut head = before;
    if let Some(name) = ["\\frac{", "\\dfrac{", "\\tfrac{", "\\frac", "\\dfrac", "\\tfrac"]
        .iter()
        .find(|name| head.ends_with(**name))
    {
        head = head.strip_suffix(*name).unwrap_or(head);
    } else if let Some(point) = head.strip_suffix('.')
        && !point.ends_with(|c: char| c.is_alphanumeric() || c == '.')
    {
        head = point;
    }
    let is_currency = |c: char| matches!(c, '$' | '£' | '¥' | '₹' | '€' | '¢' | '\u{20a0}'..='\u{20cf}');
    let without_sign = |head: &'_ str| -> Option<usize> {
        let sign = head.strip_suffix(['-', '−', '–'])?;
        let is_sign = !sign
            .trim_end_matches(' ')
            .ends_with(|c: char| c.is_alphanumeric() || c == ')' || c == '%')
            || (sign.ends_with(' ') && sign.trim_end().ends_with(char::is_alphabetic));
        is_sign.then_some(sign.len())
    };
    if let Some(end) = without_sign(head) {
        head = head.get(..end).unwrap_or(head);
        head = head.strip_suffix(is_currency).unwrap_or(head);
    } else if let Some(after) = head.strip_suffix(is_currency) {
        head = match without_sign(after) {
            Some(end) => after.get(..end).unwrap_or(after),
            None => after,
        };
    }
    least + head.len()
}

/// Whether the number is that of a list item: at the beginning of a line, with `. ` or `)` and words after it.
fn is_item(before: &str, rest: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let Some(text) = rest.strip_prefix(['.', ')', ':']) else {
        return false;
    };
    let text = text.split('\n').next().unwrap_or_default();
    line.trim_matches(|c: char| c.is_whitespace() || "*#-".contains(c)).is_empty() && text.contains(char::is_alphabetic)
}
